//! The shipped pipeline: what it names is there, and what it calls takes what it is called with.

use std::{collections::BTreeSet, fs, path::Path};

use yaml_rust2::{Yaml, YamlLoader};

use super::cli::raysweep;

/// What GitLab knows at the top of the file beside jobs, of what stands there.
const GLOBAL: [&str; 3] = ["stages", "default", "variables"];

/// What GitLab knows in a job, of what stands there.
const KEYWORDS: [&str; 14] = [
    "allow_failure",
    "artifacts",
    "before_script",
    "cache",
    "environment",
    "extends",
    "needs",
    "resource_group",
    "rules",
    "script",
    "stage",
    "tags",
    "timeout",
    "variables",
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn pipeline() -> Yaml {
    YamlLoader::load_from_str(&read("deploy/gitlab-ci.yml")).unwrap().remove(0)
}

fn keys(yaml: &Yaml) -> Vec<&str> {
    yaml.as_hash().unwrap().keys().map(|key| key.as_str().unwrap()).collect()
}

/// The names of all jobs, also of those that are only there to be extended.
fn jobs(pipeline: &Yaml) -> Vec<&str> {
    keys(pipeline).into_iter().filter(|name| !GLOBAL.contains(name)).collect()
}

/// What a job has under a key, by itself or from what it extends.
fn value<'a>(pipeline: &'a Yaml, job: &str, key: &str) -> &'a Yaml {
    let own = &pipeline[job][key];
    match pipeline[job]["extends"].as_str() {
        Some(extended) if own.is_badvalue() => value(pipeline, extended, key),
        _ => own,
    }
}

fn texts(yaml: &Yaml) -> Vec<&str> {
    yaml.as_vec().into_iter().flatten().map(|text| text.as_str().unwrap()).collect()
}

/// Under which conditions a job is there, and under all of which at once: none where it always is.
fn conditions<'a>(pipeline: &'a Yaml, job: &str) -> Vec<Vec<&'a str>> {
    let rules = value(pipeline, job, "rules").as_vec().into_iter().flatten();
    rules.map(|rule| rule["if"].as_str().into_iter().flat_map(|all| all.split(" && ")).collect()).collect()
}

/// All lines of all scripts.
fn lines(pipeline: &Yaml) -> Vec<&str> {
    let scripts = jobs(pipeline).into_iter().chain(["default"]);
    scripts
        .flat_map(|job| ["before_script", "script"].map(|key| &pipeline[job][key]))
        .flat_map(texts)
        .collect()
}

/// Whether our own command line takes these words, as a shell would hand them over.
fn is_taken(line: &str) -> bool {
    let line = line.replace('"', "").replace("$RAYSWEEP_ACCEPT", "--accept-host-key SHA256:x");
    raysweep().args(line.split(' ').skip(1)).arg("--help").output().unwrap().status.success()
}

#[test]
fn every_job_is_made_of_what_gitlab_knows_and_names_what_is_there() {
    let pipeline = pipeline();
    let stages = texts(&pipeline["stages"]);
    let jobs = jobs(&pipeline);
    for job in &jobs {
        for key in keys(&pipeline[*job]) {
            assert!(KEYWORDS.contains(&key), "{job}: {key}");
        }
        let extended = &pipeline[*job]["extends"];
        assert!(extended.is_badvalue() || jobs.contains(&extended.as_str().unwrap()), "{job}: {extended:?}");
        for needed in value(&pipeline, job, "needs").as_vec().into_iter().flatten() {
            assert!(jobs.contains(&needed.as_str().unwrap()), "{job}: {needed:?}");
        }
        if !job.starts_with('.') {
            assert!(stages.contains(&value(&pipeline, job, "stage").as_str().unwrap()), "{job}");
            assert!(!texts(value(&pipeline, job, "script")).is_empty(), "{job}");
        }
    }
    let used: BTreeSet<_> = jobs.iter().filter_map(|job| pipeline[*job]["stage"].as_str()).collect();
    assert_eq!(used, stages.into_iter().collect());
}

#[test]
fn hosts_are_changed_by_hand_only_in_an_environment_and_one_deploy_at_a_time() {
    let pipeline = pipeline();
    let mut environments = BTreeSet::new();
    for job in jobs(&pipeline).into_iter().filter(|job| !job.starts_with('.')) {
        let script = texts(value(&pipeline, job, "script"));
        let deploys =
            script.iter().any(|line| line.starts_with("raysweep deploy") && !line.contains("--check"));
        let manual = value(&pipeline, job, "rules").as_vec().into_iter().flatten();
        let manual: Vec<_> = manual.map(|rule| rule["when"].as_str() == Some("manual")).collect();
        assert_eq!(deploys, manual == [true], "{job}");
        assert_eq!(deploys, pipeline[job]["resource_group"].as_str().is_some(), "{job}");
        if deploys {
            environments.insert(pipeline[job]["environment"]["name"].as_str().unwrap());
        }
    }
    assert_eq!(environments.into_iter().collect::<Vec<_>>(), ["production", "staging"]);
}

