//! The journal in one SQLite file: WAL, synchronous=FULL, one writer.

use std::{fs::File, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection, SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Mutex,
    task::{JoinHandle, block_in_place, spawn_blocking},
};
use tracing::dispatcher;
use uuid::Uuid;

use super::{
    AttemptQuery, AttemptView, HostView, IgnoredView, IncidentQuery, IncidentView, IncidentWhole, Journal,
    JournalError, NotificationView, OpenHost, Work,
};
use crate::domain::{
    attempt::{AttemptId, Outcome},
    host::HostName,
    incident::IncidentId,
};

mod attempts;
mod checkpoint;
mod columns;
mod due;
mod hosts;
mod latch;
mod notifications;
mod place;
mod recent;
mod reports;
mod rows;
mod tally;
#[cfg(test)]
mod tests;
mod views;
mod work;
mod writer;

use latch::Latch;
use place::FILE;
use tally::Tally;
pub use work::SqliteWork;
use writer::Writer;

static MIGRATIONS: Migrator = sqlx::migrate!("src/responder/journal/migrations");

/// How long the check at the start may take at least; a journal of 90 days takes seconds.
const CHECK_TIMEOUT: Duration = Duration::from_mins(5);
/// So many bytes are checked in a second where the disk is slow and busy. A journal that has grown must start: one
/// that is refused for its size is refused for ever.
const CHECKED_A_SEC: u64 = 4 * 1024 * 1024;
/// So many incidents, attempts or ignored alerts are forgotten at a time: intake waits for less than
/// the time that Alertmanager gives it.
const FORGOTTEN_AT_ONCE: i64 = 500;
/// What is too old. An incident goes once nothing belongs to it any more: it would take all of its alerts and
/// attempts with it at once, and there is no bound on them.
const FORGET: [&str; 3] = [
    "DELETE FROM alerts WHERE (fingerprint, incident) IN
     (SELECT fingerprint, incident FROM incidents JOIN alerts ON incident = id WHERE closed_at < ? LIMIT ?)",
    "DELETE FROM incidents WHERE id IN (SELECT id FROM incidents WHERE closed_at < ?
     AND NOT EXISTS (SELECT 1 FROM alerts WHERE incident = incidents.id)
     AND NOT EXISTS (SELECT 1 FROM attempts WHERE incident = incidents.id) LIMIT ?)",
    "DELETE FROM ignored_alerts WHERE (fingerprint, reason) IN
     (SELECT fingerprint, reason FROM ignored_alerts WHERE last_seen < ? LIMIT ?)",
];

/// So many look at it at once.
const READERS: u32 = 4;
/// How long a statement waits for a lock or a connection before it is storage trouble (503).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A handle on the journal; clones share it.
#[derive(Debug, Clone)]
pub struct SqliteJournal {
    writer: Arc<Mutex<Writer>>,
    readers: SqlitePool,
    latch: Latch,
    tally: Tally,
    /// Whether whoever has this handle has a thread of its own for as long.
    is_apart: bool,
    // Held for as long as any handle lives: two processes on one file would sweep a host twice.
    _lock: Arc<File>,
}

impl SqliteJournal {
    /// Opens the journal in a folder, which is made where it is missing; checks that it is whole and
    /// none of a later version, and brings it to this version.
    pub async fn open(folder: &Path) -> Result<Self, JournalError> {
        let lock = place::take(folder)?;
        let options = SqliteConnectOptions::new()
            .filename(folder.join(FILE))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .disable_statement_logging();
        let mut first = options.connect().await?;
        let time = check_time(place::size(folder));
        let late = |_| JournalError::Unchecked { path: folder.join(FILE), secs: time.as_secs() };
        tokio::time::timeout(time, check(&mut first)).await.map_err(late)??;
        MIGRATIONS.run(&mut first).await?;
        let tally = Tally::count(&mut first).await?;
        let latch = Latch::open();
        let writer = Writer::open(folder.join(FILE), latch.clone())?;
        first.close().await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await?;
        Ok(Self { writer, readers, latch, tally, is_apart: false, _lock: Arc::new(lock) })
    }

    /// Waits for what is being written, and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        let _ = spawn_blocking(move || writer.close()).await;
    }
}

/// How long the check of so many bytes may take.
fn check_time(bytes: u64) -> Duration {
    CHECK_TIMEOUT + Duration::from_secs(bytes / CHECKED_A_SEC)
}

/// Whether everything that is stored can be read and every index tells the truth (two of them are what
/// keeps a host from two attempts), and whether we know its shape.
async fn check(first: &mut SqliteConnection) -> Result<(), JournalError> {
    let said: String = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut *first).await?;
    if said != "ok" {
        return Err(JournalError::Corrupt(said));
    }
    if sqlx::query("PRAGMA foreign_key_check").fetch_optional(&mut *first).await?.is_some() {
        return Err(JournalError::Corrupt("a row belongs to one that is not there".to_owned()));
    }
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
    let tables: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
            .fetch_one(&mut *first)
            .await?;
    if tables == 0 {
        return Ok(());
    }
    let found: Option<i64> =
        sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(first).await?;
    match found.filter(|found| *found > known) {
        Some(found) => Err(JournalError::Newer { found, known }),
        None => Ok(()),
    }
}

impl From<sqlx::Error> for JournalError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        failed(code.and_then(|code| code.parse().ok()), error)
    }
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        failed(error.sqlite_error().map(|error| error.extended_code), error)
    }
}

