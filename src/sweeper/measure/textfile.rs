//! The text that node_exporter's textfile collector reads.

use std::{collections::BTreeMap, path::Path, sync::atomic::AtomicU64};

use jiff::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::state::{Found, State};
use crate::{
    config::sweep::SweepSettings,
    domain::attempt::{Mode, Outcome},
    sweeper::{hold, inside::DiskSpace, record},
};

/// What lies between two runs at least, by cron.
const SHORTEST_INTERVAL_SECS: f64 = 60.0;

/// One worker's figures: of its temp roots that take their space from one file system, all together. Of
/// several such file systems the fullest one counts, because that is the one that somebody has to hear of.
#[derive(Debug, Clone, Copy)]
struct Measured<'a> {
    worker: &'a str,
    disk: DiskSpace,
    /// `None` until the budget had room for a first walk. What was not walked yet is not in it; what was
    /// found is as old as the oldest part of it.
    found: Option<Found>,
    interval_secs: u64,
}

fn measured(state: &State) -> Vec<Measured<'_>> {
    // Two of one device that differ in size have quotas of their own.
    let mut disks: BTreeMap<(&str, u64, u64), Measured<'_>> = BTreeMap::new();
    for (root, interval) in state.planned() {
        let worker = root.key.worker.as_str();
        let (found, interval_secs) = (root.found(), whole(interval.max(SHORTEST_INTERVAL_SECS)));
        let own = Measured { worker, disk: root.disk, found, interval_secs };
        let key = (worker, root.device, root.disk.size_bytes);
        disks.entry(key).and_modify(|disk| *disk = disk.with(own)).or_insert(own);
    }
    let mut fullest: BTreeMap<&str, Measured<'_>> = BTreeMap::new();
    for disk in disks.into_values() {
        let of_worker = fullest.entry(disk.worker).or_insert(disk);
        if disk.share() > of_worker.share() {
            *of_worker = disk;
        }
    }
    fullest.into_values().collect()
}

impl Measured<'_> {
    /// With another temp root on the same file system.
    fn with(self, other: Self) -> Self {
        let found = match (self.found, other.found) {
            (Some(one), Some(other)) => Some(Found {
                used_bytes: one.used_bytes.saturating_add(other.used_bytes),
                measured_at: one.measured_at.min(other.measured_at),
            }),
            (one, other) => one.or(other),
        };
        Self { found, interval_secs: self.interval_secs.max(other.interval_secs), ..self }
    }

    // A share needs no more than the 52 bits that a float keeps of a size.
    #[allow(clippy::cast_precision_loss)]
    fn share(&self) -> f64 {
        self.found.map_or(0.0, |found| found.used_bytes as f64 / self.disk.size_bytes.max(1) as f64)
    }
}

