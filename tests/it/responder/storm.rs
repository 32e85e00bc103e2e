//! Very many alerts, very many hosts, and very many that hang.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    harness::{CRITICAL, LARGE, Responder, alert, payload, resolved, wait_for},
    stand_in::{StandIns, long, most_memory},
};

const MIB: u64 = 1024 * 1024;

#[test]
fn ten_thousand_alerts_for_one_host_make_two_attempts_at_most() {
    let fleet = StandIns::new(["h-0"]);
    let responder = fleet.serve("");
    let began = Instant::now();
    for part in 0..100 {
        let alerts: Vec<_> = (0..100)
            .map(|n| {
                let name = if n == 99 { CRITICAL } else { LARGE };
                alert(name, "firing", &[("host", "h-0"), ("mountpoint", &format!("/{}", part * 100 + n))])
            })
            .collect();
        assert_eq!(responder.send(payload(&alerts)), 200);
    }
    let took = began.elapsed();
    let mut attempts = responder.attempts("h-0").len();
    responder.ended_attempt("h-0");
    attempts = attempts.max(responder.attempts("h-0").len());
    assert!((1..=2).contains(&attempts), "{attempts} attempts");
    assert_eq!(fleet.count("h-0", "begin"), attempts);
    let incidents = responder.rows("incidents");
    assert_eq!(incidents.len(), 1);
    // A thousand of them are kept; a critical one displaces another, and the rest is counted.
    assert_eq!(incidents[0]["alerts"].as_array().unwrap().len(), 1000);
    assert_eq!(responder.metric(r#"raysweep_alerts_ignored_total{reason="too_many_alerts"}"#), 90 * 99);
    let memory = most_memory(responder.process.id());
    println!(
        "figure: 10,000 alerts for one host in {:.1} s: {attempts} attempt(s), at most {} MiB",
        took.as_secs_f64(),
        memory / MIB
    );
}

#[test]
fn ten_thousand_hosts_are_all_accepted_and_all_attempted_in_little_memory() {
    let hosts = if long() { 10_000 } else { 1_000 };
    let fleet = StandIns::new((0..hosts).map(|n| format!("h-{n}")));
    // As many at once as by default; only the minute's limit would take an hour and a half.
    let responder = fleet.serve("limits: { starts_a_minute: 1000000 }");
    let began = Instant::now();
    let names: Vec<_> = (0..hosts).map(|n| format!("h-{n}")).collect();
    for part in names.chunks(hosts / 100) {
        let alerts: Vec<_> = part.iter().map(|host| alert(LARGE, "firing", &[("host", host)])).collect();
        assert_eq!(responder.send(payload(&alerts)), 200);
    }
    let accepted = began.elapsed();
    let swept = || {
        let ended = fleet.noted().into_iter().filter(|(_, what, _)| what == "end");
        ended.map(|(host, ..)| host).collect::<BTreeSet<_>>().len()
    };
    // As patient as is a wait for anything, as long as it goes on.
    let mut before = 0;
    while before < hosts {
        before = wait_for("one more host", || Some(swept()).filter(|swept| *swept > before));
    }
    let freed = || responder.get("/metrics").1.lines().filter(|line| is_freed_once(line)).count();
    wait_for("the last ends", || (freed() == hosts).then_some(()));
    let memory = most_memory(responder.process.id());
    assert!(memory < 128 * MIB, "{} MiB", memory / MIB);
    println!(
        "figure: {hosts} hosts in 100 payloads: all accepted in {:.1} s, all attempted in {:.0} s, at most {} MiB",
        accepted.as_secs_f64(),
        began.elapsed().as_secs_f64(),
        memory / MIB
    );
}

fn is_freed_once(line: &str) -> bool {
    line.starts_with("raysweep_attempts_total{") && line.ends_with("outcome=\"freed\"} 1")
}

/// How long a healthy host waited for its attempt to begin.
fn start_of(responder: &Responder, host: &str, before: usize) -> Duration {
    let sent = Instant::now();
    assert_eq!(responder.send(payload(&[alert(LARGE, "firing", &[("host", host)])])), 200);
    let started = |responder: &Responder| {
        let (_, text) = responder.get(&format!("/api/v1/attempts?host={host}"));
        let rows: Value = serde_json::from_str(&text).unwrap();
        rows["attempts"].as_array().is_some_and(|rows| rows.len() > before)
    };
    wait_for("the healthy host's attempt", || started(responder).then_some(()));
    sent.elapsed()
}

#[test]
fn a_thousand_hosts_that_hang_do_not_stand_before_one_that_answers() {
    let hanging: Vec<_> = (0..1000).map(|n| format!("hang-{n}")).collect();
    let settings = "timing: { period: 100ms, critical_period: 100ms, backoff_first: 100ms, backoff_most: 200ms }\nlimits: { starts_a_minute: 1000000 }\nssh: { connect_timeout: 10s, attempt_deadline: 60s }";
    let mut figures = vec![];
    for with in [false, true] {
        let fleet = StandIns::new(hanging.iter().map(String::as_str).chain(["proven", "new", "later"]));
        let responder = fleet.serve(settings);
        start_of(&responder, "proven", 0);
        responder.ended_attempt("proven");
        responder.send(resolved("proven"));
        if with {
            for part in hanging.chunks(100) {
                let alerts: Vec<_> =
                    part.iter().map(|host| alert(LARGE, "firing", &[("host", host)])).collect();
                assert_eq!(responder.send(payload(&alerts)), 200);
            }
            wait_for("hosts that hang", || {
                (responder.metric("raysweep_attempts_running") >= 12).then_some(())
            });
        }
        // While none of the thousand has failed yet: a host that answered before, and one that is new.
        let (proven, new) = (start_of(&responder, "proven", 1), start_of(&responder, "new", 0));
        assert_eq!(responder.ended_attempt("proven")["outcome"], "freed");
        assert_eq!(responder.ended_attempt("new")["outcome"], "freed");
        if with {
            // Now some of them have failed, and hang in their own lane.
            let failed = r#"raysweep_attempt_failures_total{reason="connect_timeout"}"#;
            wait_for("hosts that have failed", || (responder.metric(failed) >= 20).then_some(()));
            assert!(responder.metric("raysweep_attempts_running") <= 64);
        }
        figures.push((proven, new, start_of(&responder, "later", 0)));
    }
    let [(_, _, without), (proven, new, later)] = figures[..] else { panic!() };
    // Of a thousand that take 10 s each in 16 places, the last would wait for ten minutes.
    for (of, wait) in [("proven", proven), ("new", new), ("later", later)] {
        assert!(wait < Duration::from_secs(20), "{of}: {wait:?}");
    }
    println!(
        "figure: 1,000 hosts that hang: a proven host's attempt begins after {:.2} s, a new one's after {:.2} s and {:.2} s; without them {:.2} s",
        proven.as_secs_f64(),
        new.as_secs_f64(),
        later.as_secs_f64(),
        without.as_secs_f64()
    );
}

#[test]
fn a_thousand_critical_hosts_that_hang_do_not_take_the_starts_of_one_that_answers() {
    let hanging: Vec<_> = (0..1000).map(|n| format!("hang-{n}")).collect();
    let fleet = StandIns::new(hanging.iter().map(String::as_str).chain(["proven"]));
    // As many starts as by default, of which the thousand alone would take eight minutes.
    let responder = fleet.serve("timing: { period: 100ms, critical_period: 100ms }");
    start_of(&responder, "proven", 0);
    responder.ended_attempt("proven");
    responder.send(resolved("proven"));
    for part in hanging.chunks(100) {
        let alerts: Vec<_> = part.iter().map(|host| alert(CRITICAL, "firing", &[("host", host)])).collect();
        assert_eq!(responder.send(payload(&alerts)), 200);
    }
    let scarce = r#"raysweep_attempts_deferred_total{reason="fleet"}"#;
    wait_for("starts to be scarce", || (responder.metric(scarce) >= 1).then_some(()));
    // The first of them hold every place that is theirs; later it is the starts alone that are scarce.
    let failed = r#"raysweep_attempt_failures_total{reason="connect_timeout"}"#;
    wait_for("hosts that have failed", || (responder.metric(failed) >= 20).then_some(()));
    let proven = start_of(&responder, "proven", 1);
    assert_eq!(responder.ended_attempt("proven")["outcome"], "freed");
    assert!(proven < Duration::from_secs(20), "{proven:?}");
    println!(
        "figure: 1,000 critical hosts that hang, 120 starts a minute: a proven host's attempt for a warning begins after {:.2} s",
        proven.as_secs_f64()
    );
}
