//! The host's view of itself, as what watches a host has it mounted.

use std::path::Path;

use crate::sweeper::mountinfo::Mount;

/// Whether a mount is nothing but a part of the host's own tree, which came along when that tree was
/// mounted to be read: `-v /:/host:ro,rslave`. The option holds for the mount on top alone; what lies below
/// it, the root of every container among it, is as writable as it is on the host. Whoever has it so means
/// the host and no worker's folder.
pub(super) fn is_of_the_host(mount: &Mount, mounts: &[Mount], host: &[Mount]) -> bool {
    let mut below = mount;
    // As many steps as there are mounts: a table that goes in circles is none of the kernel's.
    for _ in mounts {
        let Some(above) = mounts.iter().find(|above| above.id == below.parent) else { return false };
        // What was laid over the host's own by hand is meant.
        if above.point == below.point {
            return false;
        }
        if above.read_only && shows(above, mount, host) {
            return true;
        }
        below = above;
    }
    false
}

/// Whether the view shows a folder of the host's in which the host has the same mount at the same place.
fn shows(view: &Mount, mount: &Mount, host: &[Mount]) -> bool {
    let Ok(place) = mount.point.strip_prefix(&view.point) else { return false };
    let is_there = |folder: &Path| {
        let point = folder.join(place);
        let is_it = |own: &&Mount| own.device == mount.device && own.root == mount.root;
        host.iter().filter(is_it).any(|own| own.point == point)
    };
    host.iter().filter(|own| own.device == view.device).any(|own| {
        let shown = view.root.strip_prefix(&own.root);
        shown.is_ok_and(|shown| is_there(&own.point.join(shown)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &[&str]) -> Vec<Mount> {
        let whole = |line: &&str| Mount::parse(format!("{line} - ext4 /dev/vda rw").as_bytes()).unwrap();
        lines.iter().map(whole).collect()
    }

    /// The host, with a disk for Docker's data, a worker's root on it, a volume of another disk, and one
    /// that was given by hand at a place where the host has a folder only.
    fn host() -> Vec<Mount> {
        table(&[
            "22 1 8:1 / / rw",
            "30 22 8:16 / /var/lib/docker rw",
            "40 30 0:60 / /var/lib/docker/overlay2/w/merged rw",
            "41 22 8:32 / /data rw",
        ])
    }

    /// Which of a neighbour's mounts are the host's view of itself.
    fn of_the_host(lines: &[&str]) -> Vec<bool> {
        let mounts = table(lines);
        mounts.iter().map(|mount| is_of_the_host(mount, &mounts, &host())).collect()
    }

    #[test]
    fn what_came_along_below_the_hosts_root_is_the_hosts_view_of_itself() {
        let exporter = [
            "100 90 0:70 / / rw",
            "101 100 8:1 / /host ro",
            "102 101 8:16 / /host/var/lib/docker rw",
            "103 102 0:60 / /host/var/lib/docker/overlay2/w/merged rw",
            "104 101 8:32 / /host/data rw",
        ];
        assert_eq!(of_the_host(&exporter), [false, false, true, true, true]);
        // cAdvisor is given Docker's folder once more.
        let cadvisor = [
            "100 90 0:70 / / rw",
            "101 100 8:16 / /var/lib/docker ro",
            "102 101 0:60 / /var/lib/docker/overlay2/w/merged rw",
        ];
        assert_eq!(of_the_host(&cadvisor), [false, false, true]);
    }

    #[test]
    fn what_was_mounted_to_be_written_or_is_elsewhere_than_on_the_host_is_meant() {
        let top = "100 90 0:70 / / rw";
        for (why, lines) in [
            ("all of the host, to be written", ["101 100 8:1 / /host rw", "102 101 8:32 / /host/data rw"]),
            ("the disk at another place", ["101 100 8:1 / /host ro", "102 101 8:32 / /host/mine rw"]),
            ("a folder of the disk", ["101 100 8:1 / /host ro", "102 101 8:32 /ray /host/data rw"]),
            ("beside the view", ["101 100 8:1 / /host ro", "102 100 8:32 / /data rw"]),
            ("no view of the host", ["101 100 8:99 / /host ro", "102 101 8:32 / /host/data rw"]),
        ] {
            assert_eq!(of_the_host(&[top, lines[0], lines[1]]), [false; 3], "{why}");
        }
        let over = ["101 100 8:1 / /host ro", "102 101 8:32 / /host/data rw", "103 102 8:32 / /host/data rw"];
        assert_eq!(of_the_host(&over), [false, true, false], "laid over it by hand");
    }

    #[test]
    fn a_table_that_goes_in_circles_has_an_end() {
        assert_eq!(of_the_host(&["1 2 8:32 / /a rw", "2 1 8:32 / /b rw", "3 3 8:32 / /c rw"]), [false; 3]);
    }
}
