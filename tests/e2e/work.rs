//! Work in progress is told from rest by what is at work, never by how much CPU it takes.

use raysweep::domain::{
    attempt::Outcome,
    evidence::{EvidenceKind, WorkerState},
    report::{KeptBecause, Verdict, WorkerReport},
};

use crate::{
    ray::{Job, pid_of, python, titles},
    stage::{PLAIN, at_rest, docker, exists, plant, ready, sh, wait_until_older},
    sweeping::Settings,
    world::wait_for,
};

/// The bug of the old system, which took a low CPU for rest.
#[test]
fn a_sleeping_task_that_holds_a_folder_by_its_name_alone_is_at_work_and_loses_nothing() {
    at_rest();
    let leftovers = plant(PLAIN, "ray_tmp_*", 50_000_000, 1);
    let (job, folder) = Job::sleeping(PLAIN);
    wait_until_older(PLAIN, &[&folder, &leftovers[0]], 3);
    let task = pid_of(PLAIN, "ray::hold_folder");
    println!("the old rule, of the same moment: {}", what_the_old_rule_says(PLAIN, &folder));

    let swept = Settings::default().sweep(PLAIN);
    let id = job.id.clone();
    let returned = job.result();

    // What it is all about comes first; what follows says why.
    assert_eq!(returned.unwrap(), format!("state of {id}"), "{}", swept.shown());
    let worker = swept.worker(PLAIN);
    assert_eq!(worker.state, Some(WorkerState::Active), "{}", swept.shown());
    assert_eq!(worker.verdict, Verdict::Active, "{}", swept.shown());
    assert_eq!(swept.report.outcome, Outcome::Active);
    assert_eq!(swept.exit, Some(0));
    let sign = sign(worker, EvidenceKind::RayTask).unwrap_or_else(|| panic!("{}", swept.shown()));
    assert_eq!(sign.pid, Some(task), "{}", swept.shown());
    assert!(sign.detail.contains("hold_folder"), "{}", swept.shown());
    for path in [&folder, &leftovers[0]] {
        assert_eq!(swept.kept(PLAIN, path).why, KeptBecause::WorkerActive, "{}", swept.shown());
        assert!(exists(PLAIN, path), "{path} is gone: {}", swept.shown());
    }
}

#[test]
fn a_program_that_somebody_runs_in_the_container_is_at_work() {
    at_rest();
    let program = "import pathlib, tempfile, time\n\
        folder = pathlib.Path(tempfile.mkdtemp())\n\
        (folder / 'by-hand').write_text('kept by its name')\n\
        pathlib.Path('/root/by-hand').write_text(str(folder))\n\
        while not pathlib.Path('/root/release-by-hand').exists(): time.sleep(0.2)\n\
        print((folder / 'by-hand').read_text())";
    sh(PLAIN, "rm -f /root/by-hand /root/release-by-hand").unwrap();
    let running = std::thread::spawn(move || python(PLAIN, program));
    let folder = wait_for(20, "the program to write its file", || {
        sh(PLAIN, "cat /root/by-hand").ok().filter(|path| !path.is_empty())
    });
    let pid = pid_of(PLAIN, "python3 -");
    wait_until_older(PLAIN, &[&folder], 3);

    let swept = Settings::default().sweep(PLAIN);
    let stood = exists(PLAIN, &folder);
    docker(&["exec", PLAIN, "touch", "/root/release-by-hand"]).unwrap();

    let worker = swept.worker(PLAIN);
    assert_eq!(worker.state, Some(WorkerState::Active), "{}", swept.shown());
    let sign = sign(worker, EvidenceKind::ForeignProcess).unwrap_or_else(|| panic!("{}", swept.shown()));
    assert_eq!(sign.pid, Some(pid), "{}", swept.shown());
    assert_eq!(swept.kept(PLAIN, &folder).why, KeptBecause::WorkerActive, "{}", swept.shown());
    assert!(stood, "{folder} is gone: {}", swept.shown());
    assert_eq!(running.join().unwrap().unwrap(), "kept by its name");
}

