//! Walking a tree to look at it.

use std::{ffi::CStr, path::PathBuf};

use rustix::{fd::OwnedFd, io::Errno};

use super::{
    InsideError,
    descent::Descent,
    ending,
    folder::{self, Entries, Facts},
};

/// What looks at every entry of a tree but its top.
pub(super) trait Visitor {
    /// One entry. `path` says where it is, relative to the top, and is only worked out when asked.
    fn entry(&mut self, facts: &Facts, name: &CStr, path: &dyn Fn() -> PathBuf);

    /// Something could not be looked at; what vanished meanwhile is not among it. An error ends the
    /// walk.
    fn unseen(&mut self, path: PathBuf, errno: Errno) -> Result<(), InsideError>;
}

/// Shows every entry under `top` to the visitor. A mount is shown and not entered.
pub(super) fn walk(top: OwnedFd, visitor: &mut impl Visitor) -> Result<(), InsideError> {
    let facts = folder::facts_of(&top).map_err(|errno| folder::error("the tree", errno))?;
    let mut walk =
        Walk { descent: Descent::new(top, facts.id, facts.bytes), entries: Entries::new(), visitor };
    walk.read_folder()?;
    loop {
        match walk.descent.pending().and_then(folder::Names::pop) {
            Some(name) => walk.enter(&name)?,
            None => match walk.descent.leave() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                // Without the way back up nothing above can be finished.
                Err(errno) => return Err(folder::error(&walk.descent.path().to_string_lossy(), errno)),
            },
        }
    }
}

struct Walk<'a, V> {
    descent: Descent,
    entries: Entries,
    visitor: &'a mut V,
}

impl<V: Visitor> Walk<'_, V> {
    fn enter(&mut self, name: &CStr) -> Result<(), InsideError> {
        match self.descent.folder().and_then(|here| {
            let fd = folder::open_folder(here, name)?;
            let facts = folder::facts_of(&fd)?;
            Ok((fd, facts))
        }) {
            Ok((fd, facts)) => {
                self.descent.enter(fd, facts.id, name.to_owned(), facts.bytes);
                self.read_folder()
            }
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => self.visitor.unseen(self.descent.path().join(folder::as_path(name)), errno),
        }
    }

    fn read_folder(&mut self) -> Result<(), InsideError> {
        let device = self.descent.device();
        let mut folders = folder::Names::default();
        let (descent, visitor) = (&self.descent, &mut *self.visitor);
        let read = descent.folder().map_err(Stop::from).and_then(|here| {
            self.entries.each(here, |name| {
                // Not seen is not gone: half a look must not pass for one.
                ending::check().map_err(|errno| Stop::Visitor(errno.into()))?;
                let path = || descent.path().join(folder::as_path(name));
                match folder::facts(here, name) {
                    Ok(mut facts) => {
                        // A btrfs subvolume is no mount and yet another device.
                        facts.mounted |= facts.is_folder() && Some(facts.id.dev) != device;
                        visitor.entry(&facts, name, &path);
                        if facts.is_folder() && !facts.mounted {
                            folders.push(name);
                        }
                    }
                    Err(Errno::NOENT) => {}
                    Err(errno) => visitor.unseen(path(), errno).map_err(Stop::Visitor)?,
                }
                Ok(())
            })
        });
        match read {
            // A folder that was removed while it was read has no more entries.
            Ok(()) | Err(Stop::System(Errno::NOENT)) => {}
            Err(Stop::System(errno)) => self.visitor.unseen(self.descent.path(), errno)?,
            Err(Stop::Visitor(error)) => return Err(error),
        }
        if let Some(pending) = self.descent.pending() {
            *pending = folders;
        }
        Ok(())
    }
}

/// Why the reading of a folder ended early.
enum Stop {
    System(Errno),
    Visitor(InsideError),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}
