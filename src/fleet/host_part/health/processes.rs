//! What /proc says of a host: who has a lock, whether cron and node_exporter run.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rustix::fs::{major, minor};

use crate::fleet::order::health::{Exporter, Holder};

/// `/proc/PID/stat` counts in these.
const TICKS_PER_SECOND: u64 = 100;
/// What node_exporter's argument begins with that names the textfile collector's folder.
const FOLDER: &str = "--collector.textfile.directory";

/// Whoever has the flock on a file or folder. Asked of the kernel, and not tried: whoever tries it has it.
pub(super) fn holder_of(path: &Path) -> io::Result<Option<Holder>> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let (dev, inode) = (metadata.dev(), metadata.ino());
    let id = format!("{:02x}:{:02x}:{inode}", major(dev), minor(dev));
    let locks = fs::read_to_string("/proc/locks")?;
    Ok(flock_of(&locks, &id).map(|pid| Holder {
        pid,
        name: name_of(pid),
        age_secs: age_secs(pid).unwrap_or(0),
    }))
}

/// `1: FLOCK  ADVISORY  WRITE 4711 00:18:1234 0 EOF`; one who waits has `->` behind the number.
fn flock_of(locks: &str, id: &str) -> Option<i32> {
    locks.lines().find_map(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        match words[..] {
            [_, "FLOCK", _, _, pid, locked, ..] if locked == id => pid.parse().ok(),
            _ => None,
        }
    })
}

fn name_of(pid: i32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim().is_empty() { "a process that is not seen here".to_owned() } else { name.trim().to_owned() }
}

fn age_secs(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let started = started_at(&stat)? / TICKS_PER_SECOND;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: u64 = uptime.split('.').next()?.parse().ok()?;
    Some(uptime.saturating_sub(started))
}

/// The 22nd field; the second one, in brackets, may hold anything.
fn started_at(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// When the host was started.
pub(super) fn booted_at() -> Option<Timestamp> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    Timestamp::from_second(seconds.trim().parse().ok()?).ok()
}

/// Whether a cron of the host's own runs: not one of a container.
pub(super) fn cron_runs() -> bool {
    processes("uts").any(|(_, name)| matches!(name.as_str(), "cron" | "crond" | "fcron" | "cronie"))
}

/// Every node_exporter on the host's own network; it may be in a container.
pub(super) fn exporters() -> Vec<Exporter> {
    let is_exporter = |name: &str| name.starts_with("node_exporter") || name.starts_with("prometheus-node");
    processes("net")
        .filter(|(_, name)| is_exporter(name))
        .map(|(pid, _)| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            Exporter { pid, textfile_dir: textfile_dir(&arguments) }
        })
        .collect()
}

fn textfile_dir(arguments: &[u8]) -> Option<PathBuf> {
    let arguments: Vec<_> =
        arguments.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument)).collect();
    let at =
        arguments.iter().position(|argument| argument.trim_start_matches('-').starts_with(&FOLDER[2..]))?;
    match arguments[at].split_once('=') {
        Some((_, folder)) => Some(folder.into()),
        None => Some(arguments.get(at + 1)?.as_ref().into()),
    }
}

/// The processes in our own namespace of a kind, with their names.
fn processes(kind: &str) -> impl Iterator<Item = (i32, String)> {
    let own = fs::read_link(format!("/proc/self/ns/{kind}")).ok();
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(move |entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let namespace = fs::read_link(entry.path().join("ns").join(kind)).ok();
        (namespace.is_some() && namespace == own).then(|| (pid, name_of(pid)))
    })
}

#[cfg(test)]
mod tests {
    use rustix::fs::{FlockOperation, flock};

    use super::*;

    #[test]
    fn the_kernel_says_who_has_a_lock_and_nobody_takes_it_for_that() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(holder_of(folder.path()).unwrap(), None);
        let file = fs::File::open(folder.path()).unwrap();
        flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        let holder = holder_of(folder.path()).unwrap().unwrap();
        assert_eq!(holder.pid, i32::try_from(std::process::id()).unwrap());
        assert!(holder.age_secs < 24 * 3600, "{holder:?}");
        assert_eq!(holder_of(&folder.path().join("none")).unwrap(), None);
    }

    #[test]
    fn whoever_waits_for_a_lock_does_not_have_it() {
        let locks = "1: FLOCK  ADVISORY  WRITE 7 00:18:12 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 8 00:18:12 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 9 00:18:13 0 EOF\n";
        assert_eq!(flock_of(locks, "00:18:12"), Some(7));
        assert_eq!(flock_of(locks, "00:18:13"), None);
        assert_eq!(started_at("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"), Some(4711));
    }

    #[test]
    fn node_exporters_folder_is_the_one_that_it_was_told() {
        let folder = |arguments: &str| textfile_dir(arguments.replace(' ', "\0").as_bytes());
        assert_eq!(folder("x --collector.textfile.directory=/a y"), Some("/a".into()));
        assert_eq!(folder("x --collector.textfile.directory /a"), Some("/a".into()));
        assert_eq!(folder("x --web.listen-address=:9100"), None);
    }
}
