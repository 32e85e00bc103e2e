//! One look at the journal: what time brings by itself, and which attempts begin.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tracing::info;

use super::{
    Claim, Dispatcher, Escalated, FLEET, LEASE_MARGIN, LEASE_OVER, NOT_IN_INVENTORY, PERIOD, SILENCED, TICK,
    attempt::told, without_report,
};
use crate::{
    domain::{
        attempt::{AttemptId, Outcome, Trigger},
        host::HostName,
        incident::{Closed, IncidentId, after},
        policy::Urgency,
        standing::Lane,
    },
    responder::{
        intake,
        journal::{Asked, CLOSED_MOST, Ended, Journal, JournalError, Running, Stored, Work},
        lanes::Room,
        metrics::ByReason,
        silences::Answer,
        ssh::Target,
    },
};

/// So many incidents are looked at in one unit of work for what time brings: intake waits meanwhile.
const TIMED_AT_ONCE: u32 = 100;
/// How soon an incident is looked at again of which every alert is silenced, unless `recheck` is sooner.
const SILENCED_AGAIN: Duration = Duration::from_mins(1);

/// What one look at the journal led to; told once it is stored.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    attempts: Vec<Claim>,
    closed: Vec<Stored>,
    escalated: Vec<Escalated>,
    deferred: Vec<(IncidentId, HostName, &'static str, Duration)>,
    given_up: Vec<(Asked, Ended)>,
    /// How long the responder has been running at the instant of the look.
    running_for: Duration,
    /// How much was looked at: the journal is asked again until there is nothing.
    pub(super) looked_at: usize,
    /// An attempt is due, and Alertmanager has to be asked first.
    pub(super) ask: bool,
    /// An attempt is due, and the fleet has to wait so long for its next start.
    pub(super) starts_in: Option<Duration>,
}

/// What an incident that is due comes to.
enum Due {
    /// It begins.
    Begins,
    /// It waits for something that concerns it alone.
    Deferred,
    /// Nobody may begin for now.
    Blocked,
}

impl<J: Journal> Dispatcher<J> {
    /// Starts in the journal what is due and allowed, in one unit of work.
    pub(super) async fn claim(&self) -> Result<Claimed, JournalError> {
        let mut claimed = Claimed::default();
        let done = self.claim_into(&mut claimed).await;
        if done.is_err() {
            for claim in &claimed.attempts {
                self.limiter.give_back(&claim.spend);
            }
        }
        done.map(|()| claimed)
    }

    async fn claim_into(&self, claimed: &mut Claimed) -> Result<(), JournalError> {
        // Before the journal's turn is waited for: however long that takes, what was asked for it counts.
        let silenced = self.silences.as_ref().map(|silences| silences.known(Instant::now()));
        let mut work = self.journal.begin().await?;
        // Within the unit of work: the clock may have been set before it began.
        let now;
        (now, claimed.running_for) = self.clock.moment();
        self.reap(&mut work, claimed, now).await?;
        for stored in work.timed_incidents(now, TIMED_AT_ONCE).await? {
            claimed.looked_at += 1;
            self.pass_time(&mut work, claimed, stored, now).await?;
        }
        let mut room = self.lanes.room(Instant::now());
        let incidents_first = self.starts.incidents_first();
        for for_incidents in [incidents_first, !incidents_first] {
            let before = claimed.attempts.len();
            if for_incidents {
                self.claim_due(&mut work, claimed, &mut room, silenced.as_ref(), now).await?;
            } else {
                self.claim_queued(&mut work, claimed, &mut room, now).await?;
            }
            let has_begun = claimed.attempts.len() > before;
            if has_begun && for_incidents {
                self.starts.end_turn();
            }
            if has_begun && for_incidents == incidents_first {
                self.starts.change_over();
            }
        }
        if !claimed.attempts.is_empty() {
            work.save_anchor(&self.clock.anchor()).await?;
        }
        if claimed.looked_at > 0 { work.commit().await } else { Ok(()) }
    }

