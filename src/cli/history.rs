//! `raysweep history`: what was done, and one attempt or one incident in full.

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::Value;

use super::{
    connection::Connection,
    exit::Exit,
    failed,
    text::{self, plain, size, time},
};
use crate::{
    config::units::Span,
    domain::attempt::{AttemptId, Outcome, Trigger},
    fleet::client::{Attempt, AttemptsAsked},
};

mod attempt;
mod incident;
mod local;

use local::Sought;

/// Show what a responder has done: the newest attempts, one attempt in full, or one incident
///
/// Without an attempt's identity the newest attempts are listed, of those that fit every filter. With one,
/// that attempt is shown in full: each worker's verdict with its evidence, what was removed, what was kept
/// and why.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  raysweep history --host ray-80 --since 2d --outcome active --outcome failed\n  \
    raysweep history 01890a5d-ac96-774b-bcce-b302099a8057\n  raysweep history --incident 12\n  \
    raysweep history --local --follow --worker ray-worker-1"
)]
pub(crate) struct History {
    /// Show this attempt in full
    #[arg(value_name = "ATTEMPT", conflicts_with_all = ["host", "since", "until", "outcome", "trigger", "incident"])]
    attempt: Option<AttemptId>,
    /// Show this incident with its alerts and what happened in it
    #[arg(long, value_name = "ID", conflicts_with_all = ["host", "since", "until", "outcome", "trigger"])]
    incident: Option<i64>,
    /// Only this host's
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Only what was asked for since then: a span back from now such as 2d, or an instant such as
    /// 2026-01-05T10:00:00Z (UTC without a zone)
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    since: Option<Timestamp>,
    /// Only what was asked for before then
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    until: Option<Timestamp>,
    /// Only what ended so; may be given several times
    #[arg(long, value_name = "OUTCOME", value_parser = outcome())]
    outcome: Vec<Outcome>,
    /// Only what was asked for by this
    #[arg(long, value_name = "TRIGGER", value_parser = trigger())]
    trigger: Option<Trigger>,
    /// So many of them
    #[arg(long, value_name = "ROWS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print the objects of the responder's API, one a line; in lists without what hosts reported
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    log: local::HostLog,
}

fn outcome() -> impl TypedValueParser<Value = Outcome> {
    PossibleValuesParser::new(Outcome::ALL.map(Outcome::as_str))
        .try_map(|text| Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text).ok_or("no outcome"))
}

fn trigger() -> impl TypedValueParser<Value = Trigger> {
    const ALL: [Trigger; 3] = [Trigger::Alert, Trigger::Cron, Trigger::Manual];
    PossibleValuesParser::new(ALL.map(Trigger::as_str))
        .try_map(|text| ALL.into_iter().find(|trigger| trigger.as_str() == text).ok_or("no trigger"))
}

/// A span back from now, or an instant; without a zone in UTC, as it is shown.
fn instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(Span(span)) = text.parse() {
        return Timestamp::now().checked_sub(span).map_err(|error| error.to_string());
    }
    let without_zone = || text.parse::<DateTime>().and_then(|civil| TimeZone::UTC.to_timestamp(civil));
    text.parse::<Timestamp>().or_else(|_| without_zone()).map_err(|_| {
        "write a span with its unit, such as 2d or 90m, or an instant, such as 2026-01-05T10:00:00Z"
            .to_owned()
    })
}

impl History {
    pub(crate) fn run(self) -> Exit {
        let Self { attempt, incident, host, since, until, outcome, trigger, limit, json, connection, log } =
            self;
        if log.local {
            let sought = Sought { outcomes: outcome, since, json };
            return log.run(limit as usize, &sought);
        }
        let asked = AttemptsAsked { host, trigger, outcomes: outcome, since, until, limit };
        let told = connection.client().and_then(|client| {
            Ok(match (attempt, incident) {
                (Some(id), _) if json => lines(&[client.attempt(id)?]),
                (Some(id), _) => attempt::shown(&client.attempt(id)?),
                (None, Some(id)) if json => lines(&[client.incident(id)?]),
                (None, Some(id)) => incident::shown(&client.incident(id)?),
                (None, None) if json => lines(&client.attempts(&asked)?),
                (None, None) => listed(&client.attempts(&asked)?),
            })
        });
        match told {
            Ok(told) => text::say(&told),
            Err(error) => failed(Exit::from(&error), &error),
        }
    }
}

/// The objects as they came, one a line.
fn lines(objects: &[Value]) -> String {
    objects.iter().fold(String::new(), |text, object| text + &object.to_string() + "\n")
}

fn listed(attempts: &[Attempt]) -> String {
    if attempts.is_empty() {
        return "no attempt is known\n".to_owned();
    }
    let rows = attempts.iter().map(|attempt| {
        let seconds = attempt
            .started_at
            .zip(attempt.finished_at)
            .map(|(started, finished)| finished.duration_since(started).as_secs_f64());
        vec![
            plain(&attempt.host),
            attempt.started_at.map_or_else(|| "-".to_owned(), time),
            plain(&attempt.trigger),
            plain(attempt.outcome.as_deref().unwrap_or("-")),
            freed(attempt.freed_bytes),
            seconds.map_or_else(String::new, |seconds| format!("{seconds:.1}")),
            plain(attempt.reason.as_deref().unwrap_or("")),
            plain(&attempt.id),
        ]
    });
    let header = ["host", "started (UTC)", "trigger", "outcome", "freed", "seconds", "reason", "attempt"];
    text::table(&header, rows, &[4, 5], text::terminal_width().unwrap_or(u16::MAX))
}

/// A number of bytes as a size; nothing where there is none.
fn freed(bytes: Option<i64>) -> String {
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).map_or_else(String::new, size)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn an_instant_is_a_span_back_or_a_time_in_utc() {
        let two_days_ago = instant("2d").unwrap().duration_since(Timestamp::now()).abs();
        assert!((two_days_ago - SignedDuration::from_hours(48)).abs() < SignedDuration::from_mins(1));
        let at: Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
        for text in
            ["2026-01-05T10:00:00Z", "2026-01-05T11:00:00+01:00", "2026-01-05 10:00:00", "2026-01-05T10:00"]
        {
            assert_eq!(instant(text), Ok(at), "{text}");
        }
        assert_eq!(instant("2026-01-05"), Ok("2026-01-05T00:00:00Z".parse().unwrap()));
        for text in ["", "2", "yesterday", "2026-13-05"] {
            assert!(instant(text).unwrap_err().contains("such as 2d"), "{text}");
        }
    }
}
