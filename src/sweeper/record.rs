//! What a sweep leaves behind on the host: a line in the log, and its result for `measure`. Best
//! effort: a full disk must not stop a sweep.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    config::sweep::SweepSettings,
    domain::{
        attempt::{Outcome, Trigger},
        report::Report,
    },
};

/// The log's name in `log_dir`.
const LOG: &str = "sweeps.jsonl";

/// The result of the last sweep of one trigger, as `measure` exports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastSweep {
    pub(crate) trigger: Trigger,
    pub(crate) outcome: Outcome,
    pub(crate) finished_at: Timestamp,
    pub(crate) freed_bytes: u64,
}

/// Keeps a report and says what could not be kept. A dry run is a look and leaves only its line in
/// the log.
pub(crate) fn keep(report: &Report, settings: &SweepSettings) -> Vec<String> {
    let mut missing = vec![];
    if !report.dry_run {
        let last = LastSweep {
            trigger: report.trigger,
            outcome: report.outcome,
            finished_at: report.finished_at,
            freed_bytes: report.freed_bytes,
        };
        let path = last_path(&settings.runtime_dir, report.trigger);
        let written =
            serde_json::to_vec(&last).map_err(io::Error::from).and_then(|json| replace(&path, &json));
        if let Err(error) = written {
            missing.push(format!("the sweep's result, for measure, in {}: {error}", path.display()));
        }
    }
    // Last, because a log may lie on a disk that does not answer.
    if let Err(error) = append(report, &settings.log_dir) {
        missing.push(format!("the sweep's line in {}: {error}", settings.log_dir.display()));
    }
    missing
}

/// The last result of each trigger that ever swept since boot.
pub(crate) fn last_sweeps(runtime_dir: &Path) -> Vec<LastSweep> {
    [Trigger::Alert, Trigger::Cron, Trigger::Manual]
        .iter()
        .filter_map(|trigger| serde_json::from_slice(&fs::read(last_path(runtime_dir, *trigger)).ok()?).ok())
        .collect()
}

fn last_path(runtime_dir: &Path, trigger: Trigger) -> PathBuf {
    runtime_dir.join(format!("last-{}.json", trigger.as_str()))
}

fn append(report: &Report, log_dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(log_dir)?;
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    // One write a line, so that two sweeps cannot mix theirs.
    File::options().append(true).create(true).mode(0o640).open(log_dir.join(LOG))?.write_all(&line)
}

/// Writes a file as a whole or not at all: beside it, then renamed over it.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
