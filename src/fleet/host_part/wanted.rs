//! What lies on a host after `deploy`: the files of `deploy/` themselves, and what the inventory says.

use std::path::{Path, PathBuf};

use super::{PROGRAM, place::Place};
use crate::fleet::order::HostPart;

/// The account that the responder logs in as.
pub(super) const ACCOUNT: &str = "raysweep";
/// Its home, which is root's: whoever holds the key cannot give himself another one.
pub(super) const ACCOUNT_HOME: &str = "/var/lib/raysweep-account";
/// What the account may run as root.
pub(super) const SUDOERS: &str = "/etc/sudoers.d/raysweep";
/// The backstop.
pub(super) const CRON: &str = "/etc/cron.d/raysweep";
/// Root's settings.
pub(super) const SETTINGS: &str = "/etc/raysweep/sweep.yml";
/// The figures for node_exporter: never on a disk that may be full.
pub(super) const TEXTFILE: &str = "/run/raysweep/raysweep.prom";
/// What node_exporter's folder calls them.
pub(super) const LINK: &str = "raysweep.prom";
/// The log's rotation.
pub(super) const LOGROTATE: &str = "/etc/logrotate.d/raysweep";
/// The folder in /run after a boot.
pub(super) const TMPFILES: &str = "/etc/tmpfiles.d/raysweep.conf";

const CRON_FILE: &str = include_str!("../../../deploy/cron.d/raysweep");
const SUDOERS_FILE: &str = include_str!("../../../deploy/sudoers.d/raysweep");
const LOGROTATE_FILE: &str = include_str!("../../../deploy/logrotate.d/raysweep");
const TMPFILES_FILE: &str = include_str!("../../../deploy/tmpfiles.d/raysweep.conf");

/// What is rotated, as it is shipped.
const LOGS: &str = "\n/var/log/raysweep/sweeps.log /var/log/raysweep/sweeps.jsonl {";

/// What stands in the cron file before the sweep, as it is shipped.
const SCHEDULE: &str = "\n7 * * * * root ";

/// Something that is to lie somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Thing {
    /// A folder. One that stands stays as it is, unless others than root could change it.
    Folder { path: PathBuf, mode: u32, gid: u32 },
    /// A file, to the byte.
    File { path: PathBuf, bytes: Vec<u8>, mode: u32, uid: u32, gid: u32 },
    /// A symbolic link.
    Link { path: PathBuf, to: PathBuf },
}

impl Thing {
    /// Where it is to lie.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Folder { path, .. } | Self::File { path, .. } | Self::Link { path, .. } => path,
        }
    }
}

/// The settings.
pub(super) fn settings(part: &HostPart, place: &Place) -> Thing {
    let (path, bytes) = (place.path(SETTINGS), part.settings.clone().into_bytes());
    Thing::File { path, bytes, mode: 0o644, uid: place.uid, gid: place.gid }
}

/// Everything, in the order in which it is put in place: last what opens the host, sudo and then the key.
pub(super) fn things(part: &HostPart, program: Vec<u8>, place: &Place) -> Vec<Thing> {
    let folder = |path: &str, mode, gid| Thing::Folder { path: place.path(path), mode, gid };
    let file = |path: &str, bytes: Vec<u8>, mode| Thing::File {
        path: place.path(path),
        bytes,
        mode,
        uid: place.uid,
        gid: place.gid,
    };
    let mut things = vec![
        folder("/etc/raysweep", 0o755, place.gid),
        folder("/run/raysweep", 0o755, place.gid),
        folder("/run/raysweep/lock", 0o700, place.gid),
        folder("/var/log/raysweep", 0o750, place.log_group()),
        file(PROGRAM, program, 0o755),
        settings(part, place),
    ];
    for (path, content) in [(TMPFILES, TMPFILES_FILE.to_owned()), (LOGROTATE, logrotate(&part.log_dir))] {
        if Path::new(path).parent().is_some_and(|folder| place.path(folder).is_dir()) {
            things.push(file(path, content.into_bytes(), 0o644));
        }
    }
    let textfile_dir = place.path(&part.textfile_dir);
    if textfile_dir.is_dir() {
        things.push(Thing::Link { path: textfile_dir.join(LINK), to: TEXTFILE.into() });
    }
    let keys = format!("{ACCOUNT_HOME}/.ssh");
    things.extend([
        file(CRON, cron(&part.schedule).into_bytes(), 0o644),
        file(SUDOERS, SUDOERS_FILE.into(), 0o440),
        folder(ACCOUNT_HOME, 0o755, place.gid),
        folder(&keys, 0o755, place.gid),
        file(&format!("{keys}/authorized_keys"), authorized_key(part).into_bytes(), 0o644),
    ]);
    things
}

fn cron(schedule: &str) -> String {
    CRON_FILE.replacen(SCHEDULE, &format!("\n{schedule} root "), 1)
}

/// Of another folder only what is ours: it may be shared.
fn logrotate(log_dir: &Path) -> String {
    let folder = log_dir.display();
    LOGROTATE_FILE.replacen(LOGS, &format!("\n{folder}/sweeps.log {folder}/sweeps.jsonl {{"), 1)
}

/// `restrict` takes away terminal, forwarding and the account's own rc file.
fn authorized_key(part: &HostPart) -> String {
    let HostPart { from, public_key, .. } = part;
    format!("restrict,from=\"{}\",command=\"{PROGRAM} gate\" {public_key}\n", from.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_of_the_inventory_stands_in_the_cron_file_and_nothing_else_is_another() {
        assert_eq!(cron("7 * * * *"), CRON_FILE);
        let changed = cron("*/30 2 * * 1-5");
        let differing: Vec<_> =
            changed.lines().zip(CRON_FILE.lines()).filter(|(new, old)| new != old).collect();
        assert_eq!(differing.len(), 1);
        assert!(differing[0].0.starts_with("*/30 2 * * 1-5 root nice raysweep sweep "), "{differing:?}");
        assert!(cron("@daily").contains("\n@daily root nice raysweep sweep "));
    }

    #[test]
    fn what_is_rotated_is_what_the_settings_of_the_inventory_have_written() {
        assert_eq!(logrotate(&crate::config::sweep::SweepSettings::default().log_dir), LOGROTATE_FILE);
        let changed = logrotate(Path::new("/data/raysweep"));
        let differing: Vec<_> =
            changed.lines().zip(LOGROTATE_FILE.lines()).filter(|(new, old)| new != old).collect();
        assert_eq!(differing.len(), 1);
        assert_eq!(differing[0].0, "/data/raysweep/sweeps.log /data/raysweep/sweeps.jsonl {");
    }

    #[test]
    fn the_key_is_the_example_with_the_inventorys_words() {
        let example = include_str!("../../../deploy/authorized_keys.example");
        let line = example.lines().find(|line| !line.starts_with('#')).unwrap();
        let part = HostPart {
            settings: String::new(),
            public_key: line[line.find("ssh-ed25519").unwrap()..].to_owned(),
            from: vec!["192.0.2.10".to_owned()],
            schedule: String::new(),
            log_dir: PathBuf::new(),
            textfile_dir: PathBuf::new(),
            socket: None,
            replace_old_cron: false,
            overwrite_settings: false,
        };
        assert_eq!(authorized_key(&part), format!("{line}\n"));
    }
}
