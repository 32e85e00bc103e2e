//! The cron lines of the script that raysweep replaces: found, shown, taken over where that is asked, and
//! given back when raysweep goes.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{difference, place::Place, wanted::Thing};
use crate::fleet::{
    order::{Change, How, OldLine},
    sha256,
};

/// The name that the old manual gave the script, and its successors with it.
const SCRIPT: &str = "cleanup_ray_workers";
/// What the old manual put above the line.
const HEADING: &str = "# Ray worker /tmp cleanup - runs hourly";

/// Where cron keeps crontabs: Debian's users, other systems' users, and the system's own.
const FOLDERS: [&str; 3] = ["/var/spool/cron/crontabs", "/var/spool/cron", "/etc/cron.d"];
const SYSTEM: &str = "/etc/crontab";

/// A crontab that starts the old script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crontab {
    /// The lines that do.
    pub(super) lines: Vec<OldLine>,
    /// The same crontab without them.
    pub(super) without: Thing,
    /// What is missing there.
    pub(super) taken: Taken,
}

/// What was taken out of a crontab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Taken {
    /// The crontab, as the host calls it.
    file: PathBuf,
    /// Each line with its end, and which of the crontab's lines it was.
    lines: Vec<(usize, String)>,
    /// The digest of what was left.
    left_sha256: String,
}

/// Crontabs with their lines again.
#[derive(Debug, Default)]
pub(super) struct GivenBack {
    /// The crontabs.
    pub(super) crontabs: Vec<Thing>,
    /// How they change.
    pub(super) changes: Vec<Change>,
    /// What cannot be given back, and why.
    pub(super) notes: Vec<String>,
}

/// All of them. What cannot be read starts nothing that we know of.
pub(super) fn find(place: &Place) -> Vec<Crontab> {
    let mut files: Vec<PathBuf> = FOLDERS
        .iter()
        .filter_map(|folder| fs::read_dir(place.path(folder)).ok())
        .flat_map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())))
        .collect();
    files.sort();
    files.push(place.path(SYSTEM));
    files.iter().filter_map(|file| crontab(file, place)).collect()
}

fn crontab(file: &Path, place: &Place) -> Option<Crontab> {
    let metadata = fs::symlink_metadata(file).ok().filter(fs::Metadata::is_file)?;
    let text = fs::read_to_string(file).ok()?;
    let (taken, without) = split(&text);
    if taken.is_empty() {
        return None;
    }
    let shown = PathBuf::from(place.shown(file));
    let old = taken.iter().map(|(_, line)| line.trim_end()).filter(|line| starts_it(line));
    let lines = old.map(|line| OldLine { file: shown.clone(), line: line.to_owned() }).collect();
    let left_sha256 = sha256(without.as_bytes());
    Some(Crontab {
        lines,
        without: as_it_is(file, &metadata, without),
        taken: Taken { file: shown, lines: taken, left_sha256 },
    })
}

/// A crontab with another text, and whose it is now.
fn as_it_is(file: &Path, metadata: &fs::Metadata, text: String) -> Thing {
    let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
    Thing::File { path: file.to_owned(), bytes: text.into_bytes(), mode, uid, gid }
}

fn starts_it(line: &str) -> bool {
    !line.trim_start().starts_with('#') && line.contains(SCRIPT)
}

/// The lines that start the script with the old manual's heading above them, and the text without.
fn split(text: &str) -> (Vec<(usize, String)>, String) {
    let all: Vec<&str> = text.split_inclusive('\n').collect();
    let mut taken = vec![];
    let mut rest = String::with_capacity(text.len());
    for (at, line) in all.iter().enumerate() {
        let next_is_old = all.get(at + 1).is_some_and(|next| starts_it(next));
        if starts_it(line) || (next_is_old && line.trim_end() == HEADING) {
            taken.push((at, (*line).to_owned()));
        } else {
            rest.push_str(line);
        }
    }
    (taken, rest)
}

/// What is to be given back, the newest first: each crontab is then as it was when that was taken.
pub(super) fn give_back(taken: &[Taken], place: &Place) -> GivenBack {
    let mut given_back = GivenBack::default();
    let mut files: Vec<&Path> = taken.iter().map(|taken| taken.file.as_path()).collect();
    files.sort_unstable();
    files.dedup();
    for file in files {
        let path = place.path(file);
        let found = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file);
        let (Some(metadata), Ok(text)) = (found, fs::read_to_string(&path)) else {
            let file = file.display();
            given_back
                .notes
                .push(format!("the old script's line is not put back: there is no {file} any more"));
            continue;
        };
        let of_this_file = taken.iter().rev().filter(|taken| taken.file == file);
        let with = of_this_file.fold(text.clone(), |text, taken| with_lines(&text, taken));
        if with != text {
            let what = file.display().to_string();
            let diff = difference::between(&what, text.as_bytes(), with.as_bytes());
            given_back.notes.push(format!("the old script's line goes back into {what}"));
            given_back.changes.push(Change { what, how: How::Changed, diff });
            given_back.crontabs.push(as_it_is(&path, &metadata, with));
        }
    }
    given_back
}

