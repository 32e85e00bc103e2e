//! The figures that Prometheus reads from the host, by node_exporter's textfile collector.
//!
//! They are gauges, written as a whole by a rename: a reader never sees half a file. The file lies in
//! the runtime folder, because a full disk must not freeze the figures that say that it is full.
//!
//! Cron runs this once a minute, for as long as the host lives, so it has a budget of CPU (`budget`),
//! kept from run to run (`state`). What is not due is exported as it was measured, with its own time.

mod budget;
mod state;
mod textfile;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;

pub(super) use self::state::scheduled_since;
use self::state::{Found, RootKey, RootState, State};
use super::{
    discover::{self, Worker},
    inside::{Inside, InsideError, Usage},
    modesty,
    processes::{
        Snapshot,
        proc::{Stat, unless_vanished},
    },
    record,
    roots::{self, Opened},
};
use crate::{config::sweep::SweepSettings, domain::line::line};

/// How long one run begins something new. It is started every minute.
const RUN: Duration = Duration::from_secs(50);
/// How long statvfs may take: a disk that does not answer must not keep the others' figures.
const ASKING: Duration = Duration::from_secs(10);
/// How long one walk may take. Runs do not pile up: cron's lock keeps the next one away.
const WALKING: Duration = Duration::from_mins(5);

/// `/proc/PID/stat` counts in these: `USER_HZ` is 100 on every architecture that Ray runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Why nothing could be measured or written.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The file cannot be written.
    #[error("{path}: {source}", path = path.display())]
    Write {
        /// The textfile.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// /proc cannot be read, or no runtime for the calls to the container runtime.
    #[error("the host cannot be looked at: {0}")]
    Look(#[from] io::Error),
    /// The container runtime is there and does not answer.
    #[error("{0}")]
    Discover(String),
}

/// Measures what is due and writes the textfile, or standard output without one.
pub fn run(settings: &SweepSettings, textfile: Option<&Path>) -> Result<(), MeasureError> {
    modesty::give_way();
    modesty::bound_memory();
    let until = Instant::now() + RUN;
    let now = Timestamp::now();
    let mut state = State::read(&settings.runtime_dir, &settings.schedule, now);
    let mut meter = Meter::default();
    let looked = if state.looks.has_room() {
        // A look that failed is paid for as well.
        look(settings, &mut state, until).and_then(|roots| {
            state.looks.pay(meter.used()?);
            walk(&roots, &mut state, &mut meter, now, until)
        })
    } else {
        tracing::info!("the looks have used up their share of CPU: the last figures are written again");
        Ok(())
    };
    // What is used from here on is the next run's to pay, and little.
    state.looks.pay(meter.used()?);
    if let Err(error) = state.write(&settings.runtime_dir) {
        let folder = settings.runtime_dir.display();
        tracing::warn!(%folder, %error, "what was measured is not kept for the next run");
    }
    looked?;
    let text = textfile::exposition(&state, settings);
    let path = textfile.unwrap_or(Path::new("standard output"));
    let written = match textfile {
        Some(file) => record::replace(file, text.as_bytes()),
        None => io::stdout().write_all(text.as_bytes()),
    };
    written.map_err(|source| MeasureError::Write { path: path.to_owned(), source })
}

/// CPU of this process and of its children that have ended.
#[derive(Debug, Default)]
struct Meter {
    so_far: f64,
}

impl Meter {
    /// Seconds since the last time. Ticks of 10 ms are counted from a sum, so none is lost for good.
    // Ticks of one run are far fewer than what a float counts exactly.
    #[allow(clippy::cast_precision_loss)]
    fn used(&mut self) -> io::Result<f64> {
        let stat = unless_vanished(Stat::read(Path::new("/proc/self")))?.ok_or(io::ErrorKind::NotFound)?;
        let total = (stat.cpu_ticks + stat.children_cpu_ticks) as f64 / TICKS_PER_SECOND;
        let used = total - self.so_far;
        self.so_far = total;
        Ok(used)
    }
}

/// A temp root, in the order of the state's roots.
struct Root {
    worker: Worker,
    path: PathBuf,
}

/// Finds every temp root and asks each one's disk. Workers that have gone are forgotten.
fn look(settings: &SweepSettings, state: &mut State, until: Instant) -> Result<Vec<Root>, MeasureError> {
    let processes = Snapshot::read_without_files()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let discovery = runtime
        .block_on(discover::discover(settings, &processes))
        .map_err(|error| MeasureError::Discover(error.to_string()))?;
    for refused in &discovery.refused {
        tracing::warn!(worker = %refused.name, reason = %refused.reason, "a worker is not measured");
    }
    let (mut roots, mut states) = (vec![], vec![]);
    for worker in discovery.workers {
        for (path, root) in roots_of(&worker, state, until) {
            states.push(root);
            roots.push(Root { worker: worker.clone(), path });
        }
    }
    state.roots = states;
    Ok(roots)
}

/// The folders that a sweep would enter for this worker, less those whose files another one's walk counts,
/// with what their disks say.
fn roots_of(worker: &Worker, state: &State, until: Instant) -> Vec<(PathBuf, RootState)> {
    let mut found = vec![];
    for root in &worker.temp_roots {
        if Instant::now() > until {
            tracing::warn!(worker = %worker.name, "the time was over before this worker's disk was asked");
            // Somebody else's disk has taken it. What was measured before is told again, with its own time.
            return state.known_of(worker).map(|root| (root.key.path(), root.clone())).collect();
        }
        for Opened { root, entered, .. } in roots::open(worker, root, || ASKING) {
            let entered = entered
                .and_then(|entered| entered.map(|(mut inside, lies)| Ok((lies, inside.disk()?))).transpose());
            match entered {
                Ok(Some((lies, disk))) => found.push((lies, (root.path, disk))),
                Ok(None) => {}
                Err(error) => not_measured(worker, &root.path, &error),
            }
        }
    }
    roots::apart(found)
        .into_iter()
        .map(|(lies, (path, disk))| {
            let root = state.seen(RootKey::of(worker, &path), disk, lies.device);
            (path, root)
        })
        .collect()
}

/// A temp root, and why a sweep could not get at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The worker.
    pub worker: String,
    /// Its temp root; empty where the worker as a whole is refused.
    pub root: PathBuf,
    /// What stands in the way.
    pub trouble: Option<String>,
}

