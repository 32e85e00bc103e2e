//! The cron lines of the script that raysweep replaces: found, shown, and taken over where that is asked.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{place::Place, wanted::Thing};
use crate::fleet::order::OldLine;

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
    let (lines, without) = split(&text);
    if lines.is_empty() {
        return None;
    }
    let shown = PathBuf::from(place.shown(file));
    let lines = lines.into_iter().map(|line| OldLine { file: shown.clone(), line: line.to_owned() });
    Some(Crontab {
        lines: lines.collect(),
        without: Thing::File {
            path: file.to_owned(),
            bytes: without.into_bytes(),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
        },
    })
}

/// The lines that start the script, and the text without them and without the old manual's heading.
fn split(text: &str) -> (Vec<&str>, String) {
    let starts_it = |line: &str| !line.trim_start().starts_with('#') && line.contains(SCRIPT);
    let all: Vec<&str> = text.split_inclusive('\n').collect();
    let mut old = vec![];
    let mut rest = String::with_capacity(text.len());
    for (at, line) in all.iter().enumerate() {
        let next_is_old = all.get(at + 1).is_some_and(|next| starts_it(next));
        if starts_it(line) {
            old.push(line.trim_end());
        } else if !(next_is_old && line.trim_end() == HEADING) {
            rest.push_str(line);
        }
    }
    (old, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the old manual has a person type it.
    const LINE: &str = "0 * * * * /home/wizardsofts/cleanup_ray_workers_smart.sh $(hostname -I | awk '{print $1}') >> /home/wizardsofts/logs/ray_cleanup.log 2>&1";

    #[test]
    fn the_old_line_goes_with_its_heading_and_nothing_else_does() {
        let text = format!("MAILTO=a\n# mine\n{HEADING}\n{LINE}\n5 * * * * other\n");
        let (lines, rest) = split(&text);
        assert_eq!(lines, [LINE]);
        assert_eq!(rest, "MAILTO=a\n# mine\n5 * * * * other\n");
    }

    #[test]
    fn a_line_that_is_switched_off_and_other_headings_stay() {
        for text in [format!("#{LINE}\n"), format!("{HEADING}\n# {LINE}\n1 * * * * x\n"), String::new()] {
            assert_eq!(split(&text), (vec![], text.clone()));
        }
        let text = format!("# mine\n{LINE}");
        assert_eq!(split(&text), (vec![LINE], "# mine\n".to_owned()));
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
