//! What `deploy` tells its part on a host, and what that answers: a line of JSON each way, between two
//! processes of the very same binary.

pub mod health;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use health::{Examination, Health};

/// What is to be done on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Only say what would be done.
    pub check: bool,
    /// What to do.
    pub task: Task,
}

/// Put the host's part in place, take it away, let it rest, or only look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Put it in place, as it is described.
    Deploy(HostPart),
    /// Take it away.
    Undeploy {
        /// Where the link for node_exporter lies.
        textfile_dir: PathBuf,
        /// Leave out of the crontabs what an earlier deploy took out of them.
        drop_old_cron: bool,
    },
    /// Nothing is deleted there by anyone any more.
    Hold(Hold),
    /// It goes on.
    Release,
    /// Look at it, and change nothing.
    Examine(Examination),
}

/// Who wants a host left alone, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why; a hold that is there stays as it is where nothing is said.
    pub reason: Option<String>,
    /// Who, and when.
    pub by: String,
}

/// What is not the same on every host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPart {
    /// The whole of `sweep.yml`.
    pub settings: String,
    /// The responder's public key, one line without its end.
    pub public_key: String,
    /// Where the responder comes from.
    pub from: Vec<String>,
    /// When the host's own sweep runs.
    pub schedule: String,
    /// Where its sweeps leave their log, which is to be rotated.
    pub log_dir: PathBuf,
    /// Where node_exporter looks.
    pub textfile_dir: PathBuf,
    /// The container runtime's socket; absent where Ray runs on the bare host.
    pub socket: Option<PathBuf>,
    /// Take the old script's cron lines away.
    pub replace_old_cron: bool,
    /// Put the settings in the place of those that no deploy has written.
    pub overwrite_settings: bool,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The host is as it should be; after a check, nothing was changed.
    Done(Done),
    /// What was seen there.
    Examined(Box<Health>),
    /// It is not.
    Failed(Failed),
}

/// What was done, or after a check would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// In the order in which it was done; nothing where all was as it should be.
    pub changes: Vec<Change>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// The lines with which cron starts the old script; they are gone if a change says so.
    pub old_cron: Vec<OldLine>,
    /// What no deploy has written and would have been overwritten. If there is any, nothing was done.
    pub by_hand: Vec<Change>,
}

/// One thing that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// A path, or `account NAME`.
    pub what: String,
    /// How.
    pub how: How,
    /// The difference, for people; empty where there is nothing to show.
    pub diff: String,
}

/// How a thing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It was not there.
    Created,
    /// It was another.
    Changed,
    /// It is no longer there.
    Removed,
}

impl How {
    /// The word as tables and JSON write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}

/// A line of somebody's crontab that starts the old script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldLine {
    /// The crontab.
    pub file: PathBuf,
    /// The line.
    pub line: String,
}

/// Why the host is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// What went wrong.
    pub why: String,
    /// Whether the host is as it was before.
    pub as_before: bool,
}
