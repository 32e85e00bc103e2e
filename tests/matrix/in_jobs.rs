//! While jobs are alive: what a job may come back for stays, whoever remembers its name.

use raysweep::domain::evidence::WorkerState;

use crate::{
    at_rest::dead_sessions_on,
    round::{Orders, Scenario, run_round, set_up},
    stage::{
        HEAD, HEAD_ELSEWHERE, SHARED, WORKERS, address, docker, plant, sh, titles, wait_for_movers_alone,
        wait_for_rest,
    },
    table::Row,
    work::Work,
    world::wait_until,
};

const NO_JOB: &[WorkerState] = &[WorkerState::NoJob];
const IN_JOB: &[WorkerState] = &[WorkerState::InJob];
const ACTIVE: &[WorkerState] = &[WorkerState::Active];

// A container for each, because one at work makes all of its container active.
const TASK: &str = WORKERS[0];
const STEPS: &str = WORKERS[1];
const NO_POOL: &str = WORKERS[2];
const ORPHAN: &str = WORKERS[3];
const AGENT: &str = WORKERS[4];
const ACTOR: &str = WORKERS[5];
const NAMED: &str = WORKERS[6];
// Alone there: with other jobs on the node its pooled worker was seen to end, and the thread with it.
// We take it that Ray ends idle workers beyond one for each CPU; that was not looked up.
const THREAD: &str = WORKERS[7];
const DRIVER: &str = WORKERS[8];

pub(crate) fn rows() -> Vec<Row> {
    wait_for_rest(&WORKERS);
    // Older than every job of this round: they may go while the jobs are alive.
    let before_steps = plant(STEPS, "ray_tmp_*", 40_000_000, 1);
    let before_no_pool = plant(NO_POOL, "pip-*", 40_000_000, 1);
    crate::round::wait_until_all_older(STEPS, &before_steps);
    crate::round::wait_until_all_older(NO_POOL, &before_no_pool);
    let scenarios = set_up(vec![
        Box::new(|| {
            // `session_latest` of this worker is the live one's: the dead ones come first.
            let (live, dead) = dead_sessions_on(TASK);
            let work = Work::job("task", TASK, &[]);
            vec![
                Scenario::new("a running task that sleeps, a folder by name", TASK, ACTIVE).of(work),
                Scenario::new("dead sessions beside a live one, busy", TASK, ACTIVE)
                    .stays(format!("{live}/sockets/raylet"))
                    .goes(dead),
            ]
        }),
        Box::new(move || {
            let work = Work::job("two_steps", STEPS, &[]);
            wait_until(60, "a pooled worker alone", || titles(STEPS) == ["ray::IDLE"]);
            vec![
                Scenario::new("between two steps, a pooled worker left", STEPS, IN_JOB)
                    .of(work)
                    .goes(before_steps),
            ]
        }),
        Box::new(|| {
            let work = Work::job("thread_left", THREAD, &[]);
            vec![Scenario::new("a thread left running after its task", THREAD, IN_JOB).of(work)]
        }),
        Box::new(|| {
            vec![
                Scenario::new("a task named `IDLE`", NAMED, IN_JOB).of(Work::job("task", NAMED, &["IDLE"])),
                Scenario::new("spilled objects", NAMED, IN_JOB).of(Work::job("spilled", NAMED, &[])),
            ]
        }),
        Box::new(move || {
            let work = Work::job("two_steps", NO_POOL, &["no_pool"]);
            wait_until(60, "the process of step 1 to end", || titles(NO_POOL).is_empty());
            vec![
                Scenario::new("between two steps, no pooled worker left", NO_POOL, IN_JOB)
                    .of(work)
                    .goes(before_no_pool),
            ]
        }),
        Box::new(|| {
            let work = Work::job("orphan", ORPHAN, &[]);
            vec![Scenario::new("an orphaned subprocess of a task", ORPHAN, ACTIVE).of(work)]
        }),
        Box::new(|| {
            let work = Work::job("task", AGENT, &["RuntimeEnvAgent"]);
            vec![Scenario::new("a task named `RuntimeEnvAgent`", AGENT, ACTIVE).of(work)]
        }),
        Box::new(|| {
            vec![
                Scenario::new("an actor alive and idle, state in /tmp", ACTOR, ACTIVE).of(Work::job(
                    "actor",
                    ACTOR,
                    &[],
                )),
                Scenario::new("a runtime_env working_dir in use", ACTOR, ACTIVE).of(Work::job(
                    "working_dir",
                    ACTOR,
                    &[],
                )),
                Scenario::new("an async actor with a call in flight", ACTOR, ACTIVE).of(Work::job(
                    "async_actor",
                    ACTOR,
                    &[],
                )),
                Scenario::new("an async actor whose short call has returned", ACTOR, ACTIVE).of(Work::job(
                    "async_short",
                    ACTOR,
                    &[],
                )),
            ]
        }),
        Box::new(|| {
            let work = Work::driver_in(DRIVER, &format!("{}:6379", address(HEAD)));
            vec![Scenario::new("a driver in the container, no task", DRIVER, ACTIVE).of(work)]
        }),
        Box::new(|| {
            let work = Work::job("task", SHARED, &[]);
            // Of a cluster without jobs. Its state is its own; its temp root is judged by both.
            vec![
                Scenario::new("/tmp shared by two workers, the other one busy", HEAD_ELSEWHERE, NO_JOB)
                    .of(work),
            ]
        }),
    ]);
    let orders = Orders { only: None, ray_timeout: "60s" };
    run_round(scenarios, orders, |sweep| sweep())
}

/// What Ray 2.60 has started to spill and restore objects stays when their job has ended.
pub(crate) fn rows_after_spilling() -> Vec<Row> {
    Work::job("spilled", NAMED, &[]).finish().unwrap();
    println!("left on {NAMED} without a job: {:?}", wait_for_movers_alone(NAMED));
    let name = "no job, objects spilled and restored before";
    let scenario = Scenario::new(name, NAMED, NO_JOB).goes(plant(NAMED, "tmp*", 40_000_000, 1));
    run_round(vec![scenario], Orders { only: Some(NAMED), ray_timeout: "60s" }, |sweep| sweep())
}

/// By itself, because a job or an actor that is alive is so on every worker of its cluster.
pub(crate) fn rows_of_a_detached_actor() -> Vec<Row> {
    wait_for_rest(&[NO_POOL]);
    let name = "no job, a detached actor on another node remembers a folder here";
    let work = Work::detached_actor(NO_POOL);
    wait_for_rest(&[NO_POOL]);
    let orders = Orders { only: Some(NO_POOL), ray_timeout: "60s" };
    run_round(vec![Scenario::new(name, NO_POOL, IN_JOB).of(work)], orders, |sweep| sweep())
}

pub(crate) fn rows_without_a_gcs() -> Vec<Row> {
    let scenarios =
        vec![Scenario::new("the GCS not reachable, between two steps", NO_POOL, IN_JOB).of(Work::job(
            "two_steps",
            NO_POOL,
            &["no_pool"],
        ))];
    wait_until(60, "the process of step 1 to end", || titles(NO_POOL).is_empty());
    let orders = Orders { only: Some(NO_POOL), ray_timeout: "8s" };
    run_round(scenarios, orders, |sweep| {
        docker(&["pause", HEAD]).unwrap();
        let swept = std::panic::catch_unwind(std::panic::AssertUnwindSafe(sweep));
        docker(&["unpause", HEAD]).unwrap();
        swept.unwrap();
        sh(HEAD, "true").unwrap();
    })
}
