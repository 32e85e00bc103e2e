//! Every temp root of every worker, entered and measured, a few at a time.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use crate::sweeper::{
    discover::{TempRoot, Worker},
    inside::{Inside, Usage},
    roots::{self, Opened},
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
    let mut wanted: Vec<(usize, &TempRoot)> = vec![];
    for (index, worker) in workers.iter().enumerate() {
        wanted.extend(worker.temp_roots.iter().map(|root| (index, root)));
    }
    let next = AtomicUsize::new(0);
    let asked = Mutex::new(Vec::with_capacity(wanted.len()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(wanted.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((index, root)) = wanted.get(at) else { return };
                    let worker = &workers[*index];
                    let remaining = || deadline.saturating_duration_since(Instant::now());
                    let here: Vec<Asked> = roots::open(worker, root, remaining)
                        .into_iter()
                        .map(|opened| asked_of(worker, *index, opened, measured_until))
                        .collect();
                    asked.lock().unwrap_or_else(PoisonError::into_inner).push((at, here));
                }
            });
        }
    });
    let mut asked = asked.into_inner().unwrap_or_else(PoisonError::into_inner);
    asked.sort_by_key(|(at, _)| *at);
    asked.into_iter().flat_map(|(_, here)| here).collect()
}

fn asked_of(worker: &Worker, index: usize, opened: Opened, measured_until: Instant) -> Asked {
    let Opened { root, has_sessions, entered } = opened;
    let entered = match entered {
        Ok(Some((inside, _))) => measured(worker, &root, inside, measured_until).map(Some),
        Ok(None) => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    Asked { worker: index, root, has_sessions, entered }
}

/// It has been entered, so what is asked of it from here answers.
fn measured(
    worker: &Worker,
    root: &TempRoot,
    mut inside: Inside,
    measured_until: Instant,
) -> Result<Entered, String> {
    let place = Place::of(worker, &root.path).map_err(|error| error.to_string())?;
    inside.end_looks_at(measured_until);
    let usage = inside.usage().map_err(|error| error.to_string())?;
    // Two looks by one name: a symlink on the way may have been changed in between.
    let place = place.filter(|place| place.is(usage.root)).ok_or("it changed while it was looked at")?;
    Ok(Entered { place, inside, usage })
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::mpsc, time::Duration};

    use super::*;
    use crate::sweeper::inside::tests::harness::{World, worker_of};

    fn temp_root(path: &Path) -> TempRoot {
        TempRoot { path: path.to_owned(), sessions: "ray".into(), leftovers: true, owner: None }
    }

    /// Nobody answers for a file system whose server has been opened and not run.
    const DEAD: &str = r#"cd "$SCRATCH"; mkdir dead tmp; exec 3<>/dev/fuse
        mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 dead "$SCRATCH/dead" "#;

    /// As a network file system does whose server is gone. One worker may name it; the others are the host's.
    #[test]
    fn a_temp_root_that_does_not_answer_keeps_no_other_waiting() {
        let Some(world) = World::start(DEAD) else { return };
        let (dead, tmp) = (world.scratch.join("dead"), world.scratch.join("tmp"));
        let temp_roots = vec![temp_root(&dead), temp_root(&tmp)];
        let workers = vec![Worker { temp_roots, ..worker_of(world.pid) }];
        let (done, asked) = mpsc::channel();
        // A thread that hangs in the kernel cannot be waited for.
        thread::spawn(move || done.send(all(&workers, Instant::now() + Duration::from_secs(2))));
        let asked = asked.recv_timeout(Duration::from_mins(1)).expect("it waits for what does not answer");
        let told = asked.iter().map(|asked| (asked.root.path.as_path(), asked.entered.is_ok()));
        assert_eq!(told.collect::<Vec<_>>(), [(dead.as_path(), false), (tmp.as_path(), true)]);
    }
}
