//! What hosts reported: no more of it is kept than may be. The oldest reports go first, and nothing else of their
//! attempts goes with them.

use rusqlite::{Connection, params};

use super::{
    super::JournalError,
    tally::{sum, unsigned},
};

/// So many are dropped at a time, and no more bytes than these unless a single one has more: intake waits for less
/// than the time that Alertmanager gives it.
const DROPPED_AT_ONCE: i64 = 64;
const DROPPED_BYTES_AT_ONCE: u64 = 16 * 1024 * 1024;

/// The oldest that may go, so many of them: what an open incident's last report says is still in need.
pub(super) const OLDEST: &str = "SELECT number, attempt, bytes FROM kept_reports AS kept
     WHERE NOT (EXISTS (SELECT 1 FROM incidents WHERE id = kept.incident AND state <> 'closed')
         AND NOT EXISTS (SELECT 1 FROM kept_reports AS later WHERE later.incident = kept.incident
             AND later.number > kept.number))
     ORDER BY number LIMIT ?";
/// Attempts that ended before a time, so many of them.
pub(super) const ENDED: &str = "SELECT id FROM attempts WHERE finished_at < ? ORDER BY finished_at LIMIT ?";

/// Notes that an attempt's report is kept.
pub(super) fn keep(connection: &Connection, attempt: &str, bytes: usize) -> Result<(), JournalError> {
    const STATEMENT: &str = "INSERT INTO kept_reports (attempt, incident, bytes) SELECT id, incident, ?2 FROM attempts WHERE id = ?1";
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    connection.prepare_cached(STATEMENT)?.execute(params![attempt, bytes])?;
    Ok(())
}

/// Drops some of the oldest where there are so many bytes too much; how many, and what they held.
pub(super) fn drop_oldest(connection: &Connection, surplus: u64) -> Result<(u64, u64), JournalError> {
    const DROP: &str = "UPDATE attempts SET report = NULL, report_dropped_bytes = ?2 WHERE id = ?1";
    const LET_GO: &str = "DELETE FROM kept_reports WHERE number = ?";
    let oldest: Vec<(i64, String, i64)> = connection
        .prepare_cached(OLDEST)?
        .query_map([DROPPED_AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let (mut dropped, mut held) = (0, 0);
    for (number, attempt, bytes) in oldest {
        let with_it = held + unsigned(bytes);
        if held >= surplus || (dropped > 0 && with_it > DROPPED_BYTES_AT_ONCE) {
            break;
        }
        connection.prepare_cached(DROP)?.execute(params![attempt, bytes])?;
        connection.prepare_cached(LET_GO)?.execute([number])?;
        (dropped, held) = (dropped + 1, with_it);
    }
    Ok((dropped, held))
}

/// Forgets some attempts that ended before a time, with their reports; how many, and what these held.
pub(super) fn forget(connection: &Connection, before: i64, most: i64) -> Result<(u64, u64), JournalError> {
    const LET_GO: &str = "DELETE FROM kept_reports WHERE attempt = ? RETURNING bytes";
    const FORGET: &str = "DELETE FROM attempts WHERE id = ?";
    let ended: Vec<String> = connection
        .prepare_cached(ENDED)?
        .query_map([before, most], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut held = vec![];
    for attempt in &ended {
        let mut let_go = connection.prepare_cached(LET_GO)?;
        held.extend(let_go.query_map([attempt], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?);
        connection.prepare_cached(FORGET)?.execute([attempt])?;
    }
    Ok((ended.len() as u64, sum(&held)))
}
