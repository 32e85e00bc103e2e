//! From a notification to incidents in the journal: nothing is acknowledged that is not on disk.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Notify;
use tracing::info;
use uuid::Uuid;

use super::{
    clock::Clock,
    journal::{Asked, Journal, JournalError, Stored, Work, bounded},
    metrics::{ByAlert, ByReason, Metrics},
};
use crate::domain::{
    alert::{Alert, AlertStatus, Notification},
    attempt::{AttemptId, Trigger},
    decision::{Decision, Ignored, decide},
    host::{Directory, HostName},
    incident::{Closed, Incident, IncidentId, Receipt, State, Timing},
    policy::{Policies, Urgency},
};

/// Takes notifications in.
#[derive(Debug)]
pub struct Intake<J> {
    /// Where they are kept.
    pub journal: J,
    /// The responder's time.
    pub clock: Arc<Clock>,
    /// What each alert name asks for.
    pub policies: Policies,
    /// Which label values stand for which host.
    pub directory: Directory,
    /// When incidents need something.
    pub timing: Timing,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Wakes the dispatcher.
    pub wake: Arc<Notify>,
}

/// What became of a notification's alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// Alerts that belong to a host of the inventory.
    pub accepted: u64,
    /// Alerts that were recorded and about which nothing is done.
    pub ignored: u64,
}

/// What a replayed notification leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// The replay's own identity.
    pub replay: Uuid,
    /// What was decided about each alert, in the payload's order.
    pub alerts: Vec<ReplayedAlert>,
}

/// What was decided about a replayed alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayedAlert {
    /// What identifies it.
    pub fingerprint: String,
    /// Its name, bounded.
    pub alert: String,
    /// The host that it names, where something is done.
    pub host: Option<HostName>,
    /// The one attempt on that host.
    pub attempt: Option<AttemptId>,
    /// Why nothing is done.
    pub ignored: Option<&'static str>,
}

/// What became of an alert, told once it is on disk.
enum Told {
    Ignored(Ignored),
    Received { incident: Option<IncidentId>, host: HostName, receipt: Receipt, opened: bool },
}

impl<J: Journal> Intake<J> {
    /// Records every alert and lets it join, leave or open its host's incident, in one unit of work.
    /// Returns once that is on disk.
    pub async fn accept(&self, notification: &Notification) -> Result<Accepted, JournalError> {
        let mut work = self.journal.begin().await?;
        // Within the unit of work: the clock may have been set before it began.
        let received_at = self.clock.now();
        let mut incidents = BTreeMap::new();
        let mut told = Vec::with_capacity(notification.alerts.len());
        for alert in &notification.alerts {
            told.push(match decide(alert, &self.policies, &self.directory) {
                Decision::Ignore(reason) => {
                    work.record_ignored(alert, reason, received_at).await?;
                    Told::Ignored(reason)
                }
                Decision::Act { host, urgency } => {
                    self.receive(&mut work, &mut incidents, alert, host, urgency, received_at).await?
                }
            });
        }
        for stored in incidents.values().flatten() {
            work.save_incident(stored, &self.timing).await?;
        }
        work.commit().await?;
        self.wake.notify_one();
        Ok(self.tell(notification, &incidents, told))
    }

