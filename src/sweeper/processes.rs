//! What /proc says of every process on the host, read once into values.

pub(crate) mod open;
pub(crate) mod proc;
pub(crate) mod room;

use std::{
    io,
    path::{Path, PathBuf},
};

use self::{
    open::{OpenFiles, no_files, open_files},
    proc::{Unread, living_folder},
    room::Room,
};
use super::{FileId, ProcessId, inside};

/// One process, as one reading of /proc shows it.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) id: ProcessId,
    /// Its number in its own pid namespace, which is what a worker's files are named by.
    pub(crate) inner_pid: i32,
    pub(crate) parent: i32,
    /// The arguments. A title set by setproctitle shows as one argument.
    pub(crate) arguments: Vec<String>,
    /// Whether there are more arguments than are read: none is given then, and it may be anything.
    pub(crate) says_too_much: bool,
    /// What `/proc/PID/exe` names, in the process's own namespace, where that can be said.
    pub(crate) exe: Option<PathBuf>,
    /// Its real user and group, as the host numbers them.
    pub(crate) user_id: u32,
    pub(crate) group_id: u32,
    /// CPU used so far by itself and by children that it waited for, in clock ticks.
    pub(crate) cpu_ticks: u64,
    pub(crate) children_cpu_ticks: u64,
    pub(crate) namespaces: Namespaces,
    /// The lines of `/proc/PID/cgroup`.
    pub(crate) cgroup: String,
    /// What its file descriptors name (`/proc/PID/fd/*`) of what tells what it is: one of each kind, a GPU
    /// and logs of Ray's (`open::LOGS`). One that is too long to be said is neither.
    pub(crate) open: Vec<PathBuf>,
    /// What its standard input is.
    pub(crate) stdin: Option<PathBuf>,
    /// Whether its group is the one that its terminal listens to.
    pub(crate) in_foreground: bool,
}

impl Process {
    /// The base name of the program that it runs, whatever its title says.
    pub(crate) fn program(&self) -> &str {
        let name = self.exe.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or("");
        // A program that was replaced on disk while it runs.
        name.strip_suffix(" (deleted)").unwrap_or(name)
    }

    /// The value of an argument written `--name=value`.
    pub(crate) fn flag(&self, name: &str) -> Option<&str> {
        self.arguments.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='))
    }
}

/// Every process of the host at one moment. Kernel threads, zombies and our own children inside
/// workers are not in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) processes: Vec<Process>,
    /// Processes that are there and could not be read: each might be anything.
    pub(crate) unreadable: Vec<(i32, String)>,
    /// Our own namespaces, which are the host's.
    pub(crate) own: Option<Namespaces>,
}

/// The namespaces that tell a container from its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Namespaces {
    pub(crate) mount: FileId,
    pub(crate) pid: FileId,
    pub(crate) user: FileId,
}

impl Namespaces {
    fn read(folder: &Path) -> Result<Self, Unread> {
        let id = |name| proc::file_id(&folder.join("ns").join(name));
        Ok(Self { mount: id("mnt")?, pid: id("pid")?, user: id("user")? })
    }
}

impl Snapshot {
    /// Reads every process of the host. A process that ends while it is read is not in it.
    pub(crate) fn read() -> io::Result<Self> {
        Self::read_from(Path::new("/proc"), open_files)
    }

    /// The same without what they have open, which is most of the cost: enough to find the workers, and
    /// not to judge them.
    pub(crate) fn read_without_files() -> io::Result<Self> {
        Self::read_from(Path::new("/proc"), no_files)
    }

    fn read_from(proc_root: &Path, open_files: impl Fn(&Path) -> OpenFiles) -> io::Result<Self> {
        let ourselves = Ourselves::read(proc_root);
        let pids = match proc::numbers(proc_root) {
            Ok(pids) => pids,
            Err(Unread::Failed(error)) => return Err(error),
            Err(Unread::Vanished) => return Err(io::ErrorKind::NotFound.into()),
        };
        let own = Namespaces::read(&proc_root.join("self")).ok();
        let mut snapshot = Self { own, ..Self::default() };
        let mut room = Room::default();
        for pid in pids {
            match read_process(proc_root, pid, ourselves.as_ref(), &open_files, &mut room) {
                Ok(Some(process)) => snapshot.processes.push(process),
                Ok(None) | Err(Unread::Vanished) => {}
                Err(Unread::Failed(error)) => snapshot.unreadable.push((pid, error.to_string())),
            }
        }
        Ok(snapshot)
    }

