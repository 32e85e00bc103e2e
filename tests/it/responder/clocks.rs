//! A clock that is set: by an hour and by a day, back and forth, while the responder runs and while it
//! does not.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    harness::{LARGE, alert, payload, wait_for},
    stand_in::StandIns,
};

const PERIOD: Duration = Duration::from_secs(4);
const SETTINGS: &str = "timing: { period: 4s, critical_period: 4s, decay: 1s, recheck: 1s }";
/// A sweep begins on its host a moment after it began here, and not always the same moment. An attempt
/// that a set clock brings forward comes after the second that `decay` is.
const MOMENT: Duration = Duration::from_secs(2);

/// The time between two sweeps with the clock set in between: by the hosts, and by the journal.
fn between(secs: i64, restart: bool) -> (Duration, SignedDuration) {
    let fleet = StandIns::new(["h-0"]);
    let mut responder = fleet.serve(SETTINGS);
    assert_eq!(responder.send(payload(&[alert(LARGE, "firing", &[("host", "h-0")])])), 200);
    responder.ended_attempt("h-0");
    let incident = responder.incident("h-0");
    if restart {
        responder.stop();
        fleet.set_clock(secs);
        responder = fleet.serve(SETTINGS);
    } else {
        fleet.set_clock(secs);
    }
    // Taken in after the clock was set, and before anybody noticed.
    assert_eq!(responder.send(payload(&[alert(LARGE, "firing", &[("host", "h-0")])])), 200);
    let begins = wait_for(&format!("a second sweep with the clock set by {secs} s"), || {
        Some(fleet.begins("h-0")).filter(|begins| begins.len() >= 2)
    });
    // It is the same trouble still: nothing expired, nobody was told.
    let now = responder.incident("h-0");
    assert_eq!(
        (&now["id"], &now["escalation"], &now["closed_at"]),
        (&incident["id"], &().into(), &().into())
    );
    // And what is shown goes by the clock as it is now.
    let shown: Timestamp = now["opened_at"].as_str().unwrap().parse().unwrap();
    let off = shown.duration_since(Timestamp::now()).as_secs() - secs;
    assert!(off.abs() < 120, "set by {secs} s, restarted {restart}: opened {off} s off");
    let attempts = wait_for("both attempts", || Some(responder.attempts("h-0")).filter(|all| all.len() >= 2));
    let started = |at: usize| -> Timestamp {
        attempts[attempts.len() - 1 - at]["started_at"].as_str().unwrap().parse().unwrap()
    };
    (begins[1].saturating_sub(begins[0]), started(1).duration_since(started(0)))
}

#[test]
fn a_clock_that_is_set_makes_no_attempt_early_and_none_late() {
    std::thread::scope(|scope| {
        let (hour, day) = (3600, 86_400);
        let cases = [hour, -hour, day, -day].map(|secs| [(secs, false), (secs, true)]);
        let running: Vec<_> = cases
            .into_iter()
            .flatten()
            .map(|(secs, restart)| (secs, restart, scope.spawn(move || between(secs, restart))))
            .collect();
        for (secs, restart, thread) in running {
            let (gap, stored) = thread.join().unwrap();
            println!(
                "figure: clock set by {secs} s, restarted {restart}: the next sweep came after {:.2} s of {} s",
                gap.as_secs_f64(),
                PERIOD.as_secs()
            );
            assert!(gap + MOMENT >= PERIOD, "early by {:?}: {secs} {restart}", PERIOD.saturating_sub(gap));
            // What is stored is as far apart although the clock was set in between, to the microsecond.
            assert!(stored.unsigned_abs() >= PERIOD, "early by the journal: {stored:?}: {secs} {restart}");
            assert!(gap <= PERIOD * 2 + Duration::from_secs(10), "late: {gap:?}: {secs} {restart}");
        }
    });
}
