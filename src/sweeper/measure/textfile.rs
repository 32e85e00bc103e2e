//! The text that node_exporter's textfile collector reads.

use std::{collections::BTreeMap, path::Path, sync::atomic::AtomicU64};

use jiff::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::state::{Found, RootState, State};
use crate::{
    config::sweep::SweepSettings,
    domain::attempt::{Mode, Outcome},
    sweeper::{hold, inside::DiskSpace, record},
};

/// What lies between two runs at least, by cron.
const SHORTEST_INTERVAL_SECS: f64 = 60.0;

/// One worker's figures. Of several temp roots the fullest file system counts, because that is the one
/// that somebody has to hear of.
struct Measured<'a> {
    worker: &'a str,
    disk: DiskSpace,
    /// `None` until the budget had room for a first walk.
    found: Option<Found>,
    interval_secs: u64,
}

fn measured(state: &State) -> Vec<Measured<'_>> {
    let mut fullest: BTreeMap<&str, (&RootState, f64)> = BTreeMap::new();
    for (root, interval) in state.planned() {
        let of_worker = fullest.entry(&root.key.worker).or_insert((root, interval));
        if share(root) > share(of_worker.0) {
            *of_worker = (root, interval);
        }
    }
    fullest
        .into_iter()
        .map(|(worker, (root, interval))| Measured {
            worker,
            disk: root.disk,
            found: root.found(),
            interval_secs: whole(interval.max(SHORTEST_INTERVAL_SECS)),
        })
        .collect()
}

// A share needs no more than the 52 bits that a float keeps of a size.
#[allow(clippy::cast_precision_loss)]
fn share(root: &RootState) -> f64 {
    root.found().map_or(0.0, |found| found.used_bytes as f64 / root.disk.size_bytes.max(1) as f64)
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
    family("ray_worker_tmp_used_bytes", "Bytes on disk under the worker's temp root", registry, &|each| {
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
    use crate::domain::attempt::Trigger;

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
        state.roots = [("ray-worker-1", found(35)), ("ray-worker-1", found(5)), ("ray-worker-2", None)]
            .into_iter()
            .map(|(worker, found)| RootState::example(worker, disk, found))
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
            # HELP ray_worker_tmp_used_bytes Bytes on disk under the worker's temp root.
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
