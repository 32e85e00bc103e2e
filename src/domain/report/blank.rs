//! Reports that nothing has been written into yet.

use super::{Verdict, WorkerReport};

impl WorkerReport {
    /// On a worker that nothing is known of yet; what is never looked at has failed.
    pub fn blank(name: impl Into<String>, runtime: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            runtime: runtime.into(),
            state: None,
            verdict: Verdict::Failed,
            note: None,
            tmp_before_bytes: 0,
            tmp_after_bytes: 0,
            freed_bytes: 0,
            evidence: vec![],
            removed: vec![],
            kept: vec![],
            errors: vec![],
            cut: 0,
        }
    }
}

#[cfg(test)]
impl super::Report {
    /// Of a sweep by cron at the epoch that found nothing; a test says what is different in its own.
    pub(crate) fn blank() -> Self {
        use crate::domain::attempt::{Mode, Outcome, Trigger};

        Self {
            schema: super::SCHEMA,
            attempt: "01890000-0000-7000-8000-000000000000".parse().unwrap(),
            host: "ray-80".to_owned(),
            version: "0.1.0".to_owned(),
            trigger: Trigger::Cron,
            mode: Mode::Enforce,
            dry_run: false,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            finished_at: jiff::Timestamp::UNIX_EPOCH,
            outcome: Outcome::NothingToFree,
            reason: None,
            freed_bytes: 0,
            disks: vec![],
            workers: vec![],
            prune: None,
            backstop: None,
        }
    }
}
