//! A process that calls itself raylet, and names a temp root of its choice.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

use raysweep::domain::report::WorkerReport;

use crate::{
    stage::{Outside, SESSION, Worker, docker, settings},
    sweeping::Settings,
    world::wait_until,
};

/// Python under the name of a raylet, with the arguments of one and with more of the kind. `how` is what
/// `docker exec` is to know: as whom it runs, and with which variables.
pub(crate) fn claim(worker: &Worker, how: &[&str], temp_dir: &str, more: &[&str]) {
    worker.sh("[ -e /opt/raylet ] || cp $(readlink -f $(command -v python3)) /opt/raylet").unwrap();
    let script = "temp_dir=$0; exec /opt/raylet -c 'import time; time.sleep(7200)' --raylet_socket_name=x \
                  --temp_dir=\"$temp_dir\" --session_dir=\"$temp_dir/session_2020-02-02_00-00-00_000000_1\" \"$@\"";
    let exec = [&["exec", "-d"], how, &[&worker.name, "sh", "-c", script, temp_dir], more].concat();
    let before = claimants(worker);
    docker(&exec).unwrap();
    wait_until(30, "the process to run", || claimants(worker) > before);
}

/// How many processes call themselves raylet.
fn claimants(worker: &Worker) -> usize {
    // The class in brackets keeps the search from finding itself.
    let search = "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -c '^--raylet_socket[_]name=x' || true";
    worker.sh(search).unwrap().parse().unwrap()
}

fn give_up(worker: &Worker) {
    // Root in there may not see which program another user's process is.
    let kill = "for p in /proc/[0-9]*; do \
                tr '\\0' '\\n' <$p/cmdline | grep -q '^--raylet_socket[_]name=x' && kill -9 ${p#/proc/}; done; true";
    worker.sh(kill).unwrap();
    wait_until(30, "the process to end", || claimants(worker) == 0);
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
        claim(&worker, &[], temp_dir, &[]);
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

/// Something of the host's that a container can write to, in a volume: all of it this user's, but for one
/// file in it where `with` is another's.
fn put(path: PathBuf, user: u32, with: u32) -> PathBuf {
    fs::create_dir_all(&path).unwrap();
    for (file, owner) in [("own", user), ("other", with)] {
        fs::write(path.join(file), "the host's own").unwrap();
        chown(path.join(file), Some(owner), None).unwrap();
    }
    chown(&path, Some(user), None).unwrap();
    path
}

fn told_of<'a>(report: &'a WorkerReport, path: &Path) -> Option<&'a str> {
    let name =
        path.strip_prefix(path.ancestors().find(|above| above.ends_with("victims-rw")).unwrap()).unwrap();
    let path = format!("/victims/{}", name.display());
    report.kept.iter().find(|kept| kept.path == path).map(|kept| kept.detail.as_str())
}

/// Whoever calls itself raylet gets nothing deleted that it could not delete itself, though the volume can
/// be written to and root does it.
#[test]
fn from_a_volume_a_raylet_of_anybodys_making_has_only_what_is_its_users_own() {
    const SOMEBODY: u32 = 1000;
    let victims = Outside::new("rw").victims;
    let session = |number: u32| victims.join(format!("session_2020-01-01_00-00-00_000000_{number}/data"));
    let places = |sessions: bool| {
        let [roots, mixed, own] = if sessions {
            [session(1), session(2), session(3)]
        } else {
            ["tmproots", "tmpmixed", "tmpown"].map(|name| victims.join(name))
        };
        (put(roots, 0, 0), put(mixed, SOMEBODY, 0), put(own, SOMEBODY, SOMEBODY))
    };
    let worker = Worker::start("rw", &["-v", &format!("{}:/victims", victims.display())]);
    // Without this word of root's nothing but sessions would go there.
    let settings = Settings { own_temp_root: victims.display().to_string(), ..settings() };
    for (how, temp_dir, sessions) in [
        (&["-u", "1000"][..], "/victims", true),
        (&["-u", "1000", "-e", "TMPDIR=/victims"], "/tmp/ray", false),
    ] {
        let (roots, mixed, own) = places(sessions);
        worker.wait_until_old("/victims");
        claim(&worker, how, temp_dir, &[]);
        let swept = settings.sweep(&worker.name);
        give_up(&worker);
        let report = swept.worker(&worker.name);
        for place in [&roots, &mixed] {
            assert!(place.join("own").exists() && place.join("other").exists(), "{}", swept.shown());
            let why = told_of(report, place).unwrap_or_else(|| panic!("{place:?}: {}", swept.shown()));
            assert!(why.contains("it belongs to user 0, not to"), "{why}");
        }
        assert!(!own.exists(), "it was not swept there at all: {}", swept.shown());
    }
}
