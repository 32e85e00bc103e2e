use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::sweeper::{
    jobs::LiveJob,
    processes::fixture::{CONTAINER, host_init, namespaces, process, raylet, snapshot},
};

const WINDOW: Duration = Duration::from_secs(5);
const LOGS: &str = "/tmp/ray/session_2026-01-05_12-00-00_442748_1/logs";
const PACKAGE: &str = "/usr/lib/ray";
const PYTHON: &str = "/usr/bin/python3.11";

fn worker() -> Worker {
    let init = ray_start();
    Worker {
        name: "ray-worker-1".to_owned(),
        runtime: Runtime::Docker,
        container: Some(CONTAINER.to_owned()),
        init: init.id,
        mount_namespace: init.namespaces.mount,
        pid_namespace: init.namespaces.pid,
        cgroup: init.cgroup,
        raylets: vec![],
        temp_roots: vec![],
        upper_layer: None,
        started_at: None,
    }
}

/// What `ray start --block` is: the container's first process and the raylet's parent.
fn ray_start() -> Process {
    process(10, 5, PYTHON, &["/usr/bin/python3", "/usr/local/bin/ray", "start", "--block"])
}

fn python(pid: i32, parent: i32, arguments: &[&str]) -> Process {
    process(pid, parent, PYTHON, arguments)
}

/// Ray's worker process with this title, under the raylet.
fn titled(title: &str) -> Process {
    python(50, 20, &[title])
}

fn script(pid: i32, parent: i32, script: &str) -> Process {
    python(pid, parent, &["/usr/bin/python3", "-u", &format!("{PACKAGE}/{script}"), "--node-ip-address=1"])
}

/// A worker at rest: an entrypoint, a raylet and the daemons that a real one has (Ray 2.40.0).
fn at_rest() -> Vec<Process> {
    vec![
        ray_start(),
        raylet(20, 10),
        script(21, 10, "_private/log_monitor.py"),
        script(22, 20, "dashboard/agent.py"),
        script(23, 20, "_private/runtime_env/agent/main.py"),
    ]
}

fn with(process: Process) -> Vec<Process> {
    let mut processes = at_rest();
    processes.push(process);
    processes
}

fn judged(before: Vec<Process>, after: Vec<Process>) -> Judgement {
    let jobs = Jobs::Known(vec![]);
    judge(&worker(), &snapshot(before), &snapshot(after), WINDOW, &jobs, &Activity::default())
}

/// The state and the kinds of evidence of a worker at rest with one process more, all through the window.
fn beside_rest(process: Process) -> (WorkerState, Vec<EvidenceKind>) {
    let judgement = judged(with(process.clone()), with(process));
    (judgement.state, judgement.evidence.iter().map(|sign| sign.kind).collect())
}

fn assert_rest(process: Process) {
    let title = process.arguments.join(" ");
    assert_eq!(beside_rest(process), (WorkerState::NoJob, vec![EvidenceKind::NoJob]), "{title}");
}

fn assert_active(process: Process, kind: EvidenceKind) {
    let title = process.arguments.join(" ");
    assert_eq!(beside_rest(process), (WorkerState::Active, vec![kind, EvidenceKind::NoJob]), "{title}");
}

#[test]
fn a_worker_without_work_is_at_rest_when_ray_says_so() {
    let judgement = judged(at_rest(), at_rest());
    assert_eq!(judgement.state, WorkerState::NoJob, "{:?}", judgement.evidence);
}

#[test]
fn a_head_has_daemons_of_its_own() {
    let gcs = process(
        30,
        10,
        "/usr/lib/ray/core/src/ray/gcs/gcs_server",
        &["/usr/lib/ray/core/src/ray/gcs/gcs_server"],
    );
    assert_rest(gcs);
    assert_rest(script(31, 10, "autoscaler/_private/monitor.py"));
    assert_rest(script(31, 10, "autoscaler/v2/monitor.py"));
    assert_rest(script(32, 10, "dashboard/dashboard.py"));
}

