//! Claims what is due and allowed, and sees every attempt to its recorded end.
//!
//! Woken by intake, by time and by attempts that end. At most one attempt runs on a host: the
//! journal holds it to that, in the same unit of work that starts one.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{sync::Notify, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, warn};

use super::{
    clock::Clock,
    journal::{Asked, Ended, Fence, Journal, JournalError, Stored, Tried, Work},
    lanes::{Lanes, Permit},
    limiter::{Limiter, Spend, Starts},
    metrics::Metrics,
    silences::Silences,
    ssh::{Ssh, Target},
};
use crate::domain::{
    attempt::Outcome,
    host::HostName,
    incident::{PAST, Timing},
    policy::Policies,
    standing::Lane,
};

mod attempt;
mod claim;
mod recover;
mod retention;
mod successor;
#[cfg(test)]
mod tests;

use retention::Retention;
pub use successor::Changed;

/// Why an attempt has no known end though SSH did not fail, for metrics that start at zero.
pub const INTERRUPTIONS: [&str; 4] = [INTERRUPTED, STOPPED, LEASE_OVER, NOT_IN_INVENTORY];
const INTERRUPTED: &str = "interrupted";
const STOPPED: &str = "stopped";
const LEASE_OVER: &str = "lease_over";
const NOT_IN_INVENTORY: &str = "not_in_inventory";
/// Trouble of this machine's, as `SshError` has it.
const LOCAL: &str = "local";

/// Why an attempt that was due did not begin, for metrics that start at zero.
pub const DEFERRALS: [&str; 3] = [PERIOD, FLEET, SILENCED];
const PERIOD: &str = "period";
const FLEET: &str = "fleet";
const SILENCED: &str = "silenced";

/// The journal is asked at least this often, whoever forgot to wake us.
const POLL: Duration = Duration::from_secs(5);
/// How long the dispatcher waits after the journal failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long attempts that are told to stop may take to write down that they did.
const RECORD_TIMEOUT: Duration = Duration::from_secs(5);
/// By how much a lease outlasts the attempt's own deadline: time to write its end down.
const LEASE_MARGIN: Duration = Duration::from_mins(1);

/// Timers count in whole milliseconds: never one too early.
const TICK: Duration = Duration::from_millis(1);

/// Starts attempts.
#[derive(Debug)]
pub struct Dispatcher<J> {
    /// Where incidents and attempts are kept.
    pub journal: J,
    /// The responder's time.
    pub clock: Arc<Clock>,
    /// How hosts are reached.
    pub ssh: Ssh,
    /// The inventory.
    pub targets: BTreeMap<HostName, Target>,
    /// What each alert name asks for.
    pub policies: Policies,
    /// Which host may be swept when.
    pub limiter: Limiter,
    /// How many attempts may begin in a minute.
    pub starts: Arc<Starts>,
    /// How many attempts may be under way, and beside whom, whichever dispatcher of this process started
    /// them.
    pub lanes: Lanes,
    /// What Alertmanager has silenced, where it is asked.
    pub silences: Option<Silences>,
    /// When incidents need something.
    pub timing: Timing,
    /// The longest time for which the past of a host limits it.
    pub period: Duration,
    /// How long an attempt may take.
    pub attempt_deadline: Duration,
    /// How long ended incidents are kept.
    pub history: Duration,
    /// What all reports may hold together.
    pub reports_bytes: u64,
    /// Whether attempts wait for the fleet's next start, as the log and metrics have it.
    pub starts_are_scarce: AtomicBool,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Wakes the dispatcher.
    pub wake: Arc<Notify>,
}

/// An attempt that has been started in the journal.
#[derive(Debug)]
struct Claim {
    asked: Asked,
    fence: Fence,
    lane: Lane,
    target: Target,
    spend: Spend,
    firing_since: Option<Timestamp>,
    /// How long it could have begun already, but for the limits.
    waited: Duration,
}

