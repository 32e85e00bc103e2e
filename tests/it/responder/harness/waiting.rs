//! Waiting, which always has an end.

use std::time::{Duration, Instant};

/// Everything that is waited for is there within this time, or the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Polls until there is something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Whether it comes to be so within a hundred looks: enough for what was done already, however slow the
/// machine is, and too few for what would only end by itself.
pub(crate) fn soon(mut look: impl FnMut() -> bool) -> bool {
    (0..100).any(|_| {
        look() || {
            std::thread::sleep(LOOK_EVERY);
            false
        }
    })
}
