//! The sweep of one temp root: collect, judge, detach, judge again, delete.

mod again;
mod collect;
mod findings;

use self::{
    again::{Again, Detached},
    collect::Found,
};
pub(crate) use self::{collect::is_unfinished, findings::Findings};

use std::{collections::BTreeSet, io, path::Path, rc::Rc};

use super::{
    FileId,
    candidates::{Candidate, Keep, Situation, is_detached, shown},
    inside::{Deleted, Inside, InsideError, Restored, Tree},
    signs::Signs,
};
use crate::domain::{
    attempt::AttemptId,
    report::{Kept, KeptBecause, Removed, told},
};

/// So many candidates are detached before all of them are judged again by one reading of /proc: a
/// reading takes from 60 ms to 1 s, and 20,000 small leftovers must not take 20,000 of them. While it
/// lasts, what is detached has no name; these make that time no more than about doubly as long.
const DETACHED_AT_ONCE: usize = 1_000;
/// Entries of one folder that are looked at in one round. They are all held at once.
pub(crate) const LISTED_AT_ONCE: usize = 50_000;
/// Candidates whose looks are held at once before they are judged.
const LOOKED_AT_ONCE: usize = 1_000;
/// Trees in a batch hold no more files than this together, or there is one tree in it: all are looked
/// at again before the first is given back.
const FILES_AT_ONCE: u64 = 20_000;
/// A temp root with more entries than one list holds is swept in rounds, as long as each of them takes
/// away at least one in so many of what it has looked at.
const LEAST_PROGRESS: u64 = 10;

/// No single look takes more than one in so many parts of the time that all have, so that something very large
/// does not take the time of everything behind it. Where nothing else is left to do it may have all of it.
const FOR_ONE: u32 = 4;

/// What may be done, and how the world is looked at again.
pub(crate) struct Orders<'a> {
    pub(crate) attempt: AttemptId,
    /// The temp root as the worker calls it, for the report.
    pub(crate) root: &'a Path,
    /// So many entries of one folder are looked at in one round.
    pub(crate) listed_at_once: usize,
    /// To look for what may go takes at most one in so many parts of the time that is left. Who looks until
    /// the deadline has seen everything, has freed nothing, and begins anew in the next sweep.
    pub(crate) looking: u32,
    /// Whether anything is deleted; otherwise it is only said what would have been.
    pub(crate) delete: bool,
    /// Whether leftovers are candidates; on a bare host `/tmp` is everybody's.
    pub(crate) leftovers: bool,
    /// Pids that are alive, as the worker numbers them.
    pub(crate) live_pids: &'a BTreeSet<i32>,
    /// Where `session_*` lie, relative to the temp root; `None` where they lie in another one.
    pub(crate) sessions: Option<&'a Path>,
    /// All signs of use as they were a moment ago, for the first look.
    pub(crate) first_signs: &'a dyn Fn() -> io::Result<Rc<Signs>>,
    /// Reads all signs of use now.
    pub(crate) signs: &'a dyn Fn() -> io::Result<Rc<Signs>>,
    /// What is at work now that was not when the worker was judged; `None` if nothing is.
    pub(crate) awake: &'a dyn Fn() -> Option<String>,
    /// Why nothing may be deleted any more: somebody has put the host on hold.
    pub(crate) held: &'a dyn Fn() -> Option<String>,
}

