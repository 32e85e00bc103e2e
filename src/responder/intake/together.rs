//! Notifications that come while the journal is written go into it together: a flush takes as long for
//! one of them as for all, and each is answered once it is on disk.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::body::Bytes;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Acknowledged, Delivery, Intake};
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
    delivery: Delivery,
    answer: oneshot::Sender<Result<Acknowledged, Arc<JournalError>>>,
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
    /// Takes a notification in, and keeps what was received of it. Returns once all of it is on disk, or
    /// none of it.
    pub async fn accept(
        self: &Arc<Self>,
        notification: Notification,
        body: Bytes,
    ) -> Result<Acknowledged, Arc<JournalError>> {
        let (answer, answered) = oneshot::channel();
        let delivery = Delivery { id: Uuid::now_v7(), notification, body };
        self.queue.waiting().push_back(Waiting { delivery, answer });
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
        let deliveries: Vec<_> = together.iter().map(|waiting| &waiting.delivery).collect();
        if deliveries.is_empty() {
            return;
        }
        match self.take_in(&deliveries).await {
            Ok(acknowledged) => {
                for (waiting, acknowledged) in together.into_iter().zip(acknowledged) {
                    let _ = waiting.answer.send(Ok(acknowledged));
                }
            }
            // A host whose rows are damaged stands in no other's way.
            Err(JournalError::Corrupt(_)) if together.len() > 1 => {
                for Waiting { delivery, answer } in together {
                    let acknowledged = self.take_in(&[&delivery]).await;
                    let one =
                        acknowledged.and_then(|one| one.first().copied().ok_or(JournalError::Unanswered));
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
