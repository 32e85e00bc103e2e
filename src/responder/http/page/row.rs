//! A host as the page shows it: every text is made here, a template only says where it stands.

use jiff::Timestamp;

use super::words::{BAD, PLAIN, Tone, WATCH, ago, brief, lasted, size, stored_size, tone_of, until, words};
use crate::{
    domain::{incident::IncidentId, report::Disk},
    responder::journal::{AttemptView, BackstopView, HostView, LastReport, OpenIncident},
};

/// A report that is not older is as good as one of now.
const FRESH_SECS: i64 = 120;
/// So much of a host's name stands where only a reader for the blind reads it.
const NAME: usize = 32;

/// A host's line.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    /// The same, for what stands beside it.
    pub(super) short_name: String,
    pub(super) mode: Option<String>,
    pub(super) disk: Option<Bar>,
    pub(super) temp: Option<Bar>,
    pub(super) incident: Option<Incident>,
    pub(super) last: Option<Last>,
    pub(super) next: Option<Waiting>,
    pub(super) backstop: Option<Backstop>,
    /// Why there is none.
    pub(super) no_backstop: &'static str,
}

/// A share of a whole, in words as well.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) ratio: String,
    pub(super) text: String,
    pub(super) sub: String,
}

/// An open incident in brief.
#[derive(Debug)]
pub(super) struct Incident {
    pub(super) id: IncidentId,
    pub(super) word: String,
    pub(super) tone: Tone,
    pub(super) sub: String,
}

/// The last attempt in brief.
#[derive(Debug)]
pub(super) struct Last {
    pub(super) id: String,
    pub(super) word: String,
    pub(super) tone: Tone,
    pub(super) sub: String,
}

/// The next attempt.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) word: String,
    pub(super) sub: String,
}

/// The host's own sweeps by cron, as it reported them last.
#[derive(Debug)]
pub(super) struct Backstop {
    pub(super) word: String,
    pub(super) tone: Tone,
    pub(super) sub: String,
}

impl Row {
    /// With so much of each sentence at most that the host has said.
    pub(super) fn new(host: &HostView, now: Timestamp, most: usize) -> Self {
        let report = host.last_report.as_ref();
        Self {
            name: host.name.clone(),
            short_name: brief(&host.name, NAME),
            mode: report.map(|report| report.mode.clone()),
            disk: report.and_then(|report| fullest_bar(report, now)),
            temp: report.and_then(|report| temp_bar(report, now)),
            incident: host.incident.as_ref().map(|incident| in_brief(incident, now)),
            last: host.last_attempt.as_ref().map(|attempt| last(attempt, now, most)),
            next: next(host, now),
            backstop: report.and_then(|report| backstop(report, now, most)),
            no_backstop: if report.is_some() { "not told" } else { "not known yet" },
        }
    }
}

/// The disk that has the smallest share of itself left.
pub(super) fn fullest(report: &LastReport) -> Option<&Disk> {
    report.disks.iter().min_by(|a, b| left(a).total_cmp(&left(b)))
}

/// What of a disk is available, as a share of it.
pub(super) fn left(disk: &Disk) -> f64 {
    share(disk.avail_after_bytes, disk.size_bytes)
}

/// A share of a whole; of nothing it is none.
#[allow(clippy::cast_precision_loss)]
pub(super) fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { (part as f64 / of as f64).min(1.0) }
}

fn fullest_bar(report: &LastReport, now: Timestamp) -> Option<Bar> {
    Some(disk_bar(fullest(report)?, report, now))
}

pub(super) fn disk_bar(disk: &Disk, report: &LastReport, now: Timestamp) -> Bar {
    let free = left(disk);
    Bar {
        ratio: format!("{:.3}", 1.0 - free),
        text: format!("{:.0} % free", free * 100.0),
        sub: format!(
            "{} of {}{}",
            size(disk.avail_after_bytes),
            size(disk.size_bytes),
            measured(report, now)
        ),
    }
}

