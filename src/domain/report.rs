//! The report of a sweep, schema 1: one JSON line, the same on standard output, in the host's log
//! and in the journal.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    attempt::{AttemptId, Mode, Outcome, Trigger},
    backstop::{self, Backstop, Stood},
    evidence::{Evidence, EvidenceKind, WorkerState},
    line::{line, line_within},
};

mod blank;

/// What holds a host's space, in the few words that metrics and a person on call can take in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// Bytes that were kept, by the rule that kept them.
    #[serde(default)]
    pub kept_bytes: BTreeMap<String, u64>,
    /// How many signs of work or of a live job there were, by kind.
    #[serde(default)]
    pub signs: BTreeMap<String, u64>,
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept_bytes.iter().map(|(why, bytes)| format!("{bytes} bytes {why}"));
        let signs = self.signs.iter().map(|(kind, count)| format!("{count} {kind}"));
        let all: Vec<_> = kept.chain(signs).collect();
        f.write_str(if all.is_empty() { "nothing that was reported" } else { "" })?;
        f.write_str(&all.join(", "))
    }
}

/// What a report tells of its host at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The host's mode.
    pub mode: Mode,
    /// The version of the binary that swept.
    pub version: String,
    /// What was measured, where the sweep looked at the workers.
    pub measured: Option<Measured>,
    /// How its backstop stood, where it tells.
    pub backstop: Option<Stood>,
}

/// What a sweep measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The disks under the temp roots.
    pub disks: Vec<Disk>,
    /// Bytes under all temp roots after it.
    pub tmp_bytes: u64,
}

/// The version of the report that this binary writes and reads.
pub const SCHEMA: u32 = 1;

/// So many entries of each list are reported, the largest; the report says how many are left out.
pub const LISTED: usize = 100;

/// A text as a report tells it: one line of bounded length. Paths, errors and what processes say of
/// themselves may be of any length, and one worker's must not crowd out all others'.
pub fn told(text: &(impl fmt::Display + ?Sized)) -> String {
    const CHARACTERS: usize = 500;
    line_within(text, CHARACTERS)
}

/// What one sweep of a host did and saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this shape.
    pub schema: u32,
    /// The attempt's identity.
    pub attempt: AttemptId,
    /// The host's own name for itself (its node name).
    pub host: String,
    /// The version of the binary that swept.
    pub version: String,
    /// Who asked.
    pub trigger: Trigger,
    /// The host's mode.
    pub mode: Mode,
    /// Whether the caller asked for nothing to be deleted.
    pub dry_run: bool,
    /// When the sweep began, by the host's clock.
    pub started_at: Timestamp,
    /// When it ended, by the host's clock.
    pub finished_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, in one sentence, where the outcome alone does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Bytes freed; in observe mode and dry runs, bytes that would have been.
    pub freed_bytes: u64,
    /// The disks under the temp roots, before and after.
    pub disks: Vec<Disk>,
    /// A verdict for each worker.
    pub workers: Vec<WorkerReport>,
    /// What the prune did, where one ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<PruneReport>,
    /// What the host knows of its own sweeps by cron; absent from versions that do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "backstop::if_readable")]
    pub backstop: Option<Backstop>,
}

/// A file system under one or more temp roots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// What tells the file system: its device number, as `major:minor`.
    pub mount: String,
    /// The temp roots on it, as `WORKER:PATH` with the path inside the worker; nothing from versions that do not
    /// tell. Of what several workers share, the first one's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub temp_roots: Vec<String>,
    /// Its size.
    pub size_bytes: u64,
    /// What was available to unprivileged users before the sweep.
    pub avail_before_bytes: u64,
    /// What is available after it.
    pub avail_after_bytes: u64,
}

impl Disk {
    /// A few of its temp roots, which tell a person which disk it is: `a:/tmp, b:/tmp and 4 more`.
    pub fn some_roots(&self) -> Option<String> {
        const SOME: usize = 3;
        let (some, rest) = self.temp_roots.split_at(self.temp_roots.len().min(SOME));
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        (!some.is_empty()).then(|| some.join(", ") + &more)
    }
}

/// What was decided for one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Something was removed.
    Cleaned,
    /// Something would have been removed (observe mode, or a dry run).
    WouldClean,
    /// The worker is at work, and nothing that may go in any state was there.
    Active,
    /// There is too little to be worth looking at.
    BelowThreshold,
    /// Nothing that may go was there.
    NothingToRemove,
    /// The worker could not be swept; its errors say why.
    Failed,
}

impl Verdict {
    /// The verdict as report, table and log write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cleaned => "cleaned",
            Self::WouldClean => "would_clean",
            Self::Active => "active",
            Self::BelowThreshold => "below_threshold",
            Self::NothingToRemove => "nothing_to_remove",
            Self::Failed => "failed",
        }
    }
}