// Never negative, and far below what a whole number holds.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(seconds: f64) -> u64 {
    seconds.ceil() as u64
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfWorker {
    worker: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMode {
    mode: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTrigger {
    trigger: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    trigger: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfVersion {
    version: &'static str,
}

type Bytes = Gauge<u64, AtomicU64>;

pub(super) fn exposition(state: &State, settings: &SweepSettings) -> String {
    let mut registry = Registry::default();
    register_workers(&mut registry, &measured(state));
    register_host(&mut registry, settings);
    register_last_sweeps(&mut registry, &settings.runtime_dir);
    register_backstop(&mut registry, state, settings);
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = encode(&mut text, &registry);
    // The end mark belongs to OpenMetrics; the textfile collector reads the older text format.
    text.replace("# EOF\n", "")
}

fn register_workers(registry: &mut Registry, measured: &[Measured<'_>]) {
    let family =
        |name: &str, help: &str, registry: &mut Registry, value: &dyn Fn(&Measured<'_>) -> Option<u64>| {
            let family = Family::<OfWorker, Bytes>::default();
            registry.register(name, help, family.clone());
            for each in measured {
                if let Some(value) = value(each) {
                    family.get_or_create(&OfWorker { worker: each.worker.to_owned() }).set(value);
                }
            }
        };
    family("ray_worker_tmp_used_bytes", "Bytes on disk under the worker's temp roots", registry, &|each| {
        each.found.map(|found| found.used_bytes)
    });
    family(
        "ray_worker_tmp_limit_bytes",
        "Size of the file system under the worker's temp root",
        registry,
        &|each| Some(each.disk.size_bytes),
    );
    family(
        "ray_worker_tmp_avail_bytes",
        "Bytes available on the file system under the worker's temp root",
        registry,
        &|each| Some(each.disk.avail_bytes),
    );
    family(
        "ray_worker_tmp_measured_timestamp_seconds",
        "When the used bytes of the worker's temp root were measured",
        registry,
        &|each| each.found.map(|found| seconds(found.measured_at)),
    );
    family(
        "ray_worker_tmp_measure_interval_seconds",
        "Seconds planned between two measurements of the worker's temp root, which grow with what there is to walk",
        registry,
        &|each| Some(each.interval_secs),
    );
}

fn register_host(registry: &mut Registry, settings: &SweepSettings) {
    let measured_at = Bytes::default();
    measured_at.set(seconds(Timestamp::now()));
    registry.register("raysweep_measure_timestamp_seconds", "When measure ran last", measured_at);
    let mode = Family::<OfMode, Bytes>::default();
    for each in [Mode::Observe, Mode::Enforce] {
        mode.get_or_create(&OfMode { mode: each.as_str() }).set(u64::from(each == settings.mode));
    }
    registry.register("raysweep_host_mode", "The host's mode: 1 for the one that is set", mode);
    let held = Bytes::default();
    held.set(u64::from(hold::reason(&settings.hold_file).is_some()));
    registry.register("raysweep_host_hold", "1 while the host is on hold", held);
    let info = Family::<OfVersion, Bytes>::default();
    info.get_or_create(&OfVersion { version: env!("CARGO_PKG_VERSION") }).set(1);
    registry.register("raysweep_host_info", "The binary's version", info);
}

fn register_last_sweeps(registry: &mut Registry, runtime_dir: &Path) {
    let finished = Family::<OfTrigger, Bytes>::default();
    let duration = Family::<OfTrigger, Gauge<f64, AtomicU64>>::default();
    let freed = Family::<OfTrigger, Bytes>::default();
    let outcome = Family::<OfOutcome, Bytes>::default();
    registry.register("raysweep_last_sweep_timestamp_seconds", "When the last sweep ended", finished.clone());
    registry.register(
        "raysweep_last_sweep_duration_seconds",
        "How long the last sweep took",
        duration.clone(),
    );
    registry.register("raysweep_last_sweep_freed_bytes", "Bytes that the last sweep freed", freed.clone());
    registry.register(
        "raysweep_last_sweep_outcome",
        "How the last sweep ended: 1 for its outcome",
        outcome.clone(),
    );
    for last in record::last_sweeps(runtime_dir) {
        let trigger = last.trigger.as_str();
        finished.get_or_create(&OfTrigger { trigger }).set(seconds(last.finished_at));
        let took = last.finished_at.duration_since(last.started_at).as_secs_f64();
        duration.get_or_create(&OfTrigger { trigger }).set(took);
        freed.get_or_create(&OfTrigger { trigger }).set(last.freed_bytes);
        for each in Outcome::ALL {
            outcome
                .get_or_create(&OfOutcome { trigger, outcome: each.as_str() })
                .set(u64::from(each == last.outcome));
        }
    }
}

/// Cron's sweep has run if it is one of the last sweeps, whatever came of it: one that found another at work,
/// or the host on hold, has run as well.
fn register_backstop(registry: &mut Registry, state: &State, settings: &SweepSettings) {
    let gauge = |name: &str, help: &str, value, registry: &mut Registry| {
        let gauge = Bytes::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    gauge(
        "raysweep_backstop_interval_seconds",
        "Seconds that lie at most between two sweeps by cron, by the schedule",
        settings.schedule.gaps().longest.as_secs(),
        registry,
    );
    gauge(
        "raysweep_backstop_scheduled_timestamp_seconds",
        "Since when cron is expected to sweep by this schedule: since measure first saw it after the boot",
        seconds(state.scheduled_since()),
        registry,
    );
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_second()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::schedule::Schedule, domain::attempt::Trigger, sweeper::measure::state::RootState};

    /// Bytes, and the second at which they were found.
    type Used = Option<(u64, i64)>;

    /// What one worker's roots come to, each as its device, that disk's size, and what was found when.
    fn of_one_worker(roots: &[(u64, u64, Used)]) -> (u64, Used) {
        let mut state = State::read(Path::new("/nonexistent"), &Schedule::default(), Timestamp::UNIX_EPOCH);
        let root = |&(device, size_bytes, found): &(u64, u64, Used)| {
            let disk = DiskSpace { size_bytes, avail_bytes: 0 };
            let at = |second| Timestamp::from_second(second).unwrap();
            let found = found.map(|(used_bytes, second)| Found { used_bytes, measured_at: at(second) });
            RootState { device, ..RootState::example("ray-worker-1", disk, found) }
        };
        state.roots = roots.iter().map(root).collect();
        let [one] = measured(&state)[..] else { panic!("{roots:?}") };
        (one.disk.size_bytes, one.found.map(|found| (found.used_bytes, found.measured_at.as_second())))
    }

    #[test]
    fn what_lies_on_one_disk_is_counted_together_and_the_fullest_disk_counts() {
        let both = of_one_worker(&[(1, 100, Some((30, 9))), (1, 100, Some((30, 5)))]);
        assert_eq!(both, (100, Some((60, 5))), "half of it is in use, and by neither of them alone");
        let apart = of_one_worker(&[(1, 100, Some((30, 9))), (2, 1000, Some((200, 5)))]);
        assert_eq!(apart, (100, Some((30, 9))));
        let fuller = of_one_worker(&[(1, 100, Some((30, 9))), (2, 1000, Some((400, 5)))]);
        assert_eq!(fuller, (1000, Some((400, 5))));
        let quotas = of_one_worker(&[(1, 100, Some((30, 9))), (1, 50, Some((30, 5)))]);
        assert_eq!(quotas, (50, Some((30, 5))));
        assert_eq!(of_one_worker(&[(1, 100, Some((30, 9))), (1, 100, None)]), (100, Some((30, 9))));
        assert_eq!(of_one_worker(&[(1, 100, None)]), (100, None));
    }

    #[test]
    fn the_textfile_is_what_the_collector_reads() {
        let folder = tempfile::tempdir().unwrap();
        let settings = SweepSettings {
            hold_file: folder.path().join("hold"),
            runtime_dir: folder.path().to_owned(),
            ..SweepSettings::default()
        };
        let second = |second| Timestamp::from_second(second).unwrap();
        let mut state = State::read(folder.path(), &settings.schedule, second(7));
        let last = record::LastSweep {
            trigger: Trigger::Cron,
            outcome: Outcome::Busy,
            started_at: second(10),
            finished_at: second(12),
            freed_bytes: 3,
        };
        std::fs::write(folder.path().join("last-cron.json"), serde_json::to_vec(&last).unwrap()).unwrap();
        let disk = DiskSpace { size_bytes: 100, avail_bytes: 40 };
        let found = |used_bytes| Some(Found { used_bytes, measured_at: Timestamp::UNIX_EPOCH });
        state.roots =
            [("ray-worker-1", 1, found(35)), ("ray-worker-1", 2, found(5)), ("ray-worker-2", 1, None)]
                .into_iter()
                .map(|(worker, device, found)| RootState {
                    device,
                    ..RootState::example(worker, disk, found)
                })
                .collect();
        let text = exposition(&state, &settings);
        // Series of one metric come in no order of their own.
        let mut lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.contains("raysweep_measure_") && !line.contains("raysweep_host_info"))
            .filter(|line| !line.contains("_outcome{") || line.ends_with(" 1"))
            .collect();
        lines.sort_unstable();
        let figures = lines.join("\n") + "\n";
        expect_test::expect![[r##"
            # HELP ray_worker_tmp_avail_bytes Bytes available on the file system under the worker's temp root.
            # HELP ray_worker_tmp_limit_bytes Size of the file system under the worker's temp root.
            # HELP ray_worker_tmp_measure_interval_seconds Seconds planned between two measurements of the worker's temp root, which grow with what there is to walk.
            # HELP ray_worker_tmp_measured_timestamp_seconds When the used bytes of the worker's temp root were measured.
            # HELP ray_worker_tmp_used_bytes Bytes on disk under the worker's temp roots.
            # HELP raysweep_backstop_interval_seconds Seconds that lie at most between two sweeps by cron, by the schedule.
            # HELP raysweep_backstop_scheduled_timestamp_seconds Since when cron is expected to sweep by this schedule: since measure first saw it after the boot.
            # HELP raysweep_host_hold 1 while the host is on hold.
            # HELP raysweep_host_mode The host's mode: 1 for the one that is set.
            # HELP raysweep_last_sweep_duration_seconds How long the last sweep took.
            # HELP raysweep_last_sweep_freed_bytes Bytes that the last sweep freed.
            # HELP raysweep_last_sweep_outcome How the last sweep ended: 1 for its outcome.
            # HELP raysweep_last_sweep_timestamp_seconds When the last sweep ended.
            # TYPE ray_worker_tmp_avail_bytes gauge
            # TYPE ray_worker_tmp_limit_bytes gauge
            # TYPE ray_worker_tmp_measure_interval_seconds gauge
            # TYPE ray_worker_tmp_measured_timestamp_seconds gauge
            # TYPE ray_worker_tmp_used_bytes gauge
            # TYPE raysweep_backstop_interval_seconds gauge
            # TYPE raysweep_backstop_scheduled_timestamp_seconds gauge
            # TYPE raysweep_host_hold gauge
            # TYPE raysweep_host_mode gauge
            # TYPE raysweep_last_sweep_duration_seconds gauge
            # TYPE raysweep_last_sweep_freed_bytes gauge
            # TYPE raysweep_last_sweep_outcome gauge
            # TYPE raysweep_last_sweep_timestamp_seconds gauge
            ray_worker_tmp_avail_bytes{worker="ray-worker-1"} 40
            ray_worker_tmp_avail_bytes{worker="ray-worker-2"} 40
            ray_worker_tmp_limit_bytes{worker="ray-worker-1"} 100
            ray_worker_tmp_limit_bytes{worker="ray-worker-2"} 100
            ray_worker_tmp_measure_interval_seconds{worker="ray-worker-1"} 60
            ray_worker_tmp_measure_interval_seconds{worker="ray-worker-2"} 60
            ray_worker_tmp_measured_timestamp_seconds{worker="ray-worker-1"} 0
            ray_worker_tmp_used_bytes{worker="ray-worker-1"} 35
            raysweep_backstop_interval_seconds 3600
            raysweep_backstop_scheduled_timestamp_seconds 7
            raysweep_host_hold 0
            raysweep_host_mode{mode="enforce"} 0
            raysweep_host_mode{mode="observe"} 1
            raysweep_last_sweep_duration_seconds{trigger="cron"} 2.0
            raysweep_last_sweep_freed_bytes{trigger="cron"} 3
            raysweep_last_sweep_outcome{trigger="cron",outcome="busy"} 1
            raysweep_last_sweep_timestamp_seconds{trigger="cron"} 12
        "##]]
        .assert_eq(&figures);
    }
}