#[test]
fn a_daemon_is_known_by_its_place_and_not_by_its_script_alone() {
    // Under the entrypoint what belongs under the raylet, and the other way round.
    assert_active(script(60, 10, "dashboard/agent.py"), EvidenceKind::ForeignProcess);
    assert_active(script(60, 20, "_private/log_monitor.py"), EvidenceKind::ForeignProcess);
    // Started by `docker exec`.
    assert_active(script(60, 5, "_private/log_monitor.py"), EvidenceKind::ForeignProcess);
    // Something else that is called like the head's store, and something else of Ray's package.
    let called = process(60, 10, "/home/me/gcs_server", &["/home/me/gcs_server"]);
    assert_active(called, EvidenceKind::ForeignProcess);
    let packaged = process(60, 10, "/usr/bin/rsync", &["/usr/lib/ray/core/src/ray/gcs/gcs_server"]);
    assert_active(packaged, EvidenceKind::ForeignProcess);
    // Another package's script of the same name.
    let other = python(60, 20, &["python3", "/home/me/ray/dashboard/agent.py"]);
    assert_active(other, EvidenceKind::ForeignProcess);
    // The script as an argument of another one.
    let argument = python(60, 20, &["python3", "train.py", "/usr/lib/ray/dashboard/agent.py"]);
    assert_active(argument, EvidenceKind::ForeignProcess);
    // Another program with the script as its argument.
    let editor = process(60, 20, "/usr/bin/vim", &["vim", "/usr/lib/ray/dashboard/agent.py"]);
    assert_active(editor, EvidenceKind::ForeignProcess);
}

#[test]
fn a_task_and_an_actor_are_at_work() {
    for title in ["ray::hold_folder", "ray::Trainer", "ray::Trainer.step", "ray::IDLE_task", "ray::"] {
        assert_active(titled(title), EvidenceKind::RayTask);
    }
}

#[test]
fn a_task_named_like_one_of_rays_agents_is_at_work() {
    let log = format!("{LOGS}/python-core-worker-0a1b_01000000_77.log");
    for name in ["ray::RuntimeEnvAgent", "ray::DashboardAgent"] {
        assert_active(titled(name).with_open(&log), EvidenceKind::RayTask);
        // A task may open the agent's log; it still writes its own.
        let both = titled(name)
            .with_open(&log)
            .with_open(&format!("{LOGS}/dashboard_agent.log"))
            .with_open(&format!("{LOGS}/runtime_env_agent.log"));
        assert_active(both, EvidenceKind::RayTask);
    }
}

#[test]
fn an_agent_with_a_title_is_known_by_its_place_and_its_own_log() {
    let log = format!("{LOGS}/runtime_env_agent.log");
    assert_rest(titled("ray::RuntimeEnvAgent").with_open(&log));
    assert_active(python(50, 10, &["ray::RuntimeEnvAgent"]).with_open(&log), EvidenceKind::RayTask);
    assert_active(
        titled("ray::RuntimeEnvAgent").with_open("/home/me/runtime_env_agent.log"),
        EvidenceKind::RayTask,
    );
}

#[test]
fn a_pooled_worker_and_a_task_named_idle_mean_a_job_whatever_ray_says() {
    for title in ["ray::IDLE", "ray::IDLE_SpillWorker", "ray::IDLE_RestoreWorker"] {
        let (state, kinds) = beside_rest(titled(title));
        assert_eq!(state, WorkerState::InJob, "{title}");
        assert_eq!(kinds, [EvidenceKind::PooledWorker, EvidenceKind::NoJob]);
    }
}

