//! `/etc/raysweep/sweep.yml`: what root lets a sweep do on this host.

use std::path::PathBuf;

use globset::{GlobBuilder, GlobSet};
use serde::{Deserialize, Serialize};

use super::{
    schedule::Schedule,
    units::{Size, Span},
};
use crate::domain::attempt::Mode;

/// Where a host's settings lie.
pub const DEFAULT_PATH: &str = "/etc/raysweep/sweep.yml";

/// Root's settings for this host. A missing key takes its default; an unknown one is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SweepSettings {
    /// `observe` (say what would go) or `enforce` (delete). Default `observe`.
    pub mode: Mode,
    /// While this file exists nothing is deleted by anyone. Default `/etc/raysweep/hold`.
    pub hold_file: PathBuf,
    /// Where the lock (`lock`, mode 700) and the last results lie; never on a disk that may be full. Default `/run/raysweep`.
    pub runtime_dir: PathBuf,
    /// Where each sweep leaves a line, if it can; `deploy` writes `/etc/logrotate.d/raysweep` for it. Default `/var/log/raysweep`.
    pub log_dir: PathBuf,
    /// How long a whole sweep may take. Default `10m`.
    pub deadline: Span,
    /// When cron sweeps, as Debian's cron reads it: five fields, or `@hourly` and the like. `deploy` writes `/etc/cron.d/raysweep` from it. Default `7 * * * *`.
    pub schedule: Schedule,
    /// Cron's sweep waits its host's own part of this, the same each time, so that not all hosts begin at once; never longer than what lies between two runs. Default `5m`.
    pub jitter: Span,
    /// Cron and manual sweeps leave a worker alone that holds less. Economy, not safety. Default `5000MB`.
    pub min_tmp_size: Size,
    /// What tells work from rest.
    pub activity: Activity,
    /// How old a leftover must be.
    pub ages: Ages,
    /// Which containers are workers, and how the runtime is reached.
    pub containers: Containers,
    /// Ray on the bare host; absent where Ray runs in containers only.
    pub bare: Option<Bare>,
    /// What is removed from the container runtime after the workers.
    pub prune: Prune,
}

impl SweepSettings {
    /// The folder that is locked while a sweep runs. Nobody but root can open it, and so nobody else can lock
    /// it.
    pub fn lock_dir(&self) -> PathBuf {
        self.runtime_dir.join("lock")
    }
}

impl Default for SweepSettings {
    fn default() -> Self {
        Self {
            mode: Mode::Observe,
            hold_file: "/etc/raysweep/hold".into(),
            runtime_dir: "/run/raysweep".into(),
            log_dir: "/var/log/raysweep".into(),
            deadline: Span::mins(10),
            schedule: Schedule::default(),
            jitter: Span::mins(5),
            min_tmp_size: Size(5_000_000_000),
            activity: Activity::default(),
            ages: Ages::default(),
            containers: Containers::default(),
            bare: None,
            prune: Prune::default(),
        }
    }
}

/// What tells work from rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Activity {
    /// CPU of what is not Ray's machinery, in percent of one core, at which a worker is at work. Default 5.
    pub idle_cpu_percent: f64,
    /// The one window over which CPU is sampled, for all workers together. Default `5s`.
    pub sampling_window: Span,
    /// Programs (base names) that are not work, beside Ray's own and the chain that started Ray.
    /// Default: init wrappers, `sleep` and `tail`.
    pub ignore_programs: Vec<String>,
    /// How long Ray may take to say which jobs are alive. Default `10s`.
    pub ray_timeout: Span,
    /// Ray's state API, which may only add activity; absent where it is not asked.
    pub ray_api: Option<RayApi>,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            idle_cpu_percent: 5.0,
            sampling_window: Span::secs(5),
            ignore_programs: [
                "tini",
                "docker-init",
                "dumb-init",
                "catatonit",
                "s6-svscan",
                "s6-supervise",
                "sleep",
                "tail",
                "pause",
            ]
            .map(str::to_owned)
            .to_vec(),
            ray_timeout: Span::secs(10),
            ray_api: None,
        }
    }
}

