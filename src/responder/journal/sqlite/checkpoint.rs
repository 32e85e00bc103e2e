//! Brings what is in the log into the file, beside whoever writes to the log: nobody who is to be answered waits
//! for it.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::Connection;
use tokio::task::spawn_blocking;

use super::{super::JournalError, latch::Latch, writer::connect};

/// So many rows written are worth a checkpoint: about two thousand pages of the log, of which many are the same.
const ROWS: u64 = 1000;
/// So many pages of the log (32 MB) are too many. While it is written to without a pause it is never
/// brought in to its last page, and begins anew only after that: whoever has the turn does the rest.
const PAGES_MOST: i64 = 8000;

/// Shared by all that write.
#[derive(Debug, Clone)]
pub(super) struct Checkpoints(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// None once it is closed.
    connection: Mutex<Option<Connection>>,
    /// After so many rows.
    rows: u64,
    /// So many pages are too many.
    pages_most: i64,
    is_running: AtomicBool,
    is_long: AtomicBool,
    latch: Latch,
}

impl Checkpoints {
    pub(super) fn open(path: &Path, latch: Latch) -> Result<Self, JournalError> {
        Self::every(ROWS, PAGES_MOST, path, latch)
    }

    fn every(rows: u64, pages_most: i64, path: &Path, latch: Latch) -> Result<Self, JournalError> {
        let connection = Mutex::new(Some(connect(path)?));
        let [is_running, is_long] = [(); 2].map(|()| AtomicBool::new(false));
        Ok(Self(Arc::new(Inner { connection, rows, pages_most, is_running, is_long, latch })))
    }

    /// After a commit of whoever has the turn: whether it is time, for one who had so many rows written the last
    /// time; how many it is at now.
    pub(super) fn after(&self, writer: &Connection, before: u64) -> u64 {
        if self.0.is_long.swap(false, Ordering::Relaxed) {
            self.0.seen(checkpoint(writer));
        }
        let rows = writer.total_changes();
        if rows.abs_diff(before) < self.0.rows || self.0.is_running.swap(true, Ordering::AcqRel) {
            return before;
        }
        let inner = Arc::clone(&self.0);
        spawn_blocking(move || inner.run());
        rows
    }

    /// Waits for the one that runs; there is none after it.
    pub(super) fn close(&self) {
        drop(self.0.connection.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Inner {
    fn run(&self) {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let pages = connection.as_ref().and_then(|connection| self.seen(checkpoint(connection)));
        drop(connection);
        if pages.is_some_and(|pages| pages > self.pages_most) {
            self.is_long.store(true, Ordering::Relaxed);
        }
        self.is_running.store(false, Ordering::Release);
    }

    /// A file that could not be flushed is the end of this process, whoever found it out. Whatever else it was,
    /// the log still has it, and the next one tries again.
    fn seen(&self, done: Result<i64, JournalError>) -> Option<i64> {
        self.latch.seen(done).ok()
    }
}

/// As far as nobody has to wait for it; how many pages the log has.
fn checkpoint(connection: &Connection) -> Result<i64, JournalError> {
    Ok(connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_one([], |row| row.get(1))?)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt};

    use super::*;

    /// Whether the log begins anew within so many commits that come without a pause. How many it takes hangs on
    /// how busy the machine is.
    fn begins_anew(rows: u64, pages_most: i64, commits: u32) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        Connection::open(&path).unwrap();
        let writer = connect(&path).unwrap();
        writer.execute_batch("CREATE TABLE numbers (number INTEGER PRIMARY KEY, text TEXT)").unwrap();
        // Each log has another salt.
        let log = File::open(folder.path().join("journal.db-wal")).unwrap();
        let salt = || {
            let mut salt = [0; 8];
            log.read_exact_at(&mut salt, 16).unwrap();
            salt
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let checkpoints = Checkpoints::every(rows, pages_most, &path, Latch::open()).unwrap();
        let (first, mut at, text) = (salt(), 0, "x".repeat(3000));
        let anew = (0..commits).any(|_| {
            writer.execute("INSERT INTO numbers (text) VALUES (?)", [&text]).unwrap();
            at = checkpoints.after(&writer, at);
            salt() != first
        });
        checkpoints.close();
        anew
    }

    #[test]
    fn the_log_begins_anew_while_it_is_written_to_without_a_pause() {
        assert!(!begins_anew(u64::MAX, 0, 500), "nobody brings it in");
        assert!(begins_anew(10, 50, 20_000));
    }
}
