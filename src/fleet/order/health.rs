//! What a host's part sees of its host, for `doctor`: facts, and no judgement of them.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Change, HostPart};
use crate::domain::attempt::Mode;

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examination {
    /// What `deploy` would put in place; absent where the inventory does not say enough for a deploy.
    pub part: Option<HostPart>,
    /// Where node_exporter looks.
    pub textfile_dir: PathBuf,
}

/// What a host looks like from inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The host's clock.
    pub now: Timestamp,
    /// What a deploy would change, or why it could not; absent where it is not known what it would put.
    pub changes: Option<Result<Vec<Change>, String>>,
    /// What the program that lies there says of its version.
    pub version: Result<String, String>,
    /// What its settings say.
    pub settings: Result<Settings, String>,
    /// Why the host is on hold.
    pub hold: Option<String>,
    /// Whether cron runs, and what it is to run.
    pub cron: Cron,
    /// Whoever has the lock of sweeps.
    pub lock: Result<Option<Holder>, String>,
    /// Whether the container runtime answers; absent where Ray runs on the bare host.
    pub containers: Option<Result<(), String>>,
    /// Every temp root that was found, and whether it can be looked into.
    pub temp_roots: Result<Vec<TempRoot>, String>,
    /// What sudo says of the responder's account.
    pub sudo: Result<(), String>,
    /// The figures for node_exporter.
    pub textfile: Textfile,
    /// The folders that node_exporter's processes read; empty where none runs.
    pub exporters: Vec<Exporter>,
}

/// What the settings say that anybody else has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether anything is deleted.
    pub mode: Mode,
    /// How long a sweep may take, in seconds.
    pub deadline_secs: u64,
    /// The container runtime's socket.
    pub socket: PathBuf,
    /// While it exists nothing is deleted.
    pub hold_file: PathBuf,
}

/// The backstop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cron {
    /// Whether its file is there.
    pub has_file: bool,
    /// Whether a cron runs.
    pub runs: bool,
    /// Its last run.
    pub last: Option<LastRun>,
    /// How many runs were due since, and have not ended, by the host's schedule; absent where it is not known since when.
    pub missed: Option<usize>,
}

/// The last run of the backstop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// How it ended.
    pub outcome: String,
    /// When.
    pub finished_at: Timestamp,
}

/// A process that has a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its number.
    pub pid: i32,
    /// Its name.
    pub name: String,
    /// How long it has been at it: since its sweep began, where it is one, and not since it began to wait for
    /// its part of `jitter`; else how long it has been running.
    pub age_secs: u64,
}

/// A folder that holds what Ray leaves behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TempRoot {
    /// Whose it is.
    pub worker: String,
    /// Where it lies; empty where the worker as a whole was refused.
    pub path: String,
    /// Why it cannot be looked into.
    pub trouble: Option<String>,
}

/// The figures for node_exporter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Textfile {
    /// How long ago they were written, in seconds; or why that cannot be told.
    pub age_secs: Result<u64, String>,
    /// Whether node_exporter's folder has them.
    pub is_linked: bool,
    /// When they were written, and when node_exporter's folder got them, by the host's clock.
    pub written_at: Option<Timestamp>,
    /// See `written_at`.
    pub linked_at: Option<Timestamp>,
    /// The metrics that have a figure.
    pub metrics: Vec<String>,
}

/// A node_exporter that runs on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exporter {
    /// Its process.
    pub pid: i32,
    /// What its textfile collector reads by its arguments, as it sees it.
    pub folders: Vec<PathBuf>,
    /// Whether one of them is the folder that the figures are put into; absent where that cannot be told.
    pub reads: Option<bool>,
    /// Whether it sees other file systems than the host: its folders are not the host's of that name.
    pub has_own_mounts: bool,
}
