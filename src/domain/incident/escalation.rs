//! When a person has to look, and when no longer at once.

use jiff::Timestamp;

use super::Incident;
use crate::domain::{attempt::Outcome, policy::Urgency};

/// That a person has to look, since when and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escalated {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: Escalation,
}

/// Why a person has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Escalation {
    /// A critical alert fires and its host's workers are at work.
    CriticalActive,
    /// A critical alert fires and there is nothing that may go.
    CriticalNothingToFree,
    /// A critical alert fires and its host only observes: nothing will be deleted there.
    CriticalObserved,
    /// A critical alert still fires after two sweeps in a row that freed something.
    CriticalFreedTooLittle,
    /// A critical alert fires and two sweeps of its host in a row have failed.
    CriticalFailed,
    /// The incident has been open for too long, whatever the outcomes were.
    Overdue,
    /// The host's incidents of the last 24 hours, this one among them, have been open for too long.
    Flapping,
}

impl Escalation {
    /// Every reason, for metrics that start at zero.
    pub const ALL: [Self; 7] = [
        Self::CriticalActive,
        Self::CriticalNothingToFree,
        Self::CriticalObserved,
        Self::CriticalFreedTooLittle,
        Self::CriticalFailed,
        Self::Overdue,
        Self::Flapping,
    ];

    /// The reason as log, journal and metrics write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CriticalActive => "critical_active",
            Self::CriticalNothingToFree => "critical_nothing_to_free",
            Self::CriticalObserved => "critical_observed",
            Self::CriticalFreedTooLittle => "critical_freed_too_little",
            Self::CriticalFailed => "critical_failed",
            Self::Overdue => "overdue",
            Self::Flapping => "flapping",
        }
    }

    /// Whether somebody has to look at once, and not only because it has taken so long.
    pub fn is_critical(self) -> bool {
        !matches!(self, Self::Overdue | Self::Flapping)
    }
}

/// That somebody had to look at once, until no critical alert fired any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lowered {
    /// What a person had been told.
    pub told: Escalated,
    /// When the last critical alert had left.
    pub at: Timestamp,
}

impl Incident {
    /// One outcome speaks for all workers of a host: a byte freed hides who is at work, and a failure hides
    /// that there was nothing. So a second one of these in a row is told as well.
    pub(super) fn escalate_for(&mut self, outcome: Outcome, before: Option<Outcome>, now: Timestamp) {
        if self.urgency() != Some(Urgency::Critical) {
            return;
        }
        match outcome {
            Outcome::Active => self.escalate(Escalation::CriticalActive, now),
            Outcome::NothingToFree => self.escalate(Escalation::CriticalNothingToFree, now),
            Outcome::WouldFree => self.escalate(Escalation::CriticalObserved, now),
            Outcome::Freed if before == Some(outcome) => {
                self.escalate(Escalation::CriticalFreedTooLittle, now);
            }
            Outcome::Failed if before == Some(outcome) => self.escalate(Escalation::CriticalFailed, now),
            _ => {}
        }
    }

    /// A person is told once, for the first reason that there was, and once more where it becomes critical:
    /// who knows that something has taken long does not know that it cannot wait.
    pub(super) fn escalate(&mut self, reason: Escalation, now: Timestamp) {
        if self.escalated.is_none_or(|told| reason.is_critical() && !told.reason.is_critical()) {
            self.escalated = Some(Escalated { at: now, reason });
        }
    }

    /// Nobody has to look at once where no critical alert fires any more: what was said of one would be wrong.
    /// Whether it takes too long all the same is for time to say. What has closed stays as it was.
    pub(super) fn lower(&mut self, now: Timestamp) {
        if self.is_closed() || self.urgency() == Some(Urgency::Critical) {
            return;
        }
        if let Some(told) = self.escalated.take_if(|told| told.reason.is_critical()) {
            self.lowered = Some(Lowered { told, at: now });
        }
    }
}