    /// An attempt whose lease is over and which nobody here is at has no known end: whoever began it
    /// has gone without a word.
    async fn reap(
        &self,
        work: &mut J::Work,
        claimed: &mut Claimed,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        for running in work.running_attempts().await? {
            let Running { asked, fence, lease_until } = running;
            if lease_until <= now && !self.lanes.holds(asked.id) {
                claimed.looked_at += 1;
                let ended = without_report(Outcome::Unknown, LEASE_OVER);
                claimed.escalated.extend(self.end(work, &asked, fence, &ended).await?.flatten());
                claimed.given_up.push((asked, ended));
            }
        }
        Ok(())
    }

    /// What time brings by itself: an incident's end, or a person.
    async fn pass_time(
        &self,
        work: &mut J::Work,
        claimed: &mut Claimed,
        mut stored: Stored,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let before = stored.incident.escalated;
        stored.incident.pass_time(&self.timing, now);
        work.save_incident(&stored, &self.timing, now).await?;
        if stored.incident.is_closed() {
            work.keep_closed(&stored.incident.host, CLOSED_MOST).await?;
            claimed.closed.push(stored);
        } else {
            claimed.escalated.extend(told(work, stored, before).await?);
        }
        Ok(())
    }

    /// Attempts that a person asked for. They do not ask for their hosts' periods, but count for them.
    async fn claim_queued(
        &self,
        work: &mut J::Work,
        claimed: &mut Claimed,
        room: &mut Room,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        for (asked, lane, since) in work.queued_attempts(now, &room.lanes(), room.places()).await? {
            let Some(target) = self.targets.get(&asked.host).cloned() else {
                claimed.looked_at += 1;
                let ended = without_report(Outcome::Refused, NOT_IN_INVENTORY);
                work.refuse_attempt(asked.id, &ended, now).await?;
                claimed.given_up.push((asked, ended));
                continue;
            };
            if !room.take(lane) {
                continue;
            }
            if let Err(wait) = self.starts.check(claimed.running_for) {
                claimed.starts_in = Some(wait);
                return Ok(());
            }
            claimed.looked_at += 1;
            let fence = work.start_attempt(&asked, now, self.lease_until(now)).await?;
            let spend = self.limiter.note(&asked.host, claimed.running_for);
            let waited = between(since, now);
            claimed.attempts.push(Claim { asked, fence, lane, target, spend, firing_since: None, waited });
        }
        Ok(())
    }

    async fn claim_due(
        &self,
        work: &mut J::Work,
        claimed: &mut Claimed,
        room: &mut Room,
        silenced: Option<&Option<Arc<Answer>>>,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let order = self.starts.order();
        for (mut stored, lane) in work.due_incidents(now, &room.lanes(), order, room.places()).await? {
            let known = self.targets.get(&stored.incident.host);
            // Also one that the intake of another configuration has opened at the last moment.
            let Some(target) = known.filter(|_| stored.incident.has_policy(&self.policies)) else {
                claimed.looked_at += 1;
                let reason = if known.is_some() { Closed::NoPolicy } else { Closed::Removed };
                stored.incident.close(reason, now);
                work.save_incident(&stored, &self.timing, now).await?;
                claimed.closed.push(stored);
                continue;
            };
            let answer = match silenced {
                None => None,
                Some(Some(answer)) => Some(answer),
                Some(None) => {
                    claimed.ask = true;
                    return Ok(());
                }
            };
            if !room.take(lane) {
                continue;
            }
            match self.begin_due(work, claimed, &mut stored, (lane, target), answer, now).await? {
                Due::Begins => {}
                // A place that nobody took is there for the next.
                Due::Deferred => *room = self.lanes.room(Instant::now()).less(&claimed.lanes()),
                Due::Blocked => return Ok(()),
            }
            claimed.looked_at += 1;
            work.save_incident(&stored, &self.timing, now).await?;
        }
        Ok(())
    }

