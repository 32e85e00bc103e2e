//! What is sent: a notification as Alertmanager sent it, with other names in it each time.

use std::time::Duration;

use jiff::Timestamp;

/// A group of one alert, as a real Alertmanager wrote it.
const RECORDED: &str = include_str!("../../alertmanager/payloads/firing-single.json");
const RECORDED_HOST: &str = "ray-80";
const RECORDED_WORKER: &str = "ray-worker-1";
const RECORDED_FINGERPRINT: &str = "538c984d925ac466";
const RECORDED_START: &str = "2026-11-23T18:11:53.97Z";

/// So many hosts are in the inventory, and have trouble.
pub(crate) const HOSTS: u64 = 1000;
/// So many workers of each have an alert of their own.
const WORKERS: u64 = 8;

pub(crate) fn host(number: u64) -> String {
    format!("h-{}", number % HOSTS)
}

/// The notification of this number: of another host than the one before, with another start; once each
/// host was its turn, of another worker. What has been sent for every worker is sent anew.
pub(crate) fn notification(number: u64) -> String {
    let alert = number % (HOSTS * WORKERS);
    let starts_at =
        Timestamp::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_millis(number);
    RECORDED
        .replace(RECORDED_HOST, &host(number))
        .replace(RECORDED_WORKER, &format!("ray-worker-{}", alert / HOSTS))
        .replace(RECORDED_FINGERPRINT, &format!("{alert:016x}"))
        .replace(RECORDED_START, &starts_at.to_string())
}

/// How many hosts and how many alerts the first so many notifications are of.
pub(crate) fn distinct(notifications: u64) -> (u64, u64) {
    (notifications.min(HOSTS), notifications.min(HOSTS * WORKERS))
}
