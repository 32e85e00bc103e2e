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
/// What our own program is called.
const SWEEPER: &str = "raysweep";
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
    Ok(flock_of(&locks, &id).map(|pid| {
        let (name, age) = (name_of(pid), age_secs(pid).unwrap_or(0));
        let age_secs = held_secs(&name, age, children_of(pid).filter_map(age_secs).max());
        Holder { pid, name, age_secs }
    }))
}

/// Whoever sweeps takes the lock and then starts the child that does the work; before, it may have waited for
/// as long as `jitter` says.
fn held_secs(name: &str, age_secs: u64, child_age_secs: Option<u64>) -> u64 {
    match child_age_secs {
        Some(child) if name == SWEEPER => child,
        _ => age_secs,
    }
}

fn children_of(parent: i32) -> impl Iterator<Item = i32> {
    numbers().filter(move |pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| parent_of(&stat) == Some(parent))
    })
}

/// The fourth field.
fn parent_of(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
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

/// Every node_exporter on the host's own network, and whether it reads a folder; it may be in a container.
pub(super) fn exporters(wanted: &Path) -> Vec<Exporter> {
    let is_exporter = |name: &str| name.starts_with("node_exporter") || name.starts_with("prometheus-node");
    let own_mounts = fs::read_link("/proc/self/ns/mnt").ok();
    processes("net")
        .filter(|(_, name)| is_exporter(name))
        .map(|(pid, _)| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let folders = textfile_dirs(&arguments);
            let has_own_mounts = fs::read_link(format!("/proc/{pid}/ns/mnt")).ok() != own_mounts;
            Exporter { pid, reads: reads(pid, &folders, wanted), folders, has_own_mounts }
        })
        .collect()
}

/// By what the folders are and not by their names: in a container they may have others.
fn reads(pid: i32, folders: &[PathBuf], wanted: &Path) -> Option<bool> {
    // Whoever was told of none may have been built with one.
    if folders.is_empty() {
        return None;
    }
    let is_it: Vec<_> = folders.iter().map(|folder| is_the_same(pid, folder, wanted)).collect();
    if is_it.contains(&Some(true)) {
        Some(true)
    } else {
        is_it.into_iter().collect::<Option<Vec<_>>>().map(|_| false)
    }
}

fn is_the_same(pid: i32, folder: &Path, wanted: &Path) -> Option<bool> {
    // One flag may stand for many folders.
    if folder.to_string_lossy().contains(['*', '?', '[']) {
        return None;
    }
    let seen = match folder.strip_prefix("/") {
        Ok(below_root) => Path::new("/proc").join(pid.to_string()).join("root").join(below_root),
        Err(_) => Path::new("/proc").join(pid.to_string()).join("cwd").join(folder),
    };
    let is_absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match (fs::metadata(seen), fs::metadata(wanted)) {
        (Ok(seen), Ok(wanted)) => Some((seen.dev(), seen.ino()) == (wanted.dev(), wanted.ino())),
        (Err(error), _) | (_, Err(error)) => is_absent(&error).then_some(false),
    }
}

/// The flag may be given several times.
fn textfile_dirs(arguments: &[u8]) -> Vec<PathBuf> {
    let arguments: Vec<_> =
        arguments.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument)).collect();
    let flags = arguments.iter().enumerate().filter_map(|(at, argument)| {
        let rest = argument.trim_start_matches('-').strip_prefix(&FOLDER[2..])?;
        match rest.strip_prefix('=') {
            Some(folder) => Some(folder.to_owned()),
            None if rest.is_empty() => Some(arguments.get(at + 1)?.to_string()),
            None => None,
        }
    });
    flags.filter(|folder| !folder.is_empty()).map(PathBuf::from).collect()
}

/// The processes in our own namespace of a kind, with their names.
fn processes(kind: &str) -> impl Iterator<Item = (i32, String)> {
    let own = fs::read_link(format!("/proc/self/ns/{kind}")).ok();
    numbers().filter_map(move |pid| {
        let namespace = fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok();
        (namespace.is_some() && namespace == own).then(|| (pid, name_of(pid)))
    })
}

fn numbers() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
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
    fn a_sweep_has_the_lock_since_it_began_and_not_since_it_waited_its_part_of_jitter() {
        assert_eq!(held_secs("raysweep", 635, Some(345)), 345);
        assert_eq!(held_secs("raysweep", 635, None), 635);
        assert_eq!(
            held_secs("flock", 635, Some(1)),
            635,
            "of whom it is not known what its children are for"
        );
        assert_eq!(parent_of("7 (a) b) S 4711 2 3"), Some(4711));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (pid, me) = (i32::try_from(child.id()).unwrap(), i32::try_from(std::process::id()).unwrap());
        assert!(children_of(me).any(|one| one == pid));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn node_exporters_folders_are_those_that_it_was_told() {
        let folders = |arguments: &str| textfile_dirs(arguments.replace(' ', "\0").as_bytes());
        assert_eq!(folders("x --collector.textfile.directory=/a y"), [Path::new("/a")]);
        assert_eq!(folders("x --collector.textfile.directory /a"), [Path::new("/a")]);
        let twice = "x -collector.textfile.directory=/a --collector.textfile.directory /b";
        assert_eq!(folders(twice), [Path::new("/a"), Path::new("/b")]);
        assert!(folders("x --web.listen-address=:9100 --collector.textfile.directory=").is_empty());
    }

    #[test]
    fn a_folder_is_told_by_what_it_is_and_not_by_its_name() {
        let me = i32::try_from(std::process::id()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (wanted, other) = (folder.path().join("wanted"), folder.path().join("other"));
        fs::create_dir(&wanted).unwrap();
        fs::create_dir(&other).unwrap();
        let alias = folder.path().join("alias");
        std::os::unix::fs::symlink("wanted", &alias).unwrap();
        let reads = |folders: &[&Path]| {
            let folders: Vec<_> = folders.iter().map(|folder| (*folder).to_owned()).collect();
            reads(me, &folders, &wanted)
        };
        assert_eq!(reads(&[&wanted]), Some(true));
        assert_eq!(reads(&[&alias]), Some(true));
        assert_eq!(reads(&[&other]), Some(false));
        assert_eq!(reads(&[&other, &wanted]), Some(true), "the second flag counts as well");
        assert_eq!(reads(&[&folder.path().join("none")]), Some(false));
        let glob = folder.path().join("*");
        assert_eq!(reads(&[&other, &glob]), None);
        assert_eq!(reads(&[&wanted, &glob]), Some(true));
        assert_eq!(reads(&[]), None);
    }
}
