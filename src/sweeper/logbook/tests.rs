use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use expect_test::expect;
use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::domain::{
    attempt::Mode,
    evidence::Evidence,
    report::{Class, Kept, KeptBecause, Removed, SCHEMA},
};

/// A report that ended so many seconds after the epoch.
pub(crate) fn report(second: i64) -> Report {
    let finished_at = Timestamp::from_second(second).unwrap();
    Report {
        schema: SCHEMA,
        attempt: "01890000-0000-7000-8000-000000000000".parse().unwrap(),
        host: "ray-80".to_owned(),
        version: "0.1.0".to_owned(),
        trigger: Trigger::Cron,
        mode: Mode::Enforce,
        dry_run: false,
        started_at: finished_at,
        finished_at,
        outcome: Outcome::NothingToFree,
        reason: None,
        freed_bytes: 0,
        disks: vec![],
        workers: vec![],
        prune: None,
        backstop: None,
    }
}

fn worker(name: &str, verdict: Verdict) -> WorkerReport {
    WorkerReport {
        name: name.to_owned(),
        runtime: "docker".to_owned(),
        state: Some(WorkerState::NoJob),
        verdict,
        note: None,
        tmp_before_bytes: 0,
        tmp_after_bytes: 0,
        freed_bytes: 0,
        evidence: vec![],
        removed: vec![],
        kept: vec![],
        errors: vec![],
        cut: 0,
    }
}

fn lines(report: &Report) -> String {
    let lines: Vec<_> = Entry::all_of(report).iter().map(Entry::to_string).collect();
    lines.join("\n") + "\n"
}

