//! Processes as tests write them down.

use std::path::PathBuf;

use super::{Namespaces, Process, Snapshot};
#[cfg(test)]
use crate::sweeper::discover::{Runtime, Worker};
use crate::sweeper::{FileId, ProcessId};

/// The id of the container that fixtures are in.
pub(crate) const CONTAINER: &str = "2e1163d20a8ac96a51559eeec68041981c359970403d1275ff374245e7db926c";

/// Namespaces by a number; 0 is the host's. The user namespace is the host's.
pub(crate) fn namespaces(number: u64) -> Namespaces {
    let id = |kind: u64| FileId { dev: 4, ino: 4_026_531_000 + kind * 100 + number };
    Namespaces { mount: id(1), pid: id(2), user: FileId { dev: 4, ino: 4_026_531_837 } }
}

/// A process of the container, in namespaces 1.
pub(crate) fn process(pid: i32, parent: i32, exe: &str, arguments: &[&str]) -> Process {
    Process {
        id: ProcessId { pid, start_ticks: 1000 },
        inner_pid: pid,
        parent,
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        says_too_much: false,
        exe: Some(exe.into()),
        user_id: 0,
        group_id: 0,
        cpu_ticks: 0,
        children_cpu_ticks: 0,
        namespaces: namespaces(1),
        cgroup: format!("2:cpuacct:/docker/{CONTAINER}\n0::/system.slice/containerd.service\n"),
        open: vec![],
        stdin: None,
        in_foreground: false,
    }
}

impl Process {
    pub(crate) fn in_namespaces(mut self, namespaces: Namespaces) -> Self {
        self.namespaces = namespaces;
        self
    }

    pub(crate) fn in_cgroup(mut self, cgroup: &str) -> Self {
        cgroup.clone_into(&mut self.cgroup);
        self
    }
}

#[cfg(test)]
impl Process {
    pub(crate) fn with_open(mut self, path: &str) -> Self {
        self.open.push(path.into());
        self
    }

    pub(crate) fn with_stdin(mut self, path: &str) -> Self {
        self.stdin = Some(path.into());
        self
    }

    pub(crate) fn in_foreground(mut self) -> Self {
        self.in_foreground = true;
        self
    }

    pub(crate) fn with_cpu(mut self, ticks: u64) -> Self {
        self.cpu_ticks = ticks;
        self
    }

    pub(crate) fn with_children_cpu(mut self, ticks: u64) -> Self {
        self.children_cpu_ticks = ticks;
        self
    }

    pub(crate) fn of_user(mut self, user_id: u32) -> Self {
        self.user_id = user_id;
        self
    }
}

/// The host's first process, in namespaces 0.
pub(crate) fn host_init() -> Process {
    process(1, 0, "/usr/lib/systemd/systemd", &["/sbin/init"])
        .in_namespaces(namespaces(0))
        .in_cgroup("0::/\n")
}

/// A raylet with the arguments of a real one (Ray 2.40.0), as many of them as are read.
#[cfg(test)]
pub(crate) fn raylet(pid: i32, parent: i32) -> Process {
    process(
        pid,
        parent,
        "/usr/lib/ray/core/src/ray/raylet/raylet",
        &[
            "/usr/lib/ray/core/src/ray/raylet/raylet",
            "--raylet_socket_name=/tmp/ray/session_2026-01-05_12-00-00_442748_1/sockets/raylet",
            "--python_worker_command=/usr/bin/python3 /usr/lib/ray/_private/workers/setup_worker.py --gcs-address=no",
            "--temp_dir=/tmp/ray",
            "--session_dir=/tmp/ray/session_2026-01-05_12-00-00_442748_1",
            "--gcs-address=10.0.0.80:6379",
        ],
    )
}

pub(crate) fn snapshot(processes: impl IntoIterator<Item = Process>) -> Snapshot {
    let processes = std::iter::once(host_init()).chain(processes).collect();
    Snapshot { processes, unreadable: vec![], own: Some(namespaces(0)) }
}

