//! Where a host stands: what its last attempts tell of it, and beside whom it waits.

use jiff::Timestamp;

use super::{
    attempt::Outcome,
    incident::{Timing, after, failures, wait_after},
};

/// What is known of a host from its last attempts, whatever they were for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// How its last attempt ended; `None` before the first one did.
    pub last_outcome: Option<Outcome>,
    /// How many attempts in a row could not get to it.
    pub failures_in_row: u32,
    /// Nothing is begun there before this instant: it does not let us in, or what was begun may
    /// still run.
    pub not_before: Option<Timestamp>,
}

impl Standing {
    /// An attempt on the host ended.
    pub fn finish(&mut self, outcome: Outcome, timing: &Timing, jitter: f64, now: Timestamp) {
        self.failures_in_row = failures(self.failures_in_row, outcome);
        self.last_outcome = Some(outcome);
        let waits = matches!(outcome, Outcome::Unreachable | Outcome::Refused | Outcome::Unknown);
        self.not_before =
            waits.then(|| after(now, wait_after(outcome, timing, self.failures_in_row, jitter)));
    }

    /// An attempt on the host was given up by us, which tells nothing of the host; but what was begun
    /// there may still run.
    pub fn interrupt(&mut self, timing: &Timing, now: Timestamp) {
        self.not_before = Some(after(now, timing.recheck));
    }

    /// Which hosts it waits with.
    pub fn lane(&self) -> Lane {
        match self.last_outcome {
            None => Lane::New,
            Some(Outcome::Unreachable | Outcome::Refused | Outcome::Unknown) => Lane::Failing,
            Some(_) => Lane::Proven,
        }
    }
}

/// Hosts that wait with each other and not with the others: a thousand that hang must not stand
/// before one that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// The last attempt brought a report.
    Proven,
    /// No attempt has ended yet.
    New,
    /// The last attempt brought none.
    Failing,
}

impl Lane {
    /// Every lane, the most promising first.
    pub const ALL: [Self; 3] = [Self::Proven, Self::New, Self::Failing];

    /// The lane as log, journal and metrics write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::New => "new",
            Self::Failing => "failing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::tests::{TIMING, at};

    #[test]
    fn a_host_stands_where_its_last_attempt_left_it() {
        let mut standing = Standing::default();
        assert_eq!(standing.lane(), Lane::New);
        for (outcome, lane, wait) in [
            (Outcome::Freed, Lane::Proven, None),
            (Outcome::Unreachable, Lane::Failing, Some(30)),
            (Outcome::Refused, Lane::Failing, Some(60)),
            (Outcome::Unknown, Lane::Failing, Some(300)),
            (Outcome::Unreachable, Lane::Failing, Some(30)),
            (Outcome::Busy, Lane::Proven, None),
            (Outcome::Failed, Lane::Proven, None),
        ] {
            standing.finish(outcome, &TIMING, 0.0, at(0));
            assert_eq!((standing.lane(), standing.not_before), (lane, wait.map(at)), "{outcome:?}");
        }
        // What we gave up by ourselves tells nothing of the host, but it may still run there.
        standing.interrupt(&TIMING, at(0));
        assert_eq!((standing.lane(), standing.not_before), (Lane::Proven, Some(at(300))));
        // As journals and dashboards know it.
        assert_eq!(Lane::ALL.map(Lane::as_str), ["proven", "new", "failing"]);
    }
}
