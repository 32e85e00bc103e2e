//! What a sweep saw of a worker, and the state that follows from it.

use serde::{Deserialize, Serialize};

/// What a worker is doing, as far as it can be shown. Doubt always leads to the busier state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Nothing is at work and Ray says that no job is alive.
    NoJob,
    /// Nothing is at work, but a job is alive, or Ray could not be asked.
    InJob,
    /// Something is at work, or something could not be read.
    Active,
}

impl WorkerState {
    /// The state as report and page write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoJob => "no_job",
            Self::InJob => "in_job",
            Self::Active => "active",
        }
    }
}

/// A kind of sign. Each kind speaks for exactly one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// A `ray::` process that is neither pooled nor one of Ray's own daemons: a task or an actor.
    RayTask,
    /// A process that drives a job.
    Driver,
    /// A process that is neither Ray's nor on root's ignore list.
    ForeignProcess,
    /// A process that holds a GPU.
    GpuHolder,
    /// CPU used by what is not Ray's machinery.
    Cpu,
    /// Something that could not be read; it might be anything.
    Unreadable,
    /// Ray's API, where configured, says that work is going on, or cannot be reached.
    RayApi,
    /// A pooled worker (`ray::IDLE`): a job may still be alive.
    PooledWorker,
    /// Ray says that a job is alive.
    LiveJob,
    /// Ray could not be asked whether a job is alive.
    RayUnreachable,
    /// Ray says that no job is alive.
    NoJob,
}

impl EvidenceKind {
    /// The state that this sign speaks for.
    pub fn speaks_for(self) -> WorkerState {
        match self {
            Self::RayTask
            | Self::Driver
            | Self::ForeignProcess
            | Self::GpuHolder
            | Self::Cpu
            | Self::Unreadable
            | Self::RayApi => WorkerState::Active,
            Self::PooledWorker | Self::LiveJob | Self::RayUnreachable => WorkerState::InJob,
            Self::NoJob => WorkerState::NoJob,
        }
    }

    /// The kind as report, page and log write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RayTask => "ray_task",
            Self::Driver => "driver",
            Self::ForeignProcess => "foreign_process",
            Self::GpuHolder => "gpu_holder",
            Self::Cpu => "cpu",
            Self::Unreadable => "unreadable",
            Self::RayApi => "ray_api",
            Self::PooledWorker => "pooled_worker",
            Self::LiveJob => "live_job",
            Self::RayUnreachable => "ray_unreachable",
            Self::NoJob => "no_job",
        }
    }
}

/// One sign, with what a person needs to check it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What kind of sign.
    pub kind: EvidenceKind,
    /// The process it is about, as the host numbers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// What was seen, in words.
    pub detail: String,
}

impl Evidence {
    /// A sign about no process in particular.
    pub fn new(kind: EvidenceKind, detail: impl Into<String>) -> Self {
        Self { kind, pid: None, detail: detail.into() }
    }

    /// A sign about one process.
    pub fn of_process(kind: EvidenceKind, pid: i32, detail: impl Into<String>) -> Self {
        Self { kind, pid: Some(pid), detail: detail.into() }
    }
}

/// The state that all signs together show: the busiest that any of them speaks for. `no_job` has to
/// be said by Ray itself; where nobody says it, a job may be alive.
pub fn state_of(evidence: &[Evidence]) -> WorkerState {
    evidence.iter().map(|sign| sign.kind.speaks_for()).max().unwrap_or(WorkerState::InJob)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(kinds: &[EvidenceKind]) -> WorkerState {
        let evidence: Vec<_> = kinds.iter().map(|kind| Evidence::new(*kind, "")).collect();
        state_of(&evidence)
    }

    #[test]
    fn the_busiest_sign_decides() {
        use EvidenceKind::{Cpu, NoJob, PooledWorker, RayUnreachable, Unreadable};
        assert_eq!(state(&[NoJob]), WorkerState::NoJob);
        assert_eq!(state(&[NoJob, PooledWorker]), WorkerState::InJob);
        assert_eq!(state(&[RayUnreachable]), WorkerState::InJob);
        assert_eq!(state(&[NoJob, Cpu]), WorkerState::Active);
        assert_eq!(state(&[PooledWorker, Unreadable]), WorkerState::Active);
    }

    #[test]
    fn silence_is_not_rest() {
        assert_eq!(state(&[]), WorkerState::InJob);
    }
}
