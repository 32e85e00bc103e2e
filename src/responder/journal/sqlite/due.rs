//! What may begin, and when: the questions of whoever claims.

use jiff::Timestamp;
use sqlx::{Row, SqlitePool};

use super::{
    super::{JournalError, Order},
    rows,
};
use crate::domain::standing::Lane;

/// Hosts on which an attempt runs.
macro_rules! running {
    () => {
        "(SELECT host FROM attempts WHERE started_at IS NOT NULL AND finished_at IS NULL)"
    };
}

/// The order of those that are due, by what may be expected of them.
macro_rules! standing {
    () => {
        "COALESCE(hosts.lane, 'new') = 'failing', urgency = 'critical' DESC,
         COALESCE(hosts.lane, 'new') = 'proven' DESC,
         IIF(hosts.lane IS NULL OR hosts.lane = 'new', -opened_at, due_at)"
    };
}

/// Incidents that are due (?1: now, ?2: lanes, ?3: how many), in an order.
macro_rules! due {
    ($($order:expr),+) => {
        concat!(
            "SELECT incidents.*, COALESCE(hosts.lane, 'new') AS lane FROM incidents LEFT JOIN hosts USING (host)
             WHERE incidents.state = 'waiting' AND due_at <= ?1 AND COALESCE(not_before, 0) <= ?1
             AND COALESCE(hosts.lane, 'new') IN (SELECT value FROM json_each(?2)) AND host NOT IN ",
            running!(),
            " ORDER BY ",
            $($order,)+
            ", incidents.id LIMIT ?3"
        )
    };
}

/// What people asked for that may begin (?1: now, ?2: lanes, ?3: how many). Grouped by no index: that one
/// would lead through every attempt that was ever made.
pub(super) const QUEUED: &str = concat!(
    "SELECT id, host, incident, replay, trigger, dry_run, asked_by, COALESCE(hosts.lane, 'new') AS lane,
     MAX(MIN(queued_at), COALESCE(not_before, 0)) AS since FROM attempts LEFT JOIN hosts USING (host)
     WHERE started_at IS NULL AND finished_at IS NULL AND COALESCE(not_before, 0) <= ?1
     AND COALESCE(hosts.lane, 'new') IN (SELECT value FROM json_each(?2)) AND host NOT IN ",
    running!(),
    " GROUP BY +attempts.host ORDER BY MIN(queued_at) LIMIT ?3",
);

/// What people asked for that has not begun (?1: whether as a dry run), the last first.
pub(super) const WAITING: &str =
    "SELECT host, id FROM attempts WHERE started_at IS NULL AND finished_at IS NULL
     AND dry_run = ?1 ORDER BY queued_at DESC, id DESC";

/// The question of which incidents wait for an attempt that may begin by now, with the lanes of their hosts.
pub(super) fn incidents(order: Order) -> &'static str {
    match order {
        Order::Standing => due!(standing!()),
        Order::Proven => due!("COALESCE(hosts.lane, 'new') = 'proven' DESC, ", standing!()),
        Order::Wait => due!("MAX(due_at, COALESCE(not_before, 0))"),
    }
}

/// The earliest instant after `now` at which something may have to be done.
pub(super) async fn next_event_at(
    pool: &SqlitePool,
    now: Timestamp,
) -> Result<Option<Timestamp>, JournalError> {
    let query = sqlx::query(concat!(
        "SELECT MIN(at) FROM (
             SELECT time_event_at AS at FROM incidents WHERE time_event_at IS NOT NULL
             UNION ALL SELECT MAX(due_at, COALESCE(not_before, 0)) FROM incidents LEFT JOIN hosts USING (host)
             WHERE state = 'waiting' AND host NOT IN ",
        running!(),
        " UNION ALL SELECT MAX(queued_at, COALESCE(not_before, 0)) FROM attempts LEFT JOIN hosts USING (host)
             WHERE started_at IS NULL AND finished_at IS NULL AND host NOT IN ",
        running!(),
        ") WHERE at > ?",
    ));
    let row = query.bind(now.as_microsecond()).fetch_one(pool).await?;
    row.try_get::<Option<i64>, _>(0)?.map(rows::time).transpose()
}

/// The lanes as a JSON list of words.
pub(super) fn words(lanes: &[Lane]) -> String {
    let words: Vec<_> = lanes.iter().map(|lane| format!("\"{}\"", lane.as_str())).collect();
    format!("[{}]", words.join(","))
}
