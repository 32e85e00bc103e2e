//! Every way in which a host may be sick, and the others that go on.

use std::net::TcpListener;

use super::harness::{Behaviour, Fleet, LARGE, Stage, alert, firing, free_port, payload};

#[test]
fn each_sick_host_has_its_own_outcome_and_the_others_go_on() {
    let silent = TcpListener::bind("127.0.1.5:0").unwrap();
    let mut fleet = Fleet::new();
    fleet.add("well", &Behaviour::FREES);
    fleet.add_with_changed_key("changed-key");
    fleet.add_with_unknown_key("unknown-key");
    fleet.add_that_refuses_our_key("other-key");
    fleet.add_port("silent", silent.local_addr().unwrap().port());
    fleet.add_port("closed", free_port("127.0.1.6"));
    fleet.add("no-binary", &Behaviour::Script("exec /usr/local/bin/raysweep-that-is-not-there gate"));
    fleet.add("gate-refuses", &Behaviour::Script("echo 'refused: no' >&2; exit 6"));
    fleet.add("cut", &Behaviour::Script(r#"printf '{"schema":1,"attempt":"%s"' "$attempt""#));
    fleet.add("mute", &Behaviour::Script("exit 1"));
    fleet.add("of-another", &Behaviour::Script(r#"echo '{"schema":1}'"#));
    fleet.add("endless", &Behaviour::Script("yes"));
    fleet.add("killed", &Behaviour::Script("kill -9 $$"));
    fleet.add("on-hold", &Behaviour::Reports { outcome: "held", mode: "enforce" });
    fleet.add("busy", &Behaviour::Reports { outcome: "busy", mode: "enforce" });
    fleet.add("observing", &Behaviour::Reports { outcome: "would_free", mode: "observe" });
    let expected = [
        ("well", "freed", None),
        ("changed-key", "refused", Some("host_key_changed")),
        ("unknown-key", "refused", Some("host_key_unknown")),
        ("other-key", "refused", Some("auth_refused")),
        ("silent", "unreachable", Some("connect_timeout")),
        ("closed", "unreachable", Some("connection_refused")),
        ("no-binary", "refused", Some("no_binary")),
        ("gate-refuses", "refused", Some("request_refused")),
        ("cut", "unknown", Some("no_report")),
        ("mute", "unknown", Some("no_report")),
        ("of-another", "unknown", Some("bad_report")),
        ("endless", "unknown", Some("output_too_long")),
        // To ssh a killed command and a broken connection look alike.
        ("killed", "unknown", Some("connection_lost")),
        ("on-hold", "held", None),
        ("busy", "busy", None),
    ];
    let hosts = expected.iter().map(|(host, ..)| *host).chain(["observing"]);
    let alerts: Vec<_> = hosts.map(|host| alert(LARGE, "firing", &[("host", host)])).collect();
    let responder = fleet.serve("");
    assert_eq!(responder.send(payload(&alerts)), 200);
    let mut failures = std::collections::BTreeMap::<_, u64>::new();
    for (host, outcome, reason) in expected {
        let attempt = responder.ended_attempt(host);
        assert_eq!(attempt["outcome"], outcome, "{attempt}");
        assert_eq!(attempt["reason"].as_str(), reason, "{attempt}");
        let series = format!(r#"raysweep_attempts_total{{host="{host}",outcome="{outcome}"}}"#);
        assert_eq!(responder.metric(&series), 1, "{series}");
        if let Some(reason) = reason {
            *failures.entry(reason).or_default() += 1;
            let told = |line: &str| line.contains(&format!("host={host}")) && line.contains(reason);
            assert!(responder.log().lines().any(told), "no {reason} of {host} in\n{}", responder.log());
        }
    }
    for (reason, times) in failures {
        let series = format!(r#"raysweep_attempt_failures_total{{reason="{reason}"}}"#);
        assert_eq!(responder.metric(&series), times, "{series}");
    }
    let observed = responder.ended_attempt("observing");
    assert_eq!(
        (&observed["outcome"], &observed["report"]["mode"]),
        (&"would_free".into(), &"observe".into())
    );
    assert_eq!(responder.metric(r#"raysweep_attempts_total{host="observing",outcome="would_free"}"#), 1);
    assert_eq!(observed["reason"], "the host only observes: nothing was deleted");
    let told = |line: &str| line.contains("host=observing") && line.contains("only observes");
    assert!(responder.log().lines().any(told), "{}", responder.log());
    assert_eq!(observed["report"]["workers"][0]["verdict"], "would_clean");
    // What would have been freed is in the report; freed is nothing.
    assert_eq!((&observed["report"]["freed_bytes"], &observed["freed_bytes"]), (&4096.into(), &0.into()));
    assert_eq!(responder.metric(r#"raysweep_freed_bytes_total{host="observing"}"#), 0);
    // No command reached a host whose key was not the pinned one, or who did not let us in.
    for host in ["changed-key", "unknown-key", "other-key"] {
        assert_eq!(fleet.host(host).requests(), [""; 0], "{host}");
    }
    // The others go on: the healthy host is still served.
    responder.send(super::harness::resolved("well"));
    assert_eq!(responder.incident("well")["close_reason"], "resolved");
    responder.stop();
}

#[test]
fn a_host_behind_a_jump_host_is_reached_through_it_with_the_same_keys_pinned() {
    let mut fleet = Fleet::new();
    fleet.add_behind("inner", "gate", Stage::Open);
    let responder = fleet.serve("");
    responder.send(firing("inner"));
    assert_eq!(responder.ended_attempt("inner")["outcome"], "freed");
    assert!(fleet.host("gate").sshd_log().contains("Accepted publickey"));
    assert_eq!(fleet.host("gate").requests(), [""; 0]);
}
