//! One attempt, from its begin to its recorded end.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

use super::{
    Claim, Dispatcher, Escalated, INTERRUPTED, INTERRUPTIONS, LEASE_OVER, LOCAL, PERIOD, STOPPED, TICK,
    without_report,
};
use crate::{
    domain::{
        attempt::{Mode, Outcome, SweepRequest},
        evidence::{Evidence, WorkerState},
        host::HostName,
        incident::{self, after},
        policy::Urgency,
        report::{Report, WorkerReport},
    },
    responder::{
        intake::{rounded, secs_between},
        journal::{Asked, Ended, Fence, Journal, JournalError, Stored, Work},
        metrics::ByReason,
        ssh::SshError,
    },
};

/// How soon an end that could not be written is written again; doubles up to the longest.
const RECORD_AGAIN: Duration = Duration::from_millis(100);
const RECORD_AGAIN_MOST: Duration = Duration::from_secs(30);

/// The reason of an attempt that deleted nothing because the host only observes.
const OBSERVES: &str = "the host only observes: nothing was deleted";
/// The reason of one that was asked for nothing else.
const LOOKED: &str = "a dry run: nothing was deleted";

impl<J: Journal> Dispatcher<J> {
    /// Runs an attempt that the journal has as started.
    pub(super) async fn attempt(&self, claim: Claim, give_up: CancellationToken) {
        let incident = claim.asked.incident.map(|id| id.0);
        let span = info_span!("attempt", incident, attempt = %claim.asked.id, host = %claim.asked.host);
        self.sweep_and_record(claim, give_up).instrument(span).await;
    }

    async fn sweep_and_record(&self, claim: Claim, give_up: CancellationToken) {
        let asked_by = claim.asked.asked_by.as_deref();
        info!(trigger = claim.asked.trigger.as_str(), asked_by, "attempt started");
        let began = Instant::now();
        let ended = tokio::select! {
            swept = timeout(self.attempt_deadline, self.sweep(&claim, began)) => {
                ended(swept.unwrap_or(Err(SshError::Deadline)))
            }
            () = give_up.cancelled() => without_report(Outcome::Unknown, STOPPED),
        };
        // Who only asked what would go has changed nothing: no alert waits for that.
        if claim.asked.dry_run || !ended.outcome.spends() {
            self.limiter.give_back(&claim.spend);
        }
        self.metrics.attempt_duration.observe(began.elapsed().as_secs_f64());
        self.count(&claim.asked.host, &ended);
        let firing_secs = claim.firing_since.map(|since| secs_between(since, self.clock.now()));
        if let (1.., Some(secs)) = (ended.freed_bytes, firing_secs) {
            self.metrics.alert_to_freed.observe(secs);
        }
        info!(
            outcome = ended.outcome.as_str(),
            reason = ended.reason.as_deref(),
            freed_bytes = ended.freed_bytes,
            secs = rounded(began.elapsed().as_secs_f64()),
            secs_since_firing = firing_secs.map(rounded),
            "attempt ended"
        );
        self.record(&claim, &ended, &give_up).await;
    }

    async fn sweep(&self, claim: &Claim, began: Instant) -> Result<Report, SshError> {
        let connection = self.ssh.connect(&claim.target).await?;
        self.lanes.connected(claim.asked.id, Instant::now());
        self.metrics.connect_duration.observe(began.elapsed().as_secs_f64());
        info!(secs = rounded(began.elapsed().as_secs_f64()), "connected");
        if let Err(error) = self.connected(claim).await {
            // Only the time of connecting is lost; the sweep matters more.
            self.metrics.journal_failed("finish");
            warn!(reason = error.reason(), %error, "the time of connecting cannot be recorded");
        }
        let request = SweepRequest::new(claim.asked.id, claim.asked.trigger, claim.asked.dry_run);
        let asked = Instant::now();
        let report = connection.sweep(&request).await?;
        self.metrics.sweep_duration.observe(asked.elapsed().as_secs_f64());
        for worker in &report.workers {
            tell_worker(worker);
        }
        Ok(report)
    }

    async fn connected(&self, claim: &Claim) -> Result<(), JournalError> {
        let mut work = self.journal.begin().await?;
        work.connected(claim.asked.id, claim.fence, self.clock.now()).await?;
        work.commit().await
    }

