//! Claims what is due and allowed, and sees every attempt to its recorded end.
//!
//! Woken by intake, by time and by attempts that end. At most one attempt runs on a host: the
//! journal holds it to that, in the same unit of work that starts one.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use super::{
    intake,
    journal::{Asked, Ended, Journal, JournalError, Stored, Work},
    limiter::{Limiter, Spend},
    metrics::Metrics,
    ssh::{Ssh, Target},
};
use crate::domain::{
    attempt::{AttemptId, Outcome, Trigger},
    host::HostName,
    incident::{Closed, IncidentId, State, Timing, after},
    policy::Urgency,
};

mod attempt;
mod successor;

pub use successor::Changed;

/// Why an attempt has no known end though SSH did not fail, for metrics that start at zero.
pub const INTERRUPTIONS: [&str; 3] = [INTERRUPTED, STOPPED, NOT_IN_INVENTORY];
const INTERRUPTED: &str = "interrupted";
const STOPPED: &str = "stopped";
const NOT_IN_INVENTORY: &str = "not_in_inventory";

/// The journal is asked at least this often, whoever forgot to wake us.
const POLL: Duration = Duration::from_secs(5);
/// How long the dispatcher waits after the journal failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long attempts that are told to stop may take to write down that they did.
const RECORD_TIMEOUT: Duration = Duration::from_secs(5);
/// How often ended incidents are looked through for those that are too old.
const FORGET_EVERY: Duration = Duration::from_hours(1);

/// Starts attempts.
#[derive(Debug)]
pub struct Dispatcher<J> {
    /// Where incidents and attempts are kept.
    pub journal: J,
    /// How hosts are reached.
    pub ssh: Ssh,
    /// The inventory.
    pub targets: BTreeMap<HostName, Target>,
    /// Who may be swept when.
    pub limiter: Limiter,
    /// When the limiter's time began.
    pub began: Instant,
    /// When incidents need something.
    pub timing: Timing,
    /// How long an attempt may take.
    pub attempt_deadline: Duration,
    /// One for each attempt that may be under way, whichever dispatcher of this process started it.
    pub slots: Arc<Semaphore>,
    /// How long ended incidents are kept.
    pub history: Duration,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Wakes the dispatcher.
    pub wake: Arc<Notify>,
}

/// An attempt that has been started in the journal.
#[derive(Debug)]
struct Claim {
    asked: Asked,
    target: Target,
    spend: Spend,
    firing_since: Option<Timestamp>,
}

/// What one look at the journal led to.
#[derive(Debug, Default)]
struct Claimed {
    attempts: Vec<Claim>,
    closed: Vec<Stored>,
    escalated: Vec<Stored>,
    deferred: Vec<(IncidentId, HostName, Duration)>,
    looked_at: usize,
}

impl<J: Journal> Dispatcher<J> {
    /// Brings the journal in line with this process: what a killed responder left running has an
    /// unknown end, hosts that left the inventory have no incident, and the limiter remembers.
    pub async fn recover(&self, now: Timestamp) -> Result<(), JournalError> {
        let mut work = self.journal.begin().await?;
        let running = work.running_attempts().await?;
        for asked in &running {
            let ended = without_report(Outcome::Unknown, INTERRUPTED, now);
            self.end(&mut work, asked, &ended).await?;
        }
        let removed = self.settle(&mut work, now).await?;
        work.commit().await?;
        for asked in running {
            self.count(&asked.host, &without_report(Outcome::Unknown, INTERRUPTED, now));
            let incident = asked.incident.map(|id| id.0);
            warn!(incident, attempt = %asked.id, host = %asked.host, "attempt was cut short by the responder's end; its outcome is unknown");
        }
        for stored in &removed {
            intake::closed(&self.metrics, stored);
        }
        for (host, at) in self.journal.last_spends().await? {
            // An attempt that seems to lie ahead was made under a clock that was set back since.
            self.limiter.seed(host, Duration::try_from(now.duration_since(at)).unwrap_or_default());
        }
        Ok(())
    }

