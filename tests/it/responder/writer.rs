//! Somebody else who writes into the journal: until he has ended, nobody else can.

use sqlx::{Connection, Executor, SqliteConnection};
use tokio::runtime::{Builder, Runtime};

use super::harness::Fleet;

/// A transaction that is not over.
pub(super) struct Writer {
    connection: SqliteConnection,
    runtime: Runtime,
}

impl Writer {
    /// Begins to write into the journal of a fleet's responder.
    pub(super) fn begin(fleet: &Fleet) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let url = format!("sqlite://{}", fleet.path("data/journal.db").display());
        let connection = runtime.block_on(async {
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            connection.execute("BEGIN IMMEDIATE").await.unwrap();
            connection
        });
        Self { connection, runtime }
    }

    /// Has written nothing.
    pub(super) fn end(mut self) {
        self.runtime.block_on(async { self.connection.execute("ROLLBACK").await.unwrap() });
    }
}
