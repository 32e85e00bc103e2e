//! Sessions of a Ray that has ended beside the one that lives.

use raysweep::domain::{
    evidence::WorkerState,
    report::{Class, KeptBecause, Verdict},
};

use crate::{
    ray::Job,
    stage::{MOUNTED, at_rest, disk_usage, exists, sh, wait_until_older},
    sweeping::Settings,
    world::lib,
};

#[test]
fn the_data_of_dead_sessions_goes_even_while_the_worker_is_at_work() {
    at_rest();
    let bytes = 100_000_000;
    let older = lib(["ray_dead_session", MOUNTED, &bytes.to_string()]).unwrap();
    let newest = lib(["ray_dead_session", MOUNTED, &bytes.to_string()]).unwrap();
    let live = live_session();
    assert!(older != newest && live != newest && live != older);
    let (job, folder) = Job::sleeping(MOUNTED);
    let path = |session: &str, part: &str| format!("/tmp/ray/{session}{part}");
    wait_until_older(MOUNTED, &[&path(&older, ""), &path(&newest, "")], 3);
    let before = contents(&live);
    let spilled = disk_usage(MOUNTED, &path(&older, "")) + disk_usage(MOUNTED, &path(&newest, ""));

    let swept = Settings { logs: "2s", ..Settings::default() }.sweep(MOUNTED);

    let worker = swept.worker(MOUNTED);
    assert_eq!(worker.state, Some(WorkerState::Active), "{}", swept.shown());
    assert_eq!(worker.verdict, Verdict::Cleaned, "{}", swept.shown());
    assert!(worker.freed_bytes >= 2 * bytes && worker.freed_bytes <= spilled, "{}", swept.shown());
    assert!(!exists(MOUNTED, &path(&older, "")), "{}", swept.shown());
    assert_eq!(sh(MOUNTED, &format!("ls -A {}", path(&newest, ""))).unwrap(), "logs", "{}", swept.shown());
    let logs = swept.kept(MOUNTED, &path(&newest, "/logs"));
    assert_eq!((logs.class, logs.why), (Class::DeadSessionLogs, KeptBecause::NewestDeadSession));
    assert!(exists(MOUNTED, &path(&newest, "/logs/gcs_server.out")), "{}", swept.shown());
    assert!(exists(MOUNTED, &folder), "{}", swept.shown());

    let missing: Vec<_> = before.difference(&contents(&live)).cloned().collect();
    let foreign: Vec<_> = missing.iter().filter(|name| !name.starts_with("logs/")).collect();
    assert!(foreign.is_empty(), "gone from the live session: {foreign:?}: {}", swept.shown());
    let id = job.id.clone();
    assert_eq!(job.result().unwrap(), format!("state of {id}"));
    let (next, _) = Job::sleeping(MOUNTED);
    let id = next.id.clone();
    assert_eq!(next.result().unwrap(), format!("state of {id}"), "Ray runs no task any more");
}

fn live_session() -> String {
    let target = sh(MOUNTED, "readlink -f /tmp/ray/session_latest").unwrap();
    target.rsplit('/').next().unwrap().to_owned()
}

/// Everything in a session, by name.
fn contents(session: &str) -> std::collections::BTreeSet<String> {
    let listed =
        sh(MOUNTED, &format!("cd /tmp/ray/{session} && find . -mindepth 1 -printf '%P\\n'")).unwrap();
    listed.lines().map(str::to_owned).collect()
}
