//! Times, as those who only read find them.

use jiff::Timestamp;
use sqlx::{Row, sqlite::SqliteRow};

use super::{super::JournalError, rows::time};

pub(super) fn maybe_time(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, JournalError> {
    row.try_get::<Option<i64>, _>(column)?.map(time).transpose()
}

pub(super) fn time_of(row: &SqliteRow, column: &str) -> Result<Timestamp, JournalError> {
    time(row.try_get(column)?)
}
