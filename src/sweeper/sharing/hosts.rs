//! Folders of the host that a worker was given.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    path::{Component, Path, PathBuf},
};

use super::root_mount;
use crate::sweeper::mountinfo::Mount;

/// What the host calls a folder of a worker, of which the file system and the path in it are given. Nothing
/// where it is the worker's own: in its root, in a volume that the runtime keeps for it, or on a file system
/// that the host does not have.
pub(super) fn names(device: &str, path: &Path, worker: &[Mount], host: &[Mount]) -> BTreeSet<PathBuf> {
    let root = root_mount(worker);
    let is_in_root = root.is_some_and(|(own, top)| own == device && path.starts_with(top));
    if is_in_root || is_volume(path) {
        return BTreeSet::new();
    }
    let known = host.iter().filter(|mount| mount.device == device);
    known.filter_map(|mount| Some(mount.point.join(path.strip_prefix(&mount.root).ok()?))).collect()
}

/// Whether it lies where Docker and Podman keep a volume's files, which nobody but a container is given:
/// `…/volumes/NAME/_data`. A volume that root made of a folder of the host's lies in that folder.
fn is_volume(path: &Path) -> bool {
    let parts: Vec<&OsStr> = path
        .components()
        .filter_map(|part| if let Component::Normal(part) = part { Some(part) } else { None })
        .collect();
    parts.windows(3).any(|parts| parts[0] == "volumes" && parts[2] == "_data")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &[&str]) -> Vec<Mount> {
        let whole = |line: &&str| Mount::parse(format!("{line} - ext4 /dev/vda rw").as_bytes()).unwrap();
        lines.iter().map(whole).collect()
    }

    #[test]
    fn a_folder_of_the_hosts_has_its_names_and_what_is_the_workers_own_has_none() {
        let host = table(&[
            "22 1 8:1 / / rw",
            "23 22 8:32 / /scratch rw",
            "24 22 8:32 /jobs /srv/jobs rw",
            "40 22 0:60 / /var/lib/docker/overlay2/w/merged rw",
        ]);
        let overlay = table(&["100 90 0:60 / / rw", "101 100 8:32 /jobs/a /tmp rw"]);
        let snapshot = table(&["100 90 8:1 /var/lib/docker/btrfs/subvolumes/w / rw"]);
        let check = |worker: &[Mount], device, path, expected: &[&str]| {
            let names = names(device, Path::new(path), worker, &host);
            assert_eq!(names, expected.iter().map(PathBuf::from).collect(), "{device} {path}");
        };
        check(&overlay, "8:32", "/jobs/a", &["/scratch/jobs/a", "/srv/jobs/a"]);
        check(&overlay, "8:1", "/data/ray", &["/data/ray"]);
        check(&overlay, "8:32", "/", &["/scratch"]);
        check(&overlay, "0:60", "/tmp", &[]);
        check(&snapshot, "8:1", "/var/lib/docker/btrfs/subvolumes/w/tmp", &[]);
        check(&snapshot, "8:1", "/var/lib/docker/tmp", &["/var/lib/docker/tmp"]);
        check(&overlay, "8:1", "/var/lib/docker/volumes/v/_data", &[]);
        check(&overlay, "8:1", "/var/lib/containers/storage/volumes/v/_data/deep", &[]);
        check(&overlay, "8:1", "/volumes/_data", &["/volumes/_data"]);
        check(&overlay, "0:99", "/", &[]);
    }
}
