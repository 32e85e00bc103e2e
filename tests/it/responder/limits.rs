//! At most one attempt a host in its period: deferred to the exact instant, never dropped, and right
//! after a restart.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    harness::{Behaviour, CRITICAL, Fleet, Responder, alert, firing, payload, resolved, wait_for},
    stand_in::StandIns,
};

fn time(row: &Value, key: &str) -> Timestamp {
    row[key].as_str().unwrap_or_else(|| panic!("no {key} in {row}")).parse().unwrap()
}

/// An incident that waits for its host's period to end.
fn deferred(responder: &Responder, host: &str) -> Value {
    wait_for("a deferred incident", || {
        let incident = responder.incident(host);
        let waits = incident["due_at"]
            .as_str()
            .is_some_and(|due| due.parse::<Timestamp>().unwrap() > Timestamp::now());
        (incident["attempts"] == 0 && waits).then_some(incident)
    })
}

fn about(found: Timestamp, expected: Timestamp) -> bool {
    found.duration_since(expected).abs() < SignedDuration::from_millis(500)
}

#[test]
fn an_attempt_within_the_period_is_deferred_to_its_end_even_after_a_restart() {
    let fleet = Fleet::of_one();
    let settings = "timing: { period: 1h, critical_period: 30m }";
    let responder = fleet.serve(settings);
    responder.send(firing("ray-80"));
    let began = time(&responder.ended_attempt("ray-80"), "started_at");
    responder.send(resolved("ray-80"));
    responder.send(firing("ray-80"));
    let due = time(&deferred(&responder, "ray-80"), "due_at");
    assert!(about(due, began + SignedDuration::from_hours(1)), "{began} {due}");
    assert_eq!(responder.metric(r#"raysweep_attempts_deferred_total{reason="period"}"#), 1);
    assert!(responder.log().contains("attempt deferred"));
    responder.send(resolved("ray-80"));
    responder.stop();

    let responder = fleet.serve(settings);
    responder.send(firing("ray-80"));
    let due = time(&deferred(&responder, "ray-80"), "due_at");
    assert!(about(due, began + SignedDuration::from_hours(1)), "{began} {due}");
    // A critical alert that joins has a period of its own.
    responder.send(payload(&[alert(CRITICAL, "firing", &[("host", "ray-80")])]));
    wait_for("the critical period's end", || {
        let due = time(&responder.incident("ray-80"), "due_at");
        about(due, began + SignedDuration::from_mins(30)).then_some(())
    });
    assert_eq!(fleet.host("ray-80").requests().len(), 1);
}

#[test]
fn a_deferred_attempt_comes_when_the_period_ends_and_not_before() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("timing: { period: 2s, critical_period: 2s }");
    responder.send(firing("ray-80"));
    let first = time(&responder.ended_attempt("ray-80"), "started_at");
    responder.send(resolved("ray-80"));
    responder.send(firing("ray-80"));
    let second = wait_for("the second attempt", || {
        let attempts = responder.attempts("ray-80");
        (attempts.len() == 2).then(|| time(&attempts[0], "started_at"))
    });
    let apart = second.duration_since(first);
    assert!(apart >= SignedDuration::from_secs(2), "{apart}");
    assert!(apart < SignedDuration::from_millis(3500), "{apart}");
}

#[test]
fn an_attempt_that_spent_nothing_does_not_defer_the_next() {
    let mut fleet = Fleet::new();
    fleet.add("ray-80", &Behaviour::Reports { outcome: "held", mode: "enforce" });
    let responder = fleet.serve("timing: { period: 1h, critical_period: 1h, recheck: 100ms }");
    responder.send(firing("ray-80"));
    wait_for("a third attempt", || (responder.attempts("ray-80").len() >= 3).then_some(()));
    assert_eq!(responder.metric(r#"raysweep_attempts_deferred_total{reason="period"}"#), 0);
}

#[test]
fn a_host_that_refuses_is_not_tried_again_at_once() {
    let mut fleet = Fleet::new();
    fleet.add_with_changed_key("ray-80");
    let responder = fleet.serve("");
    responder.send(firing("ray-80"));
    let ended = time(&responder.ended_attempt("ray-80"), "finished_at");
    let due = time(&responder.incident("ray-80"), "due_at");
    assert!(due.duration_since(ended) >= SignedDuration::from_secs(15), "{ended} {due}");
}

#[test]
fn a_resolution_calls_a_waiting_attempt_off() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("timing: { period: 1h, critical_period: 1h }");
    responder.send(firing("ray-80"));
    responder.ended_attempt("ray-80");
    responder.send(resolved("ray-80"));
    responder.send(firing("ray-80"));
    deferred(&responder, "ray-80");
    responder.send(resolved("ray-80"));
    let incident = responder.incident("ray-80");
    assert_eq!((&incident["state"], &incident["attempts"]), (&"closed".into(), &0.into()));
}

#[test]
fn no_more_attempts_run_at_once_than_are_allowed_and_all_come_in_the_end() {
    let fleet = Fleet::that_waits(["a", "b", "c", "d"]);
    let responder = fleet.serve("limits: { attempts_at_once: 2 }");
    fleet.fire_on_all(&responder);
    fleet.wait_for_requests(2);
    assert_eq!(responder.metric("raysweep_attempts_running"), 2);
    assert_eq!(responder.rows("attempts").len(), 2);
    fleet.free_all(&responder);
}

#[test]
fn an_alert_that_resolves_and_fires_again_with_the_same_start_is_attempted_again() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("timing: { period: 100ms, critical_period: 100ms, decay: 10m }");
    for round in 1..=3 {
        assert_eq!(responder.send(firing("ray-80")), 200);
        wait_for("an attempt of its own", || (responder.attempts("ray-80").len() == round).then_some(()));
        responder.ended_attempt("ray-80");
        assert_eq!(responder.send(resolved("ray-80")), 200);
    }
    assert_eq!(responder.rows("incidents").len(), 3);
    assert_eq!(fleet.host("ray-80").requests().len(), 3);
}

#[test]
fn no_more_attempts_begin_in_a_minute_than_are_allowed_not_even_after_a_restart() {
    let fleet = StandIns::new(["a", "b", "c"]);
    let settings = "limits: { starts_a_minute: 1 }";
    let responder = fleet.serve(settings);
    for host in ["a", "b", "c"] {
        responder.send(firing(host));
    }
    let fleets = r#"raysweep_attempts_deferred_total{reason="fleet"}"#;
    wait_for("the first attempt's end", || {
        fleet.noted().iter().any(|(_, what, _)| what == "end").then_some(())
    });
    wait_for("another that waits", || (responder.metric(fleets) >= 1).then_some(()));
    responder.stop();
    let responder = fleet.serve(settings);
    wait_for("another that waits", || (responder.metric(fleets) >= 1).then_some(()));
    assert_eq!(responder.rows("attempts").len(), 1);
    assert_eq!(fleet.noted().iter().filter(|(_, what, _)| what == "begin").count(), 1);
}