/// What Ray has started to spill and restore objects stays for as long as the node lives (2.60).
#[test]
fn who_spills_and_restores_waits_when_it_is_idle_and_speaks_for_no_job() {
    let output = |process: Process, name: &str| process.with_open(&format!("{LOGS}/{name}-ffff-77.out"));
    for title in ["ray::IDLE_SpillWorker", "ray::IDLE_RestoreWorker"] {
        let idle = output(titled(title), "io_worker");
        assert_rest(idle.clone());
        // Its log alone shows that it runs no tasks, and only where it is Ray's own.
        assert_eq!(beside_rest(output(titled(title), "worker")).0, WorkerState::InJob, "a task of that name");
        assert_eq!(
            beside_rest(output(idle.clone(), "worker")).0,
            WorkerState::InJob,
            "a task that claims it"
        );
        assert_active(output(python(50, 10, &[title]), "io_worker"), EvidenceKind::RayTask);
        let busy = judged(with(idle.clone()), with(idle.clone().with_cpu(500)));
        assert_eq!((busy.state, busy.evidence[0].kind), (WorkerState::Active, EvidenceKind::Cpu));
        let live = judge_with_a_live_job(with(idle));
        assert_eq!(live, WorkerState::InJob);
    }
    assert_eq!(beside_rest(output(titled("ray::IDLE"), "io_worker")).0, WorkerState::InJob);
    for title in [
        "ray::SPILL_SpillWorker",
        "ray::RESTORE_RestoreWorker",
        "ray::DELETE_SpillWorker",
        "ray::DELETE_RestoreWorker",
    ] {
        assert_active(output(titled(title), "io_worker"), EvidenceKind::RayTask);
    }
}

fn judge_with_a_live_job(processes: Vec<Process>) -> WorkerState {
    let job = LiveJob { id: "01".to_owned(), started_at: Timestamp::UNIX_EPOCH, held_by: String::new() };
    let (before, after) = (snapshot(processes.clone()), snapshot(processes));
    judge(&worker(), &before, &after, WINDOW, &Jobs::Known(vec![job]), &Activity::default()).state
}

/// A sweep that was killed leaves it in the worker, where its own alarm ends it.
#[test]
fn a_question_to_ray_that_a_sweep_left_behind_is_at_work_and_says_what_it_is() {
    let script = include_str!("../jobs/ask.py");
    let words = ["/usr/bin/python3", "-B", "-c", script, "10.0.0.80:6379", "10"];
    let detail = |words: &[&str]| {
        let judgement = judged(with(python(60, 5, words)), with(python(60, 5, words)));
        assert_eq!(judgement.state, WorkerState::Active);
        assert_eq!(judgement.evidence[0].kind, EvidenceKind::ForeignProcess);
        judgement.evidence[0].detail.clone()
    };
    let told = detail(&words);
    assert!(
        told.starts_with("python3.11 asks Ray which jobs are alive") && told.contains("within 10 s"),
        "{told}"
    );
    for (at, other) in
        [(0, "python3"), (1, "-u"), (2, "-m"), (3, "import signal, sys"), (4, "x"), (5, "soon")]
    {
        let mut words = words;
        words[at] = other;
        assert!(!detail(&words).contains("asks Ray"), "{other}");
    }
    assert!(!detail(&words[..5]).contains("asks Ray"));
    assert!(!detail(&[&words[..], &["more"]].concat()).contains("asks Ray"));
}

/// Without its arguments the entrypoint, a shell and an ignored program would all be acquitted.
#[test]
fn whoever_has_more_arguments_than_are_read_may_be_anything_and_only_in_its_own_worker() {
    let unread = |process: Process| Process { arguments: vec![], says_too_much: true, ..process };
    for program in [python(60, 20, &[]), process(60, 5, "/usr/bin/sleep", &[])] {
        assert!(beside_rest(unread(program)).1.contains(&EvidenceKind::Unreadable));
    }
    let entrypoint = vec![unread(ray_start()), raylet(20, 10)];
    let judgement = judged(entrypoint.clone(), entrypoint);
    assert_eq!(judgement.state, WorkerState::Active, "{:?}", judgement.evidence);
    let elsewhere = python(60, 1, &[]).in_namespaces(namespaces(2)).in_cgroup("0::/elsewhere\n");
    assert_rest(unread(elsewhere));
}

#[test]
fn what_calls_itself_idle_and_is_no_child_of_the_raylet_is_at_work() {
    assert_active(python(50, 10, &["ray::IDLE"]), EvidenceKind::RayTask);
    assert_active(python(50, 20, &["ray::IDLE", "--really"]), EvidenceKind::RayTask);
}