/// A title belongs to the user: this one is exactly that of a pooled worker.
#[test]
fn a_task_named_idle_keeps_its_folder_because_its_job_is_alive() {
    at_rest();
    let (job, folder) = Job::sleeping_as("IDLE", PLAIN);
    wait_until_older(PLAIN, &[&folder], 3);
    assert_eq!(titles(PLAIN), ["ray::IDLE"]);

    let swept = Settings::default().sweep(PLAIN);

    let state = swept.worker(PLAIN).state;
    assert!(state >= Some(WorkerState::InJob), "{}", swept.shown());
    let why = swept.kept(PLAIN, &folder).why;
    let kept_for_it = matches!(why, KeptBecause::JobAlive | KeptBecause::WorkerActive);
    assert!(kept_for_it, "{}", swept.shown());
    assert!(exists(PLAIN, &folder), "{folder} is gone: {}", swept.shown());
    let id = job.id.clone();
    assert_eq!(job.result().unwrap(), format!("state of {id}"));
}

#[test]
fn a_task_named_like_a_daemon_of_ray_is_at_work() {
    at_rest();
    let (job, folder) = Job::sleeping_as("RuntimeEnvAgent", PLAIN);
    wait_until_older(PLAIN, &[&folder], 3);
    let task = pid_of(PLAIN, "ray::RuntimeEnvAgent");

    let swept = Settings::default().sweep(PLAIN);

    let worker = swept.worker(PLAIN);
    assert_eq!(worker.state, Some(WorkerState::Active), "{}", swept.shown());
    let sign = sign(worker, EvidenceKind::RayTask).unwrap_or_else(|| panic!("{}", swept.shown()));
    assert_eq!(sign.pid, Some(task), "{}", swept.shown());
    assert_eq!(swept.kept(PLAIN, &folder).why, KeptBecause::WorkerActive, "{}", swept.shown());
    let id = job.id.clone();
    assert_eq!(job.result().unwrap(), format!("state of {id}"));
}

#[test]
fn a_worker_with_nothing_to_do_is_at_rest_by_rays_own_word() {
    at_rest();
    let swept = Settings::default().sweep(PLAIN);
    let worker = swept.worker(PLAIN);
    assert_eq!(worker.state, Some(WorkerState::NoJob), "{}", swept.shown());
    assert!(sign(worker, EvidenceKind::NoJob).is_some(), "{}", swept.shown());
    assert_eq!(swept.report.outcome, Outcome::NothingToFree, "{}", swept.shown());
}

#[test]
fn the_head_is_a_worker_too_because_a_raylet_runs_in_it() {
    ready();
    let swept = Settings::default().sweep_with(&["--dry-run", "--trigger", "alert"]);
    assert!(swept.worker(crate::stage::HEAD).state.is_some(), "{}", swept.shown());
    let neighbour = swept.report.workers.iter().find(|worker| worker.name == crate::stage::NEIGHBOUR);
    assert!(neighbour.is_none(), "{}", swept.shown());
}

fn sign(worker: &WorkerReport, kind: EvidenceKind) -> Option<&raysweep::domain::evidence::Evidence> {
    worker.evidence.iter().find(|sign| sign.kind == kind)
}

/// CPU below 5 % by `docker stats`, then `rm -rf` of three globs. Said for the record: how much CPU a
/// sleeping task takes depends on the machine.
fn what_the_old_rule_says(worker: &str, folder: &str) -> String {
    let cpu = docker(&["stats", "--no-stream", "--format", "{{.CPUPerc}}", worker]).unwrap();
    let globs = sh(worker, "ls -d /tmp/ray_tmp_* /tmp/pip-* /tmp/tmp* 2>/dev/null || true").unwrap();
    let idle = cpu.trim_end_matches('%').parse::<f64>().is_ok_and(|percent| percent < 5.0);
    let takes_it = globs.lines().any(|path| path == folder);
    match (idle, takes_it) {
        (true, true) => format!("{cpu} CPU is idle: it deletes the folder that the task holds"),
        (true, false) => format!("{cpu} CPU is idle; its globs do not match the folder"),
        (false, _) => format!("{cpu} CPU is active: it skips the worker"),
    }
}
