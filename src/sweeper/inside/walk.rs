//! Walking a tree to look at it.

use std::{ffi::CStr, path::PathBuf, time::Instant};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
};

use super::{
    InsideError,
    crew::{self, Job, Member, Part, Shift},
    descent::Descent,
    ending,
    folder::{self, Entries, Facts, Names},
};

/// What looks at every entry of a tree but its top. Several look at one tree at a time, each at folders
/// of its own.
pub(super) trait Visitor: Send + Sync {
    /// One entry. `path` says where it is, relative to the top, and is only worked out when asked.
    fn entry(&mut self, facts: &Facts, name: &CStr, path: &dyn Fn() -> PathBuf);

    /// Something could not be looked at; what vanished meanwhile is not among it. An error ends the
    /// walk.
    fn unseen(&mut self, path: PathBuf, errno: Errno) -> Result<(), InsideError>;

    /// Another one for the same tree, which has seen nothing yet.
    fn another(&self) -> Self;

    /// Takes over what another one has seen.
    fn join(&mut self, other: Self);
}

/// Shows every entry under `top` to the visitor. A mount is shown and not entered. After an error the visitor
/// has seen a part of them.
pub(super) fn walk<V: Visitor>(top: OwnedFd, visitor: &mut V, until: Instant) -> Result<(), InsideError> {
    let part = Part::Folder { name: c".".to_owned(), id: None };
    let job = Job { folder: top, part, path: PathBuf::new() };
    let empty = &*visitor;
    let sight = || Sight { visitor: empty.another(), seen: 0, until };
    let hire = || Walker { sight: sight(), entries: Entries::new(), ended: Ok(()) };
    let walkers = crew::share(job, crew::threads(), &hire);
    // Not seen is not gone: half a look must not pass for one, and one that was told to end left some.
    ending::check()?;
    let mut ended = Ok(());
    for walker in walkers {
        ended = ended.and(walker.ended);
        visitor.join(walker.sight.visitor);
    }
    ended
}

/// One thread of a walk.
struct Walker<V> {
    sight: Sight<V>,
    entries: Entries,
    ended: Result<(), InsideError>,
}

/// What one thread has seen.
struct Sight<V> {
    visitor: V,
    /// Entries so far.
    seen: u64,
    /// Nothing is looked at after it.
    until: Instant,
}

impl<V: Visitor> Member for Walker<V> {
    fn work(&mut self, job: Job, shift: &dyn Shift) {
        if self.ended.is_ok() {
            self.ended = self.part(&job, shift);
        }
        if self.ended.is_err() {
            shift.stop();
        }
    }
}

impl<V: Visitor> Walker<V> {
    fn part(&mut self, job: &Job, shift: &dyn Shift) -> Result<(), InsideError> {
        let (name, entries) = match &job.part {
            Part::Folder { name, id: _ } => (name.as_c_str(), None),
            Part::Entries(names) => (c".", Some(names)),
        };
        let Some((fd, facts)) = self.open(&job.folder, name, || job.path.clone())? else {
            return Ok(());
        };
        let mut way = Way { descent: Descent::new(fd, facts.id, facts.bytes), from: &job.path };
        match entries {
            None => self.read(&mut way, shift)?,
            Some(names) => self.see(&mut way, names)?,
        }
        loop {
            let Some(name) = way.descent.pending().and_then(Names::pop) else {
                match way.descent.leave() {
                    Ok(Some(_)) => continue,
                    Ok(None) => return Ok(()),
                    // Without the way back up nothing above can be finished.
                    Err(errno) => return Err(folder::error(&way.path().to_string_lossy(), errno)),
                }
            };
            // The only folder is not handed on: a chain of them would be handed on level by level.
            let is_last = way.descent.pending().is_none_or(|pending| pending.is_empty());
            let here = way.descent.folder()?;
            if !is_last
                && shift.is_hungry(self.sight.seen)
                && let Ok(folder) = here.try_clone_to_owned()
            {
                let path = way.path().join(folder::as_path(&name));
                shift.give(Job { folder, part: Part::Folder { name, id: None }, path });
                continue;
            }
            if let Some((fd, facts)) = self.open(here, &name, || way.path().join(folder::as_path(&name)))? {
                way.descent.enter(fd, facts.id, name, facts.bytes);
                self.read(&mut way, shift)?;
            }
        }
    }

