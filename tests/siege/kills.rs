//! kill -9 at random moments, a child that is stopped, and a runtime that goes deaf in mid-sweep.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use raysweep::domain::{attempt::Outcome, report::Verdict};

use crate::{
    proxy::Proxy,
    stage::{self, SESSION, Worker, docker, figure, is_long, settings},
    sweeping::{INSIDE, KINDS, Settings, Swept, nothing_runs, processes},
    world::{run, wait_until},
};

/// A container's `/tmp`, seen from the host; for looking only.
fn temp_root(worker: &Worker) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root/tmp", worker.pid()))
}

/// What a sweep has detached directly under a temp root and in the dead session.
fn off_their_names(root: &Path) -> Vec<String> {
    let session = root.join(SESSION.trim_start_matches("/tmp/"));
    let folders = [root, &session].map(|folder| fs::read_dir(folder).unwrap());
    let names = folders.into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".raysweep-")).collect()
}

/// Between two looks at what does not take long: not so long that it would be missed, and not so short
/// that a sweep, which gives way to everybody, would never get to it.
fn closely() {
    thread::sleep(Duration::from_millis(1));
}

/// Numbers that come in no order, and in the same one each time (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// What a process has open and is read again after every kill.
const HELD: &str = "/tmp/tmp-held";

/// What may go: leftovers, and a dead session's data.
fn plant(worker: &Worker, round: u64) {
    let (tmp, ray_tmp) = (format!("/tmp/tmp-{round}-a"), format!("/tmp/ray_tmp_{round}"));
    worker.player(&["small", &tmp, &ray_tmp, &format!("{SESSION}/{round}-data")]);
}

/// What is not whole under its own name, though no sweep had begun to delete it.
const TORN: &str = "for d in /tmp/tmp-*-a /tmp/ray_tmp_* /tmp/ray/*/*-data /tmp/.raysweep-*-* /tmp/ray/*/.raysweep-*; do \
                    case $d in *~*) continue;; esac; [ -d $d ] || continue; \
                    [ $(find $d -type f | wc -l) = 1200 ] || echo $d; done";

#[test]
fn whoever_is_killed_at_whatever_moment_nothing_in_use_is_lost_and_a_later_sweep_finishes() {
    let rounds = if is_long() { 200 } else { 12 };
    let worker = Worker::start("kills", &[]);
    worker
        .sh(&format!("mkdir {HELD}; cd {HELD}; seq 100000 >a; seq 7 >b; mkdir c; seq 9 >c/d; sha256sum a b c/d >/root/sums"))
        .unwrap();
    docker(&["exec", "-d", &worker.name, "sh", "-c", &format!("exec 9<{HELD}/a; exec sleep 7200")]).unwrap();
    let sums = || worker.sh(&format!("cd {HELD} && sha256sum --quiet -c /root/sums"));
    wait_until(20, "the file to be held", || {
        worker.sh("ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q tmp-held/a").is_ok()
    });
    plant(&worker, 0);
    worker.wait_until_old("/tmp");
    let mounts = (worker.mounts(), stage::mounts());
    let began = Instant::now();
    let swept = settings().sweep(&worker.name);
    let whole = u64::try_from(began.elapsed().as_millis()).unwrap();
    assert!(swept.worker(&worker.name).freed_bytes > 0, "{}", swept.shown());
    assert_eq!(worker.sh("ls -A /tmp").unwrap(), "ray\ntmp-held", "{}", swept.shown());

    let root = temp_root(&worker);
    let (mut dice, mut killed, mut met) = (Dice(0x5EED), [0; KINDS.len()], 0);
    for round in 1..=rounds {
        plant(&worker, round);
        worker.wait_until_old("/tmp");
        let mut sweep = settings().start(&["--trigger", "alert", "--worker", &worker.name]);
        // Every other time at any moment of it, and else when it has begun to change something.
        let mut most = whole + whole / 10;
        if round % 2 == 0 {
            while off_their_names(&root).is_empty() && sweep.try_wait().unwrap().is_none() {
                closely();
            }
            most = 100;
        }
        let moment = Instant::now() + Duration::from_millis(dice.below(most));
        while Instant::now() < moment {
            closely();
        }
        let kind = usize::try_from(dice.below(3)).unwrap();
        for pid in processes(KINDS[kind]) {
            // One that has just ended is as good as killed.
            killed[kind] += i32::from(run(&["kill", "-KILL", &pid], "").is_ok());
        }
        drop(sweep.wait_with_output());
        nothing_runs(60);
        met += u64::from(!worker.detached().is_empty());
        assert!(sums().is_ok(), "round {round}, {} killed: {:?}", KINDS[kind], sums());
        let torn = worker.sh(TORN).unwrap();
        assert_eq!(torn, "", "round {round}, {} killed: half of it is gone under its own name", KINDS[kind]);
        assert_eq!((worker.mounts(), stage::mounts()), mounts);
        if round % 10 == 0 || round == rounds {
            finished(&worker);
            assert!(sums().is_ok(), "round {round}: {:?}", sums());
        }
    }
    figure(&format!(
        "kill -9 at random moments: {rounds} rounds in {} s ({} supervisors, {} sweeping children, {} children \
         inside; {met} left something detached); nothing in use lost, all finished by the next sweep",
        began.elapsed().as_secs(),
        killed[0],
        killed[1],
        killed[2],
    ));
}