/// Sweeps what lies under the temp root that `inside` has entered.
pub(crate) fn sweep(inside: &mut Inside, situation: &Situation<'_>, orders: &Orders<'_>) -> Findings {
    let findings = Findings::default();
    let mut run = Run {
        inside,
        situation,
        orders,
        findings,
        listed: 0,
        is_cut: false,
        is_late: false,
        for_one: FOR_ONE,
        healed: BTreeSet::new(),
    };
    match run.everything() {
        Ok(()) => {}
        Err(Broken::Held(reason)) => run.findings.held = Some(reason),
        Err(error) => run.findings.error(&error.to_string()),
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

/// Gathers the candidates of one kind.
type Collect<Run> = fn(&mut Run, &Signs, &mut Vec<Found>) -> Result<(), Broken>;

struct Run<'a> {
    inside: &'a mut Inside,
    situation: &'a Situation<'a>,
    orders: &'a Orders<'a>,
    findings: Findings,
    /// Candidates of the present round.
    listed: u64,
    /// Whether a list of the present round did not hold everything.
    is_cut: bool,
    /// Whether its looks did not get to their end in the time that they had.
    is_late: bool,
    /// Which part of the time for all looks any one of them may have.
    for_one: u32,
    /// What this sweep has given its name back after a killed one: its last move says nothing.
    healed: BTreeSet<FileId>,
}

impl Run<'_> {
    fn keep(&mut self, candidate: &Candidate, bytes: u64, keep: Keep) {
        self.findings.keep(Kept {
            class: candidate.class,
            path: told(&shown(&self.orders.root.join(&candidate.path))),
            bytes,
            why: keep.why,
            detail: keep.detail,
            pid: keep.pid,
        });
    }

    fn keep_all(&mut self, batch: &[(Candidate, Tree)], why: KeptBecause, detail: &str) {
        for (candidate, tree) in batch {
            self.keep(candidate, tree.bytes, Keep::new(why, detail));
        }
    }

    fn removed(&mut self, candidate: &Candidate, bytes: u64, files: u64) {
        let path = told(&shown(&self.orders.root.join(&candidate.path)));
        self.findings.remove(Removed { class: candidate.class, path, bytes, files });
    }

    /// In rounds, because one list does not hold a million leftovers, nor one look.
    fn everything(&mut self) -> Result<(), Broken> {
        let mut signs = self.orders.first_signs;
        loop {
            let gone = self.findings.gone();
            self.round(signs)?;
            signs = self.orders.signs;
            let unseen = match (self.is_cut, self.is_late) {
                (false, false) => return Ok(()),
                (true, _) => "it holds more entries than were looked at; the rest is the next sweep's",
                (false, true) => "it holds more than there was time to look at; the rest is the next sweep's",
            };
            let progress = self.findings.gone() - gone;
            let is_enough = progress > 0 && progress.saturating_mul(LEAST_PROGRESS) >= self.listed;
            // What is too large for its part may have the time that nothing else takes any more.
            let is_patient = !is_enough && self.is_late && self.for_one > 1;
            if is_patient {
                self.for_one = 1;
            }
            if !self.orders.delete || self.inside.is_over() || !is_enough && !is_patient {
                self.findings.unseen = Some(unseen.to_owned());
                return Ok(());
            }
            // The next round meets what stays again.
            self.findings.kept.clear();
            self.findings.cut.kept = 0;
        }
    }

    /// What is provably dead goes before anything is looked at that a living worker may hold.
    fn round(&mut self, signs: &dyn Fn() -> io::Result<Rc<Signs>>) -> Result<(), Broken> {
        (self.listed, self.is_cut, self.is_late) = (0, false, false);
        let signs = signs().map_err(Broken::Signs)?;
        self.part(&signs, Self::sessions)?;
        self.part(&signs, Self::leftovers)
    }

    fn part(&mut self, signs: &Signs, collect: Collect<Self>) -> Result<(), Broken> {
        self.inside.bound_looks(self.orders.looking, self.for_one);
        self.inside.remember(&signs.files.keys().copied().collect())?;
        let (mut candidates, was_cut) = (vec![], std::mem::take(&mut self.is_cut));
        collect(self, signs, &mut candidates)?;
        self.is_cut |= was_cut;
        self.listed += candidates.len() as u64;
        let eligible = self.first_look(candidates, signs)?;
        // From here on nothing is left half done for want of time to look.
        self.inside.unbound_looks();
        if !self.orders.delete {
            for (candidate, tree) in eligible {
                self.removed(&candidate, tree.bytes, tree.files);
            }
            return Ok(());
        }
        for batch in batches(eligible) {
            if self.inside.is_over() {
                self.is_late = true;
                self.keep_all(&batch, KeptBecause::Deadline, "its part of the sweep's time was over");
            } else {
                self.remove(batch)?;
            }
        }
        Ok(())
    }

    /// All signs are read before anything is touched.
    fn first_look(
        &mut self,
        mut candidates: Vec<Found>,
        signs: &Signs,
    ) -> Result<Vec<(Candidate, Tree)>, Broken> {
        let mut eligible = vec![];
        for some in candidates.chunks_mut(LOOKED_AT_ONCE) {
            let unseen = some.iter().filter(|found| found.tree.is_none());
            let mut looks =
                self.inside.look_all(unseen.map(|found| found.candidate.path.as_path())).into_iter();
            for Found { candidate, tree } in some {
                let Some(looked) = tree.take().map(Ok).or_else(|| looks.next()) else { break };
                let mut tree = match looked {
                    Ok(tree) => tree,
                    Err(error) => {
                        self.left(candidate, 0, error)?;
                        continue;
                    }
                };
                if self.healed.contains(&tree.id) {
                    tree.moved = tree.written;
                }
                match self.situation.keeps(candidate, &tree, signs) {
                    Some(keep) => self.keep(candidate, tree.bytes, keep),
                    None => eligible.push((candidate.clone(), tree)),
                }
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
            let _ = self.inside.restore_all(detached.iter().map(|each| each.path.as_path()));
        }
        done
    }

    fn detach(&mut self, batch: Vec<(Candidate, Tree)>, detached: &mut Vec<Detached>) -> Result<(), Broken> {
        // An earlier sweep detached some, and had begun to delete them or something has taken their name.
        let (already, named): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|(candidate, _)| candidate.path.file_name().is_some_and(is_detached));
        detached.extend(already.into_iter().map(|(candidate, tree)| {
            let path = candidate.path.clone();
            Detached { candidate, path, tree }
        }));
        let entries = named.iter().map(|(candidate, tree)| (candidate.path.as_path(), tree.id));
        let renamed = self.inside.detach_all(entries, self.orders.attempt);
        let mut done = Ok(());
        for ((candidate, tree), renamed) in named.into_iter().zip(renamed) {
            match renamed {
                Ok(path) => detached.push(Detached { candidate, path, tree }),
                Err(error) => done = done.and(self.left(&candidate, tree.bytes, error)),
            }
        }
        done
    }

    /// Judges again all that is detached, gives back what has come into use meanwhile, and then deletes
    /// the rest. Whatever is still in the list when it fails has to get its name back.
    fn finish(&mut self, detached: &mut Vec<Detached>) -> Result<(), Broken> {
        if detached.is_empty() {
            return Ok(());
        }
        let signs = (self.orders.signs)().map_err(Broken::Signs)?;
        if let Some(at_work) = (self.orders.awake)() {
            let (by_rest, dead): (Vec<_>, _) =
                std::mem::take(detached).into_iter().partition(Detached::goes_by_rest);
            *detached = dead;
            let detail = format!("work began during the sweep: {at_work}");
            let keep = Keep::new(KeptBecause::WorkerActive, detail);
            self.restore(by_rest.into_iter().map(|each| (each, keep.clone())).collect())?;
        }
        self.inside.remember(&signs.files.keys().copied().collect())?;
        let looks = self.inside.look_all(detached.iter().map(|each| each.path.as_path()));
        let Again { may_go, stays, unknown, ended } =
            Again::of(std::mem::take(detached), looks, &signs, self.situation.owner);
        drop(signs);
        detached.extend(may_go);
        detached.extend(unknown);
        self.restore(stays)?;
        match ended {
            Some(ended) => Err(ended),
            None => self.delete(std::mem::take(detached)),
        }
    }

    /// Gives back the names of what stays.
    fn restore(&mut self, stays: Vec<(Detached, Keep)>) -> Result<(), Broken> {
        let (begun, whole): (Vec<_>, Vec<_>) =
            stays.into_iter().partition(|(each, _)| each.candidate.is_begun());
        for (each, keep) in begun {
            self.keep(&each.candidate, each.tree.bytes, keep);
        }
        let restored = self.inside.restore_all(whole.iter().map(|(each, _)| each.path.as_path()));
        let mut done = Ok(());
        for ((each, keep), restored) in whole.into_iter().zip(restored) {
            let (candidate, bytes) = (&each.candidate, each.tree.bytes);
            match restored {
                Ok(Restored::InPlace) => self.keep(candidate, bytes, keep),
                Ok(Restored::NameTaken) => {
                    let detail =
                        format!("something took its name meanwhile; it stays as {}", shown(&each.path));
                    self.keep(candidate, bytes, Keep::new(KeptBecause::NameTaken, detail));
                }
                Err(error) => done = done.and(self.left(candidate, bytes, error)),
            }
        }
        done
    }

    fn delete(&mut self, may_go: Vec<Detached>) -> Result<(), Broken> {
        let orders = may_go.iter().map(|each| (each.path.as_path(), each.tree.id));
        let deleted = self.inside.delete_all(orders, self.situation.owner);
        let mut done = Ok(());
        for (each, deleted) in may_go.into_iter().zip(deleted) {
            match deleted {
                Ok(deleted) => self.deleted(&each, &deleted),
                Err(error) => done = done.and(self.left(&each.candidate, each.tree.bytes, error)),
            }
        }
        done
    }

    fn deleted(&mut self, each: &Detached, deleted: &Deleted) {
        if has_gone(deleted) {
            self.removed(&each.candidate, deleted.bytes, deleted.files);
        }
        if !deleted.complete {
            let detail = deleted.errors.first().map_or("part of it is left", String::as_str);
            let rest = each.tree.bytes.saturating_sub(deleted.bytes);
            self.keep(&each.candidate, rest, Keep::new(KeptBecause::Error, detail));
        }
    }

    /// A candidate that could not be handled stays; only a child that is gone ends the run.
    fn left(&mut self, candidate: &Candidate, bytes: u64, error: InsideError) -> Result<(), Broken> {
        if matches!(error, InsideError::NotFound) {
            return Ok(());
        }
        self.is_late |= matches!(error, InsideError::OutOfTime);
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

/// Nothing gone is nothing removed: a host that says that it freed something is not looked after.
fn has_gone(deleted: &Deleted) -> bool {
    deleted.complete || deleted.files > 0 || deleted.bytes > 0
}

fn because(error: &InsideError) -> KeptBecause {
    match error {
        InsideError::NameTooLong => KeptBecause::NameTooLong,
        InsideError::Timeout(_) | InsideError::OutOfTime => KeptBecause::Deadline,
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
