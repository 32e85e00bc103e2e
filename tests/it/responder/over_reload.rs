//! Where a reload meets the journal and the limits: what the process remembers goes on.

use serde_json::json;

use super::{
    harness::{CRITICAL, LARGE, alert, firing, payload, wait_for},
    stand_in::StandIns,
};

/// The period keeps everybody from a second attempt.
const PATIENT: &str = "timing: { period: 1h, critical_period: 1h, stop_grace: 10m }";

#[test]
fn a_journal_that_cannot_be_trusted_ends_the_process_after_a_reload_too_whatever_is_under_way() {
    let fleet = StandIns::new(["h-0", "h-1"]).sweeping_for(5000);
    let mut responder = fleet.serve(PATIENT);
    responder.send(firing("h-0"));
    wait_for("a sweep", || (fleet.count("h-0", "begin") == 1).then_some(()));
    assert_eq!(responder.reload().0, 200);
    // One of the dispatcher of before, and one of its successor.
    responder.send(firing("h-1"));
    wait_for("another sweep", || (fleet.count("h-1", "begin") == 1).then_some(()));
    fleet.flushes(false);
    assert_eq!(responder.send(firing("h-0")), 503);
    // The grace period is longer than the test has patience for.
    assert_eq!(responder.exit_code(), Some(9), "{}", responder.log());
    let log = responder.log();
    assert!(log.contains("the journal cannot be trusted any more: stopping"), "{log}");
    fleet.flushes(true);
    let responder = fleet.serve(PATIENT);
    for host in ["h-0", "h-1"] {
        let attempt = responder.ended_attempt(host);
        assert_eq!((&attempt["outcome"], &attempt["reason"]), (&json!("unknown"), &json!("interrupted")));
    }
    responder.stop();
}

#[test]
fn a_flush_that_fails_in_the_reload_itself_ends_the_process_with_its_own_code() {
    let fleet = StandIns::new(["h-0"]);
    let mut responder = fleet.serve(PATIENT);
    responder.send(firing("h-0"));
    responder.ended_attempt("h-0");
    // An open incident has to be brought in line with a new configuration: where nothing changes nothing is flushed.
    fleet.configure("policies: [{ alert: Other, urgency: warning }]");
    fleet.flushes(false);
    let (status, said) = responder.reload();
    assert!(status == 500 && said.contains("could not be flushed"), "{status} {said}");
    assert_eq!(responder.exit_code(), Some(9), "{}", responder.log());
    fleet.flushes(true);
}

#[test]
fn a_reload_that_cannot_be_stored_is_refused_and_the_old_configuration_goes_on() {
    let fleet = StandIns::new(["h-0", "h-1"]);
    let responder = fleet.serve(PATIENT);
    // An open incident has to be brought in line with a new configuration.
    responder.send(firing("h-0"));
    responder.ended_attempt("h-0");
    fleet.configure("policies: [{ alert: Other, urgency: warning }]");
    fleet.room_for(Some(0));
    let (status, said) = responder.reload();
    assert!(status == 500 && said.contains("the old one is used: storage: "), "{status} {said}");
    assert_eq!(responder.metric("raysweep_config_last_reload_successful"), 0);
    fleet.room_for(None);
    wait_for("room again", || (responder.send(firing("h-1")) == 200).then_some(()));
    // The dispatcher of before works again, and by what it knew.
    assert_eq!(responder.ended_attempt("h-1")["outcome"], "freed");
    assert_eq!(fleet.count("h-0", "begin"), 1);
    let (status, said) = responder.reload();
    assert_eq!(status, 200, "{said}");
    assert_eq!(responder.metric("raysweep_config_last_reload_successful"), 1);
    responder.send(firing("h-1"));
    assert_eq!(responder.rows("ignored")[0]["reason"], "unknown_alert");
}

