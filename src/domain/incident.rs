//! Incidents: a host's open trouble, from its first firing alert until none fires.
//!
//! A state machine over values that are handed in: it reads no clock, throws no dice and knows no
//! storage, so that every rule of "again until resolved, and then a person" can be tested here.

use std::{collections::BTreeMap, fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    alert::{AlertStatus, Fingerprint},
    attempt::Outcome,
    host::HostName,
    policy::Urgency,
};

mod escalation;
mod members;
mod policies;
#[cfg(test)]
pub(super) mod tests;

pub use escalation::{Escalated, Escalation, Lowered};
pub use members::{MEMBERS_MOST, Member, Receipt, Received};

/// What identifies an incident in journal, log and page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub i64);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// When an incident is looked at again, and when it is given up on or handed to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How soon a host is looked at again that was at work, had nothing to give or is not to delete, or of
    /// whose sweep nobody knows the end.
    pub recheck: Duration,
    /// How long an alert may take to resolve after space was freed.
    pub decay: Duration,
    /// The first wait after a host could not be reached; it doubles from there.
    pub backoff_first: Duration,
    /// The longest such wait.
    pub backoff_most: Duration,
    /// When a person is told whatever the outcomes were.
    pub escalate_after: Duration,
    /// When an incident closes whose alerts were not seen again.
    pub expiry: Duration,
}

/// How long a host's earlier incidents count against it.
pub const PAST: Duration = Duration::from_hours(24);

/// What is known of a host when an incident opens: a host whose alerts come and go is in the same
/// trouble all the while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Past {
    /// How long its incidents were open that closed within [`PAST`]; see [`counted`].
    pub trouble: Duration,
    /// How many attempts in a row could not get to it.
    pub failures_in_row: u32,
}

/// How much a closed incident counts for its host: as long as it was open, and not for less than a
/// recheck, so that a hundred short ones are no quiet day.
pub fn counted(opened_at: Timestamp, closed_at: Timestamp, timing: &Timing) -> Duration {
    Duration::try_from(closed_at.duration_since(opened_at)).unwrap_or_default().max(timing.recheck)
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The next attempt is due at this instant, where the limiter allows it.
    Waiting {
        /// The instant.
        due_at: Timestamp,
    },
    /// An attempt is under way.
    Sweeping,
    /// Over. A closed incident never opens again; the next firing alert opens a new one.
    Closed {
        /// When.
        at: Timestamp,
        /// Why.
        reason: Closed,
    },
}

/// Why an incident closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Closed {
    /// No alert of it fires by last received status.
    Resolved,
    /// No alert of it was seen again for as long as `expiry`.
    Expired,
    /// An operator closed it.
    Operator,
    /// Its host is no longer in the inventory.
    Removed,
    /// No alert of it that fires has a policy any more.
    NoPolicy,
}

impl Closed {
    /// Every reason, for metrics that start at zero.
    pub const ALL: [Self; 5] = [Self::Resolved, Self::Expired, Self::Operator, Self::Removed, Self::NoPolicy];

    /// The reason as log, journal and metrics write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Expired => "expired",
            Self::Operator => "operator",
            Self::Removed => "removed",
            Self::NoPolicy => "no_policy",
        }
    }
}

/// A host's open trouble. At most one is open a host; alerts join and leave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// The host.
    pub host: HostName,
    /// Its alerts, firing and resolved; no more than [`MEMBERS_MOST`].
    pub members: BTreeMap<Fingerprint, Member>,
    /// When its first alert was received.
    pub opened_at: Timestamp,
    /// Where it stands.
    pub state: State,
    /// How many attempts have ended.
    pub attempts: u32,
    /// How many attempts in a row could not get to the host, those before it opened among them.
    pub failures_in_row: u32,
    /// How much trouble the host had in the 24 hours before it opened.
    pub trouble_before: Duration,
    /// How the last attempt ended.
    pub last_outcome: Option<Outcome>,
    /// That a person has to look.
    pub escalated: Option<Escalated>,
    /// The last time that somebody had to look at once, where that is over.
    pub lowered: Option<Lowered>,
}

impl Incident {
    /// Opens an incident for a host; its first alerts are received next. It is due at once.
    pub fn open(host: HostName, past: Past, now: Timestamp) -> Self {
        Self {
            host,
            members: BTreeMap::new(),
            opened_at: now,
            state: State::Waiting { due_at: now },
            attempts: 0,
            failures_in_row: past.failures_in_row,
            trouble_before: past.trouble,
            last_outcome: None,
            escalated: None,
            lowered: None,
        }
    }

    /// An attempt begins.
    pub fn begin(&mut self) {
        if !self.is_closed() {
            self.state = State::Sweeping;
        }
    }

