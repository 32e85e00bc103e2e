//! The start: the journal is brought in line with this process.

use std::time::Duration;

use jiff::Timestamp;
use tracing::{info, warn};

use super::{Dispatcher, INTERRUPTED, without_report};
use crate::{
    domain::{
        attempt::Outcome,
        host::HostName,
        incident::{Closed, PAST},
    },
    responder::{
        intake,
        journal::{Journal, JournalError, Running, Stored, Work},
    },
};

/// Starts within this time before the beginning count for the fleet's minute.
const MINUTE: Duration = Duration::from_mins(1);

impl<J: Journal> Dispatcher<J> {
    /// Brings the journal in line with this process: what a killed responder left running has an
    /// unknown end and waits before its host is asked again, hosts that left the inventory and alerts
    /// that lost their policy have no incident, whatever waits goes by the machine's clock as it is now, and the limits remember.
    pub async fn recover(&self) -> Result<(), JournalError> {
        let mut work = self.journal.begin().await?;
        self.follow_clock_since(&mut work).await?;
        let (now, running_for) = self.clock.moment();
        let mut interrupted = Vec::new();
        for Running { asked, fence, .. } in work.running_attempts().await? {
            let ended = without_report(Outcome::Unknown, INTERRUPTED);
            let escalated = self.end(&mut work, &asked, fence, &ended).await?.flatten();
            interrupted.push((asked, ended, escalated));
        }
        let closed = self.follow_configuration(&mut work, now).await?;
        self.remember_starts(&mut work, now, running_for).await?;
        work.save_anchor(&self.clock.anchor()).await?;
        work.commit().await?;

        for (asked, ended, escalated) in &interrupted {
            self.count(&asked.host, ended);
            let incident = asked.incident.map(|id| id.0);
            warn!(incident, attempt = %asked.id, host = %asked.host, "attempt was cut short by the responder's end; its outcome is unknown");
            if let Some(escalated) = escalated {
                self.escalated(escalated);
            }
        }
        for stored in &closed {
            intake::closed(&self.metrics, stored);
        }
        let spends = self.spends(now).await?;
        self.remember_spends(spends, now, running_for);
        Ok(())
    }

    /// When each host spent its period last, as far back as that may still limit it.
    pub(super) async fn spends(&self, now: Timestamp) -> Result<Vec<(HostName, Timestamp)>, JournalError> {
        let since = now.checked_sub(PAST.max(self.period)).unwrap_or(Timestamp::MIN);
        self.journal.last_spends(since).await
    }

    /// The limits go on from what was spent before this process began.
    pub(super) fn remember_spends(
        &self,
        spends: Vec<(HostName, Timestamp)>,
        now: Timestamp,
        running_for: Duration,
    ) {
        for (host, at) in spends {
            let ago = Duration::try_from(now.duration_since(at)).unwrap_or_default();
            // The limits' time began with the clock's; what was spent since then they have seen themselves.
            self.limiter.seed(host, ago.saturating_sub(running_for));
        }
    }

    /// Whatever was stored before the clock was set moves with it.
    async fn follow_clock_since(&self, work: &mut J::Work) -> Result<(), JournalError> {
        let Some(anchor) = work.anchor().await? else { return Ok(()) };
        let Some(by) = self.clock.go_on_from(&anchor) else { return Ok(()) };
        let then = anchor.at.min(self.clock.now().checked_sub(by).unwrap_or(Timestamp::MIN));
        work.shift(by, then.checked_sub(PAST.max(self.period)).unwrap_or(Timestamp::MIN)).await?;
        info!(secs = by.as_secs_f64(), "the machine's clock was set since the last start");
        Ok(())
    }

    /// What began within the last minute counts for the fleet's next one.
    pub(super) async fn remember_starts(
        &self,
        work: &mut J::Work,
        now: Timestamp,
        running_for: Duration,
    ) -> Result<(), JournalError> {
        let minute_ago = now.checked_sub(MINUTE).unwrap_or(Timestamp::MIN);
        self.starts.note(work.starts_since(minute_ago).await?, running_for);
        Ok(())
    }

    /// Closes incidents of hosts that left the inventory and of alerts that lost their policy, and brings
    /// the others in line.
    pub(super) async fn follow_configuration(
        &self,
        work: &mut J::Work,
        now: Timestamp,
    ) -> Result<Vec<Stored>, JournalError> {
        let mut closed = Vec::new();
        for mut stored in work.open_incidents().await? {
            let (id, incident) = (stored.id, &mut stored.incident);
            if self.targets.contains_key(&incident.host) {
                for fingerprint in incident.follow(&self.policies, now) {
                    if let Some(member) = incident.members.get(&fingerprint) {
                        work.save_member(id, &fingerprint, member).await?;
                    }
                }
            } else {
                incident.close(Closed::Removed, now);
            }
            // Also of those that stay: when time brings something depends on the configuration.
            work.save_incident(&stored, &self.timing, now).await?;
            if stored.incident.is_closed() {
                closed.push(stored);
            }
        }
        Ok(closed)
    }
}
