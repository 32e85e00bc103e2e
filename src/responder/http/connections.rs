//! Which connections may be closed to make room, and which one is.
//!
//! A limit that refused new connections would be the attacker's best weapon: whoever holds so many open
//! that say nothing keeps everybody out. So none is refused. What is limited is how many are without a
//! whole request, and beyond it the one that has been so for the longest goes. A sender that means it is
//! through with its request long before so many others have come.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The connections without a whole request, the one that has been so for the longest first.
#[derive(Debug, Default)]
pub struct Connections {
    waiting: Mutex<BTreeMap<u64, CancellationToken>>,
    next: AtomicU64,
}

/// One connection's place. Its end gives the place back.
#[derive(Debug)]
pub struct Slot {
    connections: Arc<Connections>,
    most: usize,
    place: Mutex<Option<u64>>,
    crowded_out: CancellationToken,
    last_begin: Mutex<Instant>,
}

impl Connections {
    /// Takes a connection in; where that is one too many, another makes room.
    pub fn enter(self: &Arc<Self>, most: u32) -> Arc<Slot> {
        let slot = Slot {
            connections: Arc::clone(self),
            most: usize::try_from(most).unwrap_or(usize::MAX),
            place: Mutex::new(None),
            crowded_out: CancellationToken::new(),
            last_begin: Mutex::new(Instant::now()),
        };
        slot.waits();
        Arc::new(slot)
    }

    /// Lets the one that has waited the longest make room.
    pub fn make_room(&self) {
        let longest = self.lock().pop_first();
        if let Some((_, connection)) = longest {
            connection.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, CancellationToken>> {
        locked(&self.waiting)
    }
}

impl Slot {
    /// It has no whole request, from now on: it may have to make room.
    pub fn waits(&self) {
        let place = self.connections.next.fetch_add(1, Ordering::Relaxed);
        let before = locked(&self.place).replace(place);
        let mut waiting = self.connections.lock();
        if let Some(before) = before {
            waiting.remove(&before);
        }
        waiting.insert(place, self.crowded_out.clone());
        let too_many = waiting.len() > self.most;
        drop(waiting);
        if too_many {
            self.connections.make_room();
        }
    }

    /// A request begins: its time counts from now.
    pub fn begins(&self) {
        *locked(&self.last_begin) = Instant::now();
    }

    /// Its request is there as a whole: it is worked on, and nobody's to close.
    pub fn is_whole(&self) {
        if let Some(place) = locked(&self.place).take() {
            self.connections.lock().remove(&place);
        }
    }

    /// Ends once it has to make room.
    pub async fn crowded_out(&self) {
        self.crowded_out.cancelled().await;
    }

    /// Ends once its last request began so long ago. A receiver that takes its answer by the byte would
    /// stay for ever.
    pub async fn overdue(&self, most: Duration) {
        loop {
            let deadline = *locked(&self.last_begin) + most;
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.is_whole();
    }
}

/// What is held is whole after every statement, whoever panicked beside it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(slots: &[Arc<Slot>]) -> Vec<bool> {
        slots.iter().map(|slot| slot.crowded_out.is_cancelled()).collect()
    }

    #[test]
    fn the_one_that_waited_longest_makes_room_and_none_that_is_worked_on() {
        let connections = Arc::new(Connections::default());
        let mut slots: Vec<_> = (0..3).map(|_| connections.enter(3)).collect();
        assert_eq!(out(&slots), [false; 3]);
        slots[0].is_whole();
        slots.push(connections.enter(3));
        assert_eq!(out(&slots), [false; 4]);
        slots.push(connections.enter(3));
        assert_eq!(out(&slots), [false, true, false, false, false]);
        // Once it is answered, it waits again, and is the last to go.
        slots[0].waits();
        assert_eq!(out(&slots), [false, true, true, false, false]);
    }

    #[test]
    fn a_connection_that_ended_gives_its_place_back() {
        let connections = Arc::new(Connections::default());
        let first = connections.enter(1);
        drop(first);
        let second = connections.enter(1);
        assert!(!second.crowded_out.is_cancelled());
        assert_eq!(connections.lock().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_overdue_so_long_after_its_last_request_began() {
        let connections = Arc::new(Connections::default());
        let slot = connections.enter(1);
        let second = Duration::from_secs(1);
        tokio::time::advance(second).await;
        slot.begins();
        let began = Instant::now();
        slot.overdue(5 * second).await;
        assert!(began.elapsed() >= 5 * second);
    }
}