/// The worker whose first process this is.
#[cfg(test)]
pub(crate) fn worker(init: &Process) -> Worker {
    Worker {
        name: "ray-worker-1".to_owned(),
        runtime: Runtime::Docker,
        container: None,
        init: init.id,
        mount_namespace: init.namespaces.mount,
        pid_namespace: init.namespaces.pid,
        cgroup: init.cgroup.clone(),
        raylets: vec![],
        temp_roots: vec![],
        upper_layer: None,
        started_at: None,
    }
}

/// A process whose folder and standard input lie deeper than a path can say.
#[cfg(test)]
pub(crate) struct Deep {
    pub(crate) sleeper: std::process::Child,
    _folder: tempfile::TempDir,
}

#[cfg(test)]
impl Deep {
    pub(crate) fn new() -> Self {
        use std::os::fd::{AsRawFd, OwnedFd};

        use rustix::fs::{Mode, OFlags, mkdirat, open, openat};

        let folder = tempfile::tempdir().unwrap();
        let name = "d".repeat(240);
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = open(folder.path(), flags, Mode::empty()).unwrap();
        let deepest = (0..20).fold(top, |above: OwnedFd, _| {
            mkdirat(&above, &name, Mode::RWXU).unwrap();
            openat(&above, &name, flags, Mode::empty()).unwrap()
        });
        let place = format!("/proc/self/fd/{}", deepest.as_raw_fd());
        let mut command = std::process::Command::new("sleep");
        let sleeper = command.arg("600").current_dir(place).stdin(deepest).spawn().unwrap();
        Self { sleeper, _folder: folder }
    }
}

#[cfg(test)]
impl Drop for Deep {
    fn drop(&mut self) {
        let _ = self.sleeper.kill();
        let _ = self.sleeper.wait();
    }
}

/// A file system that a user's own program serves, in a mount namespace, and a process of that user whose
/// folder and program lie in it. It answers nobody else, also not root, as `sshfs` does.
#[cfg(test)]
pub(crate) struct Served {
    pub(crate) world: crate::sweeper::inside::tests::harness::World,
    /// Where it is mounted.
    pub(crate) folder: PathBuf,
    /// What serves it.
    pub(crate) server: rustix::process::Pid,
    pub(crate) user: rustix::process::Pid,
}

#[cfg(test)]
impl Served {
    /// Served by this user; `None` where there is no program that serves, or nobody may make namespaces.
    pub(crate) fn new(user_id: u32) -> Option<Self> {
        std::process::Command::new("bindfs").arg("--version").output().ok()?;
        let script = r#"cd "$SCRATCH"; chmod 755 .; mkdir far near; chown USER far near
            mknod fuse c 10 229; chmod 666 fuse; mount --bind fuse /dev/fuse
            setpriv --reuid USER --regid USER --clear-groups sh -ec '
                bindfs -f --no-allow-other far near >/dev/null 2>&1 & echo $! >far/server
                tries=0; until mountpoint -q near; do tries=$((tries + 1)); [ $tries -lt 10000 ]; done
                cp /bin/sleep near; cd near; ./sleep 600 >/dev/null 2>&1 & echo $! >user'"#;
        let script = script.replace("USER", &user_id.to_string());
        let world = crate::sweeper::inside::tests::harness::World::start(&script)?;
        let pid = |name: &str| {
            let text = std::fs::read_to_string(world.scratch.join("far").join(name)).unwrap();
            rustix::process::Pid::from_raw(text.trim().parse().unwrap()).unwrap()
        };
        let (server, user) = (pid("server"), pid("user"));
        let exe = format!("/proc/{user}/exe");
        // It is a shell until it runs the program.
        while !std::fs::read_link(&exe).unwrap().starts_with(world.scratch.join("near")) {
            std::thread::yield_now();
        }
        Some(Self { folder: world.scratch.join("near"), world, server, user })
    }
}

#[cfg(test)]
impl Drop for Served {
    fn drop(&mut self) {
        for pid in [self.user, self.server] {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}
