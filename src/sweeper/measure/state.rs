//! What one run of `measure` leaves for the next: the accounts, and each root's last figures.
//!
//! It lies in the runtime folder, which a reboot empties. A file that is broken, of another version or
//! not there is no state: everything is measured anew, within the budget.

use std::{
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::budget::{Account, Due, LOOKS, WALKS, has_moved, intervals};
use crate::{
    config::schedule::Schedule,
    sweeper::{ProcessId, discover::Worker, inside::DiskSpace, record},
};

const NAME: &str = "measure.json";
const VERSION: u32 = 2;
/// No state is longer: a root takes some 500 bytes.
const MOST_BYTES: u64 = 16 << 20;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    version: u32,
    pub(super) looks: Account,
    pub(super) walks: Account,
    pub(super) roots: Vec<RootState>,
    scheduled: Scheduled,
}

/// Since when cron is expected to sweep by the schedule that there is, as far as it is known here: since the
/// settings have it, or since the boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scheduled {
    schedule: Schedule,
    since: Timestamp,
}

/// Which root it is. A container that was restarted has another first process, and so is another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RootKey {
    pub(super) worker: String,
    container: Option<String>,
    init: ProcessId,
    /// As text: two paths that are the same but for what is not UTF-8 share their figures' age at worst.
    root: String,
}

