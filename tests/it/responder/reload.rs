//! A configuration that is read again while everything works.

use std::process::Command;

use super::harness::{
    Behaviour, CRITICAL, Fleet, LOOPBACK, Responder, alert, firing, payload, resolved, wait_for,
};

const RELOADED: &str = "raysweep_config_last_reload_successful";
const RELOADED_AT: &str = "raysweep_config_last_reload_success_timestamp_seconds";

/// The value of a series that is no whole number.
fn instant(responder: &Responder, series: &str) -> f64 {
    let (_, text) = responder.get("/metrics");
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
}

#[test]
fn a_host_that_is_added_is_swept_after_a_hangup_signal() {
    let mut fleet = Fleet::of_one();
    let responder = fleet.serve("");
    let read_at = instant(&responder, RELOADED_AT);
    responder.send(firing("ray-81"));
    assert_eq!(responder.rows("ignored")[0]["reason"], "unknown_host");
    fleet.add("ray-81", &Behaviour::FREES);
    fleet.configure("");
    responder.signal("-HUP");
    wait_for("the reload", || responder.log().contains("was read and is used: 2 hosts").then_some(()));
    let log = responder.log();
    let asked = log.lines().find(|line| line.contains("reload asked for"));
    assert!(asked.is_some_and(|line| line.contains(r#"asked_by="SIGHUP""#)), "{log}");
    assert_eq!(responder.metric(RELOADED), 1);
    assert!(instant(&responder, RELOADED_AT) > read_at);
    assert_eq!(responder.metric(r#"raysweep_attempts_total{host="ray-81",outcome="held"}"#), 0);
    responder.send(firing("ray-81"));
    assert_eq!(responder.ended_attempt("ray-81")["outcome"], "freed");
    responder.send(firing("ray-80"));
    assert_eq!(responder.ended_attempt("ray-80")["outcome"], "freed");
    responder.stop();
}

#[test]
fn a_host_that_left_has_no_incident_no_attempt_and_no_series() {
    let mut fleet = Fleet::new();
    fleet.add("ray-80", &Behaviour::Reports { outcome: "held", mode: "enforce" });
    let responder = fleet.serve("");
    responder.send(firing("ray-80"));
    responder.ended_attempt("ray-80");
    assert_eq!(responder.metric(r#"raysweep_incident_open{host="ray-80"}"#), 1);
    let fleet = fleet.without_hosts();
    fleet.configure("");
    let (status, said) = responder.reload();
    assert!(status == 200 && said.contains("0 hosts"), "{said}");
    assert_eq!(responder.incident("ray-80")["close_reason"], "removed");
    let (_, metrics) = responder.get("/metrics");
    assert!(!metrics.contains("ray-80"), "{metrics}");
    let starts = fleet.ssh_starts();
    responder.send(firing("ray-80"));
    assert_eq!(responder.rows("ignored")[0]["reason"], "unknown_host");
    assert_eq!(fleet.ssh_starts(), starts);
}

#[test]
fn a_bad_file_is_refused_with_what_is_wrong_and_the_old_one_stays_in_use() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("");
    let read_at = instant(&responder, RELOADED_AT);
    let file = fleet.path("raysweep.yml").display().to_string();
    for (bad, said) in [
        ("webb: 1", "unknown key `webb`"),
        ("timing: { period: 10 }", "timing.period: "),
        ("limits: { attempts_at_once: 0 }", "limits.attempts_at_once: must be 1 or more"),
        (
            "web: { bearer_token_file: /nonexistent/token }",
            "web.bearer_token_file: /nonexistent/token cannot be read",
        ),
        ("policies: [{ alert: A, urgency: mild }]", "policies[0].urgency: "),
        (": [", "is not YAML"),
    ] {
        fleet.configure(bad);
        let (status, text) = responder.reload();
        assert_eq!(status, 500, "{bad}");
        assert!(text.contains(&file) && text.contains(said), "{text}");
        assert!(text.contains("the old one is used"), "{text}");
        assert!(responder.log().contains(said), "{said} in\n{}", responder.log());
        assert_eq!(responder.metric(RELOADED), 0);
        assert_eq!(instant(&responder, RELOADED_AT).to_bits(), read_at.to_bits());
        // It is no reason not to be ready.
        assert_eq!(responder.get("/-/ready").0, 200);
    }
    std::fs::rename(&file, fleet.path("elsewhere")).unwrap();
    assert_eq!(responder.reload().0, 500);
    responder.send(firing("ray-80"));
    assert_eq!(responder.ended_attempt("ray-80")["outcome"], "freed");
    fleet.configure("");
    assert_eq!(responder.reload().0, 200);
    assert_eq!(responder.metric(RELOADED), 1);
    assert!(instant(&responder, RELOADED_AT) > read_at);
}

#[test]
fn an_attempt_under_way_ends_as_it_began_and_its_host_is_not_swept_beside_it() {
    let fleet = Fleet::that_waits(["ray-80"]);
    let responder =
        fleet.serve_in_mid_attempt("timing: { period: 1s, critical_period: 1s, stop_grace: 100ms }");
    let host = fleet.host("ray-80");
    fleet.configure("timing: { period: 1h, critical_period: 1h }");
    assert_eq!(responder.reload().0, 200);
    // A replay asks no limiter: only the attempt that runs keeps it waiting.
    responder.post("/api/v1/replay", firing("ray-80").as_bytes(), None);
    assert_eq!(responder.metric("raysweep_attempts_running"), 1);
    host.open_gate();
    wait_for("both attempts' ends", || {
        let attempts = responder.attempts("ray-80");
        (attempts.len() == 2 && attempts.iter().all(|attempt| attempt["outcome"] == "freed")).then_some(())
    });
    let attempts = responder.attempts("ray-80");
    assert!(attempts[0]["started_at"].as_str() >= attempts[1]["finished_at"].as_str(), "{attempts:?}");
    // What was spent before the reload counts by the new period.
    responder.send(resolved("ray-80"));
    responder.send(firing("ray-80"));
    wait_for("the deferral", || {
        (responder.metric(r#"raysweep_attempts_deferred_total{reason="period"}"#) >= 1).then_some(())
    });
    assert_eq!(host.requests().len(), 2);
    responder.stop();
}

#[test]
fn attempts_of_before_and_after_share_the_places_that_there_are() {
    let mut fleet = Fleet::that_waits(["a", "b", "c", "d"]);
    // None of them is slow while this looks.
    fleet.attempt_deadline = "11m";
    let responder = fleet.serve("limits: { attempts_at_once: 2 }");
    fleet.fire_on_all(&responder);
    fleet.wait_for_requests(2);
    for at_once in [2, 1, 3] {
        fleet.configure(&format!("limits: {{ attempts_at_once: {at_once} }}"));
        assert_eq!(responder.reload().0, 200);
        if at_once < 3 {
            assert_eq!(responder.rows("attempts").len(), 2, "{at_once} at once");
        }
    }
    fleet.wait_for_requests(3);
    assert_eq!(responder.rows("attempts").len(), 3);
    fleet.free_all(&responder);
}

#[test]
fn policies_limits_tokens_and_ssh_are_those_of_the_new_file() {
    let soon = "timing: { period: 100ms, critical_period: 100ms, backoff_first: 100ms }";
    let fleet = Fleet::of_one();
    std::fs::rename(fleet.path("id"), fleet.path("elsewhere")).unwrap();
    let responder = fleet.serve(&format!("policies: [{{ alert: Other, urgency: critical }}]\n{soon}"));
    responder.send(payload(&[alert(CRITICAL, "firing", &[("host", "ray-80")])]));
    assert_eq!(responder.rows("ignored")[0]["reason"], "unknown_alert");
    responder.send(payload(&[alert("Other", "firing", &[("host", "ray-80")])]));
    assert_eq!(responder.ended_attempt("ray-80")["reason"], "auth_refused");

    let token = fleet.path("token");
    std::fs::write(&token, "s3cret").unwrap();
    let chmod = std::process::Command::new("chmod").arg("600").arg(&token).status().unwrap();
    assert!(chmod.success());
    fleet.configure(&format!(
        "{soon}\nlimits: {{ body_bytes: 4096 }}\nweb: {{ bearer_token_file: {}, listen_address: 127.0.0.1:1 }}",
        token.display()
    ));
    let entries = std::fs::read_to_string(fleet.path("raysweep.yml")).unwrap();
    let moved = entries.replace("/id,", "/elsewhere,");
    assert_ne!(entries, moved);
    std::fs::write(fleet.path("raysweep.yml"), moved).unwrap();
    let (status, said) = responder.reload();
    // The flag beats the file: no restart would listen there.
    assert!(status == 200 && !said.contains("takes a restart"), "{said}");

    let shown = Some("Bearer s3cret");
    assert_eq!(responder.post("/webhook", b"{}", None).0, 401);
    assert_eq!(responder.reload().0, 401);
    assert_eq!(responder.post("/webhook", "x".repeat(5000).as_bytes(), shown).0, 413);
    let critical = payload(&[alert(CRITICAL, "firing", &[("host", "ray-80")])]);
    assert_eq!(responder.post("/webhook", critical.as_bytes(), shown).0, 200);
    let freed = r#"raysweep_attempts_total{host="ray-80",outcome="freed"}"#;
    wait_for("the host to be freed", || (responder.metric(freed) == 1).then_some(()));
}

#[test]
fn another_address_takes_a_restart_and_is_said_so_until_there_was_one() {
    let fleet = Fleet::new();
    let listens = |address: &str| fleet.configure(&format!("web: {{ listen_address: \"{address}\" }}"));
    listens(LOOPBACK);
    let mut command = Command::new(env!("CARGO_BIN_EXE_raysweep"));
    command.arg("serve").arg("--config.file").arg(fleet.path("raysweep.yml"));
    command.arg("--storage.path").arg(fleet.path("data"));
    let responder = Responder::launch(command, fleet.path("responder.log")).unwrap();
    assert!(!responder.reload().1.contains("takes a restart"));
    listens("127.0.0.1:1");
    for _ in 0..2 {
        let (status, said) = responder.reload();
        assert!(status == 200 && said.contains("web.listen_address: 127.0.0.1:1 takes a restart"), "{said}");
    }
    // A start would refuse it: so does this.
    listens("0.0.0.0:1");
    let (status, said) = responder.reload();
    assert!(status == 500 && said.contains("0.0.0.0:1 is not loopback"), "{said}");
    listens(LOOPBACK);
    let (status, said) = responder.reload();
    assert!(status == 200 && !said.contains("takes a restart"), "{said}");
}

#[test]
fn more_connections_than_there_are_files_for_are_told_of_after_a_reload_too() {
    let fleet = Fleet::new();
    let responder = fleet.serve("");
    let fewer = "fewer open files than limits.connections may need";
    assert!(!responder.log().contains(fewer), "{}", responder.log());
    fleet.configure("limits: { connections: 1000000000 }");
    assert_eq!(responder.reload().0, 200);
    assert!(responder.log().contains(fewer), "{}", responder.log());
}

#[test]
fn what_a_hosts_period_remembers_outlasts_a_reload() {
    let fleet = Fleet::of_one();
    let settings = "timing: { period: 1h, critical_period: 1h }";
    let responder = fleet.serve(settings);
    responder.send(firing("ray-80"));
    responder.ended_attempt("ray-80");
    responder.send(resolved("ray-80"));
    assert_eq!(responder.reload().0, 200);
    responder.send(firing("ray-80"));
    wait_for("the deferral", || {
        (responder.metric(r#"raysweep_attempts_deferred_total{reason="period"}"#) == 1).then_some(())
    });
    assert_eq!(fleet.host("ray-80").requests().len(), 1);
}