    async fn receive(
        &self,
        work: &mut J::Work,
        incidents: &mut BTreeMap<HostName, Vec<Stored>>,
        alert: &Alert,
        host: HostName,
        urgency: Urgency,
        received_at: Timestamp,
    ) -> Result<Told, JournalError> {
        let of_host = match incidents.entry(host.clone()) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(work.open_incident(&host).await?.into_iter().collect())
            }
        };
        let open = of_host.last().is_some_and(|stored| !stored.incident.is_closed());
        if !open {
            if alert.status == AlertStatus::Resolved {
                let receipt = Receipt::Unrelated;
                return Ok(Told::Received { incident: None, host, receipt, opened: false });
            }
            // One that closed within this very notification has to give way first: at most one is
            // open a host.
            for stored in of_host.iter() {
                work.save_incident(stored, &self.timing).await?;
            }
            let past = work.past(&host, &self.timing, received_at).await?;
            let incident = Incident::open(host.clone(), past, received_at);
            let id = work.insert_incident(&incident, &self.timing, self.clock.now()).await?;
            of_host.push(Stored { id, incident });
        }
        let Some(stored) = of_host.last_mut() else {
            return Err(JournalError::Corrupt("an incident that was just stored is gone".to_owned()));
        };
        let receipt = stored.incident.receive(alert, urgency, received_at);
        if let Some(member) = stored.incident.members.get(&alert.fingerprint) {
            work.record_alert(stored.id, alert, member).await?;
        }
        Ok(Told::Received { incident: Some(stored.id), host, receipt, opened: !open })
    }

    /// Counts and logs, once it is true.
    fn tell(
        &self,
        notification: &Notification,
        incidents: &BTreeMap<HostName, Vec<Stored>>,
        told: Vec<Told>,
    ) -> Accepted {
        let mut accepted = Accepted { accepted: 0, ignored: 0 };
        if notification.truncated_alerts > 0 {
            self.metrics.alerts_truncated.inc_by(notification.truncated_alerts);
            tracing::warn!(
                alerts = notification.truncated_alerts,
                "the sender cut alerts off and will not send them again: set max_alerts to 0"
            );
        }
        for (alert, told) in notification.alerts.iter().zip(told) {
            match told {
                Told::Ignored(reason) => {
                    accepted.ignored += 1;
                    self.metrics.alerts_ignored.get_or_create(&ByReason::new(reason.reason())).inc();
                    info!(alert = bounded::name(alert.name()), reason = reason.reason(), "alert ignored");
                }
                Told::Received { incident, host, receipt, opened } => {
                    accepted.accepted += 1;
                    if opened {
                        self.metrics.incidents_opened.inc();
                    }
                    self.received(alert, incident, &host, if opened { "opened" } else { word(receipt) });
                }
            }
        }
        for stored in incidents.values().flatten() {
            closed(&self.metrics, stored);
        }
        accepted
    }

    fn received(&self, alert: &Alert, incident: Option<IncidentId>, host: &HostName, receipt: &str) {
        let (name, status) = (alert.name(), alert.status.as_str());
        self.metrics.alerts.get_or_create(&ByAlert::new(name, status)).inc();
        let incident = incident.map(|id| id.0);
        if receipt == word(Receipt::Refreshed) {
            tracing::debug!(incident, %host, alert = name, status, receipt, "alert accepted");
        } else {
            let secs_since_firing = rounded(secs_between(alert.starts_at, self.clock.now()));
            info!(incident, %host, alert = name, status, receipt, secs_since_firing, "alert accepted");
        }
    }

    /// Queues one attempt on each host that the payload's firing alerts name. It belongs to no
    /// incident and does not ask the limiter, as it is a person who asks, but it counts for it.
    pub async fn replay(&self, notification: &Notification) -> Result<Replayed, JournalError> {
        let replay = Uuid::now_v7();
        let mut work = self.journal.begin().await?;
        let now = self.clock.now();
        let mut attempts = BTreeMap::new();
        let mut alerts = Vec::with_capacity(notification.alerts.len());
        for alert in &notification.alerts {
            let mut replayed = ReplayedAlert {
                fingerprint: alert.fingerprint.to_string(),
                alert: bounded::name(alert.name()),
                host: None,
                attempt: None,
                ignored: None,
            };
            match decide(alert, &self.policies, &self.directory) {
                Decision::Ignore(reason) => replayed.ignored = Some(reason.reason()),
                Decision::Act { host, .. } if alert.status == AlertStatus::Firing => {
                    replayed.attempt = Some(*attempts.entry(host.clone()).or_insert_with(AttemptId::now));
                    replayed.host = Some(host);
                }
                Decision::Act { host, .. } => {
                    replayed.host = Some(host);
                    replayed.ignored = Some("resolved");
                }
            }
            alerts.push(replayed);
        }
        for (host, id) in &attempts {
            let (host, trigger) = (host.clone(), Trigger::Manual);
            let asked = Asked { id: *id, host, incident: None, replay: Some(replay), trigger };
            work.queue_attempt(&asked, now).await?;
        }
        work.commit().await?;
        for (host, attempt) in attempts {
            info!(%replay, %host, %attempt, "replay accepted");
        }
        self.wake.notify_one();
        Ok(Replayed { replay, alerts })
    }
}

/// The receipt as the log writes it.
fn word(receipt: Receipt) -> &'static str {
    match receipt {
        Receipt::Joined => "joined",
        Receipt::Reopened => "reopened",
        Receipt::Refreshed => "refreshed",
        Receipt::Left => "left",
        Receipt::Unrelated => "unrelated",
    }
}

/// Counts and logs the end of an incident, where this is its end.
pub fn closed(metrics: &Metrics, stored: &Stored) {
    let State::Closed { at, reason } = stored.incident.state else { return };
    metrics.incidents_closed.get_or_create(&ByReason::new(reason.as_str())).inc();
    let firing_secs = stored.incident.firing_since().map(|since| secs_between(since, at));
    if let (Closed::Resolved, Some(secs)) = (reason, firing_secs) {
        metrics.alert_to_resolved.observe(secs);
    }
    info!(
        incident = stored.id.0,
        host = %stored.incident.host,
        reason = reason.as_str(),
        attempts = stored.incident.attempts,
        last_outcome = stored.incident.last_outcome.map_or("none", |outcome| outcome.as_str()),
        secs_since_firing = firing_secs.map(rounded),
        "incident closed"
    );
}

/// Seconds from one instant to a later one; none where the clocks disagree.
pub fn secs_between(earlier: Timestamp, later: Timestamp) -> f64 {
    later.duration_since(earlier).as_secs_f64().max(0.0)
}

/// Seconds as the log shows them.
pub fn rounded(secs: f64) -> f64 {
    (secs * 100.0).round() / 100.0
}
