//! The figures that Prometheus reads from the host, by node_exporter's textfile collector.
//!
//! They are gauges, written as a whole by a rename: a reader never sees half a file. The file lies in
//! the runtime folder, because a full disk must not freeze the figures that say that it is full.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::AtomicU64,
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{
    discover::{self, Worker},
    hold,
    inside::{Inside, InsideError, Usage},
    modesty,
    processes::Snapshot,
    record,
};
use crate::{
    config::sweep::SweepSettings,
    domain::attempt::{Mode, Outcome},
};

/// How long one measuring may take. It runs every minute and must not pile up.
const DEADLINE: Duration = Duration::from_secs(50);

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

/// Measures every worker and writes the textfile, or standard output without one.
pub fn run(settings: &SweepSettings, textfile: Option<&Path>) -> Result<(), MeasureError> {
    modesty::give_way();
    let measured = measure(settings)?;
    let text = exposition(&measured, settings);
    let path = textfile.unwrap_or(Path::new("standard output"));
    let written = match textfile {
        Some(file) => record::replace(file, text.as_bytes()),
        None => io::stdout().write_all(text.as_bytes()),
    };
    written.map_err(|source| MeasureError::Write { path: path.to_owned(), source })
}

/// One worker's figures. Of several temp roots the fullest file system counts, because that is the one
/// that somebody has to hear of.
struct Measured {
    worker: String,
    usage: Usage,
}

fn measure(settings: &SweepSettings) -> Result<Vec<Measured>, MeasureError> {
    let processes = Snapshot::read()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let discovery = runtime
        .block_on(discover::discover(settings, &processes))
        .map_err(|error| MeasureError::Discover(error.to_string()))?;
    for refused in &discovery.refused {
        tracing::warn!(worker = %refused.name, reason = %refused.reason, "a worker is not measured");
    }
    Ok(discovery.workers.iter().filter_map(fullest).collect())
}

fn fullest(worker: &Worker) -> Option<Measured> {
    let usages = worker.temp_roots.iter().filter_map(|root| match usage(worker, &root.path) {
        Ok(usage) => Some(usage),
        Err(error) => {
            let root = root.path.display();
            tracing::warn!(worker = %worker.name, %root, %error, "a temp root cannot be measured");
            None
        }
    });
    let usage = usages.max_by(|a, b| share(a).total_cmp(&share(b)))?;
    Some(Measured { worker: worker.name.clone(), usage })
}

fn usage(worker: &Worker, root: &Path) -> Result<Usage, InsideError> {
    Inside::enter(worker, root, DEADLINE)?.usage()
}

// A share needs no more than the 52 bits that a float keeps of a size.
#[allow(clippy::cast_precision_loss)]
fn share(usage: &Usage) -> f64 {
    usage.used_bytes as f64 / usage.disk.size_bytes.max(1) as f64
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

fn exposition(measured: &[Measured], settings: &SweepSettings) -> String {
    let mut registry = Registry::default();
    register_workers(&mut registry, measured);
    register_host(&mut registry, settings);
    register_last_sweeps(&mut registry, &settings.runtime_dir);
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = encode(&mut text, &registry);
    // The end mark belongs to OpenMetrics; the textfile collector reads the older text format.
    text.replace("# EOF\n", "")
}

fn register_workers(registry: &mut Registry, measured: &[Measured]) {
    let now = seconds(Timestamp::now());
    let family = |name: &str, help: &str, registry: &mut Registry, value: &dyn Fn(&Measured) -> u64| {
        let family = Family::<OfWorker, Bytes>::default();
        registry.register(name, help, family.clone());
        for each in measured {
            family.get_or_create(&OfWorker { worker: each.worker.clone() }).set(value(each));
        }
    };
    family("ray_worker_tmp_used_bytes", "Bytes on disk under the worker's temp root", registry, &|each| {
        each.usage.used_bytes
    });
    family(
        "ray_worker_tmp_limit_bytes",
        "Size of the file system under the worker's temp root",
        registry,
        &|each| each.usage.disk.size_bytes,
    );
    family(
        "ray_worker_tmp_avail_bytes",
        "Bytes available on the file system under the worker's temp root",
        registry,
        &|each| each.usage.disk.avail_bytes,
    );
    family(
        "ray_worker_tmp_measured_timestamp_seconds",
        "When the worker's temp root was measured",
        registry,
        &|_| now,
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
    let freed = Family::<OfTrigger, Bytes>::default();
    let outcome = Family::<OfOutcome, Bytes>::default();
    registry.register("raysweep_last_sweep_timestamp_seconds", "When the last sweep ended", finished.clone());
    registry.register("raysweep_last_sweep_freed_bytes", "Bytes that the last sweep freed", freed.clone());
    registry.register(
        "raysweep_last_sweep_outcome",
        "How the last sweep ended: 1 for its outcome",
        outcome.clone(),
    );
    for last in record::last_sweeps(runtime_dir) {
        let trigger = last.trigger.as_str();
        finished.get_or_create(&OfTrigger { trigger }).set(seconds(last.finished_at));
        freed.get_or_create(&OfTrigger { trigger }).set(last.freed_bytes);
        for each in Outcome::ALL {
            outcome
                .get_or_create(&OfOutcome { trigger, outcome: each.as_str() })
                .set(u64::from(each == last.outcome));
        }
    }
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_second()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweeper::{FileId, inside::DiskSpace};

    #[test]
    fn the_textfile_is_what_the_collector_reads() {
        let folder = tempfile::tempdir().unwrap();
        let settings = SweepSettings {
            hold_file: folder.path().join("hold"),
            runtime_dir: folder.path().to_owned(),
            ..SweepSettings::default()
        };
        let usage = Usage {
            used_bytes: 35,
            files: 1,
            root: FileId { dev: 1, ino: 1 },
            device: 1,
            disk: DiskSpace { size_bytes: 100, avail_bytes: 40 },
        };
        let text = exposition(&[Measured { worker: "ray-worker-1".into(), usage }], &settings);
        // Series of one metric come in no order of their own.
        let mut lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.contains("timestamp") && !line.contains("raysweep_host_info"))
            .collect();
        lines.sort_unstable();
        let figures = lines.join("\n") + "\n";
        expect_test::expect![[r##"
            # HELP ray_worker_tmp_avail_bytes Bytes available on the file system under the worker's temp root.
            # HELP ray_worker_tmp_limit_bytes Size of the file system under the worker's temp root.
            # HELP ray_worker_tmp_used_bytes Bytes on disk under the worker's temp root.
            # HELP raysweep_host_hold 1 while the host is on hold.
            # HELP raysweep_host_mode The host's mode: 1 for the one that is set.
            # TYPE ray_worker_tmp_avail_bytes gauge
            # TYPE ray_worker_tmp_limit_bytes gauge
            # TYPE ray_worker_tmp_used_bytes gauge
            # TYPE raysweep_host_hold gauge
            # TYPE raysweep_host_mode gauge
            ray_worker_tmp_avail_bytes{worker="ray-worker-1"} 40
            ray_worker_tmp_limit_bytes{worker="ray-worker-1"} 100
            ray_worker_tmp_used_bytes{worker="ray-worker-1"} 35
            raysweep_host_hold 0
            raysweep_host_mode{mode="enforce"} 0
            raysweep_host_mode{mode="observe"} 1
        "##]]
        .assert_eq(&figures);
    }
}
