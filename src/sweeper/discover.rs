//! Which workers there are: the containers whose name matches or in which a raylet runs, and the
//! bare host where root's settings say so.

mod containers;
pub(crate) mod membership;
mod temp_roots;

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;

pub(crate) use self::containers::{connect, runtime};
use self::{
    containers::{Container, running},
    membership::{Membership, container_id_in, why_refused},
    temp_roots::TempVariables,
};
use super::{
    FileId, ProcessId,
    processes::{Process, Snapshot, proc},
};
use crate::{
    config::sweep::{Bare, SweepSettings},
    domain::report::told,
};

/// The number of the host's first process.
const HOST_INIT: i32 = 1;

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
    /// Its temp roots, without duplicates.
    pub(crate) temp_roots: Vec<TempRoot>,
    /// Where the runtime says that its own layer of the file system lies, as the host names it.
    pub(crate) upper_layer: Option<PathBuf>,
    /// When its container was started, as the host's clock stood then: the runtime has written it down.
    pub(crate) started_at: Option<Timestamp>,
}

/// A folder that holds what Ray leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TempRoot {
    /// An absolute path inside the worker.
    pub(crate) path: PathBuf,
    /// Where `session_*` lie, relative to `path`; empty where they lie directly in it.
    pub(crate) sessions: PathBuf,
    /// Whether `tmp*` and the like in it are leftovers: not where only a raylet's arguments name it.
    pub(crate) leftovers: bool,
    /// Whose it has to be to go, where a process names the folder and not root: anybody may call itself
    /// raylet, and gets nothing deleted that it could not delete itself.
    pub(crate) owner: Option<u32>,
}

/// A raylet and what its own arguments tell.
#[derive(Debug, Clone)]
pub(crate) struct Raylet {
    pub(crate) id: ProcessId,
    /// The user and group that it runs as.
    pub(crate) user_id: u32,
    pub(crate) group_id: u32,
    /// `--temp_dir`, in its own namespace.
    pub(crate) temp_dir: Option<PathBuf>,
    /// `--session_dir`, in its own namespace.
    pub(crate) session_dir: Option<PathBuf>,
    /// `--node_id`, by which Ray's own API knows it.
    pub(crate) node_id: Option<String>,
    /// `--gcs-address`.
    pub(crate) gcs_address: Option<String>,
    /// The first word of `--python_worker_command`.
    pub(crate) python: Option<String>,
}

impl Raylet {
    /// What a process tells of itself if it is a raylet: by its program, and by arguments that only a
    /// raylet takes. Its title is not asked.
    pub(crate) fn of(process: &Process) -> Option<Self> {
        if process.program() != "raylet" {
            return None;
        }
        process.flag("--raylet_socket_name")?;
        let session_dir = process.flag("--session_dir")?;
        Some(Self {
            id: process.id,
            user_id: process.user_id,
            group_id: process.group_id,
            temp_dir: process.flag("--temp_dir").map(PathBuf::from),
            session_dir: Some(session_dir.into()),
            node_id: process.flag("--node_id").map(str::to_owned),
            gcs_address: process.flag("--gcs-address").map(str::to_owned),
            python: process.flag("--python_worker_command").and_then(first_word),
        })
    }
}

/// The first word of a command line that Python's `list2cmdline` wrote; quoted where it holds spaces.
fn first_word(command: &str) -> Option<String> {
    let word = match command.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?.0,
        None => command.split(' ').next()?,
    };
    (!word.is_empty()).then(|| word.to_owned())
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
    #[error("containers.name_pattern: {0}")]
    Pattern(#[from] globset::Error),
}

/// Finds every worker. Without a runtime's socket there are only the workers that /proc shows.
pub(crate) async fn discover(
    settings: &SweepSettings,
    processes: &Snapshot,
) -> Result<Discovery, DiscoverError> {
    let containers = running(&settings.containers).await?;
    let pattern = globset::Glob::new(&settings.containers.name_pattern)?.compile_matcher();
    let is_named = |name: &str| pattern.is_match(name);
    Ok(assign(processes, &containers, settings.bare.as_ref(), &is_named, &environment))
}

