//! What a responder tells of what was.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{Client, ClientError, Incident};
use crate::domain::attempt::{AttemptId, Outcome, Trigger};

/// One sweep of a host.
#[derive(Debug, Clone, Deserialize)]
pub struct Attempt {
    /// Its identity.
    pub id: String,
    /// The host.
    pub host: String,
    /// The incident that it was for.
    #[serde(default)]
    pub incident: Option<i64>,
    /// Who asked.
    pub trigger: String,
    /// Which person that was, where one did.
    #[serde(default)]
    pub asked_by: Option<String>,
    /// When it was asked for.
    pub queued_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When the host let us in.
    #[serde(default)]
    pub connected_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What it freed.
    pub freed_bytes: Option<i64>,
    /// The host's report, where it was asked for and one came.
    #[serde(default)]
    pub report: Option<serde_json::Value>,
    /// How long the report was that the responder has dropped, to keep within its bound.
    #[serde(default)]
    pub report_dropped_bytes: Option<u64>,
}

/// An incident with all that belongs to it.
#[derive(Debug, Clone, Deserialize)]
pub struct IncidentWhole {
    /// Its identity.
    pub id: i64,
    /// What stands in lists too.
    #[serde(flatten)]
    pub incident: Incident,
    /// Why it closed.
    pub close_reason: Option<String>,
    /// Its alerts.
    pub alerts: Vec<IncidentAlert>,
    /// What happened, in its order.
    pub timeline: Vec<IncidentEvent>,
}

/// An alert of an incident.
#[derive(Debug, Clone, Deserialize)]
pub struct IncidentAlert {
    /// What identifies it.
    pub fingerprint: String,
    /// Its name.
    pub name: String,
    /// How pressing it is.
    pub urgency: String,
    /// Its last received status.
    pub status: String,
    /// What it is about, where the responder tells.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When it was first received.
    pub received_at: Timestamp,
    /// When it was last received.
    pub last_seen: Timestamp,
    /// The notification that it came with, where that is known.
    pub first_notification: Option<String>,
}

/// Something that happened in an incident.
#[derive(Debug, Clone, Deserialize)]
pub struct IncidentEvent {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: String,
    /// The alert's name.
    pub alert: Option<String>,
    /// The notification that brought the alert.
    pub notification: Option<String>,
    /// The attempt.
    pub attempt: Option<String>,
    /// How the attempt ended.
    pub outcome: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What the attempt freed.
    pub freed_bytes: Option<i64>,
}

/// Which attempts to tell of: those that are all of this, the newest first.
#[derive(Debug, Clone, Default)]
pub struct AttemptsAsked {
    /// Of this host.
    pub host: Option<String>,
    /// Asked for by this.
    pub trigger: Option<Trigger>,
    /// Ended in one of these, where there are any.
    pub outcomes: Vec<Outcome>,
    /// Asked for at this instant or later.
    pub since: Option<Timestamp>,
    /// Asked for before this instant.
    pub until: Option<Timestamp>,
    /// So many.
    pub limit: u32,
}

impl Client {
    /// The newest attempts of those that are asked for, without what their hosts reported.
    pub fn attempts<T: DeserializeOwned>(&self, asked: &AttemptsAsked) -> Result<Vec<T>, ClientError> {
        #[derive(Deserialize)]
        struct Attempts<T> {
            attempts: Vec<T>,
        }
        let AttemptsAsked { host, trigger, outcomes, since, until, limit } = asked;
        let words: Vec<_> = outcomes.iter().map(|outcome| outcome.as_str()).collect();
        // A thousand reports may be longer than what is read here.
        let always = [("limit", limit.to_string()), ("reports", "false".to_owned())];
        let some = [
            ("host", host.clone()),
            ("trigger", trigger.map(|trigger| trigger.as_str().to_owned())),
            ("outcome", (!words.is_empty()).then(|| words.join(","))),
            ("since", since.map(|at| at.to_string())),
            ("until", until.map(|at| at.to_string())),
        ];
        let some = some.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let query: Vec<_> = always.into_iter().chain(some).collect();
        self.ask("attempts", &query).map(|Attempts { attempts }| attempts)
    }

    /// One attempt with what its host reported.
    pub fn attempt<T: DeserializeOwned>(&self, id: AttemptId) -> Result<T, ClientError> {
        self.ask(&format!("attempts/{id}"), &[])
    }

    /// One incident with all that belongs to it.
    pub fn incident<T: DeserializeOwned>(&self, id: i64) -> Result<T, ClientError> {
        self.ask(&format!("incidents/{id}"), &[])
    }

    /// A notification to the byte as the responder received it.
    pub fn notification(&self, id: Uuid) -> Result<Vec<u8>, ClientError> {
        self.ask_for_bytes(&format!("notifications/{id}"), &[]).map(|(_, body)| body)
    }
}
