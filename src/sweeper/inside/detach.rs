//! Taking an entry out of reach by its name, and giving the name back.
//!
//! A rename in place needs no space and no inode, so it works on a disk that is full to the last
//! byte. Whoever remembers the old name no longer finds it; whoever holds it open still does, which
//! is what the parent looks for between detaching and deleting.
//!
//! The name tells how far a sweep came: `.raysweep-<attempt>-<name>` is whole and may get its name
//! back; `.raysweep-<attempt>~<name>` is being deleted, so that whoever finds it after a kill finishes
//! instead of giving half a folder its name back.

use std::{
    ffi::{CStr, CString, OsStr},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{RenameFlags, renameat_with},
    io::Errno,
};

use super::{
    InsideError, Restored,
    enter::Root,
    folder::{self, as_path, error},
};
use crate::{domain::attempt::AttemptId, sweeper::FileId};

/// What the name of everything detached begins with.
pub(crate) const PREFIX: &str = ".raysweep-";
/// The length of a UUID with its hyphens.
const ATTEMPT: usize = 36;
/// What follows the attempt in the name of something whole.
const WHOLE: u8 = b'-';
/// What follows it once the delete has begun. As long as the other, so that there is always room.
const BEGUN: u8 = b'~';
/// The longest name on every file system that is taken.
const MOST_NAME: usize = 255;

/// The name that an attempt gives to what it detaches.
pub(super) fn detached_name(name: &CStr, attempt: AttemptId) -> Result<CString, InsideError> {
    let mut detached = format!("{PREFIX}{attempt}-").into_bytes();
    detached.extend_from_slice(name.to_bytes());
    if detached.len() > MOST_NAME {
        return Err(InsideError::NameTooLong);
    }
    CString::new(detached).map_err(|_| InsideError::System("a name holds no NUL".to_owned()))
}

/// The name that something had before an attempt, not necessarily this one, detached it.
pub(super) fn original_name(detached: &CStr) -> Option<CString> {
    let name = name_before(OsStr::from_bytes(detached.to_bytes()))?;
    CString::new(name.as_bytes()).ok()
}

/// `.raysweep-<attempt>-<name>` and `.raysweep-<attempt>~<name>` → `<name>`; `None` for every other name.
pub(crate) fn name_before(detached: &OsStr) -> Option<&OsStr> {
    parts(detached.as_bytes()).map(|(_, name)| OsStr::from_bytes(name))
}

/// Whether it is the name of something whose delete has begun.
pub(crate) fn is_begun(name: &OsStr) -> bool {
    parts(name.as_bytes()).is_some_and(|(stage, _)| stage == BEGUN)
}

/// How far a sweep came with what has this name, and the name that it had before.
fn parts(detached: &[u8]) -> Option<(u8, &[u8])> {
    let rest = detached.strip_prefix(PREFIX.as_bytes())?;
    let (attempt, rest) = rest.split_at_checked(ATTEMPT)?;
    let attempt = std::str::from_utf8(attempt).ok()?;
    let is_attempt = attempt.parse::<AttemptId>().is_ok_and(|id| id.to_string() == attempt);
    let (stage, name) = rest.split_first().filter(|(_, name)| !name.is_empty())?;
    (is_attempt && matches!(*stage, WHOLE | BEGUN)).then_some((*stage, name))
}

/// Marks something detached as being deleted and says what it is called now.
pub(super) fn begin(folder: &OwnedFd, detached: &CStr) -> Result<CString, InsideError> {
    let name = detached.to_bytes();
    match parts(name) {
        Some((BEGUN, _)) => Ok(detached.to_owned()),
        Some(_) => {
            let mut begun = name.to_vec();
            begun[PREFIX.len() + ATTEMPT] = BEGUN;
            let begun = CString::new(begun).map_err(|_| InsideError::NotFound)?;
            rename(folder, detached, &begun)?;
            Ok(begun)
        }
        None => Err(InsideError::System("only what is detached is deleted".to_owned())),
    }
}

/// Gives what could not be deleted its name back, unless something has taken it.
pub(super) fn give_up(folder: &OwnedFd, begun: &CStr) {
    if let Some(name) = original_name(begun) {
        let _ = rename(folder, begun, &name);
    }
}

/// Renames an entry in place, if it is still the one that was looked at.
pub(super) fn detach(
    root: &Root,
    path: &Path,
    id: FileId,
    attempt: AttemptId,
) -> Result<PathBuf, InsideError> {
    let (folder, name) = folder::descend_to_parent(&root.fd, path)?;
    if original_name(&name).is_some() {
        return Err(InsideError::System("it is detached already".to_owned()));
    }
    let detached = detached_name(&name, attempt)?;
    let facts = facts_if(&folder, &name, id)?;
    if facts.mounted || facts.is_folder() && facts.id.dev != folder::facts_of(&folder)?.id.dev {
        return Err(InsideError::System("something is mounted on it".to_owned()));
    }
    // Renaming an image's file would copy it up first: the disk would fill instead of empty.
    if root.layer.holds(path, &facts) {
        return Err(InsideError::System("it lies in an image layer".to_owned()));
    }
    rename(&folder, &name, &detached)?;
    match facts_if(&folder, &detached, id) {
        Ok(_) => Ok(path.with_file_name(as_path(&detached))),
        Err(failure) => {
            // Something else had taken the name in between; it gets its name back.
            rename(&folder, &detached, &name)?;
            Err(if failure == InsideError::NotFound { InsideError::Changed } else { failure })
        }
    }
}

/// What a name is, if it is the file that was looked at.
pub(super) fn facts_if(folder: impl AsFd, name: &CStr, id: FileId) -> Result<folder::Facts, InsideError> {
    match folder::facts(folder, name) {
        Ok(facts) if facts.id == id => Ok(facts),
        Ok(_) => Err(InsideError::Changed),
        Err(Errno::NOENT) => Err(InsideError::NotFound),
        Err(errno) => Err(error(&name.to_string_lossy(), errno)),
    }
}

fn rename(folder: &OwnedFd, from: &CStr, to: &CStr) -> Result<(), InsideError> {
    renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE).map_err(|errno| match errno {
        Errno::NOENT => InsideError::NotFound,
        Errno::NAMETOOLONG => InsideError::NameTooLong,
        errno => error(&from.to_string_lossy(), errno),
    })
}

/// Gives a detached entry its name back, never over something else.
pub(super) fn restore(root: impl AsFd, detached: &Path) -> Result<Restored, InsideError> {
    let (folder, detached) = folder::descend_to_parent(root, detached)?;
    if is_begun(OsStr::from_bytes(detached.to_bytes())) {
        return Err(InsideError::System("its delete has begun".to_owned()));
    }
    let name =
        original_name(&detached).ok_or_else(|| InsideError::System("no sweep has detached it".to_owned()))?;
    match renameat_with(&folder, &detached, &folder, &name, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(Restored::InPlace),
        Err(Errno::EXIST) => Ok(Restored::NameTaken),
        Err(Errno::NOENT) => Err(InsideError::NotFound),
        Err(errno) => Err(error(&detached.to_string_lossy(), errno)),
    }
}