/// What a process started with, for the folders that its children take for temporary ones.
fn environment(process: ProcessId) -> TempVariables {
    let path = PathBuf::from(format!("/proc/{}/environ", process.pid));
    let Ok(text) = proc::text(&path) else { return TempVariables::default() };
    TempVariables::of(text.split('\0'))
}

/// Gives each raylet to the container that it runs in, to the host or to an unknown runtime.
fn assign(
    processes: &Snapshot,
    containers: &[Container],
    bare: Option<&Bare>,
    is_named: &dyn Fn(&str) -> bool,
    environment: &dyn Fn(ProcessId) -> TempVariables,
) -> Discovery {
    let mut discovery = Discovery::default();
    let mut homeless: Vec<&Process> =
        processes.processes.iter().filter(|process| Raylet::of(process).is_some()).collect();
    for container in containers {
        let Some(init) = processes.find(container.pid) else {
            // It started or ended while the host was looked at: the next sweep sees it.
            if is_named(&container.name) {
                discovery.refuse(&container.name, container.runtime, "its first process is not there");
            }
            continue;
        };
        let membership = Membership::of_init(init, Some(&container.id), processes);
        let inside: Vec<&Process> = if membership.has_cgroup() {
            homeless.extract_if(.., |raylet| membership.holds(raylet)).collect()
        } else {
            vec![]
        };
        if inside.is_empty() && !is_named(&container.name) {
            continue;
        }
        match container_worker(container, init, &membership, &inside, processes, environment) {
            Ok(worker) => discovery.workers.push(worker),
            Err(reason) => discovery.refuse(&container.name, container.runtime, &reason),
        }
    }
    discovery.assign_homeless(&homeless, bare, processes);
    discovery
}

fn container_worker(
    container: &Container,
    init: &Process,
    membership: &Membership,
    inside: &[&Process],
    processes: &Snapshot,
    environment: &dyn Fn(ProcessId) -> TempVariables,
) -> Result<Worker, String> {
    if !membership.has_cgroup() {
        return Err(format!("process {} is in no cgroup of this container", container.pid));
    }
    if let Some(reason) = why_refused(init, membership, processes) {
        return Err(reason);
    }
    let raylets = raylets_of(inside);
    let variables: Vec<_> = raylets.iter().map(|raylet| environment(raylet.id)).collect();
    let own = TempVariables::of(container.environment.iter().map(String::as_str));
    let temp_roots = temp_roots::of_container(&own, &raylets, &variables)?;
    not_too_many(&raylets, &temp_roots)?;
    let id = Some(container.id.clone());
    let worker = worker(&container.name, container.runtime, id, init, raylets, temp_roots);
    Ok(Worker { upper_layer: container.upper_layer.clone(), started_at: container.started_at, ..worker })
}

/// Any process may call itself raylet. Each is asked in its turn and each folder entered at once, so that
/// one container's crowd would take the time of all others; a node has one raylet and few folders.
fn not_too_many(raylets: &[Raylet], roots: &[TempRoot]) -> Result<(), String> {
    const RAYLETS: usize = 8;
    const ROOTS: usize = 16;
    if raylets.len() > RAYLETS {
        return Err(format!("{} processes in it are raylets, more than {RAYLETS}", raylets.len()));
    }
    if roots.len() > ROOTS {
        return Err(format!("{} temporary folders are named in it, more than {ROOTS}", roots.len()));
    }
    Ok(())
}

fn raylets_of(processes: &[&Process]) -> Vec<Raylet> {
    processes.iter().filter_map(|process| Raylet::of(process)).collect()
}

fn worker(
    name: &str,
    runtime: Runtime,
    container: Option<String>,
    init: &Process,
    raylets: Vec<Raylet>,
    temp_roots: Vec<TempRoot>,
) -> Worker {
    Worker {
        name: name.to_owned(),
        runtime,
        container,
        init: init.id,
        mount_namespace: init.namespaces.mount,
        pid_namespace: init.namespaces.pid,
        cgroup: init.cgroup.clone(),
        raylets,
        temp_roots,
        upper_layer: None,
        started_at: None,
    }
}

