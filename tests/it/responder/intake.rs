//! What is taken in, what is recorded and left alone, and what is refused.

use super::harness::{CRITICAL, Fleet, LARGE, alert, firing, payload};

#[test]
fn hostile_labels_are_recorded_and_counted_and_start_no_ssh() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("");
    let long = "x".repeat(64 * 1024);
    let hostile = [
        "-oProxyCommand=touch /tmp/x",
        "-V",
        "a@b",
        "root@ray-80",
        "ssh://ray-80:22",
        "$(id)",
        "`id`",
        "../..",
        "ray-80\n",
        "ray-80;id",
        &long,
    ];
    for value in hostile {
        assert_eq!(
            responder.send(payload(&[alert(LARGE, "firing", &[("host", value)])])),
            200,
            "{value:.40}"
        );
    }
    // Known hosts under names of no policy, without a label, or with labels that name two hosts.
    assert_eq!(responder.send(payload(&[alert(&long, "firing", &[("host", "ray-80")])])), 200);
    assert_eq!(responder.send(payload(&[alert(CRITICAL, "firing", &[("worker", "ray-80")])])), 200);
    let ignored =
        |reason: &str| responder.metric(&format!(r#"raysweep_alerts_ignored_total{{reason="{reason}"}}"#));
    assert_eq!(ignored("unknown_host"), u64::try_from(hostile.len()).unwrap());
    assert_eq!((ignored("unknown_alert"), ignored("no_host_label")), (1, 1));

    let rows = responder.rows("ignored");
    assert_eq!(rows.len(), hostile.len() + 2);
    for row in &rows {
        assert!(row.to_string().len() < 2048, "{row}");
    }
    assert!(rows.iter().any(|row| row["labels"]["host"] == "-oProxyCommand=touch /tmp/x"));
    assert!(
        rows.iter()
            .any(|row| row["labels"]["host"].as_str().is_some_and(|host| host.ends_with("bytes more)")))
    );

    assert_eq!(responder.rows("incidents").len() + responder.rows("attempts").len(), 0);
    assert_eq!(fleet.ssh_starts(), 0);
    assert!(!fleet.host("ray-80").sshd_log().contains("Connection from"));
    assert!(responder.log().lines().all(|line| line.len() < 1024), "a log line as long as a label");

    // And the host itself is still served.
    responder.send(firing("ray-80"));
    responder.ended_attempt("ray-80");
    assert_eq!(fleet.ssh_starts(), 1);
}

#[test]
fn labels_that_name_two_hosts_lead_to_nothing() {
    let mut fleet = Fleet::of_one();
    fleet.add("ray-81", &super::harness::Behaviour::FREES);
    let responder = fleet.serve("");
    let labels = [("host", "ray-80"), ("instance", "ray-81.example:9100")];
    assert_eq!(responder.send(payload(&[alert(LARGE, "firing", &labels)])), 200);
    assert_eq!(responder.metric(r#"raysweep_alerts_ignored_total{reason="ambiguous_host"}"#), 1);
    assert_eq!(responder.rows("ignored")[0]["reason"], "ambiguous_host");
    assert_eq!((responder.rows("incidents").len(), fleet.ssh_starts()), (0, 0));
}

#[test]
fn an_ignored_alert_that_repeats_is_one_row_that_counts() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("");
    for _ in 0..5 {
        responder.send(payload(&[alert(LARGE, "firing", &[("host", "ray-99")])]));
    }
    let rows = responder.rows("ignored");
    assert_eq!((rows.len(), &rows[0]["times"], &rows[0]["reason"]), (1, &5.into(), &"unknown_host".into()));
}

#[test]
fn what_is_no_notification_is_refused_with_400_and_what_is_too_long_with_413() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("limits: { body_bytes: 4096 }");
    for body in ["", "[]", "{", r#"{"alerts":[{"status":"firing"}]}"#] {
        assert_eq!(responder.send(body), 400, "{body}");
    }
    assert_eq!(responder.send("x".repeat(5000)), 413);
    assert_eq!(responder.metric(r#"raysweep_notifications_total{result="malformed"}"#), 4);
    assert_eq!(responder.metric(r#"raysweep_notifications_total{result="too_large"}"#), 1);
    assert_eq!(responder.get("/webhook").0, 405);
    assert_eq!(responder.get("/nothing").0, 404);
}

#[test]
fn alerts_that_the_sender_cut_off_are_counted() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("");
    let body = include_str!("../../../alertmanager/payloads/truncated.json");
    assert_eq!(responder.send(body), 200);
    assert_eq!(responder.metric("raysweep_alerts_truncated_total"), 2);
    assert!(responder.log().contains("max_alerts"));
}

#[test]
fn only_who_shows_the_token_is_let_in_and_a_new_token_needs_no_restart() {
    let fleet = Fleet::of_one();
    let token = fleet.path("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let chmod = std::process::Command::new("chmod").arg("600").arg(&token).status().unwrap();
    assert!(chmod.success());
    let responder = fleet.serve(&format!("web: {{ bearer_token_file: {} }}", token.display()));
    let body = firing("ray-99");
    let send = |token| responder.post("/webhook", body.as_bytes(), token).0;
    for wrong in [
        None,
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer s3cre"),
        Some("Bearer s3crett"),
        Some("Basic s3cret"),
    ] {
        assert_eq!(send(wrong), 401, "{wrong:?}");
    }
    let unauthorized = || responder.metric(r#"raysweep_notifications_total{result="unauthorized"}"#);
    assert_eq!(unauthorized(), 6);
    assert_eq!(send(Some("Bearer s3cret")), 200);
    assert_eq!(send(Some("bearer s3cret")), 200);
    for path in ["/api/v1/incidents", "/api/v1/attempts", "/api/v1/ignored"] {
        assert_eq!(responder.get(path).0, 401, "{path}");
    }
    assert_eq!(responder.post("/api/v1/replay", body.as_bytes(), None).0, 401);
    assert_eq!(unauthorized(), 6, "nobody sent a notification");
    for path in ["/-/healthy", "/-/ready", "/metrics"] {
        assert_eq!(responder.get(path).0, 200, "{path}");
    }
    std::fs::write(&token, "newer").unwrap();
    assert_eq!((send(Some("Bearer s3cret")), send(Some("Bearer newer"))), (401, 200));
    // A token that cannot be read is our trouble: 503 is sent again, 401 would be final.
    std::fs::write(&token, "").unwrap();
    assert_eq!(send(Some("Bearer newer")), 503);
    assert!(!responder.log().contains("s3cret"));
}

#[test]
fn bodies_that_are_none_cannot_fill_the_log() {
    let fleet = Fleet::new();
    let responder = fleet.serve("");
    let began = std::time::Instant::now();
    for _ in 0..50 {
        assert_eq!(responder.send("{"), 400);
    }
    let told = responder.log().lines().filter(|line| line.contains("notification refused")).count();
    assert!(told >= 1 && told as u64 <= 1 + began.elapsed().as_secs(), "{}", responder.log());
}

#[test]
fn what_is_sent_writes_no_line_of_the_log_by_itself() {
    let fleet = Fleet::new();
    let responder = fleet.serve("");
    let body = r#"{"alerts":[{"status":"firing","startsAt":"2026-01-05T10:00:00Z",
        "labels":{"x\n2026-01-05T10:00:00Z  INFO raysweep: attempt ended":5}}]}"#;
    assert_eq!(responder.send(body), 400);
    let log = responder.log();
    assert!(log.lines().any(|line| line.contains("refused") && line.contains("attempt ended")), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-05T10:00:00Z")), "{log}");
}

#[test]
fn every_series_of_a_host_and_a_policy_starts_at_zero_and_none_comes_from_a_label() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("");
    let series = || responder.get("/metrics").1.lines().filter(|line| !line.starts_with('#')).count();
    let before = series();
    assert_eq!(responder.metric(r#"raysweep_attempts_total{host="ray-80",outcome="refused"}"#), 0);
    assert_eq!(
        responder.metric(r#"raysweep_alerts_total{alert="RayWorkerDiskCritical",status="firing"}"#),
        0
    );
    for n in 0..50 {
        responder.send(payload(&[alert(&format!("A{n}"), "firing", &[("host", &format!("h{n}"))])]));
        responder.send(firing(&format!("h{n}")));
    }
    responder.send(firing("ray-80"));
    responder.ended_attempt("ray-80");
    assert_eq!(series(), before);
}
