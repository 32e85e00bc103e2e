//! The one place where anything is deleted.
//!
//! Every unlink names one component in a folder that is held open, so a path that somebody swaps for
//! a symlink in mid-run leads nowhere. Linux has no unlink by descriptor: a name that is swapped
//! between look and unlink takes another entry of the same folder with it, never one outside.
//!
//! What a pass leaves because it appeared late, or because a folder was still being emptied by another
//! thread, the next pass takes, as long as passes get anything done.

use std::{
    ffi::{CStr, CString},
    path::{Path, PathBuf},
    time::Instant,
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, unlinkat},
    io::Errno,
};

use super::{
    Deleted, InsideError, Kind,
    crew::{self, Job, Member, Part, Shift},
    descent::Descent,
    detach::{begin, facts_if, give_up, original_name},
    ending,
    folder::{self, Entries, Facts, Names, as_path, reason},
};
use crate::sweeper::FileId;

/// Passes over one tree. Only somebody who keeps adding to it needs more than three.
const MOST_PASSES: usize = 8;
const MOST_ERRORS: usize = 16;
/// So many entries are removed between two looks at the clock.
const ENTRIES_A_CLOCK: usize = 64;

/// What a delete keeps to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// It gets as far as it gets by then: what has gone is told, which a child that is killed cannot do.
    pub(super) until: Instant,
    /// Only what belongs to this user goes. The name of what is being deleted tells everybody where to move
    /// what they could not delete themselves.
    pub(super) owner: Option<u32>,
}

impl Terms {
    fn are_over(self) -> bool {
        Instant::now() >= self.until
    }

    fn spare(self, facts: &Facts) -> bool {
        self.owner.is_some_and(|owner| owner != facts.owner)
    }
}

/// Why something of another user's stays.
const ANOTHERS: &str = "it belongs to another user";

/// Deletes a detached entry, which must still be `id`.
pub(super) fn delete(
    root: impl AsFd,
    detached: &Path,
    id: FileId,
    terms: Terms,
) -> Result<Deleted, InsideError> {
    let (parent, name) = folder::descend_to_parent(root, detached)?;
    if original_name(&name).is_none() {
        return Err(InsideError::System("only what is detached is deleted".to_owned()));
    }
    let facts = facts_if(&parent, &name, id)?;
    if facts.mounted {
        return Err(InsideError::System("something is mounted on it".to_owned()));
    }
    if terms.spare(&facts) {
        return Err(InsideError::System(ANOTHERS.to_owned()));
    }
    let name = begin(&parent, &name)?;
    let deleted = remove(&parent, &name, detached, &facts, crew::threads(), terms);
    // What is whole and what cannot go is found under its own name again. What was only not finished
    // keeps the name by which the next sweep knows that.
    let is_whole = deleted.files == 0 && deleted.bytes == 0;
    let is_cut_short = ending::has_begun() || terms.are_over();
    if !deleted.complete && (is_whole || !is_cut_short) {
        give_up(&parent, &name);
    }
    Ok(deleted)
}

/// Removes an entry and whatever is in it, in passes.
fn remove(
    parent: &OwnedFd,
    name: &CStr,
    path: &Path,
    facts: &Facts,
    threads: usize,
    terms: Terms,
) -> Deleted {
    let mut total = Deleted::default();
    let mut files_before = 0;
    for number in 0..MOST_PASSES {
        if terms.are_over() {
            total.errors.push(format!("{}: the deadline has come", path.display()));
            break;
        }
        let pass = if facts.kind == Kind::Folder {
            // What the threads left are folders that another one was still emptying. One thread
            // empties each before it removes it.
            pass(parent, name, path, facts.id, if number == 0 { threads } else { 1 }, terms)
        } else {
            let mut tally = Tally::default();
            tally.unlink(parent, name, facts, || path.to_owned());
            tally
        };
        total.bytes = total.bytes.saturating_add(pass.deleted.bytes);
        total.files += pass.deleted.files;
        total.errors = pass.deleted.errors;
        total.complete = matches!(facts_if(parent, name, facts.id), Err(InsideError::NotFound));
        // Whoever fills it faster than it empties would keep us here for ever.
        let outrun = number > 0 && pass.deleted.files >= files_before.max(1);
        if total.complete || pass.entries == 0 || outrun || ending::has_begun() {
            break;
        }
        files_before = pass.deleted.files;
    }
    if total.complete {
        total.errors.clear();
    } else if total.errors.is_empty() {
        total.errors.push(format!("{}: something keeps appearing in it", path.display()));
    }
    total
}

fn pass(parent: &OwnedFd, name: &CStr, path: &Path, id: FileId, threads: usize, terms: Terms) -> Tally {
    let hire = || Remover { tally: Tally::default(), entries: Entries::new(), terms };
    match parent.try_clone() {
        Ok(parent) => {
            let part = Part::Folder { name: name.to_owned(), id: Some(id) };
            let job = Job { folder: parent, part, path: path.to_owned() };
            let removers = crew::share(job, threads, &hire);
            removers.into_iter().fold(Tally::default(), |tally, remover| tally.with(remover.tally))
        }
        Err(error) => {
            let mut tally = Tally::default();
            tally.failed(|| path.to_owned(), &error.to_string());
            tally
        }
    }
}

