//! What a sweep leaves behind on the host: its report and its lines in the log, and its result for `measure`.
//! Best effort: a full disk must not stop a sweep.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::logbook::{Entry, LINES, REPORTS};
use crate::{
    config::sweep::SweepSettings,
    domain::{
        attempt::{Outcome, Trigger},
        report::Report,
    },
};

/// The result of the last sweep of one trigger, as `measure` exports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastSweep {
    pub(crate) trigger: Trigger,
    pub(crate) outcome: Outcome,
    pub(crate) started_at: Timestamp,
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
            started_at: report.started_at,
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
    for (name, text) in [(REPORTS, report_line(report)), (LINES, Ok(lines(report)))] {
        let path = settings.log_dir.join(name);
        if let Err(error) = text.and_then(|text| append(&path, &text)) {
            missing.push(format!("the sweep in {}: {error}", path.display()));
        }
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

fn report_line(report: &Report) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    Ok(line)
}

fn lines(report: &Report) -> Vec<u8> {
    Entry::all_of(report).iter().flat_map(|entry| format!("{entry}\n").into_bytes()).collect()
}

fn append(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    let file = File::options().read(true).append(true).create(true).mode(0o640).open(path)?;
    let metadata = file.metadata()?;
    let group = fs::metadata(folder)?.gid();
    if metadata.gid() != group {
        // Whoever may read the folder may read what lies in it; if not, root still may.
        let _ = fchown(&file, None, Some(group));
    }
    // A disk that was full has kept the beginning of a line: ours must not become its end.
    let mut whole = vec![];
    if metadata.len() > 0 {
        let mut last = [b'\n'];
        file.read_exact_at(&mut last, metadata.len() - 1)?;
        whole.extend((last != [b'\n']).then_some(b'\n'));
    }
    whole.extend(text);
    // One write, so that two sweeps cannot mix theirs.
    (&file).write_all(&whole)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweeper::logbook::tests::report;

    #[test]
    fn a_sweep_leaves_its_report_and_a_line_and_what_measure_exports() {
        let folder = tempfile::tempdir().unwrap();
        let settings = SweepSettings {
            runtime_dir: folder.path().to_owned(),
            log_dir: folder.path().join("log"),
            ..SweepSettings::default()
        };
        assert_eq!(keep(&report(1), &settings), Vec::<String>::new());
        assert_eq!(keep(&Report { dry_run: true, ..report(2) }, &settings), Vec::<String>::new());
        let read = |name: &str| fs::read_to_string(settings.log_dir.join(name)).unwrap();
        let reports: Vec<Report> =
            read(REPORTS).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(reports.len(), 2);
        assert_eq!(read(LINES).lines().count(), 2);
        assert!(read(LINES).starts_with("1970-01-01T00:00:01Z host=ray-80 trigger=cron "), "{}", read(LINES));
        let last = last_sweeps(&settings.runtime_dir);
        assert_eq!(
            last.iter().map(|last| last.finished_at.as_second()).collect::<Vec<_>>(),
            [1],
            "a dry run is a look"
        );
    }

    #[test]
    fn a_line_that_a_full_disk_has_cut_off_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "whole\nha").unwrap();
        append(&path, b"next\n").unwrap();
        append(&path, b"last\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\nha\nnext\nlast\n");
    }

    #[test]
    fn a_log_that_cannot_be_written_is_said_and_the_result_is_kept_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let settings = SweepSettings {
            runtime_dir: folder.path().to_owned(),
            log_dir: folder.path().join("last-cron.json/log"),
            ..SweepSettings::default()
        };
        assert_eq!(keep(&report(1), &settings).len(), 2);
        assert_eq!(last_sweeps(&settings.runtime_dir).len(), 1);
    }
}
