//! What each process of a worker is, and what all of them together show.

use std::time::Duration;

use super::{discover::Worker, jobs::Jobs, processes::Snapshot};
use crate::{
    config::sweep::Activity,
    domain::evidence::{Evidence, WorkerState, state_of},
};

/// What was seen of a worker over the sampling window.
#[derive(Debug, Clone)]
pub(crate) struct Judgement {
    pub(crate) state: WorkerState,
    pub(crate) evidence: Vec<Evidence>,
}

/// Judges one worker by two readings of /proc, `window` apart, and by what Ray said.
pub(crate) fn judge(
    _worker: &Worker,
    _before: &Snapshot,
    _after: &Snapshot,
    _window: Duration,
    _jobs: &Jobs,
    _activity: &Activity,
) -> Judgement {
    let evidence = vec![];
    Judgement { state: state_of(&evidence), evidence }
}