/// What a thread of a pass has done so far.
#[derive(Default)]
struct Tally {
    deleted: Deleted,
    /// Everything that went, folders as well: a pass without any was the last one.
    entries: u64,
}

impl Tally {
    fn with(mut self, other: Self) -> Self {
        self.entries += other.entries;
        self.deleted.files += other.deleted.files;
        self.deleted.bytes = self.deleted.bytes.saturating_add(other.deleted.bytes);
        self.deleted.errors.extend(other.deleted.errors);
        self.deleted.errors.truncate(MOST_ERRORS);
        self
    }

    /// Unlinks what is no folder, and counts what that frees.
    fn unlink(&mut self, folder: impl AsFd, name: &CStr, facts: &Facts, path: impl FnOnce() -> PathBuf) {
        if facts.mounted {
            return self.failed(path, "something is mounted on it");
        }
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) => {
                self.entries += 1;
                self.deleted.files += 1;
                // The other links still hold the space; the last one to go counts it.
                if facts.links < 2 {
                    self.deleted.bytes = self.deleted.bytes.saturating_add(facts.bytes);
                }
            }
            Err(Errno::NOENT) => {}
            Err(errno) => self.failed(path, &reason(errno)),
        }
    }

    /// Removes a folder that should be empty. One that is not may still be being emptied, or somebody
    /// added to it: the next pass will tell.
    fn rmdir(&mut self, parent: impl AsFd, name: &CStr, bytes: u64, path: impl FnOnce() -> PathBuf) {
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) => {
                self.entries += 1;
                self.deleted.bytes = self.deleted.bytes.saturating_add(bytes);
            }
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(errno) => self.failed(path, &reason(errno)),
        }
    }

    /// Notes what could not be removed. A path is only worked out for those that are listed.
    fn failed(&mut self, path: impl FnOnce() -> PathBuf, why: &str) {
        if self.deleted.errors.len() < MOST_ERRORS {
            self.deleted.errors.push(format!("{}: {why}", path().display()));
        }
    }
}

/// One thread of a pass.
struct Remover {
    tally: Tally,
    entries: Entries,
    terms: Terms,
}

impl Member for Remover {
    fn work(&mut self, job: Job, shift: &dyn Shift) {
        Removal { remover: self, shift, job: &job }.run();
    }
}

/// One thread at one job.
struct Removal<'a> {
    remover: &'a mut Remover,
    shift: &'a dyn Shift,
    job: &'a Job,
}

