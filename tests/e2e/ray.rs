//! Jobs on the stage's Ray cluster, and Ray's own word on whether one is alive.

use crate::{
    stage::{HEAD, docker, exists, sh},
    world::{Failed, lib, repository, run, wait_until},
};

/// A job whose driver runs on the head. Dropping it lets it go on and waits for its end, so that a
/// failed test leaves the stage at rest for the next one.
pub(crate) struct Job {
    pub(crate) id: String,
    worker: &'static str,
    ended: bool,
}

impl Job {
    /// The job of the demo: a task that holds a folder by name alone and sleeps. Gives the folder.
    pub(crate) fn sleeping(worker: &'static str) -> (Self, String) {
        Self::asleep(worker, &[])
    }

    /// The same, whose task calls itself by that name.
    pub(crate) fn sleeping_as(name: &str, worker: &'static str) -> (Self, String) {
        Self::asleep(worker, &[name])
    }

    fn asleep(worker: &'static str, name: &[&str]) -> (Self, String) {
        let said = lib([&["ray_job_sleeping", HEAD, worker], name].concat()).unwrap();
        let (id, folder) = said.split_once(' ').unwrap();
        (Self { id: id.to_owned(), worker, ended: false }, folder.to_owned())
    }

    /// A job of `tests/e2e/drivers`: waits until it has written the note that it stands still, and
    /// gives the path that the note names.
    pub(crate) fn standing_still(driver: &str, worker: &'static str) -> (Self, String) {
        let file = repository("tests/e2e/drivers").join(driver).display().to_string();
        let job = Self { id: lib(["ray_driver", HEAD, &file, worker]).unwrap(), worker, ended: false };
        let note = format!("/root/standing-{}", job.id);
        wait_until(60, &format!("job {} to stand still: {}", job.id, job.log()), || exists(worker, &note));
        let path = docker(&["exec", worker, "cat", &note]).unwrap();
        (job, path)
    }

    /// Lets the job go on and gives what its driver printed.
    pub(crate) fn result(mut self) -> Result<String, Failed> {
        self.release();
        self.ended = true;
        lib(["ray_job_result", HEAD, &self.id])
    }

    fn release(&self) {
        // On both sides: what waits may be the driver or the task.
        for container in [HEAD, self.worker] {
            let _ = docker(&["exec", container, "touch", &format!("/root/release-{}", self.id)]);
        }
    }

    fn log(&self) -> String {
        lib(["ray_driver_log", HEAD, &self.id]).unwrap_or_default()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.ended {
            self.release();
            let _ = lib(["ray_driver_wait", HEAD, &self.id, "30"]);
        }
    }
}

/// Runs Python in a container and gives what it printed.
pub(crate) fn python(container: &str, program: &str) -> Result<String, Failed> {
    run(&["docker", "exec", "-i", container, "python3", "-"], program)
}

/// Waits until Ray knows of no job that is alive and no pooled worker is left.
pub(crate) fn wait_for_rest(workers: &[&str]) {
    wait_until(60, "every job to end", || live_jobs() == "0");
    for worker in workers {
        wait_until(60, &format!("the pooled workers of {worker} to end"), || titles(worker).is_empty());
    }
}

/// How many jobs Ray says are alive.
pub(crate) fn live_jobs() -> String {
    let program = "from ray._raylet import GcsClient\n\
        jobs = GcsClient(address='127.0.0.1:6379').get_all_job_info(timeout=5)\n\
        print(sum(not job.is_dead for job in jobs.values()))";
    python(HEAD, program).unwrap()
}

/// The `ray::…` titles that a container shows.
pub(crate) fn titles(container: &str) -> Vec<String> {
    // The class in brackets keeps the search from finding itself.
    let command = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep '^ray[:]:' || true";
    sh(container, command).unwrap().lines().map(|line| line.trim_end().to_owned()).collect()
}

/// The pid, as the world numbers it, of the process of a container whose arguments begin so.
pub(crate) fn pid_of(container: &str, begins: &str) -> i32 {
    let said = docker(&["top", container, "-eo", "pid,args"]).unwrap();
    let line = said.lines().find_map(|line| {
        let (pid, arguments) = line.trim_start().split_once(' ')?;
        arguments.trim_start().starts_with(begins).then(|| pid.parse().unwrap())
    });
    line.unwrap_or_else(|| panic!("no process {begins:?} in {container}:\n{said}"))
}
