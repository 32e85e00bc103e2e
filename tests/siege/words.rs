//! What processes of a container say of themselves: too much, too slowly, and from too deep a place.

use raysweep::domain::{
    evidence::{EvidenceKind, WorkerState},
    report::Verdict,
};

use crate::{
    claims::claim,
    stage::{SESSION, Worker, docker, settings},
    sweeping::{Settings, Swept},
    world::wait_until,
};

/// Puts a program into it that is asked in place of a Python with Ray.
fn answers(worker: &Worker, script: &str) {
    worker.sh(&format!("printf '#!/bin/sh\n%s\n' '{script}' >/opt/python3; chmod 755 /opt/python3")).unwrap();
}

/// What Ray was said to have said.
fn told(swept: &Swept, worker: &Worker) -> String {
    let signs = &swept.worker(&worker.name).evidence;
    let sign = signs.iter().find(|sign| sign.kind == EvidenceKind::RayUnreachable);
    sign.unwrap_or_else(|| panic!("it was heard: {}", swept.shown())).detail.clone()
}

const PYTHON: &str = "--python_worker_command=/opt/python3 x.py";

/// Each of the leftovers that stay says why.
#[test]
fn what_a_container_complains_of_is_told_in_bounded_length() {
    let worker = Worker::start("complains", &[]);
    worker.sh("cd /tmp && seq -f tmpc%g 120 | xargs mkdir").unwrap();
    answers(&worker, "head -c 4000000 /dev/zero | tr \"\\\\0\" x >&2; exit 1");
    claim(&worker, &[], "/tmp/ray", &[PYTHON, "--gcs-address=10.0.0.1:6379"]);

    let swept = Settings { in_job: "1h", ..settings() }.sweep(&worker.name);

    assert!(told(&swept, &worker).contains("exit code 1: xxxxx"), "{}", told(&swept, &worker));
    assert_eq!(swept.worker(&worker.name).kept.len(), 100);
    let length = serde_json::to_vec(&swept.report).unwrap().len();
    assert!(length < 1 << 20, "a report of {length} bytes");
}

/// Each answers in its time, and all of them together would take the time of every other worker.
#[test]
fn a_container_is_asked_for_so_long_and_no_longer() {
    let worker = Worker::start("slow", &[]);
    answers(&worker, "sleep 6; echo raysweep-live-jobs []");
    for cluster in 1..=3 {
        claim(&worker, &[], "/tmp/ray", &[PYTHON, &format!("--gcs-address=10.0.0.{cluster}:6379")]);
    }

    let swept = settings().sweep(&worker.name);

    assert!(told(&swept, &worker).contains("could be asked in time"), "{}", told(&swept, &worker));
    assert_eq!(swept.worker(&worker.name).state, Some(WorkerState::InJob), "{}", swept.shown());
}

/// Any user of any container may go to such a place, and an honest build may.
#[test]
fn a_process_in_too_deep_a_place_keeps_what_is_its_own_workers_and_nobody_elses() {
    let [deep, beside] = ["deep", "beside"].map(|name| Worker::start(name, &[]));
    for worker in [&deep, &beside] {
        worker.sh(&format!("mkdir -p {SESSION}/data; echo x >{SESSION}/data/f")).unwrap();
    }
    let program = "import os, time\n\
                   for _ in range(20):\n \
                   os.mkdir('d' * 240)\n \
                   os.chdir('d' * 240)\n\
                   open('/var/tmp/there', 'w').close()\n\
                   time.sleep(7200)";
    docker(&["exec", "-d", "-u", "1000", "-w", "/var/tmp", &deep.name, "python3", "-c", program]).unwrap();
    wait_until(30, "it to stand there", || deep.has("/var/tmp/there"));
    for worker in [&deep, &beside] {
        worker.wait_until_old("/tmp/ray");
    }

    let swept = settings().sweep_with(&["--trigger", "alert"]);

    is_freed(&beside, &swept);
    let errors = &swept.worker(&deep.name).errors;
    assert!(errors.iter().any(|error| error.contains("path is too long to be read")), "{}", swept.shown());
    assert!(deep.has(&format!("{SESSION}/data/f")), "{}", swept.shown());
}

/// The other worker, which has nothing to do with it, loses its dead session.
fn is_freed(beside: &Worker, swept: &Swept) {
    let report = swept.worker(&beside.name);
    assert_eq!(
        (report.state, report.verdict),
        (Some(WorkerState::InJob), Verdict::Cleaned),
        "{}",
        swept.shown()
    );
    assert!(!beside.has(&format!("{SESSION}/data")), "{}", swept.shown());
}

/// It costs its owner nothing, and is more than root may hold of all processes together.
#[test]
fn a_process_with_endless_arguments_keeps_what_is_its_own_workers_and_nobody_elses() {
    let [endless, beside] = ["endless", "besides"].map(|name| Worker::start(name, &[]));
    for worker in [&endless, &beside] {
        worker.sh(&format!("mkdir -p {SESSION}/data; echo x >{SESSION}/data/f")).unwrap();
    }
    endless.put("endless.py");
    endless.sh("cp /root/endless.py /var/tmp").unwrap();
    docker(&["exec", "-d", "-u", "1000", &endless.name, "python3", "/var/tmp/endless.py"]).unwrap();
    wait_until(30, "it to have them", || endless.has("/var/tmp/endless"));
    for worker in [&endless, &beside] {
        worker.wait_until_old("/tmp/ray");
    }

    let swept = settings().sweep_with(&["--trigger", "alert"]);

    is_freed(&beside, &swept);
    let report = swept.worker(&endless.name);
    assert_eq!(report.state, Some(WorkerState::Active), "{}", swept.shown());
    assert!(report.evidence.iter().any(|sign| sign.kind == EvidenceKind::Unreadable), "{}", swept.shown());
    assert!(report.errors.iter().any(|error| error.contains("more than is read")), "{}", swept.shown());
    assert!(endless.has(&format!("{SESSION}/data/f")), "{}", swept.shown());
}
