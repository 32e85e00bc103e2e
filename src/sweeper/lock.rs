//! One sweep at a time on a host, whoever started it.

use std::{
    fs::{DirBuilder, File, Metadata},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::{FlockOperation, Mode, OFlags, fchmod, flock};

/// Held while a sweep runs; the kernel releases it however the sweep ends.
///
/// It is a flock on a folder, not on a file: a disk with no byte and no inode left cannot stop a sweep from
/// starting. The folder is root's alone: whoever can open one can lock it, for as long as they like.
#[derive(Debug)]
pub(crate) struct Lock {
    _folder: File,
}

impl Lock {
    /// Takes the lock, making the folder where it is missing. `Ok(None)`: somebody else has it.
    pub(crate) fn take(path: &Path) -> io::Result<Option<Self>> {
        for _ in 0..TRIES {
            let folder = Self::folder(path)?;
            match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if stands_at(path, &folder) => return Ok(Some(Self { _folder: folder })),
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::other(format!("{} is made anew all the time", path.display())))
    }

    fn folder(path: &Path) -> io::Result<File> {
        let above = path.parent().unwrap_or(Path::new("/"));
        // What stands in it is everybody's to read.
        DirBuilder::new().recursive(true).mode(0o755).create(above)?;
        let open = |path: &Path| {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
            File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)
        };
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // Root has put the runtime folder on a disk, and that has no room for one more folder.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return open(above),
            Err(error) => return Err(error),
        }
        let folder = open(path)?;
        if folder.metadata()?.mode() & 0o077 != 0 {
            fchmod(&folder, Mode::RWXU)?;
        }
        Ok(folder)
    }
}

/// The folder may be made anew between its opening and its lock.
const TRIES: u32 = 5;

/// Whether what was locked is what the next one would lock: an undeploy takes the folder away, whose lock it
/// has, and a deploy after it makes another one. Without one of its own, the folder above is it.
fn stands_at(path: &Path, locked: &File) -> bool {
    let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
    let locked = locked.metadata().map(id).ok();
    let standing = path.metadata().or_else(|_| path.parent().unwrap_or(path).metadata()).map(id).ok();
    locked.is_some() && locked == standing
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_that_was_made_anew_is_not_the_one_that_was_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/lock");
        let opened = Lock::folder(&path).unwrap();
        assert!(stands_at(&path, &opened));
        std::fs::rename(&path, folder.path().join("gone")).unwrap();
        assert!(!stands_at(&path, &opened), "nobody else would find it");
        let other = Lock::take(&path).unwrap();
        assert!(other.is_some() && !stands_at(&path, &opened));
        assert!(stands_at(&path, &File::open(&path).unwrap()));
    }

    #[test]
    fn a_second_taker_is_told_and_the_lock_ends_with_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let first = Lock::take(&path).unwrap();
        assert!(first.is_some());
        assert!(Lock::take(&path).unwrap().is_none());
        drop(first);
        assert!(Lock::take(&path).unwrap().is_some());
    }

    /// Whoever can open a folder can lock it, and every sweep would say `busy` for as long as they like.
    #[test]
    fn nobody_else_can_open_what_is_locked_whoever_has_made_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/lock");
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        drop(Lock::take(&path).unwrap());
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&folder.path().join("run")) & 0o700, 0o700);
        let wide = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, wide).unwrap();
        assert!(Lock::take(&path).unwrap().is_some());
        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn a_lock_is_taken_on_no_folder_that_a_symlink_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        std::os::unix::fs::symlink(folder.path(), &path).unwrap();
        assert!(Lock::take(&path).is_err());
    }
}