    /// Writes the end down, as often as it takes: a host whose attempt never ends is never swept again.
    async fn record(&self, claim: &Claim, ended: &Ended, give_up: &CancellationToken) {
        let mut pause = RECORD_AGAIN;
        loop {
            let Err(error) = self.record_once(claim, ended).await else { return };
            self.metrics.journal_failed("finish");
            error!(reason = error.reason(), %error, "the attempt's end cannot be recorded yet");
            if give_up.is_cancelled() || error.is_fatal() {
                // The next start finds the attempt running and records an unknown end.
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(RECORD_AGAIN_MOST),
                () = give_up.cancelled() => {}
            }
        }
    }

    async fn record_once(&self, claim: &Claim, ended: &Ended) -> Result<(), JournalError> {
        let mut work = self.journal.begin().await?;
        let told = self.end(&mut work, &claim.asked, claim.fence, ended).await?;
        work.commit().await?;
        match told {
            None => warn!("the attempt was given up by another claim; its end is not recorded"),
            Some(Some(escalated)) => self.escalated(&escalated),
            Some(None) => {}
        }
        Ok(())
    }

    /// Ends an attempt, and tells its host and its incident. `None` where it had ended, or is another's;
    /// else the incident where a person is to be told now.
    pub(super) async fn end(
        &self,
        work: &mut J::Work,
        asked: &Asked,
        fence: Fence,
        ended: &Ended,
    ) -> Result<Option<Option<Escalated>>, JournalError> {
        // Within the unit of work: the clock may have been set before it began.
        let (now, running_for) = self.clock.moment();
        if !work.end_attempt(asked.id, fence, ended, now).await? {
            return Ok(None);
        }
        let jitter = jitter();
        let mut standing = work.standing(&asked.host).await?;
        match ours(ended) {
            Some(INTERRUPTED | STOPPED | LEASE_OVER) => standing.interrupt(&self.timing, now),
            // Nobody got as far as the host.
            Some(LOCAL) => {}
            _ => standing.finish(ended.outcome, &self.timing, jitter, now),
        }
        work.save_standing(&asked.host, &standing).await?;
        work.save_anchor(&self.clock.anchor()).await?;
        let found = match asked.incident {
            Some(id) => work.incident(id).await?,
            None => work.open_incident(&asked.host).await?,
        };
        let Some(mut stored) = found else { return Ok(Some(None)) };
        let before = stored.incident.escalated;
        // What a person asked for is no attempt of the incident's, but the host's period counts it.
        if asked.incident.is_some() {
            stored.incident.finish(ended.outcome, &self.timing, jitter, now);
        }
        self.keep_to_period(work, &mut stored, now, running_for).await?;
        work.save_incident(&stored, &self.timing, now).await?;
        Ok(Some(told(work, stored, before).await?))
    }

    /// Puts an incident off to the end of its host's period, where that comes later than what it waits for: whoever
    /// asks when the host is looked at next is to be told so at once, and not when it is due.
    async fn keep_to_period(
        &self,
        work: &mut J::Work,
        Stored { id, incident }: &mut Stored,
        now: Timestamp,
        running_for: Duration,
    ) -> Result<(), JournalError> {
        let urgency = incident.urgency().unwrap_or(Urgency::Warning);
        let wait = self.limiter.wait(&incident.host, urgency, running_for);
        let allowed_at = after(now, wait + TICK);
        if wait.is_zero() || incident.due_at().is_none_or(|due_at| due_at >= allowed_at) {
            return Ok(());
        }
        incident.defer(allowed_at);
        work.record_deferral(*id, allowed_at, PERIOD).await
    }

    /// Counts how an attempt ended.
    pub(super) fn count(&self, host: &HostName, ended: &Ended) {
        self.metrics.attempt_ended(host, ended.outcome, ended.freed_bytes);
        // A report's own reason is a sentence and no label.
        let known = |reason: &&str| SshError::REASONS.contains(reason) || INTERRUPTIONS.contains(reason);
        if let (None, Some(reason)) = (&ended.report, ended.reason.as_deref().filter(known)) {
            self.metrics.attempt_failures.get_or_create(&ByReason::new(reason)).inc();
        }
    }

