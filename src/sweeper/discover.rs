//! Which workers there are: the containers whose name matches or in which a raylet runs, and the
//! bare host where root's settings say so.

use std::path::PathBuf;

use super::{FileId, ProcessId, processes::Snapshot};
use crate::config::sweep::SweepSettings;

/// What runs a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runtime {
    Docker,
    Podman,
    Bare,
    /// A raylet in a namespace of which no runtime tells: loses dead sessions only.
    Unknown,
}

impl Runtime {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Bare => "bare",
            Self::Unknown => "unknown",
        }
    }

    /// Whether what lies under its temp root is the worker's alone: on a bare host `/tmp` is
    /// everybody's, and in a namespace of which no runtime tells nobody knows whose it is.
    pub(crate) fn leftovers_are_its_own(self) -> bool {
        matches!(self, Self::Docker | Self::Podman)
    }
}

/// A Ray node on this host.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    /// The container's name, or `host`.
    pub(crate) name: String,
    pub(crate) runtime: Runtime,
    /// The container's id, where a runtime told us.
    pub(crate) container: Option<String>,
    /// The process through which its namespaces are entered.
    pub(crate) init: ProcessId,
    pub(crate) mount_namespace: FileId,
    pub(crate) pid_namespace: FileId,
    /// The lines of the init process's `/proc/PID/cgroup`, for the child to check that it is right.
    pub(crate) cgroup: String,
    /// Every raylet that runs in it.
    pub(crate) raylets: Vec<Raylet>,
    /// Its temp roots as absolute paths inside it, without duplicates.
    pub(crate) temp_roots: Vec<TempRoot>,
}

/// A folder in which Ray and its tasks leave temporary files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TempRoot {
    /// The folder itself, absolute inside the worker: leftovers lie directly in it.
    pub(crate) path: PathBuf,
    /// Where `session_*` lie, relative to `path`: `ray`, or empty where sessions lie directly in it.
    pub(crate) sessions: PathBuf,
}

/// A raylet and what its own arguments tell.
#[derive(Debug, Clone)]
pub(crate) struct Raylet {
    pub(crate) id: ProcessId,
    /// `--session_dir`, in its own namespace.
    pub(crate) session_dir: Option<PathBuf>,
    /// `--gcs-address`.
    pub(crate) gcs_address: Option<String>,
    /// The first word of `--python_worker_command`.
    pub(crate) python: Option<String>,
}

/// A worker that is left alone, and why.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) name: String,
    pub(crate) runtime: Runtime,
    pub(crate) reason: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Discovery {
    pub(crate) workers: Vec<Worker>,
    pub(crate) refused: Vec<Refused>,
}

/// Why it cannot be said which workers there are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiscoverError {
    #[error("the container runtime at {socket} does not answer: {message}")]
    Runtime { socket: String, message: String },
}

/// Finds every worker. Without a runtime's socket there are only the workers that /proc shows.
pub(crate) async fn discover(
    _settings: &SweepSettings,
    _processes: &Snapshot,
) -> Result<Discovery, DiscoverError> {
    Ok(Discovery::default())
}
