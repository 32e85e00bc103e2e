//! What a tree holds: its size, its age, and what speaks against removing it.

use std::{
    collections::{HashMap, HashSet},
    ffi::CStr,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

use jiff::Timestamp;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::fstatvfs,
    io::Errno,
};

use super::{
    DiskSpace, Entry, InsideError, Kind, Tree, Usage,
    folder::{self, Entries, Facts},
    layer::Layer,
    walk::{Visitor, walk},
};
use crate::sweeper::FileId;

/// One use is enough to keep a tree; a few more help whoever reads the report.
const MOST_IN_USE: usize = 32;
/// A tree with more sockets than this is no leftover of Ray's.
const MOST_SOCKETS: usize = 1000;

/// What statvfs says now.
pub(super) fn disk(root: impl AsFd) -> Result<DiskSpace, InsideError> {
    let disk = fstatvfs(root).map_err(|errno| folder::error("the temp root", errno))?;
    Ok(DiskSpace {
        size_bytes: disk.f_frsize.saturating_mul(disk.f_blocks),
        avail_bytes: disk.f_frsize.saturating_mul(disk.f_bavail),
    })
}

/// How much lies under the temp root, as far as it can be seen until then.
pub(super) fn usage(root: &OwnedFd, layer: &Layer, until: Instant) -> Result<Usage, InsideError> {
    let top = folder::descend(root, &[])?;
    let facts = folder::facts_of(&top).map_err(|errno| folder::error("the temp root", errno))?;
    let mut size = Size { bytes: facts.bytes, ..Size::default() };
    let is_whole = match walk(top, &mut size, until) {
        Ok(()) => true,
        Err(InsideError::OutOfTime) => false,
        Err(error) => return Err(error),
    };
    Ok(Usage {
        used_bytes: size.bytes,
        files: size.files,
        is_whole,
        root: facts.id,
        device: layer.device().unwrap_or(facts.id.dev),
        disk: disk(root)?,
    })
}

#[derive(Default)]
struct Size {
    bytes: u64,
    files: u64,
    /// Files with several links, and the bytes of each.
    linked: HashMap<FileId, u64>,
}

impl Visitor for Size {
    fn entry(&mut self, facts: &Facts, _name: &CStr, _path: &dyn Fn() -> PathBuf) {
        let is_linked = !facts.is_folder() && facts.links > 1;
        if facts.mounted || is_linked && self.linked.insert(facts.id, facts.bytes).is_some() {
            return;
        }
        self.bytes = self.bytes.saturating_add(facts.bytes);
        self.files += u64::from(!facts.is_folder());
    }

    fn another(&self) -> Self {
        Self::default()
    }

    /// A file whose links lie in folders of both was counted by both.
    fn join(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.files += other.files;
        for (id, bytes) in other.linked {
            if self.linked.insert(id, bytes).is_some() {
                self.bytes = self.bytes.saturating_sub(bytes);
                self.files -= 1;
            }
        }
    }

    /// A size is a figure on a chart: what cannot be seen is not in it, and the rest still is.
    fn unseen(&mut self, _path: PathBuf, _errno: Errno) -> Result<(), InsideError> {
        Ok(())
    }
}

/// The names in a folder that begin with one of these, or all of them, handed on one by one so that no
/// list is held whole. Says whether it was ended early.
pub(super) fn list(
    root: &OwnedFd,
    path: &Path,
    begins: &[String],
    mut each: impl FnMut(Entry) -> ControlFlow<()>,
) -> Result<bool, InsideError> {
    let top = folder::descend(root, &folder::names(path)?)?;
    let device = folder::facts_of(&top).map_err(|errno| folder::error("the folder", errno))?.id.dev;
    let is_asked = |name: &CStr| {
        begins.is_empty() || begins.iter().any(|begin| name.to_bytes().starts_with(begin.as_bytes()))
    };
    let mut is_cut = false;
    let read = Entries::new().each(&top, |name| {
        if !is_asked(name) {
            return Ok(());
        }
        match folder::facts(&top, name) {
            Ok(facts) => {
                let entry = Entry {
                    path: path.join(folder::as_path(name)),
                    id: facts.id,
                    kind: facts.kind,
                    owner: facts.owner,
                    mounted: facts.mounted || facts.is_folder() && facts.id.dev != device,
                };
                is_cut = each(entry).is_break();
                if is_cut { Err(InsideError::from(Errno::CANCELED)) } else { Ok(()) }
            }
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(folder::error(&name.to_string_lossy(), errno)),
        }
    });
    if is_cut { Ok(true) } else { read.map(|()| false) }
}

impl From<Errno> for InsideError {
    fn from(errno: Errno) -> Self {
        Self::System(folder::reason(errno))
    }
}