#[test]
fn a_thread_left_running_in_a_pooled_worker_is_at_work() {
    let judgement = |ticks: u64| {
        judged(with(titled("ray::IDLE").with_cpu(900)), with(titled("ray::IDLE").with_cpu(900 + ticks)))
    };
    // 24 ticks of 10 ms in 5 s are 4.8 %, 25 are 5 %.
    assert_eq!(judgement(24).state, WorkerState::InJob);
    let busy = judgement(25);
    assert_eq!(busy.state, WorkerState::Active);
    assert_eq!(busy.evidence[0].kind, EvidenceKind::Cpu);
    assert_eq!(busy.evidence[0].pid, Some(50));
    assert!(busy.evidence[0].detail.starts_with("5.0 %"), "{}", busy.evidence[0].detail);
}

#[test]
fn many_pooled_workers_that_each_rest_rest_together() {
    let pool = |ticks: u64| {
        (0..14).fold(at_rest(), |mut all, n| {
            all.push(python(100 + n, 20, &["ray::IDLE"]).with_cpu(ticks));
            all
        })
    };
    // 14 times 1.4 % of a core: what an idle node was measured at.
    assert_eq!(judged(pool(0), pool(7)).state, WorkerState::InJob);
}

#[test]
fn a_worker_process_that_is_starting_is_at_work() {
    assert_active(script(50, 20, "_private/workers/default_worker.py"), EvidenceKind::RayTask);
    assert_active(script(50, 20, "_private/workers/setup_worker.py"), EvidenceKind::RayTask);
}

#[test]
fn a_driver_is_at_work_wherever_it_stands() {
    let log = format!("{LOGS}/python-core-driver-01000000ffff_374.log");
    assert_active(python(60, 5, &["python3", "train.py"]).with_open(&log), EvidenceKind::Driver);
    assert_active(titled("ray::IDLE").with_open(&log), EvidenceKind::Driver);
    let rsync = process(60, 5, "/usr/bin/rsync", &["rsync", "x"]).with_open("/root/python-core-driver-1.log");
    assert_active(rsync, EvidenceKind::ForeignProcess);
}

#[test]
fn an_entrypoint_that_is_a_driver_is_at_work() {
    let mut processes = at_rest();
    processes[0] = ray_start().with_open(&format!("{LOGS}/python-core-driver-01000000ffff_374.log"));
    let judgement = judged(processes.clone(), processes);
    assert_eq!(judgement.state, WorkerState::Active);
    assert_eq!(judgement.evidence[0].kind, EvidenceKind::Driver);
}

#[test]
fn the_whole_chain_that_started_the_raylet_is_no_work() {
    let mut processes = at_rest();
    processes[0] = python(12, 11, &["/usr/bin/python3", "/usr/local/bin/ray", "start", "--block"]);
    processes[1] = raylet(20, 12);
    processes[2] = script(21, 12, "_private/log_monitor.py");
    processes.push(process(11, 10, "/usr/bin/bash", &["bash", "-c", "ulimit -n 65536; ray start --block"]));
    processes.push(process(10, 5, "/usr/local/bin/entrypoint", &["/usr/local/bin/entrypoint"]));
    let judgement = judged(processes.clone(), processes);
    assert_eq!(judgement.state, WorkerState::NoJob, "{:?}", judgement.evidence);
}

/// `docker run --init IMAGE bash -c "ray start …; sleep infinity"`: the raylet is an orphan of the shell's.
fn under_an_init_wrapper(wrapper: &str, shell_ticks: u64) -> Vec<Process> {
    let at = |mut process: Process, start_ticks| {
        process.id.start_ticks = start_ticks;
        process
    };
    vec![
        at(process(10, 5, wrapper, &["tini", "--"]), 500),
        at(process(11, 10, "/usr/bin/bash", &["bash", "-c", "ray start; sleep infinity"]), shell_ticks),
        at(process(12, 11, "/usr/bin/sleep", &["sleep", "infinity"]), 1100),
        raylet(20, 10),
        script(21, 10, "_private/log_monitor.py"),
    ]
}