impl Discovery {
    fn refuse(&mut self, name: &str, runtime: Runtime, reason: &str) {
        self.refused.push(Refused { name: name.to_owned(), runtime, reason: told(reason) });
    }

    /// Raylets in no container that a runtime told of.
    fn assign_homeless(&mut self, homeless: &[&Process], bare: Option<&Bare>, processes: &Snapshot) {
        let mut on_host: Vec<&Process> = vec![];
        let mut by_mounts: BTreeMap<FileId, Vec<&Process>> = BTreeMap::new();
        for raylet in homeless {
            if processes.is_host(|host| host.mount == raylet.namespaces.mount) {
                on_host.push(raylet);
            } else {
                by_mounts.entry(raylet.namespaces.mount).or_default().push(raylet);
            }
        }
        self.assign_bare(&on_host, bare, processes);
        for raylets in by_mounts.values() {
            self.assign_unknown(raylets, processes);
        }
    }

    /// On the bare host everything comes from root's settings: any process may call itself raylet. And
    /// because it does, a host whose Ray has stopped is a worker all the same: what its sessions held is
    /// nobody's any more.
    fn assign_bare(&mut self, raylets: &[&Process], bare: Option<&Bare>, processes: &Snapshot) {
        const NAME: &str = "host";
        let Some(bare) = bare else {
            if let Some(raylet) = raylets.first() {
                let reason = format!(
                    "raylet {} runs on the bare host, and the settings name no temp root for it (bare.temp_root)",
                    raylet.id.pid
                );
                self.refuse(NAME, Runtime::Bare, &reason);
            }
            return;
        };
        let ours: Vec<&Process> =
            raylets.iter().copied().filter(|raylet| raylet.user_id == bare.user_id).collect();
        if let Some(other) = raylets.iter().find(|raylet| raylet.user_id != bare.user_id) {
            let reason = format!(
                "raylet {} runs as user {}, not as bare.user_id {}",
                other.id.pid, other.user_id, bare.user_id
            );
            self.refuse(NAME, Runtime::Bare, &reason);
        }
        // Through the host's first process, which lives as long as the host does. Its namespaces are the
        // host's, even where this sweep runs in a namespace of its own.
        let first = if raylets.is_empty() { processes.find(HOST_INIT) } else { ours.first().copied() };
        let Some(first) = first else {
            if raylets.is_empty() {
                self.refuse(NAME, Runtime::Bare, "the host's first process cannot be read");
            }
            return;
        };
        let root = TempRoot {
            path: bare.temp_root.clone(),
            sessions: "ray".into(),
            leftovers: false,
            owner: Some(bare.user_id),
        };
        self.workers.push(worker(NAME, Runtime::Bare, None, first, raylets_of(&ours), vec![root]));
    }

    /// A raylet in mounts of its own of which no runtime tells: a pod, a service with a private /tmp.
    fn assign_unknown(&mut self, inside: &[&Process], processes: &Snapshot) {
        let first = inside[0];
        let id = container_id_in(&first.cgroup).map(str::to_owned);
        let name = match &id {
            Some(id) => format!("container-{}", &id[..12]),
            None => format!("mounts-{}", first.namespaces.mount.ino),
        };
        let membership = Membership::of_init(first, id.as_deref(), processes);
        let raylets = raylets_of(inside);
        let roots = match why_refused(first, &membership, processes) {
            Some(reason) => Err(reason),
            None => temp_roots::of_raylets(&raylets)
                .and_then(|roots| not_too_many(&raylets, &roots).map(|()| roots)),
        };
        match roots {
            Ok(roots) => self.workers.push(worker(&name, Runtime::Unknown, id, first, raylets, roots)),
            Err(reason) => self.refuse(&name, Runtime::Unknown, &reason),
        }
    }
}

#[cfg(test)]
mod tests;
