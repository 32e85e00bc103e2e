//! An incident as the page shows it: its alerts, what was tried, what happened.

use std::cmp::Reverse;

use askama::Template;
use jiff::Timestamp;

use super::{
    Frame,
    attempts::AttemptRow,
    room::Part,
    words::{BAD, PATH, PLAIN, SENTENCE, Tone, WATCH, ago, brief, instant, size, stored_size, words},
};
use crate::{
    domain::{alert::labels_line, incident::IncidentId, report::Holds},
    responder::journal::{AlertView, Event, IncidentView, IncidentWhole},
};

/// An incident's page.
#[derive(Debug, Template)]
#[template(path = "incident.html")]
pub(super) struct IncidentPage {
    frame: Frame,
    incident: IncidentShown,
    attempts: Vec<AttemptRow>,
    more_attempts: Option<String>,
}

impl IncidentPage {
    /// With so many entries of each list at most.
    pub(super) fn new(frame: Frame, whole: &IncidentWhole, now: Timestamp, most: usize) -> Self {
        let (attempts, more_attempts) = AttemptRow::newest(&whole.history, most);
        Self { frame, incident: IncidentShown::new(whole, now, most), attempts, more_attempts }
    }
}

/// An incident, in words.
#[derive(Debug)]
pub(super) struct IncidentShown {
    pub(super) id: IncidentId,
    pub(super) host: String,
    pub(super) is_open: bool,
    pub(super) word: String,
    pub(super) tone: Tone,
    pub(super) opened: String,
    pub(super) closed: Option<String>,
    /// Why a person is needed; of what is over none is.
    pub(super) needed: Option<String>,
    /// What a person was told while it was open.
    pub(super) told: Option<String>,
    pub(super) tried: String,
    pub(super) holds: String,
    pub(super) alerts: Vec<AlertShown>,
    pub(super) more_alerts: Option<String>,
    pub(super) events: Vec<EventShown>,
    pub(super) more_events: Option<String>,
}

/// An alert, in words.
#[derive(Debug)]
pub(super) struct AlertShown {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) status: String,
    pub(super) urgency: String,
    pub(super) since: String,
    pub(super) seen: String,
    pub(super) first: Option<String>,
    pub(super) last: Option<String>,
}

/// Something that happened, in words.
#[derive(Debug)]
pub(super) struct EventShown {
    pub(super) at: Timestamp,
    pub(super) shown: String,
    pub(super) what: String,
    pub(super) attempt: Option<String>,
}

impl IncidentShown {
    pub(super) fn new(whole: &IncidentWhole, now: Timestamp, most: usize) -> Self {
        let IncidentWhole { incident, timeline, .. } = whole;
        let (word, tone) = state(incident);
        let alerts = alerts(&incident.alerts, most);
        let events = events(timeline, most);
        let is_open = incident.closed_at.is_none();
        Self {
            id: incident.id,
            host: incident.host.clone(),
            is_open,
            word,
            tone,
            opened: told(incident.opened_at, now),
            closed: incident.closed_at.map(|at| {
                let why = words(incident.close_reason.as_deref().unwrap_or(""));
                let by = incident.closed_by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default();
                brief(&format!("{}: {why}{by}", told(at, now)), SENTENCE)
            }),
            needed: incident
                .escalation
                .as_deref()
                .filter(|_| is_open)
                .map(|reason| needed(reason).to_owned()),
            told: incident.escalation.as_deref().filter(|_| !is_open).map(|reason| {
                let at = incident.escalated_at.map(|at| format!("{}: ", told(at, now)));
                at.unwrap_or_default() + was_needed(reason)
            }),
            tried: tried(incident),
            holds: holds(incident.tried.holds.as_ref()),
            more_alerts: alerts.more(),
            alerts: alerts.shown.into_iter().map(|alert| AlertShown::new(alert, now)).collect(),
            more_events: events.more(),
            events: events.shown.into_iter().rev().map(EventShown::new).collect(),
        }
    }
}

/// Where not all have room, those that fire, the critical ones first, and those that were received last.
fn alerts(alerts: &[AlertView], most: usize) -> Part<&AlertView> {
    let mut all: Vec<_> = alerts.iter().collect();
    if all.len() > most {
        all.sort_by_key(|alert| {
            let is_firing = alert.status == "firing";
            Reverse((is_firing, is_firing && alert.urgency == "critical", alert.last_seen))
        });
    }
    Part::first(all, most)
}

/// The newest first. Where not all have room, those are the first, and what is said of the incident itself.
fn events(timeline: &[Event], most: usize) -> Part<&Event> {
    let is_of_all = |event: &&Event| event.alert.is_none() && event.attempt.is_none();
    Part::of(timeline.iter().rev().collect(), most, is_of_all)
}

fn told(at: Timestamp, now: Timestamp) -> String {
    format!("{} UTC, {}", instant(at), ago(at, now))
}

