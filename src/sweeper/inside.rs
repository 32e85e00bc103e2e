//! The hands: a child of our own inside a worker's mount namespace.
//!
//! From the host's side a delete silently unmounts the container's bind mounts; from inside the same
//! call answers EBUSY. So everything that looks at or changes a temp root runs here. The child is the
//! same binary, re-executed before it enters (afterwards `/proc/self/exe` is gone) and before any
//! runtime or thread starts. It decides nothing: the parent does every look into /proc and says
//! `delete` or `restore`; end of input means restore.

mod child;
mod crew;
mod descent;
mod detach;
mod ending;
mod enter;
mod folder;
mod layer;
mod look;
mod parent;
pub(crate) mod protocol;
mod remove;
#[cfg(test)]
pub(crate) mod tests;
mod walk;
mod whereabouts;
mod wire;

pub(crate) use self::detach::{PREFIX as DETACHED, is_begun, name_before};

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::FileId;

/// The hidden first argument under which the binary is this child.
pub const ARGUMENT: &str = "inside";

/// A name directly in a folder, as the child lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Relative to the temp root. Bytes that are not UTF-8 survive the wire.
    #[serde(with = "wire")]
    pub(crate) path: PathBuf,
    pub(crate) id: FileId,
    pub(crate) kind: Kind,
    pub(crate) owner: u32,
    /// Whether something is mounted on it.
    pub(crate) mounted: bool,
}

/// The names in a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) entries: Vec<Entry>,
    /// Whether there are more of them.
    pub(crate) is_cut: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Folder,
    File,
    Symlink,
    Other,
}

/// The size of a temp root and of the file system under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Bytes on disk under the root: `st_blocks`, hard links once, no mount crossed.
    pub(crate) used_bytes: u64,
    pub(crate) files: u64,
    /// Whether all of it was seen; where its time was over before, the figures are what was seen till then.
    pub(crate) is_whole: bool,
    /// The root itself, and the device of its file system.
    pub(crate) root: FileId,
    /// The device that what lies there takes its space from: under an overlay, the upper layer's.
    pub(crate) device: u64,
    pub(crate) disk: DiskSpace,
}

/// Where a temp root lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Whereabouts {
    /// The root itself.
    pub(crate) root: FileId,
    /// The folders that it lies in, up to the root of its mount: whoever walks one of them sees it as well.
    pub(crate) above: Vec<FileId>,
    /// The device that what lies there takes its space from: under an overlay, the upper layer's.
    pub(crate) device: u64,
    /// Where the folder of its sessions lies.
    pub(crate) sessions: Sessions,
}

/// Where the sessions lie that are looked for in a temp root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sessions {
    /// In it, or nowhere.
    Here,
    /// In what is mounted on their folder.
    Mounted,
    /// In this user's folder, to which theirs is a symlink.
    Linked(u32),
}

/// What statvfs says of the file system under a temp root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DiskSpace {
    pub(crate) size_bytes: u64,
    pub(crate) avail_bytes: u64,
}

/// What a tree holds: everything that the parent needs to judge it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tree {
    pub(crate) id: FileId,
    pub(crate) kind: Kind,
    pub(crate) owner: u32,
    /// Bytes that removing it would free: hard links once, and only where all links lie in the tree.
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    /// The newest change of anything in it: mtime and btime of folders; mtime, ctime and btime of the rest.
    pub(crate) newest: Timestamp,
    /// When its top itself was made or last written to; no rename changes either.
    pub(crate) written: Timestamp,
    /// When its top itself was changed in any way: a rename is one, and so is that of our own detaching.
    pub(crate) moved: Timestamp,
    /// Files of the tree that are in the set of files in use, a bounded number of them.
    pub(crate) in_use: Vec<FileId>,
    /// The names (last components) of the sockets in it; `None` if there are too many to list.
    #[serde(with = "wire")]
    pub(crate) sockets: Option<Vec<PathBuf>>,
    /// Something is mounted in it, relative to the temp root.
    #[serde(with = "wire")]
    pub(crate) mount: Option<PathBuf>,
    /// Some of it lies in an image layer: removing it frees nothing.
    pub(crate) image_layer: bool,
    /// Owners found in it that are not the owner of its top.
    pub(crate) other_owner: Option<u32>,
}

/// How a detached tree came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Restored {
    /// Under its own name.
    InPlace,
    /// Something had taken its name: both stay.
    NameTaken,
}

/// What a delete did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deleted {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    /// Whether nothing of the tree is left.
    pub(crate) complete: bool,
    /// What could not be removed and why, a bounded number of them.
    pub(crate) errors: Vec<String>,
}

/// Why the child could not do what it was asked. What it was asked about is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "error", content = "detail")]
pub(crate) enum InsideError {
    /// The child ended or does not speak our protocol.
    #[error("the child in the worker's namespace ended: {0}")]
    Gone(String),
    /// No answer in time; the child was killed.
    #[error("no answer from the worker's namespace within {0}")]
    Timeout(String),
    /// The namespace is not the one that was meant: the container stopped, restarted, or the pid was reused.
    #[error("the worker is not the one that was looked at: {0}")]
    NotTheWorker(String),
    /// The temp root cannot be used: a network file system, a rootless container, a symlink.
    #[error("the temp root is refused: {0}")]
    RootRefused(String),
    /// Its part of the time was over before it was looked at to its end.
    #[error("it was not looked at to its end: its part of the sweep's time was over")]
    OutOfTime,
    /// It is not there any more.
    #[error("it is gone")]
    NotFound,
    /// It is not the file that was looked at.
    #[error("it is not the file that was looked at")]
    Changed,
    /// A symlink, a mount or something else that is no folder of the temp root's own lies in the way.
    #[error("{0}")]
    NoFolder(String),
    /// Its name leaves no room for the prefix.
    #[error("its name leaves no room for the prefix")]
    NameTooLong,
    /// The system said no.
    #[error("{0}")]
    System(String),
}

/// The parent's hold on a child inside a worker. Dropping it ends the child, which restores whatever
/// is detached.
#[derive(Debug)]
pub(crate) struct Inside {
    link: parent::Link,
    devices: enter::Devices,
    /// What the child was told to be in use, by inode number.
    in_use: BTreeMap<u64, FileId>,
    looking: Looking,
    /// When looks and deletes end.
    ends: Instant,
}

/// How long a look may take. Over the whole time there is only the deadline, after which nothing can be
/// asked any more: who looks until then has seen everything and done nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Looking {
    /// So much of the whole time is left when it ends at the latest.
    leave: Duration,
    /// No single look takes longer, so that the others get their turn.
    most: Duration,
}

impl Looking {
    /// As long as there is any time.
    const ALL: Self = Self { leave: Duration::ZERO, most: Duration::MAX };

    /// All looks together have one in so many parts of what is left, and any one of them one in so many of
    /// that.
    fn part(left: Duration, parts: u32, for_one: u32) -> Self {
        let looking = left / parts.max(1);
        Self { leave: left.saturating_sub(looking), most: looking / for_one.max(1) }
    }

    /// When a look ends that begins now, where the whole time ends then.
    fn until(self, ends: Instant) -> Instant {
        let now = Instant::now();
        let latest = ends.checked_sub(self.leave).unwrap_or(now);
        now.checked_add(self.most).map_or(latest, |most| most.min(latest))
    }
}

/// The child's own main. Called before anything else when the first argument is [`ARGUMENT`].
pub fn main() -> ExitCode {
    child::main()
}
