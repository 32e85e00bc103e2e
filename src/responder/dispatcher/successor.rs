//! A reload: another dispatcher takes over, and the one before it lets its attempts end.
//!
//! What the limits remember, how much is under way and the responder's time belong to the process and go
//! on; inventory, times and bounds are the new configuration's.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use super::Dispatcher;
use crate::{
    domain::{host::HostName, incident::Timing, policy::Policies},
    responder::{
        intake,
        journal::{Journal, JournalError, Work},
        lanes,
        limiter::Starts,
        silences::Silences,
        ssh::Target,
    },
};

/// What a new configuration says of a dispatcher.
#[derive(Debug)]
pub struct Changed {
    /// The inventory.
    pub targets: BTreeMap<HostName, Target>,
    /// What each alert name asks for.
    pub policies: Policies,
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
    /// How many attempts may be under way, and from when on one is slow.
    pub bounds: lanes::Bounds,
    /// How many attempts may begin in a minute.
    pub starts_a_minute: u32,
    /// Who is asked what is silenced, where somebody is.
    pub silences: Option<Silences>,
    /// How long ended incidents are kept.
    pub history: Duration,
    /// What all reports may hold together.
    pub reports_bytes: u64,
}

impl<J: Journal> Dispatcher<J> {
    /// The dispatcher of a new configuration. Its attempts and those of this one share places, periods
    /// and the fleet's minute.
    #[must_use]
    pub fn successor(&self, changed: Changed) -> Self {
        let Changed {
            targets,
            policies,
            timing,
            period,
            critical_period,
            connect_timeout,
            output_bytes,
            attempt_deadline,
            bounds,
            starts_a_minute,
            silences,
            history,
            reports_bytes,
        } = changed;
        let starts = if self.starts.a_minute() == starts_a_minute {
            Arc::clone(&self.starts)
        } else {
            // What has begun is noted in it when it takes over.
            Arc::new(Starts::new(starts_a_minute))
        };
        Self {
            journal: self.journal.clone(),
            clock: Arc::clone(&self.clock),
            ssh: self.ssh.with_bounds(connect_timeout, output_bytes),
            targets,
            policies,
            limiter: self.limiter.with_periods(period, critical_period),
            starts,
            lanes: self.lanes.with_bounds(bounds),
            silences,
            timing,
            period,
            attempt_deadline,
            history,
            reports_bytes,
            starts_are_scarce: AtomicBool::default(),
            metrics: Arc::clone(&self.metrics),
            wake: Arc::clone(&self.wake),
        }
    }

    /// Brings open incidents in line with the configuration, as a start does; attempts go on, and what
    /// began under the one before counts. What fails here has changed nothing.
    pub async fn take_over(&self, before: &Self) -> Result<(), JournalError> {
        let spends = self.spends(self.clock.now()).await?;
        let mut work = self.journal.begin().await?;
        let (now, running_for) = self.clock.moment();
        let closed = self.follow_configuration(&mut work, now).await?;
        if !Arc::ptr_eq(&self.starts, &before.starts) {
            self.remember_starts(&mut work, now, running_for).await?;
        }
        work.commit().await?;
        // A longer period may go back to what nobody had to remember at the start.
        self.remember_spends(spends, now, running_for);
        for stored in &closed {
            intake::closed(&self.metrics, stored);
        }
        Ok(())
    }
}
