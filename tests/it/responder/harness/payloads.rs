//! What Alertmanager sends.

use serde_json::{Value, json};

pub(crate) const LARGE: &str = "RayWorkerLargeTmpDirectory";
pub(crate) const CRITICAL: &str = "RayWorkerDiskCritical";

/// An alert of a payload; more labels may be given, and may name the host otherwise.
pub(crate) fn alert(name: &str, status: &str, labels: &[(&str, &str)]) -> Value {
    let mut all = json!({ "alertname": name });
    for (key, value) in labels {
        all[*key] = json!(value);
    }
    let ends_at = if status == "firing" { "0001-01-01T00:00:00Z" } else { "2026-01-05T10:10:00Z" };
    json!({ "status": status, "labels": all, "annotations": {}, "startsAt": "2026-01-05T10:00:00Z", "endsAt": ends_at })
}

/// A payload of alerts, as Alertmanager wraps them.
pub(crate) fn payload(alerts: &[Value]) -> String {
    json!({ "version": "4", "groupKey": "{}", "receiver": "raysweep", "status": "firing", "alerts": alerts, "truncatedAlerts": 0 })
        .to_string()
}

pub(crate) fn firing(host: &str) -> String {
    payload(&[alert(LARGE, "firing", &[("host", host)])])
}

pub(crate) fn resolved(host: &str) -> String {
    payload(&[alert(LARGE, "resolved", &[("host", host)])])
}
