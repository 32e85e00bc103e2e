//! Docker, on whichever version of cgroups the world has, and discovery of workers in its containers.

use std::{path::PathBuf, sync::OnceLock};

use raysweep::domain::report::Verdict;

use crate::{
    stand_in::{self, DEAD_GONE, LIVE_ALONE, plant, raylet, seen_by, sweep_all, text},
    world::{self, lib},
};

pub(crate) const IMAGE: &str = "stand-in";

/// Docker runs, and has the image of stand-ins.
pub(crate) fn docker_ready() {
    static READY: OnceLock<()> = OnceLock::new();
    READY.get_or_init(|| {
        lib(["dockerd_up"]).unwrap();
        let tar = stand_in::packed(&stand_in::image_root("image"));
        docker(&["import", text(&tar), IMAGE]);
        // Else the tests of one version of cgroups would pass on the other.
        if let Ok(expected) = std::env::var("RUNTIMES_CGROUP") {
            assert_eq!(docker(&["info", "--format", "{{.CgroupVersion}}"]), expected);
        }
    });
}

pub(crate) fn docker(words: &[&str]) -> String {
    world::docker(words).unwrap()
}

/// A container that goes with the test.
pub(crate) struct Container {
    pub(crate) name: String,
    /// Its first process, as the world numbers it.
    pub(crate) pid: String,
}

impl Container {
    /// Runs a command in a container of an image.
    pub(crate) fn of(image: &str, name: &str, options: &[&str], command: &[String]) -> Self {
        docker_ready();
        let mut words = vec!["run", "-d", "--pull", "never", "--network", "none", "--name", name];
        words.extend(options);
        words.push(image);
        words.extend(command.iter().map(String::as_str));
        docker(&words);
        Self { name: name.to_owned(), pid: docker(&["inspect", "-f", "{{.State.Pid}}", name]) }
    }

    pub(crate) fn with_raylet(name: &str) -> Self {
        Self::of(IMAGE, name, &[], &raylet("/opt/raylet", "/tmp/ray"))
    }

    pub(crate) fn without_raylet(name: &str) -> Self {
        Self::of(IMAGE, name, &[], &["/bin/sleep".to_owned()])
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        seen_by(&self.pid, "/tmp")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = world::output(&["docker", "rm", "-f", "-v", &self.name], "");
    }
}

#[test]
fn a_container_is_a_worker_by_its_raylet_or_by_its_name_and_no_other_is_touched() {
    let by_raylet = Container::with_raylet("trainer");
    let by_name = Container::without_raylet("ray-worker-1");
    let neither = Container::without_raylet("postgres");
    let planted = plant([&by_raylet.tmp(), &by_name.tmp(), &neither.tmp()]);

    let swept = sweep_all(&stand_in::settings());

    assert_eq!(planted[0].standing(), LIVE_ALONE, "{}", swept.shown());
    // Without a raylet nobody can say that no job is alive. The session that lives in the other
    // container has the same name, as on all nodes of a cluster.
    assert_eq!(planted[1].standing(), DEAD_GONE, "{}", swept.shown());
    assert_eq!(planted[2].standing(), stand_in::ALL, "{}", swept.shown());
    for (name, runtime) in [("trainer", "docker"), ("ray-worker-1", "docker")] {
        let worker = swept.worker(name);
        assert_eq!(
            (worker.runtime.as_str(), worker.verdict),
            (runtime, Verdict::Cleaned),
            "{}",
            swept.shown()
        );
    }
    assert!(swept.report.workers.iter().all(|worker| worker.name != "postgres"), "{}", swept.shown());
}

#[test]
fn a_process_that_entered_a_container_belongs_to_it() {
    let container = Container::with_raylet("trainer");
    let [planted] = plant([&container.tmp()]);
    docker(&["exec", "-d", "trainer", "/usr/bin/../../opt/raylet"]);
    docker(&["exec", "-d", "trainer", "/bin/sleep"]);

    let swept = stand_in::settings().sweep("trainer");

    assert_eq!(planted.standing(), DEAD_GONE, "who is not Ray's is at work: {}", swept.shown());
}
