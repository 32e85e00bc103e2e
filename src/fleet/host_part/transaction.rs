//! Everything or nothing, also for whoever is killed in the middle.
//!
//! What will be touched is written down first. Then each new file is made beside its place, sudo looks at
//! its own, and only when all of them are there do they take their places, one rename each, while what
//! lay there keeps a second name. What is written down says to the next run whether it has to put back
//! or to tidy up.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Gid, Mode, Uid, chmod, chown, fchmod, fchown, linkat, rmdir, unlink},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{
    place::Place,
    system::System,
    wanted::{SUDOERS, Thing},
};
use crate::fleet::order::Failed;

/// While it exists, a transaction is under way, or was broken off.
const BEGUN: &str = "/var/lib/raysweep-deploy.begun";
/// While it exists, a transaction has succeeded, and is not tidied up.
const DONE: &str = "/var/lib/raysweep-deploy.done";

/// What a transaction may touch.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Journal {
    entries: Vec<Entry>,
    /// The account was not there before.
    makes_account: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    /// A folder that was not there, or what it was.
    Folder { path: PathBuf, before: Option<Attributes> },
    /// A file or link, and whether anything lay there.
    Path { path: PathBuf, existed: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Attributes {
    mode: u32,
    uid: u32,
    gid: u32,
}

/// One thing after the other; between any two of them somebody may pull the plug.
#[derive(Debug, Clone, Copy)]
enum Step {
    Folder(usize),
    Stage(usize),
    CheckSudoers(usize),
    Account,
    Put(usize),
    CheckAll,
}

/// Puts things in place, all of them or none.
pub(super) fn carry_out(
    things: Vec<Thing>,
    makes_account: bool,
    place: &Place,
    system: &dyn System,
) -> Result<(), Failed> {
    let transaction = Transaction::new(things, makes_account, place, system);
    let ended =
        transaction.begin().and_then(|()| transaction.steps().try_for_each(|step| transaction.take(step)));
    match ended {
        Ok(()) => transaction.commit().map_err(|why| Failed { why, as_before: false }),
        Err(why) => Err(match recover(place, system) {
            Ok(_) => Failed { why, as_before: true },
            Err(error) => Failed { why: format!("{why}; putting it back: {error}"), as_before: false },
        }),
    }
}

/// Whether a run was broken off.
pub(super) fn is_left(place: &Place) -> bool {
    [BEGUN, DONE].iter().any(|path| place.path(path).exists())
}

/// Ends what a broken-off run left, and says how.
pub(super) fn recover(place: &Place, system: &dyn System) -> Result<Option<&'static str>, String> {
    // A run was broken off while it wrote down what it would do: it had done nothing.
    unlink_if_there(&beside(&place.path(BEGUN), NEW)).map_err(|error| error.to_string())?;
    if let Some(journal) = read(&place.path(DONE))? {
        tidy(&journal, place)?;
        return Ok(Some("what it had put in place stays"));
    }
    let Some(journal) = read(&place.path(BEGUN))? else { return Ok(None) };
    put_back(&journal, system)?;
    unlink_if_there(&place.path(BEGUN)).map_err(|error| error.to_string())?;
    Ok(Some("what it had changed was put back"))
}

struct Transaction<'a> {
    things: Vec<Thing>,
    makes_account: bool,
    place: &'a Place,
    system: &'a dyn System,
}

impl<'a> Transaction<'a> {
    fn new(things: Vec<Thing>, makes_account: bool, place: &'a Place, system: &'a dyn System) -> Self {
        Self { things, makes_account, place, system }
    }

    /// Writes down what will be touched.
    fn begin(&self) -> Result<(), String> {
        let entries = self.things.iter().map(entry).collect::<io::Result<_>>();
        let written = entries.and_then(|entries| {
            let journal = Journal { entries, makes_account: self.makes_account };
            let path = self.place.path(BEGUN);
            let new = beside(&path, NEW);
            write_new(&new, &serde_json::to_vec(&journal)?, Attributes { mode: 0o600, ..self.owner() })?;
            fs::rename(&new, &path)?;
            flush_folder(&path)
        });
        written.map_err(|error| format!("{}: {error}", self.place.path(BEGUN).display()))
    }

    fn owner(&self) -> Attributes {
        Attributes { mode: 0, uid: self.place.uid, gid: self.place.gid }
    }

    /// First what can fail, then what only changes names.
    fn steps(&self) -> impl Iterator<Item = Step> {
        let folders = self.each(|thing| matches!(thing, Thing::Folder { .. }));
        let others = self.each(|thing| !matches!(thing, Thing::Folder { .. }));
        let sudoers = self.each(|thing| thing.path() == self.place.path(SUDOERS));
        let check_all = sudoers.first().map(|_| Step::CheckAll);
        let steps: Vec<_> = folders
            .into_iter()
            .map(Step::Folder)
            .chain(others.iter().copied().map(Step::Stage))
            .chain(sudoers.into_iter().map(Step::CheckSudoers))
            .chain(self.makes_account.then_some(Step::Account))
            .chain(others.iter().copied().map(Step::Put))
            .chain(check_all)
            .collect();
        steps.into_iter()
    }

    fn each(&self, wanted: impl Fn(&Thing) -> bool) -> Vec<usize> {
        (0..self.things.len()).filter(|at| wanted(&self.things[*at])).collect()
    }

    fn take(&self, step: Step) -> Result<(), String> {
        match step {
            Step::Folder(at) => self.named(at, make_folder(&self.things[at], self.place)),
            Step::Stage(at) => self.named(at, stage(&self.things[at])),
            Step::CheckSudoers(at) => self.system.check_sudoers(Some(&beside(self.things[at].path(), NEW))),
            Step::Account => self.system.add_account(),
            Step::Put(at) => self.named(at, put(self.things[at].path())),
            Step::CheckAll => self.system.check_sudoers(None),
        }
    }

