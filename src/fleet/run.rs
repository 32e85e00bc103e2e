//! Sweeps that a person wants now: through the responder, which has its own order, or directly, over the
//! person's own ssh.

mod direct;
mod remote;
mod through;

use serde::{Serialize, Serializer};

pub use self::{
    direct::{Direct, Options},
    through::Through,
};
use crate::domain::{
    attempt::{Mode, Outcome},
    report::Report,
};

/// A host's line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The host.
    pub host: String,
    /// The attempt, where one was made.
    pub attempt: Option<String>,
    /// Whether it waited at the responder already, and this wish was joined to it.
    pub joined: bool,
    /// How it ended.
    #[serde(rename = "outcome")]
    pub end: End,
    /// Why, where the outcome alone does not tell.
    pub reason: Option<String>,
    /// How long it took.
    pub secs: Option<f64>,
    /// What the host reported.
    pub report: Option<Report>,
}

/// How it ended, or why it has no end that is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It ended.
    Ended(Outcome),
    /// The inventory has no such host.
    UnknownHost,
    /// The person broke it off.
    Interrupted,
    /// Nothing was begun.
    NotBegun,
    /// It goes on at the responder.
    GoesOn,
}

impl End {
    /// The word as tables and JSON write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ended(outcome) => outcome.as_str(),
            Self::UnknownHost => "unknown_host",
            Self::Interrupted => "interrupted",
            Self::NotBegun => "not_begun",
            Self::GoesOn => "goes_on",
        }
    }
}

impl Serialize for End {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Row {
    /// A host of which there is nothing more to say.
    fn bare(host: impl Into<String>, end: End, reason: Option<String>) -> Self {
        Self { host: host.into(), attempt: None, joined: false, end, reason, secs: None, report: None }
    }

    /// A host of which its report tells.
    fn reported(host: impl Into<String>, report: Report, secs: f64) -> Self {
        Self {
            host: host.into(),
            attempt: Some(report.attempt.to_string()),
            joined: false,
            end: End::Ended(report.outcome),
            reason: report.reason.clone(),
            secs: Some(secs),
            report: Some(report),
        }
    }

    /// Bytes that were freed; where the host only observes, or was only asked, none.
    pub fn freed_bytes(&self) -> u64 {
        let report = self.report.as_ref().filter(|report| deletes(report));
        report.map_or(0, |report| report.freed_bytes)
    }

    /// Bytes that would have been freed.
    pub fn would_free_bytes(&self) -> u64 {
        let report = self.report.as_ref().filter(|report| !deletes(report));
        report.map_or(0, |report| report.freed_bytes)
    }
}

fn deletes(report: &Report) -> bool {
    report.mode == Mode::Enforce && !report.dry_run
}
