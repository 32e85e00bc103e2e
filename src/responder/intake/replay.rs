//! A notification that a person sends once more.

use std::collections::BTreeMap;

use serde::Serialize;
use tracing::info;
use uuid::Uuid;

use super::{Intake, by_hand::queue};
use crate::{
    domain::{
        alert::{AlertStatus, Notification},
        attempt::AttemptId,
        decision::{Decision, decide},
        host::HostName,
    },
    responder::journal::{Journal, JournalError, Work, bounded},
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
        queue(&mut work, &attempts, Some(replay), false, now).await?;
        work.commit().await?;
        for (host, attempt) in attempts {
            info!(%replay, %host, %attempt, "replay accepted");
        }
        self.wake.notify_one();
        Ok(Replayed { replay, alerts })
    }
}
