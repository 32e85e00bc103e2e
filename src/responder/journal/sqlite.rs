//! The journal in one SQLite file: WAL, synchronous=FULL, one writer.

use std::{
    fs::{File, OpenOptions},
    path::Path,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use sqlx::{
    ConnectOptions, Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{AttemptView, IgnoredView, IncidentView, Journal, JournalError};
use crate::domain::{attempt::Outcome, host::HostName};

mod rows;
mod views;
mod work;

pub use work::SqliteWork;

const FILE: &str = "journal.db";
const LOCK: &str = "lock";

/// How long a statement waits for a lock or a connection before it is storage trouble (503).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A handle on the journal; clones share it.
#[derive(Debug, Clone)]
pub struct SqliteJournal {
    writer: SqlitePool,
    readers: SqlitePool,
    // Held for as long as any handle lives: two processes on one file would sweep a host twice.
    _lock: Arc<File>,
}

impl SqliteJournal {
    /// Opens the journal in a folder, which is made where it is missing, and brings it to this version.
    pub async fn open(folder: &Path) -> Result<Self, JournalError> {
        let lock = lock(folder)?;
        let options = SqliteConnectOptions::new()
            .filename(folder.join(FILE))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .disable_statement_logging();
        let pool = |connections, options| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(BUSY_TIMEOUT)
                .connect_with(options)
        };
        let writer = pool(1, options.clone()).await?;
        sqlx::migrate!("src/responder/journal/migrations").run(&writer).await?;
        let readers = pool(4, options.read_only(true).create_if_missing(false)).await?;
        Ok(Self { writer, readers, _lock: Arc::new(lock) })
    }

    /// Waits for what is being written, and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn lock(folder: &Path) -> Result<File, JournalError> {
    let failed = |source| JournalError::Path { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let path = folder.join(LOCK);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| JournalError::Locked(path))?;
    Ok(file)
}

impl Journal for SqliteJournal {
    type Work = SqliteWork;

    async fn begin(&self) -> Result<SqliteWork, JournalError> {
        // Immediate: two units of work queue up here and not at their first write.
        Ok(SqliteWork::new(self.writer.begin_with("BEGIN IMMEDIATE").await?))
    }

    async fn next_event_at(&self) -> Result<Option<Timestamp>, JournalError> {
        let row = sqlx::query(
            "SELECT MIN(next_event_at) FROM incidents WHERE next_event_at IS NOT NULL AND host NOT IN
             (SELECT host FROM attempts WHERE started_at IS NOT NULL AND finished_at IS NULL)",
        )
        .fetch_one(&self.readers)
        .await?;
        row.try_get::<Option<i64>, _>(0)?.map(rows::time).transpose()
    }

    async fn last_spends(&self) -> Result<Vec<(HostName, Timestamp)>, JournalError> {
        let found = sqlx::query(
            "SELECT host, outcome, MAX(started_at) FROM attempts WHERE started_at IS NOT NULL GROUP BY host, outcome",
        )
        .fetch_all(&self.readers)
        .await?;
        let mut spends = Vec::with_capacity(found.len());
        for row in found {
            let outcome = row.try_get::<Option<String>, _>(1)?.map(|text| rows::word::<Outcome>(&text));
            // An attempt without an end may have done anything: it counts.
            if outcome.transpose()?.is_none_or(Outcome::spends) {
                spends.push((rows::host(row.try_get(0)?)?, rows::time(row.try_get(2)?)?));
            }
        }
        Ok(spends)
    }

    async fn probe(&self, now: Timestamp) -> Result<(), JournalError> {
        sqlx::query(
            "INSERT INTO probe (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at",
        )
        .bind(now.as_microsecond())
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    async fn incidents(&self, host: Option<&str>, limit: u32) -> Result<Vec<IncidentView>, JournalError> {
        views::incidents(&self.readers, host, limit).await
    }

    async fn attempts(&self, host: Option<&str>, limit: u32) -> Result<Vec<AttemptView>, JournalError> {
        views::attempts(&self.readers, host, limit).await
    }

    async fn ignored(&self, limit: u32) -> Result<Vec<IgnoredView>, JournalError> {
        views::ignored(&self.readers, limit).await
    }

    async fn open_hosts(&self) -> Result<Vec<(HostName, bool)>, JournalError> {
        let found =
            sqlx::query("SELECT host, escalated_at IS NOT NULL FROM incidents WHERE state <> 'closed'")
                .fetch_all(&self.readers)
                .await?;
        found.iter().map(|row| Ok((rows::host(row.try_get(0)?)?, row.try_get(1)?))).collect()
    }

    async fn forget(&self, before: Timestamp) -> Result<u64, JournalError> {
        let before = before.as_microsecond();
        let mut forgotten = 0;
        for statement in [
            "DELETE FROM incidents WHERE closed_at < ?",
            "DELETE FROM attempts WHERE incident IS NULL AND finished_at < ?",
            "DELETE FROM ignored_alerts WHERE last_seen < ?",
        ] {
            forgotten += sqlx::query(statement).bind(before).execute(&self.writer).await?.rows_affected();
        }
        Ok(forgotten)
    }
}
