//! Killed under load, over and over: what was acknowledged is there, once, and no host is swept twice at
//! once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{
    harness::{LARGE, Responder, alert, payload, wait_for},
    stand_in::{StandIns, long},
};

const SENDERS: u64 = 4;
/// Every wait is short, so that a life of a responder sees many attempts begin and end.
const SETTINGS: &str = "timing: { period: 150ms, critical_period: 100ms, recheck: 300ms, decay: 50ms, backoff_first: 100ms, backoff_most: 200ms }";

#[test]
fn nothing_acknowledged_is_lost_and_no_host_is_swept_twice_at_once_whoever_is_killed() {
    // Hosts enough that none has more alerts than are kept of an incident.
    let (kills, hosts) = if long() { (500, 32) } else { (20, 8) };
    let fleet = StandIns::new((0..hosts).map(|n| format!("h-{n}"))).sweeping_for(40);
    let (next, acknowledged) = (AtomicU64::new(0), Mutex::new(BTreeSet::new()));
    for kill in 0..kills {
        let responder = fleet.serve(SETTINGS);
        // Between a few and some dozens of acknowledgements, so that the kill finds all kinds of moments.
        let until = acknowledged.lock().unwrap().len() + 5 + usize::try_from(kill * 7 % 60).unwrap();
        under_load(&responder, &next, &acknowledged, hosts, until);
        responder.kill_9();
    }

    let acknowledged = acknowledged.into_inner().unwrap();
    let responder = fleet.serve(SETTINGS);
    wait_for("every host to be swept by the last responder", || {
        let open = responder.rows("incidents");
        open.iter().all(|incident| incident["last_outcome"] == "freed").then_some(())
    });
    responder.stop();

    let stored = fleet.stored();
    let lost: Vec<_> = acknowledged.iter().filter(|number| !stored.contains_key(*number)).collect();
    assert_eq!(lost, [&0; 0], "acknowledged and lost");
    let twice: Vec<_> = stored.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "stored more than once: {twice:?}");
    let (sweeps, busy) = check_hosts(&fleet);
    println!(
        "figure: {kills} × kill -9: {} alerts acknowledged, 0 lost, 0 stored twice; {sweeps} sweeps, never two on a host, {busy} times a host said that one still ran",
        acknowledged.len()
    );
}

/// Sends alerts until so many are acknowledged, from several senders, and leaves them sending.
fn under_load(
    responder: &Responder,
    next: &AtomicU64,
    acknowledged: &Mutex<BTreeSet<u64>>,
    hosts: u64,
    until: usize,
) {
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                let agent: ureq::Agent =
                    ureq::Agent::config_builder().http_status_as_error(false).build().into();
                while !enough.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let (host, tag) = (format!("h-{}", number % hosts), number.to_string());
                    let body = payload(&[alert(LARGE, "firing", &[("host", &host), ("n", &tag)])]);
                    let sent = agent.post(responder.url("/webhook")).send(body);
                    if sent.is_ok_and(|response| response.status() == 200) {
                        acknowledged.lock().unwrap().insert(number);
                    }
                }
            });
        }
        wait_for("acknowledgements", || (acknowledged.lock().unwrap().len() >= until).then_some(()));
        // Killed while they still send: some of them are between the journal and the answer.
        responder.signal("-KILL");
        enough.store(true, Ordering::Relaxed);
    });
}

/// By the hosts' own log: a sweep ends before the next begins, and each attempt swept once at most.
fn check_hosts(fleet: &StandIns) -> (usize, usize) {
    let (mut running, mut seen) = (BTreeMap::new(), BTreeSet::new());
    let (mut sweeps, mut busy) = (0, 0);
    for (host, what, attempt) in fleet.noted() {
        match what.as_str() {
            "begin" => {
                assert_eq!(
                    running.insert(host.clone(), attempt.clone()),
                    None,
                    "two sweeps at once on {host}"
                );
                assert!(seen.insert(attempt.clone()), "attempt {attempt} swept twice");
                sweeps += 1;
            }
            "end" => assert_eq!(running.remove(&host), Some(attempt)),
            "busy" => busy += 1,
            _ => {}
        }
    }
    (sweeps, busy)
}
