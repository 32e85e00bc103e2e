//! A host's own log of its sweeps: what one line of it says, and reading it back, as it was rotated and as it
//! grows. `record` writes it.

mod following;
mod past;

use std::fmt;

use bytesize::ByteSize;
use jiff::Timestamp;
use serde::Serialize;

use crate::domain::{
    attempt::{AttemptId, Outcome, Trigger},
    evidence::{EvidenceKind, WorkerState},
    line::line,
    report::{PruneReport, Report, Verdict, WorkerReport},
};

pub use following::Following;

/// The whole reports, one a line.
pub(crate) const REPORTS: &str = "sweeps.jsonl";
/// A line a worker, for people and grep.
pub(crate) const LINES: &str = "sweeps.log";

/// What a sweep did with one worker; or with the host as a whole, where there is something to say of that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When the sweep ended.
    pub time: Timestamp,
    /// The host, as it calls itself.
    pub host: String,
    /// Which sweep it was.
    pub attempt: AttemptId,
    /// Who asked for it.
    pub trigger: Trigger,
    /// How the sweep ended.
    pub outcome: Outcome,
    /// The worker; absent for the host as a whole.
    pub worker: Option<String>,
    /// The worker's state, where it was looked at.
    pub state: Option<WorkerState>,
    /// What was decided for the worker.
    pub verdict: Option<Verdict>,
    /// Bytes freed, or that would have been.
    pub freed_bytes: u64,
    /// Why: what went, what holds the rest, what went wrong. Of bounded length.
    pub why: String,
}

impl Entry {
    /// A sweep's lines: one a worker, and one of the host where it had none, where something went wrong as a
    /// whole, or where the container runtime was pruned.
    pub fn all_of(report: &Report) -> Vec<Self> {
        let of_host = Self {
            time: report.finished_at,
            host: report.host.clone(),
            attempt: report.attempt,
            trigger: report.trigger,
            outcome: report.outcome,
            worker: None,
            state: None,
            verdict: None,
            freed_bytes: report.prune.as_ref().map_or(0, |prune| prune.freed_bytes),
            why: why_of_host(report),
        };
        let of_worker = |worker: &WorkerReport| Self {
            worker: Some(worker.name.clone()),
            state: worker.state,
            verdict: Some(worker.verdict),
            freed_bytes: worker.freed_bytes,
            why: why_of_worker(worker),
            ..of_host.clone()
        };
        let mut entries: Vec<_> = report.workers.iter().map(of_worker).collect();
        if entries.is_empty() || !of_host.why.is_empty() {
            entries.push(of_host);
        }
        entries
    }
}

impl fmt::Display for Entry {
    /// `NAME=VALUE`, so that grep finds what is meant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, host, attempt, trigger, outcome, worker, state, verdict, freed_bytes, why } = self;
        write!(f, "{} host={}", time.strftime("%FT%TZ"), Word(host))?;
        write!(f, " trigger={} outcome={}", trigger.as_str(), outcome.as_str())?;
        write!(f, " worker={}", Word(worker.as_deref().unwrap_or("-")))?;
        write!(f, " state={}", state.map_or("-", WorkerState::as_str))?;
        write!(f, " verdict={}", verdict.map_or("-", Verdict::as_str))?;
        write!(f, " freed={} why={:?} attempt={attempt}", size(*freed_bytes), line(why))
    }
}

/// A text from elsewhere that is one word of a line, in quotes where it would be more.
struct Word<'t>(&'t str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = line(self.0);
        if text.is_empty() || text.contains([' ', '"', '\\', '=']) {
            write!(f, "{text:?}")
        } else {
            f.write_str(&text)
        }
    }
}

/// Without a space: it is a word of the line.
fn size(bytes: u64) -> String {
    ByteSize(bytes).display().si().to_string().replace(' ', "")
}

fn why_of_host(report: &Report) -> String {
    let mut whys: Vec<String> = report.reason.iter().cloned().collect();
    if let Some(PruneReport { mode, freed_bytes, removed, busy: _, errors }) = &report.prune {
        if *removed > 0 || *freed_bytes > 0 {
            whys.push(format!("prune {mode}: {} in {removed}", size(*freed_bytes)));
        }
        whys.extend(errors.iter().map(|error| format!("prune {mode}: {error}")));
    }
    line(&whys.join("; "))
}

/// What went wrong comes first, because the end may be cut off.
fn why_of_worker(worker: &WorkerReport) -> String {
    let mut whys = worker.errors.clone();
    let went = if worker.verdict == Verdict::WouldClean { "would remove" } else { "removed" };
    whys.extend(sums(went, worker.removed.iter().map(|removed| (removed.class.as_str(), removed.bytes))));
    // What takes no space holds none.
    let kept = worker.kept.iter().filter(|kept| kept.bytes > 0);
    whys.extend(sums("kept", kept.map(|kept| (kept.why.as_str(), kept.bytes))));
    whys.extend(signs(worker));
    whys.extend(worker.note.clone());
    line(&whys.join("; "))
}

/// `removed 3.0GB pip, 1.0GB tmp`: the most first.
fn sums<'n>(what: &str, parts: impl Iterator<Item = (&'n str, u64)>) -> Option<String> {
    let mut sums: Vec<(&str, u64)> = vec![];
    for (name, bytes) in parts {
        match sums.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum = sum.saturating_add(bytes),
            None => sums.push((name, bytes)),
        }
    }
    sums.sort_by_key(|(name, bytes)| (std::cmp::Reverse(*bytes), *name));
    let words: Vec<_> = sums.iter().map(|(name, bytes)| format!("{} {name}", size(*bytes))).collect();
    (!words.is_empty()).then(|| format!("{what} {}", words.join(", ")))
}

/// Who is at work, by kind and the first one's pid.
fn signs(worker: &WorkerReport) -> Option<String> {
    let mut kinds: Vec<(EvidenceKind, Option<i32>)> = vec![];
    for sign in worker.evidence.iter().filter(|sign| sign.kind != EvidenceKind::NoJob) {
        if kinds.iter().all(|(kind, _)| *kind != sign.kind) {
            kinds.push((sign.kind, sign.pid));
        }
    }
    let words: Vec<_> = kinds
        .iter()
        .map(|(kind, pid)| {
            pid.map_or_else(|| kind.as_str().to_owned(), |pid| format!("{} pid {pid}", kind.as_str()))
        })
        .collect();
    (!words.is_empty()).then(|| format!("seen {}", words.join(", ")))
}

#[cfg(test)]
pub(crate) mod tests;
