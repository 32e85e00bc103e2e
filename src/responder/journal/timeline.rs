//! What happened in an incident, in its order.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::views::{AlertView, AttemptView, IncidentView, LoweredView};

/// Something that happened in an incident. What does not belong to it is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What, in one word of [`Event::WORDS`].
    pub event: &'static str,
    /// The alert's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// The alert's fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// How pressing the alert is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub urgency: Option<String>,
    /// The notification that brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification: Option<String>,
    /// The attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// How the attempt ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the attempt freed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freed_bytes: Option<i64>,
}

impl Event {
    /// Every word.
    pub const WORDS: [&str; 9] = [
        OPENED,
        ALERT_JOINED,
        ALERT_LEFT,
        ATTEMPT_STARTED,
        CONNECTED,
        ATTEMPT_ENDED,
        ESCALATED,
        LOWERED,
        CLOSED,
    ];

    fn new(at: Timestamp, event: &'static str) -> Self {
        Self { at, event, ..Self::default() }
    }

    fn because(at: Timestamp, event: &'static str, reason: Option<&String>) -> Self {
        Self { reason: reason.cloned(), ..Self::new(at, event) }
    }

    fn of_attempt(at: Timestamp, event: &'static str, attempt: &AttemptView) -> Self {
        Self { attempt: Some(attempt.id.clone()), ..Self::new(at, event) }
    }
}

const OPENED: &str = "opened";
const ALERT_JOINED: &str = "alert_joined";
const ALERT_LEFT: &str = "alert_left";
const ATTEMPT_STARTED: &str = "attempt_started";
const CONNECTED: &str = "connected";
const ATTEMPT_ENDED: &str = "attempt_ended";
const ESCALATED: &str = "escalated";
const LOWERED: &str = "lowered";
const CLOSED: &str = "closed";

/// What happened in an incident, by what is stored of it and of its attempts. An alert that left and came
/// back again tells only of its first coming and, if it has, of its last going; of what a person was told
/// and has not to look at any more, the last is told.
pub(super) fn timeline(incident: &IncidentView, attempts: &[AttemptView]) -> Vec<Event> {
    let mut events = vec![Event::new(incident.opened_at, OPENED)];
    events.extend(incident.alerts.iter().flat_map(of_alert));
    events.extend(attempts.iter().rev().flat_map(of_attempt));
    if let Some(LoweredView { told_at, reason, at }) = &incident.lowered {
        events.push(Event::because(*told_at, ESCALATED, Some(reason)));
        events.push(Event::because(*at, LOWERED, Some(reason)));
    }
    let (told, why) = (incident.escalation.as_ref(), incident.close_reason.as_ref());
    events.extend(incident.escalated_at.map(|at| Event::because(at, ESCALATED, told)));
    events.extend(incident.closed_at.map(|at| Event::because(at, CLOSED, why)));
    // Stable: what happened at the same instant stays as it stands above.
    events.sort_by_key(|event| event.at);
    events
}

fn of_alert(alert: &AlertView) -> Vec<Event> {
    let about = |at, event, notification: &Option<String>| Event {
        alert: Some(alert.name.clone()),
        fingerprint: Some(alert.fingerprint.clone()),
        urgency: Some(alert.urgency.clone()),
        notification: notification.clone(),
        ..Event::new(at, event)
    };
    let joined = about(alert.received_at, ALERT_JOINED, &alert.first_notification);
    let left =
        (alert.status == "resolved").then(|| about(alert.last_seen, ALERT_LEFT, &alert.last_notification));
    [joined].into_iter().chain(left).collect()
}

fn of_attempt(attempt: &AttemptView) -> Vec<Event> {
    let started = attempt.started_at.map(|at| Event::of_attempt(at, ATTEMPT_STARTED, attempt));
    let connected = attempt.connected_at.map(|at| Event::of_attempt(at, CONNECTED, attempt));
    let ended = attempt.finished_at.map(|at| Event {
        outcome: attempt.outcome.clone(),
        reason: attempt.reason.clone(),
        freed_bytes: attempt.freed_bytes,
        ..Event::of_attempt(at, ATTEMPT_ENDED, attempt)
    });
    [started, connected, ended].into_iter().flatten().collect()
}

/// The notifications that brought an incident's alerts, the oldest first.
pub(super) fn notifications(alerts: &[AlertView]) -> Vec<String> {
    let all = alerts.iter().flat_map(|alert| [&alert.first_notification, &alert.last_notification]);
    let all: BTreeSet<_> = all.flatten().cloned().collect();
    all.into_iter().collect()
}
