//! Podman with its own API on its own socket.

use std::{path::PathBuf, sync::OnceLock};

use raysweep::domain::{evidence::WorkerState, report::Verdict};

use crate::{
    stand_in::{self, ALL, DEAD_GONE, LIVE_ALONE, plant, raylet, seen_by, sweep_all, text},
    sweeping::Settings,
    world::{self, lib, wait_until},
};

const IMAGE: &str = "stand-in";

/// Podman runs, and has the image of stand-ins.
pub(crate) fn podman_ready() {
    static READY: OnceLock<()> = OnceLock::new();
    READY.get_or_init(|| {
        lib(["podman_up"]).unwrap();
        let tar = stand_in::packed(&stand_in::image_root("podman-image"));
        podman(&["import", text(&tar), IMAGE]);
    });
}

pub(crate) fn podman(words: &[&str]) -> String {
    lib([&["podman_here"], words].concat()).unwrap()
}

/// Settings that name Podman's socket.
pub(crate) fn settings() -> Settings {
    Settings { socket: world::dir().join("podman.sock"), ..stand_in::settings() }
}

/// A container of Podman's that goes with the test.
pub(crate) struct Pod {
    name: String,
    pid: String,
}

impl Pod {
    pub(crate) fn of(name: &str, options: &[&str], command: &[String]) -> Self {
        podman_ready();
        Self::of_image(IMAGE, name, options, command)
    }

    pub(crate) fn of_image(image: &str, name: &str, options: &[&str], command: &[String]) -> Self {
        let mut words = vec!["podman_run", name];
        words.extend(options);
        words.push(image);
        words.extend(command.iter().map(String::as_str));
        lib(words).unwrap();
        Self { name: name.to_owned(), pid: podman(&["inspect", "-f", "{{.State.Pid}}", name]) }
    }

    pub(crate) fn with_raylet(name: &str, options: &[&str]) -> Self {
        Self::of(name, options, &raylet("/opt/raylet", "/tmp/ray"))
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        seen_by(&self.pid, "/tmp")
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = lib(["podman_here", "rm", "--force", "--time", "1", &self.name]);
    }
}

#[test]
fn podmans_containers_are_workers_by_name_and_by_raylet_and_ray_is_asked_in_them() {
    let by_raylet = Pod::with_raylet("trainer", &[]);
    let by_name = Pod::of("ray-worker-1", &[], &["/bin/sleep".to_owned()]);
    let neither = Pod::of("postgres", &[], &["/bin/sleep".to_owned()]);
    let planted = plant([&by_raylet.tmp(), &by_name.tmp(), &neither.tmp()]);

    let swept = sweep_all(&settings());

    let trainer = swept.worker("trainer");
    assert_eq!(
        (trainer.runtime.as_str(), trainer.verdict),
        ("podman", Verdict::Cleaned),
        "{}",
        swept.shown()
    );
    assert_eq!(trainer.state, Some(WorkerState::NoJob), "Ray was asked and answered: {}", swept.shown());
    assert_eq!(planted[0].standing(), LIVE_ALONE, "{}", swept.shown());
    assert_eq!(planted[1].standing(), DEAD_GONE, "{}", swept.shown());
    assert_eq!(planted[2].standing(), ALL, "{}", swept.shown());
}

#[test]
fn a_container_of_podmans_at_work_loses_dead_sessions_only() {
    let pod = Pod::with_raylet("trainer", &[]);
    let [planted] = plant([&pod.tmp()]);
    podman(&["exec", "--detach", "trainer", "/opt/raylet", "not", "ray's"]);

    let swept = settings().sweep("trainer");

    assert_eq!(planted.standing(), DEAD_GONE, "{}", swept.shown());
    assert_eq!(swept.worker("trainer").state, Some(WorkerState::Active), "{}", swept.shown());
}

#[test]
fn a_container_with_users_of_its_own_is_refused_with_the_reason() {
    let users = ["--uidmap", "0:100000:1000", "--gidmap", "0:100000:1000"];
    let pod = Pod::with_raylet("ray-worker-rootless", &users);
    let [planted] = plant([&pod.tmp()]);

    let swept = settings().sweep("ray-worker-rootless");

    assert_eq!(planted.standing(), ALL, "{}", swept.shown());
    let worker = swept.worker("ray-worker-rootless");
    assert_eq!(worker.verdict, Verdict::Failed, "{}", swept.shown());
    assert!(worker.errors[0].contains("rootless"), "{}", swept.shown());
}

#[test]
fn a_prune_of_podmans_takes_dangling_images_and_what_finished_long_ago() {
    podman_ready();
    let _running = Pod::of("running", &[], &["/bin/sleep".to_owned()]);
    let _kept = Pod::of("kept", &["--label", "raysweep.keep=1"], &["/bin/sleep".to_owned()]);
    let _old = Pod::of("old", &[], &["/bin/sleep".to_owned()]);
    let tar = stand_in::packed(&stand_in::image_root("podman-dangling"));
    podman(&["import", text(&tar), "again"]);
    podman(&["untag", "again"]);
    podman(&["stop", "--time", "1", "kept", "old"]);
    let dangling = || podman(&["images", "--quiet", "--filter", "dangling=true"]);
    assert_ne!(dangling(), "");
    let mut settings = settings();
    settings.more = "prune: {mode: system, min_age: 1s}\n".to_owned();
    wait_until(60, "containers to have stopped, and the image to be there, for a second", || {
        let swept = sweep_all(&settings);
        let prune = swept.report.prune.as_ref().unwrap();
        assert!(prune.errors.is_empty() && prune.busy.is_empty(), "{}", swept.shown());
        let is_old_gone =
            !podman(&["ps", "--all", "--format", "{{.Names}}"]).lines().any(|name| name == "old");
        is_old_gone && dangling().is_empty()
    });
    let mut left: Vec<String> =
        podman(&["ps", "--all", "--format", "{{.Names}}"]).lines().map(str::to_owned).collect();
    left.sort();
    assert_eq!(left, ["kept", "running"]);
}
