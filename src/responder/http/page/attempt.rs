//! An attempt's page: its report as a person reads it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use askama::Template;
use jiff::Timestamp;

use super::{
    Frame,
    attempts::{outcome, took},
    room::Part,
    words::{
        BAD, GOOD, PATH, PLAIN, SENTENCE, Tone, WATCH, ago, brief, instant, size, stored_size, temp_roots,
        words,
    },
};
use crate::{
    domain::{
        evidence::Evidence,
        incident::IncidentId,
        report::{Disk, Kept, KeptBecause, PruneReport, Removed, Report, Verdict, WorkerReport},
    },
    responder::journal::AttemptView,
};

/// For each entry that a list may have, so many workers may be shown: what each is about matters more.
const WORKERS_AN_ENTRY: usize = 4;

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
    more_disks: Option<String>,
    workers: Vec<WorkerShown>,
    more_workers: Option<String>,
    prune: Option<String>,
}

#[derive(Debug)]
struct DiskShown {
    name: String,
    roots: Option<String>,
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
    more_errors: Option<String>,
    evidence: Vec<Sign>,
    more_evidence: Option<String>,
    kept: Vec<KeptShown>,
    more_kept: Option<String>,
    removed: Vec<RemovedShown>,
    more_removed: Option<String>,
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

/// An attempt with its report, which is read once, however often the page is made.
#[derive(Debug)]
pub(super) struct Reported<'a> {
    attempt: &'a AttemptView,
    /// One of another version may have another shape: then the JSON is all there is.
    report: Option<Report>,
}

impl<'a> Reported<'a> {
    pub(super) fn new(attempt: &'a AttemptView) -> Self {
        let report = attempt.report.as_ref();
        Self { attempt, report: report.and_then(|report| serde_json::from_str(report.get()).ok()) }
    }
}

impl AttemptPage {
    /// With so many entries of each list at most.
    pub(super) fn new(frame: Frame, of: &Reported<'_>, now: Timestamp, most: usize) -> Self {
        let Reported { attempt, report } = of;
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
            report: report.as_ref().map(|report| ReportShown::new(report, most)),
        }
    }
}

fn summary(attempt: &AttemptView, report: Option<&Report>) -> String {
    let freed =
        attempt.freed_bytes.filter(|bytes| *bytes > 0).map(|bytes| format!("{} freed", stored_size(bytes)));
    let said =
        report.and_then(|report| report.reason.clone()).or_else(|| attempt.reason.as_deref().map(words));
    let said = said.map(|said| brief(&said, SENTENCE));
    freed.into_iter().chain(said).collect::<Vec<_>>().join("; ")
}

fn facts(attempt: &AttemptView, report: Option<&Report>, now: Timestamp) -> Vec<Fact> {
    let at = |at: Timestamp| format!("{} UTC, {}", instant(at), ago(at, now));
    let mode = report.map(|report| {
        let dry_run = if report.dry_run { ", dry run: nothing was to be deleted" } else { "" };
        format!("{}{dry_run}", report.mode.as_str())
    });
    [
        ("Asked for by", Some(brief(&asked_for_by(attempt), PATH))),
        ("Asked for", Some(at(attempt.queued_at))),
        ("Began", attempt.started_at.map(at)),
        ("Let in", attempt.connected_at.map(at)),
        ("Ended", attempt.finished_at.map(at)),
        ("Took", took(attempt)),
        ("Mode", mode),
        ("raysweep there", report.map(|report| brief(&report.version, PATH))),
        ("Its own name", report.map(|report| brief(&report.host, PATH))),
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
        (None, Some(_)) if attempt.report_dropped_bytes.is_some() => dropped(attempt),
        (None, Some(_)) => {
            let why = attempt.reason.as_deref().map_or_else(|| "none came".to_owned(), words);
            format!("{}. docs/failures.md says what that means and what to do", brief(&why, SENTENCE))
        }
        (None, None) => "it comes when the attempt ends".to_owned(),
    }
}

/// Where the report is that made room for later ones.
fn dropped(attempt: &AttemptView) -> String {
    let size =
        attempt.report_dropped_bytes.map_or_else(String::new, |bytes| format!(" of {}", stored_size(bytes)));
    format!(
        "one{size} came and was dropped, to keep all reports within journal.reports_bytes. The host may have it in \
         /var/log/raysweep"
    )
}

impl ReportShown {
    fn new(report: &Report, most: usize) -> Self {
        let Part { shown, rest } = workers(&report.workers, most.saturating_mul(WORKERS_AN_ENTRY));
        let disks = Part::first(report.disks.iter().collect(), most);
        Self {
            more_disks: disks.more(),
            disks: disks.shown.into_iter().map(DiskShown::new).collect(),
            workers: shown.into_iter().map(|worker| WorkerShown::new(worker, most)).collect(),
            more_workers: (!rest.is_empty()).then(|| more_workers(&rest)),
            prune: report.prune.as_ref().map(|prune| pruned(prune, most)),
        }
    }
}

/// Where not all have room, the largest, and those at work or in trouble.
fn workers(workers: &[WorkerReport], most: usize) -> Part<&WorkerReport> {
    let mut all: Vec<_> = workers.iter().collect();
    if all.len() > most {
        all.sort_by_key(|worker| Reverse(worker.tmp_before_bytes));
    }
    Part::of(all, most, |worker| {
        !worker.errors.is_empty() || matches!(worker.verdict, Verdict::Failed | Verdict::Active)
    })
}

