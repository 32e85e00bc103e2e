//! What the documents say is there: links, files, the demo's output and the commands.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use raysweep::{
    domain::attempt::Outcome,
    responder::{dispatcher::INTERRUPTIONS, ssh::SshError},
};

use super::cli::raysweep;

const DOCUMENTS: [&str; 15] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "docs/api.md",
    "docs/configuration.md",
    "docs/doctor.md",
    "docs/failures.md",
    "docs/how-it-decides.md",
    "docs/mutants.md",
    "docs/operations.md",
    "docs/peers.md",
    "docs/safety.md",
    "docs/security.md",
    "rules/README.md",
    "alertmanager/README.md",
];

/// Folders at the top of the repository: a word that begins with one is a path in it.
const FOLDERS: [&str; 6] = ["alertmanager/", "deploy/", "docs/", "rules/", "src/", "tests/"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The targets of `[…](target)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// `## How it decides` → `how-it-decides`.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-")).collect()
}

/// Whether there is a file or folder of this name, in whose last part one `*` stands for anything.
fn exists(path: &Path) -> bool {
    let (folder, name) = (path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap());
    let Some((start, end)) = name.split_once('*') else { return path.exists() };
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .any(|name| name.starts_with(start) && name.ends_with(end))
}

/// The rows of the table that has this header, without header and rule; cells without backticks.
fn rows(text: &str, header: &str) -> Vec<Vec<String>> {
    let lines = text.lines().skip_while(|line| *line != header).skip(2);
    let rows: Vec<Vec<String>> = lines
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('`', "")).collect())
        .collect();
    assert!(!rows.is_empty(), "no table under {header}");
    rows
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let mut looked_at = 0;
    for document in DOCUMENTS {
        let text = read(document);
        for target in links(&text).filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let linked: PathBuf =
                if file.is_empty() { document.into() } else { Path::new(document).with_file_name(file) };
            assert!(root().join(&linked).exists(), "{document}: {target}");
            assert!(
                anchor.is_empty() || anchors(&read(&linked)).contains(&anchor.to_owned()),
                "{document}: {target}"
            );
            looked_at += 1;
        }
    }
    assert!(looked_at > 8, "only {looked_at} links were found");
}

#[test]
fn every_path_of_the_repository_that_a_document_names_is_there() {
    let mut looked_at = 0;
    for document in DOCUMENTS {
        for word in read(document).split(|c: char| c.is_whitespace() || "`()|".contains(c)) {
            let word = word.trim_end_matches([',', '.', ':', ';']);
            if FOLDERS.iter().any(|folder| word.starts_with(folder)) {
                // Its own folder comes first: alertmanager/README.md speaks of payloads/ and the like.
                let beside = root().join(document).with_file_name(word);
                assert!(exists(&root().join(word)) || exists(&beside), "{document}: {word}");
                looked_at += 1;
            }
        }
    }
    assert!(looked_at > 20, "only {looked_at} paths were found");
}

#[test]
fn every_file_that_a_folders_readme_lists_is_there() {
    for (document, header) in [
        ("rules/README.md", "| file | what it is |"),
        ("alertmanager/README.md", "| file | what it is |"),
        ("alertmanager/README.md", "| file | shows |"),
    ] {
        let folder = if header.ends_with("shows |") { "payloads/" } else { "" };
        for row in rows(&read(document), header) {
            let file = root().join(document).with_file_name(format!("{folder}{}", row[0]));
            assert!(file.exists(), "{document}: {}", row[0]);
        }
    }
}

#[test]
fn the_architecture_names_every_part_of_the_wings_and_none_that_is_not_there() {
    let text = read("ARCHITECTURE.md");
    for (chapter, folder) in [
        ("## The responder", "src/responder"),
        ("## The sweeper", "src/sweeper"),
        ("## The operator's side", "src/fleet"),
    ] {
        let (_, chapter) = text.split_once(chapter).unwrap();
        let chapter = chapter.split("\n## ").next().unwrap();
        let named = rows(chapter, "| file | its one purpose |");
        let mut named: Vec<_> = named.iter().flat_map(|row| row[0].split(", ")).map(str::to_owned).collect();
        let files = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let mut there: Vec<_> = files
            .filter(|file| file.is_file())
            .map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        named.sort();
        there.sort();
        assert_eq!(named, there, "{folder}");
    }
}

/// Every function that is a test, in the sources and in the tests.
fn tests_under(folder: &Path, names: &mut BTreeSet<String>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            tests_under(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut lines = text.lines().map(str::trim);
            while lines.any(|line| line == "#[test]" || line.starts_with("#[tokio::test")) {
                let function = lines.find(|line| line.starts_with("fn ") || line.starts_with("async fn "));
                let name = function.and_then(|line| line.split_once("fn ")?.1.split_once('('));
                names.extend(name.map(|(name, _)| name.to_owned()));
            }
        }
    }
}