impl RootKey {
    pub(super) fn of(worker: &Worker, root: &Path) -> Self {
        Self {
            worker: worker.name.clone(),
            container: worker.container.clone(),
            init: worker.init,
            root: root.to_string_lossy().into_owned(),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.root.clone().into()
    }

    fn is_of(&self, worker: &Worker) -> bool {
        *self == Self { root: self.root.clone(), ..Self::of(worker, Path::new("")) }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RootState {
    pub(super) key: RootKey,
    /// What statvfs said last.
    pub(super) disk: DiskSpace,
    /// The device that what lies there takes its space from.
    pub(super) device: u64,
    pub(super) walk: Option<Walk>,
}

/// The last walk of a root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Walk {
    /// When its run began.
    pub(super) at: Timestamp,
    pub(super) cpu_secs: f64,
    /// What statvfs said then.
    avail_bytes: u64,
    /// What was found, and when; of an older walk where this one failed.
    pub(super) found: Option<Found>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Found {
    pub(super) used_bytes: u64,
    pub(super) measured_at: Timestamp,
}

/// Since when cron is expected to sweep by this schedule, as `measure` saw it: by one that it has not seen yet,
/// from now on. Nobody knows where it has kept nothing, or a time that is yet to come.
pub(in crate::sweeper) fn scheduled_since(
    runtime_dir: &Path,
    schedule: &Schedule,
    now: Timestamp,
) -> Option<Timestamp> {
    let Scheduled { schedule: seen, since } = State::kept(runtime_dir)?.scheduled;
    Some(if seen == *schedule { since } else { now }).filter(|since| *since <= now)
}

impl State {
    pub(super) fn read(runtime_dir: &Path, schedule: &Schedule, now: Timestamp) -> Self {
        let mut state = Self::kept(runtime_dir).unwrap_or_else(|| Self::new(schedule, now));
        if state.scheduled.schedule != *schedule {
            state.scheduled = Scheduled { schedule: schedule.clone(), since: now };
        }
        let dearest = state.costs().fold(0.0, f64::max);
        state.looks.earn(LOOKS, now, 0.0);
        state.walks.earn(WALKS, now, dearest);
        state
    }

    fn kept(runtime_dir: &Path) -> Option<Self> {
        let text = record::read_short(&runtime_dir.join(NAME), MOST_BYTES).ok()?;
        let state: Self = serde_json::from_slice(&text).ok()?;
        Some(state).filter(|state| state.version == VERSION && state.is_sound())
    }

    /// Since when cron is expected to sweep as it is to now.
    pub(super) fn scheduled_since(&self) -> Timestamp {
        self.scheduled.since
    }

    fn new(schedule: &Schedule, now: Timestamp) -> Self {
        let (looks, walks) = (Account::open(LOOKS, now), Account::open(WALKS, now));
        let scheduled = Scheduled { schedule: schedule.clone(), since: now };
        Self { version: VERSION, looks, walks, roots: vec![], scheduled }
    }

    fn is_sound(&self) -> bool {
        let costs = self.costs().all(|cost| cost.is_finite() && cost >= 0.0);
        costs && self.looks.is_sound() && self.walks.is_sound()
    }

    fn costs(&self) -> impl Iterator<Item = f64> + Clone {
        self.roots.iter().map(|root| root.walk.as_ref().map_or(0.0, |walk| walk.cpu_secs))
    }

    pub(super) fn write(&self, runtime_dir: &Path) -> io::Result<()> {
        record::replace(&runtime_dir.join(NAME), &serde_json::to_vec(self)?)
    }

    /// What was known of a root, now that its disk was asked.
    pub(super) fn seen(&self, key: RootKey, disk: DiskSpace, device: u64) -> RootState {
        let walk = self.roots.iter().find(|root| root.key == key).and_then(|root| root.walk.clone());
        RootState { key, disk, device, walk }
    }

    /// The roots of this worker, as they were seen last.
    pub(super) fn known_of(&self, worker: &Worker) -> impl Iterator<Item = &RootState> {
        self.roots.iter().filter(|root| root.key.is_of(worker))
    }

    /// Every root, and the seconds that are planned between two of its walks.
    pub(super) fn planned(&self) -> impl Iterator<Item = (&RootState, f64)> {
        self.roots.iter().zip(intervals(self.costs()))
    }
}

impl RootState {
    pub(super) fn due(&self) -> Due {
        let moved = |walk: &Walk| has_moved(walk.avail_bytes, self.disk.avail_bytes, self.disk.size_bytes);
        Due {
            last: self.walk.as_ref().map(|walk| (walk.at, walk.cpu_secs)),
            pressing: self.walk.as_ref().is_some_and(moved),
        }
    }

    /// A walk that failed is paid for as well, and not tried again before its time.
    pub(super) fn walked(&mut self, at: Timestamp, cpu_secs: f64, found: Option<Found>) {
        let found = found.or_else(|| self.found());
        self.walk = Some(Walk { at, cpu_secs, avail_bytes: self.disk.avail_bytes, found });
    }

    pub(super) fn found(&self) -> Option<Found> {
        self.walk.as_ref().and_then(|walk| walk.found)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    impl RootState {
        pub(in super::super) fn example(worker: &str, disk: DiskSpace, found: Option<Found>) -> Self {
            let init = ProcessId { pid: 7, start_ticks: 1 };
            let (worker, root) = (worker.to_owned(), "/tmp".to_owned());
            let key = RootKey { worker, container: Some("c0ffee".to_owned()), init, root };
            let mut root = Self { key, disk, device: 1, walk: None };
            if found.is_some() {
                root.walked(Timestamp::UNIX_EPOCH, 0.1, found);
            }
            root
        }
    }

    fn root(worker: &str, start_ticks: u64) -> RootState {
        let disk = DiskSpace { size_bytes: 1000, avail_bytes: 500 };
        let mut root = RootState::example(worker, disk, None);
        root.key.init.start_ticks = start_ticks;
        root
    }

    #[test]
    fn what_one_run_leaves_the_next_one_finds() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let schedule = Schedule::default();
        let mut state = State::read(folder.path(), &schedule, now);
        let mut known = root("w", 1);
        known.walked(now, 0.5, Some(Found { used_bytes: 3, measured_at: now }));
        state.roots.push(known);
        state.walks.pay(2.0);
        state.write(folder.path()).unwrap();
        assert_eq!(State::read(folder.path(), &schedule, now), state);
    }

    #[test]
    fn a_schedule_is_expected_to_be_kept_from_when_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let since = |schedule: &str, now| {
            let state = State::read(folder.path(), &schedule.parse().unwrap(), at(now));
            state.write(folder.path()).unwrap();
            state.scheduled_since().as_second()
        };
        assert_eq!(since("7 * * * *", 100), 100);
        assert_eq!(since("7 * * * *", 200), 100);
        assert_eq!(since("@daily", 300), 300);
        assert_eq!(since("@daily", 400), 300);
        // Who only asks changes nothing.
        let known = |schedule: &str, now| {
            let since = scheduled_since(folder.path(), &schedule.parse().unwrap(), at(now));
            since.map(Timestamp::as_second)
        };
        assert_eq!(known("@daily", 500), Some(300));
        assert_eq!(known("@hourly", 500), Some(500));
        assert_eq!(known("@daily", 500), Some(300));
        assert_eq!(known("@daily", 299), None, "the clock has been set back");
        fs::write(folder.path().join(NAME), "{").unwrap();
        assert_eq!(known("@daily", 500), None);
        fs::rename(folder.path().join(NAME), folder.path().join("gone")).unwrap();
        assert_eq!(known("@daily", 500), None);
    }

    #[test]
    fn a_file_that_is_not_ours_is_no_state() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let schedule = Schedule::default();
        let new = State::new(&schedule, now);
        let other = serde_json::to_string(&State { version: VERSION + 1, ..new.clone() }).unwrap();
        let unsound = serde_json::to_string(&new).unwrap().replace("0.6", "1e999");
        for text in ["", "{", "[]", r#"{"version":1}"#, &other, &unsound] {
            fs::write(folder.path().join(NAME), text).unwrap();
            assert_eq!(State::read(folder.path(), &schedule, now), new, "{text}");
        }
    }

    #[test]
    fn a_restarted_container_is_another_one() {
        let mut state = State::new(&Schedule::default(), Timestamp::UNIX_EPOCH);
        let mut known = root("w", 1);
        known.walked(Timestamp::UNIX_EPOCH, 0.5, None);
        state.roots.push(known.clone());
        assert_eq!(state.seen(known.key.clone(), known.disk, 1).walk, known.walk);
        assert_eq!(state.seen(root("w", 2).key, known.disk, 1).walk, None);
        assert_eq!(state.seen(root("v", 1).key, known.disk, 1).walk, None);
    }

    #[test]
    fn a_walk_that_fails_keeps_the_older_figure_and_its_time() {
        let now = Timestamp::UNIX_EPOCH;
        let mut root = root("w", 1);
        let found = Found { used_bytes: 3, measured_at: now };
        root.walked(now, 0.5, Some(found));
        root.walked(Timestamp::MAX, 9.0, None);
        assert_eq!(root.found(), Some(found));
        assert_eq!(root.due().last, Some((Timestamp::MAX, 9.0)));
    }

    #[test]
    fn a_disk_that_moved_since_the_walk_is_pressing() {
        let mut root = root("w", 1);
        root.walked(Timestamp::UNIX_EPOCH, 0.5, None);
        assert!(!root.due().pressing);
        root.disk.avail_bytes = 400;
        assert!(root.due().pressing);
    }
}
