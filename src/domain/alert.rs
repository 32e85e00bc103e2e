//! Alerts as raysweep knows them, whoever sent them.

use std::{collections::BTreeMap, fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What identifies an alert: Alertmanager's hash over its labels, 16 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(String);

/// Why a text is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no fingerprint: Alertmanager sends 1 to 64 hexadecimal digits")]
pub struct FingerprintError(String);

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(FingerprintError(text.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = FingerprintError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.0
    }
}

impl Fingerprint {
    /// The fingerprint as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether an alert's condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    /// The condition holds.
    Firing,
    /// The condition no longer holds.
    Resolved,
}

impl AlertStatus {
    /// The status as Alertmanager writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// One alert of a notification. Labels are hostile input: they are matched and shown, never executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What identifies the alert.
    pub fingerprint: Fingerprint,
    /// Its own status; the status of its group is never acted on.
    pub status: AlertStatus,
    /// Its labels, `alertname` among them.
    pub labels: BTreeMap<String, String>,
    /// When it began to fire, by Prometheus' clock.
    pub starts_at: Timestamp,
    /// When it ended; `None` while it fires.
    pub ends_at: Option<Timestamp>,
}

impl Alert {
    /// The alert's name, empty where the sender left it out.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }
}

/// Labels that say what on its host an alert is about.
pub const PLACE_LABELS: [&str; 3] = ["worker", "device", "mountpoint"];

/// Labels on one line, those of a place first.
pub fn labels_line(labels: &BTreeMap<String, String>) -> String {
    let mut labels: Vec<_> = labels.iter().collect();
    labels.sort_by_key(|(key, _)| !PLACE_LABELS.contains(&key.as_str()));
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

/// One delivery: the alerts of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// How many alerts the sender cut off; they will not be sent again.
    pub truncated_alerts: u64,
    /// The alerts, each to be judged on its own.
    pub alerts: Vec<Alert>,
}
