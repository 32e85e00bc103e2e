//! A reload: another dispatcher takes over, and the one before it lets its attempts end.
//!
//! What a host's period remembers and how much is under way belong to the process and go on; inventory,
//! times and bounds are the new configuration's.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::Dispatcher;
use crate::{
    domain::{
        host::HostName,
        incident::{Closed, Timing},
    },
    responder::{
        intake,
        journal::{Journal, JournalError, Stored, Work},
        ssh::Target,
    },
};

/// What a new configuration says of a dispatcher.
#[derive(Debug)]
pub struct Changed {
    /// The inventory.
    pub targets: BTreeMap<HostName, Target>,
    /// When incidents need something.
    pub timing: Timing,
    /// At most one attempt a host in this time.
    pub period: Duration,
    /// The same for an incident with a critical alert.
    pub critical_period: Duration,
    /// How long TCP and the handshake may take.
    pub connect_timeout: Duration,
    /// The longest output of a host that is read.
    pub output_bytes: u64,
    /// How long an attempt may take.
    pub attempt_deadline: Duration,
    /// How many attempts may be under way.
    pub attempts_at_once: u32,
    /// How many might be before.
    pub attempts_at_once_before: u32,
    /// How long ended incidents are kept.
    pub history: Duration,
}

impl<J: Journal> Dispatcher<J> {
    /// The dispatcher of a new configuration. Its attempts and those of this one share their slots.
    #[must_use]
    pub fn successor(&self, changed: Changed) -> Self {
        let Changed {
            targets,
            timing,
            period,
            critical_period,
            connect_timeout,
            output_bytes,
            attempt_deadline,
            attempts_at_once,
            attempts_at_once_before,
            history,
        } = changed;
        self.resize(attempts_at_once, attempts_at_once_before);
        Self {
            journal: self.journal.clone(),
            ssh: self.ssh.with_bounds(connect_timeout, output_bytes),
            targets,
            limiter: self.limiter.with_periods(period, critical_period),
            began: self.began,
            timing,
            attempt_deadline,
            slots: Arc::clone(&self.slots),
            history,
            metrics: Arc::clone(&self.metrics),
            wake: Arc::clone(&self.wake),
        }
    }

    /// Makes slots more or fewer. Those that are taken go when their attempts end.
    pub fn resize(&self, now: u32, before: u32) {
        if now >= before {
            self.slots.add_permits((now - before) as usize);
            return;
        }
        let slots = Arc::clone(&self.slots);
        tokio::spawn(async move {
            if let Ok(fewer) = slots.acquire_many(before - now).await {
                fewer.forget();
            }
        });
    }

    /// Brings open incidents in line with the configuration, as a start does; attempts go on.
    pub async fn take_over(&self, now: Timestamp) -> Result<(), JournalError> {
        let mut work = self.journal.begin().await?;
        let removed = self.settle(&mut work, now).await?;
        work.commit().await?;
        for stored in &removed {
            intake::closed(&self.metrics, stored);
        }
        Ok(())
    }

    /// Closes incidents of hosts that left the inventory, and brings the others' times in line.
    pub(super) async fn settle(
        &self,
        work: &mut J::Work,
        now: Timestamp,
    ) -> Result<Vec<Stored>, JournalError> {
        let mut removed = Vec::new();
        for mut stored in work.open_incidents().await? {
            if !self.targets.contains_key(&stored.incident.host) {
                stored.incident.close(Closed::Removed, now);
                removed.push(stored.clone());
            }
            work.save_incident(&stored, &self.timing).await?;
        }
        Ok(removed)
    }
}
