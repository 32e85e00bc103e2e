//! A job that is alive protects what its last step left, though nothing here is at work.

use raysweep::domain::{
    attempt::Outcome,
    evidence::{EvidenceKind, WorkerState},
    report::KeptBecause,
};

use crate::{
    ray::{Job, titles},
    stage::{HEAD, PLAIN, at_rest, docker, exists, plant, wait_until_older},
    sweeping::Settings,
    world::wait_until,
};

#[test]
fn between_two_steps_of_a_job_the_first_ones_file_stays_and_the_second_reads_it() {
    at_rest();
    let older = plant(PLAIN, "pip-*", 30_000_000, 1);
    // Older than the job by more than the margin of one second.
    wait_until_older(PLAIN, &[&older[0]], 3);
    let (job, folder) = Job::standing_still("two_steps.py", PLAIN);
    wait_until_older(PLAIN, &[&folder], 3);
    wait_until(30, "the first step to end", || titles(PLAIN).iter().all(|title| title == "ray::IDLE"));

    let swept = Settings::default().sweep(PLAIN);
    let stood = exists(PLAIN, &folder);
    let id = job.id.clone();
    let returned = job.result();

    // What it is all about comes first; what follows says why.
    assert_eq!(returned.unwrap(), format!("left by step 1 of {id}"), "{}", swept.shown());
    assert!(stood, "{folder} is gone: {}", swept.shown());
    let worker = swept.worker(PLAIN);
    assert_eq!(worker.state, Some(WorkerState::InJob), "{}", swept.shown());
    let live = worker.evidence.iter().find(|sign| sign.kind == EvidenceKind::LiveJob);
    assert!(live.is_some(), "{}", swept.shown());
    assert_eq!(swept.kept(PLAIN, &folder).why, KeptBecause::JobAlive, "{}", swept.shown());
    swept.removed(PLAIN, &older[0]);
    assert!(!exists(PLAIN, &older[0]), "what is older than every live job stays: {}", swept.shown());
}

#[test]
fn what_an_ended_job_left_goes_once_ray_says_that_it_is_dead() {
    at_rest();
    let (job, folder) = Job::standing_still("two_steps.py", PLAIN);
    job.result().unwrap();
    assert!(exists(PLAIN, &folder), "the job itself took {folder} away");
    crate::ray::wait_for_rest(&[PLAIN]);
    wait_until_older(PLAIN, &[&folder], 3);

    let swept = Settings::default().sweep(PLAIN);

    assert_eq!(swept.worker(PLAIN).state, Some(WorkerState::NoJob), "{}", swept.shown());
    swept.removed(PLAIN, &folder);
    assert!(!exists(PLAIN, &folder), "{}", swept.shown());
}

#[test]
fn while_ray_cannot_be_asked_a_job_may_be_alive_and_leftovers_stay() {
    at_rest();
    let leftovers = plant(PLAIN, "tmp*", 30_000_000, 1);
    wait_until_older(PLAIN, &[&leftovers[0]], 3);

    docker(&["pause", HEAD]).unwrap();
    let child = Settings::default().start(&["--trigger", "alert", "--worker", PLAIN]);
    let output = crate::sweeping::Swept::finish(child);
    // First of all: the other tests need it.
    docker(&["unpause", HEAD]).unwrap();

    let swept = output.unwrap();
    let worker = swept.worker(PLAIN);
    assert_eq!(worker.state, Some(WorkerState::InJob), "{}", swept.shown());
    let unreachable = worker.evidence.iter().find(|sign| sign.kind == EvidenceKind::RayUnreachable);
    assert!(unreachable.is_some(), "{}", swept.shown());
    assert_eq!(swept.kept(PLAIN, &leftovers[0]).why, KeptBecause::JobAlive, "{}", swept.shown());
    assert_eq!(swept.report.outcome, Outcome::Active, "{}", swept.shown());
    assert!(exists(PLAIN, &leftovers[0]), "{}", swept.shown());
}
