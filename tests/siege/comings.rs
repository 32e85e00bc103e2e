//! Containers that stop, restart and go while they are swept, and a pid that means another process.

use std::{
    fs,
    process::{Child, Command},
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use raysweep::domain::report::Verdict;

use crate::{
    proxy::Proxy,
    stage::{Outside, SESSION, Worker, docker, figure, is_long, mounts, ready, settings},
    sweeping::{Settings, Swept},
    world::{run, wait_until},
};

/// Sweeps until something has been done to a container so often, over and over; says how many sweeps
/// there were and how many noticed.
fn sweeps_while(worker: &Worker, least: u64, act: impl Fn(&Worker) + Sync) -> (u64, u64) {
    let (done, acts) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut sweeps, mut disturbed) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                act(worker);
                acts.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut failed = None;
        while acts.load(Ordering::Relaxed) < least && failed.is_none() {
            match Swept::finish(settings().start(&["--trigger", "alert", "--worker", &worker.name])) {
                Ok(swept) => disturbed += u64::from(!said_nothing_was_wrong(&swept)),
                Err(error) => failed = Some(error),
            }
            sweeps += 1;
        }
        // Else the scope would wait for ever, and not tell of the failure.
        done.store(true, Ordering::Relaxed);
        assert!(failed.is_none(), "a sweep without a report: {failed:?}");
    });
    (sweeps, disturbed)
}

fn said_nothing_was_wrong(swept: &Swept) -> bool {
    swept.report.reason.is_none()
        && swept
            .report
            .workers
            .iter()
            .all(|worker| worker.errors.is_empty() && worker.verdict != Verdict::Failed)
}

/// What happens to a container.
type Act = fn(&Worker);

/// A session with a tree, each time that the container comes up: so that there is something to meet.
const TREES: &str = "for i in 1 2 3; do d=/tmp/ray/session_2020-01-01_00-00-00_000000_1/$i; mkdir -p $d; \
                     seq -f $d/f%g 2000 | xargs touch; done 2>/dev/null; true";

#[test]
fn a_container_that_stops_restarts_or_goes_in_mid_sweep_costs_the_host_nothing() {
    ready();
    let outside = Outside::new("comings");
    let volume = format!("{}:/victims", outside.victims.display());
    let before = (outside.sum(), mounts());
    let (least, mut all_disturbed) = (if is_long() { 60 } else { 6 }, 0);
    let acts: [(&str, Act); 3] = [
        ("restarts", |worker| drop(docker(&["restart", "-t", "0", &worker.name]))),
        ("stops and starts", |worker| {
            drop(docker(&["stop", "-t", "0", &worker.name]));
            drop(docker(&["start", &worker.name]));
        }),
        ("kills", |worker| {
            drop(docker(&["kill", &worker.name]));
            drop(docker(&["start", &worker.name]));
        }),
    ];
    for (what, act) in acts {
        let worker = Worker::start("comings", &["-v", &volume]);
        let (sweeps, disturbed) = sweeps_while(&worker, least, |worker| {
            // It may not run at this moment.
            drop(worker.sh(TREES));
            act(worker);
        });
        figure(&format!(
            "container {what} in mid-sweep: {least} times, {sweeps} sweeps, {disturbed} said so"
        ));
        all_disturbed += disturbed;
        assert_eq!(outside.sum(), before.0, "{what}");
        drop(worker);
        wait_until(60, "the container's mounts to go", || mounts() == before.1);
    }
    assert!(all_disturbed > 0, "no sweep noticed: none was met");
}

#[test]
fn a_container_that_is_removed_in_mid_sweep_costs_the_host_nothing() {
    ready();
    let outside = Outside::new("removed");
    let volume = format!("{}:/victims", outside.victims.display());
    let before = (outside.sum(), mounts());
    let rounds = if is_long() { 30 } else { 5 };
    let (mut disturbed, mut twice) = (0, 0);
    for round in 0..rounds {
        let worker = Worker::start("removed", &["-v", &volume]);
        worker.sh(TREES).unwrap();
        worker.wait_until_old(SESSION);
        let begun = settings().start(&["--trigger", "alert", "--worker", &worker.name]);
        // At another moment of the sweep each time.
        let moment = Instant::now() + Duration::from_millis(60 * (round % 15));
        wait_until(10, "the moment", || Instant::now() >= moment);
        // A rename of the child's last moments may come between; then the next call does it.
        if docker(&["rm", "-f", &worker.name]).is_err() {
            twice += 1;
            docker(&["rm", "-f", &worker.name]).unwrap();
        }
        drop(worker);
        disturbed += u64::from(!said_nothing_was_wrong(&Swept::finish(begun).unwrap()));
    }
    figure(&format!(
        "container removed in mid-sweep: {rounds} times, {twice} of them by a second call, {disturbed} sweeps said so"
    ));
    assert_eq!(outside.sum(), before.0);
    wait_until(60, "the containers' mounts to go", || mounts() == before.1);
}

/// The host's own `/tmp` for the length of a test: should the rule be out, it is this one that is swept.
struct OwnTmp;

impl OwnTmp {
    fn mount() -> Self {
        run(&["mount", "-t", "tmpfs", "siege", "/tmp"], "").unwrap();
        Self
    }
}

impl Drop for OwnTmp {
    fn drop(&mut self) {
        let _ = run(&["umount", "/tmp"], "");
    }
}

/// All processes have been read, and the runtime's answer that names the first of them is held back until
/// the container has gone and its pid is another process's: one for whom `/tmp` is the host's own.
#[test]
fn a_pid_that_has_come_to_mean_another_process_is_not_entered() {
    let worker = Worker::start("pid", &[]);
    worker.sh(TREES).unwrap();
    worker.wait_until_old(SESSION);
    let own_tmp = OwnTmp::mount();
    let precious = format!("{SESSION}/precious");
    fs::create_dir_all(&precious).unwrap();
    let young = format!("find {SESSION} -newermt '-3 seconds' -print -quit");
    wait_until(60, "the host's to be old", || run(&["sh", "-c", &young], "").unwrap().is_empty());
    let (name, pid) = (worker.name.clone(), worker.pid());
    let (sender, other) = mpsc::channel();
    let answered = move |answer: &str| {
        if answer.contains(&format!("\"Pid\":{pid},")) {
            docker(&["kill", &name]).unwrap();
            wait_until(10, "its first process to end", || !fs::exists(format!("/proc/{pid}")).unwrap());
            sender.send(process_with_pid(pid)).unwrap();
        }
    };
    let proxy = Proxy::start("held-back", |_| true, answered);

    let swept = Settings { socket: proxy.socket, ..settings() }.sweep(&worker.name);

    let mut other = other.try_recv().expect("the pid was not taken: the test shows nothing");
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(fs::exists(&precious).unwrap(), "{}", swept.shown());
    let errors = swept.worker(&worker.name).errors.join("; ");
    assert!(errors.contains("is another process now"), "{}", swept.shown());
    assert_eq!(swept.report.freed_bytes, 0, "{}", swept.shown());
    drop(own_tmp);
}

/// A process of the host's own under a number that we choose: the world has a pid namespace to itself.
fn process_with_pid(pid: i32) -> Child {
    for _ in 0..1000 {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        if child.id() == u32::try_from(pid).unwrap() {
            return child;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    panic!("no process got the number {pid}");
}
