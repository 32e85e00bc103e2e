//! What parent and child say to each other: one JSON line a request, one or more a request's answer.
//!
//! Both sides speak over one socket, which is the child's standard input: so nothing that is printed
//! by accident is taken for an answer, and a read has a time limit without a thread to watch it.

use std::{
    io::{self, Read, Write},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Deleted, DiskSpace, Entry, InsideError, Looking, Restored, Tree, Usage, Whereabouts,
    enter::{Devices, Target},
    wire,
};
use crate::{domain::attempt::AttemptId, sweeper::FileId};

/// The files in use of a busy host take up a few megabytes.
pub(super) const MOST_REQUEST_BYTES: usize = 64 << 20;
/// Every answer is bounded in itself, and a list is sent in parts.
pub(super) const MOST_ANSWER_BYTES: usize = 16 << 20;

/// What the parent asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Request {
    /// The first one, and only that.
    Enter(Target),
    Usage {
        looking: Looking,
    },
    Disk,
    Whereabouts {
        /// Where sessions are looked for, relative to the temp root.
        #[serde(with = "wire")]
        sessions: PathBuf,
    },
    List {
        #[serde(with = "wire")]
        folder: PathBuf,
        /// What the names begin with; any name where there is none.
        begins: Vec<String>,
        /// Whoever asks holds all of them: of more, so many are told.
        most: usize,
    },
    /// Looks and deletes end when so much time has passed, where that is before the end of the whole time.
    EndWithin {
        left: Duration,
    },
    /// The inode numbers of the files in use that can lie under this temp root.
    Remember {
        in_use: Vec<u64>,
    },
    Look {
        #[serde(with = "wire")]
        path: PathBuf,
        /// Whether what lies in it is looked at as well.
        whole: bool,
        looking: Looking,
    },
    Detach {
        #[serde(with = "wire")]
        path: PathBuf,
        id: FileId,
        attempt: AttemptId,
    },
    Restore {
        #[serde(with = "wire")]
        detached: PathBuf,
    },
    Delete {
        #[serde(with = "wire")]
        detached: PathBuf,
        id: FileId,
        /// Only what belongs to this user goes.
        owner: Option<u32>,
    },
}

/// What the child answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", content = "value", rename_all = "snake_case")]
pub(super) enum Answer {
    Entered(Devices),
    Usage(Usage),
    Disk(DiskSpace),
    Whereabouts(Whereabouts),
    /// A part of a list; `Listed` ends it.
    Entries(Vec<Entry>),
    Listed {
        is_cut: bool,
    },
    Bounded,
    Remembered,
    Tree(Box<Tree>),
    Detached(#[serde(with = "wire")] PathBuf),
    Restored(Restored),
    Deleted(Deleted),
    Failed(InsideError),
}

/// Writes one line.
pub(in crate::sweeper) fn write_line(mut to: impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Takes lines from a stream and holds what came after the last one.
#[derive(Debug, Default)]
pub(in crate::sweeper) struct Lines {
    held: Vec<u8>,
}

/// What a read came to.
pub(in crate::sweeper) enum Line<T> {
    Message(T),
    /// Nothing came before the stream ended.
    End,
}

impl Lines {
    /// Reads the next line, however it was cut on its way. More than `most` bytes, an end in mid-line
    /// and what is no message are errors; `before_read` is called before every wait.
    pub(in crate::sweeper) fn next<T: DeserializeOwned>(
        &mut self,
        mut from: impl Read,
        most: usize,
        mut before_read: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Line<T>> {
        let mut searched = 0;
        let mut chunk = vec![0; 64 * 1024];
        loop {
            if let Some(at) = self.held[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.held.split_off(searched + at + 1);
                let line = std::mem::replace(&mut self.held, rest);
                return Ok(Line::Message(serde_json::from_slice(&line)?));
            }
            searched = self.held.len();
            if searched > most {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long"));
            }
            before_read()?;
            match from.read(&mut chunk) {
                Ok(0) if self.held.is_empty() => return Ok(Line::End),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.held.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
