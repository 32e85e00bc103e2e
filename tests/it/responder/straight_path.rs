//! Fired, notified, accepted, swept, resolved.

use serde_json::Value;

use super::harness::{CRITICAL, Fleet, LARGE, alert, firing, payload, resolved, wait_for};

fn time(row: &Value, key: &str) -> jiff::Timestamp {
    row[key].as_str().unwrap_or_else(|| panic!("no {key} in {row}")).parse().unwrap()
}

#[test]
fn a_firing_alert_leads_to_one_sweep_and_its_resolution_closes_the_incident() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("");
    assert_eq!(responder.send(firing("ray-80")), 200);
    let attempt = responder.ended_attempt("ray-80");
    assert_eq!((&attempt["outcome"], &attempt["trigger"]), (&"freed".into(), &"alert".into()), "{attempt}");
    assert_eq!(attempt["freed_bytes"], 4096);
    assert_eq!(attempt["report"]["workers"][0]["verdict"], "cleaned");

    let incident = responder.incident("ray-80");
    assert_eq!((&incident["state"], &incident["last_outcome"]), (&"waiting".into(), &"freed".into()));
    assert_eq!(attempt["incident"], incident["id"]);
    assert_eq!(time(&incident, "firing_since"), "2026-01-05T10:00:00Z".parse().unwrap());
    let story = [
        time(&incident, "opened_at"),
        time(&incident, "accepted_at"),
        time(&attempt, "started_at"),
        time(&attempt, "connected_at"),
        time(&attempt, "finished_at"),
    ];
    assert!(story.is_sorted(), "{story:?}");

    assert_eq!(responder.send(resolved("ray-80")), 200);
    let incident = responder.incident("ray-80");
    assert_eq!((&incident["state"], &incident["close_reason"]), (&"closed".into(), &"resolved".into()));
    assert!(time(&incident, "closed_at") >= story[4]);

    let id = attempt["id"].as_str().unwrap();
    let request = format!(r#"sweep {{"schema":1,"attempt":"{id}","trigger":"alert","dry_run":false}}"#);
    assert_eq!(fleet.host("ray-80").requests(), [request]);
    for (series, value) in [
        (r#"raysweep_attempts_total{host="ray-80",outcome="freed"}"#, 1),
        (r#"raysweep_freed_bytes_total{host="ray-80"}"#, 4096),
        (r#"raysweep_incidents_closed_total{reason="resolved"}"#, 1),
        (r#"raysweep_notifications_total{result="accepted"}"#, 2),
        (r#"raysweep_incident_open{host="ray-80"}"#, 0),
        ("raysweep_alert_to_freed_seconds_count", 1),
        ("raysweep_alert_to_resolved_seconds_count", 1),
        ("raysweep_attempts_running", 0),
    ] {
        assert_eq!(responder.metric(series), value, "{series}");
    }
    let log = responder.log();
    let mut rest = log.as_str();
    for word in
        ["alert accepted", "attempt started", "connected", "verdict", "attempt ended", "incident closed"]
    {
        rest = rest.split_once(word).unwrap_or_else(|| panic!("no {word:?} in its place in\n{log}")).1;
    }
    responder.stop();
}

#[test]
fn the_same_alert_again_makes_no_second_attempt() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("timing: { period: 1s, critical_period: 1s }");
    for _ in 0..20 {
        assert_eq!(responder.send(firing("ray-80")), 200);
    }
    let ended = time(&responder.ended_attempt("ray-80"), "finished_at");
    for _ in 0..20 {
        assert_eq!(responder.send(firing("ray-80")), 200);
    }
    // Nor do they bring the next one nearer: the space was freed, and the alert has its time to see it.
    let due = time(&responder.incident("ray-80"), "due_at");
    assert!(due.duration_since(ended) >= jiff::SignedDuration::from_secs(290), "{ended} {due}");
    assert_eq!(responder.attempts("ray-80").len(), 1);
    assert_eq!(responder.rows("incidents").len(), 1);
    assert_eq!(responder.incident("ray-80")["alerts"].as_array().unwrap().len(), 1);
    assert_eq!(fleet.host("ray-80").requests().len(), 1);
}

#[test]
fn a_payload_is_judged_alert_by_alert() {
    let mut fleet = Fleet::of_one();
    fleet.add("ray-81", &super::harness::Behaviour::FREES);
    let responder = fleet.serve("");
    let labels = [("instance", "ray-81.example:9100")];
    let body = payload(&[
        alert(LARGE, "firing", &[("host", "ray-80")]),
        alert(CRITICAL, "firing", &labels),
        alert(LARGE, "resolved", &[("host", "ray-81")]),
        alert("Watchdog", "firing", &[]),
    ]);
    assert_eq!(responder.send(body), 200);
    for host in ["ray-80", "ray-81"] {
        assert_eq!(responder.ended_attempt(host)["outcome"], "freed");
    }
    assert_eq!(responder.incident("ray-81")["urgency"], "critical");
    assert_eq!(responder.incident("ray-81")["alerts"].as_array().unwrap().len(), 1);
    assert_eq!(responder.rows("ignored").len(), 1);
}

#[test]
fn a_host_that_was_freed_and_still_fires_is_swept_again_after_the_decay() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("timing: { period: 100ms, critical_period: 100ms, decay: 200ms }");
    responder.send(firing("ray-80"));
    wait_for("a third attempt", || (responder.attempts("ray-80").len() >= 3).then_some(()));
    assert_eq!(responder.rows("incidents").len(), 1);
    responder.send(resolved("ray-80"));
    responder.ended_attempt("ray-80");
    let swept = fleet.host("ray-80").requests().len();
    // A closed incident asks for nothing more: the next thing that happens is the next alert's.
    responder.send(payload(&[alert("Watchdog", "firing", &[])]));
    assert_eq!(fleet.host("ray-80").requests().len(), swept);
    assert_eq!(responder.incident("ray-80")["due_at"], Value::Null);
}

#[test]
fn a_critical_incident_that_stays_active_is_escalated_at_once() {
    let mut fleet = Fleet::new();
    fleet.add("ray-80", &super::harness::Behaviour::Reports { outcome: "active", mode: "enforce" });
    let responder = fleet.serve("");
    responder.send(payload(&[alert(CRITICAL, "firing", &[("host", "ray-80")])]));
    assert_eq!(responder.ended_attempt("ray-80")["outcome"], "active");
    assert_eq!(responder.incident("ray-80")["escalation"], "critical_active");
    assert_eq!(responder.metric(r#"raysweep_incident_escalated{host="ray-80"}"#), 1);
    assert_eq!(responder.metric(r#"raysweep_escalations_total{reason="critical_active"}"#), 1);
    assert!(responder.log().contains("incident escalated"));
    // It goes on looking, and closes when the alert resolves.
    assert_eq!(responder.incident("ray-80")["state"], "waiting");
    responder.send(payload(&[alert(CRITICAL, "resolved", &[("host", "ray-80")])]));
    assert_eq!(responder.incident("ray-80")["state"], "closed");
    assert_eq!(responder.metric(r#"raysweep_incident_escalated{host="ray-80"}"#), 0);
}

#[test]
fn a_replay_has_an_identity_of_its_own_and_makes_exactly_one_attempt() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("timing: { period: 1h, critical_period: 1h }");
    responder.send(firing("ray-80"));
    responder.ended_attempt("ray-80");
    let body = payload(&[
        alert(LARGE, "firing", &[("host", "ray-80")]),
        alert(CRITICAL, "firing", &[("host", "ray-80")]),
        alert(LARGE, "resolved", &[("host", "ray-80")]),
        alert("Watchdog", "firing", &[]),
    ]);
    let (status, replayed) = responder.post("/api/v1/replay", body.as_bytes(), None);
    assert_eq!(status, 202, "{replayed}");
    let alerts = replayed["alerts"].as_array().unwrap();
    assert_eq!(alerts[0]["attempt"], alerts[1]["attempt"]);
    assert_eq!((&alerts[2]["ignored"], &alerts[3]["ignored"]), (&"resolved".into(), &"unknown_alert".into()));
    let attempt = wait_for("the replay's attempt", || {
        let newest = responder.attempts("ray-80").swap_remove(0);
        (newest["id"] == alerts[0]["attempt"] && !newest["finished_at"].is_null()).then_some(newest)
    });
    assert_eq!((&attempt["trigger"], &attempt["replay"]), (&"manual".into(), &replayed["replay"]));
    assert_eq!((&attempt["incident"], &attempt["outcome"]), (&Value::Null, &"freed".into()));
    assert_eq!(responder.attempts("ray-80").len(), 2);
    assert_eq!(responder.rows("incidents").len(), 1);
    assert_eq!(responder.rows("ignored").len(), 0);
}
