//! The responder's time: what the machine's clock showed once, counted on by a clock that nobody sets.
//!
//! Instants in the journal are kept in it, so that a clock that is set neither brings an attempt
//! forward nor puts one off. Once the machine's clock is found to have been set, everything that waits
//! moves with it, in one unit of work, and the responder's time is the machine's again. The kernel's
//! time since boot goes on across a restart of the process: within one boot a clock that was set while
//! nobody ran is found as well.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

/// A clock that differs by less was not set.
const SET: SignedDuration = SignedDuration::from_millis(100);
/// Two clocks that are read within this time show the same instant.
const READ_WITHIN: Duration = Duration::from_millis(5);
const READ_AGAIN: u32 = 10;

/// What the responder's time stood at, at an instant that a later process can find again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The machine's boot.
    pub boot: String,
    /// How long the machine had been up.
    pub uptime: Duration,
    /// What the responder's time was.
    pub at: Timestamp,
}

/// The clocks that it is made of.
pub trait Source: fmt::Debug + Send + Sync {
    /// What tells one boot from another; empty where nobody knows.
    fn boot(&self) -> String;
    /// How long the machine has been up, asleep or awake.
    fn uptime(&self) -> Duration;
    /// What the machine's clock shows, which anybody may set.
    fn shown(&self) -> Timestamp;
}

/// The responder's time.
#[derive(Debug)]
pub struct Clock {
    source: Arc<dyn Source>,
    began: Duration,
    /// What the responder's time would have been at boot, in microseconds since 1970.
    base: AtomicI64,
}

impl Clock {
    /// Starts with what the machine's clock shows.
    pub fn start() -> Self {
        Self::over(Arc::new(Kernel))
    }

    /// The same over other clocks.
    pub fn over(source: Arc<dyn Source>) -> Self {
        let clock = Self { began: source.uptime(), source, base: AtomicI64::new(0) };
        clock.base.store(clock.shown_base(), Ordering::Release);
        clock
    }

    /// The responder's time. What is stored has to be read within the unit of work that stores it: the
    /// clock is set only within one.
    pub fn now(&self) -> Timestamp {
        self.at(self.source.uptime())
    }

    fn at(&self, uptime: Duration) -> Timestamp {
        let at = self.base.load(Ordering::Acquire).saturating_add(microseconds(uptime));
        Timestamp::from_microsecond(at).unwrap_or(Timestamp::MAX)
    }

    /// The responder's time, and how long it has been running, of one instant: what the limits allow and
    /// what is stored must not be apart.
    pub fn moment(&self) -> (Timestamp, Duration) {
        let uptime = self.source.uptime();
        (self.at(uptime), uptime.saturating_sub(self.began))
    }

    /// What a later process needs to go on with this time.
    pub fn anchor(&self) -> Anchor {
        let uptime = self.source.uptime();
        Anchor { boot: self.source.boot(), uptime, at: self.at(uptime) }
    }

    /// By how much the machine's clock was set since the anchor was written, as far as that can be told.
    /// Where it was not, the anchor's time goes on: two clocks never agree to the microsecond, and what is
    /// stored need not move for that.
    pub fn go_on_from(&self, anchor: &Anchor) -> Option<SignedDuration> {
        let by = set_between(anchor, &self.anchor());
        if by.abs() >= SET {
            return Some(by);
        }
        self.shift(-by);
        None
    }

    /// By how much the machine's clock was set since the responder's time was taken from it, where it
    /// was.
    pub fn was_set(&self) -> Option<SignedDuration> {
        let by = self.shown_base().saturating_sub(self.base.load(Ordering::Acquire));
        Some(SignedDuration::from_micros(by)).filter(|by| by.abs() >= SET)
    }

    /// Moves the responder's time. Within the unit of work that moves what is stored.
    pub fn shift(&self, by: SignedDuration) {
        self.base.fetch_add(saturated(by.as_micros()), Ordering::AcqRel);
    }

    /// Two clocks are read one after the other: where much time went by between them, it is done again.
    fn shown_base(&self) -> i64 {
        let mut base = 0;
        for _ in 0..READ_AGAIN {
            let before = self.source.uptime();
            base = self.source.shown().as_microsecond().saturating_sub(microseconds(before));
            if self.source.uptime().saturating_sub(before) < READ_WITHIN {
                break;
            }
        }
        base
    }
}

/// By how much the clock was set between two anchors. Within one boot that is what the clock shows
/// beyond what has passed. After another boot nobody knows how long the machine was down, so the clock
/// is believed, unless it shows an instant that has already been.
fn set_between(earlier: &Anchor, later: &Anchor) -> SignedDuration {
    let shown = later.at.duration_since(earlier.at);
    let same_boot = !later.boot.is_empty() && later.boot == earlier.boot;
    match later.uptime.checked_sub(earlier.uptime).filter(|_| same_boot) {
        Some(passed) => shown.saturating_sub(SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX)),
        None => shown.min(SignedDuration::ZERO),
    }
}

/// The kernel's clocks.
#[derive(Debug)]
struct Kernel;

impl Source for Kernel {
    fn boot(&self) -> String {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        text.trim().to_owned()
    }

    fn uptime(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::try_from(time).unwrap_or_default()
    }

    fn shown(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A span as it is stored.
pub fn microseconds(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

fn saturated(micros: i128) -> i64 {
    i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(boot: &str, uptime: u64, at: i64) -> Anchor {
        let at = Timestamp::from_second(1_700_000_000 + at).unwrap();
        Anchor { boot: boot.to_owned(), uptime: Duration::from_secs(uptime), at }
    }

    #[test]
    fn within_one_boot_every_setting_of_the_clock_is_found() {
        let before = anchor("a", 100, 0);
        for (after, set) in [(160, 0), (160 + 3600, 3600), (160 - 86_400, -86_400)] {
            let by = set_between(&before, &anchor("a", 260, after));
            assert_eq!(by, SignedDuration::from_secs(set), "{after}");
        }
    }

    #[test]
    fn after_another_boot_the_clock_is_believed_unless_it_goes_back() {
        let before = anchor("a", 100, 0);
        // A day went by, or the clock was set: nobody can tell. It never goes back by itself.
        for (later, set) in [
            (anchor("b", 5, 86_400), 0),
            (anchor("b", 5, -3600), -3600),
            // Without the boot's name, or with less uptime than before, it may be another boot.
            (anchor("", 260, 86_400), 0),
            (anchor("a", 5, 86_400), 0),
        ] {
            assert_eq!(set_between(&before, &later), SignedDuration::from_secs(set), "{later:?}");
        }
    }

    #[test]
    fn time_goes_on_from_where_it_was_moved_to() {
        let clock = Clock::start();
        assert_eq!(clock.was_set(), None);
        let before = clock.now();
        clock.shift(SignedDuration::from_hours(-24));
        let after = clock.now();
        assert!(after < before && after >= before - SignedDuration::from_hours(24), "{before} {after}");
        // Against the machine's clock, that is a clock which was set forward by a day.
        let by = clock.was_set().unwrap().as_secs();
        assert!((86_399..=86_401).contains(&by), "{by}");
        assert_eq!(clock.go_on_from(&clock.anchor()), None);
    }
}
