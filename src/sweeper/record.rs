//! What a sweep leaves behind on the host: its report and its lines in the log, and its result for `measure`.
//! Best effort: a full disk must not stop a sweep.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::logbook::{Entry, LINES, REPORTS};
use crate::{
    config::sweep::SweepSettings,
    domain::{
        attempt::{Mode, Outcome, Trigger},
        report::Report,
    },
};

/// No last result is longer.
const LAST_BYTES: u64 = 4096;

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
            freed_bytes: freed_bytes(report),
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

/// A host that only observes has freed nothing, whatever its report says would have gone.
fn freed_bytes(report: &Report) -> u64 {
    if report.mode == Mode::Enforce { report.freed_bytes } else { 0 }
}

/// The last result of each trigger that ever swept since boot, as far as it can be read.
pub(crate) fn last_sweeps(runtime_dir: &Path) -> Vec<LastSweep> {
    let last = |trigger| last_sweep(runtime_dir, trigger).ok().flatten();
    [Trigger::Alert, Trigger::Cron, Trigger::Manual].into_iter().filter_map(last).collect()
}

/// The last result of a trigger; none where it has not swept since boot.
pub(crate) fn last_sweep(runtime_dir: &Path, trigger: Trigger) -> io::Result<Option<LastSweep>> {
    let text = match read_short(&last_path(runtime_dir, trigger), LAST_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let last: LastSweep = serde_json::from_slice(&text)?;
    if last.trigger == trigger {
        Ok(Some(last))
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is of a sweep by {}", last.trigger.as_str()),
        ))
    }
}

/// Reads a file that is ours and has to be short. What is none, such as a pipe, is not waited for.
pub(crate) fn read_short(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    let mut text = vec![];
    file.take(most + 1).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {most} bytes")));
    }
    Ok(text)
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
    fn a_host_that_only_observes_has_freed_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let settings = SweepSettings {
            runtime_dir: folder.path().to_owned(),
            log_dir: folder.path().join("log"),
            ..SweepSettings::default()
        };
        for (mode, freed_bytes) in [(Mode::Observe, 0), (Mode::Enforce, 7)] {
            keep(&Report { mode, freed_bytes: 7, ..report(1) }, &settings);
            assert_eq!(last_sweeps(&settings.runtime_dir)[0].freed_bytes, freed_bytes, "{mode:?}");
        }
    }

    #[test]
    fn a_last_result_that_is_none_is_said_and_neither_waited_for_nor_read_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-cron.json");
        let read = || last_sweep(folder.path(), Trigger::Cron);
        assert_eq!(read().unwrap(), None);
        let alert = Report { trigger: Trigger::Alert, ..report(1) };
        let settings = SweepSettings { runtime_dir: folder.path().to_owned(), ..SweepSettings::default() };
        // Its log has no place here; its result has.
        keep(&alert, &SweepSettings { log_dir: folder.path().join("log"), ..settings });
        let of_another = fs::read_to_string(folder.path().join("last-alert.json")).unwrap();
        let of_cron = of_another.replace("alert", "cron");
        for text in ["", "{", "[]", "{}", &of_cron[..of_cron.len() - 1], &of_another] {
            fs::write(&path, text).unwrap();
            read().unwrap_err();
        }
        fs::write(&path, &of_cron).unwrap();
        assert_eq!(read().unwrap().unwrap().finished_at.as_second(), 1);
        // As long as no disk is: what is read of it is bounded.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(read().unwrap_err().to_string().contains("longer than 4096 bytes"));
        fs::rename(&path, folder.path().join("long")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(read().unwrap_err().to_string(), "it is no file");
        fs::rename(&path, folder.path().join("pipe")).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(read().unwrap_err().to_string(), "it is no file");
        assert_eq!(last_sweeps(folder.path()).len(), 1);
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