#[test]
fn the_main_program_of_an_init_wrapper_that_left_the_raylet_behind_is_no_work() {
    let state = |processes: Vec<Process>| judged(processes.clone(), processes).state;
    assert_eq!(state(under_an_init_wrapper("/usr/bin/tini", 501)), WorkerState::NoJob);
    // It came after the raylet, so it has not started it.
    assert_eq!(state(under_an_init_wrapper("/usr/bin/tini", 1050)), WorkerState::Active);
    assert_eq!(state(under_an_init_wrapper("/usr/bin/tini", 1000)), WorkerState::Active, "or with it");
    assert_eq!(state(under_an_init_wrapper("/usr/bin/supervisord", 501)), WorkerState::Active);
    // A second child is an orphan of whatever it is.
    let mut orphan = under_an_init_wrapper("/usr/bin/tini", 501);
    orphan.push(process(13, 10, "/usr/bin/bash", &["bash", "-c", "x"]));
    assert_eq!(state(orphan), WorkerState::Active);
}

#[test]
fn without_a_raylet_nothing_is_an_entrypoint() {
    let judgement = judged(vec![ray_start()], vec![ray_start()]);
    assert_eq!(judgement.state, WorkerState::Active);
}

#[test]
fn a_process_that_only_sleeps_is_at_work_if_nobody_knows_it() {
    // `docker exec CONTAINER python`: its parent is the runtime's, outside the container.
    assert_active(
        python(60, 5, &["python3", "-c", "import time; time.sleep(900)"]),
        EvidenceKind::ForeignProcess,
    );
    assert_active(process(60, 5, "/usr/bin/rsync", &["rsync", "-a"]), EvidenceKind::ForeignProcess);
    // What a task has left behind.
    assert_active(python(60, 50, &["python3", "x.py"]), EvidenceKind::ForeignProcess);
}

#[test]
fn what_root_ignores_is_no_work_by_its_program_and_not_by_its_title() {
    assert_rest(process(60, 10, "/usr/bin/sleep", &["sleep", "infinity"]));
    assert_rest(process(60, 10, "/bin/busybox", &["sleep", "infinity"]));
    assert_active(python(60, 10, &["sleep", "infinity"]), EvidenceKind::ForeignProcess);
    assert_active(process(60, 10, "/bin/busybox", &["tar", "-x"]), EvidenceKind::ForeignProcess);
}

#[test]
fn a_shell_waits_only_at_a_terminal_and_with_nothing_to_run() {
    let bash = |arguments: &[&str], stdin: &str| {
        process(60, 5, "/usr/bin/bash", arguments).with_stdin(stdin).in_foreground()
    };
    for arguments in [&["bash"][..], &["-bash"], &["bash", "-il"], &["bash", "--norc"]] {
        for terminal in ["/dev/pts/0", "/dev/console", "/dev/tty"] {
            assert_rest(bash(arguments, terminal));
        }
        // A script is piped into it.
        assert_active(bash(arguments, "pipe:[12345]"), EvidenceKind::ForeignProcess);
    }
    for arguments in [&["bash", "run.sh"][..], &["bash", "-c", "x"], &["bash", "-lc", "x"]] {
        assert_active(bash(arguments, "/dev/pts/0"), EvidenceKind::ForeignProcess);
    }
    let python = python(60, 5, &["bash"]).with_stdin("/dev/pts/0").in_foreground();
    assert_active(python, EvidenceKind::ForeignProcess);
}

/// Somebody's `docker exec -it … bash`.
fn shell(pid: i32, parent: i32) -> Process {
    process(pid, parent, "/usr/bin/bash", &["bash"]).with_stdin("/dev/pts/0")
}

fn sleep(pid: i32, parent: i32) -> Process {
    process(pid, parent, "/usr/bin/sleep", &["sleep", "300"])
}

/// The pids that speak for work beside a worker at rest.
fn at_work(beside: impl IntoIterator<Item = Process>) -> Vec<i32> {
    let processes: Vec<Process> = at_rest().into_iter().chain(beside).collect();
    let judgement = judged(processes.clone(), processes);
    let signs = judgement.evidence.iter().filter(|sign| sign.kind == EvidenceKind::ForeignProcess);
    signs.filter_map(|sign| sign.pid).collect()
}

