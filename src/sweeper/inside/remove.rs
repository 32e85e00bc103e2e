//! The one place where anything is deleted.
//!
//! Every unlink names one component in a folder that is held open, so a path that somebody swaps for
//! a symlink in mid-run leads nowhere. Linux has no unlink by descriptor: a name that is swapped
//! between look and unlink takes another entry of the same folder with it, never one outside.
//!
//! Threads share the work by folder. Two threads in one flat folder wait for the same lock and are
//! slower than one. What a pass leaves because it appeared late, or because a folder was still being
//! emptied by another thread, the next pass takes, as long as passes get anything done.

use std::{
    collections::VecDeque,
    ffi::{CStr, CString},
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, unlinkat},
    io::Errno,
};

use super::{
    Deleted, InsideError, Kind,
    descent::Descent,
    detach::{begin, facts_if, give_up, original_name},
    ending,
    folder::{self, Entries, Facts, Names, as_path, reason},
};
use crate::sweeper::FileId;

/// More threads than cores gain nothing, and more than this were not measured.
const MOST_THREADS: usize = 4;
/// Passes over one tree. Only somebody who keeps adding to it needs more than three.
const MOST_PASSES: usize = 8;
const MOST_ERRORS: usize = 16;

/// Deletes a detached entry, which must still be `id`, as far as it gets by `until`: what has gone by
/// then is told, which a child that is killed cannot do.
pub(super) fn delete(
    root: impl AsFd,
    detached: &Path,
    id: FileId,
    until: Instant,
) -> Result<Deleted, InsideError> {
    let (parent, name) = folder::descend_to_parent(root, detached)?;
    if original_name(&name).is_none() {
        return Err(InsideError::System("only what is detached is deleted".to_owned()));
    }
    let facts = facts_if(&parent, &name, id)?;
    if facts.mounted {
        return Err(InsideError::System("something is mounted on it".to_owned()));
    }
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let name = begin(&parent, &name)?;
    let deleted = remove(&parent, &name, detached, &facts, threads, until);
    // What is whole and what cannot go is found under its own name again. What was only not finished
    // keeps the name by which the next sweep knows that.
    let is_whole = deleted.files == 0 && deleted.bytes == 0;
    let is_cut_short = ending::has_begun() || Instant::now() >= until;
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
    until: Instant,
) -> Deleted {
    let mut total = Deleted::default();
    let mut files_before = 0;
    for number in 0..MOST_PASSES {
        if Instant::now() >= until {
            total.errors.push(format!("{}: the deadline has come", path.display()));
            break;
        }
        let pass = if facts.kind == Kind::Folder {
            // What the threads left are folders that another one was still emptying. One thread
            // empties each before it removes it.
            pass(parent, name, path, facts.id, if number == 0 { threads } else { 1 }, until)
        } else {
            let work = Work::until(until);
            work.unlink(parent, name, facts, || path.to_owned());
            work.into_tally()
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

fn pass(parent: &OwnedFd, name: &CStr, path: &Path, id: FileId, threads: usize, until: Instant) -> Tally {
    let work = Work::until(until);
    match parent.try_clone() {
        Ok(parent) => {
            let job = Job { parent, name: name.to_owned(), path: path.to_owned(), id: Some(id) };
            work.state().jobs.push_back(job);
            thread::scope(|scope| {
                for _ in 1..threads {
                    scope.spawn(|| work.run(threads));
                }
                work.run(threads);
            });
        }
        Err(error) => work.failed(|| path.to_owned(), &error.to_string()),
    }
    work.into_tally()
}

/// A folder to be emptied and removed.
struct Job {
    parent: OwnedFd,
    name: CString,
    path: PathBuf,
    /// Which one it must be, where that was said.
    id: Option<FileId>,
}

/// What a pass has done so far.
#[derive(Default)]
struct Tally {
    deleted: Deleted,
    /// Everything that went, folders as well: a pass without any was the last one.
    entries: u64,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads that work on a job and may add more.
    active: usize,
}

/// The work that the threads share.
struct Work {
    state: Mutex<State>,
    changed: Condvar,
    tally: Mutex<Tally>,
    until: Instant,
}

impl Work {
    fn until(until: Instant) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), tally: Mutex::default(), until }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn into_tally(self) -> Tally {
        self.tally.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes jobs until there are none and nobody is left who could add one.
    fn run(&self, threads: usize) {
        let mut entries = Entries::new();
        while let Some(job) = self.take() {
            Removal { work: self, entries: &mut entries, threads, job: &job }.run();
            self.state().active -= 1;
            self.changed.notify_all();
        }
    }

    fn take(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if ending::has_begun() {
                state.jobs.clear();
            }
            if let Some(job) = state.jobs.pop_front() {
                state.active += 1;
                return Some(job);
            }
            if state.active == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether another thread would take a folder. The queue is as short as the threads are few, and
    /// so are the descriptors in it.
    fn is_hungry(&self, threads: usize) -> bool {
        threads > 1 && self.state().jobs.len() < threads
    }

    fn give(&self, job: Job) {
        self.state().jobs.push_back(job);
        self.changed.notify_one();
    }

    /// Unlinks what is no folder, and counts what that frees.
    fn unlink(&self, folder: impl AsFd, name: &CStr, facts: &Facts, path: impl FnOnce() -> PathBuf) {
        if facts.mounted {
            return self.failed(path, "something is mounted on it");
        }
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) => {
                let mut tally = self.tally();
                tally.entries += 1;
                tally.deleted.files += 1;
                // The other links still hold the space; the last one to go counts it.
                if facts.links < 2 {
                    tally.deleted.bytes = tally.deleted.bytes.saturating_add(facts.bytes);
                }
            }
            Err(Errno::NOENT) => {}
            Err(errno) => self.failed(path, &reason(errno)),
        }
    }

    /// Removes a folder that should be empty. One that is not may still be being emptied, or somebody
    /// added to it: the next pass will tell.
    fn rmdir(&self, parent: impl AsFd, name: &CStr, bytes: u64, path: impl FnOnce() -> PathBuf) {
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) => {
                let mut tally = self.tally();
                tally.entries += 1;
                tally.deleted.bytes = tally.deleted.bytes.saturating_add(bytes);
            }
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(errno) => self.failed(path, &reason(errno)),
        }
    }

    /// Notes what could not be removed. A path is only worked out for those that are listed.
    fn failed(&self, path: impl FnOnce() -> PathBuf, why: &str) {
        let errors = &mut self.tally().deleted.errors;
        if errors.len() < MOST_ERRORS {
            errors.push(format!("{}: {why}", path().display()));
        }
    }
}

