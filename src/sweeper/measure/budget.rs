//! When to look at what, so that looking costs no more than its share of one core (pure).
//!
//! A run pays from two accounts, which are filled by the clock alone: one for the look round (the
//! process, discovery, a child a root that asks for free space), one for walks. A run starts what an
//! account in the black lets it, and books what it really used, so that no wrong guess can exceed the
//! share: over any time the CPU is at most that share of it, what was in the accounts at the start, and
//! the one look and one walk that overdrew them. Two accounts, because a walk over millions of files
//! must not keep the host from learning that its disk fills up.
//!
//! **How often each root is walked.** With `c` CPU seconds a walk of a root and a planned share `B`, the
//! intervals `√c · Σ√c / B` use up just `B` (`Σ c / interval = B`) and make the mean age of the figures the
//! smallest that it can be: of intervals `t` with a given `Σ c/t`, `Σ t` is least where `c/t²` is the same
//! for all. A root that costs 100 times as much is looked at a tenth as often. Where that is little, every
//! run walks everything: cron sets the floor.
//!
//! **What is walked first.** A root whose disk's free space has moved since its last walk (`pressing`),
//! then one that was never walked, then whichever is the furthest beyond its interval. The first two may
//! overdraw the account; any other waits until its last price is in it, and the dear ones wait for each
//! other in turn: the cheap ones go on meanwhile, because their share is planned.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What looks round may use of one core.
pub(super) const LOOKS: Share = Share { rate: 0.005, opening_secs: 0.6 };
/// What walks may use of one core. Together they stay under 2 %, with room for what no process can
/// count of itself: its own end.
pub(super) const WALKS: Share = Share { rate: 0.013, opening_secs: 0.6 };
/// What walks are planned with. Less than what is there, so that a dear one can be saved for.
const PLANNED: f64 = 0.012;
/// A saving is spent at once, so it is bounded: by minutes of income, or what the dearest walk takes.
const MOST_SAVED_SECS: f64 = 300.0;
/// CPU is counted in ticks of 10 ms: a walk that shows none has taken some.
const LEAST_COST_SECS: f64 = 0.005;
/// A walk that takes more than this of the income is dear.
const DEAR_SECS: f64 = 60.0;
/// Cron is not on time to the second.
const JITTER_SECS: f64 = 5.0;
/// Free space that has moved by this part of the disk makes an older walk's figure wrong.
const PRESSING: f64 = 0.03;

/// A share of one core.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// CPU seconds a second.
    rate: f64,
    /// What is there when nothing is known, so that a new host has its first figures at once.
    opening_secs: f64,
}

/// CPU seconds that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    pub(super) credit_secs: f64,
    /// Up to when income is in it.
    pub(super) at: Timestamp,
}

impl Account {
    pub(super) fn open(share: Share, now: Timestamp) -> Self {
        Self { credit_secs: share.opening_secs, at: now }
    }

    /// Puts the income since the last time in. A clock that was put back gives none, one that was put
    /// forward no more than the most that is saved.
    pub(super) fn earn(&mut self, share: Share, now: Timestamp, dearest_secs: f64) {
        let most = (share.rate * MOST_SAVED_SECS).max(dearest_secs * 1.25);
        let income = share.rate * seconds_between(self.at, now).max(0.0);
        self.credit_secs = (self.credit_secs + income).min(most.max(self.credit_secs));
        self.at = now;
    }

    pub(super) fn pay(&mut self, cpu_secs: f64) {
        self.credit_secs -= cpu_secs;
    }

    pub(super) fn has_room(&self) -> bool {
        self.credit_secs > 0.0
    }

    /// Whether the numbers can be those of an account: another program's file may hold anything.
    pub(super) fn is_sound(&self) -> bool {
        self.credit_secs.is_finite()
    }
}

/// What the choice of the next walk needs to know of a root.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Due {
    /// When its last walk's run began, and what the walk used; `None` where there was none.
    pub(super) last: Option<(Timestamp, f64)>,
    /// Whether the disk has moved since.
    pub(super) pressing: bool,
}

/// Whether free space has moved so far that a figure from before is wrong.
// A share needs no more than the 52 bits that a float keeps of a size.
#[allow(clippy::cast_precision_loss)]
pub(super) fn has_moved(avail_then: u64, avail_now: u64, size_bytes: u64) -> bool {
    avail_then.abs_diff(avail_now) as f64 >= size_bytes.max(1) as f64 * PRESSING
}

/// How many seconds may lie between two walks of each root, by what their last walks used.
pub(super) fn intervals(costs: impl Iterator<Item = f64> + Clone) -> impl Iterator<Item = f64> {
    let root = |cost: f64| cost.max(LEAST_COST_SECS).sqrt();
    let sum: f64 = costs.clone().map(root).sum();
    costs.map(move |cost| root(cost) * sum / PLANNED)
}

/// Which root to walk now, if any: an index into `roots`. `walked` says which ones this run has.
pub(super) fn next(roots: &[Due], walked: &[bool], account: &Account, now: Timestamp) -> Option<usize> {
    let costs = roots.iter().map(|root| root.last.map_or(0.0, |(_, cost)| cost));
    let mut waiting: Vec<(usize, &Due, f64)> = intervals(costs)
        .enumerate()
        .filter(|(index, _)| !walked.get(*index).copied().unwrap_or(false))
        .filter_map(|(index, interval)| {
            let root = &roots[index];
            lateness(root, interval, now).map(|late| (index, root, late))
        })
        .collect();
    waiting.sort_by(|(_, a, late_a), (_, b, late_b)| {
        let class = |root: &Due| Reverse((root.pressing, root.last.is_none()));
        class(a).cmp(&class(b)).then_with(|| late_b.total_cmp(late_a))
    });
    let mut saving = false;
    for (index, root, _) in waiting {
        let cost = root.last.map_or(0.0, |(_, cost)| cost);
        let overdraws = root.pressing || root.last.is_none();
        let is_dear = cost > WALKS.rate * DEAR_SECS;
        if account.has_room() && (overdraws || account.credit_secs >= cost && !(is_dear && saving)) {
            return Some(index);
        }
        saving |= is_dear;
    }
    None
}

/// How many intervals ago a root was walked, where it is to be walked again.
fn lateness(root: &Due, interval: f64, now: Timestamp) -> Option<f64> {
    let Some((walked_at, _)) = root.last else { return Some(f64::INFINITY) };
    let age = seconds_between(walked_at, now);
    // A walk in the future is a clock that was put back: nobody knows how old it is.
    let is_due = root.pressing || age < 0.0 || age + JITTER_SECS >= interval;
    is_due.then(|| if age < 0.0 { f64::INFINITY } else { age / interval })
}

pub(super) fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

#[cfg(test)]
mod tests;