    /// A folder that was removed meanwhile is none.
    fn open(
        &mut self,
        parent: impl AsFd,
        name: &CStr,
        path: impl FnOnce() -> PathBuf,
    ) -> Result<Option<(OwnedFd, Facts)>, InsideError> {
        let opened = folder::open_folder(parent, name).and_then(|fd| {
            let facts = folder::facts_of(&fd)?;
            Ok((fd, facts))
        });
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => self.sight.visitor.unseen(path(), errno).map(|()| None),
        }
    }

    /// Shows the entries of the folder where the walk stands, and notes the folders among them. Parts of
    /// a large folder are handed on.
    fn read(&mut self, way: &mut Way<'_>, shift: &dyn Shift) -> Result<(), InsideError> {
        let mut folders = Names::default();
        let Self { sight, entries, .. } = self;
        let read = way.descent.folder().map_err(Stop::from).and_then(|here| {
            entries.blocks(here, |block| {
                if block.is_full()
                    && shift.is_hungry(sight.seen)
                    && let Ok(folder) = here.try_clone_to_owned()
                {
                    let part = Part::Entries(block.to_names());
                    shift.give(Job { folder, part, path: way.path() });
                    return Ok(());
                }
                block.names().try_for_each(|name| sight.show(way, here, name, &mut folders))
            })
        });
        self.finish(way, read, folders)
    }

    /// As [`Self::read`], with the names of the entries known.
    fn see(&mut self, way: &mut Way<'_>, names: &Names) -> Result<(), InsideError> {
        let mut folders = Names::default();
        let sight = &mut self.sight;
        let read = way
            .descent
            .folder()
            .map_err(Stop::from)
            .and_then(|here| names.iter().try_for_each(|name| sight.show(way, here, name, &mut folders)));
        self.finish(way, read, folders)
    }

    fn finish(
        &mut self,
        way: &mut Way<'_>,
        read: Result<(), Stop>,
        folders: Names,
    ) -> Result<(), InsideError> {
        match read {
            // A folder that was removed while it was read has no more entries.
            Ok(()) | Err(Stop::System(Errno::NOENT)) => {}
            Err(Stop::System(errno)) => self.sight.visitor.unseen(way.path(), errno)?,
            Err(Stop::Visitor(error)) => return Err(error),
        }
        if let Some(pending) = way.descent.pending() {
            *pending = folders;
        }
        Ok(())
    }
}

impl<V: Visitor> Sight<V> {
    /// Shows one entry of the folder where the walk stands, and notes it if it is a folder to go into.
    fn show(
        &mut self,
        way: &Way<'_>,
        here: BorrowedFd<'_>,
        name: &CStr,
        folders: &mut Names,
    ) -> Result<(), Stop> {
        ending::check().map_err(|errno| Stop::Visitor(errno.into()))?;
        if Instant::now() >= self.until {
            return Err(Stop::Visitor(InsideError::OutOfTime));
        }
        self.seen += 1;
        let path = || way.path().join(folder::as_path(name));
        match folder::facts(here, name) {
            Ok(mut facts) => {
                // A btrfs subvolume is no mount and yet another device.
                facts.mounted |= facts.is_folder() && Some(facts.id.dev) != way.descent.device();
                self.visitor.entry(&facts, name, &path);
                if facts.is_folder() && !facts.mounted {
                    folders.push(name);
                }
            }
            Err(Errno::NOENT) => {}
            Err(errno) => self.visitor.unseen(path(), errno).map_err(Stop::Visitor)?,
        }
        Ok(())
    }
}

/// Where a walk stands, and where it began.
struct Way<'a> {
    descent: Descent,
    from: &'a PathBuf,
}

impl Way<'_> {
    /// Relative to the top of the tree.
    fn path(&self) -> PathBuf {
        // Joining an empty path would add a slash.
        let below = self.descent.path();
        if below.as_os_str().is_empty() { self.from.clone() } else { self.from.join(below) }
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
