//! The sweep of one temp root: collect, judge, detach, judge again, delete.

mod collect;

use self::collect::Found;
pub(crate) use self::collect::is_unfinished;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{
    candidates::{
        Candidate, Keep, Situation, is_detached, kept_by_mount, kept_by_revival, kept_by_use, shown,
    },
    inside::{Deleted, Inside, InsideError, Kind, Restored, Tree},
    signs::Signs,
};
use crate::domain::{
    attempt::AttemptId,
    report::{Class, Kept, KeptBecause, LISTED, Removed},
};

/// So many candidates are detached before all of them are judged again by one reading of /proc: a
/// reading takes from 60 ms to 1 s, and 20,000 small leftovers must not take 20,000 of them. While it
/// lasts, what is detached has no name; these make that time no more than about doubly as long.
const DETACHED_AT_ONCE: usize = 1_000;
/// Entries of one folder that are looked at in one round. They are all held at once.
pub(crate) const LISTED_AT_ONCE: usize = 50_000;
/// Trees in a batch hold no more files than this together, or there is one tree in it: all are looked
/// at again before the first is given back.
const FILES_AT_ONCE: u64 = 20_000;
/// A temp root with more entries than one list holds is swept in rounds, as long as each of them takes
/// away at least one in so many of what it has looked at.
const LEAST_PROGRESS: u64 = 10;

/// What may be done, and how the world is looked at again.
pub(crate) struct Orders<'a> {
    pub(crate) attempt: AttemptId,
    /// The temp root as the worker calls it, for the report.
    pub(crate) root: &'a Path,
    /// So many entries of one folder are looked at in one round.
    pub(crate) listed_at_once: usize,
    /// Whether anything is deleted; otherwise it is only said what would have been.
    pub(crate) delete: bool,
    /// Whether leftovers are candidates; on a bare host `/tmp` is everybody's.
    pub(crate) leftovers: bool,
    /// Pids that are alive, as the worker numbers them.
    pub(crate) live_pids: &'a BTreeSet<i32>,
    /// Where `session_*` lie, relative to the temp root.
    pub(crate) sessions: &'a Path,
    /// All signs of use as they were a moment ago, for the first look.
    pub(crate) first_signs: &'a dyn Fn() -> io::Result<Rc<Signs>>,
    /// Reads all signs of use now.
    pub(crate) signs: &'a dyn Fn() -> io::Result<Rc<Signs>>,
    /// What is at work now that was not when the worker was judged; `None` if nothing is.
    pub(crate) awake: &'a dyn Fn() -> Option<String>,
    /// Why nothing may be deleted any more: somebody has put the host on hold.
    pub(crate) held: &'a dyn Fn() -> Option<String>,
}

/// What was done under one temp root: of each kind the largest, and how many more.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) removed: Vec<Removed>,
    pub(crate) kept: Vec<Kept>,
    pub(crate) errors: Vec<String>,
    /// Of everything that went or would go, listed or not.
    pub(crate) freed_bytes: u64,
    /// What is not listed.
    pub(crate) cut: Cut,
    /// What was not looked at.
    pub(crate) unseen: Option<String>,
}

/// How many are left out of each list.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) removed: u64,
    pub(crate) kept: u64,
    pub(crate) errors: u64,
}

impl Findings {
    fn remove(&mut self, removed: Removed) {
        self.freed_bytes = self.freed_bytes.saturating_add(removed.bytes);
        self.removed.push(removed);
        self.cut.removed += bound(&mut self.removed, |removed| removed.bytes);
    }

    fn keep(&mut self, kept: Kept) {
        self.kept.push(kept);
        self.cut.kept += bound(&mut self.kept, |kept| kept.bytes);
    }

    /// What a round meets again is said once.
    fn error(&mut self, error: String) {
        if self.errors.contains(&error) {
            return;
        }
        if self.errors.len() < LISTED {
            self.errors.push(error);
        } else {
            self.cut.errors += 1;
        }
    }

