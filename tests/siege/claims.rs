//! A process that calls itself raylet, and names a temp root of its choice.

use crate::{
    stage::{Outside, SESSION, Worker, docker, settings},
    world::wait_until,
};

/// Python under the name of a raylet, with the arguments of one.
fn claim(worker: &Worker, temp_dir: &str) {
    let script = "cp $(readlink -f $(command -v python3)) /root/raylet 2>/dev/null; \
                  exec /root/raylet -c 'import time; time.sleep(7200)' --raylet_socket_name=x \
                  --temp_dir=\"$0\" --session_dir=\"$0/session_2020-02-02_00-00-00_000000_1\"";
    docker(&["exec", "-d", &worker.name, "sh", "-c", script, temp_dir]).unwrap();
    wait_until(30, "the process to run", || {
        // The class in brackets keeps the search from finding itself.
        worker.sh("cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -q '^--raylet_socket[_]name=x'").is_ok()
    });
}

fn give_up(worker: &Worker) {
    worker.sh("for p in /proc/[0-9]*; do [ \"$(readlink $p/exe)\" = /root/raylet ] && kill -9 ${p#/proc/}; done; true")
        .unwrap();
    wait_until(30, "the process to end", || {
        worker.sh("! ls -l /proc/[0-9]*/exe 2>/dev/null | grep -q /root/raylet").is_ok()
    });
}

#[test]
fn a_raylet_of_anybodys_making_points_no_sweep_at_what_is_not_the_workers() {
    let outside = Outside::new("claims");
    let read_only = format!("{}:/victims:ro", outside.victims.display());
    // What would be a dead session's if one looked by name alone; the host's, and read-only in there.
    let session = outside.victims.join("session_2020-01-01_00-00-00_000000_1/data");
    std::fs::create_dir_all(&session).unwrap();
    std::fs::write(session.join("file"), "the host's own").unwrap();
    let worker = Worker::start("claims", &["-v", &read_only]);
    worker.player(&["forest", "/root/precious"]);
    worker.player(&["forest", "/root/outside"]);
    worker
        .sh(&format!("mkdir -p {SESSION}/data /root/precious/ray; ln -s /proc/1/root/victims /root/way"))
        .unwrap();
    let (victims, own) = (outside.sum(), worker.outside());
    let host = worker.pid();
    for (temp_dir, reason) in [
        ("/", "names / as its temporary folder"),
        ("/var", "names /var as its temporary folder"),
        ("tmp/ray", "names tmp/ray as its temporary folder"),
        ("/tmp/../victims", "names /tmp/../victims as its temporary folder"),
        // A way through /proc that leaves the container's root would be the host's own.
        ("/proc/1/root/victims", "/proc/1/root/victims"),
        ("/proc/self/root", ""),
        ("/root/way", "/root/way"),
        ("/proc", "file system is not local"),
        ("/dev/fd", ""),
        // Swept, as it may say; and read-only, as the host says.
        ("/victims", "Read-only file system"),
        ("/etc", ""),
    ] {
        worker.wait_until_old("/tmp/ray");
        claim(&worker, temp_dir);
        let swept = settings().sweep(&worker.name);
        give_up(&worker);
        let report = swept.worker(&worker.name);
        let said = report.errors.iter().chain(report.kept.iter().map(|kept| &kept.detail));
        assert!(
            reason.is_empty() || said.into_iter().any(|said| said.contains(reason)),
            "{temp_dir}: {}",
            swept.shown()
        );
        assert_eq!(
            (outside.sum(), worker.outside()),
            (victims.clone(), own.clone()),
            "{temp_dir}: {}",
            swept.shown()
        );
        assert!(
            report.removed.iter().all(|removed| removed.path.starts_with("/tmp/")),
            "{temp_dir}: {}",
            swept.shown()
        );
    }
    assert_eq!(worker.pid(), host, "it is the same container still");
    assert_eq!(std::fs::read_to_string(session.join("file")).unwrap(), "the host's own");
}
