//! One sweep at a time on a host, whoever started it.

use std::{
    fs::{DirBuilder, File},
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
    pub(crate) fn take(folder: &Path) -> io::Result<Option<Self>> {
        let folder = Self::folder(folder)?;
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _folder: folder })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

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
