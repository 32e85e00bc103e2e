//! Hosts that a person wants swept now.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use tracing::info;
use uuid::Uuid;

use super::Intake;
use crate::{
    domain::{
        attempt::{AttemptId, Trigger},
        host::HostName,
    },
    responder::journal::{Asked, Journal, JournalError, Work, bounded},
};

/// What a person's wish leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wished {
    /// Each host once, in the order in which they were named.
    pub hosts: Vec<WishedHost>,
}

/// What becomes of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WishedHost {
    /// The host as it was named, bounded.
    pub host: String,
    /// The one attempt on it.
    pub attempt: Option<AttemptId>,
    /// Why there is none.
    pub error: Option<String>,
}

impl<J: Journal> Intake<J> {
    /// Queues one attempt on each of these hosts. As a replay's it belongs to no incident, and does not
    /// ask the limiter but counts for it.
    pub async fn sweep_now(&self, names: &[String], dry_run: bool) -> Result<Wished, JournalError> {
        let mut attempts = BTreeMap::new();
        let mut hosts: Vec<WishedHost> = vec![];
        let mut unknown: Vec<&String> = vec![];
        for name in names {
            // A name is an entry's own: an alias may stand for what an exporter says, and not for what a
            // person means.
            match self.directory.find(name).filter(|host| host.as_str() == name) {
                Some(host) if !attempts.contains_key(host) => {
                    let attempt = AttemptId::now();
                    attempts.insert(host.clone(), attempt);
                    hosts.push(WishedHost { host: name.clone(), attempt: Some(attempt), error: None });
                }
                None if !unknown.contains(&name) => {
                    unknown.push(name);
                    let host = bounded::name(name);
                    let error = Some(format!("{host:?} is no host of the inventory"));
                    hosts.push(WishedHost { host, attempt: None, error });
                }
                _ => {}
            }
        }
        let mut work = self.journal.begin().await?;
        let now = self.clock.now();
        queue(&mut work, &attempts, None, dry_run, now).await?;
        work.commit().await?;
        for (host, attempt) in attempts {
            info!(%host, %attempt, dry_run, "run accepted");
        }
        self.wake.notify_one();
        Ok(Wished { hosts })
    }
}

/// Queues what a person asked for.
pub(super) async fn queue(
    work: &mut impl Work,
    attempts: &BTreeMap<HostName, AttemptId>,
    replay: Option<Uuid>,
    dry_run: bool,
    now: Timestamp,
) -> Result<(), JournalError> {
    for (host, id) in attempts {
        let (host, trigger) = (host.clone(), Trigger::Manual);
        let asked = Asked { id: *id, host, incident: None, replay, trigger, dry_run };
        work.queue_attempt(&asked, now).await?;
    }
    Ok(())
}