impl Removal<'_> {
    fn run(&mut self) {
        let job = self.job;
        match &job.part {
            Part::Folder { name, id } => self.remove(name, *id),
            Part::Entries(names) => {
                let Some((folder, facts)) = self.open(&job.folder, c".", None, || job.path.clone()) else {
                    return;
                };
                let mut descent = Descent::new(folder, facts.id, facts.bytes);
                let emptied = self.unlink_these(&mut descent, names).and_then(|()| self.go_on(&mut descent));
                self.tell(&descent, emptied);
            }
        }
    }

    /// A folder with all that is in it.
    fn remove(&mut self, name: &CStr, id: Option<FileId>) {
        let job = self.job;
        let path = || job.path.clone();
        let Some((top, facts)) = self.open(&job.folder, name, None, path) else { return };
        if id.is_some_and(|id| id != facts.id) {
            return self.remover.tally.failed(path, "it is not the folder that was looked at");
        }
        let mut descent = Descent::new(top, facts.id, facts.bytes);
        let emptied = self.unlink_files(&mut descent).and_then(|()| self.go_on(&mut descent));
        let is_empty = emptied.is_ok();
        self.tell(&descent, emptied);
        drop(descent);
        if is_empty {
            self.remover.tally.rmdir(&job.folder, name, facts.bytes, path);
        }
    }

    /// It was moved while it was emptied; what is left is found anew or is no longer in it.
    fn tell(&mut self, descent: &Descent, emptied: Result<(), Errno>) {
        if let Err(errno) = emptied {
            self.remover.tally.failed(|| self.job.path.join(descent.path()), &reason(errno));
        }
    }

    /// Removes the folders in the folder where the descent stands, with everything in them.
    fn go_on(&mut self, descent: &mut Descent) -> Result<(), Errno> {
        loop {
            ending::check()?;
            match descent.pending().and_then(Names::pop) {
                Some(name) => self.enter(descent, name)?,
                None => match descent.leave()? {
                    Some(left) => {
                        let path = || path_of(self.job, descent, &left.name);
                        self.remover.tally.rmdir(descent.folder()?, &left.name, left.bytes, path);
                    }
                    None => return Ok(()),
                },
            }
        }
    }

    /// Goes into a folder, or hands it to a thread that has nothing to do.
    fn enter(&mut self, descent: &mut Descent, name: CString) -> Result<(), Errno> {
        // The only folder is not handed on: a chain of them would be handed on level by level.
        let is_last = descent.pending().is_none_or(|pending| pending.is_empty());
        let here = descent.folder()?;
        if !is_last
            && self.shift.is_hungry(self.remover.tally.entries)
            && let Ok(folder) = here.try_clone_to_owned()
        {
            let path = path_of(self.job, descent, &name);
            self.shift.give(Job { folder, part: Part::Folder { name, id: None }, path });
            return Ok(());
        }
        let job = self.job;
        if let Some((fd, facts)) = self.open(here, &name, descent.device(), || path_of(job, descent, &name)) {
            descent.enter(fd, facts.id, name, facts.bytes);
            self.unlink_files(descent)?;
        }
        Ok(())
    }

    fn open(
        &mut self,
        parent: impl AsFd,
        name: &CStr,
        device: Option<u64>,
        path: impl FnOnce() -> PathBuf,
    ) -> Option<(OwnedFd, Facts)> {
        let parent = parent.as_fd();
        let opened = folder::open_folder(parent, name).and_then(|fd| {
            let facts = folder::facts_of(&fd)?;
            // A btrfs subvolume is no mount and yet another device: not ours to remove.
            let device = device.map_or_else(|| folder::facts_of(parent).map(|facts| facts.id.dev), Ok)?;
            if facts.mounted || facts.id.dev != device { Err(Errno::XDEV) } else { Ok((fd, facts)) }
        });
        match opened {
            Ok((_, facts)) if self.remover.terms.spare(&facts) => {
                self.remover.tally.failed(path, ANOTHERS);
                None
            }
            Ok(opened) => Some(opened),
            Err(Errno::NOENT) => None,
            Err(errno) => {
                self.remover.tally.failed(path, &reason(errno));
                None
            }
        }
    }

    /// Unlinks everything in the folder but its folders, whose names are kept for later. Parts of a large
    /// folder are handed on.
    fn unlink_files(&mut self, descent: &mut Descent) -> Result<(), Errno> {
        let Remover { tally, entries, terms } = &mut *self.remover;
        // A folder without entries takes its time as well.
        if terms.are_over() {
            return Err(Errno::TIMEDOUT);
        }
        let here = descent.folder()?;
        let (job, shift) = (self.job, self.shift);
        let mut work = Unlinking { tally, terms: *terms, seen: 0, here, folders: Names::default() };
        let read = entries.blocks(here, |block| {
            if block.is_full()
                && shift.is_hungry(work.tally.entries)
                && let Ok(folder) = here.try_clone_to_owned()
            {
                let path = job.path.join(descent.path());
                shift.give(Job { folder, part: Part::Entries(block.to_names()), path });
                return Ok(());
            }
            block.names().try_for_each(|name| work.unlink(name, || path_of(job, descent, name)))
        });
        let folders = work.folders;
        self.unlinked(descent, read, folders)
    }

    /// As [`Self::unlink_files`], with the names of the entries known.
    fn unlink_these(&mut self, descent: &mut Descent, names: &Names) -> Result<(), Errno> {
        let Remover { tally, terms, .. } = &mut *self.remover;
        let here = descent.folder()?;
        let job = self.job;
        let mut work = Unlinking { tally, terms: *terms, seen: 0, here, folders: Names::default() };
        let read = names.iter().try_for_each(|name| work.unlink(name, || path_of(job, descent, name)));
        let folders = work.folders;
        self.unlinked(descent, read, folders)
    }

    fn unlinked(
        &mut self,
        descent: &mut Descent,
        read: Result<(), Errno>,
        folders: Names,
    ) -> Result<(), Errno> {
        match read {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno @ (Errno::TIMEDOUT | Errno::CANCELED)) => return Err(errno),
            Err(errno) => {
                self.remover.tally.failed(|| self.job.path.join(descent.path()), &reason(errno));
            }
        }
        if let Some(pending) = descent.pending() {
            *pending = folders;
        }
        Ok(())
    }
}

/// One thread at the entries of one folder.
struct Unlinking<'a> {
    tally: &'a mut Tally,
    terms: Terms,
    seen: usize,
    here: BorrowedFd<'a>,
    /// Folders among the entries.
    folders: Names,
}

impl Unlinking<'_> {
    /// An error ends the reading of the folder.
    fn unlink(&mut self, name: &CStr, path: impl FnOnce() -> PathBuf) -> Result<(), Errno> {
        ending::check()?;
        self.seen += 1;
        // The clock costs as much as a look.
        if self.seen.is_multiple_of(ENTRIES_A_CLOCK) && self.terms.are_over() {
            return Err(Errno::TIMEDOUT);
        }
        match folder::facts(self.here, name) {
            Ok(facts) if self.terms.spare(&facts) => self.tally.failed(path, ANOTHERS),
            Ok(facts) if facts.is_folder() => self.folders.push(name),
            Ok(facts) => self.tally.unlink(self.here, name, &facts, path),
            Err(Errno::NOENT) => {}
            Err(errno) => self.tally.failed(path, &reason(errno)),
        }
        Ok(())
    }
}

fn path_of(job: &Job, descent: &Descent, name: &CStr) -> PathBuf {
    job.path.join(descent.path()).join(as_path(name))
}
