//! What must survive: incidents, their alerts, attempts and what was ignored.
//!
//! A journal stores and finds; what is to be done is decided by intake and dispatcher over the
//! domain's state machine, inside one unit of work. Another store takes these two traits and nothing
//! else; `conformance` says what has to hold for it.

use std::{collections::BTreeMap, future::Future};

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::clock::Anchor;
use crate::domain::{
    alert::{Alert, Fingerprint},
    attempt::{AttemptId, Outcome, Trigger},
    decision::Ignored,
    host::HostName,
    incident::{Incident, IncidentId, Member, Past, Timing},
    report::{Holds, Seen},
    standing::{Lane, Standing},
};

pub mod bounded;
#[cfg(test)]
mod conformance;
mod error;
mod questions;
pub mod sqlite;
mod timeline;
mod views;
mod waits;

pub use error::JournalError;
pub use questions::{
    ALERTS_MOST, AttemptQuery, IncidentQuery, Keep, REPORTS_BYTES_MOST, REPORTS_MOST, ROWS_MOST,
};
pub use timeline::Event;
pub use views::{
    AlertView, AttemptView, BackstopView, HostView, HostWhole, IgnoredView, IncidentView, IncidentWhole,
    LastReport, LoweredView, NotificationView, OpenHost, OpenIncident, Tried,
};
pub use waits::{Next, Waiting};

/// So many ignored alerts are kept, the last seen ones: whoever sends ever new ones must not fill the disk.
pub const IGNORED_MOST: u32 = 5000;

/// So many alerts are kept of a host's closed incidents, and so many of its closed incidents to which nothing
/// belongs any more, the last ones: whoever opens and closes ever new ones must not fill the disk.
pub const CLOSED_MOST: u32 = 1000;

/// An incident with its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its identity.
    pub id: IncidentId,
    /// The incident.
    pub incident: Incident,
}

/// Who comes first among those that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Critical incidents, then proven hosts, then whoever waits longest; of new hosts the newest, since
    /// the longer one of these has waited, the more of its like hang before it. Hosts that failed last time
    /// come after all of these.
    Standing,
    /// Proven hosts, whatever their alerts; then as by standing.
    Proven,
    /// Whoever waits longest, whatever it is.
    Wait,
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
    /// Whether the host is to say only what would go.
    pub dry_run: bool,
    /// Who asked, where a person did: a name and an address.
    pub asked_by: Option<String>,
}

/// The number of a claim. Of the claims on one host the last has the greatest, and whoever shows
/// another than the attempt's own has lost it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub i64);

/// An attempt that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// What was asked for.
    pub asked: Asked,
    /// The claim.
    pub fence: Fence,
    /// Whoever claimed it has gone by this instant.
    pub lease_until: Timestamp,
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
    /// What holds the space now, as the report has it.
    pub holds: Option<Holds>,
    /// What the report tells of the host at a glance.
    pub seen: Option<Seen>,
}

