//! The host's own sweep, which cron starts whatever becomes of responder and network: when it begins.

use std::{thread, time::Duration};

use ring::digest::{SHA256, digest};

use crate::config::sweep::SweepSettings;

/// Waits this host's part of the jitter. Nothing is held meanwhile, and no signal is caught: whoever ends
/// the process ends it at once.
pub fn wait(settings: &SweepSettings) {
    let part = part(host_name().as_bytes(), longest_wait(settings));
    tracing::info!(seconds = part.as_secs(), "the sweep waits its host's part of jitter");
    thread::sleep(part);
}

/// What this host calls itself.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A wait that reached the next run would have two of them wait at once.
fn longest_wait(settings: &SweepSettings) -> Duration {
    settings.jitter.0.min(settings.schedule.gaps().shortest)
}

/// A host's part of the whole: the same each time, and any part as likely as another.
fn part(host: &[u8], whole: Duration) -> Duration {
    let hashed = digest(&SHA256, host);
    let mut share = [0; size_of::<u64>()];
    share.copy_from_slice(&hashed.as_ref()[..size_of::<u64>()]);
    let nanos = (whole.as_nanos() * u128::from(u64::from_be_bytes(share))) >> u64::BITS;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::units::Span;

    const WHOLE: Duration = Duration::from_mins(5);

    #[test]
    fn a_fleet_spreads_evenly_over_the_jitter() {
        let mut tenths = [0; 10];
        for at in 0..1000 {
            let part = part(format!("ray-{at}").as_bytes(), WHOLE);
            assert!(part < WHOLE);
            tenths[usize::try_from(part.as_millis() * 10 / WHOLE.as_millis()).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|hosts| (60..=140).contains(hosts)), "{tenths:?}");
    }

    #[test]
    fn a_host_waits_the_same_each_time_and_without_jitter_not_at_all() {
        assert_eq!(part(b"ray-80", WHOLE), part(b"ray-80", WHOLE));
        assert_ne!(part(b"ray-80", WHOLE), part(b"ray-81", WHOLE));
        assert_eq!(part(b"ray-80", Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn no_wait_reaches_the_next_run() {
        let wait = |schedule: &str, jitter| {
            let schedule = schedule.parse().unwrap();
            longest_wait(&SweepSettings { schedule, jitter, ..SweepSettings::default() })
        };
        assert_eq!(wait("7 * * * *", Span::mins(5)), WHOLE);
        assert_eq!(wait("* * * * *", Span::mins(5)), Duration::from_mins(1));
        assert_eq!(wait("0,2 * * * *", Span::mins(5)), Duration::from_mins(2));
    }
}