    /// The limiter allows an attempt from this instant on.
    pub fn defer(&mut self, until: Timestamp) {
        if let State::Waiting { due_at } = self.state {
            self.state = State::Waiting { due_at: due_at.max(until) };
        }
    }

    /// An attempt ended. `jitter`, from 0 up to 1, spreads hosts that went away together.
    ///
    /// An incident that closed meanwhile takes note and stays closed.
    pub fn finish(&mut self, outcome: Outcome, timing: &Timing, jitter: f64, now: Timestamp) {
        self.attempts = self.attempts.saturating_add(1);
        let before = self.last_outcome.replace(outcome);
        self.failures_in_row = failures(self.failures_in_row, outcome);
        if self.is_closed() {
            return;
        }
        let wait = wait_after(outcome, timing, self.failures_in_row, jitter);
        self.state = State::Waiting { due_at: after(now, wait) };
        self.escalate_for(outcome, before, now);
    }

    /// What time alone brings: expiry, or a person.
    pub fn pass_time(&mut self, timing: &Timing, now: Timestamp) {
        if self.is_closed() {
            return;
        }
        // An attempt under way ends first, so that its outcome still finds its incident.
        if now >= self.expires_at(timing) && self.state != State::Sweeping {
            self.close(Closed::Expired, now);
        } else if now >= after(self.opened_at, timing.escalate_after) {
            self.escalate(Escalation::Overdue, now);
        } else if now >= self.overdue_at(timing) {
            self.escalate(Escalation::Flapping, now);
        }
    }

    /// Closes the incident, once.
    pub fn close(&mut self, reason: Closed, now: Timestamp) {
        if !self.is_closed() {
            self.state = State::Closed { at: now, reason };
        }
    }

    /// The next instant at which time alone brings something, which takes no attempt; `None` where
    /// only an event can.
    pub fn time_event_at(&self, timing: &Timing) -> Option<Timestamp> {
        let overdue = self.escalated.is_none().then(|| self.overdue_at(timing));
        match self.state {
            State::Waiting { .. } => overdue.into_iter().chain([self.expires_at(timing)]).min(),
            State::Sweeping => overdue,
            State::Closed { .. } => None,
        }
    }

    /// When a person is told whatever happens: what the host's last incidents took counts as well.
    fn overdue_at(&self, timing: &Timing) -> Timestamp {
        after(self.opened_at, timing.escalate_after.saturating_sub(self.trouble_before))
    }

    fn expires_at(&self, timing: &Timing) -> Timestamp {
        let seen = self.firing().map(|member| member.last_seen).max().unwrap_or(self.opened_at);
        after(seen, timing.expiry)
    }

    /// When the next attempt is due, where one is.
    pub fn due_at(&self) -> Option<Timestamp> {
        if let State::Waiting { due_at } = self.state { Some(due_at) } else { None }
    }

    /// The highest urgency among its firing alerts.
    pub fn urgency(&self) -> Option<Urgency> {
        self.firing().map(|member| member.urgency).max()
    }

    /// When the first of its alerts began to fire, by Prometheus' clock.
    pub fn firing_since(&self) -> Option<Timestamp> {
        self.members.values().map(|member| member.starts_at).min()
    }

    /// Whether any alert fires by last received status.
    pub fn is_firing(&self) -> bool {
        self.firing().next().is_some()
    }

    /// Whether this holds for every alert of it that fires.
    pub fn firing_all(&self, holds: impl Fn(&Fingerprint) -> bool) -> bool {
        let mut firing = self.members.iter().filter(|(_, member)| member.status == AlertStatus::Firing);
        firing.all(|(fingerprint, _)| holds(fingerprint))
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    fn firing(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.status == AlertStatus::Firing)
    }
}

/// So many attempts in a row could not get to the host.
pub(super) fn failures(before: u32, outcome: Outcome) -> u32 {
    match outcome {
        Outcome::Unreachable | Outcome::Refused => before.saturating_add(1),
        _ => 0,
    }
}

/// How long a host is left alone after an attempt that ended so.
pub(super) fn wait_after(outcome: Outcome, timing: &Timing, failures_in_row: u32, jitter: f64) -> Duration {
    match outcome {
        Outcome::Freed => timing.decay,
        Outcome::Unreachable | Outcome::Refused => backoff(timing, failures_in_row, jitter),
        // An unknown end waits as well: what was begun there may still run, and the host's own
        // lock answers `busy` where it does.
        _ => timing.recheck,
    }
}

/// Doubles with every failure in a row; jitter takes away up to half.
fn backoff(timing: &Timing, failures_in_row: u32, jitter: f64) -> Duration {
    let doublings = failures_in_row.saturating_sub(1).min(20);
    let whole = timing.backoff_first.saturating_mul(1 << doublings).min(timing.backoff_most);
    whole.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}

/// An instant so much later; the end of time where there is none.
pub fn after(at: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| at.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}
