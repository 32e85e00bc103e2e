//! Which processes belong to a worker: whoever shares its mounts, its pids or its cgroup.

use super::Worker;
use crate::sweeper::{
    FileId,
    processes::{Process, Snapshot},
};

/// How a container's processes are known.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    /// `None` where the container shares the host's: then it tells nothing.
    mount: Option<FileId>,
    pid: Option<FileId>,
    /// The container's own cgroups: the hierarchy's number and the path.
    cgroups: Vec<(String, String)>,
}

impl Membership {
    /// What a worker's processes have in common.
    pub(crate) fn of(worker: &Worker, snapshot: &Snapshot) -> Self {
        Self::new(
            worker.mount_namespace,
            worker.pid_namespace,
            &worker.cgroup,
            worker.container.as_deref(),
            snapshot,
        )
    }

    pub(crate) fn of_init(init: &Process, container: Option<&str>, snapshot: &Snapshot) -> Self {
        Self::new(init.namespaces.mount, init.namespaces.pid, &init.cgroup, container, snapshot)
    }

    fn new(mount: FileId, pid: FileId, cgroup: &str, container: Option<&str>, snapshot: &Snapshot) -> Self {
        let cgroups = lines(cgroup)
            .filter_map(|(hierarchy, path)| Some((hierarchy.to_owned(), own_part(path, container)?)))
            .collect();
        Self {
            mount: (!snapshot.is_host(|host| host.mount == mount)).then_some(mount),
            pid: (!snapshot.is_host(|host| host.pid == pid)).then_some(pid),
            cgroups,
        }
    }

    /// Whether a process belongs to it. What entered by `nsenter` or as a container inside the
    /// container does, too.
    pub(crate) fn holds(&self, process: &Process) -> bool {
        self.mount == Some(process.namespaces.mount)
            || self.pid == Some(process.namespaces.pid)
            || lines(&process.cgroup).any(|(hierarchy, path)| self.is_own(hierarchy, path))
    }

    /// Whether the runtime's own bookkeeping agrees that there is a cgroup of the container.
    pub(super) fn has_cgroup(&self) -> bool {
        !self.cgroups.is_empty()
    }

    fn is_own(&self, hierarchy: &str, path: &str) -> bool {
        self.cgroups.iter().any(|(own_hierarchy, own)| {
            own_hierarchy == hierarchy
                && path
                    .strip_prefix(own.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// `4:memory:/docker/ID` as the hierarchy and the path. A path may hold colons.
fn lines(cgroup: &str) -> impl Iterator<Item = (&str, &str)> {
    cgroup.lines().filter_map(|line| {
        let (number, rest) = line.split_once(':')?;
        Some((number, rest.split_once(':')?.1))
    })
}

/// A container's cgroup ends at the component that carries its id: what it made below is its own,
/// and a path without the id is shared with others, such as the runtime's daemon on hybrid hosts.
fn own_part(path: &str, container: Option<&str>) -> Option<String> {
    let mut own = String::new();
    for component in path.split('/').skip(1) {
        own.push('/');
        own.push_str(component);
        let carries = match container {
            Some(id) => component.contains(id),
            None => container_id_in(component).is_some(),
        };
        if carries {
            return Some(own);
        }
    }
    None
}

/// The 64 hexadecimal digits by which every runtime names a container's cgroup.
pub(crate) fn container_id_in(text: &str) -> Option<&str> {
    const LENGTH: usize = 64;
    text.split(|c: char| !c.is_ascii_hexdigit()).find(|part| part.len() == LENGTH)
}

/// A container has mounts of its own; one that shows the host's is not what the runtime says it is.
pub(super) fn why_refused(init: &Process, membership: &Membership, snapshot: &Snapshot) -> Option<String> {
    if !snapshot.is_host(|host| host.user == init.namespaces.user) {
        return Some(
            "it has a user namespace of its own (rootless): its users are not the host's".to_owned(),
        );
    }
    if membership.mount.is_none() {
        return Some("it shares the host's mount namespace".to_owned());
    }
    None
}