/// Ray's state API, which the dashboard serves. A worker of a cluster that is asked so is at work while
/// a task or an actor on its node has not ended, or while no whole answer comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RayApi {
    /// Where the dashboard answers, such as `http://10.0.0.84:8265`.
    pub url: String,
    /// A file with the token that it wants, readable by root alone; absent where it wants none.
    pub token_file: Option<PathBuf>,
}

/// How old a leftover must be, by the newest change of anything in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ages {
    /// Leftovers while no job is alive. Default `10m`.
    pub no_job: Span,
    /// Leftovers while a job is alive or may be. Default `24h`.
    pub in_job: Span,
    /// By how much a leftover must be older than the start of every live job. Default `10m`: clocks differ.
    pub job_start_margin: Span,
    /// Data of a dead session. Default `10m`.
    pub dead_session: Span,
    /// Logs of a dead session, and old logs of a live one. Default `24h`.
    pub logs: Span,
}

impl Default for Ages {
    fn default() -> Self {
        Self {
            no_job: Span::mins(10),
            in_job: Span::hours(24),
            job_start_margin: Span::mins(10),
            dead_session: Span::mins(10),
            logs: Span::hours(24),
        }
    }
}

/// Which containers are workers, and how the runtime is reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Containers {
    /// The Docker-compatible API's socket. Default `/var/run/docker.sock`.
    pub socket: PathBuf,
    /// Containers whose name matches are workers; so is every container in which a raylet runs. Default `ray-worker*`.
    pub name_pattern: String,
    /// Folders of the host that are mounted as a worker's temp root and in which nobody else works, such as `/data/ray-tmp-*`; `*` stands for no `/`. Default none: what a program of the host may hold there by name cannot be told, so only dead sessions go.
    pub own_temp_roots: Vec<String>,
    /// How long one call to the API may take. Default `30s`.
    pub timeout: Span,
}

impl Default for Containers {
    fn default() -> Self {
        Self {
            socket: "/var/run/docker.sock".into(),
            name_pattern: "ray-worker*".to_owned(),
            own_temp_roots: vec![],
            timeout: Span::secs(30),
        }
    }
}

impl Containers {
    /// The patterns of `own_temp_roots`, ready to be asked.
    pub(crate) fn own_temp_roots(&self) -> Result<GlobSet, globset::Error> {
        let mut patterns = GlobSet::builder();
        for pattern in &self.own_temp_roots {
            patterns.add(GlobBuilder::new(pattern).literal_separator(true).build()?);
        }
        patterns.build()
    }
}

/// Ray on the bare host. A process may call itself raylet and name any folder: here the temp root
/// and the user come from root alone. Dead sessions go whether a raylet runs or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bare {
    /// The folder that holds `ray/session_*`.
    pub temp_root: PathBuf,
    /// The user that Ray runs as; only what belongs to it may go.
    pub user_id: u32,
}

/// What is removed from the container runtime after the workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prune {
    /// `off`, `safe` (dangling images and build cache) or `system` (stopped containers as well). Default `safe`.
    pub mode: PruneMode,
    /// How long ago a stopped container must have finished, and a dangling image must have been made. Default `24h`.
    pub min_age: Span,
    /// A container with this label is never removed. Default `raysweep.keep`.
    pub keep_label: String,
}

impl Default for Prune {
    fn default() -> Self {
        Self { mode: PruneMode::Safe, min_age: Span::hours(24), keep_label: "raysweep.keep".to_owned() }
    }
}

/// How far a prune goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PruneMode {
    /// Nothing is pruned.
    Off,
    /// Dangling images and build cache.
    Safe,
    /// As `safe`, and containers that finished long ago. Volumes never.
    System,
}

impl PruneMode {
    /// The mode as settings and report write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Safe => "safe",
            Self::System => "system",
        }
    }
}