/// A store of incidents and attempts.
pub trait Journal: Clone + Send + Sync + 'static {
    /// Its unit of work.
    type Work: Work;

    /// Begins a unit of work. Nothing of it is there for others, or after a crash, before its commit.
    fn begin(&self) -> impl Future<Output = Result<Self::Work, JournalError>> + Send;

    /// Does some work on a thread of its own, where each step of it is a call and none is handed over. It begins
    /// at once, and is seen to its end whether or not somebody waits for it.
    fn apart<T, F>(&self, work: impl FnOnce(Self) -> F + Send + 'static) -> JoinHandle<T>
    where
        T: Send + 'static,
        F: Future<Output = T>;

    /// Ends with the failure after which this process must not go on, and not before.
    fn failed(&self) -> impl Future<Output = JournalError> + Send;

    /// The earliest instant after `now` at which something may have to be done.
    fn next_event_at(
        &self,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Timestamp>, JournalError>> + Send;

    /// Each host's last attempt that spent its period, or may have, of those that ended at this instant or later,
    /// or not at all.
    fn last_spends(
        &self,
        since: Timestamp,
    ) -> impl Future<Output = Result<Vec<(HostName, Timestamp)>, JournalError>> + Send;

    /// Writes and flushes a few bytes.
    fn probe(&self, now: Timestamp) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Incidents, the newest first. Fails where their alerts are more than are told at once.
    fn find_incidents(
        &self,
        query: &IncidentQuery,
    ) -> impl Future<Output = Result<Vec<IncidentView>, JournalError>> + Send;

    /// The newest incidents, of one host or of all, with their alerts.
    fn incidents(
        &self,
        host: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<IncidentView>, JournalError>> + Send {
        let host = host.map(str::to_owned);
        async move {
            let query = IncidentQuery { host, limit, alerts: true, ..IncidentQuery::default() };
            self.find_incidents(&query).await
        }
    }

    /// An incident with all that belongs to it, and so many of its attempts.
    fn incident(
        &self,
        id: IncidentId,
        attempts: u32,
    ) -> impl Future<Output = Result<Option<IncidentWhole>, JournalError>> + Send;

    /// Attempts, the newest first. Fails where their reports are more than are told at once.
    fn find_attempts(
        &self,
        query: &AttemptQuery,
    ) -> impl Future<Output = Result<Vec<AttemptView>, JournalError>> + Send;

    /// The newest attempts, of one host or of all, with their reports.
    fn attempts(
        &self,
        host: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<AttemptView>, JournalError>> + Send {
        let host = host.map(str::to_owned);
        async move {
            let query = AttemptQuery { host, limit, reports: true, ..AttemptQuery::default() };
            self.find_attempts(&query).await
        }
    }

    /// An attempt with its report.
    fn attempt(
        &self,
        id: AttemptId,
    ) -> impl Future<Output = Result<Option<AttemptView>, JournalError>> + Send;

    /// These hosts as they stand at this instant, in their order.
    fn hosts(
        &self,
        of: &[HostName],
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<HostView>, JournalError>> + Send;

    /// A notification as it was received.
    fn notification(
        &self,
        id: Uuid,
    ) -> impl Future<Output = Result<Option<NotificationView>, JournalError>> + Send;

    /// Ignored alerts, the last seen first.
    fn ignored(&self, limit: u32) -> impl Future<Output = Result<Vec<IgnoredView>, JournalError>> + Send;

    /// Hosts with an open incident.
    fn open_hosts(&self) -> impl Future<Output = Result<Vec<OpenHost>, JournalError>> + Send;

    /// Forgets some of what ended before this instant, few enough to keep nobody waiting; says how
    /// many rows, and none once there is nothing more.
    fn forget(&self, before: Timestamp) -> impl Future<Output = Result<u64, JournalError>> + Send;

    /// Drops some of the oldest reports while all of them hold more than so many bytes, few enough to keep nobody
    /// waiting; says how many, and none once they fit or none may go: an open incident's last one stays. Whatever
    /// else is known of their attempts stays too, and that there was a report.
    fn drop_reports(&self, most_bytes: u64) -> impl Future<Output = Result<u64, JournalError>> + Send;
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

    /// Incidents to which time alone may have brought something by now; see `Incident::time_event_at`. Whoever
    /// has asked saves them, so that they are not found again before there is something.
    fn timed_incidents(
        &mut self,
        now: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Stored>, JournalError>> + Send;

    /// Incidents that wait for an attempt which may begin by now, of hosts in these lanes.
    fn due_incidents(
        &mut self,
        now: Timestamp,
        lanes: &[Lane],
        order: Order,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<(Stored, Lane)>, JournalError>> + Send;

    /// What is known of a host when an incident opens on it; of its incidents the last [`CLOSED_MOST`] count.
    fn past(
        &mut self,
        host: &HostName,
        timing: &Timing,
        now: Timestamp,
    ) -> impl Future<Output = Result<Past, JournalError>> + Send;

    /// Where a host stands.
    fn standing(&mut self, host: &HostName) -> impl Future<Output = Result<Standing, JournalError>> + Send;

    /// Stores where a host stands.
    fn save_standing(
        &mut self,
        host: &HostName,
        standing: &Standing,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// What was done for an incident, and what is in the way.
    fn tried(&mut self, id: IncidentId) -> impl Future<Output = Result<Tried, JournalError>> + Send;

    /// Stores a new incident.
    fn insert_incident(
        &mut self,
        incident: &Incident,
        timing: &Timing,
        accepted_at: Timestamp,
    ) -> impl Future<Output = Result<IncidentId, JournalError>> + Send;

    /// Stores where an incident stands; its alerts are stored by `record_alert`. What time brings may be
    /// asked sooner than it comes: an alert that is received again puts it off each time, and need not be
    /// written for that each time.
    fn save_incident(
        &mut self,
        stored: &Stored,
        timing: &Timing,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Stores notifications as they were received, and keeps so many.
    fn record_notifications(
        &mut self,
        received: &[(Uuid, &[u8])],
        at: Timestamp,
        keep: Keep,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Stores until when an incident's attempt was put off, and for what.
    fn record_deferral(
        &mut self,
        incident: IncidentId,
        until: Timestamp,
        reason: &str,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Stores who closed an incident: a name and an address.
    fn record_closer(
        &mut self,
        incident: IncidentId,
        closed_by: &str,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Stores an alert of an incident, as this notification brought it.
    fn record_alert(
        &mut self,
        incident: IncidentId,
        alert: &Alert,
        member: &Member,
        notification: Uuid,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Stores what an alert of an incident counts for, where nothing of it was received.
    fn save_member(
        &mut self,
        incident: IncidentId,
        fingerprint: &Fingerprint,
        member: &Member,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Takes an alert of an incident away again.
    fn drop_alert(
        &mut self,
        incident: IncidentId,
        fingerprint: &Fingerprint,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Stores an alert about which nothing is done.
    fn record_ignored(
        &mut self,
        alert: &Alert,
        reason: Ignored,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Keeps so many of the ignored alerts, the last seen ones.
    fn keep_ignored(&mut self, most: u32) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Keeps so many alerts of a host's closed incidents, those of the last ones. Of the incidents themselves so many
    /// are kept, and beyond them those that have an alert or an attempt.
    fn keep_closed(
        &mut self,
        host: &HostName,
        most: u32,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Stores an attempt that waits for its host to be free.
    fn queue_attempt(
        &mut self,
        asked: &Asked,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// The first attempt that waits on each host where one does, of those that are dry runs or of those that are
    /// not.
    fn waiting_attempts(
        &mut self,
        dry_run: bool,
    ) -> impl Future<Output = Result<BTreeMap<HostName, AttemptId>, JournalError>> + Send;

    /// Attempts that wait and may begin by now on a host in these lanes, one a host, the oldest first; and
    /// since when each of them may.
    fn queued_attempts(
        &mut self,
        now: Timestamp,
        lanes: &[Lane],
        limit: u32,
    ) -> impl Future<Output = Result<Vec<(Asked, Lane, Timestamp)>, JournalError>> + Send;

    /// Stores that an attempt begins, and until when whoever began it is believed to be at it. Fails
    /// where one already runs on its host.
    fn start_attempt(
        &mut self,
        asked: &Asked,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> impl Future<Output = Result<Fence, JournalError>> + Send;

    /// How many attempts began at this instant or later.
    fn starts_since(&mut self, since: Timestamp) -> impl Future<Output = Result<u32, JournalError>> + Send;

    /// Stores that the host let us in.
    fn connected(
        &mut self,
        attempt: AttemptId,
        fence: Fence,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Stores how an attempt ended. Says whether the claim was still ours and had not ended before.
    fn end_attempt(
        &mut self,
        attempt: AttemptId,
        fence: Fence,
        ended: &Ended,
        now: Timestamp,
    ) -> impl Future<Output = Result<bool, JournalError>> + Send;

    /// Stores that a queued attempt will not be made.
    fn refuse_attempt(
        &mut self,
        attempt: AttemptId,
        ended: &Ended,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Attempts that began and have not ended.
    fn running_attempts(&mut self) -> impl Future<Output = Result<Vec<Running>, JournalError>> + Send;

    /// What the responder's time stood at when it was last stored.
    fn anchor(&mut self) -> impl Future<Output = Result<Option<Anchor>, JournalError>> + Send;

    /// Stores what the responder's time stands at.
    fn save_anchor(&mut self, anchor: &Anchor) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// The clock was set by so much: moves every instant since `since` with it, so that every wait
    /// stays as long as it was.
    fn shift(
        &mut self,
        by: SignedDuration,
        since: Timestamp,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Makes it last. Returns once it is on disk.
    fn commit(self) -> impl Future<Output = Result<(), JournalError>> + Send;
}