fn state(incident: &IncidentView) -> (String, Tone) {
    if incident.closed_at.is_some() {
        return ("closed".to_owned(), PLAIN);
    }
    let is_bad = incident.escalation.is_some() || incident.urgency.as_deref() == Some("critical");
    let urgency = incident.urgency.as_deref().unwrap_or("open");
    (format!("{urgency}, {}", words(&incident.state)), if is_bad { BAD } else { WATCH })
}

/// What a person is told of an escalation; the rules' annotation says the same.
fn needed(reason: &str) -> &'static str {
    match reason {
        "critical_active" => "a critical alert fires, and work in progress holds what there is",
        "critical_nothing_to_free" => "a critical alert fires, and nothing may be deleted",
        "critical_observed" => "a critical alert fires, and the host only observes: nothing is deleted there",
        "critical_freed_too_little" => "a critical alert fires, though two sweeps in a row freed something",
        "critical_failed" => "a critical alert fires, and two sweeps of the host in a row have failed",
        "flapping" => "alerts come and go, and have been open for too long within 24 hours",
        _ => "an alert has been firing for too long, whatever was tried",
    }
}

/// The same of what is over, or was told once.
fn was_needed(reason: &str) -> &'static str {
    match reason {
        "critical_active" => "a critical alert fired, and work in progress held what there was",
        "critical_nothing_to_free" => "a critical alert fired, and nothing might be deleted",
        "critical_observed" => {
            "a critical alert fired, and the host only observed: nothing was deleted there"
        }
        "critical_freed_too_little" => "a critical alert fired, though two sweeps in a row freed something",
        "critical_failed" => "a critical alert fired, and two sweeps of the host in a row failed",
        "flapping" => "alerts came and went, and were open for too long within 24 hours",
        _ => "an alert had been firing for too long, whatever was tried",
    }
}

fn tried(incident: &IncidentView) -> String {
    let each: Vec<_> =
        incident.tried.tried.iter().map(|(outcome, count)| format!("{count} × {}", words(outcome))).collect();
    if each.is_empty() { "nothing that has ended".to_owned() } else { brief(&each.join(", "), SENTENCE) }
}

/// The most bytes first, then who is at work.
fn holds(holds: Option<&Holds>) -> String {
    let Some(Holds { kept_bytes, signs }) = holds else { return "no report tells".to_owned() };
    let mut kept: Vec<_> = kept_bytes.iter().collect();
    kept.sort_by_key(|(_, bytes)| Reverse(**bytes));
    let kept = kept.into_iter().map(|(why, bytes)| format!("{} {}", size(*bytes), words(why)));
    let signs = signs.iter().map(|(kind, count)| format!("{count} × {}", words(kind)));
    let all: Vec<_> = kept.chain(signs).collect();
    if all.is_empty() {
        "nothing that a report tells of".to_owned()
    } else {
        brief(&all.join(", "), 2 * SENTENCE)
    }
}

impl AlertShown {
    fn new(alert: &AlertView, now: Timestamp) -> Self {
        let AlertView { first_notification: first, last_notification: last, .. } = alert;
        Self {
            name: brief(&alert.name, PATH),
            about: brief(&labels_line(&alert.labels), SENTENCE),
            status: alert.status.clone(),
            urgency: alert.urgency.clone(),
            since: instant(alert.starts_at),
            seen: ago(alert.last_seen, now),
            first: first.clone(),
            last: last.clone().filter(|last| Some(last) != first.as_ref()),
        }
    }
}

impl EventShown {
    fn new(event: &Event) -> Self {
        let attempt = event.attempt.clone().filter(|_| event.event == "attempt_ended");
        Self { at: event.at, shown: instant(event.at), what: brief(&what(event), SENTENCE), attempt }
    }
}

fn what(event: &Event) -> String {
    let about = |value: &Option<String>| value.as_deref().map(words).unwrap_or_default();
    match event.event {
        "opened" => "the incident opened".to_owned(),
        "alert_joined" => {
            let alert = event.alert.as_deref().unwrap_or_default();
            format!("{alert} began to fire ({})", about(&event.urgency))
        }
        "alert_left" => format!("{} resolved", event.alert.as_deref().unwrap_or_default()),
        "attempt_started" => "an attempt began".to_owned(),
        "connected" => "the host let us in".to_owned(),
        "attempt_ended" => {
            let freed = event.freed_bytes.filter(|bytes| *bytes > 0).map(stored_size);
            let freed = freed.map(|freed| format!(", {freed} freed")).unwrap_or_default();
            let why = event.reason.as_deref().map(|why| format!(" ({})", words(why))).unwrap_or_default();
            format!("the attempt ended: {}{why}{freed}", about(&event.outcome))
        }
        "escalated" => {
            format!("a person was told: {}", was_needed(event.reason.as_deref().unwrap_or_default()))
        }
        "lowered" => "no critical alert fired any more: nobody had to look at once".to_owned(),
        "closed" => format!("the incident closed: {}", about(&event.reason)),
        other => words(other),
    }
}
