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

    /// Sees a write to its end, whether or not somebody still waits for it: a request that is given up
    /// must not take with it the news that the disk could not be flushed.
    pub(super) async fn over<T: Send + 'static>(
        &self,
        write: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    ) -> Result<T, JournalError> {
        let latch = self.clone();
        let seen = tokio::spawn(async move {
            let done = write.await.map_err(JournalError::from);
            done.inspect_err(|error| latch.note(error))
        });
        seen.await.unwrap_or(Err(JournalError::Storage(sqlx::Error::WorkerCrashed)))
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
