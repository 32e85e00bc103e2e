//! Where sessions lie that are not in the folder under whose name they are found.
//!
//! `/tmp/ray` may be a mount, or a symlink to where there is more room. Under the temp root neither is gone
//! into; the folder behind it is a root of its own.

use std::os::{fd::AsFd, unix::fs::MetadataExt};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, open, openat2},
    io::Errno,
};

use crate::sweeper::discover::{TempRoot, Worker};

/// The folder that a worker's sessions lie in, as a root that holds nothing else, where it is another one than
/// the folder of that name under this root. What cannot be told is left to whoever looks into it.
pub(super) fn sessions(worker: &Worker, root: &TempRoot) -> Option<TempRoot> {
    if root.sessions.as_os_str().is_empty() || !worker.runtime.leftovers_are_its_own() {
        return None;
    }
    let path_only = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let within = |folder: &dyn AsFd, path, rules| {
        let rules = rules | ResolveFlags::NO_MAGICLINKS;
        openat2(folder.as_fd(), path, path_only, Mode::empty(), rules)
    };
    let top = open(format!("/proc/{}/root", worker.init.pid), path_only, Mode::empty()).ok()?;
    let folder = within(&top, root.path.as_path(), ResolveFlags::IN_ROOT).ok()?;
    let plain = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let path = root.path.join(&root.sessions);
    let owner = match within(&folder, root.sessions.as_path(), plain | ResolveFlags::NO_XDEV) {
        // Whoever may write to `/tmp` may lay a symlink there: only that raylet's user's goes.
        Err(Errno::LOOP) => {
            let found = within(&top, path.as_path(), ResolveFlags::IN_ROOT).ok()?;
            let owner = std::fs::File::from(found).metadata().ok()?.uid();
            let is_rays = worker
                .raylets
                .iter()
                .any(|raylet| raylet.user_id == owner && raylet.temp_dir.as_deref() == Some(path.as_path()));
            Some(is_rays.then_some(owner)?)
        }
        // Only who may mount can have laid that there.
        Err(Errno::XDEV) => root.owner,
        _ => return None,
    };
    Some(TempRoot { path, sessions: std::path::PathBuf::new(), leftovers: false, owner })
}
