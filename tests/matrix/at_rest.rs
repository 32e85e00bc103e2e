//! While no job is alive: leftovers go, and what a process beside Ray holds does not.

use raysweep::domain::evidence::WorkerState;

use crate::{
    round::{Orders, Scenario, run_round, set_up},
    stage::{DIED, ELSEWHERE, HEAD, WORKERS, docker, exists, node_ready, plant, put, sh, wait_for_rest},
    table::Row,
    work::{Program, Work, new_id, start_driver},
    world::{lib, wait_until},
};

const NO_JOB: &[WorkerState] = &[WorkerState::NoJob];
const IN_JOB: &[WorkerState] = &[WorkerState::InJob];
const ACTIVE: &[WorkerState] = &[WorkerState::Active];

// A container for each, because one at work makes all of its container active.
const SIGNS: &str = WORKERS[0];
const MANY: &str = WORKERS[1];
const SESSIONS: &str = WORKERS[2];
const PYTHON: &str = WORKERS[3];
const GPU: &str = WORKERS[4];
const BURN: &str = WORKERS[5];
const HAMMERED: &str = WORKERS[6];
const RESTARTED: &str = WORKERS[7];
const PIP: &str = WORKERS[8];

const MANY_LEFTOVERS: u32 = 20_000;

pub(crate) fn rows() -> Vec<Row> {
    wait_for_rest(&WORKERS);
    let hammer = new_id("hammer");
    let scenarios = set_up(vec![
        Box::new(signs_of_use),
        Box::new(many),
        Box::new(dead_sessions),
        Box::new(|| {
            vec![
                Scenario::new("`docker exec python` asleep, a file by name", PYTHON, ACTIVE)
                    .of(Work::holder(PYTHON, "name", Program::Python)),
            ]
        }),
        Box::new(gpu),
        Box::new(|| {
            vec![
                Scenario::new("no job, an ignored program uses CPU: it counts as active", BURN, ACTIVE)
                    .of(Work::holder(BURN, "burn", Program::Ignored)),
            ]
        }),
        Box::new({
            let hammer = hammer.clone();
            move || hammered(&hammer)
        }),
        Box::new(restarted),
        Box::new(|| {
            vec![Scenario::new("pip installing a source distribution", PIP, ACTIVE).of(Work::pip(PIP))]
        }),
        Box::new(died),
        Box::new(elsewhere),
    ]);
    let orders = Orders { only: None, ray_timeout: "60s" };
    let rows = run_round(scenarios, orders, |sweep| sweep());
    docker(&["exec", HEAD, "touch", &format!("/root/release-{hammer}")]).unwrap();
    ray_still_works();
    rows
}

/// Programs that root's list ignores: only what each of them holds keeps it.
fn signs_of_use() -> Vec<Scenario> {
    let free = [("ray_tmp_*", 60_000_000), ("pip-*", 30_000_000), ("tmp*", 30_000_000)]
        .into_iter()
        .flat_map(|(kind, bytes)| plant(SIGNS, kind, bytes, 2));
    let free: Vec<String> = free.collect();
    let checkpoints = "cd /tmp && mkdir checkpoint_tmp_free checkpoint_tmp_stale && \
        for f in checkpoint_tmp_free checkpoint_tmp_stale; do \
        head -c 10000000 /dev/zero >$f/data; done && \
        sleep 0 & wait $!; touch /tmp/checkpoint_tmp_stale.del_lock_$!";
    sh(SIGNS, checkpoints).unwrap();
    let held =
        |name, kind| Scenario::new(name, SIGNS, NO_JOB).of(Work::holder(SIGNS, kind, Program::Ignored));
    vec![
        Scenario::new("no job, leftovers of the three kinds", SIGNS, NO_JOB).goes(free),
        held("no job, open fd", "fd"),
        held("no job, mapped with the fd closed", "map"),
        held("no job, cwd inside", "cwd"),
        held("no job, unix socket bound inside", "socket"),
        held("no job, flock held", "flock"),
        held("no job, `pymp-*`", "pymp"),
        held("no job, checkpoint with the `.del_lock_<pid>` of a live process", "checkpoint"),
        Scenario::new("no job, checkpoints with a dead process's lock and with none", SIGNS, NO_JOB)
            .goes(["/tmp/checkpoint_tmp_free".to_owned(), "/tmp/checkpoint_tmp_stale".to_owned()]),
    ]
}

fn many() -> Vec<Scenario> {
    let command = format!(
        "cd /tmp && seq -f tmpmany%05.0f {MANY_LEFTOVERS} | xargs mkdir && \
         for d in tmpmany*; do echo leftover >$d/file; done"
    );
    sh(MANY, &command).unwrap();
    vec![Scenario::new("no job, 20,000 small leftovers", MANY, NO_JOB).goes(["/tmp/tmpmany*".to_owned()])]
}

