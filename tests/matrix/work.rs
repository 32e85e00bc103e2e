//! Work in a container: it stands still with something in its hands until it is let go, and then has
//! to finish.

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{
    stage::{HEAD, docker, exists, put, sh},
    world::{self, lib, wait_until},
};

/// So long may anything take to stand still, and to finish: the machine has other things to do.
const BOUND_SECONDS: u64 = 150;

/// A work that stands still.
#[derive(Debug)]
pub(crate) struct Work {
    id: String,
    worker: String,
    /// What it needs, as its note says.
    pub(crate) held: String,
    /// What it says when it has finished.
    expected: String,
    end: End,
}

#[derive(Debug, Clone, Copy)]
enum End {
    /// A driver on the head prints it.
    Driver,
    /// A driver in the worker prints it.
    DriverHere,
    /// A file in the worker.
    Result,
    /// Another driver, which asks the actor that this one has left.
    Recall,
}

impl Work {
    /// A job whose driver, of `tests/matrix/drivers`, runs on the head.
    pub(crate) fn job(driver: &str, worker: &str, arguments: &[&str]) -> Self {
        let words = [&[worker], arguments].concat();
        let id = start_driver(HEAD, driver, &words);
        let expected = format!("state of {id}");
        Self::standing(id, worker, expected, End::Driver)
    }

    /// A detached actor on the head, which remembers a folder of the worker when its own job has ended.
    pub(crate) fn detached_actor(worker: &str) -> Self {
        let id = start_driver(HEAD, "detached", &[worker]);
        let expected = format!("state of {id}");
        let work = Self::standing(id, worker, expected, End::Recall);
        let bound = BOUND_SECONDS.to_string();
        lib(["ray_job_result", HEAD, &work.id, &bound]).unwrap();
        work
    }

    /// A driver in the worker's own container.
    pub(crate) fn driver_in(worker: &str, gcs: &str) -> Self {
        let id = start_driver(worker, "driver_here", &[worker, gcs]);
        let expected = format!("state of {id}");
        Self::standing(id, worker, expected, End::DriverHere)
    }

    /// A program in the container that holds something in one way. Under the name of a program that
    /// root's list ignores, so that nothing but what it holds speaks for it; or as what it is.
    pub(crate) fn holder(worker: &str, kind: &str, program: Program) -> Self {
        let id = new_id(kind);
        put(worker, "holder.py", "/root/held/holder.py");
        // A copy is renamed into place: several may want it at once.
        let copy = "mkdir -p /root/held && cp $(readlink -f $(command -v python3)) /root/held/$1 && \
                    mv -f /root/held/$1 /root/held/sleep";
        docker(&["exec", worker, "sh", "-c", copy, "sh", &id]).unwrap();
        let python = match program {
            Program::Ignored => "/root/held/sleep",
            Program::Python => "python3",
        };
        docker(&["exec", "-d", worker, python, "/root/held/holder.py", kind, &id]).unwrap();
        let expected = format!("state of {id}");
        Self::standing(id, worker, expected, End::Result)
    }

    /// pip, in the middle of an installation.
    pub(crate) fn pip(worker: &str) -> Self {
        let id = new_id("pip");
        put(worker, "slow_pip.sh", "/root/slow_pip.sh");
        docker(&["exec", "-d", worker, "sh", "/root/slow_pip.sh", &id]).unwrap();
        let expected = format!("state of {id}");
        Self::standing(id, worker, expected, End::Result)
    }

    fn standing(id: String, worker: &str, expected: String, end: End) -> Self {
        let note = format!("/root/standing-{id}");
        let mut work = Self { id, worker: worker.to_owned(), held: String::new(), expected, end };
        wait_until(BOUND_SECONDS, &format!("{} to stand still: {}", work.id, work.log()), || {
            exists(worker, &note)
        });
        work.held = docker(&["exec", worker, "cat", &note]).unwrap();
        work
    }

    /// The container that it works in.
    pub(crate) fn worker(&self) -> &str {
        &self.worker
    }

    /// Lets it go on and says whether it finished as it should.
    pub(crate) fn finish(self) -> Result<(), String> {
        // On both sides: what waits may be the driver or what it runs.
        for container in [HEAD, &self.worker] {
            docker(&["exec", container, "touch", &format!("/root/release-{}", self.id)])
                .map_err(|failed| failed.0)?;
        }
        let bound = BOUND_SECONDS.to_string();
        let said = match self.end {
            End::Driver => lib(["ray_job_result", HEAD, &self.id, &bound]),
            End::DriverHere => lib(["ray_job_result", &self.worker, &self.id, &bound]),
            End::Recall => {
                let recall = start_driver(HEAD, "recall", &[&self.worker, &self.id]);
                lib(["ray_job_result", HEAD, &recall, &bound])
            }
            End::Result => {
                let result = format!("/root/result-{}", self.id);
                let waited = format!(
                    "n=0; until [ -e {result} ] || [ $n -ge {BOUND_SECONDS} ]; do n=$((n+1)); sleep 1; done; \
                     cat {result}"
                );
                sh(&self.worker, &waited)
            }
        };
        let said = said.map_err(|failed| failed.0)?;
        // What Ray itself had to say, such as of many processes on a small machine, stands before it.
        if said.lines().last() == Some(&*self.expected) { Ok(()) } else { Err(said) }
    }

    fn log(&self) -> String {
        lib(["ray_driver_log", HEAD, &self.id]).unwrap_or_default()
    }
}

/// As what a holder runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Program {
    Ignored,
    Python,
}

/// Starts a driver of `tests/matrix/drivers` behind their common beginning, and gives its id.
pub(crate) fn start_driver(container: &str, driver: &str, arguments: &[&str]) -> String {
    let folder = world::repository("tests/matrix/drivers");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let file = world::dir().join(format!("{}.py", new_id(driver)));
    fs::write(&file, read("common.py") + &read(&format!("{driver}.py"))).unwrap();
    let path = file.display().to_string();
    let mut words = vec!["ray_driver", container, &path];
    words.extend(arguments);
    lib(words).unwrap()
}

pub(crate) fn new_id(what: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}
