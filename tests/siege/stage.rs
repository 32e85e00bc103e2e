//! The containers of the siege, and what lies outside of every candidate.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::{
    sweeping::Settings,
    world::{self, Failed, image, lib, run, wait_until},
};

pub(crate) use crate::world::docker;

/// Where Ray keeps its sessions in a container; the first of them is dead and the newest.
pub(crate) const SESSION: &str = "/tmp/ray/session_2020-01-01_00-00-00_000000_1";

/// What a container is started with that may mount and set attributes in its own namespaces.
/// Not `--privileged`: that asks for every capability, also where the machine itself lacks one.
pub(crate) const MAY_MUCH: [&str; 6] = [
    "--cap-add=SYS_ADMIN",
    "--cap-add=LINUX_IMMUTABLE",
    "--cap-add=MKNOD",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=label=disable",
];

static STAGE: OnceLock<Result<(), String>> = OnceLock::new();

/// Brings Docker and the image up once; the reason why they do not stand fails every test.
pub(crate) fn ready() {
    let up =
        || lib(["dockerd_up"]).and_then(|_| lib(["ray_image_load"])).map(drop).map_err(|failed| failed.0);
    if let Err(reason) = STAGE.get_or_init(up) {
        panic!("the stage does not stand: {reason}");
    }
}

/// Whether the plays are the long ones.
pub(crate) fn is_long() -> bool {
    std::env::var("SIEGE").is_ok_and(|siege| siege == "long")
}

/// A figure, in a line that `tests/soak.sh` finds again.
pub(crate) fn figure(text: &str) {
    println!("figure: {text}");
}

/// A host's settings under which what was planted is old soon, also while a job may be alive.
pub(crate) fn settings() -> Settings {
    Settings { sampling_window: "200ms", no_job: "1s", in_job: "1s", ..Settings::default() }
}

/// A container of which the sweep thinks that it is a worker; gone with the test.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) name: String,
}

impl Worker {
    /// With what else `docker run` is to know.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        ready();
        let worker = Self { name: format!("ray-worker-{name}") };
        let image = image();
        let words = ["run", "-d", "--pull", "never", "--init", "--network", "none", "--name", &worker.name];
        docker(&[&words[..], arguments, &[image.as_str(), "sleep", "infinity"]].concat()).unwrap();
        worker.put("player.py");
        worker
    }

    /// One that may do everything in its own namespaces, with the host's victims in it.
    pub(crate) fn besieged(name: &str, outside: &Outside) -> Self {
        let victims = format!("{}:/victims", outside.victims.display());
        let worker = Self::start(name, &[&MAY_MUCH[..], &["-v", &victims]].concat());
        worker.player(&["forest", "/root/precious"]);
        worker.player(&["forest", "/root/outside"]);
        worker.sh("mkdir -p /root/outside/decoy/z; echo mine >/root/linked").unwrap();
        worker
    }

    /// Puts a file of `tests/siege` into it.
    pub(crate) fn put(&self, file: &str) {
        let text = fs::read_to_string(world::repository("tests/siege").join(file)).unwrap();
        let command = format!("cat >/root/{file}");
        run(&["docker", "exec", "-i", &self.name, "sh", "-c", &command], &text).unwrap();
    }

    /// Runs a shell command in it.
    pub(crate) fn sh(&self, command: &str) -> Result<String, Failed> {
        docker(&["exec", &self.name, "sh", "-c", command])
    }

    pub(crate) fn player(&self, words: &[&str]) {
        docker(&[&["exec", &self.name, "python3", "/root/player.py"], words].concat()).unwrap();
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.sh(&format!("test -e '{path}' -o -L '{path}'")).is_ok()
    }

    /// Waits until nothing under the path has changed for so long that it may go.
    pub(crate) fn wait_until_old(&self, path: &str) {
        let young = format!("find '{path}' -newermt '-3 seconds' -print -quit");
        wait_until(60, &format!("{path} to be old"), || self.sh(&young).unwrap().is_empty());
    }

    /// What sweeps left without its name.
    pub(crate) fn detached(&self) -> String {
        self.sh("find /tmp -name '.raysweep-*' -prune").unwrap()
    }

    /// The mounts that its first process sees.
    pub(crate) fn mounts(&self) -> String {
        self.sh("cut -d' ' -f3- /proc/1/mountinfo").unwrap()
    }

    /// What it has outside of every candidate: the folders too, and each one's change time.
    pub(crate) fn outside(&self) -> String {
        let command = "cd /root && find precious outside -path outside/decoy -prune -o -print | grep -c /f; \
                       find precious outside/y* -printf '%p %i %y %n %s %C@\\n' | sort | sha256sum";
        self.sh(command).unwrap()
    }

    pub(crate) fn pid(&self) -> i32 {
        docker(&["inspect", "-f", "{{.State.Pid}}", &self.name]).unwrap().parse().unwrap()
    }
}

/// The mounts that this world has of its own; the machine's come and go as it likes.
pub(crate) fn mounts() -> Vec<String> {
    let all = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let dir = world::dir().display().to_string();
    all.lines().filter(|line| line.contains(&dir)).map(str::to_owned).collect()
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = docker(&["rm", "-f", &self.name]);
    }
}

/// A folder of the host that a container has as a volume: 9,000 files, in no candidate.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) victims: PathBuf,
}

impl Outside {
    pub(crate) fn new(name: &str) -> Self {
        let victims = world::dir().join(format!("victims-{name}"));
        fs::create_dir_all(&victims).unwrap();
        let outside = Self { victims };
        outside.plant();
        outside
    }

    /// The same names as in a candidate: a path that leads here finds something.
    pub(crate) fn plant(&self) {
        for folder in 0..30 {
            for level in ["", "z", "z/w"] {
                let folder = self.victims.join(format!("y{folder}")).join(level);
                fs::create_dir_all(&folder).unwrap();
                for file in 0..100 {
                    fs::write(folder.join(format!("f{file}")), "").unwrap();
                }
            }
        }
    }

    pub(crate) fn files(&self) -> usize {
        count(&self.victims)
    }

    /// Every inode of it with its change time: whatever touches one shows.
    pub(crate) fn sum(&self) -> String {
        let command = format!(
            "cd {} && find . -printf '%P %i %y %n %s %C@\\n' | sort | sha256sum",
            self.victims.display()
        );
        run(&["sh", "-c", &command], "").unwrap()
    }
}

fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| if entry.file_type().unwrap().is_dir() { count(&entry.path()) } else { 1 }).sum()
}