fn dead_sessions() -> Vec<Scenario> {
    let (live, dead) = dead_sessions_on(SESSIONS);
    let leftover = plant(SESSIONS, "tmp*", 20_000_000, 1);
    sh(SESSIONS, "ln -sfn /tmp/ray/session_that_never_was /tmp/ray/session_latest").unwrap();
    vec![
        Scenario::new("dead sessions beside a live one, quiet", SESSIONS, NO_JOB)
            .stays(format!("{live}/sockets/raylet"))
            .stays(format!("{live}/logs/raylet.out"))
            .goes(dead),
        Scenario::new("`session_latest` dangling", SESSIONS, NO_JOB)
            .stays(format!("{live}/sockets/raylet"))
            .goes(leftover),
    ]
}

/// Two dead sessions; gives the live one and what may go of the dead: the newest one's logs stay, and
/// for a day any other's.
pub(crate) fn dead_sessions_on(worker: &'static str) -> (String, Vec<String>) {
    let live = sh(worker, "readlink -f /tmp/ray/session_latest").unwrap();
    let data = (0..2).flat_map(|_| {
        let session = lib(["ray_dead_session", worker, "50000000"]).unwrap();
        ["ray_spilled_objects_*", "runtime_resources", "sockets"]
            .map(|part| format!("/tmp/ray/{session}/{part}"))
    });
    (live, data.collect())
}

fn gpu() -> Vec<Scenario> {
    docker(&["exec", GPU, "mknod", "/dev/nvidia0", "c", "1", "3"]).unwrap();
    let work = Work::holder(GPU, "gpu", Program::Ignored);
    vec![Scenario::new("no job, an ignored program holds a GPU", GPU, ACTIVE).of(work)]
}

/// Ray's own machinery uses the CPU: no work, whatever the figure says.
fn hammered(id: &str) -> Vec<Scenario> {
    put(HEAD, "hammer.py", "/root/hammer.py");
    docker(&["exec", "-d", HEAD, "python3", "/root/hammer.py", HAMMERED, id]).unwrap();
    let busy = "docker stats --no-stream --format '{{.CPUPerc}}' \"$1\" | grep -qE '^([5-9]|[0-9]{2,})'";
    wait_until(90, "the raylet to use over 5 % of a core", || {
        crate::world::run(&["sh", "-c", busy, "sh", HAMMERED], "").is_ok()
    });
    let leftovers = plant(HAMMERED, "ray_tmp_*", 40_000_000, 1);
    vec![
        Scenario::new("no job, CPU over 5 %, all of it Ray's own daemons'", HAMMERED, NO_JOB).goes(leftovers),
    ]
}

fn restarted() -> Vec<Scenario> {
    let leftovers = plant(RESTARTED, "tmp*", 40_000_000, 2);
    docker(&["restart", "-t", "20", RESTARTED]).unwrap();
    wait_until(90, "the raylet to run again", || raylet_runs(RESTARTED));
    node_ready(HEAD, RESTARTED);
    vec![Scenario::new("no job, a restarted container", RESTARTED, NO_JOB).goes(leftovers)]
}

/// Nobody is left who could be asked: leftovers wait for a day, the session's data goes.
fn died() -> Vec<Scenario> {
    let session = sh(DIED, "readlink -f /tmp/ray/session_latest").unwrap();
    let leftover = plant(DIED, "tmp*", 20_000_000, 1).remove(0);
    sh(DIED, &format!("mkdir {session}/ray_spilled_objects_x && head -c 30000000 /dev/zero >{session}/ray_spilled_objects_x/one"))
        .unwrap();
    sh(DIED, "ray stop --force").unwrap();
    wait_until(60, "Ray to be gone", || !raylet_runs(DIED));
    vec![
        Scenario::new("a container whose Ray has died", DIED, IN_JOB)
            .stays(leftover)
            .goes([format!("{session}/ray_spilled_objects_x")]),
    ]
}

fn elsewhere() -> Vec<Scenario> {
    let leftovers = plant(ELSEWHERE, "pip-*", 20_000_000, 1);
    let live = sh(ELSEWHERE, "readlink -f /scratch/ray/session_latest").unwrap();
    let dead = "s=/scratch/ray/session_2026-01-05_12-00-00_000001_7; \
        mkdir -p $s/sockets $s/logs $s/ray_spilled_objects_x && \
        head -c 50000000 /dev/zero >$s/ray_spilled_objects_x/one && \
        printf '%s' $s";
    let dead = sh(ELSEWHERE, dead).unwrap();
    vec![
        Scenario::new("`--temp-dir` elsewhere: leftovers and a dead session", ELSEWHERE, NO_JOB)
            .stays(format!("{live}/sockets/raylet"))
            .goes(leftovers)
            .goes([format!("{dead}/ray_spilled_objects_x")]),
    ]
}

fn raylet_runs(container: &str) -> bool {
    sh(container, "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q 'raylet/[r]aylet '").is_ok()
}

/// After the sweep every worker still runs a task.
fn ray_still_works() {
    let id = start_driver(HEAD, "afterwards", &WORKERS);
    let came_back = lib(["ray_job_result", HEAD, &id, "150"]).unwrap();
    assert_eq!(came_back, WORKERS.join(" "));
    for worker in WORKERS {
        assert!(exists(worker, "/tmp/ray"));
    }
    wait_for_rest(&WORKERS);
}
