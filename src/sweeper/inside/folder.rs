//! Folders by descriptor: one name at a time, never through a symlink, never across a mount.
//!
//! A path is resolved by the kernel anew at every use and may lead elsewhere each time; a descriptor
//! stays the folder that was opened. So nothing here takes a path of more than one component.

use std::{
    ffi::{CStr, CString, OsStr},
    mem::MaybeUninit,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use jiff::Timestamp;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{
        AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, Statx, StatxAttributes, StatxFlags,
        StatxTimestamp, makedev, openat2, statx,
    },
    io::{Errno, Result},
};

use super::{InsideError, Kind};
use crate::sweeper::FileId;

/// Larger buffers for folder entries were measured to gain nothing.
const ENTRIES_BYTES: usize = 256 * 1024;
/// Entries of one folder that are put in order before they are looked at or removed. A file system
/// lists them by hash; in the order of their inodes the next one lies beside the last. A folder of a
/// million still takes no more than these.
const SORTED_AT_ONCE: usize = 128 * 1024;

/// So many of them are the least that one thread hands to another.
const BLOCK: usize = 1024;

/// A mount or a symlink on the way is refused by the kernel itself, in the same step that opens.
const NEVER_LEAVE: ResolveFlags =
    ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_XDEV);

/// What one look at an inode tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) id: FileId,
    pub(super) kind: Kind,
    pub(super) socket: bool,
    pub(super) owner: u32,
    pub(super) links: u64,
    /// On disk, not in length.
    pub(super) bytes: u64,
    /// The root of a mount: what lies behind it is somebody else's.
    pub(super) mounted: bool,
    pub(super) mount_id: u64,
    pub(super) mtime: Timestamp,
    pub(super) ctime: Timestamp,
    pub(super) btime: Timestamp,
}

impl Facts {
    fn new(stat: &Statx) -> Self {
        let (kind, socket) = match FileType::from_raw_mode(u32::from(stat.stx_mode)) {
            FileType::Directory => (Kind::Folder, false),
            FileType::RegularFile => (Kind::File, false),
            FileType::Symlink => (Kind::Symlink, false),
            FileType::Socket => (Kind::Other, true),
            _ => (Kind::Other, false),
        };
        let has_btime = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
        Self {
            id: FileId { dev: makedev(stat.stx_dev_major, stat.stx_dev_minor), ino: stat.stx_ino },
            kind,
            socket,
            owner: stat.stx_uid,
            links: u64::from(stat.stx_nlink),
            bytes: stat.stx_blocks.saturating_mul(512),
            mounted: stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
            mount_id: stat.stx_mnt_id,
            mtime: time(stat.stx_mtime),
            ctime: time(stat.stx_ctime),
            // A file system that keeps no time of birth has nothing to add to the other two.
            btime: if has_btime { time(stat.stx_btime) } else { Timestamp::MIN },
        }
    }

    /// The newest change. A folder's ctime is left out: our own rename sets it.
    pub(super) fn newest(&self) -> Timestamp {
        if self.kind == Kind::Folder { self.written() } else { self.written().max(self.ctime) }
    }

    /// When it was made or last written to. A rename changes neither.
    pub(super) fn written(&self) -> Timestamp {
        self.mtime.max(self.btime)
    }

    pub(super) fn is_folder(&self) -> bool {
        self.kind == Kind::Folder
    }
}

/// A time that cannot be told counts as the newest there is.
fn time(at: StatxTimestamp) -> Timestamp {
    i32::try_from(at.tv_nsec)
        .ok()
        .and_then(|nanos| Timestamp::new(at.tv_sec, nanos).ok())
        .unwrap_or(Timestamp::MAX)
}

const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME).union(StatxFlags::MNT_ID);

/// What a name in a folder is. Nothing is followed and nothing is mounted by looking.
pub(super) fn facts(folder: impl AsFd, name: &CStr) -> Result<Facts> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    statx(folder, name, flags, WANTED).map(|stat| Facts::new(&stat))
}

/// What an open descriptor is.
pub(super) fn facts_of(fd: impl AsFd) -> Result<Facts> {
    statx(fd, c"", AtFlags::EMPTY_PATH, WANTED).map(|stat| Facts::new(&stat))
}

/// Opens a folder in a folder. A plain read of a folder sets its atime, through overlayfs as well;
/// a sweep that only looks must leave no trace.
pub(super) fn open_folder(parent: impl AsFd, name: &CStr) -> Result<OwnedFd> {
    open(parent.as_fd(), name, NEVER_LEAVE | ResolveFlags::BENEATH)
}

/// Opens the folder that holds this one. `..` leads out of what BENEATH allows, so the caller
/// compares identities.
pub(super) fn open_parent(folder: impl AsFd) -> Result<OwnedFd> {
    open(folder.as_fd(), c"..", NEVER_LEAVE)
}

fn open(at: BorrowedFd<'_>, name: &CStr, resolve: ResolveFlags) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat2(at, name, flags | OFlags::NOATIME, Mode::empty(), resolve) {
        // Only its owner and who may act as its owner can ask for O_NOATIME.
        Err(Errno::PERM) => openat2(at, name, flags, Mode::empty(), resolve),
        opened => opened,
    }
}

