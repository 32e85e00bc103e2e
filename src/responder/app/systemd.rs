//! What systemd is told, where there is one.

use std::{pin::pin, time::Duration};

use sd_notify::NotifyState;
use tokio::time::timeout;
use tracing::warn;

/// What is left for what comes after the grace period.
const AFTER_GRACE: Duration = Duration::from_secs(30);

/// How often it is told that the start goes on; sooner than any unit gives up.
const STARTING_TOLD: Duration = Duration::from_secs(20);

/// The journal is checked, which takes as long as it is large: until that is over the start is not late. What
/// takes too long ends by itself.
pub(super) async fn starting<T>(work: impl Future<Output = T>) -> T {
    let most = u32::try_from((6 * STARTING_TOLD).as_micros()).unwrap_or(u32::MAX);
    let goes_on = || {
        notify(&[NotifyState::Status("checking the journal"), NotifyState::ExtendTimeoutUsec(most)]);
    };
    told_meanwhile(work, goes_on).await
}

async fn told_meanwhile<T>(work: impl Future<Output = T>, goes_on: impl Fn()) -> T {
    let mut work = pin!(work);
    loop {
        match timeout(STARTING_TOLD, &mut work).await {
            Ok(done) => return done,
            Err(_) => goes_on(),
        }
    }
}

/// It serves.
pub(super) fn ready(hosts: usize) {
    notify(&[NotifyState::Ready, NotifyState::Status(&format!("serving {hosts} hosts"))]);
}

/// The configuration is being read again.
pub(super) fn reloading() {
    // systemd tells by the time whether this reload is the one that it asked for.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "systemd cannot be told of the reload"),
    }
}

/// The reload is over, and this is what came of it.
pub(super) fn reloaded(said: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(&one_line(said))]);
}

/// It stops, and may take so long for it.
pub(super) fn stopping(grace: Duration) {
    let most = u32::try_from((grace + AFTER_GRACE).as_micros()).unwrap_or(u32::MAX);
    notify(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping: attempts under way have their time"),
        NotifyState::ExtendTimeoutUsec(most),
    ]);
}

/// It lives.
pub(super) fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// How often the unit wants to hear that we live: twice as often as it must, as systemd asks.
pub(super) fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|most| (most / 2).max(Duration::from_millis(1)))
}

/// A line break would begin another assignment.
fn one_line(said: &str) -> String {
    said.replace('\n', "; ")
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_start_that_takes_long_is_seen_to_its_end_and_told_of_all_the_while() {
        let told = Cell::new(0);
        let work = async |secs| {
            sleep(Duration::from_secs(secs)).await;
            secs
        };
        assert_eq!(told_meanwhile(work(19), || told.set(told.get() + 1)).await, 19);
        assert_eq!(told.get(), 0, "it was no time");
        assert_eq!(told_meanwhile(work(3610), || told.set(told.get() + 1)).await, 3610);
        assert_eq!(told.get(), 180);
    }
}
