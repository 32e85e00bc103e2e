//! One attempt in full, with what its host reported.

use jiff::Timestamp;

use super::freed;
use crate::{
    cli::{
        table,
        text::{plain, size, time},
    },
    domain::report::Report,
    fleet::client::Attempt,
};

/// What is known of the attempt here, and below it the report as `raysweep sweep` shows it.
pub(super) fn shown(attempt: &Attempt) -> String {
    let head =
        rows(attempt).into_iter().fold(format!("attempt {}\n", plain(&attempt.id)), |text, (key, value)| {
            text + &format!("  {key:<10} {value}\n")
        });
    let report = match attempt.report.clone().map(serde_json::from_value::<Report>) {
        None if attempt.finished_at.is_none() => "it has not ended yet\n".to_owned(),
        None if attempt.report_dropped_bytes.is_some() => dropped(attempt),
        None => "no report came back\n".to_owned(),
        Some(Ok(report)) => table::for_stdout(&report),
        Some(Err(error)) => {
            format!("this raysweep cannot read the report ({}): ask with --json\n", plain(&error.to_string()))
        }
    };
    format!("{head}\n{report}")
}

fn dropped(attempt: &Attempt) -> String {
    let size = attempt.report_dropped_bytes.map_or_else(String::new, |bytes| format!(" of {}", size(bytes)));
    format!(
        "its report{size} was dropped, to keep all reports within the responder's journal.reports_bytes: the host may \
         have it in /var/log/raysweep\n"
    )
}

fn rows(attempt: &Attempt) -> Vec<(&'static str, String)> {
    let Attempt {
        id: _,
        host,
        incident,
        trigger,
        asked_by,
        queued_at,
        started_at,
        connected_at,
        finished_at,
        outcome,
        reason,
        freed_bytes,
        report: _,
        report_dropped_bytes: _,
    } = attempt;
    let incident = incident.map_or_else(String::new, |id| format!(", for incident {id}"));
    let who = asked_by.as_deref().map_or_else(String::new, |who| format!(", by {}", plain(who)));
    let trigger = plain(trigger) + &who + &incident;
    let mut rows = vec![("host", plain(host)), ("trigger", trigger), ("asked", time(*queued_at))];
    // How long each step took, counted from the one before it.
    let mut before = *queued_at;
    for (key, at) in [("started", started_at), ("connected", connected_at), ("ended", finished_at)] {
        if let Some(at) = at {
            rows.push((key, format!("{} (after {:.1} s)", time(*at), secs(before, *at))));
            before = *at;
        }
    }
    let outcome = outcome.as_deref().map(|outcome| {
        let freed = freed(freed_bytes.filter(|bytes| *bytes > 0));
        if freed.is_empty() { plain(outcome) } else { format!("{}, {freed} freed", plain(outcome)) }
    });
    rows.extend(outcome.map(|outcome| ("outcome", outcome)));
    rows.extend(reason.as_deref().map(|reason| ("reason", plain(reason))));
    rows
}

fn secs(earlier: Timestamp, later: Timestamp) -> f64 {
    later.duration_since(earlier).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_that_made_room_is_told_of_and_nothing_else_is_missing() {
        let attempt = json!({
            "id": "1", "host": "ray-80", "trigger": "alert", "queued_at": "2026-01-05T10:00:00Z",
            "started_at": "2026-01-05T10:00:01Z", "finished_at": "2026-01-05T10:00:09Z", "outcome": "active",
            "reason": null, "freed_bytes": 0, "report": null, "report_dropped_bytes": 120_000,
        });
        expect![[r"
            attempt 1
              host       ray-80
              trigger    alert
              asked      2026-01-05 10:00:00
              started    2026-01-05 10:00:01 (after 1.0 s)
              ended      2026-01-05 10:00:09 (after 8.0 s)
              outcome    active

            its report of 120.0 kB was dropped, to keep all reports within the responder's journal.reports_bytes: the host may have it in /var/log/raysweep
        "]]
        .assert_eq(&shown(&serde_json::from_value(attempt).unwrap()));
    }
}
