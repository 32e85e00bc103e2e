//! The host's own sweep, which cron starts whatever becomes of responder and network: when it begins, and what
//! every other sweep tells of it.

use std::{path::Path, thread, time::Duration};

use jiff::{SignedDuration, Timestamp};
use ring::digest::{SHA256, digest};

use super::{
    measure,
    record::{self, LastSweep},
};
use crate::{
    config::sweep::SweepSettings,
    domain::{
        attempt::{Outcome, SweepRequest, Trigger},
        backstop::{Backstop, LastRun},
        line::line,
    },
};

/// So far ahead of the clock a run may have ended: one that is kept right is set back by less.
const AHEAD: SignedDuration = SignedDuration::from_mins(1);

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

/// What the report of a sweep that ends now tells of the host's own ones. One that cron has started is itself the
/// last. The others are told by their last result in the runtime folder, and not by the log, which is rotated and
/// may lie on a disk that does not answer; the folder is emptied by a reboot, and then none is known.
pub(super) fn told(
    request: &SweepRequest,
    settings: &SweepSettings,
    outcome: Outcome,
    now: Timestamp,
) -> Backstop {
    let is_itself = request.trigger == Trigger::Cron && !request.dry_run;
    let last = if is_itself {
        Ok(Some(LastRun { finished_at: now, outcome }))
    } else {
        recorded(&settings.runtime_dir, now)
    };
    let (last, note) = match last {
        Ok(last) => (last, None),
        Err(why) => (None, Some(line(&why))),
    };
    Backstop {
        interval_secs: settings.schedule.gaps().longest.as_secs(),
        scheduled_since: measure::scheduled_since(&settings.runtime_dir, &settings.schedule, now),
        last,
        note,
    }
}

fn recorded(runtime_dir: &Path, now: Timestamp) -> Result<Option<LastRun>, String> {
    let last = record::last_sweep(runtime_dir, Trigger::Cron)
        .map_err(|error| format!("what its last run came to cannot be read: {error}"))?;
    let Some(LastSweep { finished_at, outcome, .. }) = last else { return Ok(None) };
    if finished_at.duration_since(now) > AHEAD {
        return Err(format!("its last run ended at {finished_at}, which is ahead of the host's clock"));
    }
    Ok(Some(LastRun { finished_at, outcome }))
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
    use std::fs;

    use super::*;
    use crate::{
        config::units::Span,
        domain::{attempt::AttemptId, report::Report},
        sweeper::logbook::{REPORTS, tests::report},
    };

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

    /// A host that keeps what its sweeps come to.
    struct Host {
        folder: tempfile::TempDir,
        settings: SweepSettings,
    }

    impl Host {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (runtime_dir, log_dir) = (folder.path().to_owned(), folder.path().join("log"));
            let settings = SweepSettings { runtime_dir, log_dir, ..SweepSettings::default() };
            Self { folder, settings }
        }

        /// One that cron swept, to this outcome at this second.
        fn swept(outcome: Outcome, at: i64) -> Self {
            let host = Self::new();
            host.keeps(&Report { outcome, ..report(at) });
            host
        }

        fn keeps(&self, report: &Report) {
            assert_eq!(record::keep(report, &self.settings), [""; 0]);
        }

        /// What a sweep of this trigger tells that ends active at this second.
        fn tells(&self, trigger: Trigger, dry_run: bool, at: i64) -> Backstop {
            let request = SweepRequest::new(AttemptId::now(), trigger, dry_run);
            told(&request, &self.settings, Outcome::Active, second(at))
        }

        fn tells_last(&self, at: i64) -> (Option<LastRun>, Option<String>) {
            let Backstop { last, note, .. } = self.tells(Trigger::Alert, false, at);
            (last, note)
        }
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ended(outcome: Outcome, at: i64) -> LastRun {
        LastRun { finished_at: second(at), outcome }
    }

    #[test]
    fn a_sweep_tells_when_cron_swept_last_and_one_by_cron_is_that_itself() {
        let host = Host::swept(Outcome::Busy, 1000);
        for (trigger, dry_run, expected) in [
            (Trigger::Alert, false, Some(ended(Outcome::Busy, 1000))),
            (Trigger::Manual, true, Some(ended(Outcome::Busy, 1000))),
            (Trigger::Cron, false, Some(ended(Outcome::Active, 2000))),
            // It only looked: the backstop has not run.
            (Trigger::Cron, true, Some(ended(Outcome::Busy, 1000))),
        ] {
            let told = host.tells(trigger, dry_run, 2000);
            assert_eq!((told.last, told.note), (expected, None), "{trigger:?} {dry_run}");
            assert_eq!((told.interval_secs, told.scheduled_since), (3600, None));
        }
        // What others came to is nothing of the backstop's.
        host.keeps(&Report { trigger: Trigger::Alert, ..report(1500) });
        host.keeps(&Report { trigger: Trigger::Manual, ..report(1600) });
        host.keeps(&Report { dry_run: true, ..report(1700) });
        assert_eq!(host.tells_last(2000), (Some(ended(Outcome::Busy, 1000)), None));
    }

    #[test]
    fn a_host_that_has_just_been_started_or_lost_its_folder_knows_of_no_run() {
        assert_eq!(Host::new().tells_last(2000), (None, None));
        let mut host = Host::new();
        host.settings.runtime_dir = host.folder.path().join("not/there");
        assert_eq!(host.tells_last(2000), (None, None));
    }

    #[test]
    fn whatever_becomes_of_the_log_the_last_run_is_known() {
        let host = Host::swept(Outcome::Freed, 1000);
        let log = host.settings.log_dir.join(REPORTS);
        let knows = || assert_eq!(host.tells_last(2000), (Some(ended(Outcome::Freed, 1000)), None));
        fs::rename(&log, log.with_extension("jsonl.1")).unwrap();
        knows();
        fs::write(&log, "{\"schema\":1,\"cut\":").unwrap();
        knows();
        fs::rename(&host.settings.log_dir, host.folder.path().join("elsewhere")).unwrap();
        knows();
    }

    #[test]
    fn a_result_that_cannot_be_right_is_not_told_and_the_note_says_why() {
        let host = Host::swept(Outcome::Freed, 1000);
        // Clocks are set by a little, and nobody is told of it.
        assert_eq!(host.tells_last(940), (Some(ended(Outcome::Freed, 1000)), None));
        let (last, note) = host.tells_last(939);
        assert_eq!(last, None);
        assert!(note.unwrap().contains("ahead of the host's clock"));
        for damage in ["", "{\"trigger\":\"cron\"", "\u{0}\u{0}\u{0}", &"x".repeat(1 << 20)] {
            fs::write(host.folder.path().join("last-cron.json"), damage).unwrap();
            let (last, note) = host.tells_last(2000);
            assert_eq!(last, None);
            assert!(note.is_some_and(|note| note.starts_with("what its last run came to cannot be read")));
        }
    }
}