    /// The process of this number.
    pub(crate) fn find(&self, pid: i32) -> Option<&Process> {
        self.processes.iter().find(|process| process.id.pid == pid)
    }

    /// Whether these are the namespaces of the host: ours or those of its first process.
    pub(crate) fn is_host(&self, matches: impl Fn(&Namespaces) -> bool) -> bool {
        let first = self.find(1).map(|process| process.namespaces);
        self.own.iter().chain(&first).any(matches)
    }
}

/// By what a child of our own is known: its program is our file, and it stayed in our pid namespace,
/// which nothing in a container can do.
#[derive(Debug)]
pub(crate) struct Ourselves {
    program: FileId,
    pid_namespace: FileId,
}

impl Ourselves {
    pub(crate) fn read(proc_root: &Path) -> Option<Self> {
        let folder = proc_root.join("self");
        Some(Self {
            program: proc::file_id(&folder.join("exe")).ok()?,
            pid_namespace: proc::file_id(&folder.join("ns/pid")).ok()?,
        })
    }

    /// Whether this is a child inside a worker, of this sweep or of another. It looks at what it
    /// judges and deletes; it is no sign that anybody else needs it.
    pub(crate) fn is_child_inside(&self, folder: &Path, arguments: &[String]) -> bool {
        arguments.get(1).is_some_and(|argument| argument == inside::ARGUMENT)
            && proc::file_id(&folder.join("exe")).is_ok_and(|id| id == self.program)
            && proc::file_id(&folder.join("ns/pid")).is_ok_and(|id| self.is_in(id))
    }

    /// Whether this pid namespace is ours.
    pub(crate) fn is_in(&self, pid_namespace: FileId) -> bool {
        self.pid_namespace == pid_namespace
    }
}

fn read_process(
    proc_root: &Path,
    pid: i32,
    ourselves: Option<&Ourselves>,
    open_files: &impl Fn(&Path) -> OpenFiles,
    room: &mut Room,
) -> Result<Option<Process>, Unread> {
    let Some((folder, stat)) = living_folder(proc_root, pid)? else { return Ok(None) };
    let arguments = proc::cmdline(&folder)?;
    let own = arguments.as_deref().unwrap_or_default();
    if ourselves.is_some_and(|ourselves| ourselves.is_child_inside(&folder, own)) {
        return Ok(None);
    }
    let namespaces = Namespaces::read(&folder)?;
    let arguments = arguments.filter(|arguments| room.take(namespaces.mount, arguments));
    let (open, stdin) = open_files(&folder.join("fd"))?;
    let Status { user_id, group_id, inner_pid } = Status::read(&folder.join("status"))?;
    Ok(Some(Process {
        id: ProcessId { pid, start_ticks: stat.start_ticks },
        inner_pid,
        parent: stat.parent,
        says_too_much: arguments.is_none(),
        arguments: arguments.unwrap_or_default(),
        exe: proc::link(&folder.join("exe"))?,
        user_id,
        group_id,
        cpu_ticks: stat.cpu_ticks,
        children_cpu_ticks: stat.children_cpu_ticks,
        namespaces,
        cgroup: proc::text(&folder.join("cgroup"))?,
        open,
        stdin,
        in_foreground: stat.in_foreground,
    }))
}

/// The lines of `/proc/PID/status` that are needed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) user_id: u32,
    pub(crate) group_id: u32,
    pub(crate) inner_pid: i32,
}

impl Status {
    fn read(path: &Path) -> Result<Self, Unread> {
        Self::parse(&proc::text(path)?).ok_or_else(|| Unread::odd(path, "no user, group or pid"))
    }

    /// The real user and group: a program that runs as another user than the one who started it
    /// still speaks for the one who did.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        let real = |key: &str| value(key)?.split_whitespace().next()?.parse().ok();
        Some(Self {
            user_id: real("Uid:")?,
            group_id: real("Gid:")?,
            // From the outermost namespace that we see to its own.
            inner_pid: value("NSpid:")?.split_whitespace().last()?.parse().ok()?,
        })
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
