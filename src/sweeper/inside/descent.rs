//! The way from the top of a tree down to where a walk stands, with a bounded number of open files.
//!
//! One descriptor a level ends at `RLIMIT_NOFILE`: 3,000 nested folders stop std and every walker like
//! it. So only the deepest levels stay open. A level that was closed is opened again by `..` from its
//! child, and must then be the folder that it was: if the child was moved meanwhile, the way is
//! walked again from the top.

use std::{ffi::CString, path::PathBuf};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::{Errno, Result},
};

use super::folder::{self, Names};
use crate::sweeper::FileId;

/// Open levels of one descent. With four threads it stays far below the usual 1024.
const OPEN_LEVELS: usize = 64;

/// One folder on the way.
#[derive(Debug)]
pub(super) struct Level {
    fd: Option<OwnedFd>,
    id: FileId,
    /// Its name in the level above.
    pub(super) name: CString,
    pub(super) bytes: u64,
    /// Folders in it that have not been visited yet.
    pub(super) pending: Names,
}

/// The levels from a top, which always stays open, to the present one, which is open as well.
#[derive(Debug)]
pub(super) struct Descent {
    levels: Vec<Level>,
    /// The first level under the top that may be open.
    open_from: usize,
}

impl Descent {
    pub(super) fn new(top: OwnedFd, id: FileId, bytes: u64) -> Self {
        let level = Level { fd: Some(top), id, name: CString::default(), bytes, pending: Names::default() };
        Self { levels: vec![level], open_from: 1 }
    }

    /// The folder where the walk stands.
    pub(super) fn folder(&self) -> Result<BorrowedFd<'_>> {
        self.levels.last().and_then(|level| level.fd.as_ref()).map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    /// The folders still to be visited where the walk stands.
    pub(super) fn pending(&mut self) -> Option<&mut Names> {
        self.levels.last_mut().map(|level| &mut level.pending)
    }

    pub(super) fn device(&self) -> Option<u64> {
        self.levels.first().map(|level| level.id.dev)
    }

    /// Goes one level down.
    pub(super) fn enter(&mut self, fd: OwnedFd, id: FileId, name: CString, bytes: u64) {
        self.levels.push(Level { fd: Some(fd), id, name, bytes, pending: Names::default() });
        if self.levels.len() - self.open_from > OPEN_LEVELS {
            self.levels[self.open_from].fd = None;
            self.open_from += 1;
        }
    }

    /// Goes one level up and says what was left; `None` at the top.
    pub(super) fn leave(&mut self) -> Result<Option<Level>> {
        if self.levels.len() < 2 {
            return Ok(None);
        }
        let Some(left) = self.levels.pop() else { return Ok(None) };
        let here = self.levels.len() - 1;
        if self.levels[here].fd.is_none() {
            let fd = self.reopen(left.fd.as_ref(), here)?;
            self.levels[here].fd = Some(fd);
            self.open_from = here;
        }
        Ok(Some(left))
    }

    fn reopen(&self, child: Option<&OwnedFd>, level: usize) -> Result<OwnedFd> {
        let id = self.levels[level].id;
        if let Some(Ok(fd)) = child.map(folder::open_parent)
            && folder::facts_of(&fd)?.id == id
        {
            return Ok(fd);
        }
        let mut fd = folder::open_folder(self.top()?, c".")?;
        for level in &self.levels[1..=level] {
            fd = folder::open_folder(&fd, &level.name)?;
            if folder::facts_of(&fd)?.id != level.id {
                return Err(Errno::STALE);
            }
        }
        Ok(fd)
    }

    fn top(&self) -> Result<BorrowedFd<'_>> {
        self.levels.first().and_then(|level| level.fd.as_ref()).map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    /// Where the walk stands, relative to the top.
    pub(super) fn path(&self) -> PathBuf {
        folder::join(self.levels.iter().skip(1).map(|level| level.name.as_c_str()))
    }
}
