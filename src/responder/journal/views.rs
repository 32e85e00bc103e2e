//! What people and metrics see of a journal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{timeline::Event, waits::Next};
use crate::domain::{
    backstop::{Stood, before},
    host::HostName,
    incident::IncidentId,
    report::{Disk, Holds},
};

/// What was done for an incident, and what is in the way: for whom has to look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// How often each outcome came.
    pub tried: BTreeMap<String, i64>,
    /// What holds the space, as the last report has it.
    pub holds: Option<Holds>,
}

/// A host with an open incident, as metrics see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenHost {
    /// The host.
    pub host: HostName,
    /// `waiting` or `sweeping`.
    pub state: String,
    /// Why a person has to look, where one has to.
    pub escalation: Option<String>,
    /// For whom has to look; nothing where nobody has to.
    pub tried: Tried,
}

/// An incident as status, page and demo see it.
#[derive(Debug, Clone, Serialize)]
pub struct IncidentView {
    /// Its identity.
    pub id: IncidentId,
    /// Its host.
    pub host: String,
    /// `waiting`, `sweeping` or `closed`.
    pub state: String,
    /// The highest urgency among its firing alerts.
    pub urgency: Option<String>,
    /// The first alert's start, by Prometheus' clock.
    pub firing_since: Option<Timestamp>,
    /// When its first alert was received.
    pub opened_at: Timestamp,
    /// When it was on disk.
    pub accepted_at: Timestamp,
    /// When the next attempt is due.
    pub due_at: Option<Timestamp>,
    /// How many attempts have ended.
    pub attempts: i64,
    /// How the last one ended.
    pub last_outcome: Option<String>,
    /// Since when a person has to look.
    pub escalated_at: Option<Timestamp>,
    /// Why a person has to look.
    pub escalation: Option<String>,
    /// What a person was told and has not to look at any more; the story tells it.
    #[serde(skip)]
    pub lowered: Option<LoweredView>,
    /// When it closed.
    pub closed_at: Option<Timestamp>,
    /// Why it closed.
    pub close_reason: Option<String>,
    /// Which person closed it, and from where, where one did.
    pub closed_by: Option<String>,
    /// What was tried, and what holds the space.
    #[serde(flatten)]
    pub tried: Tried,
    /// Its alerts.
    pub alerts: Vec<AlertView>,
}

/// What a person was told of a critical alert, until none fired any more.
#[derive(Debug, Clone)]
pub struct LoweredView {
    /// When a person was told.
    pub told_at: Timestamp,
    /// Why.
    pub reason: String,
    /// When no critical alert fired any more.
    pub at: Timestamp,
}

/// An alert of an incident as status, page and demo see it.
#[derive(Debug, Clone, Serialize)]
pub struct AlertView {
    /// What identifies it.
    pub fingerprint: String,
    /// Its name.
    pub name: String,
    /// Its policy's urgency.
    pub urgency: String,
    /// Its last received status.
    pub status: String,
    /// What it is about: its labels but for its name, its host and its severity, bounded.
    pub labels: BTreeMap<String, String>,
    /// When it began to fire, by Prometheus' clock.
    pub starts_at: Timestamp,
    /// When it ended, by Prometheus' clock.
    pub ends_at: Option<Timestamp>,
    /// When it was first received for this incident.
    pub received_at: Timestamp,
    /// When it was last received.
    pub last_seen: Timestamp,
    /// The notification that it came with; none where that is older than the keeping of notifications.
    pub first_notification: Option<String>,
    /// The notification in which it was last.
    pub last_notification: Option<String>,
}

/// An attempt as history, page and demo see it.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptView {
    /// Its identity.
    pub id: String,
    /// Its host.
    pub host: String,
    /// The incident that it was for.
    pub incident: Option<IncidentId>,
    /// The replay that asked for it.
    pub replay: Option<String>,
    /// Who asked.
    pub trigger: String,
    /// Which person that was, and from where; none where an alert asked, or where it is not known.
    pub asked_by: Option<String>,
    /// When it was asked for.
    pub queued_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When the host let us in.
    pub connected_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<String>,
    /// Why, where the outcome alone does not tell.
    pub reason: Option<String>,
    /// Bytes freed.
    pub freed_bytes: Option<i64>,
    /// The host's report, as it is stored: read into values it would be many times as large.
    pub report: Option<Box<RawValue>>,
    /// How long the report was that is not kept any more, for the room that all of them may take.
    pub report_dropped_bytes: Option<i64>,
}