    /// Starts attempts until it is told to stop. Returns those that are under way; each of them ends early
    /// once it is given up.
    pub async fn run(self: Arc<Self>, stop: CancellationToken, give_up: CancellationToken) -> TaskTracker {
        let attempts = TaskTracker::new();
        let slots = Arc::clone(&self.slots);
        let mut forgot = None;
        while !stop.is_cancelled() {
            // Registered before the journal is asked: what comes in between is not missed.
            let mut woken = pin!(self.wake.notified());
            woken.as_mut().enable();
            let pause = self.round(&slots, &attempts, &give_up).await.unwrap_or_else(|error| {
                self.metrics.journal_failed("claim");
                error!(reason = error.reason(), %error, "nothing can be claimed");
                AFTER_FAILURE
            });
            self.forget(&mut forgot).await;
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        attempts.close();
        attempts
    }

    /// Claims as much as there are slots for. Returns how long there is nothing to do.
    async fn round(
        self: &Arc<Self>,
        slots: &Arc<Semaphore>,
        attempts: &TaskTracker,
        give_up: &CancellationToken,
    ) -> Result<Duration, JournalError> {
        loop {
            let free = u32::try_from(slots.available_permits()).unwrap_or(u32::MAX);
            if free == 0 {
                return Ok(POLL);
            }
            let claimed = self.claim(free, Timestamp::now()).await?;
            let looked_at = claimed.looked_at;
            for claim in self.tell(claimed) {
                let Ok(permit) = Arc::clone(slots).try_acquire_owned() else { break };
                self.start(claim, permit, attempts, give_up);
            }
            if looked_at == 0 {
                break;
            }
        }
        let next = self.journal.next_event_at().await?;
        let until =
            |at: Timestamp| Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
        Ok(next.map_or(POLL, |at| until(at).min(POLL)))
    }

    fn start(
        self: &Arc<Self>,
        claim: Claim,
        permit: OwnedSemaphorePermit,
        attempts: &TaskTracker,
        give_up: &CancellationToken,
    ) {
        let (dispatcher, give_up) = (Arc::clone(self), give_up.clone());
        attempts.spawn(async move {
            dispatcher.metrics.attempts_running.inc();
            dispatcher.attempt(claim, give_up).await;
            dispatcher.metrics.attempts_running.dec();
            drop(permit);
            dispatcher.wake.notify_one();
        });
    }

    /// Starts in the journal what is due and allowed, in one unit of work.
    async fn claim(&self, free: u32, now: Timestamp) -> Result<Claimed, JournalError> {
        let mut claimed = Claimed::default();
        let done = self.claim_into(&mut claimed, free, now).await;
        if done.is_err() {
            for claim in &claimed.attempts {
                self.limiter.give_back(&claim.spend);
            }
        }
        done.map(|()| claimed)
    }

    async fn claim_into(&self, claimed: &mut Claimed, free: u32, now: Timestamp) -> Result<(), JournalError> {
        let mut work = self.journal.begin().await?;
        for asked in work.queued_attempts(free).await? {
            claimed.looked_at += 1;
            let Some(target) = self.targets.get(&asked.host).cloned() else {
                let ended = without_report(Outcome::Refused, NOT_IN_INVENTORY, now);
                work.end_attempt(asked.id, &ended).await?;
                continue;
            };
            work.start_attempt(&asked, now).await?;
            let spend = self.limiter.note(&asked.host, self.began.elapsed());
            claimed.attempts.push(Claim { asked, target, spend, firing_since: None });
        }
        let left = free.saturating_sub(u32::try_from(claimed.attempts.len()).unwrap_or(u32::MAX));
        for stored in work.due_incidents(now, left).await? {
            claimed.looked_at += 1;
            self.look_at(&mut work, claimed, stored, now).await?;
        }
        work.commit().await
    }

    /// Does what time asks of one incident: end it, tell a person, put it off, or start an attempt.
    async fn look_at(
        &self,
        work: &mut J::Work,
        claimed: &mut Claimed,
        mut stored: Stored,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let incident = &mut stored.incident;
        let told_before = incident.escalated.is_some();
        incident.pass_time(&self.timing, now);
        let target = self.targets.get(&incident.host).cloned();
        if target.is_none() {
            incident.close(Closed::Removed, now);
        }
        let due = matches!(incident.state, State::Waiting { due_at } if due_at <= now);
        if let (true, Some(target)) = (due, target) {
            let urgency = incident.urgency().unwrap_or(Urgency::Warning);
            match self.limiter.check(&incident.host, urgency, self.began.elapsed()) {
                Ok(spend) => {
                    incident.begin();
                    let asked = Asked {
                        id: AttemptId::now(),
                        host: incident.host.clone(),
                        incident: Some(stored.id),
                        replay: None,
                        trigger: Trigger::Alert,
                    };
                    let firing_since = incident.firing_since();
                    claimed.attempts.push(Claim { asked: asked.clone(), target, spend, firing_since });
                    work.start_attempt(&asked, now).await?;
                }
                Err(wait) => {
                    // Timers count in whole milliseconds: never one too early.
                    incident.defer(after(now, wait + Duration::from_millis(1)));
                    claimed.deferred.push((stored.id, incident.host.clone(), wait));
                }
            }
        }
        work.save_incident(&stored, &self.timing).await?;
        if stored.incident.is_closed() {
            claimed.closed.push(stored);
        } else if stored.incident.escalated.is_some() && !told_before {
            claimed.escalated.push(stored);
        }
        Ok(())
    }

    /// Counts and logs what has been stored.
    fn tell(&self, claimed: Claimed) -> Vec<Claim> {
        for stored in &claimed.closed {
            intake::closed(&self.metrics, stored);
        }
        for stored in &claimed.escalated {
            self.escalated(stored);
        }
        for (incident, host, wait) in claimed.deferred {
            self.metrics.attempts_deferred.inc();
            info!(incident = incident.0, %host, wait_secs = wait.as_secs_f64().ceil(), "attempt deferred: the host's period is not over");
        }
        claimed.attempts
    }

    async fn forget(&self, forgot: &mut Option<Instant>) {
        if forgot.is_some_and(|at: Instant| at.elapsed() < FORGET_EVERY) {
            return;
        }
        *forgot = Some(Instant::now());
        let before = Timestamp::now().checked_sub(self.history).unwrap_or(Timestamp::MIN);
        match self.journal.forget(before).await {
            Ok(0) => {}
            Ok(rows) => info!(rows, "forgot what ended too long ago"),
            Err(error) => {
                self.metrics.journal_failed("finish");
                error!(reason = error.reason(), %error, "what is too old cannot be forgotten");
            }
        }
    }
}

/// Lets attempts end; those that are given up have a moment to write that down.
pub async fn ended(attempts: TaskTracker, give_up: CancellationToken) {
    tokio::select! {
        () = attempts.wait() => return,
        () = give_up.cancelled() => {}
    }
    if !attempts.is_empty() {
        warn!(attempts = attempts.len(), "the grace period is over; attempts under way are given up");
        let _ = timeout(RECORD_TIMEOUT, attempts.wait()).await;
    }
}

fn without_report(outcome: Outcome, reason: &str, at: Timestamp) -> Ended {
    Ended { outcome, reason: Some(reason.to_owned()), freed_bytes: 0, report: None, at }
}
