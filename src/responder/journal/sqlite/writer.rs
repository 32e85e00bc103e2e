//! The one connection that writes, and whose turn it is.
//!
//! It is called where the work is done and is handed to no thread of its own: for the few microseconds that
//! a statement takes, being handed over and back would cost many times as much.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, OpenFlags};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{Mutex, OwnedMutexGuard},
    task::block_in_place,
    time::timeout,
};

use super::{super::JournalError, BUSY_TIMEOUT, checkpoint::Checkpoints, latch::Latch};

/// Statements that are kept ready: all that there are, and one for each number of notifications that may go
/// together.
const STATEMENTS: usize = 128;

/// The right to write.
pub(super) type Turn = OwnedMutexGuard<Writer>;

/// The connection, for as long as the journal is open.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    connection: Option<Connection>,
    checkpoints: Checkpoints,
    /// How many rows the connection had written when the last checkpoint began.
    rows: u64,
}

/// Why there is no turn.
#[derive(Debug, thiserror::Error)]
enum NoTurn {
    #[error("others have been writing for {} s", BUSY_TIMEOUT.as_secs())]
    Late,
    #[error("it is closed")]
    Closed,
}

impl Writer {
    pub(super) fn open(path: PathBuf, latch: Latch) -> Result<Arc<Mutex<Self>>, JournalError> {
        let (connection, checkpoints) = (Some(connect(&path)?), Checkpoints::open(&path, latch)?);
        Ok(Arc::new(Mutex::new(Self { path, connection, checkpoints, rows: 0 })))
    }

    /// Waits for whoever writes.
    pub(super) async fn turn(writer: &Arc<Mutex<Self>>) -> Result<Turn, JournalError> {
        let turn = timeout(BUSY_TIMEOUT, Arc::clone(writer).lock_owned()).await;
        turn.map_err(|_| JournalError::Storage(NoTurn::Late.into()))
    }

    pub(super) fn connection(&self) -> Result<&Connection, JournalError> {
        self.connection.as_ref().ok_or_else(|| JournalError::Storage(NoTurn::Closed.into()))
    }

    /// Begins a transaction. Immediate: who writes besides us, with a tool of SQLite's, is met here and not
    /// at the first write.
    pub(super) fn begin(&mut self) -> Result<(), JournalError> {
        if self.connection.as_ref().is_some_and(|connection| !connection.is_autocommit()) {
            // What could not be undone is left to a connection that never was in it.
            self.connection = Some(connect(&self.path)?);
        }
        self.connection()?.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(())
    }

    /// Something was committed.
    pub(super) fn committed(&mut self) {
        if let Some(connection) = &self.connection {
            self.rows = self.checkpoints.after(connection, self.rows);
        }
    }

    /// Undoes what was begun and has no end. What cannot be undone ends with the connection.
    pub(super) fn undo(&mut self) {
        if let Some(connection) = self.connection.as_ref().filter(|connection| !connection.is_autocommit()) {
            let _ = connection.execute_batch("ROLLBACK");
        }
    }

    /// Writes what is in the log into the file, and lets it go.
    pub(super) fn close(&mut self) {
        self.checkpoints.close();
        drop(self.connection.take());
    }
}

pub(super) fn connect(path: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")?;
    // SQLite's own would keep whoever commits waiting, and would not say that a flush has failed.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Does what may wait for the disk, and lets other tasks go on meanwhile.
pub(super) fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        // There is one thread for all of them.
        _ => work(),
    }
}
