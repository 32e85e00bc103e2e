//! Alertmanager's webhook payload, version 4, and Grafana's superset of it.
//!
//! Lenient towards what is added and what nothing is done with (annotations, the group's key), strict
//! towards what an alert cannot do without. It knows the wire and nothing of what is done about an alert.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::{
    alert::{Alert, AlertStatus, Fingerprint, Notification},
    line::line,
};

#[cfg(test)]
mod tests;

/// Why a body is no notification. What it says may hold what was sent, and is one line whatever that is.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Not JSON at all.
    #[error("the body is no JSON: {0}")]
    Syntax(serde_json::Error),
    /// JSON, but an alert lacks what it needs, or a value is of another kind.
    #[error("{}: {}", line(path), line(source))]
    Shape {
        /// Where, as `alerts[2].startsAt`.
        path: String,
        /// What is wrong there.
        source: serde_json::Error,
    },
}

/// Reads the body of a notification.
pub fn parse(body: &[u8]) -> Result<Notification, PayloadError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let wire: WireNotification = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let source = error.into_inner();
        if source.is_data() { PayloadError::Shape { path, source } } else { PayloadError::Syntax(source) }
    })?;
    json.end().map_err(PayloadError::Syntax)?;
    Ok(wire.into())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireNotification {
    #[serde(default)]
    truncated_alerts: Option<u64>,
    alerts: Vec<WireAlert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAlert {
    status: AlertStatus,
    // Go writes an empty map that was never made as null.
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    starts_at: Timestamp,
    #[serde(default)]
    ends_at: Option<Timestamp>,
    #[serde(default)]
    fingerprint: Option<String>,
}

impl From<WireNotification> for Notification {
    fn from(wire: WireNotification) -> Self {
        Self {
            truncated_alerts: wire.truncated_alerts.unwrap_or_default(),
            alerts: wire.alerts.into_iter().map(Alert::from).collect(),
        }
    }
}

impl From<WireAlert> for Alert {
    fn from(wire: WireAlert) -> Self {
        let labels = wire.labels.unwrap_or_default();
        // A sender that leaves the fingerprint out still means one alert by one set of labels.
        let fingerprint =
            wire.fingerprint.and_then(|text| text.parse().ok()).unwrap_or_else(|| fingerprint_of(&labels));
        let ended = wire.status == AlertStatus::Resolved;
        Self {
            fingerprint,
            status: wire.status,
            labels,
            starts_at: wire.starts_at,
            // Go's zero time, 0001-01-01, says that there is no end yet.
            ends_at: wire.ends_at.filter(|at| ended && *at > Timestamp::UNIX_EPOCH),
        }
    }
}

/// Prometheus' own hash over a set of labels: FNV-1a, 64 bits, with 0xff after each name and value.
fn fingerprint_of(labels: &BTreeMap<String, String>) -> Fingerprint {
    let bytes =
        labels.iter().flat_map(|(name, value)| name.bytes().chain([0xff]).chain(value.bytes()).chain([0xff]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}").parse().expect("sixteen hexadecimal digits are a fingerprint")
}
