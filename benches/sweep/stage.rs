//! The containers: workers without Ray, which only sleep. What is measured here asks nothing of Ray.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use crate::{
    files, machine,
    plan::Disk,
    programs,
    world::{self, lib, run},
};

/// Starting containers side by side gains up to here.
const STARTED_AT_ONCE: usize = 4;

pub(crate) fn docker_up() {
    lib(["dockerd_up"]).unwrap();
    lib(["ray_image_load"]).unwrap();
}

/// What the workers stand on.
pub(crate) fn named() -> String {
    let docker = machine::said(&["dockerd", "--version"]);
    let docker = docker.split([' ', ',']).nth(2).unwrap_or("unknown");
    let below = machine::file_system(world::dir().parent().unwrap());
    format!("Docker {docker} with overlay2; the world's disk is ext4 in a file on {below}")
}

/// A worker, gone when it is dropped.
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) pid: String,
    volume: Option<PathBuf>,
}

impl Worker {
    /// A worker whose `/tmp` lies on this disk: on a volume of the world's ext4, or in the container's
    /// own layer.
    pub(crate) fn up(disk: Disk) -> Self {
        let volume = (disk == Disk::Ext4).then(|| world::dir().join("disk/tmp"));
        if let Some(volume) = &volume {
            fs::create_dir_all(volume).unwrap();
        }
        let worker = Self::start("ray-worker-1", volume);
        for program in programs::BROUGHT {
            fs::copy(programs::brought(program), worker.path(&format!("/usr/local/bin/{program}"))).unwrap();
        }
        fs::create_dir_all(worker.temp_root().join(files::SESSION)).unwrap();
        worker
    }

    fn start(name: &str, volume: Option<PathBuf>) -> Self {
        let image = std::env::var("RAY_VERSION").unwrap_or_else(|_| "2.40.0".to_owned());
        let image = format!("raysweep-demo/ray:{image}");
        let bound = volume.as_ref().map(|volume| format!("{}:/tmp", volume.display()));
        let mut words = vec!["docker", "run", "-d", "--pull", "never", "--network", "none", "--name", name];
        if let Some(bound) = &bound {
            words.extend(["-v", bound]);
        }
        words.extend([&image, "sleep", "infinity"]);
        run(&words, "").unwrap();
        let pid = run(&["docker", "inspect", "-f", "{{.State.Pid}}", name], "").unwrap();
        Self { name: name.to_owned(), pid, volume }
    }

    /// A path of the worker, seen from the host. Only for what makes and looks: what deletes this way
    /// takes the container's mounts with it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        Path::new("/proc").join(&self.pid).join("root").join(path.trim_start_matches('/'))
    }

    pub(crate) fn temp_root(&self) -> PathBuf {
        self.path("/tmp")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Once more while a panic unwinds would be one too many.
        let gone = run(&["docker", "rm", "-f", &self.name], "");
        let empty = self
            .volume
            .as_ref()
            .map(|volume| run(&["find", &volume.display().to_string(), "-mindepth", "1", "-delete"], ""));
        if !thread::panicking() {
            gone.unwrap();
            empty.transpose().unwrap();
        }
    }
}

/// So many workers more, with nothing in their `/tmp`.
pub(crate) fn workers(numbers: std::ops::Range<usize>) -> Vec<Worker> {
    let numbers: Vec<usize> = numbers.collect();
    thread::scope(|scope| {
        let parts = numbers.chunks(numbers.len().div_ceil(STARTED_AT_ONCE).max(1));
        let started: Vec<_> = parts
            .map(|part| {
                scope.spawn(move || {
                    let named = part.iter().map(|number| format!("ray-worker-{number}"));
                    named.map(|name| Worker::start(&name, None)).collect::<Vec<_>>()
                })
            })
            .collect();
        started.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}