/// What SQLite calls the failures of the disk.
fn failed(code: Option<i32>, error: impl std::error::Error + Send + Sync + 'static) -> JournalError {
    const CORRUPT: i32 = 11;
    const NOT_A_DATABASE: i32 = 26;
    const FSYNC: i32 = 0x040a;
    const DIR_FSYNC: i32 = 0x050a;
    match code {
        Some(FSYNC | DIR_FSYNC) => JournalError::Flush(error.to_string()),
        Some(code) if matches!(code & 0xff, CORRUPT | NOT_A_DATABASE) => {
            JournalError::Corrupt(error.to_string())
        }
        _ => JournalError::Storage(Box::new(error)),
    }
}

impl Journal for SqliteJournal {
    type Work = SqliteWork;

    async fn begin(&self) -> Result<SqliteWork, JournalError> {
        self.latch.check()?;
        let turn = Writer::turn(&self.writer).await?;
        // Whoever had it before us may have met the failure that ends us all.
        self.latch.check()?;
        SqliteWork::begin(turn, self.latch.clone(), self.tally.clone(), self.is_apart)
    }

    fn apart<T, F>(&self, work: impl FnOnce(Self) -> F + Send + 'static) -> JoinHandle<T>
    where
        T: Send + 'static,
        F: Future<Output = T>,
    {
        let (journal, runtime) = (Self { is_apart: true, ..self.clone() }, Handle::current());
        // Whoever listens here hears what is told there.
        let listens = dispatcher::get_default(Clone::clone);
        let done = move || dispatcher::with_default(&listens, || Handle::current().block_on(work(journal)));
        match runtime.runtime_flavor() {
            // A task that was just spawned comes next on the thread that has spawned it, and keeps that thread:
            // others go on elsewhere, and nobody waits until another thread has woken up.
            RuntimeFlavor::MultiThread => runtime.spawn(async { block_in_place(done) }),
            _ => runtime.spawn_blocking(done),
        }
    }

    async fn failed(&self) -> JournalError {
        self.latch.shut().await
    }

    async fn next_event_at(&self, now: Timestamp) -> Result<Option<Timestamp>, JournalError> {
        due::next_event_at(&self.readers, now).await
    }

    async fn last_spends(&self, since: Timestamp) -> Result<Vec<(HostName, Timestamp)>, JournalError> {
        let query = sqlx::query(recent::SPENDS).bind(false).bind(since.as_microsecond());
        let found = query.fetch_all(&self.readers).await?;
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
        const WRITE: &str =
            "INSERT INTO probe (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at";
        self.latch.check()?;
        self.written(WRITE, [now.as_microsecond()]).await?;
        Ok(())
    }

    async fn find_incidents(&self, query: &IncidentQuery) -> Result<Vec<IncidentView>, JournalError> {
        views::incidents(&self.readers, query).await
    }

    async fn incident(&self, id: IncidentId, attempts: u32) -> Result<Option<IncidentWhole>, JournalError> {
        views::whole(&self.readers, id, attempts).await
    }

    async fn find_attempts(&self, query: &AttemptQuery) -> Result<Vec<AttemptView>, JournalError> {
        attempts::find(&self.readers, query).await
    }

    async fn attempt(&self, id: AttemptId) -> Result<Option<AttemptView>, JournalError> {
        attempts::one(&self.readers, id).await
    }

    async fn hosts(&self, of: &[HostName], now: Timestamp) -> Result<Vec<HostView>, JournalError> {
        hosts::hosts(&self.readers, of, now).await
    }

    async fn notification(&self, id: Uuid) -> Result<Option<NotificationView>, JournalError> {
        notifications::find(&self.readers, id).await
    }

    async fn ignored(&self, limit: u32) -> Result<Vec<IgnoredView>, JournalError> {
        views::ignored(&self.readers, limit).await
    }

    async fn open_hosts(&self) -> Result<Vec<OpenHost>, JournalError> {
        views::open_hosts(&self.readers).await
    }

    async fn forget(&self, at: Timestamp) -> Result<u64, JournalError> {
        self.latch.check()?;
        let mut work = self.begin().await?;
        let mut forgotten = work.forget_attempts(at, FORGOTTEN_AT_ONCE)?;
        forgotten += work.forget_notifications(at, FORGOTTEN_AT_ONCE)?;
        if forgotten > 0 {
            work.commit().await?;
        } else {
            // Its turn is the next one's.
            drop(work);
        }
        for statement in FORGET {
            forgotten += self.written(statement, [at.as_microsecond(), FORGOTTEN_AT_ONCE]).await?;
        }
        Ok(forgotten)
    }

    async fn drop_reports(&self, most_bytes: u64) -> Result<u64, JournalError> {
        // Nobody's turn is taken where there is nothing to do.
        if self.tally.held().reports_bytes <= most_bytes {
            return Ok(0);
        }
        let mut work = self.begin().await?;
        let dropped = work.drop_reports(most_bytes)?;
        if dropped > 0 {
            work.commit().await?;
        }
        Ok(dropped)
    }
}

impl SqliteJournal {
    /// Writes and flushes by one statement; how many rows. It is seen to its end, whether or not somebody still
    /// waits for it.
    async fn written(
        &self,
        statement: &'static str,
        values: impl rusqlite::Params + Send + 'static,
    ) -> Result<u64, JournalError> {
        let (mut turn, latch) = (Writer::turn(&self.writer).await?, self.latch.clone());
        let done = spawn_blocking(move || {
            let write = |connection: &rusqlite::Connection| {
                Ok(connection.prepare_cached(statement)?.execute(values)? as u64)
            };
            let written = latch.seen(turn.connection().and_then(write))?;
            turn.committed();
            Ok(written)
        });
        done.await.unwrap_or(Err(JournalError::Unanswered))
    }
}
