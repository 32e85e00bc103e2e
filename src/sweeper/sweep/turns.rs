//! Whose turn it is, and until when: one temp root's many leftovers must not take the time of all others.
//!
//! The smallest comes first. Each may take one share of the time that is left, of as many as there are roots
//! to come; what it does not need is the others', so that the largest, which come last, have most. Each has
//! its turn in each sweep, however much there is before it.

use std::time::{Duration, Instant};

/// How much there is to do: an estimate, for the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size {
    /// What was not seen to its end is the largest.
    pub(super) is_open: bool,
    /// A removal takes its time by files, not by bytes.
    pub(super) files: u64,
}

/// Runs `turn` for each of these, by index, and says until when it may take. `until` is the end of all turns.
pub(super) fn each(
    sizes: &[Size],
    until: Instant,
    now: impl Fn() -> Instant,
    mut turn: impl FnMut(usize, Instant),
) {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|index| sizes[*index]);
    for (done, index) in order.iter().enumerate() {
        let now = now();
        let to_come = u32::try_from(order.len() - done).unwrap_or(u32::MAX);
        turn(*index, now + share(until.saturating_duration_since(now), to_come));
    }
}

fn share(left: Duration, to_come: u32) -> Duration {
    left / to_come.max(1)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const DEADLINE: u64 = 600;

    /// What each gets, in seconds, of those that would need so much. A root's files tell its need.
    fn taken(needs: &[u64]) -> Vec<u64> {
        let begun = Instant::now();
        let clock = Cell::new(begun);
        let sizes: Vec<Size> = needs.iter().map(|need| Size { is_open: false, files: *need }).collect();
        let mut taken = vec![0; needs.len()];
        each(
            &sizes,
            begun + Duration::from_secs(DEADLINE),
            || clock.get(),
            |index, until| {
                let took = Duration::from_secs(needs[index]).min(until - clock.get());
                clock.set(clock.get() + took);
                taken[index] = took.as_secs();
            },
        );
        taken
    }

    #[test]
    fn one_that_never_ends_leaves_the_others_all_that_they_need() {
        assert_eq!(taken(&[100_000, 10, 20]), [570, 10, 20]);
        assert_eq!(taken(&[100_000]), [600], "alone it has everything");
    }

    #[test]
    fn however_many_never_end_each_has_its_share() {
        assert_eq!(taken(&[100_000, 200_000, 300_000]), [200, 200, 200]);
        assert_eq!(taken(&[100_000, 1, 200_000, 300_000]), [199, 1, 199, 199]);
        assert!(taken(&[100_000; 64]).iter().all(|secs| (9..=10).contains(secs)));
    }

    #[test]
    fn what_was_not_seen_to_its_end_comes_last() {
        let sizes = [(true, 1), (false, 9), (false, 2)].map(|(is_open, files)| Size { is_open, files });
        let mut order = vec![];
        each(&sizes, Instant::now(), Instant::now, |index, _| order.push(index));
        assert_eq!(order, [2, 1, 0]);
    }

    /// One that runs over its share takes it from the others together.
    #[test]
    fn when_the_time_is_over_a_turn_has_none() {
        let begun = Instant::now();
        let sizes = [Size { is_open: false, files: 1 }];
        each(
            &sizes,
            begun,
            || begun + Duration::from_secs(9),
            |_, until| {
                assert_eq!(until, begun + Duration::from_secs(9));
            },
        );
    }
}
