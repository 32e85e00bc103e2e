//! Remembers the failure after which this process must not go on.

use tokio::sync::watch;

use crate::responder::journal::JournalError;

/// Shut for good by the first failure of that kind.
#[derive(Debug, Clone)]
pub(super) struct Latch(watch::Sender<Option<String>>);

impl Latch {
    pub(super) fn open() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Takes note of how something ended, on the thread that did it and before anybody is told: a request that
    /// is given up must not take with it the news that the disk could not be flushed.
    pub(super) fn seen<T>(&self, done: Result<T, JournalError>) -> Result<T, JournalError> {
        done.inspect_err(|error| self.note(error))
    }

    /// Takes note of an error, where it is one that this process must not survive.
    pub(super) fn note(&self, error: &JournalError) {
        if let JournalError::Flush(what) = error {
            self.0.send_if_modified(|shut| shut.replace(what.clone()).is_none());
        }
    }

    /// Nothing more is done once it is shut.
    pub(super) fn check(&self) -> Result<(), JournalError> {
        self.0.borrow().clone().map_or(Ok(()), |what| Err(JournalError::Flush(what)))
    }

    /// Ends once it is shut.
    pub(super) async fn shut(&self) -> JournalError {
        let mut shut = self.0.subscribe();
        // The sender lives as long as we do.
        let what = shut.wait_for(Option::is_some).await.ok().and_then(|what| what.clone());
        JournalError::Flush(what.unwrap_or_default())
    }
}
