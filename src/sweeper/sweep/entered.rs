//! Every temp root of every worker, entered and measured, a few at a time.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use super::elsewhere;
use crate::sweeper::{
    discover::{Runtime, TempRoot, Worker},
    inside::{Inside, Usage},
    sharing::Place,
};

/// To enter is to start a process and to wait for it; each measures with threads of its own.
const AT_ONCE: usize = 4;

/// To measure all of them takes at most one in so many parts of the sweep's time: it is a figure for a person,
/// and what it has not seen goes all the same.
const MEASURING: u32 = 4;

/// A temp root that was entered.
pub(super) struct Entered {
    pub(super) place: Place,
    pub(super) inside: Inside,
    pub(super) usage: Usage,
}

/// A temp root that was to be entered.
pub(super) struct Asked {
    /// Index of its worker.
    pub(super) worker: usize,
    pub(super) root: TempRoot,
    /// Whether its sessions lie in it, and not in a root of their own.
    pub(super) has_sessions: bool,
    /// `None` where there is no such folder, or why it cannot be entered.
    pub(super) entered: Result<Option<Entered>, String>,
}

/// Enters all temp roots and says what came of each, in their order.
pub(super) fn all(workers: &[Worker], deadline: Instant) -> Vec<Asked> {
    let measured_until = Instant::now() + deadline.saturating_duration_since(Instant::now()) / MEASURING;
    let wanted: Vec<(usize, TempRoot, bool)> = workers
        .iter()
        .enumerate()
        .flat_map(|(index, worker)| with_sessions(worker).map(move |(root, has)| (index, root, has)))
        .collect();
    let next = AtomicUsize::new(0);
    let asked = Mutex::new(Vec::with_capacity(wanted.len()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(wanted.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((worker, root, has_sessions)) = wanted.get(at) else { return };
                    let entered = enter(&workers[*worker], root, deadline, measured_until);
                    let (worker, root, has_sessions) = (*worker, root.clone(), *has_sessions);
                    let one = Asked { worker, root, has_sessions, entered };
                    asked.lock().unwrap_or_else(PoisonError::into_inner).push((at, one));
                }
            });
        }
    });
    let mut asked = asked.into_inner().unwrap_or_else(PoisonError::into_inner);
    asked.sort_by_key(|(at, _)| *at);
    asked.into_iter().map(|(_, one)| one).collect()
}

/// A worker's temp roots, and whether the sessions of each lie in it; where they do not, their folder comes
/// after it.
fn with_sessions(worker: &Worker) -> impl Iterator<Item = (TempRoot, bool)> {
    worker.temp_roots.iter().flat_map(|root| {
        let sessions = elsewhere::sessions(worker, root);
        let own = (root.clone(), sessions.is_none());
        [own].into_iter().chain(sessions.map(|sessions| (sessions, true)))
    })
}

fn enter(
    worker: &Worker,
    root: &TempRoot,
    deadline: Instant,
    measured_until: Instant,
) -> Result<Option<Entered>, String> {
    let Some(place) = Place::of(worker, &root.path).map_err(|error| error.to_string())? else {
        // A variable may name a folder that nobody has made; root does not.
        let is_roots_word = worker.runtime == Runtime::Bare;
        return if is_roots_word { Err("there is no such folder".to_owned()) } else { Ok(None) };
    };
    let remaining = deadline.saturating_duration_since(Instant::now());
    let mut inside = Inside::enter(worker, &root.path, remaining).map_err(|error| error.to_string())?;
    inside.end_looks_at(measured_until);
    let usage = inside.usage().map_err(|error| error.to_string())?;
    // Two looks by one name: a symlink on the way may have been changed in between.
    if !place.is(usage.root) {
        return Err("it changed while it was looked at".to_owned());
    }
    Ok(Some(Entered { place, inside, usage }))
}
