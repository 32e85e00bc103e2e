//! Where a temp root lies, and where the sessions lie that are looked for in it.

use std::path::Path;

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags, openat2, statx},
    io::Errno,
};

use super::{
    InsideError, Sessions, Whereabouts,
    enter::{self, Root},
    folder,
};
use crate::sweeper::FileId;

/// No temp root lies deeper in its mount than this.
const MOST_LEVELS: usize = 128;

/// Where the root lies, and `sessions` of it, which is relative to it.
pub(super) fn whereabouts(root: &Root, sessions: &Path) -> Result<Whereabouts, InsideError> {
    let own = folder::facts_of(&root.fd).map_err(|errno| folder::error("the temp root", errno))?.id;
    Ok(Whereabouts {
        root: own,
        above: above(&root.fd, own),
        device: root.layer.device().unwrap_or(own.dev),
        sessions: look_for(root, sessions),
    })
}

/// Every folder that it lies in, up to the root of its mount. What cannot be told is not in it.
fn above(root: &OwnedFd, own: FileId) -> Vec<FileId> {
    let mut folders = vec![];
    let mut last = own;
    let mut parent = folder::open_parent(root);
    while let Ok(fd) = parent {
        let Ok(facts) = folder::facts_of(&fd) else { break };
        // The root of all is its own parent.
        if facts.id == last || folders.len() == MOST_LEVELS {
            break;
        }
        folders.push(facts.id);
        last = facts.id;
        parent = folder::open_parent(&fd);
    }
    folders
}

/// What cannot be told is left to whoever looks into the folder.
fn look_for(root: &Root, sessions: &Path) -> Sessions {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let plain = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    if sessions.as_os_str().is_empty() {
        return Sessions::Here;
    }
    match openat2(&root.fd, sessions, flags, Mode::empty(), plain) {
        Err(Errno::XDEV) => Sessions::Mounted,
        Err(Errno::LOOP) => owner(&root.path.join(sessions)).map_or(Sessions::Here, Sessions::Linked),
        _ => Sessions::Here,
    }
}

/// Whose the folder at the end of a symlink is, as far as it is known here: whoever serves a network file
/// system may not answer, and then nothing of this root would be looked at.
fn owner(path: &Path) -> Option<u32> {
    let found = enter::find(path).ok()?;
    let as_known = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    statx(&found, c"", as_known, StatxFlags::UID).ok().map(|stat| stat.stx_uid)
}
