//! From a notification to incidents in the journal: nothing is acknowledged that is not on disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::body::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Notify;
use tracing::{debug, info, info_span, warn};
use uuid::Uuid;

use super::{
    clock::Clock,
    journal::{CLOSED_MOST, IGNORED_MOST, Journal, JournalError, Keep, Stored, Work, bounded},
    metrics::{ByAlert, ByReason, Metrics},
};
use crate::domain::{
    alert::{Alert, AlertStatus, Notification},
    decision::{Decision, Ignored, decide},
    host::{Directory, HostName},
    incident::{Closed, Incident, Lowered, Receipt, Received, State, Timing},
    policy::{Policies, Urgency},
};

mod by_hand;
mod replay;
#[cfg(test)]
mod tests;
mod together;

pub use by_hand::{ClosedByHand, Wished, WishedHost};
pub use replay::{Replayed, ReplayedAlert};
pub use together::Queue;

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
    /// Notifications that wait for the journal.
    pub queue: Queue,
    /// How many are kept as they were received.
    pub keep: Keep,
}

/// A notification, and what of it was received.
#[derive(Debug)]
struct Delivery {
    id: Uuid,
    notification: Notification,
    body: Bytes,
}

/// A notification that is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Acknowledged {
    /// Its identity.
    pub notification: Uuid,
    /// What became of its alerts.
    #[serde(flatten)]
    pub accepted: Accepted,
}

/// What became of a notification's alerts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// Alerts that belong to a host of the inventory.
    pub accepted: u64,
    /// Alerts that were recorded and about which nothing is done.
    pub ignored: u64,
}

/// A notification's alerts, sorted by what they lead to.
struct Sorted<'n> {
    of_hosts: BTreeMap<HostName, Vec<(&'n Alert, Urgency)>>,
    ignored: Vec<(&'n Alert, Ignored)>,
}

/// What became of a notification, told once it is on disk.
struct Told<'n> {
    truncated: u64,
    of_hosts: Vec<ToldOfHost<'n>>,
    ignored: Vec<(&'n Alert, Ignored)>,
}

/// What became of a host's alerts.
struct ToldOfHost<'n> {
    host: HostName,
    alerts: Vec<(&'n Alert, Urgency)>,
    receipts: Vec<Receipt>,
    /// Its incident; none where all of them were resolutions of what was not known.
    incident: Option<Stored>,
    /// Whether the incident is new.
    opened: bool,
    /// Whether its next attempt is due sooner than it was.
    hastened: bool,
    /// What a person has not to look at any more.
    lowered: Option<Lowered>,
}

impl Told<'_> {
    /// Whether alerts were recorded about which nothing is done.
    fn has_ignored(&self) -> bool {
        let is_crowded = |of_host: &ToldOfHost| of_host.receipts.contains(&Receipt::Crowded);
        !self.ignored.is_empty() || self.of_hosts.iter().any(is_crowded)
    }

    /// Hosts whose incident is over.
    fn closed(&self) -> impl Iterator<Item = &HostName> {
        let is_closed = |of_host: &&ToldOfHost| {
            of_host.incident.as_ref().is_some_and(|stored| stored.incident.is_closed())
        };
        self.of_hosts.iter().filter(is_closed).map(|of_host| &of_host.host)
    }

    /// Whether an attempt is due sooner than it was, or time has to say whether a person is told something else.
    fn is_urgent(&self) -> bool {
        self.of_hosts.iter().any(|of_host| of_host.hastened || of_host.lowered.is_some())
    }
}