#[test]
fn every_rule_of_safety_names_a_file_that_is_there_and_tests_that_are_there() {
    let mut tests = BTreeSet::new();
    for folder in ["src", "tests"] {
        tests_under(&root().join(folder), &mut tests);
    }
    let text = read("docs/safety.md");
    let tables = text.split("| rule | where it lives | goes red without it |\n").skip(1);
    let rows: Vec<_> = tables
        .flat_map(|table| table.lines().skip(1).take_while(|line| line.starts_with('|')))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>())
        .collect();
    assert!(rows.len() > 50, "only {} rules were found", rows.len());
    for row in rows {
        let [rule, file, named] = row[..] else { panic!("{row:?}") };
        assert!(root().join(file.trim_matches('`')).is_file(), "{rule}: {file}");
        for test in named.split(", ") {
            assert!(tests.contains(test.trim_matches('`')), "{rule}: there is no test {test}");
        }
    }
}

#[test]
fn every_reason_for_which_an_attempt_fails_says_what_to_do() {
    let text = read("docs/failures.md");
    let told = rows(&text, "| reason | outcome | what happened | what to do |");
    let mut named: Vec<_> = told.iter().map(|row| row[0].as_str()).collect();
    let mut there = [&SshError::REASONS[..], &INTERRUPTIONS[..]].concat();
    named.sort_unstable();
    there.sort_unstable();
    assert_eq!(named, there);
    let outcomes: Vec<_> = rows(&text, "| outcome | what is known | it is tried again |");
    let outcomes: Vec<_> = outcomes.iter().map(|row| row[0].as_str()).collect();
    assert!(outcomes.iter().all(|outcome| Outcome::ALL.iter().any(|known| known.as_str() == *outcome)));
    assert!(told.iter().all(|row| outcomes.contains(&row[1].as_str())), "{told:?}");
}

#[test]
fn the_readme_shows_what_the_demo_printed() {
    let readme = read("README.md");
    let shown = readme.split_once("<!-- demo: begin -->\n```text\n").unwrap().1;
    let shown = shown.split_once("\n```\n<!-- demo: end -->").unwrap().0;
    let printed = read("docs/demo.txt");
    let mut rest = printed.as_str();
    for part in shown.split("\n\n[…]\n\n") {
        let at = rest.find(part).unwrap_or_else(|| panic!("docs/demo.txt has not, in its place:\n{part}"));
        rest = &rest[at + part.len()..];
    }
    // What the demo ends with is shown as well.
    assert_eq!(rest.trim(), "");
}

#[test]
fn the_readme_shows_what_the_benchmark_measured() {
    let readme = read("README.md");
    let shown = readme.split_once("<!-- performance: begin -->\n").unwrap().1;
    let shown = shown.split_once("<!-- performance: end -->").unwrap().0;
    let measured = read("docs/performance.md");
    for part in shown.split("\n\n").map(str::trim) {
        assert!(!part.is_empty() && measured.contains(part), "docs/performance.md has not:\n{part}");
    }
}

#[test]
fn what_the_readme_has_a_reader_type_is_there_and_its_replay_explains_a_payload() {
    let readme = read("README.md");
    let commands: Vec<_> = readme
        .split("```sh\n")
        .skip(1)
        .flat_map(|rest| rest.split_once("\n```").unwrap().0.lines())
        .map(|line| line.split_once(" #").map_or(line, |(command, _)| command).trim())
        .collect();
    let makefile = read("Makefile");
    let mut replays = 0;
    for command in commands {
        let words: Vec<_> = command.split(' ').collect();
        match words[..] {
            ["make", target] => {
                assert!(makefile.lines().any(|line| line.starts_with(&format!("{target}:"))), "{command}");
            }
            ["raysweep", "replay", ..] => {
                let ran = raysweep().current_dir(root()).args(&words[1..]).output().unwrap();
                let said = String::from_utf8(ran.stdout).unwrap();
                assert!(ran.status.success() && said.contains("sweep"), "{command}: {said}");
                replays += 1;
            }
            ["raysweep", subcommand, ..] => {
                let help = raysweep().args([subcommand, "--help"]).output().unwrap();
                let help = String::from_utf8(help.stdout).unwrap();
                for flag in words.iter().filter(|word| word.starts_with("--")) {
                    assert!(help.contains(flag), "{command}: no {flag}");
                }
                assert!(help.contains("Usage:"), "{command}");
            }
            _ => {}
        }
    }
    assert_eq!(replays, 1);
}

/// What the responder's clock reads has to be there under the unit as it is shipped.
#[test]
fn the_shipped_unit_hides_nothing_that_the_clock_is_told_by() {
    let unit = read("deploy/raysweep.service");
    assert!(unit.lines().any(|line| line == "ProtectProc=invisible"));
    assert!(!unit.lines().any(|line| line.starts_with("ProcSubset=")), "{unit}");
}

/// `RestartPreventExitStatus` holds for the main process alone: whatever is asked before it and finds the
/// configuration wrong would be asked again and again.
#[test]
fn the_shipped_unit_leaves_it_to_the_responder_to_find_its_configuration_wrong() {
    let unit = read("deploy/raysweep.service");
    assert!(unit.lines().any(|line| line == "RestartPreventExitStatus=3"));
    assert!(!unit.lines().any(|line| line.starts_with("ExecStartPre=")), "{unit}");
}
