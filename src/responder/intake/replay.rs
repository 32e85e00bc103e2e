//! A notification that a person sends once more.

use std::collections::BTreeSet;

use serde::Serialize;
use tracing::info;
use uuid::Uuid;

use super::{
    Intake,
    by_hand::{ByHand, Queued},
};
use crate::{
    domain::{
        alert::{AlertStatus, Notification},
        attempt::AttemptId,
        decision::{Decision, decide},
        host::HostName,
    },
    responder::journal::{Journal, JournalError, bounded},
};

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

impl<J: Journal> Intake<J> {
    /// Queues one attempt on each host that the payload's firing alerts name. It belongs to no
    /// incident and does not ask for the host's period, as it is a person who asks, but it counts for it.
    pub async fn replay(
        &self,
        notification: &Notification,
        asked_by: &str,
    ) -> Result<Replayed, JournalError> {
        let replay = Uuid::now_v7();
        let mut hosts = BTreeSet::new();
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
                    hosts.insert(host.clone());
                    replayed.host = Some(host);
                }
                Decision::Act { host, .. } => {
                    replayed.host = Some(host);
                    replayed.ignored = Some("resolved");
                }
            }
            alerts.push(replayed);
        }
        let by_hand = ByHand { replay: Some(replay), dry_run: false, asked_by };
        let queued = self.queue(hosts, by_hand).await?;
        for alert in alerts.iter_mut().filter(|alert| alert.ignored.is_none()) {
            let on_its_host = alert.host.as_ref().and_then(|host| queued.get(host));
            alert.attempt = on_its_host.map(|queued| queued.attempt);
        }
        for (host, Queued { attempt, joined }) in &queued {
            info!(%replay, %host, %attempt, joined, asked_by, "replay accepted");
        }
        Ok(Replayed { replay, alerts })
    }
}
