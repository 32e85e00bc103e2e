//! Notifications that come while the journal is written go into it together: a flush takes as long for
//! one of them as for all, and each is answered once it is on disk.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::{Accepted, Intake};
use crate::{
    domain::alert::Notification,
    responder::journal::{Journal, JournalError},
};

/// So many notifications go together: whoever comes after them waits for no more than these.
const TOGETHER_MOST: usize = 64;

/// Notifications that wait for the journal, and the right to write it.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<VecDeque<Waiting>>,
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Waiting {
    notification: Notification,
    answer: oneshot::Sender<Result<Accepted, Arc<JournalError>>>,
}

impl Queue {
    /// The next that go together, without those whose sender has gone: who was not answered sends again.
    fn next(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        waiting.retain(|waiting| !waiting.answer.is_closed());
        let count = waiting.len().min(TOGETHER_MOST);
        waiting.drain(..count).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        // A queue is whole after every statement, whoever panicked beside it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J: Journal> Intake<J> {
    /// Takes a notification in. Returns once all of it is on disk, or none of it.
    pub async fn accept(self: &Arc<Self>, notification: Notification) -> Result<Accepted, Arc<JournalError>> {
        let (answer, answered) = oneshot::channel();
        self.queue.waiting().push_back(Waiting { notification, answer });
        let intake = Arc::clone(self);
        // A task of its own: a request that is given up takes nobody's with it.
        tokio::spawn(async move {
            let _writing = intake.queue.writing.lock().await;
            // Whoever wrote before us may have taken ours along.
            intake.write(intake.queue.next()).await;
        });
        answered.await.unwrap_or_else(|_| Err(Arc::new(JournalError::Unanswered)))
    }

    async fn write(&self, together: Vec<Waiting>) {
        let notifications: Vec<_> = together.iter().map(|waiting| &waiting.notification).collect();
        if notifications.is_empty() {
            return;
        }
        match self.take_in(&notifications).await {
            Ok(accepted) => {
                for (waiting, accepted) in together.into_iter().zip(accepted) {
                    let _ = waiting.answer.send(Ok(accepted));
                }
            }
            // A host whose rows are damaged stands in no other's way.
            Err(JournalError::Corrupt(_)) if together.len() > 1 => {
                for Waiting { notification, answer } in together {
                    let accepted = self.take_in(&[&notification]).await;
                    let one = accepted.map(|accepted| accepted.first().copied().unwrap_or_default());
                    let _ = answer.send(one.map_err(Arc::new));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for waiting in together {
                    let _ = waiting.answer.send(Err(Arc::clone(&error)));
                }
            }
        }
    }
}
