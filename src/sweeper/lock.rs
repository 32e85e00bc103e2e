//! One sweep at a time on a host, whoever started it.

use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::{FlockOperation, OFlags, flock};

/// Held while a sweep runs; the kernel releases it however the sweep ends.
///
/// It is a flock on the runtime folder itself, not on a file in it: a disk with no byte and no inode
/// left cannot stop a sweep from starting.
#[derive(Debug)]
pub(crate) struct Lock {
    _folder: File,
}

impl Lock {
    /// Takes the lock, making the folder where it is missing. `Ok(None)`: somebody else has it.
    pub(crate) fn take(folder: &Path) -> io::Result<Option<Self>> {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let folder = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(folder)?;
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _folder: folder })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_lock_is_taken_on_no_folder_that_a_symlink_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        std::os::unix::fs::symlink(folder.path(), &path).unwrap();
        assert!(Lock::take(&path).is_err());
    }
}
