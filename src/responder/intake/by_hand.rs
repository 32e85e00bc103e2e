//! What a person asks for: hosts to be swept now, an incident to be closed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use serde::Serialize;
use tracing::info;
use uuid::Uuid;

use super::{Intake, closed};
use crate::{
    domain::{
        attempt::{AttemptId, Trigger},
        host::HostName,
        incident::{Closed, IncidentId, State},
    },
    responder::journal::{Asked, CLOSED_MOST, Journal, JournalError, Work, bounded},
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
    /// Whether that one waited already: somebody had asked for the same.
    pub joined: bool,
    /// Why there is none.
    pub error: Option<String>,
}

impl WishedHost {
    fn queued(name: &str, Queued { attempt, joined }: Queued) -> Self {
        Self { host: name.to_owned(), attempt: Some(attempt), joined, error: None }
    }

    fn unknown(name: &str) -> Self {
        let host = bounded::name(name);
        let error = Some(format!("{host:?} is no host of the inventory"));
        Self { host, attempt: None, joined: false, error }
    }
}

/// What a person asks for, whichever hosts it is asked of.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByHand<'a> {
    /// The replay that it is, where it is one.
    pub(super) replay: Option<Uuid>,
    /// Whether only to say what would go.
    pub(super) dry_run: bool,
    /// Who asks.
    pub(super) asked_by: &'a str,
}

/// The attempt that a wish has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Queued {
    pub(super) attempt: AttemptId,
    pub(super) joined: bool,
}

/// An incident that a person wanted closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClosedByHand {
    /// The incident.
    pub incident: IncidentId,
    /// Its host.
    pub host: HostName,
    /// When it closed.
    pub closed_at: Timestamp,
    /// Why it closed.
    pub close_reason: &'static str,
    /// Whether it had closed before.
    pub already: bool,
}

impl<J: Journal> Intake<J> {
    /// Closes an incident, where there is one of this identity. What is under way for it goes on to its end, and
    /// an alert of it that is received again, firing, opens another.
    pub async fn close(&self, id: IncidentId, asked_by: &str) -> Result<Option<ClosedByHand>, JournalError> {
        let mut work = self.journal.begin().await?;
        let Some(mut stored) = work.incident(id).await? else { return Ok(None) };
        let now = self.clock.now();
        let already = stored.incident.is_closed();
        stored.incident.close(Closed::Operator, now);
        if !already {
            work.save_incident(&stored, &self.timing, now).await?;
            work.record_closer(id, asked_by).await?;
            work.keep_closed(&stored.incident.host, CLOSED_MOST).await?;
            work.commit().await?;
            info!(incident = id.0, host = %stored.incident.host, asked_by, "close accepted");
            closed(&self.metrics, &stored);
        }
        let State::Closed { at, reason } = stored.incident.state else { return Ok(None) };
        let (host, close_reason) = (stored.incident.host, reason.as_str());
        Ok(Some(ClosedByHand { incident: id, host, closed_at: at, close_reason, already }))
    }

    /// Queues one attempt on each of these hosts. As a replay's it belongs to no incident, and does not
    /// ask for the host's period but counts for it.
    pub async fn sweep_now(
        &self,
        names: &[String],
        dry_run: bool,
        asked_by: &str,
    ) -> Result<Wished, JournalError> {
        // A name is an entry's own: an alias may stand for what an exporter says, and not for what a
        // person means.
        let known = |name: &String| self.directory.find(name).filter(|host| host.as_str() == name);
        let hosts: BTreeSet<_> = names.iter().filter_map(known).cloned().collect();
        let queued = self.queue(hosts, ByHand { replay: None, dry_run, asked_by }).await?;
        let mut told = HashSet::new();
        let once = names.iter().filter(|name| told.insert(*name));
        let hosts = once.map(|name| {
            let of_host = known(name).and_then(|host| queued.get(host));
            of_host.map_or_else(|| WishedHost::unknown(name), |queued| WishedHost::queued(name, *queued))
        });
        let hosts = hosts.collect();
        for (host, Queued { attempt, joined }) in &queued {
            info!(%host, %attempt, dry_run, joined, asked_by, "run accepted");
        }
        Ok(Wished { hosts })
    }

    /// Queues an attempt on each host, in one unit of work. Where one waits that was asked for alike, that one
    /// is joined: however often people ask, no more than one and a dry one wait on a host.
    pub(super) async fn queue(
        &self,
        hosts: BTreeSet<HostName>,
        by_hand: ByHand<'_>,
    ) -> Result<BTreeMap<HostName, Queued>, JournalError> {
        let ByHand { replay, dry_run, asked_by } = by_hand;
        let mut work = self.journal.begin().await?;
        let now = self.clock.now();
        let waiting = work.waiting_attempts(dry_run).await?;
        let mut queued = BTreeMap::new();
        for host in hosts {
            if let Some(attempt) = waiting.get(&host) {
                queued.insert(host, Queued { attempt: *attempt, joined: true });
                continue;
            }
            let (id, trigger) = (AttemptId::now(), Trigger::Manual);
            let asked_by = Some(asked_by.to_owned());
            let asked = Asked { id, host: host.clone(), incident: None, replay, trigger, dry_run, asked_by };
            work.queue_attempt(&asked, now).await?;
            queued.insert(host, Queued { attempt: id, joined: false });
        }
        if queued.values().any(|one| !one.joined) {
            work.commit().await?;
            self.wake.notify_one();
        }
        Ok(queued)
    }
}