/// Where nothing has changed since, as it was to the byte; else behind what stands there, less what stands
/// there already.
fn with_lines(text: &str, Taken { lines, left_sha256, .. }: &Taken) -> String {
    if sha256(text.as_bytes()) == *left_sha256 {
        let mut all: Vec<&str> = text.split_inclusive('\n').collect();
        for (at, line) in lines {
            all.insert((*at).min(all.len()), line);
        }
        return all.concat();
    }
    let mut with = text.to_owned();
    let is_there = |line: &str| text.lines().any(|there| there.trim_end() == line);
    for line in lines.iter().map(|(_, line)| line.trim_end()).filter(|line| !is_there(line)) {
        if !with.is_empty() && !with.ends_with('\n') {
            with.push('\n');
        }
        with.push_str(line);
        with.push('\n');
    }
    with
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the old manual has a person type it.
    const LINE: &str = "0 * * * * /home/wizardsofts/cleanup_ray_workers_smart.sh $(hostname -I | awk '{print $1}') >> /home/wizardsofts/logs/ray_cleanup.log 2>&1";

    #[test]
    fn the_old_line_goes_with_its_heading_and_nothing_else_does() {
        let text = format!("MAILTO=a\n# mine\n{HEADING}\n{LINE}\n5 * * * * other\n");
        let (taken, rest) = split(&text);
        assert_eq!(taken, [(2, format!("{HEADING}\n")), (3, format!("{LINE}\n"))]);
        assert_eq!(rest, "MAILTO=a\n# mine\n5 * * * * other\n");
    }

    #[test]
    fn a_line_that_is_switched_off_and_other_headings_stay() {
        for text in [format!("#{LINE}\n"), format!("{HEADING}\n# {LINE}\n1 * * * * x\n"), String::new()] {
            assert_eq!(split(&text), (vec![], text.clone()));
        }
        let text = format!("# mine\n{LINE}");
        assert_eq!(split(&text), (vec![(1, LINE.to_owned())], "# mine\n".to_owned()));
    }

    #[test]
    fn what_is_given_back_stands_where_it_stood() {
        for text in [
            format!("MAILTO=a\n{HEADING}\n{LINE}\n5 * * * * other\n"),
            format!("{LINE}\nlast without its end"),
            format!("# mine\n{LINE}"),
            format!("{LINE}\n"),
            format!("a\n{LINE}\n{LINE} b\nc\n{LINE}\n"),
        ] {
            let (lines, rest) = split(&text);
            let taken = Taken { file: "/a".into(), lines, left_sha256: sha256(rest.as_bytes()) };
            assert_eq!(with_lines(&rest, &taken), text);
            assert_eq!(with_lines(&text, &taken), text, "what is there already");
        }
    }

    #[test]
    fn in_a_crontab_that_has_changed_it_stands_at_the_end_and_once() {
        let (lines, _) = split(&format!("{HEADING}\n{LINE}\n"));
        let taken = Taken { file: "/a".into(), lines, left_sha256: sha256(b"") };
        assert_eq!(with_lines("new", &taken), format!("new\n{HEADING}\n{LINE}\n"));
        let there = format!("{HEADING}\n{LINE}\nnew\n");
        assert_eq!(with_lines(&there, &taken), there);
    }

    #[test]
    fn a_crontab_that_is_gone_gets_nothing_back() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::below(folder.path(), Path::new(""));
        let taken = Taken { file: "/jo".into(), lines: vec![(0, LINE.to_owned())], left_sha256: sha256(b"") };
        let given_back = give_back(&[taken], &place);
        assert!(given_back.crontabs.is_empty() && given_back.changes.is_empty());
        assert_eq!(given_back.notes, ["the old script's line is not put back: there is no /jo any more"]);
    }

    #[test]
    fn crontabs_of_users_and_of_the_system_are_looked_at_and_keep_mode_and_owner() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::below(folder.path(), Path::new(""));
        for folder in FOLDERS {
            fs::create_dir_all(place.path(folder)).unwrap();
        }
        let (jo, system) = (place.path("/var/spool/cron/crontabs/jo"), place.path(SYSTEM));
        fs::write(&jo, format!("{LINE}\n1 * * * * x\n")).unwrap();
        fs::set_permissions(&jo, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(&system, format!("{LINE}\n")).unwrap();
        fs::write(place.path("/etc/cron.d/other"), "1 * * * * root x\n").unwrap();
        let found = find(&place);
        let files: Vec<_> =
            found.iter().flat_map(|crontab| &crontab.lines).map(|line| line.file.to_str().unwrap()).collect();
        assert_eq!(files, ["/var/spool/cron/crontabs/jo", "/etc/crontab"]);
        let Thing::File { bytes, mode, .. } = &found[0].without else { panic!("{found:?}") };
        assert_eq!((bytes.as_slice(), *mode), (&b"1 * * * * x\n"[..], 0o600));
    }
}