#[test]
fn what_has_begun_counts_for_the_fleets_minute_after_a_reload() {
    let fleet = StandIns::new(["h-0", "h-1"]);
    let responder = fleet.serve(&format!("{PATIENT}\nlimits: {{ starts_a_minute: 1 }}"));
    responder.send(firing("h-0"));
    responder.ended_attempt("h-0");
    responder.send(firing("h-1"));
    let deferred = || responder.metric(r#"raysweep_attempts_deferred_total{reason="fleet"}"#);
    wait_for("the fleet's limit", || (deferred() >= 1).then_some(()));
    // The same number again, another one, and more at once.
    for (a_minute, at_once) in [(1, 16), (3, 16), (3, 17)] {
        fleet.configure(&format!(
            "{PATIENT}\nlimits: {{ starts_a_minute: {a_minute}, attempts_at_once: {at_once} }}"
        ));
        let before = deferred();
        assert_eq!(responder.reload().0, 200);
        wait_for("a look at what is due", || (deferred() > before).then_some(()));
        assert_eq!(fleet.count("h-1", "begin"), 0, "{a_minute} a minute, {at_once} at once");
    }
    fleet.configure(&format!("{PATIENT}\nlimits: {{ starts_a_minute: 1000 }}"));
    assert_eq!(responder.reload().0, 200);
    assert_eq!(responder.ended_attempt("h-1")["outcome"], "freed");
}

#[test]
fn alertmanager_is_asked_as_the_new_file_says() {
    let fleet = StandIns::new(["h-0", "h-1"]);
    let responder = fleet.serve(PATIENT);
    responder.send(firing("h-0"));
    responder.ended_attempt("h-0");
    let failed = || responder.metric(r#"raysweep_alertmanager_requests_total{result="failed"}"#);
    assert_eq!(failed(), 0);
    // Nobody listens there: it puts nothing off, and it was asked.
    fleet.configure(&format!("{PATIENT}\nalertmanager: {{ url: \"http://127.0.0.1:1\" }}"));
    assert_eq!(responder.reload().0, 200);
    responder.send(firing("h-1"));
    assert_eq!(responder.ended_attempt("h-1")["outcome"], "freed");
    assert_eq!(failed(), 1);
}

#[test]
fn a_host_that_waits_for_a_person_and_left_has_no_series() {
    let fleet = StandIns::new(["h-0", "h-1"]).sweeping_for(3000);
    let sign = json!([{ "kind": "ray_task", "pid": 4711, "detail": "ray::train" }]);
    for host in ["h-0", "h-1"] {
        fleet.reports(host, "active", &sign);
    }
    let responder = fleet.serve(PATIENT);
    let alerts = ["h-0", "h-1"].map(|host| alert(CRITICAL, "firing", &[("host", host)]));
    responder.send(payload(&alerts));
    let escalated = |host: &str| format!("raysweep_incident_escalation{{host=\"{host}\"");
    for host in ["h-0", "h-1"] {
        wait_for("the escalation", || responder.get("/metrics").1.contains(&escalated(host)).then_some(()));
    }
    // A person asks once more, and this attempt outlives its host's entry.
    responder.post("/api/v1/replay", payload(&[alert(LARGE, "firing", &[("host", "h-0")])]).as_bytes(), None);
    wait_for("a second sweep", || (fleet.count("h-0", "begin") == 2).then_some(()));
    let entries = std::fs::read_to_string(fleet.path("hosts")).unwrap();
    let left: Vec<_> = entries.lines().filter(|line| !line.contains("h-0")).collect();
    std::fs::write(fleet.path("hosts"), left.join("\n")).unwrap();
    fleet.configure(PATIENT);
    assert_eq!(responder.reload().0, 200);
    let of_host = || responder.get("/metrics").1.lines().filter(|line| line.contains("h-0")).count();
    assert_eq!(of_host(), 0, "{}", responder.get("/metrics").1);
    assert!(responder.get("/metrics").1.contains(&escalated("h-1")));
    wait_for("the attempt's end", || (responder.metric("raysweep_attempts_running") == 0).then_some(()));
    assert_eq!(of_host(), 0, "{}", responder.get("/metrics").1);
}
