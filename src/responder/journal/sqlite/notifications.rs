//! Notifications as they were received: so many of the last ones, and no more than so many bytes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::{
    Connection, Params, params, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use sqlx::{Row, SqliteConnection, SqlitePool};
use uuid::Uuid;

use super::{
    super::{JournalError, Keep, NotificationView},
    rows::time,
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

/// How many there are, and what they hold: counted once at the start and from then on with every write, so
/// that no write has to count them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    count: u64,
    bytes: u64,
}

/// What is stored, as far as it is committed.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(Arc<Mutex<Held>>);

impl Tally {
    pub(super) async fn count(first: &mut SqliteConnection) -> Result<Self, JournalError> {
        let row = sqlx::query("SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM notifications")
            .fetch_one(first)
            .await?;
        let held = Held { count: unsigned(row.try_get(0)?), bytes: unsigned(row.try_get(1)?) };
        Ok(Self(Arc::new(Mutex::new(held))))
    }

    pub(super) fn held(&self) -> Held {
        *self.lock()
    }

    /// Takes note of what there is after a unit of work that has been committed, which still has its turn.
    pub(super) fn note(&self, held: Held) {
        *self.lock() = held;
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn less(self, dropped: &[i64]) -> Self {
        let bytes = dropped.iter().copied().map(unsigned).sum();
        Self {
            count: self.count.saturating_sub(dropped.len() as u64),
            bytes: self.bytes.saturating_sub(bytes),
        }
    }

    fn fits(self, keep: Keep) -> bool {
        self.count <= u64::from(keep.notifications) && self.bytes <= keep.bytes
    }
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
        held.count += kept.len() as u64;
        held.bytes += kept.iter().map(|(_, body)| body.len() as u64).sum::<u64>();
    }
    if !held.fits(keep) {
        let less = Keep {
            notifications: keep.notifications - keep.notifications / 10,
            bytes: keep.bytes - keep.bytes / 10,
        };
        while held.count > 0 && !held.fits(less) {
            let surplus = held.count.saturating_sub(less.notifications.into()).max(held.count / 10).max(1);
            let dropped = dropped(connection, DROP_OLDEST, [i64::try_from(surplus).unwrap_or(i64::MAX)])?;
            if dropped.is_empty() {
                return Ok(Held::default());
            }
            held = held.less(&dropped);
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
    Ok((dropped.len() as u64, held.less(&dropped)))
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

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
