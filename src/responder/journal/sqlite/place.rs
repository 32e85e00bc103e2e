//! Where the journal lies: a folder and files that are the responder's own. What is in them is told to nobody
//! else, whoever started us and with whatever umask.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use tracing::warn;

use super::super::JournalError;

pub(super) const FILE: &str = "journal.db";
const LOCK: &str = "lock";
/// Beside the journal's file, while it is open: SQLite gives them that file's mode.
const BESIDE: [&str; 2] = ["journal.db-wal", "journal.db-shm"];

/// What others than the owner may do.
const OTHERS: u32 = 0o077;

/// Makes the folder and the files where they are missing, and takes the lock.
pub(super) fn take(folder: &Path) -> Result<File, JournalError> {
    let failed = |source| JournalError::Path { path: folder.to_owned(), source };
    make(folder).map_err(failed)?;
    let lock = folder.join(LOCK);
    let file = own(&lock).map_err(failed)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| JournalError::Locked(lock))?;
    // An empty file is a new journal to SQLite, which would make one that everybody may read.
    own(&folder.join(FILE)).map_err(failed)?;
    tell_open(folder);
    Ok(file)
}

/// How long the journal is, with what stands in its log alone.
pub(super) fn size(folder: &Path) -> u64 {
    let files = [FILE, BESIDE[0]].map(|name| fs::metadata(folder.join(name)));
    files.into_iter().flatten().map(|file| file.len()).sum()
}

fn make(folder: &Path) -> io::Result<()> {
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        // Another's making; what its mode is, is said below.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made,
    }
}

fn own(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// Says what is there and open to others. It is not changed: somebody may have meant it.
fn tell_open(folder: &Path) {
    for (path, mode) in open_to_others(folder) {
        let (path, mode) = (path.display(), format!("{mode:o}"));
        warn!(%path, mode, "others may look into the journal: chmod go= {path}, unless that is meant");
    }
}

fn open_to_others(folder: &Path) -> Vec<(PathBuf, u32)> {
    let files = [FILE, LOCK].into_iter().chain(BESIDE).map(|name| folder.join(name));
    let modes = [folder.to_owned()].into_iter().chain(files).filter_map(|path| {
        let mode = fs::metadata(&path).ok()?.mode() & 0o777;
        Some((path, mode))
    });
    modes.filter(|(_, mode)| mode & OTHERS != 0).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_the_owners_alone_and_what_is_wider_is_told_and_left() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("above/data");
        let lock = take(&made).unwrap();
        assert_eq!([&made, &made.join(FILE), &made.join(LOCK)].map(|path| mode(path)), [0o700, 0o600, 0o600]);
        assert_eq!(open_to_others(&made), []);
        drop(lock);
        for (path, wider) in [(made.clone(), 0o750), (made.join(FILE), 0o644)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(wider)).unwrap();
        }
        take(&made).unwrap();
        assert_eq!(open_to_others(&made), [(made.clone(), 0o750), (made.join(FILE), 0o644)]);
        // What is no folder is told as such.
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(matches!(take(&folder.path().join("file")), Err(JournalError::Path { .. })));
    }
}
