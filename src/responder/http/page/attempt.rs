//! An attempt's page: its report as a person reads it.

use askama::Template;
use jiff::Timestamp;

use super::{
    Frame,
    attempts::{outcome, took},
    words::{BAD, GOOD, PLAIN, Tone, WATCH, ago, instant, size, stored_size, words},
};
use crate::{
    domain::{
        incident::IncidentId,
        report::{Disk, PruneReport, Report, Verdict, WorkerReport},
    },
    responder::journal::AttemptView,
};

/// An attempt's page.
#[derive(Debug, Template)]
#[template(path = "attempt.html")]
pub(super) struct AttemptPage {
    frame: Frame,
    id: String,
    host: String,
    word: String,
    tone: Tone,
    summary: String,
    facts: Vec<Fact>,
    incident: Option<IncidentId>,
    report: Option<ReportShown>,
    without: String,
}

/// A name and what is to be said of it.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) text: String,
}

#[derive(Debug)]
struct ReportShown {
    disks: Vec<DiskShown>,
    workers: Vec<WorkerShown>,
    prune: Option<String>,
}

#[derive(Debug)]
struct DiskShown {
    name: String,
    size: String,
    before: String,
    after: String,
}

#[derive(Debug)]
struct WorkerShown {
    name: String,
    verdict: String,
    tone: Tone,
    text: String,
    note: Option<String>,
    errors: Vec<String>,
    evidence: Vec<Sign>,
    kept: Vec<KeptShown>,
    removed: Vec<RemovedShown>,
    removed_caption: &'static str,
    cut: u64,
}

#[derive(Debug)]
struct Sign {
    kind: String,
    pid: String,
    detail: String,
}

#[derive(Debug)]
struct KeptShown {
    path: String,
    size: String,
    rule: String,
    why: String,
}

#[derive(Debug)]
struct RemovedShown {
    path: String,
    class: String,
    size: String,
    files: u64,
}

impl AttemptPage {
    pub(super) fn new(frame: Frame, attempt: &AttemptView, now: Timestamp) -> Self {
        // One of another version may have another shape: then the JSON is all there is.
        let report: Option<Report> =
            attempt.report.as_ref().and_then(|report| serde_json::from_str(report.get()).ok());
        let (word, tone) = outcome(attempt);
        Self {
            frame,
            id: attempt.id.clone(),
            host: attempt.host.clone(),
            word,
            tone,
            summary: summary(attempt, report.as_ref()),
            facts: facts(attempt, report.as_ref(), now),
            incident: attempt.incident,
            without: without(attempt),
            report: report.map(ReportShown::new),
        }
    }
}

fn summary(attempt: &AttemptView, report: Option<&Report>) -> String {
    let freed =
        attempt.freed_bytes.filter(|bytes| *bytes > 0).map(|bytes| format!("{} freed", stored_size(bytes)));
    let said =
        report.and_then(|report| report.reason.clone()).or_else(|| attempt.reason.as_deref().map(words));
    freed.into_iter().chain(said).collect::<Vec<_>>().join("; ")
}

fn facts(attempt: &AttemptView, report: Option<&Report>, now: Timestamp) -> Vec<Fact> {
    let at = |at: Timestamp| format!("{} UTC, {}", instant(at), ago(at, now));
    let mode = report.map(|report| {
        let dry_run = if report.dry_run { ", dry run: nothing was to be deleted" } else { "" };
        format!("{}{dry_run}", report.mode.as_str())
    });
    [
        ("Asked for by", Some(asked_for_by(attempt))),
        ("Asked for", Some(at(attempt.queued_at))),
        ("Began", attempt.started_at.map(at)),
        ("Let in", attempt.connected_at.map(at)),
        ("Ended", attempt.finished_at.map(at)),
        ("Took", took(attempt)),
        ("Mode", mode),
        ("raysweep there", report.map(|report| report.version.clone())),
        ("Its own name", report.map(|report| report.host.clone())),
        ("Replay", attempt.replay.clone()),
    ]
    .into_iter()
    .filter_map(|(name, text)| Some(Fact { name, text: text? }))
    .collect()
}