    fn gone(&self) -> u64 {
        self.removed.len() as u64 + self.cut.removed
    }
}

/// A list never grows to many times what is reported of it: a million leftovers do not become a million
/// objects. Says how many it has lost.
fn bound<T>(list: &mut Vec<T>, bytes: impl Fn(&T) -> u64) -> u64 {
    if list.len() < 2 * LISTED {
        return 0;
    }
    list.sort_by_key(|each| std::cmp::Reverse(bytes(each)));
    let too_many = list.len() - LISTED;
    list.truncate(LISTED);
    too_many as u64
}

/// Sweeps what lies under the temp root that `inside` has entered.
pub(crate) fn sweep(inside: &mut Inside, situation: &Situation<'_>, orders: &Orders<'_>) -> Findings {
    let mut run = Run { inside, situation, orders, findings: Findings::default(), listed: 0, is_cut: false };
    if let Err(error) = run.everything() {
        run.findings.error(error.to_string());
    }
    run.findings
}

/// Why a temp root's sweep ended before its end. What was detached is restored by the child.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{0}")]
    Inside(#[from] InsideError),
    #[error("signs of use cannot be read, so nothing may go: {0}")]
    Signs(io::Error),
    #[error("the host was put on hold during the sweep: {0}")]
    Held(String),
}

struct Run<'a> {
    inside: &'a mut Inside,
    situation: &'a Situation<'a>,
    orders: &'a Orders<'a>,
    findings: Findings,
    /// Candidates of the present round.
    listed: u64,
    /// Whether a list of the present round did not hold everything.
    is_cut: bool,
}

/// A candidate off its name, waiting for the second look.
struct Detached {
    candidate: Candidate,
    path: PathBuf,
    tree: Tree,
}

