//! The order of a sweep: lock, hold, discover, judge, remove, prune, report.

use jiff::Timestamp;

use crate::{
    config::sweep::SweepSettings,
    domain::{
        attempt::{Outcome, SweepRequest},
        report::{Report, SCHEMA},
    },
};

/// Sweeps this host and says what happened. Never fails otherwise: a failure is a report too.
/// `only` limits the sweep to the worker of that name.
pub fn run(request: &SweepRequest, only: Option<&str>, settings: &SweepSettings) -> Report {
    let _ = only;
    let now = Timestamp::now();
    Report {
        schema: SCHEMA,
        attempt: request.attempt,
        host: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        trigger: request.trigger,
        mode: settings.mode,
        dry_run: request.dry_run,
        started_at: now,
        finished_at: now,
        outcome: Outcome::Failed,
        reason: None,
        freed_bytes: 0,
        disks: vec![],
        workers: vec![],
        prune: None,
    }
}