fn more_workers(rest: &[&WorkerReport]) -> String {
    let mut verdicts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for worker in rest {
        *verdicts.entry(worker.verdict).or_default() += 1;
    }
    let each = verdicts.iter().map(|(verdict, count)| format!("{count} × {}", words(verdict.as_str())));
    format!("{} more workers ({})", rest.len(), each.collect::<Vec<_>>().join(", "))
}

impl DiskShown {
    fn new(disk: &Disk) -> Self {
        let Disk { mount, temp_roots: _, size_bytes, avail_before_bytes, avail_after_bytes } = disk;
        Self {
            name: brief(mount, PATH),
            roots: temp_roots(disk),
            size: size(*size_bytes),
            before: size(*avail_before_bytes),
            after: size(*avail_after_bytes),
        }
    }
}

impl WorkerShown {
    fn new(worker: &WorkerReport, most: usize) -> Self {
        let WorkerReport { name, verdict, note, evidence, removed, kept, errors, cut, .. } = worker;
        let tone = match verdict {
            Verdict::Cleaned | Verdict::WouldClean => GOOD,
            Verdict::Active => WATCH,
            Verdict::Failed => BAD,
            Verdict::BelowThreshold | Verdict::NothingToRemove => PLAIN,
        };
        let would = *verdict == Verdict::WouldClean;
        let errors = Part::first(errors.iter().collect(), most);
        // Of each kind of sign the first, however many there are of another.
        let mut kinds = BTreeSet::new();
        let evidence = Part::of(evidence.iter().collect(), most, |sign: &&Evidence| kinds.insert(sign.kind));
        let kept = Part::of(largest(kept, |kept| kept.bytes), most, |kept| should_be_seen(kept));
        let removed = Part::first(largest(removed, |removed| removed.bytes), most);
        Self {
            name: brief(name, PATH),
            verdict: words(verdict.as_str()),
            tone,
            text: text(worker),
            note: note.as_deref().map(|note| brief(note, SENTENCE)),
            more_errors: errors.more(),
            errors: errors.shown.into_iter().map(|error| brief(error, SENTENCE)).collect(),
            more_evidence: evidence.more(),
            evidence: evidence.shown.into_iter().map(Sign::new).collect(),
            more_kept: more(&kept, "hold", |kept| kept.bytes),
            kept: kept.shown.into_iter().map(KeptShown::new).collect(),
            more_removed: more(&removed, "held", |removed| removed.bytes),
            removed: removed.shown.into_iter().map(RemovedShown::new).collect(),
            removed_caption: if would { "What would have been removed" } else { "Removed" },
            cut: *cut,
        }
    }
}

/// As a sweep lists them, whatever a host says.
fn largest<T>(list: &[T], bytes: impl Fn(&T) -> u64) -> Vec<&T> {
    let mut all: Vec<_> = list.iter().collect();
    all.sort_by_key(|one| Reverse(bytes(one)));
    all
}

/// What somebody uses, and what went wrong, however small it is.
fn should_be_seen(kept: &Kept) -> bool {
    matches!(kept.why, KeptBecause::InUse | KeptBecause::Error | KeptBecause::NameTaken)
}

/// How many are not shown, and what they come to.
fn more<T>(part: &Part<&T>, verb: &str, bytes: impl Fn(&T) -> u64) -> Option<String> {
    let sum = part.rest.iter().fold(0, |sum: u64, one| sum.saturating_add(bytes(one)));
    part.more().map(|more| format!("{more}, which {verb} {}", size(sum)))
}

impl Sign {
    fn new(sign: &Evidence) -> Self {
        Self {
            kind: words(sign.kind.as_str()),
            pid: sign.pid.map(|pid| pid.to_string()).unwrap_or_default(),
            detail: brief(&sign.detail, SENTENCE),
        }
    }
}

impl KeptShown {
    fn new(kept: &Kept) -> Self {
        let detail = brief(&kept.detail, SENTENCE);
        Self {
            path: brief(&kept.path, PATH),
            size: size(kept.bytes),
            rule: words(kept.why.as_str()),
            why: match kept.pid {
                Some(pid) => format!("{detail} (process {pid})"),
                None => detail,
            },
        }
    }
}

impl RemovedShown {
    fn new(removed: &Removed) -> Self {
        Self {
            path: brief(&removed.path, PATH),
            class: words(removed.class.as_str()),
            size: size(removed.bytes),
            files: removed.files,
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
        brief(&worker.runtime, PATH),
        size(worker.tmp_before_bytes),
        size(worker.tmp_after_bytes)
    )
}

fn pruned(prune: &PruneReport, most: usize) -> String {
    let PruneReport { mode, freed_bytes, removed, busy, errors } = prune;
    let summary = format!(
        "{}: {} freed, {removed} images, layers and containers removed",
        brief(mode, PATH),
        size(*freed_bytes)
    );
    let (busy, errors) =
        (Part::first(busy.iter().collect(), most), Part::first(errors.iter().collect(), most));
    let more = [busy.more(), errors.more()].into_iter().flatten();
    let more: Vec<_> = more.map(|more| format!("{more} in the JSON below")).collect();
    let busy = busy.shown.into_iter();
    let busy = busy.map(|one| format!("left to somebody else who was at it: {}", brief(one, SENTENCE)));
    let errors = errors.shown.into_iter().map(|error| format!("went wrong: {}", brief(error, SENTENCE)));
    [summary].into_iter().chain(busy).chain(errors).chain(more).collect::<Vec<_>>().join("; ")
}
