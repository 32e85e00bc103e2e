//! Whether the host's clock was set forward while a container ran: what was written before shows as older
//! than it is.
//!
//! The runtime has written down what the clock said as it started the container. The kernel counts from the
//! boot when its first process started, which no setting of the clock changes. What lies between the two
//! is what the clock was set by. Drift and slow corrections are in both.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::sweeper::discover::Worker;

/// `/proc/PID/stat` counts in hundredths of a second on every architecture that Ray runs on.
const TICK_MILLIS: u64 = 10;

/// By how much it was set forward since the first of these containers started.
pub(super) fn set_forward(workers: &[&Worker]) -> Duration {
    let boot = clock_gettime(ClockId::Boottime);
    let since_boot = Duration::try_from(boot).unwrap_or_default();
    let of = |worker: &&Worker| {
        let started_at = worker.started_at?;
        Some(set_forward_since(started_at, worker.init.start_ticks, Timestamp::now(), since_boot))
    };
    workers.iter().filter_map(of).max().unwrap_or_default()
}

/// A runtime writes the time down after the process has started: a clock that was not set gives nothing.
fn set_forward_since(
    started_at: Timestamp,
    start_ticks: u64,
    now: Timestamp,
    since_boot: Duration,
) -> Duration {
    let started = Duration::from_millis(start_ticks.saturating_mul(TICK_MILLIS));
    let runs = since_boot.saturating_sub(started);
    // Before the year 1 there is no start, and no clock was set by that much.
    let as_counted_now = now.checked_sub(runs).unwrap_or(started_at);
    Duration::try_from(as_counted_now.duration_since(started_at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweeper::inside::tests::harness::worker_of;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_clock_that_was_set_forward_since_the_start_is_told_by_how_much() {
        let now: Timestamp = "2026-01-05T12:00:00Z".parse().unwrap();
        // The host has run for 10 h, and the container for all but the first minute of that.
        let by = |started_at: &str| set_forward_since(started_at.parse().unwrap(), 6_000, now, HOUR * 10);
        assert_eq!(by("2026-01-05T02:01:00Z"), Duration::ZERO);
        assert_eq!(by("2026-01-05T02:01:07Z"), Duration::ZERO, "the runtime took its time");
        assert_eq!(by("2026-01-04T18:01:00Z"), HOUR * 8);
        assert_eq!(by("2026-01-05T10:01:00Z"), Duration::ZERO, "it was set back");
        assert_eq!(by("2020-01-05T02:01:00Z"), HOUR * 24 * (6 * 365 + 2));
    }

    #[test]
    fn of_a_process_of_ours_it_was_not_set() {
        let mut own = worker_of(std::process::id());
        assert_eq!(set_forward(&[&own]), Duration::ZERO, "nobody has written down when it started");
        own.started_at = Some(Timestamp::now());
        assert_eq!(set_forward(&[&own]), Duration::ZERO);
        own.started_at = Some(Timestamp::now() - HOUR);
        let seen = set_forward(&[&own]);
        assert!(seen <= HOUR && seen > HOUR / 2, "{seen:?}");
    }
}