/// One worker's part of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// The container's name, or `host` for bare metal.
    pub name: String,
    /// What runs it: `docker`, `podman`, `bare` or `unknown`.
    pub runtime: String,
    /// Its state; absent where it was not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<WorkerState>,
    /// What was decided.
    pub verdict: Verdict,
    /// What else a person should know, such as with whom it shares its temp root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Bytes under its temp root before.
    pub tmp_before_bytes: u64,
    /// Bytes under its temp root after.
    pub tmp_after_bytes: u64,
    /// Bytes freed, or that would have been.
    pub freed_bytes: u64,
    /// The signs that led to the state.
    pub evidence: Vec<Evidence>,
    /// What was removed, or would have been; largest first.
    pub removed: Vec<Removed>,
    /// What was kept and why; largest first.
    pub kept: Vec<Kept>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// How many entries the lists above leave out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: u64,
}

/// Something that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// What kind of leftover it was.
    pub class: Class,
    /// Its path inside the worker, with what is not UTF-8 escaped.
    pub path: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// Files and folders.
    pub files: u64,
}

/// Something that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What kind of leftover it is.
    pub class: Class,
    /// Its path inside the worker, with what is not UTF-8 escaped.
    pub path: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// The rule that keeps it.
    pub why: KeptBecause,
    /// The rule in words, with the figures it was judged by.
    pub detail: String,
    /// The process that uses it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
}

/// The classes of what may lie under a temp root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// `ray_tmp_*`: code packaging.
    RayTmp,
    /// `pip-*`: package installation.
    Pip,
    /// `tmp*`: whatever a task made with `tempfile`.
    Tmp,
    /// `checkpoint_tmp_*`: checkpoints on their way.
    CheckpointTmp,
    /// Data of a dead session: spilled objects, `runtime_resources`, sockets.
    DeadSession,
    /// Logs of a dead session.
    DeadSessionLogs,
    /// `logs/old/*` and logs of dead processes in a live session.
    SessionLogs,
    /// What an earlier sweep detached and did not finish.
    Detached,
}

impl Class {
    /// The class as report, table and settings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RayTmp => "ray_tmp",
            Self::Pip => "pip",
            Self::Tmp => "tmp",
            Self::CheckpointTmp => "checkpoint_tmp",
            Self::DeadSession => "dead_session",
            Self::DeadSessionLogs => "dead_session_logs",
            Self::SessionLogs => "session_logs",
            Self::Detached => "detached",
        }
    }
}

/// The rule that kept something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptBecause {
    /// The worker is at work; what is held by name alone cannot be told from what is not.
    WorkerActive,
    /// A job is alive and may come back for it.
    JobAlive,
    /// It changed too short a time ago.
    TooYoung,
    /// A process has it open, mapped, locked, bound, as its folder, or names it.
    InUse,
    /// Somebody who was not judged can write to the temp root, and may hold it by name.
    Shared,
    /// It belongs to a session that was dead at the first look, and that somebody names again at the second.
    SessionLive,
    /// The newest dead session's logs stay for the post-mortem.
    NewestDeadSession,
    /// Something is mounted in it.
    Mount,
    /// It lies in an image layer: removing it frees nothing.
    ImageLayer,
    /// Its name leaves no room for the prefix under which it would be detached.
    NameTooLong,
    /// Something took its name while it was detached; both stay.
    NameTaken,
    /// It could not be read or removed; the detail says why.
    Error,
    /// The sweep's deadline came first.
    Deadline,
}

impl KeptBecause {
    /// The rule as report, table and page write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WorkerActive => "worker_active",
            Self::JobAlive => "job_alive",
            Self::TooYoung => "too_young",
            Self::InUse => "in_use",
            Self::Shared => "shared",
            Self::SessionLive => "session_live",
            Self::NewestDeadSession => "newest_dead_session",
            Self::Mount => "mount",
            Self::ImageLayer => "image_layer",
            Self::NameTooLong => "name_too_long",
            Self::NameTaken => "name_taken",
            Self::Error => "error",
            Self::Deadline => "deadline",
        }
    }
}

/// What a prune of the container runtime did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneReport {
    /// The mode that root set: `off`, `safe` or `system`.
    pub mode: String,
    /// Bytes freed, as the runtime says.
    pub freed_bytes: u64,
    /// Images, layers and containers removed.
    pub removed: u64,
    /// What somebody else was at work on at the same time, and was left to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub busy: Vec<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

/// Why a text is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Nothing came, or not a complete line.
    #[error("no complete report line in {0} bytes of output")]
    Incomplete(usize),
    /// Not JSON, or not of this shape.
    #[error("the report cannot be read: {}", line(source))]
    Shape {
        /// What is wrong with it, in words that may be the host's.
        #[from]
        source: serde_json::Error,
    },
    /// A version that this binary does not know.
    #[error("the report has schema {0}; this binary reads {SCHEMA}")]
    Schema(u32),
    /// It is somebody else's.
    #[error("the report is of attempt {found}, not of {expected}")]
    OtherAttempt {
        /// The attempt that was asked for.
        expected: AttemptId,
        /// The attempt that the report names.
        found: AttemptId,
    },
}

