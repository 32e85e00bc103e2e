//! The host side: from a request to a report.
//!
//! `supervise` holds the lock and the clock; `sweep`, in a child of it, is the order of things; each stage has a file of its own. Only `inside` and `remove`,
//! which run as a child in a worker's mount namespace, change anything under a temp root.

pub mod backstop;
pub(crate) mod candidates;
pub(crate) mod discover;
pub(crate) mod evidence;
pub mod gate;
pub(crate) mod hold;
pub mod inside;
pub(crate) mod jobs;
pub(crate) mod lock;
pub mod logbook;
pub mod measure;
pub(crate) mod modesty;
pub(crate) mod mountinfo;
pub(crate) mod processes;
pub(crate) mod prune;
pub(crate) mod ray_api;
pub(crate) mod record;
pub(crate) mod roots;
pub(crate) mod sharing;
pub(crate) mod signs;
pub mod supervise;
pub(crate) mod sweep;
pub(crate) mod temp_root;

use serde::{Deserialize, Serialize};

/// A file, as the kernel tells files apart. Names are wrong across namespaces; this is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct FileId {
    /// Device number as `makedev(major, minor)` gives it.
    pub(crate) dev: u64,
    /// Inode number.
    pub(crate) ino: u64,
}

/// A process that stays the same process: a pid alone is reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    /// Its number in the host's pid namespace.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub(crate) start_ticks: u64,
}