/// Looks into every temp root once, for whoever asks whether a sweep could. Nothing is walked, and nothing
/// booked.
pub fn look_over(settings: &SweepSettings) -> Result<Vec<Seen>, MeasureError> {
    let processes = Snapshot::read_without_files()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let discovery = runtime
        .block_on(discover::discover(settings, &processes))
        .map_err(|error| MeasureError::Discover(error.to_string()))?;
    let refused = discovery.refused.into_iter().map(|refused| Seen {
        worker: refused.name,
        root: PathBuf::new(),
        trouble: Some(refused.reason),
    });
    let roots = discovery.workers.iter().flat_map(|worker| {
        let opened = worker.temp_roots.iter().flat_map(|root| roots::open(worker, root, || ASKING));
        opened.filter_map(|opened| seen(worker, opened))
    });
    Ok(refused.chain(roots).collect())
}

/// A folder that nobody has made stands in nobody's way.
fn seen(worker: &Worker, opened: Opened) -> Option<Seen> {
    let asked = opened.entered.and_then(|entered| entered.map(|(mut inside, _)| inside.disk()).transpose());
    let trouble = match asked {
        Ok(None) => return None,
        Ok(Some(_)) => None,
        Err(error) => Some(error.to_string()),
    };
    Some(Seen { worker: worker.name.clone(), root: opened.root.path, trouble })
}

/// Walks what is due, as far as budget and time go.
fn walk(
    roots: &[Root],
    state: &mut State,
    meter: &mut Meter,
    now: Timestamp,
    until: Instant,
) -> Result<(), MeasureError> {
    let mut walked = vec![false; roots.len()];
    while Instant::now() < until {
        let due: Vec<_> = state.roots.iter().map(state::RootState::due).collect();
        let Some(next) = budget::next(&due, &walked, &state.walks, now) else { break };
        let Root { worker, path } = &roots[next];
        let usage = usage(worker, path);
        let cpu_secs = meter.used()?;
        state.walks.pay(cpu_secs);
        let root = &mut state.roots[next];
        let found = match usage {
            Ok(usage) => {
                root.disk = usage.disk;
                Some(Found { used_bytes: usage.used_bytes, measured_at: Timestamp::now() })
            }
            Err(error) => {
                not_measured(worker, path, &error);
                None
            }
        };
        root.walked(now, cpu_secs, found);
        walked[next] = true;
    }
    Ok(())
}

fn not_measured(worker: &Worker, root: &Path, error: &InsideError) {
    // Both are a container's words: cron pipes each line into the host's log as an entry.
    let (root, error) = (line(&root.display()), line(error));
    tracing::warn!(worker = %worker.name, %root, %error, "a temp root cannot be measured");
}

fn usage(worker: &Worker, root: &Path) -> Result<Usage, InsideError> {
    Inside::enter(worker, root, WALKING)?.usage()
}

#[cfg(test)]
mod tests;
