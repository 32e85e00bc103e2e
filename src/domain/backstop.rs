//! The backstop: the sweep that a host's own cron starts, whatever becomes of responder and network. What a host
//! tells of it with each report, and when it is overdue.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};

use super::{attempt::Outcome, line::line};

/// So many runs that did not come are no accident.
pub const MISSED: u8 = 2;
/// What a run may take until its end: its host's part of the jitter, and the sweep itself.
pub const RUN: Duration = Duration::from_mins(15);

/// What a host tells of its backstop, by its own clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backstop {
    /// Seconds that lie at most between two runs, by the schedule.
    pub interval_secs: u64,
    /// Since when they are expected by that schedule; absent where the host does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_since: Option<Timestamp>,
    /// The last run that ended, whatever came of it; absent where none is known since the host was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastRun>,
    /// Why the last run cannot be told, where one is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A run of the backstop that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// When.
    pub finished_at: Timestamp,
    /// How.
    pub outcome: Outcome,
}

impl Backstop {
    /// As it stood at this instant of the host's clock.
    pub fn at(&self, now: Timestamp) -> Stood {
        // What is ahead of the clock has only just been.
        let before = |at: Timestamp| u64::try_from(now.duration_since(at).as_secs()).unwrap_or(0);
        Stood {
            interval_secs: self.interval_secs,
            scheduled_secs: self.scheduled_since.map(before),
            last: self.last.map(|last| (before(last.finished_at), last.outcome)),
            note: self.note.as_deref().map(line),
        }
    }
}

/// How a host's backstop stood when the host reported. Its clock need not be ours, so instants are told as seconds
/// before the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stood {
    /// Seconds that lie at most between two runs, by the schedule.
    pub interval_secs: u64,
    /// For how long they had been expected by that schedule, where the host knew.
    pub scheduled_secs: Option<u64>,
    /// How long before the last run had ended, and how.
    pub last: Option<(u64, Outcome)>,
    /// Why the last run could not be told. Of bounded length.
    pub note: Option<String>,
}

impl Stood {
    /// Whether runs had been missed by then, as `RaySweepBackstopMissing` counts them: since the last one, or since
    /// the schedule is there where none has come by it. Where neither is known nobody can say so.
    pub fn is_overdue(&self) -> bool {
        let last = self.last.map(|(secs, _)| secs);
        let since = last.into_iter().chain(self.scheduled_secs).min();
        let most = self.interval_secs.saturating_mul(MISSED.into()).saturating_add(RUN.as_secs());
        since.is_some_and(|since| since > most)
    }
}

/// So many seconds before an instant.
pub fn before(at: Timestamp, secs: u64) -> Timestamp {
    let secs = SignedDuration::from_secs(i64::try_from(secs).unwrap_or(i64::MAX));
    at.checked_sub(secs).unwrap_or(Timestamp::MIN)
}

/// What a host of another version says in words of its own is nothing that it says: its report counts all the same.
pub(super) fn if_readable<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Backstop>, D::Error> {
    let said = Option::<serde_json::Value>::deserialize(source)?;
    Ok(said.and_then(|said| serde_json::from_value(said).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn stood(scheduled_secs: Option<u64>, last_secs: Option<u64>) -> Stood {
        let last = last_secs.map(|secs| (secs, Outcome::Busy));
        Stood { interval_secs: HOUR, scheduled_secs, last, note: None }
    }

    #[test]
    fn it_is_overdue_once_two_runs_have_been_missed_and_had_their_time() {
        let most = 2 * HOUR + 15 * 60;
        for (scheduled, last, expected) in [
            (Some(9 * HOUR), Some(most), false),
            (Some(9 * HOUR), Some(most + 1), true),
            (None, Some(most + 1), true),
            // None has come yet, or none by the schedule that there is now.
            (Some(most), None, false),
            (Some(most + 1), None, true),
            (Some(60), Some(9 * HOUR), false),
            (None, None, false),
        ] {
            assert_eq!(stood(scheduled, last).is_overdue(), expected, "{scheduled:?} {last:?}");
        }
        let endless = Stood { interval_secs: u64::MAX, ..stood(Some(u64::MAX), None) };
        assert!(!endless.is_overdue());
    }

    /// The host's page, the alert and the dashboard call the same thing overdue.
    #[test]
    fn rules_and_dashboard_count_as_it_is_counted_here() {
        let rules = include_str!("../../rules/raysweep.rules.yml");
        let dashboard = include_str!("../../deploy/grafana/raysweep.json");
        let minutes = RUN.as_secs() / 60;
        let interval = "max by (host) (last_over_time(raysweep_backstop_interval_seconds[5m]))";
        let rule = format!("> {MISSED} * {interval} + {minutes} * 60\n");
        assert!(rules.contains(&rule), "{rule}");
        let panel = format!(
            "/ ({MISSED} * max by (host) (raysweep_backstop_interval_seconds{{host=~\\\"$host\\\"}}) + {minutes} * 60)"
        );
        assert!(dashboard.contains(&panel), "{panel}");
    }

    #[test]
    fn instants_are_told_as_seconds_before_the_report_whatever_the_clock() {
        let backstop = Backstop {
            interval_secs: HOUR,
            scheduled_since: Some(second(100)),
            last: Some(LastRun { finished_at: second(400), outcome: Outcome::Freed }),
            note: Some("a\nb".repeat(1000)),
        };
        let stood = backstop.at(second(1000));
        assert_eq!((stood.scheduled_secs, stood.last), (Some(900), Some((600, Outcome::Freed))));
        assert!(stood.note.is_some_and(|note| note.starts_with(r"a\u{a}ba") && note.len() < 2000));
        let ahead = backstop.at(second(200));
        assert_eq!((ahead.scheduled_secs, ahead.last), (Some(100), Some((0, Outcome::Freed))));
        assert_eq!(before(second(1000), 600), second(400));
        for secs in [u64::MAX, u64::MAX / 2, 1 << 40] {
            assert_eq!(before(second(0), secs), Timestamp::MIN, "{secs}");
        }
    }
}