/// `D=$(mktemp -d); while sleep 300; do ./upload $D; done` holds its folder by nothing but its name.
#[test]
fn a_loop_that_was_typed_into_a_shell_is_at_work_between_its_steps() {
    assert_eq!(at_work([shell(60, 5), sleep(61, 60).in_foreground()]), [60, 61]);
    // With `&`: the shell waits at its prompt, and has a child.
    let behind = [shell(60, 5).in_foreground(), shell(61, 60), sleep(62, 61)];
    assert_eq!(at_work(behind), [60, 61, 62]);
    // The shell that had started it has ended.
    assert_eq!(at_work([shell(61, 10), sleep(62, 61)]), [61, 62]);
    // Behind the prompt, and its step is one of the shell's own.
    assert_eq!(at_work([shell(61, 10)]), [61]);
    assert_eq!(at_work([shell(60, 5).in_foreground()]), [] as [i32; 0]);
}

/// What a shell has started is its child, into whatever namespaces and cgroup it went.
#[test]
fn a_shell_whose_child_is_elsewhere_does_not_wait() {
    let elsewhere = sleep(61, 60).in_namespaces(namespaces(2)).in_cgroup("0::/user.slice\n");
    assert_eq!(at_work([shell(60, 5).in_foreground(), elsewhere]), [60]);
}

/// `docker run -it IMAGE bash`, and Ray started there by hand.
#[test]
fn a_shell_that_has_started_ray_is_no_work_and_what_else_was_typed_there_is() {
    let by_hand = |more: Vec<Process>| {
        let mut processes = at_rest();
        processes[0] = shell(10, 5).in_foreground();
        processes.extend(more);
        judged(processes.clone(), processes)
    };
    assert_eq!(by_hand(vec![]).state, WorkerState::NoJob);
    let looping = by_hand(vec![sleep(61, 10)]);
    assert_eq!((looping.state, looping.evidence[0].pid), (WorkerState::Active, Some(61)));
    // A script of the container's own may wait as it likes, at a terminal too.
    let script = |arguments: &[&str]| {
        let mut processes = at_rest();
        processes[0] = process(10, 5, "/usr/bin/bash", arguments).with_stdin("/dev/pts/0").in_foreground();
        processes.push(sleep(61, 10));
        judged(processes.clone(), processes).state
    };
    assert_eq!(script(&["bash", "-c", "ray start; sleep infinity"]), WorkerState::NoJob);
    assert_eq!(script(&["bash", "/start.sh"]), WorkerState::NoJob);
}

#[test]
fn who_holds_a_gpu_is_at_work_but_for_rays_agents() {
    let mut processes = at_rest();
    processes[0] = ray_start().with_open("/dev/nvidia0");
    assert_eq!(judged(processes.clone(), processes).evidence[0].kind, EvidenceKind::GpuHolder);
    assert_rest(script(24, 20, "dashboard/agent.py").with_open("/dev/nvidia0"));
    assert_active(
        process(60, 10, "/usr/bin/sleep", &["sleep", "1"]).with_open("/dev/nvidia12"),
        EvidenceKind::GpuHolder,
    );
    assert_rest(process(60, 10, "/usr/bin/sleep", &["sleep", "1"]).with_open("/dev/nvidiactl"));
}

#[test]
fn cpu_of_the_acquitted_counts_together_and_with_children_that_came_and_went() {
    let rest = |entrypoint: u64, sleep: u64| {
        let mut processes = at_rest();
        processes[0] = ray_start().with_cpu(entrypoint);
        processes.push(process(60, 10, "/usr/bin/sleep", &["sleep", "1"]).with_children_cpu(sleep));
        processes
    };
    assert_eq!(judged(rest(500, 0), rest(512, 12)).state, WorkerState::NoJob);
    let busy = judged(rest(500, 0), rest(513, 12));
    assert_eq!(busy.state, WorkerState::Active);
    assert_eq!((busy.evidence[0].kind, busy.evidence[0].pid), (EvidenceKind::Cpu, Some(10)));
    // It names who used most, and of two the first.
    assert_eq!(judged(rest(500, 0), rest(512, 13)).evidence[0].pid, Some(60));
    assert_eq!(judged(rest(500, 0), rest(513, 13)).evidence[0].pid, Some(10));
}