    fn named(&self, at: usize, result: io::Result<()>) -> Result<(), String> {
        result.map_err(|error| format!("{}: {error}", self.place.shown(self.things[at].path())))
    }

    /// From here on a run that is broken off has succeeded.
    fn commit(&self) -> Result<(), String> {
        let (begun, done) = (self.place.path(BEGUN), self.place.path(DONE));
        fs::rename(&begun, &done)
            .and_then(|()| flush_folder(&done))
            .map_err(|error| format!("{}: {error}", done.display()))?;
        match read(&done)? {
            Some(journal) => tidy(&journal, self.place),
            None => Ok(()),
        }
    }
}

fn entry(thing: &Thing) -> io::Result<Entry> {
    let path = thing.path().to_owned();
    let found = match fs::symlink_metadata(&path) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(match thing {
        Thing::Folder { .. } => Entry::Folder {
            path,
            before: found.map(|found| Attributes {
                mode: found.mode() & 0o7777,
                uid: found.uid(),
                gid: found.gid(),
            }),
        },
        Thing::File { .. } | Thing::Link { .. } => Entry::Path { path, existed: found.is_some() },
    })
}

fn make_folder(thing: &Thing, place: &Place) -> io::Result<()> {
    let Thing::Folder { path, mode, gid } = thing else { return Ok(()) };
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    set(path, Attributes { mode: *mode, uid: place.uid, gid: *gid })
}

fn set(path: &Path, Attributes { mode, uid, gid }: Attributes) -> io::Result<()> {
    chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    Ok(chmod(path, Mode::from_raw_mode(mode))?)
}

/// Makes a file or a link beside its place.
fn stage(thing: &Thing) -> io::Result<()> {
    match thing {
        Thing::Folder { .. } => Ok(()),
        Thing::File { path, bytes, mode, uid, gid } => {
            write_new(&beside(path, NEW), bytes, Attributes { mode: *mode, uid: *uid, gid: *gid })
        }
        Thing::Link { path, to } => {
            let new = beside(path, NEW);
            unlink_if_there(&new)?;
            std::os::unix::fs::symlink(to, new)
        }
    }
}

/// To the disk before it has its name: a name on an empty file is what a crash would leave.
fn write_new(path: &Path, bytes: &[u8], attributes: Attributes) -> io::Result<()> {
    unlink_if_there(path)?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    let Attributes { mode, uid, gid } = attributes;
    fchown(file.as_fd(), Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    fchmod(file.as_fd(), Mode::from_raw_mode(mode))?;
    file.sync_all()
}

/// What lies there gets a second name; then the new one takes its place. There is no moment without it.
fn put(path: &Path) -> io::Result<()> {
    let old = beside(path, OLD);
    unlink_if_there(&old)?;
    match linkat(CWD, path, CWD, &old, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    fs::rename(beside(path, NEW), path)?;
    flush_folder(path)
}

/// One file for itself: there is no moment without it, and nothing is kept of what lay there.
pub(super) fn replace(thing: &Thing) -> io::Result<()> {
    stage(thing)?;
    fs::rename(beside(thing.path(), NEW), thing.path())?;
    flush_folder(thing.path())
}

fn flush_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

fn read(path: &Path) -> Result<Option<Journal>, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| named(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(&error)),
    }
}

/// The other way round, and again if it must be: each of these does nothing where nothing was done.
fn put_back(journal: &Journal, system: &dyn System) -> Result<(), String> {
    let named =
        |path: &Path, result: io::Result<()>| result.map_err(|error| format!("{}: {error}", path.display()));
    for entry in journal.entries.iter().rev() {
        if let Entry::Path { path, existed } = entry {
            named(path, put_back_path(path, *existed))?;
        }
    }
    if journal.makes_account && system.account_home()?.is_some() {
        system.remove_account()?;
    }
    for entry in journal.entries.iter().rev() {
        match entry {
            Entry::Folder { path, before: None } => named(path, rmdir_if_empty(path))?,
            Entry::Folder { path, before: Some(before) } => named(path, set(path, *before))?,
            Entry::Path { .. } => {}
        }
    }
    Ok(())
}

fn put_back_path(path: &Path, existed: bool) -> io::Result<()> {
    unlink_if_there(&beside(path, NEW))?;
    let old = beside(path, OLD);
    match fs::rename(&old, path) {
        // A rename of one file's two names over each other does nothing at all.
        Ok(()) => unlink_if_there(&old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if existed {
                Ok(())
            } else {
                unlink_if_there(path)
            }
        }
        Err(error) => Err(error),
    }
}

fn tidy(journal: &Journal, place: &Place) -> Result<(), String> {
    let paths = journal.entries.iter().filter_map(|entry| match entry {
        Entry::Path { path, .. } => Some(beside(path, OLD)),
        Entry::Folder { .. } => None,
    });
    for path in paths.chain([place.path(DONE)]) {
        unlink_if_there(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

const NEW: &str = "raysweep-new~";
const OLD: &str = "raysweep-old~";

/// A name that neither cron, sudo, logrotate, tmpfiles nor node_exporter takes for one of its files.
fn beside(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{what}"))
}

pub(super) fn unlink_if_there(path: &Path) -> io::Result<()> {
    match unlink(path) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A folder that somebody has put something into meanwhile stays.
pub(super) fn rmdir_if_empty(path: &Path) -> io::Result<()> {
    match rmdir(path) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::BUSY) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
