//! What can be asked of history.

use jiff::Timestamp;

use crate::domain::{
    attempt::{AttemptId, Outcome, Trigger},
    incident::IncidentId,
};

/// So many rows are told at once, at most.
pub const ROWS_MOST: u32 = 1000;
/// So many reports are told at once, at most.
pub const REPORTS_MOST: u32 = 50;
/// What they may hold together, in bytes: one report may be megabytes.
pub const REPORTS_BYTES_MOST: usize = 16 * 1024 * 1024;
/// So many alerts are told at once, at most, with all incidents together.
pub const ALERTS_MOST: usize = 20_000;

/// Which attempts: those that are all of this, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttemptQuery {
    /// Of this host.
    pub host: Option<String>,
    /// For this incident.
    pub incident: Option<IncidentId>,
    /// Asked for by this.
    pub trigger: Option<Trigger>,
    /// Ended in one of these; in any way or not at all, where there are none.
    pub outcomes: Vec<Outcome>,
    /// Asked for at this instant or later.
    pub since: Option<Timestamp>,
    /// Asked for before this instant.
    pub until: Option<Timestamp>,
    /// Older than this one: the last that was told, where there is more to tell.
    pub before: Option<AttemptId>,
    /// So many.
    pub limit: u32,
    /// With what their hosts reported, which may be long.
    pub reports: bool,
}

/// Which incidents: those that are all of this, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentQuery {
    /// Of this host.
    pub host: Option<String>,
    /// Only those that are open.
    pub open: bool,
    /// Older than this one.
    pub before: Option<IncidentId>,
    /// So many.
    pub limit: u32,
    /// With their alerts, which may be many.
    pub alerts: bool,
}

/// How many notifications are kept as they were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// The last so many.
    pub notifications: u32,
    /// What they may hold together.
    pub bytes: u64,
}

impl Keep {
    /// Whether a notification of this length is kept: one alone must not push out most of the others.
    pub fn takes(self, bytes: usize) -> bool {
        self.notifications > 0 && bytes > 0 && bytes as u64 <= self.bytes / 10
    }
}