#[test]
fn cpu_of_rays_machinery_says_nothing() {
    let mut busy = at_rest();
    busy[1] = raylet(20, 10).with_cpu(400);
    assert_eq!(judged(at_rest(), busy).state, WorkerState::NoJob);
}

#[test]
fn what_comes_and_goes_counts_under_whoever_waits_for_it_and_not_under_rays_machinery() {
    let state = |parent: usize| {
        let mut after = at_rest();
        after[parent] = after[parent].clone().with_children_cpu(400);
        judged(at_rest(), after).state
    };
    assert_eq!(at_rest().len(), 5);
    assert_eq!(state(0), WorkerState::Active, "what the entrypoint has waited for");
    for daemon in 1..5 {
        assert_eq!(state(daemon), WorkerState::NoJob, "{:?}", at_rest()[daemon].arguments);
    }
}

#[test]
fn two_readings_at_once_say_nothing_of_cpu() {
    let jobs = Jobs::Known(vec![]);
    let after = snapshot(with(titled("ray::IDLE").with_cpu(1)));
    let over =
        |window| judge(&worker(), &snapshot(at_rest()), &after, window, &jobs, &Activity::default()).state;
    assert_eq!(over(Duration::ZERO), WorkerState::InJob);
    // One tick of 10 ms.
    assert_eq!(over(Duration::from_millis(99)), WorkerState::InJob);
    assert_eq!(over(Duration::from_millis(100)), WorkerState::Active);
}

#[test]
fn a_task_at_either_end_of_the_window_was_at_work() {
    assert_eq!(judged(with(titled("ray::f")), at_rest()).state, WorkerState::Active);
    assert_eq!(judged(at_rest(), with(titled("ray::f"))).state, WorkerState::Active);
    let ended = judged(with(titled("ray::f")), with(titled("ray::IDLE")));
    assert_eq!(ended.state, WorkerState::Active);
}

#[test]
fn whoever_shares_mounts_pids_or_cgroup_belongs_to_the_worker() {
    let outside =
        |process: Process| process.in_namespaces(namespaces(0)).in_cgroup("2:cpuacct:/user\n0::/user\n");
    let foreign = || python(60, 1, &["python3", "x.py"]);
    assert_rest(outside(foreign()));
    // The runtime's own daemon shares the hierarchy that it does not manage.
    assert_rest(foreign().in_namespaces(namespaces(0)).in_cgroup("0::/system.slice/containerd.service\n"));
    // Podman's conmon watches a container from the host's side, in a cgroup beside it with the same id.
    let watcher = format!("2:cpuacct:/libpod-conmon-{CONTAINER}\n");
    assert_rest(foreign().in_namespaces(namespaces(0)).in_cgroup(&watcher));

    let mut mounts = namespaces(0);
    mounts.mount = namespaces(1).mount;
    let mut pids = namespaces(0);
    pids.pid = namespaces(1).pid;
    let below = format!("2:cpuacct:/docker/{CONTAINER}/inner\n");
    for process in [
        outside(foreign()).in_namespaces(mounts),
        outside(foreign()).in_namespaces(pids),
        outside(foreign()).in_cgroup(&below),
    ] {
        assert_active(process, EvidenceKind::ForeignProcess);
    }
}

#[test]
fn in_the_hosts_pid_namespace_the_hosts_processes_are_not_the_workers() {
    let mut shared = namespaces(1);
    shared.pid = namespaces(0).pid;
    let processes: Vec<_> = at_rest().into_iter().map(|process| process.in_namespaces(shared)).collect();
    let worker = Worker { pid_namespace: shared.pid, ..worker() };
    let sshd = host_init().in_cgroup("0::/system.slice/ssh.service\n");
    let all = snapshot(
        processes.into_iter().chain([Process { id: ProcessId { pid: 99, start_ticks: 1 }, ..sshd }]),
    );
    let judgement = judge(&worker, &all, &all, WINDOW, &Jobs::Known(vec![]), &Activity::default());
    assert_eq!(judgement.state, WorkerState::NoJob, "{:?}", judgement.evidence);
}