#[test]
fn each_worker_has_a_line_that_says_why() {
    let removed = |class, bytes| Removed { class, path: "x".to_owned(), bytes, files: 1 };
    let kept = Kept {
        class: Class::Tmp,
        path: "tmpa".to_owned(),
        bytes: 5_000_000,
        why: KeptBecause::TooYoung,
        detail: String::new(),
        pid: None,
    };
    let cleaned = WorkerReport {
        freed_bytes: 3_000_000_000,
        removed: vec![
            removed(Class::Tmp, 500_000_000),
            removed(Class::Pip, 2_000_000_000),
            removed(Class::Tmp, 500_000_000),
        ],
        kept: vec![kept],
        ..worker("ray-worker-1", Verdict::Cleaned)
    };
    let active = WorkerReport {
        state: Some(WorkerState::Active),
        evidence: vec![
            Evidence::of_process(EvidenceKind::RayTask, 1655, "ray::train"),
            Evidence::of_process(EvidenceKind::RayTask, 1656, "ray::train"),
            Evidence::new(EvidenceKind::LiveJob, "job 01000000"),
        ],
        ..worker("ray-worker-2", Verdict::Active)
    };
    let failed = WorkerReport {
        state: None,
        errors: vec!["no \"way\"\nin".to_owned()],
        ..worker("an odd=name", Verdict::Failed)
    };
    let prune =
        PruneReport { mode: "safe".to_owned(), freed_bytes: 1_000_000, removed: 2, ..PruneReport::default() };
    let report = Report {
        outcome: Outcome::Freed,
        workers: vec![cleaned, active, failed],
        prune: Some(prune),
        ..report(1_800_000_000)
    };
    expect![[r#"
        2027-01-15T08:00:00Z host=ray-80 trigger=cron outcome=freed worker=ray-worker-1 state=no_job verdict=cleaned freed=3.0GB why="removed 2.0GB pip, 1.0GB tmp; kept 5.0MB too_young" attempt=01890000-0000-7000-8000-000000000000
        2027-01-15T08:00:00Z host=ray-80 trigger=cron outcome=freed worker=ray-worker-2 state=active verdict=active freed=0B why="seen ray_task pid 1655, live_job" attempt=01890000-0000-7000-8000-000000000000
        2027-01-15T08:00:00Z host=ray-80 trigger=cron outcome=freed worker="an odd=name" state=- verdict=failed freed=0B why="no \"way\"\\u{a}in" attempt=01890000-0000-7000-8000-000000000000
        2027-01-15T08:00:00Z host=ray-80 trigger=cron outcome=freed worker=- state=- verdict=- freed=1.0MB why="prune safe: 1.0MB in 2" attempt=01890000-0000-7000-8000-000000000000
    "#]]
    .assert_eq(&lines(&report));
}

#[test]
fn a_sweep_without_a_worker_has_a_line_too_and_no_text_begins_another_one() {
    let reason = Some(format!("another sweep runs\nhere {}", "x".repeat(10_000)));
    let text = lines(&Report { outcome: Outcome::Busy, reason, ..report(0) });
    assert!(
        text.starts_with("1970-01-01T00:00:00Z host=ray-80 trigger=cron outcome=busy worker=- "),
        "{text}"
    );
    assert!(text.lines().count() == 1 && text.len() < 1000, "{text}");
}

/// A folder of logs and somebody who reads it.
struct Log {
    folder: tempfile::TempDir,
}

impl Log {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn add(&self, name: &str, seconds: &[i64]) {
        let mut file = File::options().append(true).create(true).open(self.path().join(name)).unwrap();
        file.write_all(&text(seconds)).unwrap();
    }

    fn pack(&self, name: &str, seconds: &[i64]) {
        let file = File::create(self.path().join(name)).unwrap();
        let mut packed = GzEncoder::new(file, Compression::fast());
        packed.write_all(&text(seconds)).unwrap();
        packed.finish().unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path().join(from), self.path().join(to)).unwrap();
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn begin(&self) -> (Following, Vec<i64>) {
        let mut seen = vec![];
        let mut take = |report: Report| seen.push(report.finished_at.as_second());
        let following = Following::begin(self.path(), &mut take).unwrap();
        (following, seen)
    }
}

fn text(seconds: &[i64]) -> Vec<u8> {
    let line = |second: &i64| [serde_json::to_vec(&report(*second)).unwrap(), b"\n".to_vec()].concat();
    seconds.iter().flat_map(line).collect()
}

fn news(following: &mut Following) -> Vec<i64> {
    let mut seen = vec![];
    following.news(&mut |report: Report| seen.push(report.finished_at.as_second())).unwrap();
    seen
}

#[test]
fn what_was_rotated_and_packed_is_read_in_order_each_once() {
    let log = Log::new();
    log.add(REPORTS, &[9, 10]);
    log.add("sweeps.jsonl.1", &[7, 8]);
    log.pack("sweeps.jsonl.10.gz", &[1, 2]);
    log.pack("sweeps.jsonl.2.gz", &[5, 6]);
    log.pack("sweeps.jsonl-20260105.gz", &[3, 4]);
    // Half packed, beside the one that is packed.
    fs::write(log.path().join("sweeps.jsonl.1.gz"), b"\x1f\x8b").unwrap();
    fs::write(log.path().join("sweeps.jsonl.3"), b"").unwrap();
    log.add("sweeps.log", &[99]);
    let (following, seen) = log.begin();
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(following.unreadable(), 0);
}

#[test]
fn a_damaged_file_ends_at_its_damage_and_the_others_are_read() {
    let log = Log::new();
    log.add(REPORTS, &[3]);
    log.pack("sweeps.jsonl.1.gz", &[1, 2]);
    let whole = fs::read(log.path().join("sweeps.jsonl.1.gz")).unwrap();
    // What logrotate leaves of a half that it found in its way.
    fs::write(log.path().join("sweeps.jsonl.1.gz-2026010507.backup"), &whole[..whole.len() / 2]).unwrap();
    let (following, seen) = log.begin();
    assert!(seen.ends_with(&[3]) && seen.contains(&1) && seen.contains(&2), "{seen:?}");
    assert_eq!(following.unreadable(), 1);
}

#[test]
fn what_is_added_is_read_through_every_way_to_rotate() {
    let log = Log::new();
    let (mut following, seen) = log.begin();
    assert!(seen.is_empty(), "no file yet");
    log.add(REPORTS, &[1]);
    assert_eq!(news(&mut following), [1]);
    assert!(news(&mut following).is_empty());
    log.add(REPORTS, &[2]);
    log.rename(REPORTS, "sweeps.jsonl.1");
    assert_eq!(news(&mut following), [2], "from the file that has another name by now");
    log.add(REPORTS, &[3]);
    assert_eq!(news(&mut following), [3]);
    // Somebody had opened it before it was renamed.
    log.add("sweeps.jsonl.1", &[4]);
    assert_eq!(news(&mut following), [4]);
    File::options().write(true).truncate(true).open(log.path().join(REPORTS)).unwrap();
    assert!(news(&mut following).is_empty());
    log.add(REPORTS, &[5]);
    assert_eq!(news(&mut following), [5], "after a cut");
}

#[test]
fn a_line_is_read_once_it_is_whole_and_what_is_no_report_is_counted() {
    let log = Log::new();
    fs::write(log.path().join(REPORTS), b"{\"schema\":1,\n\nno report\n").unwrap();
    log.add(REPORTS, &[1]);
    let (mut following, seen) = log.begin();
    assert_eq!((seen.as_slice(), following.unreadable()), (&[1][..], 2));
    let whole = text(&[2]);
    let mut file = File::options().append(true).open(log.path().join(REPORTS)).unwrap();
    file.write_all(&whole[..20]).unwrap();
    assert!(news(&mut following).is_empty());
    file.write_all(&whole[20..]).unwrap();
    assert_eq!(news(&mut following), [2]);
}
