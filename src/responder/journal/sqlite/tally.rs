//! What is held of that which is bounded: counted once at the start and from then on with every write, so that
//! no write has to count it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::{Row, SqliteConnection};

use super::super::JournalError;

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// How many notifications.
    pub(super) notifications: u64,
    /// What they hold.
    pub(super) notifications_bytes: u64,
    /// What all reports hold.
    pub(super) reports_bytes: u64,
}

/// What is stored, as far as it is committed.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(Arc<Mutex<Held>>);

impl Tally {
    pub(super) async fn count(first: &mut SqliteConnection) -> Result<Self, JournalError> {
        const QUESTION: &str = "SELECT (SELECT COUNT(*) FROM notifications),
             (SELECT COALESCE(SUM(bytes), 0) FROM notifications), (SELECT COALESCE(SUM(bytes), 0) FROM kept_reports)";
        let row = sqlx::query(QUESTION).fetch_one(first).await?;
        let held = Held {
            notifications: unsigned(row.try_get(0)?),
            notifications_bytes: unsigned(row.try_get(1)?),
            reports_bytes: unsigned(row.try_get(2)?),
        };
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

/// What all of these hold.
pub(super) fn sum(bytes: &[i64]) -> u64 {
    bytes.iter().copied().map(unsigned).sum()
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