/// The components of a path under the temp root. Only plain names are taken.
pub(super) fn names(path: &Path) -> std::result::Result<Vec<CString>, InsideError> {
    path.components()
        .map(|component| match component {
            Component::Normal(name) => CString::new(name.as_bytes()).ok(),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| InsideError::System(format!("{} is no path under the temp root", path.display())))
}

/// Opens a folder under the temp root, one component at a time.
pub(super) fn descend(root: impl AsFd, names: &[CString]) -> std::result::Result<OwnedFd, InsideError> {
    let mut folder = open_folder(&root, c".").map_err(|errno| error("the temp root", errno))?;
    for name in names {
        folder = open_folder(&folder, name).map_err(|errno| match errno {
            Errno::NOENT => InsideError::NotFound,
            Errno::LOOP | Errno::XDEV | Errno::NOTDIR => {
                InsideError::NoFolder(format!("{}: {}", name.to_string_lossy(), reason(errno)))
            }
            errno => error(&name.to_string_lossy(), errno),
        })?;
    }
    Ok(folder)
}

/// Opens the folder of an entry under the temp root and says the entry's name in it.
pub(super) fn descend_to_parent(
    root: impl AsFd,
    path: &Path,
) -> std::result::Result<(OwnedFd, CString), InsideError> {
    let mut names = names(path)?;
    let name =
        names.pop().ok_or_else(|| InsideError::System("the temp root itself is no entry".to_owned()))?;
    Ok((descend(root, &names)?, name))
}

/// What a failed step means to a reader of the report.
pub(super) fn error(what: &str, errno: Errno) -> InsideError {
    InsideError::System(format!("{what}: {}", reason(errno)))
}

/// The answers that have a meaning of their own here, and the system's words for the rest.
pub(super) fn reason(errno: Errno) -> String {
    match errno {
        Errno::XDEV => "another file system or an image layer lies there".to_owned(),
        Errno::LOOP => "a symlink lies there".to_owned(),
        Errno::TIMEDOUT => "the deadline has come".to_owned(),
        errno => std::io::Error::from(errno).to_string(),
    }
}

/// A name as a path of one component.
pub(super) fn as_path(name: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(name.to_bytes()))
}

/// Joins names to a path.
pub(super) fn join<'a>(names: impl IntoIterator<Item = &'a CStr>) -> PathBuf {
    names.into_iter().map(as_path).collect()
}

/// Room for folder entries, made once and used for every folder.
pub(super) struct Entries {
    buffer: Box<[MaybeUninit<u8>]>,
    names: Vec<u8>,
    /// Inode number and place in `names`.
    order: Vec<(u64, usize)>,
}

impl Entries {
    pub(super) fn new() -> Self {
        Self { buffer: Box::new_uninit_slice(ENTRIES_BYTES), names: vec![], order: vec![] }
    }

    /// Calls `each` for every name in the folder, as [`Self::blocks`] finds them.
    pub(super) fn each<E: From<Errno>>(
        &mut self,
        folder: impl AsFd,
        mut each: impl FnMut(&CStr) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.blocks(folder, |block| block.names().try_for_each(&mut each))
    }

    /// Calls `each` for all names in the folder, from where the descriptor stands, so many at a time and
    /// by inode number as far as so many entries at once go.
    pub(super) fn blocks<E: From<Errno>>(
        &mut self,
        folder: impl AsFd,
        mut each: impl FnMut(Block<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut entries = RawDir::new(folder, &mut self.buffer);
        loop {
            self.names.clear();
            self.order.clear();
            while self.order.len() < SORTED_AT_ONCE
                && let Some(entry) = entries.next()
            {
                let entry = entry?;
                let name = entry.file_name();
                if name != c"." && name != c".." {
                    self.order.push((entry.ino(), self.names.len()));
                    self.names.extend_from_slice(name.to_bytes_with_nul());
                }
            }
            if self.order.is_empty() {
                return Ok(());
            }
            self.order.sort_unstable();
            for order in self.order.chunks(BLOCK) {
                each(Block { names: &self.names, order })?;
            }
        }
    }
}

/// Some names of a folder.
pub(super) struct Block<'a> {
    names: &'a [u8],
    order: &'a [(u64, usize)],
}

impl Block<'_> {
    /// Whether there are so many that handing them to another thread pays.
    pub(super) fn is_full(&self) -> bool {
        self.order.len() == BLOCK
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &CStr> {
        // Each name was pushed with its end.
        self.order.iter().filter_map(|(_, at)| CStr::from_bytes_until_nul(&self.names[*at..]).ok())
    }

    pub(super) fn to_names(&self) -> Names {
        let mut names = Names::default();
        self.names().for_each(|name| names.push(name));
        names
    }
}

/// Names still to be visited, without an allocation for each: a flat folder may hold a million of them.
#[derive(Debug, Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
}

impl Names {
    pub(super) fn push(&mut self, name: &CStr) {
        self.bytes.extend_from_slice(name.to_bytes_with_nul());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &CStr> {
        self.bytes.split_inclusive(|byte| *byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok())
    }

    pub(super) fn pop(&mut self) -> Option<CString> {
        let (_, rest) = self.bytes.split_last()?;
        let start = rest.iter().rposition(|byte| *byte == 0).map_or(0, |at| at + 1);
        let name = CString::new(&rest[start..]).ok()?;
        self.bytes.truncate(start);
        Some(name)
    }
}
