//! The file tree that is worked on, and the locks over it.

use std::{
    fs::File,
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, OFlags, flock};

/// The folder that a sweep has locked while it runs.
pub(super) const SWEEPS: &str = "/run/raysweep/lock";

/// Where paths begin, and who root is there. In a test that is a folder, and whoever runs it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    root: PathBuf,
    /// The program that is put in place: the one that runs.
    pub(super) program: PathBuf,
    /// Who owns what is put in place.
    pub(super) uid: u32,
    /// The group of what is put in place.
    pub(super) gid: u32,
}

impl Place {
    /// This machine.
    pub(super) fn here() -> Self {
        Self { root: "/".into(), program: "/proc/self/exe".into(), uid: 0, gid: 0 }
    }

    #[cfg(test)]
    pub(super) fn below(root: &Path, program: &Path) -> Self {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Self { root: root.to_owned(), program: program.to_owned(), uid, gid }
    }

    /// An absolute path, in this tree.
    pub(super) fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.root.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }

    /// A path of this tree, as the host itself calls it.
    pub(super) fn shown(&self, path: &Path) -> String {
        Path::new("/").join(path.strip_prefix(&self.root).unwrap_or(path)).display().to_string()
    }

    /// The group that reads logs, where there is one.
    pub(super) fn log_group(&self) -> u32 {
        let groups = std::fs::read_to_string(self.path("/etc/group")).unwrap_or_default();
        let mut fields = groups.lines().map(|line| line.split(':'));
        let adm =
            fields.find_map(|mut fields| (fields.next()? == "adm").then(|| fields.nth(1)?.parse().ok())?);
        adm.unwrap_or(self.gid)
    }
}

/// Held while a host is worked on, or while no sweep may begin there; the kernel releases it however that
/// ends.
#[derive(Debug)]
pub(super) struct Lock {
    _folder: File,
}

impl Lock {
    /// Takes the lock, on a folder that every host has: nothing of it is left.
    pub(super) fn take(place: &Place) -> Result<Self, String> {
        let path = place.path("/var/lib");
        let folder = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::on(folder, &path, "another deploy is at work on this host")
    }

    /// Takes the sweeps' own lock, where there is one to take: as long as it is held no sweep begins.
    ///
    /// It is on their folder. Whoever takes that away from under a sweep has the next one lock a new folder
    /// of the same name, and sweep beside it.
    pub(super) fn over_sweeps(place: &Place) -> Result<Option<Self>, String> {
        let path = place.path(SWEEPS);
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let folder = match File::options().read(true).custom_flags(flags.bits().cast_signed()).open(&path) {
            Ok(folder) => folder,
            // No sweep locks what is no folder.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        Self::on(folder, &path, "a sweep is at work there: run it again").map(Some)
    }

    fn on(folder: File, path: &Path, taken: &str) -> Result<Self, String> {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _folder: folder }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(taken.to_owned()),
            Err(error) => Err(format!("{} cannot be locked: {error}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_deploys_do_not_work_on_one_host() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::below(folder.path(), Path::new(""));
        std::fs::create_dir_all(place.path("/var/lib")).unwrap();
        let first = Lock::take(&place).unwrap();
        assert_eq!(Lock::take(&place).unwrap_err(), "another deploy is at work on this host");
        drop(first);
        Lock::take(&place).unwrap();
    }

    #[test]
    fn the_logs_belong_to_the_group_that_reads_logs() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::below(folder.path(), Path::new(""));
        assert_eq!(place.log_group(), place.gid, "where there is none");
        std::fs::create_dir_all(place.path("/etc")).unwrap();
        std::fs::write(place.path("/etc/group"), "root:x:0:\nadm:x:4:syslog\nadmin:x:5:\n").unwrap();
        assert_eq!(place.log_group(), 4);
    }
}
