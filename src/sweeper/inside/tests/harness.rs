//! Workers to enter: this machine's own namespace, and namespaces made for a test.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Pid;

use crate::{
    domain::attempt::AttemptId,
    sweeper::{
        FileId, ProcessId,
        discover::{Runtime, Worker},
        inside::{Deleted, Inside, InsideError, Restored, Tree},
    },
};

pub(super) const DEADLINE: Duration = Duration::from_mins(1);

/// The worker that a process is in.
pub(crate) fn worker_of(pid: u32) -> Worker {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let stat = read("stat");
    let start_ticks = stat.rsplit_once(')').unwrap().1.split(' ').nth(20).unwrap().parse().unwrap();
    Worker {
        name: "test".to_owned(),
        runtime: Runtime::Docker,
        container: None,
        init: ProcessId { pid: i32::try_from(pid).unwrap(), start_ticks },
        mount_namespace: id(Path::new(&format!("/proc/{pid}/ns/mnt"))),
        pid_namespace: id(Path::new(&format!("/proc/{pid}/ns/pid"))),
        cgroup: read("cgroup"),
        raylets: vec![],
        temp_roots: vec![],
        upper_layer: None,
        started_at: None,
    }
}

/// The worker that this test itself is in.
pub(super) fn here() -> Worker {
    worker_of(std::process::id())
}

pub(crate) fn enter(root: &Path) -> Inside {
    Inside::enter(&here(), root, DEADLINE).unwrap()
}

/// The child's pid, for what is to be done to it.
pub(crate) fn pid_of(inside: &Inside) -> Pid {
    Pid::from_raw(i32::try_from(inside.link.pid()).unwrap()).unwrap()
}

/// Polls until there is a value, within a bound.
pub(crate) fn wait_for<T>(what: &str, mut value: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = value() {
            return value;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A file's identity, without following it if it is a symlink in a temp root.
pub(crate) fn id(path: &Path) -> FileId {
    let meta =
        if path.starts_with("/proc") { fs::metadata(path) } else { fs::symlink_metadata(path) }.unwrap();
    FileId { dev: meta.dev(), ino: meta.ino() }
}

/// One at a time, as tests do things.
impl Inside {
    pub(crate) fn detach(
        &mut self,
        path: &Path,
        id: FileId,
        attempt: AttemptId,
    ) -> Result<PathBuf, InsideError> {
        self.detach_all([(path, id)].into_iter(), attempt).remove(0)
    }

    pub(crate) fn restore(&mut self, detached: &Path) -> Result<Restored, InsideError> {
        self.restore_all([detached].into_iter()).remove(0)
    }

    pub(crate) fn delete(&mut self, detached: &Path, id: FileId) -> Result<Deleted, InsideError> {
        self.delete_all([(detached, id)].into_iter(), None).remove(0)
    }
}

/// Says what is in use, and looks.
pub(super) fn look(
    inside: &mut Inside,
    path: impl AsRef<Path>,
    in_use: &BTreeSet<FileId>,
) -> Result<Tree, InsideError> {
    inside.remember(in_use)?;
    inside.look(path.as_ref())
}

/// Detaches an entry and deletes it.
pub(super) fn sweep_away(inside: &mut Inside, root: &Path, name: &Path) -> Deleted {
    let id = id(&root.join(name));
    let detached = inside.detach(name, id, AttemptId::now()).unwrap();
    inside.delete(&detached, id).unwrap()
}

/// A process in a mount namespace of its own, set up by a shell script that ends by saying `ready`.
pub(crate) struct World {
    child: Child,
    pub(crate) pid: u32,
    // Kept open: the shell waits for its end.
    _scratch: tempfile::TempDir,
    pub(crate) scratch: PathBuf,
}

impl World {
    /// Runs the script as `unshare -m`. It finds a scratch folder of this machine in `$SCRATCH`.
    /// `None` where nobody may make namespaces.
    pub(crate) fn start(script: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let scratch = tempfile::tempdir().unwrap();
        let mut child = Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-ec"])
            .arg(format!("{script}\necho ready\nread end"))
            .env("SCRATCH", scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line != "ready\n" {
            let mut why = String::new();
            child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            panic!("the world did not start: {line}{why}");
        }
        let pid = child.id();
        let path = scratch.path().to_owned();
        Some(Self { child, pid, _scratch: scratch, scratch: path })
    }

    pub(super) fn worker(&self) -> Worker {
        worker_of(self.pid)
    }

    pub(crate) fn enter(&self, root: &str) -> Inside {
        Inside::enter(&self.worker(), Path::new(root), DEADLINE).unwrap()
    }

    /// Its one process ends, as a container's first process does when it is stopped.
    pub(super) fn end(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }

    /// A path as this world sees it. For looking only.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
