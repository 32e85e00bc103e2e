//! An answer that many ask for at once is made once: whoever may ask without being known must not bring
//! about work for each time.

use std::{future::Future, time::Duration};

use tokio::{sync::Mutex, time::Instant};

/// What was made last, and when. Only one is made at a time.
#[derive(Debug)]
pub struct Shared<T>(Mutex<Option<Made<T>>>);

#[derive(Debug)]
struct Made<T> {
    began: Instant,
    ended: Instant,
    answer: T,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Shared<T> {
    /// One that was made within this time before now, or by others since now.
    pub async fn younger_than(&self, age: Duration, make: impl Future<Output = T>) -> T {
        self.or_make(|last, asked| last.ended + age > asked, make).await
    }

    /// One whose making began after now: it knows all that was there when it was asked for. Whoever asks
    /// while one is being made shares the next.
    pub async fn begun_from_now(&self, make: impl Future<Output = T>) -> T {
        self.or_make(|last, asked| last.began > asked, make).await
    }

    async fn or_make(&self, is_good: impl Fn(&Made<T>, Instant) -> bool, make: impl Future<Output = T>) -> T {
        let asked = Instant::now();
        // Whoever makes one and is given up lets the next one make it.
        let mut last = self.0.lock().await;
        if let Some(last) = last.as_ref().filter(|last| is_good(last, asked)) {
            return last.answer.clone();
        }
        let began = Instant::now();
        let answer = make.await;
        *last = Some(Made { began, ended: Instant::now(), answer: answer.clone() });
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;
    use tokio::time::sleep;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);
    const AGE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_is_young_enough_is_told_again_and_whoever_asks_meanwhile_waits_for_it() {
        let (shared, times) = (Shared::default(), AtomicU32::new(0));
        let make = || async {
            sleep(2 * AGE).await;
            times.fetch_add(1, Ordering::AcqRel)
        };
        let late = async {
            sleep(AGE).await;
            shared.younger_than(AGE, make()).await
        };
        let (all, late) = tokio::join!(join_all((0..100).map(|_| shared.younger_than(AGE, make()))), late);
        assert_eq!((all, late), (vec![0; 100], 0));
        sleep(AGE / 2).await;
        assert_eq!(shared.younger_than(AGE, make()).await, 0);
        sleep(AGE / 2).await;
        assert_eq!(shared.younger_than(AGE, make()).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_while_one_is_made_shares_the_next() {
        let (shared, times) = (Shared::default(), AtomicU32::new(0));
        let make = || async {
            sleep(AGE).await;
            times.fetch_add(1, Ordering::AcqRel)
        };
        let asks = |after: u32| {
            let (shared, make) = (&shared, make());
            async move {
                sleep(after * MOMENT).await;
                shared.begun_from_now(make).await
            }
        };
        let first = asks(0);
        let (first, others) = tokio::join!(first, join_all((1..100).map(asks)));
        assert_eq!((first, others), (0, vec![1; 99]));
        assert_eq!(asks(1).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_given_up_keeps_nobody_waiting() {
        let shared = Shared::default();
        let stuck = tokio::time::timeout(AGE, shared.begun_from_now(std::future::pending::<u32>()));
        let (stuck, next) = tokio::join!(stuck, shared.begun_from_now(async { 7 }));
        assert_eq!((stuck.is_err(), next), (true, 7));
    }
}
