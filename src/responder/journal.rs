//! What must survive: incidents, their alerts, attempts and what was ignored.
//!
//! A journal stores and finds; what is to be done is decided by intake and dispatcher over the
//! domain's state machine, inside one unit of work. Another store takes these two traits and nothing
//! else.

use std::{future::Future, path::PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::domain::{
    alert::Alert,
    attempt::{AttemptId, Outcome, Trigger},
    decision::Ignored,
    host::HostName,
    incident::{Incident, IncidentId, Member, Timing},
};

pub mod bounded;
pub mod sqlite;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The folder cannot be made or opened.
    #[error("{path}: {source}", path = path.display())]
    Path {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("{path} is in use by another process", path = .0.display())]
    Locked(PathBuf),
    /// The store is of a newer version, or a step towards ours failed.
    #[error("the journal cannot be brought to this version: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The store failed.
    #[error("the journal failed: {0}")]
    Storage(#[from] sqlx::Error),
    /// What is stored is not what this binary writes.
    #[error("the journal holds what cannot be read: {0}")]
    Corrupt(String),
}

impl JournalError {
    /// The reason as log and metrics write it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Path { .. } => "path",
            Self::Locked(_) => "locked",
            Self::Migrate(_) => "migrate",
            Self::Storage(_) => "storage",
            Self::Corrupt(_) => "corrupt",
        }
    }
}

/// An incident with its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its identity.
    pub id: IncidentId,
    /// The incident.
    pub incident: Incident,
}

/// An attempt as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its identity.
    pub id: AttemptId,
    /// Its host.
    pub host: HostName,
    /// The incident that it is for.
    pub incident: Option<IncidentId>,
    /// The replay that asked for it, where no incident did.
    pub replay: Option<Uuid>,
    /// Who asks.
    pub trigger: Trigger,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The outcome.
    pub outcome: Outcome,
    /// Why, where the outcome alone does not tell.
    pub reason: Option<String>,
    /// Bytes freed.
    pub freed_bytes: u64,
    /// The report's line.
    pub report: Option<String>,
    /// When.
    pub at: Timestamp,
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
    /// When it closed.
    pub closed_at: Option<Timestamp>,
    /// Why it closed.
    pub close_reason: Option<String>,
    /// Its alerts.
    pub alerts: Vec<AlertView>,
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
    /// When it began to fire, by Prometheus' clock.
    pub starts_at: Timestamp,
    /// When it ended, by Prometheus' clock.
    pub ends_at: Option<Timestamp>,
    /// When it was first received for this incident.
    pub received_at: Timestamp,
    /// When it was last received.
    pub last_seen: Timestamp,
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
    /// The host's report.
    pub report: Option<serde_json::Value>,
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

/// A store of incidents and attempts.
pub trait Journal: Clone + Send + Sync + 'static {
    /// Its unit of work.
    type Work: Work;

    /// Begins a unit of work. Nothing of it is there for others, or after a crash, before its commit.
    fn begin(&self) -> impl Future<Output = Result<Self::Work, JournalError>> + Send;

    /// The earliest instant at which an incident needs something that could be done by then.
    fn next_event_at(&self) -> impl Future<Output = Result<Option<Timestamp>, JournalError>> + Send;

    /// Each host's last attempt that spent its period, or may have.
    fn last_spends(&self) -> impl Future<Output = Result<Vec<(HostName, Timestamp)>, JournalError>> + Send;

    /// Writes and flushes a few bytes.
    fn probe(&self, now: Timestamp) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Incidents, the newest first.
    fn incidents(
        &self,
        host: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<IncidentView>, JournalError>> + Send;

    /// Attempts, the newest first.
    fn attempts(
        &self,
        host: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<AttemptView>, JournalError>> + Send;

    /// Ignored alerts, the last seen first.
    fn ignored(&self, limit: u32) -> impl Future<Output = Result<Vec<IgnoredView>, JournalError>> + Send;

    /// Hosts with an open incident, and whether a person has to look.
    fn open_hosts(&self) -> impl Future<Output = Result<Vec<(HostName, bool)>, JournalError>> + Send;

    /// Forgets what ended before this instant.
    fn forget(&self, before: Timestamp) -> impl Future<Output = Result<u64, JournalError>> + Send;
}

/// A unit of work: what is done in it is there as a whole or not at all. Dropped, it undoes itself.
pub trait Work: Send {
    /// The open incident of a host.
    fn open_incident(
        &mut self,
        host: &HostName,
    ) -> impl Future<Output = Result<Option<Stored>, JournalError>> + Send;

    /// Every open incident.
    fn open_incidents(&mut self) -> impl Future<Output = Result<Vec<Stored>, JournalError>> + Send;

    /// An incident by its identity.
    fn incident(
        &mut self,
        id: IncidentId,
    ) -> impl Future<Output = Result<Option<Stored>, JournalError>> + Send;

    /// Incidents that need something by now, the most pressing first, leaving out hosts on which an
    /// attempt runs.
    fn due_incidents(
        &mut self,
        now: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Stored>, JournalError>> + Send;

    /// Stores a new incident.
    fn insert_incident(
        &mut self,
        incident: &Incident,
        timing: &Timing,
        accepted_at: Timestamp,
    ) -> impl Future<Output = Result<IncidentId, JournalError>> + Send;

    /// Stores where an incident stands; its alerts are stored by `record_alert`.
    fn save_incident(
        &mut self,
        stored: &Stored,
        timing: &Timing,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Stores an alert of an incident.
    fn record_alert(
        &mut self,
        incident: IncidentId,
        alert: &Alert,
        member: &Member,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Stores an alert about which nothing is done.
    fn record_ignored(
        &mut self,
        alert: &Alert,
        reason: Ignored,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Stores an attempt that waits for its host to be free.
    fn queue_attempt(
        &mut self,
        asked: &Asked,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Attempts that wait and whose host is free, one a host, the oldest first.
    fn queued_attempts(
        &mut self,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Asked>, JournalError>> + Send;

    /// Stores that an attempt begins. Fails where one already runs on its host.
    fn start_attempt(
        &mut self,
        asked: &Asked,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Stores that the host let us in.
    fn connected(
        &mut self,
        attempt: AttemptId,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Stores how an attempt ended. Says whether it had not ended before.
    fn end_attempt(
        &mut self,
        attempt: AttemptId,
        ended: &Ended,
    ) -> impl Future<Output = Result<bool, JournalError>> + Send;

    /// Attempts that began and have not ended.
    fn running_attempts(&mut self) -> impl Future<Output = Result<Vec<Asked>, JournalError>> + Send;

    /// Makes it last. Returns once it is on disk.
    fn commit(self) -> impl Future<Output = Result<(), JournalError>> + Send;
}