impl<J: Journal> Intake<J> {
    /// Records every alert of some notifications and lets it join, leave or open its host's incident, in
    /// one unit of work. Returns once that is on disk.
    async fn take_in(
        &self,
        mut work: J::Work,
        deliveries: &[&Delivery],
    ) -> Result<Vec<Acknowledged>, JournalError> {
        // Within the unit of work: the clock may have been set before it began.
        let received_at = self.clock.now();
        let mut all = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            all.push(self.record(&mut work, delivery, received_at).await?);
        }
        let received: Vec<_> = deliveries.iter().map(|delivery| (delivery.id, &*delivery.body)).collect();
        work.record_notifications(&received, received_at, self.keep).await?;
        if all.iter().any(Told::has_ignored) {
            work.keep_ignored(IGNORED_MOST).await?;
        }
        for host in all.iter().flat_map(Told::closed).collect::<BTreeSet<_>>() {
            work.keep_closed(host, CLOSED_MOST).await?;
        }
        work.commit().await?;
        let told = all.iter().zip(deliveries).map(|(told, delivery)| {
            let accepted =
                info_span!("notification", notification = %delivery.id).in_scope(|| self.tell(told));
            Acknowledged { notification: delivery.id, accepted }
        });
        let told = told.collect();
        // After it was told: an incident reads as a story. What is no sooner due than before is no work for the
        // dispatcher, which would have the journal while the next notification waits for it.
        if all.iter().any(Told::is_urgent) {
            self.wake.notify_one();
        }
        Ok(told)
    }

    async fn record<'n>(
        &self,
        work: &mut J::Work,
        delivery: &'n Delivery,
        received_at: Timestamp,
    ) -> Result<Told<'n>, JournalError> {
        let Delivery { id, notification, body: _ } = delivery;
        let Sorted { of_hosts: sorted, ignored } = self.sorted(notification);
        let mut of_hosts = Vec::with_capacity(sorted.len());
        for (host, alerts) in sorted {
            of_hosts.push(self.receive(work, host, alerts, (*id, received_at)).await?);
        }
        for (alert, reason) in &ignored {
            work.record_ignored(alert, *reason, received_at).await?;
        }
        Ok(Told { truncated: notification.truncated_alerts, of_hosts, ignored })
    }

    fn sorted<'n>(&self, notification: &'n Notification) -> Sorted<'n> {
        let mut sorted = Sorted { of_hosts: BTreeMap::new(), ignored: vec![] };
        for alert in &notification.alerts {
            match decide(alert, &self.policies, &self.directory) {
                Decision::Act { host, urgency } => {
                    sorted.of_hosts.entry(host).or_default().push((alert, urgency));
                }
                Decision::Ignore(reason) => sorted.ignored.push((alert, reason)),
            }
        }
        sorted
    }

    /// Takes in all alerts of a host together: its incident is read and written once, however many they are.
    async fn receive<'n>(
        &self,
        work: &mut J::Work,
        host: HostName,
        alerts: Vec<(&'n Alert, Urgency)>,
        (notification, received_at): (Uuid, Timestamp),
    ) -> Result<ToldOfHost<'n>, JournalError> {
        let (mut incident, known) = match work.open_incident(&host).await? {
            Some(Stored { id, incident }) => (incident, Some(id)),
            None if alerts.iter().any(|(alert, _)| alert.status == AlertStatus::Firing) => {
                let past = work.past(&host, &self.timing, received_at).await?;
                (Incident::open(host.clone(), past, received_at), None)
            }
            None => {
                let receipts = vec![Receipt::Unrelated; alerts.len()];
                return Ok(ToldOfHost {
                    host,
                    alerts,
                    receipts,
                    incident: None,
                    opened: false,
                    hastened: false,
                    lowered: None,
                });
            }
        };
        let due_before = incident.due_at().filter(|_| known.is_some());
        let lowered_before = incident.lowered;
        let Received { receipts, dropped } = incident.receive(&alerts, received_at);
        let hastened = incident.due_at().is_some_and(|due_at| due_before != Some(due_at));
        let lowered = incident.lowered.filter(|_| incident.lowered != lowered_before);
        let stored = if let Some(id) = known {
            let stored = Stored { id, incident };
            work.save_incident(&stored, &self.timing, received_at).await?;
            stored
        } else {
            let id = work.insert_incident(&incident, &self.timing, self.clock.now()).await?;
            Stored { id, incident }
        };
        for fingerprint in &dropped {
            work.drop_alert(stored.id, fingerprint).await?;
        }
        for ((alert, _), receipt) in alerts.iter().zip(&receipts) {
            if let Some(member) = stored.incident.members.get(&alert.fingerprint) {
                work.record_alert(stored.id, alert, member, notification).await?;
            } else if *receipt == Receipt::Crowded {
                work.record_ignored(alert, Ignored::TooMany, received_at).await?;
            }
        }
        let (incident, opened) = (Some(stored), known.is_none());
        Ok(ToldOfHost { host, alerts, receipts, incident, opened, hastened, lowered })
    }

    /// Counts and logs, once it is true.
    fn tell(&self, Told { truncated, of_hosts, ignored }: &Told) -> Accepted {
        let mut accepted = Accepted::default();
        if *truncated > 0 {
            self.metrics.alerts_truncated.inc_by(*truncated);
            warn!(
                alerts = truncated,
                "the sender cut alerts off and will not send them again: set max_alerts to 0"
            );
        }
        self.tell_ignored(ignored, &mut accepted);
        for of_host in of_hosts {
            self.tell_of_host(of_host, &mut accepted);
        }
        accepted
    }

    /// Of what is ignored there may be half a million in one notification, and the same again with each: a line
    /// for each reason, and each of them for who looks for it.
    fn tell_ignored(&self, ignored: &[(&Alert, Ignored)], accepted: &mut Accepted) {
        let mut by_reason: BTreeMap<Ignored, (u64, &Alert)> = BTreeMap::new();
        for (alert, reason) in ignored {
            by_reason.entry(*reason).or_insert((0, alert)).0 += 1;
            debug!(alert = bounded::name(alert.name()), reason = reason.reason(), "alert ignored");
        }
        for (reason, (alerts, example)) in by_reason {
            self.ignored(reason, alerts, accepted);
            info!(
                reason = reason.reason(),
                alerts,
                example = bounded::name(example.name()),
                "alerts ignored"
            );
        }
    }

    fn tell_of_host(&self, told: &ToldOfHost, accepted: &mut Accepted) {
        let ToldOfHost { host, alerts, receipts, incident, opened, hastened: _, lowered } = told;
        if *opened {
            self.metrics.incidents_opened.inc();
        }
        let incident = incident.as_ref();
        let mut is_first = *opened;
        let mut crowded = 0;
        for ((alert, _), receipt) in alerts.iter().zip(receipts) {
            if *receipt == Receipt::Crowded {
                crowded += 1;
                continue;
            }
            accepted.accepted += 1;
            let opens = *receipt == Receipt::Joined && std::mem::take(&mut is_first);
            self.received(alert, incident, host, if opens { "opened" } else { word(*receipt) });
        }
        if crowded > 0 {
            let incident = incident.map(|stored| stored.id.0);
            self.ignored(Ignored::TooMany, crowded, accepted);
            warn!(incident, %host, alerts = crowded, reason = Ignored::TooMany.reason(), "alerts ignored: the incident has as many as are kept of one");
        }
        if let Some(Lowered { told, .. }) = lowered {
            let (incident, reason) = (incident.map(|stored| stored.id.0), told.reason.as_str());
            info!(incident, %host, reason, "incident no longer critical: nobody has to look at once");
        }
        if let Some(stored) = incident {
            closed(&self.metrics, stored);
        }
    }

    fn ignored(&self, reason: Ignored, alerts: u64, accepted: &mut Accepted) {
        accepted.ignored += alerts;
        self.metrics.alerts_ignored.get_or_create(&ByReason::new(reason.reason())).inc_by(alerts);
    }

    fn received(&self, alert: &Alert, incident: Option<&Stored>, host: &HostName, receipt: &str) {
        let (name, status) = (alert.name(), alert.status.as_str());
        self.metrics.alerts.get_or_create(&ByAlert::new(name, status)).inc();
        let incident = incident.map(|stored| stored.id.0);
        if receipt == word(Receipt::Refreshed) {
            debug!(incident, %host, alert = name, status, receipt, "alert accepted");
        } else {
            let secs_since_firing = rounded(secs_between(alert.starts_at, self.clock.now()));
            info!(incident, %host, alert = name, status, receipt, secs_since_firing, "alert accepted");
        }
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
        Receipt::Crowded => "crowded",
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