/// One thread at one job.
struct Removal<'a> {
    work: &'a Work,
    entries: &'a mut Entries,
    threads: usize,
    job: &'a Job,
}

impl Removal<'_> {
    fn run(&mut self) {
        let job = self.job;
        let path = || job.path.clone();
        let Some((top, facts)) = self.open(&job.parent, &job.name, None, path) else { return };
        if job.id.is_some_and(|id| id != facts.id) {
            return self.work.failed(path, "it is not the folder that was looked at");
        }
        let mut descent = Descent::new(top, facts.id, facts.bytes);
        match self.empty(&mut descent) {
            Ok(()) => {
                drop(descent);
                self.work.rmdir(&job.parent, &job.name, facts.bytes, path);
            }
            // It was moved while it was emptied; what is left is found anew or is no longer in it.
            Err(errno) => self.work.failed(|| job.path.join(descent.path()), &reason(errno)),
        }
    }

    /// Empties the folder where the descent stands and everything under it.
    fn empty(&mut self, descent: &mut Descent) -> Result<(), Errno> {
        self.unlink_files(descent)?;
        loop {
            ending::check()?;
            match descent.pending().and_then(Names::pop) {
                Some(name) => self.enter(descent, name)?,
                None => match descent.leave()? {
                    Some(left) => {
                        let path = || self.path(descent, &left.name);
                        self.work.rmdir(descent.folder()?, &left.name, left.bytes, path);
                    }
                    None => return Ok(()),
                },
            }
        }
    }

    fn path(&self, descent: &Descent, name: &CStr) -> PathBuf {
        self.job.path.join(descent.path()).join(as_path(name))
    }

    /// Goes into a folder, or hands it to a thread that has nothing to do.
    fn enter(&mut self, descent: &mut Descent, name: CString) -> Result<(), Errno> {
        // The only folder is not handed on: a chain of them would be handed on level by level.
        let is_last = descent.pending().is_none_or(|pending| pending.is_empty());
        let here = descent.folder()?;
        if !is_last
            && self.work.is_hungry(self.threads)
            && let Ok(parent) = here.try_clone_to_owned()
        {
            let path = self.path(descent, &name);
            self.work.give(Job { parent, name, path, id: None });
            return Ok(());
        }
        if let Some((fd, facts)) = self.open(here, &name, descent.device(), || self.path(descent, &name)) {
            descent.enter(fd, facts.id, name, facts.bytes);
            self.unlink_files(descent)?;
        }
        Ok(())
    }

    fn open(
        &self,
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
            Ok(opened) => Some(opened),
            Err(Errno::NOENT) => None,
            Err(errno) => {
                self.work.failed(path, &reason(errno));
                None
            }
        }
    }

    /// Unlinks everything in the folder but its folders, whose names are kept for later.
    fn unlink_files(&mut self, descent: &mut Descent) -> Result<(), Errno> {
        // A folder without entries takes its time as well.
        if Instant::now() >= self.work.until {
            return Err(Errno::TIMEDOUT);
        }
        let mut folders = Names::default();
        let here = descent.folder()?;
        let (work, job) = (self.work, self.job);
        let base = || job.path.join(descent.path());
        let read = self.entries.each(here, |name| {
            ending::check()?;
            if Instant::now() >= work.until {
                return Err(Errno::TIMEDOUT);
            }
            match folder::facts(here, name) {
                Ok(facts) if facts.is_folder() => folders.push(name),
                Ok(facts) => work.unlink(here, name, &facts, || base().join(as_path(name))),
                Err(Errno::NOENT) => {}
                Err(errno) => work.failed(|| base().join(as_path(name)), &reason(errno)),
            }
            Ok::<_, Errno>(())
        });
        match read {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno @ (Errno::TIMEDOUT | Errno::CANCELED)) => return Err(errno),
            Err(errno) => work.failed(base, &reason(errno)),
        }
        if let Some(pending) = descent.pending() {
            *pending = folders;
        }
        Ok(())
    }
}
