//! Notifications as they were received: so many of the last ones, and no more than so many bytes.

use jiff::Timestamp;
use rusqlite::{
    Connection, Params, params, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use sqlx::{Row, SqlitePool};
use uuid::Uuid;

use super::{
    super::{JournalError, Keep, NotificationView},
    rows::time,
    tally::{Held, sum},
};

/// The oldest so many. They are found by the order in which they were stored.
pub(super) const DROP_OLDEST: &str =
    "DELETE FROM notifications WHERE number IN (SELECT number FROM notifications ORDER BY number LIMIT ?)
     RETURNING bytes";
/// Those from before a time, so many of them.
pub(super) const FORGET: &str = "DELETE FROM notifications WHERE number IN
     (SELECT number FROM notifications WHERE id < ? ORDER BY id LIMIT ?)
     RETURNING bytes";
pub(super) const FIND: &str = "SELECT received_at, body FROM notifications WHERE id = ?";

fn less(held: Held, dropped: &[i64]) -> Held {
    Held {
        notifications: held.notifications.saturating_sub(dropped.len() as u64),
        notifications_bytes: held.notifications_bytes.saturating_sub(sum(dropped)),
        ..held
    }
}

fn fits(held: Held, keep: Keep) -> bool {
    held.notifications <= u64::from(keep.notifications) && held.notifications_bytes <= keep.bytes
}

/// Stores all of them by one statement, and lets the oldest go where there are too many; how many there
/// are then. Once it is too much a tenth goes at once, so that not every write has to.
pub(super) fn record(
    connection: &Connection,
    mut held: Held,
    received: &[(Uuid, &[u8])],
    at: Timestamp,
    keep: Keep,
) -> Result<Held, JournalError> {
    let kept: Vec<_> = received.iter().filter(|(_, body)| keep.takes(body.len())).collect();
    if !kept.is_empty() {
        let rows = vec!["(?, ?, ?, ?)"; kept.len()].join(", ");
        let statement = format!("INSERT INTO notifications (id, received_at, bytes, body) VALUES {rows}");
        let values = kept.iter().flat_map(|(id, body)| {
            let bytes = i64::try_from(body.len()).unwrap_or(i64::MAX);
            let body = ToSqlOutput::Borrowed(ValueRef::Blob(body));
            [id.to_string().into(), at.as_microsecond().into(), bytes.into(), body]
        });
        connection.prepare_cached(&statement)?.execute(params_from_iter(values))?;
        held.notifications += kept.len() as u64;
        held.notifications_bytes += kept.iter().map(|(_, body)| body.len() as u64).sum::<u64>();
    }
    if !fits(held, keep) {
        let fewer = Keep {
            notifications: keep.notifications - keep.notifications / 10,
            bytes: keep.bytes - keep.bytes / 10,
        };
        while held.notifications > 0 && !fits(held, fewer) {
            let count = held.notifications;
            let surplus = count.saturating_sub(fewer.notifications.into()).max(count / 10).max(1);
            let dropped = dropped(connection, DROP_OLDEST, [i64::try_from(surplus).unwrap_or(i64::MAX)])?;
            if dropped.is_empty() {
                return Ok(Held { notifications: 0, notifications_bytes: 0, ..held });
            }
            held = less(held, &dropped);
        }
    }
    Ok(held)
}

/// Forgets some of those that are older; how many, and how many are left.
pub(super) fn forget(
    connection: &Connection,
    held: Held,
    before: Timestamp,
    most: i64,
) -> Result<(u64, Held), JournalError> {
    let dropped = dropped(connection, FORGET, params![first_of(before), most])?;
    Ok((dropped.len() as u64, less(held, &dropped)))
}

/// Lets some go; how many bytes each of them had.
fn dropped(connection: &Connection, statement: &str, which: impl Params) -> Result<Vec<i64>, JournalError> {
    connection.prepare_cached(statement)?.query_and_then(which, |row| Ok(row.get(0)?))?.collect()
}

pub(super) async fn find(pool: &SqlitePool, id: Uuid) -> Result<Option<NotificationView>, JournalError> {
    let found = sqlx::query(FIND).bind(id.to_string()).fetch_optional(pool).await?;
    let Some(row) = found else { return Ok(None) };
    Ok(Some(NotificationView { id, received_at: time(row.try_get(0)?)?, body: row.try_get(1)? }))
}

/// The least identity that can have been given at this instant: its first six bytes are milliseconds.
fn first_of(at: Timestamp) -> String {
    let millis = u64::try_from(at.as_millisecond()).unwrap_or_default();
    Uuid::from_u128(u128::from(millis) << 80).to_string()
}