#[test]
fn whoever_may_push_a_branch_has_not_the_login_of_the_environments() {
    let pipeline = pipeline();
    let mut logged_in = 0;
    for job in jobs(&pipeline).into_iter().filter(|job| !job.starts_with('.')) {
        let has_login =
            texts(value(&pipeline, job, "before_script")).iter().any(|line| line.contains("SSH_KEY"));
        let is_of_one = !value(&pipeline, job, "environment").is_badvalue();
        assert_eq!(has_login, is_of_one, "{job}: the login is an environment's own");
        if is_of_one {
            let conditions = conditions(&pipeline, job);
            assert!(!conditions.is_empty(), "{job}: it runs everywhere");
            for condition in conditions {
                assert!(condition.contains(&r#"$CI_COMMIT_REF_PROTECTED == "true""#), "{job}: {condition:?}");
            }
            logged_in += 1;
        }
    }
    assert_eq!(logged_in, 4, "a check and a deploy for each environment");
    let text = read("deploy/gitlab-ci.yml");
    let (head, _) = text.split_once("\nstages:").unwrap();
    assert!(
        head.contains("Protected"),
        "else a variable is given to each branch whatever its jobs say: {head}"
    );
}

#[test]
fn where_a_job_is_there_are_the_jobs_that_it_needs() {
    let pipeline = pipeline();
    for job in jobs(&pipeline).into_iter().filter(|job| !job.starts_with('.')) {
        for needed in texts(value(&pipeline, job, "needs")) {
            for needs in conditions(&pipeline, needed).concat() {
                for has in conditions(&pipeline, job) {
                    // A branch that is the default one is a branch.
                    let holds = has.iter().any(|has| has.starts_with(needs));
                    assert!(holds, "{job} is there without {needed} unless {needs}");
                }
            }
        }
    }
}

#[test]
fn a_check_that_finds_something_to_deploy_does_not_stand_in_the_deploys_way() {
    let pipeline = pipeline();
    let checks = |job: &str| {
        let script = texts(value(&pipeline, job, "script"));
        script.iter().any(|line| line.starts_with("raysweep deploy") && line.contains("--check"))
    };
    let mut needed = 0;
    for job in jobs(&pipeline) {
        let needs = texts(value(&pipeline, job, "needs"));
        for check in needs.into_iter().filter(|needed| checks(needed)) {
            let allowed = value(&pipeline, check, "allow_failure")["exit_codes"].as_vec().unwrap();
            let allowed: Vec<_> = allowed.iter().map(|code| code.as_i64().unwrap()).collect();
            assert_eq!(allowed, [10], "{check}: any other code is a failure");
            // Its code is the script's only where nothing comes after it.
            let last = texts(value(&pipeline, check, "script")).pop().unwrap();
            assert!(last.contains("--check"), "{check}: {last}");
            needed += 1;
        }
    }
    assert_eq!(needed, 2, "each environment's deploy needs its check");
    let help = String::from_utf8(raysweep().arg("--help").output().unwrap().stdout).unwrap();
    assert!(help.contains("10  differs: a check has found what would be changed"), "{help}");
}

#[test]
fn what_a_pipeline_asks_needs_none_of_the_responders_secrets() {
    let pipeline = pipeline();
    for line in lines(&pipeline) {
        assert!(!line.starts_with("raysweep check-config"), "it reads the responder's secret files: {line}");
    }
}

#[test]
fn our_own_commands_take_what_the_pipeline_calls_them_with() {
    let pipeline = pipeline();
    let commands: Vec<_> =
        lines(&pipeline).into_iter().filter(|line| line.starts_with("raysweep ")).collect();
    assert!(commands.len() >= 2, "{commands:?}");
    for command in commands {
        assert!(is_taken(command), "{command}");
    }
    assert!(!is_taken("raysweep deploy --all --chek"));
    assert!(!is_taken("raysweep redeploy --all"));
}

#[test]
fn the_steps_targets_and_scripts_of_the_pipeline_are_there() {
    let pipeline = pipeline();
    let (all, makefile) = (read("tests/all.sh"), read("Makefile"));
    let mut looked_at = 0;
    for line in lines(&pipeline) {
        let (steps, command) = match line.strip_prefix("STEPS=") {
            Some(rest) if rest.starts_with('"') => rest[1..].split_once("\" ").unwrap(),
            Some(rest) => rest.split_once(' ').unwrap(),
            None => ("", line),
        };
        for step in steps.split_whitespace() {
            assert!(all.contains(&format!("\nstep {step} ")), "{line}: {step}");
            looked_at += 1;
        }
        let first = command.split(' ').next().unwrap();
        if first.contains('/') {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(first).is_file(), "{line}");
            looked_at += 1;
        }
        if let Some(target) = command.strip_prefix("make ") {
            assert!(makefile.contains(&format!("\n{target}: ")), "{line}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 15, "only {looked_at} were found");
}
