//! Host keys: a host that does not show the pinned one gets no command, and is left alone for a while.

use super::harness::{Behaviour, CRITICAL, Fleet, Stage, alert, firing, payload, resolved};

#[test]
fn a_host_without_the_pinned_key_gets_no_command_and_is_not_asked_again_soon_whoever_wants_it() {
    let mut fleet = Fleet::of_one();
    fleet.add_with_changed_key("changed");
    fleet.add_with_unknown_key("unknown");
    fleet.add("revoked", &Behaviour::FREES);
    fleet.revoke("revoked");
    fleet.add_behind("inner", "gate", Stage::Open);
    fleet.unpin("gate");
    let short = "period: 100ms, critical_period: 100ms, recheck: 100ms, decay: 100ms";
    let responder = fleet.serve(&format!("timing: {{ {short}, backoff_first: 5m, backoff_most: 10m }}"));
    let expected = [
        ("changed", "host_key_changed"),
        ("unknown", "host_key_unknown"),
        ("revoked", "host_key_changed"),
        ("inner", "host_key_unknown"),
    ];
    for (host, reason) in expected {
        responder.send(firing(host));
        let attempt = responder.ended_attempt(host);
        assert_eq!((&attempt["outcome"], &attempt["reason"]), (&"refused".into(), &reason.into()), "{host}");
    }
    for (host, _) in expected {
        responder.send(resolved(host));
        responder.send(firing(host));
        responder.send(payload(&[alert(CRITICAL, "firing", &[("host", host)])]));
        assert_eq!(responder.post("/api/v1/replay", firing(host).as_bytes(), None).0, 202);
    }
    // When a later alert has led to an attempt, the earlier ones have been looked at.
    responder.send(firing("ray-80"));
    assert_eq!(responder.ended_attempt("ray-80")["outcome"], "freed");
    for host in ["changed", "unknown", "revoked", "inner", "gate"] {
        let begun =
            responder.attempts(host).iter().filter(|attempt| !attempt["started_at"].is_null()).count();
        assert_eq!(begun, usize::from(host != "gate"), "{host}");
        assert_eq!(fleet.host(host).requests(), [""; 0], "{host}");
        assert!(!fleet.host(host).sshd_log().contains("Accepted"), "{host}");
    }
}

#[test]
fn without_a_file_of_host_keys_nobody_gets_a_command() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("");
    std::fs::rename(fleet.path("known_hosts"), fleet.path("elsewhere")).unwrap();
    responder.send(firing("ray-80"));
    let attempt = responder.ended_attempt("ray-80");
    assert_eq!((&attempt["outcome"], &attempt["reason"]), (&"refused".into(), &"host_key_unknown".into()));
    assert_eq!(fleet.host("ray-80").requests(), [""; 0]);
}