#[test]
fn what_cannot_be_read_might_be_anything() {
    let mut after = snapshot(at_rest());
    after.unreadable.push((77, "/proc/77/fd: Permission denied".to_owned()));
    let jobs = Jobs::Known(vec![]);
    for (before, after) in [(snapshot(at_rest()), after.clone()), (after, snapshot(at_rest()))] {
        let judgement = judge(&worker(), &before, &after, WINDOW, &jobs, &Activity::default());
        assert_eq!(judgement.state, WorkerState::Active);
        assert_eq!(judgement.evidence[0].pid, Some(77));
    }
}

#[test]
fn a_bare_host_has_work_of_its_own_that_is_not_rays() {
    let on_host = |process: Process| process.in_namespaces(namespaces(0)).in_cgroup("0::/user.slice\n");
    let worker = Worker {
        runtime: Runtime::Bare,
        container: None,
        mount_namespace: namespaces(0).mount,
        pid_namespace: namespaces(0).pid,
        cgroup: "0::/user.slice\n".to_owned(),
        ..worker()
    };
    let state = |process: Process| {
        let all = snapshot(with(process).into_iter().map(on_host));
        judge(&worker, &all, &all, WINDOW, &Jobs::Known(vec![]), &Activity::default()).state
    };
    assert_eq!(
        state(process(60, 1, "/usr/sbin/sshd", &["sshd"]).with_open("/dev/nvidia0")),
        WorkerState::NoJob
    );
    assert_eq!(state(titled("ray::f")), WorkerState::Active);
    // What is Ray's there and holds a GPU is at work there too.
    assert_eq!(state(titled("ray::IDLE").with_open("/dev/nvidia0")), WorkerState::Active);
}

#[test]
fn what_ray_says_of_jobs_decides_between_no_job_and_in_job() {
    let all = snapshot(at_rest());
    let told = |jobs: Jobs| judge(&worker(), &all, &all, WINDOW, &jobs, &Activity::default());
    let job = LiveJob {
        id: "01000000".into(),
        started_at: Timestamp::UNIX_EPOCH,
        held_by: "driver 10.0.0.84 pid 374".into(),
    };
    let live = told(Jobs::Known(vec![job]));
    assert_eq!(live.state, WorkerState::InJob);
    assert_eq!(live.evidence[0].detail, "job 01000000 since 1970-01-01T00:00:00Z, driver 10.0.0.84 pid 374");
    let unknown = told(Jobs::Unknown("no answer".to_owned()));
    assert_eq!((unknown.state, unknown.evidence[0].kind), (WorkerState::InJob, EvidenceKind::RayUnreachable));
}

#[test]
fn secrets_on_a_command_line_do_not_travel() {
    let process =
        python(60, 5, &["psql", "--password=hunter2", "--api-token", "abc", "sh", "PGPASSWORD=x psql", "-v"]);
    assert_eq!(command(&process), "psql --password= --api-token … sh PGPASSWORD= psql -v");
    assert_eq!(command(&titled("ray::train")), "ray::train");
    let plain = python(60, 5, &["train.py", "--lr=0.1", "--token=", "s3://bucket"]);
    assert_eq!(command(&plain), "train.py --lr=0.1 --token= …");
}

#[test]
fn many_signs_are_listed_in_part_and_a_title_moves_no_terminal() {
    let crowd = (0..30).fold(at_rest(), |mut all, n| {
        all.push(python(200 + n, 5, &["\u{1b}[2J", &"x".repeat(500)]));
        all
    });
    let judgement = judged(crowd.clone(), crowd);
    assert_eq!(judgement.evidence.len(), LISTED + 2);
    assert!(judgement.evidence.iter().any(|sign| sign.detail == "and 10 more"));
    assert!(judgement.evidence.iter().all(|sign| sign.detail.len() < 300 && !sign.detail.contains('\u{1b}')));
}
