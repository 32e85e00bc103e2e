//! What the report says of the file systems under the temp roots.

use super::Root;
use crate::{
    domain::report::{Disk, LISTED, WorkerReport, told},
    sweeper::inside::Usage,
};

/// One entry a file system, however many temp roots lie on it: a device number is known by heart to nobody.
pub(super) fn disks(roots: &mut [Root], before: &[Usage], reports: &[WorkerReport]) -> Vec<Disk> {
    let mut disks: Vec<Disk> = vec![];
    for (root, before) in roots.iter_mut().zip(before) {
        let (major, minor) = (rustix::fs::major(before.device), rustix::fs::minor(before.device));
        let mount = format!("{major}:{minor}");
        let named = told(&format!("{}:{}", reports[root.members[0]].name, root.path.display()));
        if let Some(known) = disks.iter_mut().find(|disk| disk.mount == mount) {
            if known.temp_roots.len() < LISTED {
                known.temp_roots.push(named);
            }
            continue;
        }
        let after = root.inside.disk().map_or(before.disk.avail_bytes, |disk| disk.avail_bytes);
        disks.push(Disk {
            mount,
            temp_roots: vec![named],
            size_bytes: before.disk.size_bytes,
            avail_before_bytes: before.disk.avail_bytes,
            avail_after_bytes: after,
        });
    }
    disks
}