impl Report {
    /// What holds the host's space after this sweep.
    pub fn holds(&self) -> Holds {
        let mut holds = Holds::default();
        for worker in &self.workers {
            for Kept { why, bytes, .. } in &worker.kept {
                let sum = holds.kept_bytes.entry(why.as_str().to_owned()).or_default();
                *sum = sum.saturating_add(*bytes);
            }
            for Evidence { kind, .. } in &worker.evidence {
                if *kind != EvidenceKind::NoJob {
                    *holds.signs.entry(kind.as_str().to_owned()).or_default() += 1;
                }
            }
        }
        holds
    }

    /// What it tells of its host at a glance. A sweep that did not look at any worker has measured nothing.
    pub fn seen(&self) -> Seen {
        let measured = (!self.workers.is_empty()).then(|| Measured {
            disks: self.disks.clone(),
            tmp_bytes: self
                .workers
                .iter()
                .fold(0, |sum: u64, worker| sum.saturating_add(worker.tmp_after_bytes)),
        });
        let backstop = self.backstop.as_ref().map(|backstop| backstop.at(self.finished_at));
        Seen { mode: self.mode, version: self.version.clone(), measured, backstop }
    }

    /// Reads the one line that a sweep prints. A cut line is never a report: the line's end is what
    /// says that it is complete.
    pub fn from_line(output: &[u8], expected: AttemptId) -> Result<Self, ReportError> {
        let report = Self::of_any_attempt(output)?;
        if report.attempt != expected {
            return Err(ReportError::OtherAttempt { expected, found: report.attempt });
        }
        Ok(report)
    }

    /// The same, of a sweep that has named itself.
    pub fn of_any_attempt(output: &[u8]) -> Result<Self, ReportError> {
        let line = output
            .strip_suffix(b"\n")
            .map(|complete| complete.rsplit(|b| *b == b'\n').next().unwrap_or(complete))
            .filter(|line| !line.is_empty())
            .ok_or(ReportError::Incomplete(output.len()))?;
        let report: Self = serde_json::from_slice(line)?;
        if report.schema != SCHEMA {
            return Err(ReportError::Schema(report.schema));
        }
        Ok(report)
    }
}

// The signature is the one that serde asks for.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report() -> Report {
        Report { outcome: Outcome::Freed, freed_bytes: 1, ..Report::blank() }
    }

    #[test]
    fn a_report_cut_at_any_byte_is_not_a_report() {
        let report = report();
        let mut line = serde_json::to_vec(&report).unwrap();
        line.push(b'\n');
        assert_eq!(Report::from_line(&line, report.attempt).unwrap(), report);
        for end in 0..line.len() {
            assert!(Report::from_line(&line[..end], report.attempt).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_report_of_another_attempt_is_not_ours() {
        let mut line = serde_json::to_vec(&report()).unwrap();
        line.push(b'\n');
        let error = Report::from_line(&line, AttemptId::now()).unwrap_err();
        assert!(matches!(error, ReportError::OtherAttempt { .. }));
    }

    /// Hosts of an older version tell nothing of it, one of a newer one may tell it otherwise.
    #[test]
    fn a_report_counts_whatever_it_says_of_the_backstop() {
        let report = report();
        assert_eq!(report.seen().backstop, None);
        let readable = json!({ "interval_secs": 3600, "last": { "finished_at": "1970-01-01T00:00:00Z",
            "outcome": "held" }, "more": 1 });
        let mut text = serde_json::to_value(&report).unwrap();
        for (said, expected) in [
            (readable, Some(Some((0, Outcome::Held)))),
            (json!({ "interval_secs": 60 }), Some(None)),
            (json!(null), None),
            (json!("yes"), None),
            (json!([{}]), None),
            (json!({ "interval_secs": -1 }), None),
            (json!({ "interval_secs": 1, "last": { "finished_at": "soon", "outcome": "held" } }), None),
            (
                json!({ "interval_secs": 1, "last": { "finished_at": "1970-01-01T00:00:00Z", "outcome": "x" } }),
                None,
            ),
        ] {
            text["backstop"] = said;
            let read = Report::from_line(format!("{text}\n").as_bytes(), report.attempt).unwrap();
            assert_eq!(read.seen().backstop.map(|stood| stood.last), expected, "{text}");
            assert_eq!(Report { backstop: None, ..read }, report);
        }
    }

    #[test]
    fn a_host_cannot_write_a_line_of_our_log_with_its_report() {
        let mut report = serde_json::to_value(report()).unwrap();
        report["outcome"] = "x\n2026-01-05T10:00:00Z  INFO raysweep: attempt ended".repeat(1000).into();
        let error = Report::from_line(format!("{report}\n").as_bytes(), AttemptId::now()).unwrap_err();
        let told = error.to_string();
        assert!(told.contains(r"x\u{a}2026-01-05") && !told.contains(char::is_control), "{told}");
        assert!(told.len() < 1000, "{told}");
    }
}