impl<J: Journal> Dispatcher<J> {
    /// Starts attempts until it is told to stop. Returns those that are under way; each of them ends early
    /// once it is given up.
    pub async fn run(self: Arc<Self>, stop: CancellationToken, give_up: CancellationToken) -> TaskTracker {
        let attempts = TaskTracker::new();
        let mut retention = Retention::default();
        while !stop.is_cancelled() {
            // Registered before the journal is asked: what comes in between is not missed.
            let mut woken = pin!(self.wake.notified());
            woken.as_mut().enable();
            let pause = self.round(&attempts, &stop, &give_up).await.unwrap_or_else(|error| {
                self.metrics.journal_failed("claim");
                error!(reason = error.reason(), %error, "nothing can be claimed");
                AFTER_FAILURE
            });
            self.forget(&mut retention).await;
            self.drop_reports(&mut retention).await;
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        attempts.close();
        attempts
    }

    /// Claims as much as there is room for. Returns how long there is nothing to do.
    async fn round(
        self: &Arc<Self>,
        attempts: &TaskTracker,
        stop: &CancellationToken,
        give_up: &CancellationToken,
    ) -> Result<Duration, JournalError> {
        self.follow_clock().await?;
        let mut pause = POLL;
        // As long as there is something to begin it is begun, but not by whom a reload or a stop waits for.
        while !stop.is_cancelled() {
            let claimed = self.claim().await?;
            let (looked_at, ask, starts_in) = (claimed.looked_at, claimed.ask, claimed.starts_in);
            for claim in self.tell(claimed) {
                // There is room: whoever else takes a place is us.
                let permit = self.lanes.enter(claim.asked.id, claim.lane, Instant::now());
                self.start(claim, permit, attempts, give_up);
            }
            match (ask, &self.silences) {
                (true, Some(silences)) => silences.ask().await,
                _ if looked_at > 0 => {}
                _ => {
                    pause = starts_in.map_or(pause, |wait| pause.min(wait));
                    break;
                }
            }
        }
        if self.lanes.room(Instant::now()).lanes().len() < Lane::ALL.len() {
            pause = self.lanes.next_slow_in(Instant::now()).map_or(pause, |wait| pause.min(wait));
        }
        let now = self.clock.now();
        let next = self.journal.next_event_at(now).await?;
        let until = |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or_default();
        Ok(next.map_or(pause, |at| (until(at) + TICK).min(pause)))
    }

    fn start(
        self: &Arc<Self>,
        claim: Claim,
        permit: Permit,
        attempts: &TaskTracker,
        give_up: &CancellationToken,
    ) {
        let (dispatcher, give_up) = (Arc::clone(self), give_up.clone());
        let (metrics, wake) = (Arc::clone(&self.metrics), Arc::clone(&self.wake));
        metrics.attempt_wait.observe(claim.waited.as_secs_f64());
        metrics.attempts_running.inc();
        attempts.spawn(async move {
            // Also where the attempt panics: neither its place nor the count may stay taken.
            let _over = Over(Some(permit), metrics, wake);
            dispatcher.attempt(claim, give_up).await;
        });
    }

    /// Where the machine's clock was set, moves all that waits with it.
    async fn follow_clock(&self) -> Result<(), JournalError> {
        let Some(by) = self.clock.was_set() else { return Ok(()) };
        let mut work = self.journal.begin().await?;
        let horizon = PAST.max(self.period);
        work.shift(by, self.clock.now().checked_sub(horizon).unwrap_or(Timestamp::MIN)).await?;
        self.clock.shift(by);
        let done = async {
            work.save_anchor(&self.clock.anchor()).await?;
            work.commit().await
        };
        done.await.inspect_err(|_| self.clock.shift(-by))?;
        warn!(
            secs = by.as_secs_f64(),
            "the machine's clock was set; whatever waits still waits as long as it did"
        );
        Ok(())
    }
}

/// Lets attempts end; those that are given up have a moment to write that down.
pub async fn ended(attempts: TaskTracker, give_up: CancellationToken) {
    tokio::select! {
        () = attempts.wait() => return,
        () = give_up.cancelled() => {}
    }
    if !attempts.is_empty() {
        warn!(attempts = attempts.len(), "attempts under way have no more time and are given up");
        let _ = timeout(RECORD_TIMEOUT, attempts.wait()).await;
    }
}

/// An incident of which a person is to be told, once that is stored.
#[derive(Debug)]
struct Escalated {
    stored: Stored,
    tried: Tried,
}

/// An attempt's end, whatever it is.
struct Over(Option<Permit>, Arc<Metrics>, Arc<Notify>);

impl Drop for Over {
    fn drop(&mut self) {
        let Self(permit, metrics, wake) = self;
        drop(permit.take());
        metrics.attempts_running.dec();
        wake.notify_one();
    }
}

fn without_report(outcome: Outcome, reason: &str) -> Ended {
    Ended { outcome, reason: Some(reason.to_owned()), freed_bytes: 0, report: None, holds: None, seen: None }
}
