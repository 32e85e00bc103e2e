//! What is asked of the recent past, or moved with a clock that was set: an index leads to it, and nobody reads
//! through a history of months for it.

/// What is under way, and what has ended since an instant (?2): of what began since then nothing else is left.
macro_rules! begun_since {
    ($($columns:expr),+) => {
        concat!(
            "SELECT ", $($columns,)+ " FROM attempts WHERE started_at IS NOT NULL AND finished_at IS NULL
             UNION ALL SELECT ", $($columns,)+ " FROM attempts WHERE finished_at >= ?2"
        )
    };
}

/// How many attempts began at an instant or later (?1 and ?2).
pub(super) const STARTS: &str =
    concat!("SELECT COUNT(*) FROM (", begun_since!("started_at"), ") WHERE started_at >= ?1");

/// When attempts of each host and outcome began last that ended at an instant (?2) or later, or not at all; a dry
/// run spends nothing (?1: 0).
pub(super) const SPENDS: &str = concat!(
    "SELECT host, outcome, MAX(started_at) FROM (",
    begun_since!("host, outcome, started_at, dry_run"),
    ") WHERE started_at IS NOT NULL AND dry_run = ?1 GROUP BY host, outcome"
);

/// Incidents that are open or have closed since an instant (?2).
macro_rules! incidents {
    () => {
        "(SELECT id FROM incidents WHERE state <> 'closed'
          UNION ALL SELECT id FROM incidents WHERE closed_at >= ?2)"
    };
}

/// Moves what has not ended or has ended since an instant (?2) by so many microseconds (?1). Of hosts there is a
/// row each.
pub(super) const SHIFT: [&str; 6] = [
    // Alerts first: which of them belong to what is recent is told by their incidents.
    concat!(
        "UPDATE alerts SET received_at = received_at + ?1, last_seen = last_seen + ?1 WHERE incident IN ",
        incidents!()
    ),
    concat!(
        "UPDATE incidents SET opened_at = opened_at + ?1, accepted_at = accepted_at + ?1, due_at = due_at + ?1,
         time_event_at = time_event_at + ?1, deferred_until = deferred_until + ?1, escalated_at = escalated_at + ?1,
         closed_at = closed_at + ?1, lowered_at = lowered_at + ?1, lowered_told_at = lowered_told_at + ?1 WHERE id IN ",
        incidents!()
    ),
    concat!(
        "UPDATE attempts SET queued_at = queued_at + ?1, started_at = started_at + ?1,
         connected_at = connected_at + ?1, finished_at = finished_at + ?1, lease_until = lease_until + ?1
         WHERE id IN (SELECT id FROM attempts WHERE started_at IS NULL AND finished_at IS NULL UNION ALL ",
        begun_since!("id"),
        ")"
    ),
    "UPDATE hosts SET not_before = not_before + ?1 WHERE not_before >= ?2",
    "UPDATE last_reports SET reported_at = reported_at + ?1 WHERE reported_at >= ?2",
    "UPDATE last_reports SET measured_at = measured_at + ?1 WHERE measured_at >= ?2",
];
