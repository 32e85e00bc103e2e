//! What systemd is told, where there is one.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// What is left for what comes after the grace period.
const AFTER_GRACE: Duration = Duration::from_secs(30);

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
