//! Every way in which a journal can fail, split by what whoever meets it does next.

use std::path::PathBuf;

use super::{ALERTS_MOST, REPORTS_BYTES_MOST};

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The folder cannot be made or opened.
    #[error("{path}: {source}", path = path.display())]
    Path {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("{path} is in use by another process", path = .0.display())]
    Locked(PathBuf),
    /// The store is of a newer version: what it says may not be what we would read in it.
    #[error(
        "the journal is of version {found} and this raysweep knows versions up to {known}: run the newer raysweep, or start with another --storage.path"
    )]
    Newer {
        /// The store's version.
        found: i64,
        /// The newest that this binary knows.
        known: i64,
    },
    /// Whether the store is whole could not be found out in the time for it.
    #[error(
        "{path}: its check took longer than {secs} s, and nothing wrong was found until then: start again once its disk has less to do, or with another --storage.path",
        path = path.display()
    )]
    Unchecked {
        /// The store.
        path: PathBuf,
        /// The time for it.
        secs: u64,
    },
    /// A step towards our version failed.
    #[error("the journal cannot be brought to this version: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The store failed; it may work again later.
    #[error("the journal failed: {0}")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The system could not say that what was written is on disk. Nothing that this process has read or
    /// written since can be trusted to be there, and asking again would answer "yes" without it.
    #[error("the journal's disk could not be flushed: {0}")]
    Flush(String),
    /// Whoever wrote for us has panicked.
    #[error("nobody knows whether the journal was written")]
    Unanswered,
    /// More was asked for than is told at once. Nothing is wrong with the journal.
    #[error("these reports are longer than {REPORTS_BYTES_MOST} bytes together")]
    TooMuch,
    /// More was asked for than is told at once, as well.
    #[error("these incidents have more than {ALERTS_MOST} alerts together")]
    TooManyAlerts,
    /// What is stored is not what this binary writes.
    #[error("the journal is damaged: {0}")]
    Corrupt(String),
}

impl JournalError {
    /// The reason as log and metrics write it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Path { .. } => "path",
            Self::Locked(_) => "locked",
            Self::Newer { .. } => "newer",
            Self::Unchecked { .. } => "unchecked",
            Self::Migrate(_) => "migrate",
            Self::Storage(_) => "storage",
            Self::Flush(_) => "flush",
            Self::Unanswered => "unanswered",
            Self::TooMuch => "too_much",
            Self::TooManyAlerts => "too_many_alerts",
            Self::Corrupt(_) => "corrupt",
        }
    }

    /// Whether the process has to end: only a new one, which reads what is on disk, may go on.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Flush(_))
    }
}