fn temp_bar(report: &LastReport, now: Timestamp) -> Option<Bar> {
    let used = u64::try_from(report.tmp_bytes?).unwrap_or(0);
    let of = fullest(report)?.size_bytes;
    Some(Bar {
        ratio: format!("{:.3}", share(used, of)),
        text: size(used),
        sub: format!("{:.0} % of the disk{}", share(used, of) * 100.0, measured(report, now)),
    })
}

fn measured(report: &LastReport, now: Timestamp) -> String {
    report.measured_at.map_or_else(String::new, |at| format!(", {}", ago(at, now)))
}

fn in_brief(incident: &OpenIncident, now: Timestamp) -> Incident {
    let urgency = incident.urgency.as_deref();
    let (word, tone) = match (&incident.escalation, urgency) {
        (Some(_), _) => ("needs a person".to_owned(), BAD),
        (None, Some("critical")) => ("critical".to_owned(), BAD),
        (None, Some(urgency)) => (urgency.to_owned(), WATCH),
        (None, None) => ("open".to_owned(), WATCH),
    };
    let since = incident.firing_since.unwrap_or(incident.opened_at);
    let sub = match &incident.escalation {
        Some(why) => format!("{}, for {}", words(why), lasted(since, now)),
        None => format!("{} for {}", words(&incident.state), lasted(since, now)),
    };
    Incident { id: incident.id, word, tone, sub }
}

fn last(attempt: &AttemptView, now: Timestamp, most: usize) -> Last {
    let outcome = attempt.outcome.as_deref().unwrap_or("under way");
    let freed = attempt.freed_bytes.filter(|bytes| *bytes > 0).map(stored_size);
    let at = attempt.finished_at.unwrap_or(attempt.queued_at);
    let parts = [
        freed.map(|freed| format!("{freed} freed")),
        attempt.reason.as_deref().map(|why| brief(&words(why), most)),
        Some(ago(at, now)),
    ];
    Last {
        id: attempt.id.clone(),
        word: words(outcome),
        tone: tone_of(outcome),
        sub: parts.into_iter().flatten().collect::<Vec<_>>().join(", "),
    }
}

/// What was so when the host reported need not be so now: where that is not just now, it says when.
fn backstop(report: &LastReport, now: Timestamp, most: usize) -> Option<Backstop> {
    let BackstopView { finished_at, outcome, scheduled_since, overdue, note, .. } =
        report.backstop.as_ref()?;
    let last = finished_at.zip(outcome.as_deref());
    let (word, tone, sub) = match (last, note) {
        (Some((at, outcome)), _) if *overdue => {
            ("overdue".to_owned(), BAD, format!("the last {}, {}", words(outcome), ago(at, now)))
        }
        (Some((at, outcome)), _) => (words(outcome), tone_of(outcome), ago(at, now)),
        (None, Some(note)) => ("cannot be told".to_owned(), WATCH, brief(note, most)),
        (None, None) => {
            let (word, tone, how) =
                if *overdue { ("overdue", BAD, "none") } else { ("none yet", PLAIN, "awaited") };
            let since = scheduled_since.map(|since| format!("{how} for {}", lasted(since, now)));
            (word.to_owned(), tone, since.unwrap_or_default())
        }
    };
    let is_fresh = now.duration_since(report.reported_at).as_secs() <= FRESH_SECS;
    let told = (!is_fresh).then(|| format!("told {}", ago(report.reported_at, now)));
    let sub = [Some(sub).filter(|sub| !sub.is_empty()), told].into_iter().flatten().collect::<Vec<_>>();
    Some(Backstop { word, tone, sub: sub.join("; ") })
}

fn next(host: &HostView, now: Timestamp) -> Option<Waiting> {
    if let Some(running) = &host.running {
        let since = running.started_at.unwrap_or(running.queued_at);
        let sub = format!("an attempt is under way, for {}", lasted(since, now));
        return Some(Waiting { word: "sweeping".to_owned(), sub });
    }
    let next = host.next_attempt.as_ref()?;
    let last_outcome = host.incident.as_ref().and_then(|incident| incident.last_outcome.as_deref());
    Some(Waiting { word: until(next.at, now), sub: next.means(last_outcome).to_owned() })
}