/// An alert about which nothing was done.
#[derive(Debug, Clone, Serialize)]
pub struct IgnoredView {
    /// What identifies it.
    pub fingerprint: String,
    /// Why nothing was done.
    pub reason: String,
    /// Its name, bounded.
    pub name: String,
    /// Its labels, bounded.
    pub labels: serde_json::Value,
    /// When it was first received.
    pub first_seen: Timestamp,
    /// When it was last received.
    pub last_seen: Timestamp,
    /// How often it was received.
    pub times: i64,
}

/// A notification as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationView {
    /// Its identity.
    pub id: Uuid,
    /// When it was received.
    pub received_at: Timestamp,
    /// What was sent, to the byte.
    pub body: Vec<u8>,
}

/// A host as status and page see it.
#[derive(Debug, Clone, Serialize)]
pub struct HostView {
    /// Its name.
    pub name: String,
    /// `proven`, `new` or `failing`: what its last attempt tells of it.
    pub lane: String,
    /// How many attempts in a row could not get to it.
    pub failures_in_row: i64,
    /// Nothing is begun there before it.
    pub not_before: Option<Timestamp>,
    /// Its open incident.
    pub incident: Option<OpenIncident>,
    /// The attempt that is under way there.
    pub running: Option<AttemptView>,
    /// The last attempt that has ended, without its report.
    pub last_attempt: Option<AttemptView>,
    /// The next one.
    pub next_attempt: Option<Next>,
    /// What it reported last.
    pub last_report: Option<LastReport>,
}

/// A host's open incident in brief.
#[derive(Debug, Clone, Serialize)]
pub struct OpenIncident {
    /// Its identity.
    pub id: IncidentId,
    /// `waiting` or `sweeping`.
    pub state: String,
    /// The highest urgency among its firing alerts.
    pub urgency: Option<String>,
    /// The first alert's start, by Prometheus' clock.
    pub firing_since: Option<Timestamp>,
    /// When its first alert was received.
    pub opened_at: Timestamp,
    /// How many attempts have ended.
    pub attempts: i64,
    /// How the last one ended.
    pub last_outcome: Option<String>,
    /// Since when a person has to look.
    pub escalated_at: Option<Timestamp>,
    /// Why a person has to look.
    pub escalation: Option<String>,
}

/// What a host reported last, at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct LastReport {
    /// The attempt whose report it is.
    pub attempt: String,
    /// When it came.
    pub reported_at: Timestamp,
    /// `observe` or `enforce`.
    pub mode: String,
    /// The version of the binary on the host.
    pub version: String,
    /// When the host last looked at its workers, which one that is on hold or busy does not.
    pub measured_at: Option<Timestamp>,
    /// The disks under the temp roots, at that time.
    pub disks: Vec<Disk>,
    /// What lay under all temp roots after that sweep.
    pub tmp_bytes: Option<i64>,
    /// What held the space then.
    pub holds: Option<Holds>,
    /// What it told of its own sweeps by cron; nothing where its version does not tell.
    pub backstop: Option<BackstopView>,
}

/// A host's own sweeps by cron, as they stood when it reported last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackstopView {
    /// When the last one ended; nothing where none was known since the host was started.
    pub finished_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<String>,
    /// Since when they are expected by the schedule that there is, where the host knew.
    pub scheduled_since: Option<Timestamp>,
    /// Seconds that lie at most between two of them, by the schedule.
    pub interval_secs: u64,
    /// Whether two had been missed.
    pub overdue: bool,
    /// Why the last one could not be told, where one is recorded.
    pub note: Option<String>,
}

impl BackstopView {
    /// In the responder's time, in which it was reported at that instant.
    pub fn new(stood: Stood, reported_at: Timestamp) -> Self {
        let overdue = stood.is_overdue();
        let Stood { interval_secs, scheduled_secs, last, note } = stood;
        Self {
            finished_at: last.map(|(secs, _)| before(reported_at, secs)),
            outcome: last.map(|(_, outcome)| outcome.as_str().to_owned()),
            scheduled_since: scheduled_secs.map(|secs| before(reported_at, secs)),
            interval_secs,
            overdue,
            note,
        }
    }
}

/// An incident with all that belongs to it.
#[derive(Debug, Clone, Serialize)]
pub struct IncidentWhole {
    /// The incident.
    #[serde(flatten)]
    pub incident: IncidentView,
    /// Its newest attempts, without their reports.
    pub history: Vec<AttemptView>,
    /// The notifications that brought its alerts, the oldest first; of each alert the first and the last.
    pub notifications: Vec<String>,
    /// What happened, in its order.
    pub timeline: Vec<Event>,
}

/// A host with what happened there last.
#[derive(Debug, Clone, Serialize)]
pub struct HostWhole {
    /// The host.
    #[serde(flatten)]
    pub host: HostView,
    /// Its newest incidents.
    pub incidents: Vec<IncidentView>,
    /// Its newest attempts, without their reports.
    pub attempts: Vec<AttemptView>,
}