impl Run<'_> {
    fn keep(&mut self, candidate: &Candidate, bytes: u64, keep: Keep) {
        self.findings.keep(Kept {
            class: candidate.class,
            path: shown(&self.orders.root.join(&candidate.path)),
            bytes,
            why: keep.why,
            detail: keep.detail,
            pid: keep.pid,
        });
    }

    fn removed(&mut self, candidate: &Candidate, bytes: u64, files: u64) {
        let path = shown(&self.orders.root.join(&candidate.path));
        self.findings.remove(Removed { class: candidate.class, path, bytes, files });
    }

    /// In rounds, because one list does not hold a million leftovers.
    fn everything(&mut self) -> Result<(), Broken> {
        let mut signs = self.orders.first_signs;
        loop {
            let gone = self.findings.gone();
            self.round(signs)?;
            signs = self.orders.signs;
            if !self.is_cut {
                return Ok(());
            }
            let progress = self.findings.gone() - gone;
            let is_enough = progress > 0 && progress.saturating_mul(LEAST_PROGRESS) >= self.listed;
            if !self.orders.delete || !is_enough {
                let unseen = "it holds more entries than were looked at; the rest is the next sweep's";
                self.findings.unseen = Some(unseen.to_owned());
                return Ok(());
            }
            // The next round meets what stays again.
            self.findings.kept.clear();
            self.findings.cut.kept = 0;
        }
    }

    fn round(&mut self, signs: &dyn Fn() -> io::Result<Rc<Signs>>) -> Result<(), Broken> {
        self.is_cut = false;
        let signs = signs().map_err(Broken::Signs)?;
        self.inside.remember(&signs.files.keys().copied().collect())?;
        let candidates = self.collect(&signs)?;
        self.listed = candidates.len() as u64;
        let eligible = self.first_look(candidates, &signs)?;
        drop(signs);
        if !self.orders.delete {
            for (candidate, tree) in eligible {
                self.removed(&candidate, tree.bytes, tree.files);
            }
            return Ok(());
        }
        for batch in batches(eligible) {
            self.remove(batch)?;
        }
        Ok(())
    }

    /// All signs are read before anything is touched.
    fn first_look(
        &mut self,
        candidates: Vec<Found>,
        signs: &Signs,
    ) -> Result<Vec<(Candidate, Tree)>, Broken> {
        let mut eligible = vec![];
        for Found { candidate, tree } in candidates {
            let looked = tree.map_or_else(|| self.inside.look(&candidate.path), Ok);
            let tree = match looked {
                Ok(tree) => tree,
                Err(error) => {
                    self.left(&candidate, 0, error)?;
                    continue;
                }
            };
            match self.situation.keeps(&candidate, &tree, signs) {
                Some(keep) => self.keep(&candidate, tree.bytes, keep),
                None => eligible.push((candidate, tree)),
            }
        }
        // Largest first: if the deadline comes, most of the space is free.
        eligible.sort_by_key(|(_, tree)| std::cmp::Reverse(tree.bytes));
        Ok(eligible)
    }

    /// Detaches a batch, looks at everything again, and deletes what nobody uses.
    fn remove(&mut self, batch: Vec<(Candidate, Tree)>) -> Result<(), Broken> {
        if let Some(reason) = (self.orders.held)() {
            return Err(Broken::Held(reason));
        }
        let mut detached = vec![];
        let done = self.detach(batch, &mut detached).and_then(|()| self.finish(&mut detached));
        if done.is_err() {
            // The child would do it at its end, but other temp roots are swept before that.
            for each in detached {
                let _ = self.inside.restore(&each.path);
            }
        }
        done
    }

    fn detach(&mut self, batch: Vec<(Candidate, Tree)>, detached: &mut Vec<Detached>) -> Result<(), Broken> {
        for (candidate, tree) in batch {
            if candidate.path.file_name().is_some_and(is_detached) {
                // An earlier sweep detached it, and had begun to delete it or something has taken its name.
                let path = candidate.path.clone();
                detached.push(Detached { candidate, path, tree });
                continue;
            }
            match self.inside.detach(&candidate.path, tree.id, self.orders.attempt) {
                Ok(path) => detached.push(Detached { candidate, path, tree }),
                Err(error) => self.left(&candidate, tree.bytes, error)?,
            }
        }
        Ok(())
    }

    /// Judges again all that is detached, gives back what has come into use meanwhile, and then deletes
    /// the rest. Takes each off the list as it is restored or deleted.
    fn finish(&mut self, detached: &mut Vec<Detached>) -> Result<(), Broken> {
        if detached.is_empty() {
            return Ok(());
        }
        let signs = (self.orders.signs)().map_err(Broken::Signs)?;
        let awake = (self.orders.awake)();
        self.inside.remember(&signs.files.keys().copied().collect())?;
        // The last of the list comes off it first.
        detached.reverse();
        for at in (0..detached.len()).rev() {
            if let Some(keep) = self.second_look(&detached[at], &signs, awake.as_deref())? {
                self.restore(&detached[at], keep)?;
                detached.remove(at);
            }
        }
        drop(signs);
        while let Some(each) = detached.last() {
            self.delete(each)?;
            detached.pop();
        }
        Ok(())
    }

    /// What has come into use between the first look and the detaching keeps the candidate.
    fn second_look(
        &mut self,
        each: &Detached,
        signs: &Signs,
        awake: Option<&str>,
    ) -> Result<Option<Keep>, Broken> {
        let by_rest = is_leftover(each.candidate.class) && !each.candidate.is_begun();
        if let (Some(at_work), true) = (awake, by_rest) {
            let detail = format!("work began during the sweep: {at_work}");
            return Ok(Some(Keep::new(KeptBecause::WorkerActive, detail)));
        }
        let tree = match self.inside.look(&each.path) {
            Ok(tree) => tree,
            Err(error) => return Ok(Some(Keep::new(because(&error), passing(error)?.to_string()))),
        };
        if changed(&each.tree, &tree) {
            return Ok(Some(Keep::new(KeptBecause::InUse, "it changed during the sweep")));
        }
        Ok(kept_by_mount(&tree)
            .or_else(|| kept_by_revival(&each.candidate, signs))
            .or_else(|| kept_by_use(&each.candidate.path, &tree, signs)))
    }

    fn restore(&mut self, each: &Detached, keep: Keep) -> Result<(), Broken> {
        if each.candidate.is_begun() {
            self.keep(&each.candidate, each.tree.bytes, keep);
            return Ok(());
        }
        match self.inside.restore(&each.path) {
            Ok(Restored::InPlace) => self.keep(&each.candidate, each.tree.bytes, keep),
            Ok(Restored::NameTaken) => {
                let detail = format!("something took its name meanwhile; it stays as {}", shown(&each.path));
                self.keep(&each.candidate, each.tree.bytes, Keep::new(KeptBecause::NameTaken, detail));
            }
            Err(error) => self.left(&each.candidate, each.tree.bytes, error)?,
        }
        Ok(())
    }

    fn delete(&mut self, each: &Detached) -> Result<(), Broken> {
        match self.inside.delete(&each.path, each.tree.id) {
            Ok(deleted) => {
                if has_gone(&deleted) {
                    self.removed(&each.candidate, deleted.bytes, deleted.files);
                }
                if !deleted.complete {
                    let detail = deleted.errors.first().map_or("part of it is left", String::as_str);
                    let rest = each.tree.bytes.saturating_sub(deleted.bytes);
                    self.keep(&each.candidate, rest, Keep::new(KeptBecause::Error, detail));
                }
            }
            Err(error) => self.left(&each.candidate, each.tree.bytes, error)?,
        }
        Ok(())
    }

    /// A candidate that could not be handled stays; only a child that is gone ends the run.
    fn left(&mut self, candidate: &Candidate, bytes: u64, error: InsideError) -> Result<(), Broken> {
        if matches!(error, InsideError::NotFound) {
            return Ok(());
        }
        let keep = Keep::new(because(&error), error.to_string());
        self.keep(candidate, bytes, keep);
        passing(error).map(|_| ())
    }
}