/// What asked, and which person that was.
fn asked_for_by(attempt: &AttemptView) -> String {
    let AttemptView { trigger, asked_by, .. } = attempt;
    asked_by.as_ref().map_or_else(|| trigger.clone(), |who| format!("{trigger}, {who}"))
}

fn without(attempt: &AttemptView) -> String {
    match (&attempt.report, attempt.finished_at) {
        (Some(_), _) => "it has a shape that this version does not know; the JSON below has it".to_owned(),
        (None, Some(_)) => {
            let why = attempt.reason.as_deref().map_or_else(|| "none came".to_owned(), words);
            format!("{why}. docs/failures.md says what that means and what to do")
        }
        (None, None) => "it comes when the attempt ends".to_owned(),
    }
}

impl ReportShown {
    fn new(report: Report) -> Self {
        let Report { disks, workers, prune, .. } = report;
        Self {
            disks: disks.into_iter().map(DiskShown::new).collect(),
            workers: workers.into_iter().map(WorkerShown::new).collect(),
            prune: prune.as_ref().map(pruned),
        }
    }
}

impl DiskShown {
    fn new(disk: Disk) -> Self {
        let Disk { mount, size_bytes, avail_before_bytes, avail_after_bytes } = disk;
        Self {
            name: mount,
            size: size(size_bytes),
            before: size(avail_before_bytes),
            after: size(avail_after_bytes),
        }
    }
}

impl WorkerShown {
    fn new(worker: WorkerReport) -> Self {
        let text = text(&worker);
        let WorkerReport { name, verdict, note, evidence, removed, kept, errors, cut, .. } = worker;
        let tone = match verdict {
            Verdict::Cleaned | Verdict::WouldClean => GOOD,
            Verdict::Active => WATCH,
            Verdict::Failed => BAD,
            Verdict::BelowThreshold | Verdict::NothingToRemove => PLAIN,
        };
        let would = verdict == Verdict::WouldClean;
        Self {
            name,
            verdict: words(verdict.as_str()),
            tone,
            text,
            note,
            errors,
            evidence: evidence
                .into_iter()
                .map(|sign| Sign {
                    kind: words(sign.kind.as_str()),
                    pid: sign.pid.map(|pid| pid.to_string()).unwrap_or_default(),
                    detail: sign.detail,
                })
                .collect(),
            kept: kept
                .into_iter()
                .map(|kept| KeptShown {
                    path: kept.path,
                    size: size(kept.bytes),
                    rule: words(kept.why.as_str()),
                    why: kept.pid.map_or_else(
                        || kept.detail.clone(),
                        |pid| format!("{} (process {pid})", kept.detail),
                    ),
                })
                .collect(),
            removed: removed
                .into_iter()
                .map(|removed| RemovedShown {
                    path: removed.path,
                    class: words(removed.class.as_str()),
                    size: size(removed.bytes),
                    files: removed.files,
                })
                .collect(),
            removed_caption: if would { "What would have been removed" } else { "Removed" },
            cut,
        }
    }
}

fn text(worker: &WorkerReport) -> String {
    let state = worker
        .state
        .map_or_else(|| "was not judged".to_owned(), |state| format!("state {}", words(state.as_str())));
    let freed = match worker.verdict {
        Verdict::WouldClean => format!("{} would have been freed", size(worker.freed_bytes)),
        _ => format!("{} freed", size(worker.freed_bytes)),
    };
    format!(
        "{}: {state}; temp files {} before, {} after; {freed}.",
        worker.runtime,
        size(worker.tmp_before_bytes),
        size(worker.tmp_after_bytes)
    )
}

fn pruned(prune: &PruneReport) -> String {
    let PruneReport { mode, freed_bytes, removed, busy, errors } = prune;
    let summary =
        format!("{mode}: {} freed, {removed} images, layers and containers removed", size(*freed_bytes));
    let busy = busy.iter().map(|one| format!("left to somebody else who was at it: {one}"));
    let errors = errors.iter().map(|error| format!("went wrong: {error}"));
    [summary].into_iter().chain(busy).chain(errors).collect::<Vec<_>>().join("; ")
}