/// One sweep later nothing is left but what is in use.
fn finished(worker: &Worker) {
    worker.wait_until_old("/tmp");
    let next = settings().sweep(&worker.name);
    assert_eq!(worker.detached(), "", "{}", next.shown());
    assert_eq!(worker.sh("ls -A /tmp").unwrap(), "ray\ntmp-held", "{}", next.shown());
    assert_eq!(worker.sh(&format!("ls -A {SESSION}")).unwrap(), "", "{}", next.shown());
}

#[test]
fn a_child_that_is_stopped_in_mid_delete_ends_the_sweep_in_time_and_the_next_one_finishes() {
    let worker = Worker::start("stopped", &[]);
    worker.player(&["flat", &format!("{SESSION}/flat"), "0", "40000"]);
    worker.wait_until_old(SESSION);
    let settings = Settings { deadline: "100s", ..settings() };
    let began = Instant::now();
    let mut sweep = settings.start(&["--trigger", "alert", "--worker", &worker.name]);
    let root = temp_root(&worker);
    let has_begun = || off_their_names(&root).iter().any(|name| name.contains('~'));
    while !has_begun() {
        if sweep.try_wait().unwrap().is_some() {
            let swept = Swept::of(sweep);
            panic!("no delete was met: {}", swept.shown());
        }
        closely();
    }
    for pid in processes(INSIDE) {
        run(&["kill", "-STOP", &pid], "").unwrap();
    }

    let swept = Swept::of(sweep);

    let took = began.elapsed();
    let stuck = swept.worker(&worker.name);
    assert_eq!(stuck.verdict, Verdict::Failed, "{}", swept.shown());
    assert!(stuck.errors.iter().any(|error| error.contains("no answer")), "{}", swept.shown());
    assert!(took < Duration::from_secs(100 + 20), "{took:?}: {}", swept.shown());
    nothing_runs(60);
    assert!(worker.detached().contains('~'), "nothing was left to finish: {}", swept.shown());
    let next = settings.sweep(&worker.name);
    assert_eq!(worker.sh(&format!("ls -A {SESSION}")).unwrap(), "", "{}", next.shown());
    figure(&format!("child stopped in mid-delete: the sweep ended after {:.1} s", took.as_secs_f64()));
}

/// The workers have been found and freed by then: what hangs is the prune.
#[test]
fn a_runtime_that_goes_deaf_in_mid_sweep_costs_no_worker_its_freeing() {
    let worker = Worker::start("deaf", &[]);
    worker.sh(&format!("mkdir -p {SESSION}/data; seq 9 >{SESSION}/data/f")).unwrap();
    worker.wait_until_old(SESSION);
    let proxy = Proxy::start("goes-deaf", |request| !request.starts_with("POST"), |_| ());
    let settings = Settings { socket: proxy.socket, deadline: "20s", ..settings() };
    let began = Instant::now();

    let swept = settings.sweep_with(&["--trigger", "alert"]);

    let took = began.elapsed();
    assert_eq!(swept.worker(&worker.name).verdict, Verdict::Cleaned, "{}", swept.shown());
    assert_eq!((swept.report.outcome, swept.exit), (Outcome::Freed, Some(0)), "{}", swept.shown());
    assert!(!worker.has(&format!("{SESSION}/data")), "{}", swept.shown());
    let prune = swept.report.prune.as_ref().unwrap();
    assert!(!prune.errors.is_empty(), "{}", swept.shown());
    assert!(took < Duration::from_secs(20 + 20), "{took:?}: {}", swept.shown());
    nothing_runs(60);
    figure(&format!("runtime deaf in mid-sweep: the sweep ended after {:.1} s", took.as_secs_f64()));
}