/// In the order given, so that the largest go first.
fn batches(eligible: Vec<(Candidate, Tree)>) -> impl Iterator<Item = Vec<(Candidate, Tree)>> {
    let mut rest = eligible.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut batch: Vec<(Candidate, Tree)> = vec![];
        let mut files = 0;
        while let Some((_, tree)) = rest.peek() {
            files += tree.files;
            if batch.len() == DETACHED_AT_ONCE || !batch.is_empty() && files > FILES_AT_ONCE {
                break;
            }
            batch.extend(rest.next());
        }
        (!batch.is_empty()).then_some(batch)
    })
}

/// Whether somebody has written to it between two looks. Detaching changes the ctime of what is
/// detached, which counts for a file and not for a folder.
fn changed(before: &Tree, after: &Tree) -> bool {
    let later = after.kind == Kind::Folder && after.newest > before.newest;
    later || after.files > before.files || after.bytes > before.bytes
}

/// Nothing gone is nothing removed: a host that says that it freed something is not looked after.
fn has_gone(deleted: &Deleted) -> bool {
    deleted.complete || deleted.files > 0 || deleted.bytes > 0
}

/// Whether the class is one that only rest lets go.
fn is_leftover(class: Class) -> bool {
    matches!(class, Class::RayTmp | Class::Pip | Class::Tmp | Class::CheckpointTmp)
}

fn because(error: &InsideError) -> KeptBecause {
    match error {
        InsideError::NameTooLong => KeptBecause::NameTooLong,
        InsideError::Timeout(_) => KeptBecause::Deadline,
        InsideError::Changed => KeptBecause::InUse,
        _ => KeptBecause::Error,
    }
}

/// An error about one candidate passes; one about the child ends the run.
fn passing(error: InsideError) -> Result<InsideError, Broken> {
    match error {
        InsideError::Gone(_) | InsideError::Timeout(_) | InsideError::NotTheWorker(_) => Err(error.into()),
        _ => Ok(error),
    }
}

#[cfg(test)]
mod tests;