    /// Counts and logs that a person has to look.
    pub(super) fn escalated(&self, Escalated { stored, tried }: &Escalated) {
        let Some(escalated) = stored.incident.escalated else { return };
        self.metrics.escalations.get_or_create(&ByReason::new(escalated.reason.as_str())).inc();
        warn!(
            incident = stored.id.0,
            host = %stored.incident.host,
            reason = escalated.reason.as_str(),
            tried = counts(&tried.tried),
            holds = tried.holds.as_ref().map(tracing::field::display),
            "incident escalated: a person has to look"
        );
    }
}

/// Why an attempt ended, in our words and not in those of a report, which are the host's whatever they are.
fn ours(ended: &Ended) -> Option<&str> {
    ended.reason.as_deref().filter(|_| ended.report.is_none())
}

/// The incident, where a person is to be told something now that nobody was told before.
pub(super) async fn told(
    work: &mut impl Work,
    stored: Stored,
    before: Option<incident::Escalated>,
) -> Result<Option<Escalated>, JournalError> {
    if stored.incident.escalated.is_none() || stored.incident.escalated == before {
        return Ok(None);
    }
    let tried = work.tried(stored.id).await?;
    Ok(Some(Escalated { stored, tried }))
}

fn ended(swept: Result<Report, SshError>) -> Ended {
    let report = match swept {
        Ok(report) => report,
        Err(error) => {
            warn!(reason = error.reason(), %error, "no report");
            return without_report(error.outcome(), error.reason());
        }
    };
    let deletes = report.mode == Mode::Enforce && !report.dry_run;
    Ended {
        outcome: report.outcome,
        // `freed` is what it would have been: whoever reads journal or log must see that it was not.
        reason: report.reason.clone().or_else(|| {
            let why = if report.dry_run { LOOKED } else { OBSERVES };
            (!deletes).then(|| why.to_owned())
        }),
        // Observed, or asked only to look, the host has freed nothing; its report says what it would have.
        freed_bytes: if deletes { report.freed_bytes } else { 0 },
        report: serde_json::to_string(&report).ok(),
        holds: Some(report.holds()),
        seen: Some(report.seen()),
    }
}

/// `2 active, 1 freed`.
fn counts(tried: &BTreeMap<String, i64>) -> String {
    let counts: Vec<_> = tried.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    counts.join(", ")
}

fn tell_worker(worker: &WorkerReport) {
    info!(
        worker = worker.name,
        verdict = worker.verdict.as_str(),
        state = worker.state.map(WorkerState::as_str),
        freed_bytes = worker.freed_bytes,
        removed = worker.removed.len(),
        kept = worker.kept.len(),
        evidence = worker.evidence.first().map(|Evidence { detail, .. }| detail.as_str()),
        "verdict"
    );
}

/// From 0 up to 1. Spreads retries; nothing depends on its quality.
fn jitter() -> f64 {
    let bits = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or_default();
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(mode: Mode, dry_run: bool) -> Report {
        Report { mode, dry_run, outcome: Outcome::Freed, freed_bytes: 7, ..Report::blank() }
    }

    #[test]
    fn a_host_that_deleted_nothing_has_freed_nothing_and_the_journal_says_so() {
        let swept = |mode, dry_run| {
            let ended = ended(Ok(report(mode, dry_run)));
            assert!(ended.outcome == Outcome::Freed && ended.report.is_some() && ended.holds.is_some());
            (ended.freed_bytes, ended.reason)
        };
        assert_eq!(swept(Mode::Enforce, false), (7, None));
        for (mode, dry_run, why) in
            [(Mode::Enforce, true, LOOKED), (Mode::Observe, false, OBSERVES), (Mode::Observe, true, LOOKED)]
        {
            assert_eq!(swept(mode, dry_run), (0, Some(why.to_owned())), "{mode:?} {dry_run}");
        }
    }

    #[test]
    fn retries_are_spread_from_0_up_to_1() {
        let all: Vec<_> = (0..1000).map(|_| jitter()).collect();
        for from in [0.0, 0.25, 0.5, 0.75] {
            assert!(all.iter().any(|jitter| (from..from + 0.25).contains(jitter)), "none from {from} on");
        }
        assert!(all.iter().all(|jitter| (0.0..1.0).contains(jitter)));
    }

    #[test]
    fn what_was_tried_is_counted_by_how_it_ended() {
        let tried = [("active", 2), ("freed", 1)].map(|(outcome, count)| (outcome.to_owned(), count));
        assert_eq!(counts(&tried.into()), "2 active, 1 freed");
    }
}