    /// Begins an attempt for an incident that is due, where Alertmanager and the limits allow it.
    async fn begin_due(
        &self,
        work: &mut J::Work,
        claimed: &mut Claimed,
        stored: &mut Stored,
        (lane, target): (Lane, &Target),
        answer: Option<&Arc<Answer>>,
        now: Timestamp,
    ) -> Result<Due, JournalError> {
        let incident = &mut stored.incident;
        if answer.is_some_and(|answer| answer.suppresses(incident)) {
            let wait = self.timing.recheck.min(SILENCED_AGAIN);
            return deferred(work, claimed, stored, (SILENCED, wait), now).await;
        }
        let may_since = work.standing(&incident.host).await?.not_before.max(incident.due_at());
        let waited = may_since.map_or(Duration::ZERO, |since| between(since, now));
        let urgency = incident.urgency().unwrap_or(Urgency::Warning);
        let spend = match self.limiter.check(&incident.host, urgency, claimed.running_for) {
            Ok(spend) => spend,
            Err(wait) => return deferred(work, claimed, stored, (PERIOD, wait), now).await,
        };
        if let Err(wait) = self.starts.check(claimed.running_for) {
            self.limiter.give_back(&spend);
            claimed.starts_in = Some(wait);
            return Ok(Due::Blocked);
        }
        let asked = Asked {
            id: AttemptId::now(),
            host: incident.host.clone(),
            incident: Some(stored.id),
            replay: None,
            trigger: Trigger::Alert,
            dry_run: false,
            asked_by: None,
        };
        incident.begin();
        let firing_since = incident.firing_since();
        let started = work.start_attempt(&asked, now, self.lease_until(now)).await;
        let fence = started.inspect_err(|_| self.limiter.give_back(&spend))?;
        let target = target.clone();
        claimed.attempts.push(Claim { asked, fence, lane, target, spend, firing_since, waited });
        Ok(Due::Begins)
    }

    /// Whoever began an attempt now is believed to be at it until then: longer than it may take here,
    /// which is longer than it may take on the host.
    fn lease_until(&self, now: Timestamp) -> Timestamp {
        after(now, self.attempt_deadline + LEASE_MARGIN)
    }

    /// Counts and logs what has been stored.
    pub(super) fn tell(&self, claimed: Claimed) -> Vec<Claim> {
        for stored in &claimed.closed {
            intake::closed(&self.metrics, stored);
        }
        for escalated in &claimed.escalated {
            self.escalated(escalated);
        }
        for (asked, ended) in &claimed.given_up {
            self.count(&asked.host, ended);
            let reason = ended.reason.as_deref();
            let incident = asked.incident.map(|id| id.0);
            tracing::warn!(incident, attempt = %asked.id, host = %asked.host, reason, outcome = ended.outcome.as_str(), "attempt given up");
        }
        for (incident, host, reason, wait) in claimed.deferred {
            self.metrics.attempts_deferred.get_or_create(&ByReason::new(reason)).inc();
            info!(incident = incident.0, %host, reason, wait_secs = wait.as_secs_f64().ceil(), "attempt deferred");
        }
        // Once, and not at each of the looks until there are enough again.
        let scarce_before = self.starts_are_scarce.swap(claimed.starts_in.is_some(), Ordering::Relaxed);
        if let Some(wait) = claimed.starts_in.filter(|_| !scarce_before) {
            self.metrics.attempts_deferred.get_or_create(&ByReason::new(FLEET)).inc();
            info!(
                wait_secs = wait.as_secs_f64().ceil(),
                "attempts wait: the fleet has had its starts for now"
            );
        }
        claimed.attempts
    }
}

impl Claimed {
    /// The lanes of the places that were taken.
    fn lanes(&self) -> Vec<Lane> {
        self.attempts.iter().map(|claim| claim.lane).collect()
    }
}

/// Puts an incident's attempt off, and stores for what.
async fn deferred(
    work: &mut impl Work,
    claimed: &mut Claimed,
    Stored { id, incident }: &mut Stored,
    (reason, wait): (&'static str, Duration),
    now: Timestamp,
) -> Result<Due, JournalError> {
    incident.defer(after(now, wait + TICK));
    if let Some(due_at) = incident.due_at() {
        work.record_deferral(*id, due_at, reason).await?;
    }
    claimed.deferred.push((*id, incident.host.clone(), reason, wait));
    Ok(Due::Deferred)
}

/// How long ago something was; nothing where the clocks disagree.
fn between(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}
