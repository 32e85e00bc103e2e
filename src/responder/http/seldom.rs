//! Tells the log of what a peer can bring about once a second, and how often it happened in between: a
//! log that a peer can fill is a weapon too.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const EVERY: Duration = Duration::from_secs(1);

/// When the log was told last, and what it was not told since.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// Whether it is time to tell; if so, how often it was not told since the last time.
    pub fn now(&self) -> Option<u64> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, suppressed) = &mut *state;
        if last.is_some_and(|last| now.saturating_duration_since(last) < EVERY) {
            *suppressed += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_then_one_a_second_with_the_number_of_the_others() {
        let (seldom, begin) = (Seldom::default(), Instant::now());
        let told: Vec<_> =
            [0, 1, 999, 1000, 1001, 5000].map(|ms| seldom.at(begin + Duration::from_millis(ms))).into();
        assert_eq!(told, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
