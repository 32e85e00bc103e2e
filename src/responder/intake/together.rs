//! Notifications that come while the journal is written go into it together: a flush takes as long for
//! one of them as for all, and each is answered once it is on disk. Whoever comes while nobody writes begins
//! to, on a thread of its own, and goes on until nobody waits: one who comes alone waits for no other.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
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

/// Notifications that wait for the journal, and whether somebody writes.
#[derive(Debug, Default)]
pub struct Queue(Mutex<Line>);

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    is_served: bool,
}

#[derive(Debug)]
struct Waiting {
    delivery: Delivery,
    answer: oneshot::Sender<Result<Acknowledged, Arc<JournalError>>>,
}

impl Queue {
    /// Whether nobody writes: whoever is told so has to.
    fn join(&self, waiting: Waiting) -> bool {
        let mut line = self.line();
        line.waiting.push_back(waiting);
        !std::mem::replace(&mut line.is_served, true)
    }

    /// Whether somebody waits. If not, whoever comes next has to write.
    fn goes_on(&self) -> bool {
        let mut line = self.line();
        // Who was not answered and has gone sends again.
        line.waiting.retain(|waiting| !waiting.answer.is_closed());
        line.is_served = !line.waiting.is_empty();
        line.is_served
    }

    /// The next that go together.
    fn next(&self) -> Vec<Waiting> {
        let mut line = self.line();
        line.waiting.retain(|waiting| !waiting.answer.is_closed());
        let count = line.waiting.len().min(TOGETHER_MOST);
        line.waiting.drain(..count).collect()
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // A line is whole after every statement, whoever panicked beside it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who writes. Where that panics nobody is left waiting for it, and the next who comes writes.
struct Writing<'q>(&'q Queue);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            *self.0.line() = Line::default();
        }
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
        if self.queue.join(Waiting { delivery, answer }) {
            let intake = Arc::clone(self);
            // By itself: a request that is given up takes nobody's with it.
            drop(self.journal.apart(async move |journal| intake.serve(&journal).await));
        }
        answered.await.unwrap_or_else(|_| Err(Arc::new(JournalError::Unanswered)))
    }

    /// Writes until nobody waits.
    async fn serve(&self, journal: &J) {
        let _writing = Writing(&self.queue);
        while self.queue.goes_on() {
            // Whoever comes while others have the journal goes along.
            let begun = journal.begin().await;
            self.write(journal, begun, self.queue.next()).await;
        }
    }

    async fn write(&self, journal: &J, begun: Result<J::Work, JournalError>, together: Vec<Waiting>) {
        let deliveries: Vec<_> = together.iter().map(|waiting| &waiting.delivery).collect();
        if deliveries.is_empty() {
            return;
        }
        let written = match begun {
            Ok(work) => self.take_in(work, &deliveries).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(acknowledged) => {
                for (waiting, acknowledged) in together.into_iter().zip(acknowledged) {
                    let _ = waiting.answer.send(Ok(acknowledged));
                }
            }
            // A host whose rows are damaged stands in no other's way.
            Err(JournalError::Corrupt(_)) if together.len() > 1 => {
                for Waiting { delivery, answer } in together {
                    let _ = answer.send(self.write_alone(journal, &delivery).await.map_err(Arc::new));
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

    async fn write_alone(&self, journal: &J, delivery: &Delivery) -> Result<Acknowledged, JournalError> {
        let acknowledged = self.take_in(journal.begin().await?, &[delivery]).await?;
        acknowledged.first().copied().ok_or(JournalError::Unanswered)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn waiting() -> (Waiting, oneshot::Receiver<Result<Acknowledged, Arc<JournalError>>>) {
        let (answer, answered) = oneshot::channel();
        let notification = Notification { truncated_alerts: 0, alerts: vec![] };
        let delivery = Delivery { id: Uuid::now_v7(), notification, body: Bytes::new() };
        (Waiting { delivery, answer }, answered)
    }

    #[test]
    fn the_first_who_comes_writes_and_after_the_last_was_served_the_next_one_does() {
        let queue = Queue::default();
        let (first, _answered) = waiting();
        let (second, gone) = waiting();
        assert!(queue.join(first));
        assert!(!queue.join(second));
        drop(gone);
        assert!(queue.goes_on());
        assert_eq!(queue.next().len(), 1, "who has gone is not written for");
        assert!(!queue.goes_on());
        assert!(queue.join(waiting().0));
    }

    #[test]
    fn where_whoever_writes_panics_nobody_is_left_waiting_and_the_next_one_writes() {
        let queue = Queue::default();
        let (first, mut answered) = waiting();
        let writes = AssertUnwindSafe(|| {
            let _writing = Writing(&queue);
            assert!(!queue.join(first), "nobody writes yet");
        });
        assert!(catch_unwind(writes).is_err());
        assert!(answered.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed));
        assert!(queue.join(waiting().0));
    }
}
