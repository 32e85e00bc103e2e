//! Real Ray in Podman: asked which jobs are alive, and a task of its at work.

use raysweep::domain::{
    evidence::WorkerState,
    report::{KeptBecause, Verdict},
};

use crate::{
    podman::{Pod, podman, podman_ready, settings},
    stand_in,
    world::{Failed, lib, repository, run, wait_until},
};

const IMAGE: &str = "ray";
const POD: &str = "ray-trainer";
/// The raylet has a socket, and the GCS answers.
const READY: &str =
    "test -S /tmp/ray/session_latest/sockets/raylet && python3 -c \"from ray._raylet import GcsClient
GcsClient(address='127.0.0.1:6379').get_all_job_info(timeout=5)\"";

#[test]
fn ray_in_podman_is_asked_and_a_task_that_sleeps_keeps_what_it_holds_by_name() {
    podman_ready();
    lib(["podman_import_ray", IMAGE]).unwrap();
    let pod = start();
    wait_until(180, "Ray to answer", || sh(READY).is_ok());
    let [planted] = stand_in::plant([&pod.tmp()]);

    let swept = settings().sweep(POD);

    assert_eq!(swept.worker(POD).state, Some(WorkerState::NoJob), "{}", swept.shown());
    assert_eq!(swept.worker(POD).verdict, Verdict::Cleaned, "{}", swept.shown());
    assert!(!planted.dead.exists() && !planted.leftover.exists(), "{}", swept.shown());

    let held = task();
    let [planted] = stand_in::plant([&pod.tmp()]);
    let swept = settings().sweep(POD);

    assert_eq!(swept.worker(POD).state, Some(WorkerState::Active), "{}", swept.shown());
    assert_eq!(swept.kept(POD, &held).why, KeptBecause::WorkerActive, "{}", swept.shown());
    assert!(!planted.dead.exists() && planted.leftover.exists(), "{}", swept.shown());
    sh("touch /root/release").unwrap();
    wait_until(90, "the task to have read what it held", || {
        sh("grep 'read again: 1000000' /root/log").is_ok()
    });
}

fn start() -> Pod {
    let ray = [
        "ray",
        "start",
        "--block",
        "--head",
        "--port",
        "6379",
        "--node-ip-address",
        "127.0.0.1",
        "--num-cpus",
        "1",
        "--include-dashboard=false",
        "--disable-usage-stats",
        "--object-store-memory",
        "83886080",
    ];
    Pod::of_image(IMAGE, POD, &["--shm-size", "128m"], &ray.map(str::to_owned))
}

/// Starts a job and waits until its task stands still; gives the folder that it holds.
fn task() -> String {
    let driver = std::fs::read_to_string(repository("tests/runtimes/drivers/sleeping_task.py")).unwrap();
    let inside = ["podman_here", "exec", "--interactive", POD, "sh", "-c", "cat >/root/task.py"];
    let quoted: Vec<String> = inside.iter().map(|word| format!("'{word}'")).collect();
    let lib = repository("deploy/demo/lib.sh").display().to_string();
    run(&["bash", "-c", &format!("source \"$1\" && {}", quoted.join(" ")), "bash", &lib], &driver).unwrap();
    podman(&["exec", "--detach", POD, "sh", "-c", "exec python3 /root/task.py >/root/log 2>&1"]);
    wait_until(120, "the task to stand still", || sh("test -e /root/standing").is_ok());
    let file = sh("cat /root/standing").unwrap();
    file.rsplit_once('/').unwrap().0.to_owned()
}

fn sh(command: &str) -> Result<String, Failed> {
    lib(["podman_here", "exec", POD, "sh", "-c", command])
}
