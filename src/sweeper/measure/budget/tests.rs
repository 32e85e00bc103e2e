use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

/// A host whose roots cost what they cost, looked at once a minute by a clock that nobody waits for.
struct Host {
    now: Timestamp,
    costs: Vec<f64>,
    roots: Vec<Due>,
    account: Account,
    began: Timestamp,
    spent: f64,
    /// The longest time between two walks of each root, its first one included.
    longest: Vec<f64>,
    walks: Vec<u32>,
}

impl Host {
    fn new(costs: &[f64]) -> Self {
        let now = Timestamp::UNIX_EPOCH;
        let count = costs.len();
        Self {
            now,
            costs: costs.to_vec(),
            roots: vec![Due { last: None, pressing: false }; count],
            account: Account::open(WALKS, now),
            began: now,
            spent: 0.0,
            longest: vec![0.0; count],
            walks: vec![0; count],
        }
    }

    fn minute(&mut self) {
        let dearest =
            self.roots.iter().filter_map(|root| root.last).map(|(_, cost)| cost).fold(0.0, f64::max);
        self.account.earn(WALKS, self.now, dearest);
        let mut walked = vec![false; self.roots.len()];
        while let Some(next) = next(&self.roots, &walked, &self.account, self.now) {
            let since = self.roots[next].last.map_or(self.began, |(at, _)| at);
            self.longest[next] = self.longest[next].max(seconds_between(since, self.now));
            self.account.pay(self.costs[next]);
            self.spent += self.costs[next];
            self.roots[next] = Due { last: Some((self.now, self.costs[next])), pressing: false };
            self.walks[next] += 1;
            walked[next] = true;
        }
        self.now += SignedDuration::from_mins(1);
    }

    fn elapsed(&self) -> f64 {
        seconds_between(self.began, self.now)
    }

    fn bound(&self) -> f64 {
        let dearest = self.costs.iter().copied().fold(0.0, f64::max);
        0.02 * self.elapsed() + WALKS.opening_secs + dearest
    }
}

fn cost() -> impl Strategy<Value = f64> {
    // From an empty folder to ten million files.
    prop_oneof![4 => 0.002..0.05_f64, 2 => 0.05..2.0_f64, 1 => 2.0..30.0_f64]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever walks cost, and however wrong the last price is for the next one.
    #[test]
    fn cpu_is_two_percent_of_the_time_and_one_walk(
        costs in prop::collection::vec(cost(), 1..40),
        changes in prop::collection::vec((0..40_usize, cost(), any::<bool>()), 0..300),
    ) {
        let mut host = Host::new(&costs);
        for (index, cost, pressing) in changes {
            let index = index % costs.len();
            host.costs[index] = cost;
            host.roots[index].pressing = pressing;
            let before = host.costs.iter().copied().fold(30.0, f64::max);
            host.minute();
            prop_assert!(host.spent <= 0.02 * host.elapsed() + WALKS.opening_secs + before);
        }
    }

    #[test]
    fn every_root_is_walked_again_within_a_bound(costs in prop::collection::vec(cost(), 1..40)) {
        let mut host = Host::new(&costs);
        let total: f64 = costs.iter().sum();
        let longest = intervals(costs.iter().copied()).fold(0.0, f64::max);
        // Every first walk, then its own interval and every other root's walk in between.
        let bound = longest + 2.0 * total / (WALKS.rate - PLANNED).max(PLANNED) + total / PLANNED + 600.0;
        while host.elapsed() < 4.0 * bound {
            host.minute();
        }
        for (index, longest) in host.longest.iter().enumerate() {
            let since = host.roots[index].last.map_or(host.elapsed(), |(at, _)| seconds_between(at, host.now));
            prop_assert!(longest.max(since) <= bound, "{index}: {longest} and {since} of {bound}");
        }
        prop_assert!(host.spent <= host.bound());
    }
}

#[test]
fn what_is_cheap_is_walked_more_often_than_what_is_dear() {
    let mut host = Host::new(&[0.01, 1.0, 10.0]);
    for _ in 0..24 * 60 {
        host.minute();
    }
    let [cheap, fair, dear] = host.walks[..] else { panic!() };
    assert!(cheap > 2 * fair && fair > 2 * dear && dear > 20, "{:?}", host.walks);
    // A dear walk does not keep the cheap one waiting, once it is known to be dear.
    assert!(host.longest[0] < 900.0, "{:?}", host.longest);
}

#[test]
fn a_small_host_is_walked_by_every_run() {
    let mut host = Host::new(&[0.02; 8]);
    for _ in 0..60 {
        host.minute();
    }
    assert_eq!(host.walks, [60; 8]);
}

#[test]
fn a_disk_that_moves_brings_its_root_to_the_front() {
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(1);
    let last = Some((Timestamp::UNIX_EPOCH, 20.0));
    let quiet = Due { last, pressing: false };
    let account = Account { credit_secs: 0.1, at: now };
    let chosen = |roots: &[Due]| next(roots, &[false; 2], &account, now);
    assert_eq!(chosen(&[quiet, quiet]), None);
    assert_eq!(chosen(&[quiet, Due { pressing: true, ..quiet }]), Some(1));
    assert_eq!(chosen(&[Due { last: None, ..quiet }, Due { pressing: true, ..quiet }]), Some(1));
    // Never beyond what one walk overdraws.
    let empty = Account { credit_secs: 0.0, at: now };
    assert_eq!(next(&[Due { pressing: true, ..quiet }], &[false], &empty, now), None);
}

#[test]
fn free_space_has_moved_from_three_percent_on() {
    assert!(!has_moved(500, 529, 1000));
    assert!(has_moved(500, 530, 1000));
    assert!(has_moved(530, 500, 1000));
    assert!(has_moved(0, 1, 0));
}

#[test]
fn a_clock_that_jumps_gives_no_more_than_a_saving() {
    let mut account = Account::open(WALKS, Timestamp::UNIX_EPOCH);
    account.earn(WALKS, Timestamp::UNIX_EPOCH + SignedDuration::from_hours(9000), 0.0);
    assert!(account.credit_secs <= WALKS.rate * MOST_SAVED_SECS);
    let before = account.credit_secs;
    account.earn(WALKS, Timestamp::UNIX_EPOCH, 0.0);
    assert!((account.credit_secs - before).abs() < 1e-9);
    // What was walked in the future is walked now.
    let ahead =
        Due { last: Some((Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1), 0.1)), pressing: false };
    assert_eq!(next(&[ahead], &[false], &account, Timestamp::UNIX_EPOCH), Some(0));
}