/// What a tree holds, for which there is time until then, or its top alone. An entry that can't be seen could
/// be anything, so it ends the look.
pub(super) fn look(
    root: &OwnedFd,
    layer: &Layer,
    path: &Path,
    whole: Option<Instant>,
    in_use: &HashSet<u64>,
) -> Result<Tree, InsideError> {
    let (parent, name) = folder::descend_to_parent(root, path)?;
    let mut facts = folder::facts(&parent, &name).map_err(|errno| match errno {
        Errno::NOENT => InsideError::NotFound,
        errno => folder::error(&path.to_string_lossy(), errno),
    })?;
    let above = folder::facts_of(&parent)?.id.dev;
    facts.mounted |= facts.is_folder() && facts.id.dev != above;
    let mut sight = Sight {
        top: path,
        devices: layer.devices(above),
        stray: None,
        owner: facts.owner,
        in_use,
        linked: HashMap::new(),
        tree: Tree {
            image_layer: layer.holds(path, &facts),
            written: facts.written(),
            moved: facts.ctime,
            ..empty(facts.id, facts.kind, facts.owner)
        },
    };
    sight.entry(&facts, &name, &PathBuf::new);
    if let Some(until) = whole.filter(|_| facts.is_folder() && !facts.mounted) {
        let top = folder::open_folder(&parent, &name).map_err(|errno| match errno {
            Errno::NOENT => InsideError::NotFound,
            errno => folder::error(&path.to_string_lossy(), errno),
        })?;
        if folder::facts_of(&top)?.id != facts.id {
            return Err(InsideError::Changed);
        }
        walk(top, &mut sight, until)?;
    }
    match sight.stray.take() {
        None => Ok(sight.finish()),
        Some(stray) => Err(InsideError::System(format!(
            "{} shows under a device of its own, as on an overlay over several file systems: who uses it cannot be told",
            stray.display()
        ))),
    }
}

/// A tree in which nothing was seen yet.
fn empty(id: FileId, kind: Kind, owner: u32) -> Tree {
    Tree {
        id,
        kind,
        owner,
        bytes: 0,
        files: 0,
        newest: Timestamp::MIN,
        written: Timestamp::MIN,
        moved: Timestamp::MIN,
        in_use: vec![],
        sockets: Some(vec![]),
        mount: None,
        image_layer: false,
        other_owner: None,
    }
}

/// A path in a tree as a path under the temp root. Joining an empty path would add a slash.
fn under(top: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { top.to_owned() } else { top.join(path) }
}

/// How many links of a file were seen, of how many, and what it would free.
struct Linked {
    seen: u64,
    links: u64,
    bytes: u64,
}

struct Sight<'a> {
    top: &'a Path,
    /// The devices under which files in use were told, where it was not those of all devices.
    devices: Option<[u64; 2]>,
    /// A file under another device.
    stray: Option<PathBuf>,
    owner: u32,
    in_use: &'a HashSet<u64>,
    linked: HashMap<FileId, Linked>,
    tree: Tree,
}

impl Visitor for Sight<'_> {
    fn entry(&mut self, facts: &Facts, name: &CStr, path: &dyn Fn() -> PathBuf) {
        let tree = &mut self.tree;
        if facts.mounted {
            tree.mount.get_or_insert_with(|| under(self.top, &path()));
            return;
        }
        if self.devices.is_some_and(|known| !known.contains(&facts.id.dev)) && self.stray.is_none() {
            self.stray = Some(under(self.top, &path()));
        }
        tree.newest = tree.newest.max(facts.newest());
        if self.in_use.contains(&facts.id.ino) && tree.in_use.len() < MOST_IN_USE {
            tree.in_use.push(facts.id);
        }
        if facts.owner != self.owner {
            tree.other_owner.get_or_insert(facts.owner);
        }
        if facts.socket
            && let Some(sockets) = &mut tree.sockets
        {
            if sockets.len() < MOST_SOCKETS {
                sockets.push(folder::as_path(name).to_owned());
            } else {
                tree.sockets = None;
            }
        }
        if facts.is_folder() {
            tree.bytes = tree.bytes.saturating_add(facts.bytes);
        } else if facts.links > 1 {
            let linked = Linked { seen: 0, links: facts.links, bytes: facts.bytes };
            self.linked.entry(facts.id).or_insert(linked).seen += 1;
        } else {
            tree.bytes = tree.bytes.saturating_add(facts.bytes);
            tree.files += 1;
        }
    }

    fn unseen(&mut self, path: PathBuf, errno: Errno) -> Result<(), InsideError> {
        Err(folder::error(&under(self.top, &path).to_string_lossy(), errno))
    }

    fn another(&self) -> Self {
        let Tree { id, kind, owner, .. } = self.tree;
        let tree = empty(id, kind, owner);
        Self { stray: None, linked: HashMap::new(), tree, ..*self }
    }

    fn join(&mut self, other: Self) {
        let tree = &mut self.tree;
        tree.bytes = tree.bytes.saturating_add(other.tree.bytes);
        tree.files += other.tree.files;
        tree.newest = tree.newest.max(other.tree.newest);
        tree.in_use.extend(other.tree.in_use);
        tree.in_use.truncate(MOST_IN_USE);
        tree.mount = tree.mount.take().or(other.tree.mount);
        tree.other_owner = tree.other_owner.or(other.tree.other_owner);
        tree.sockets = match (tree.sockets.take(), other.tree.sockets) {
            (Some(mut ours), Some(theirs)) if ours.len() + theirs.len() <= MOST_SOCKETS => {
                ours.extend(theirs);
                Some(ours)
            }
            _ => None,
        };
        self.stray = self.stray.take().or(other.stray);
        for (id, theirs) in other.linked {
            self.linked.entry(id).and_modify(|ours| ours.seen += theirs.seen).or_insert(theirs);
        }
    }
}

impl Sight<'_> {
    fn finish(mut self) -> Tree {
        for linked in self.linked.values() {
            self.tree.files += 1;
            if linked.seen >= linked.links {
                self.tree.bytes = self.tree.bytes.saturating_add(linked.bytes);
            }
        }
        self.tree
    }
}
