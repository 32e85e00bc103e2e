//! One incident: its alerts, what happened in it, and how to replay it.

use super::freed;
use crate::{
    cli::{
        status,
        text::{self, plain, time},
    },
    domain::alert::labels_line,
    fleet::client::{IncidentAlert, IncidentEvent, IncidentWhole},
};

/// A line on where it stands, its alerts, and what happened in its order.
pub(super) fn shown(whole: &IncidentWhole) -> String {
    let IncidentWhole { id, incident, close_reason, alerts, timeline } = whole;
    let closed = close_reason.as_deref().map_or_else(String::new, |reason| format!(" ({})", plain(reason)));
    let due = incident.due_at.map_or_else(String::new, |at| format!(", next attempt {}", time(at)));
    let mut text = format!(
        "incident {id} of {host}: {state}{closed}, {urgency}, {attempts} attempts{due}\n",
        host = plain(&incident.host),
        state = plain(&incident.state),
        urgency = plain(incident.urgency.as_deref().unwrap_or("no alert fires")),
        attempts = incident.attempts,
    );
    if let Some(told) = status::told(incident) {
        text = text + &told + "\n";
    }
    let width = text::terminal_width().unwrap_or(u16::MAX);
    text.push('\n');
    let header = [
        "alert",
        "about",
        "urgency",
        "status",
        "received (UTC)",
        "last seen (UTC)",
        "came with notification",
    ];
    text.push_str(&text::table(&header, alerts.iter().map(alert), &[], width));
    text.push('\n');
    let header = ["when (UTC)", "what", "about", "how"];
    text.push_str(&text::table(&header, timeline.iter().map(event), &[], width));
    text + &format!("\nReplay it: raysweep replay {id} --dry-run\n")
}

fn alert(alert: &IncidentAlert) -> Vec<String> {
    vec![
        plain(&alert.name),
        plain(&labels_line(&alert.labels)),
        plain(&alert.urgency),
        plain(&alert.status),
        time(alert.received_at),
        time(alert.last_seen),
        plain(alert.first_notification.as_deref().unwrap_or("not kept")),
    ]
}

fn event(event: &IncidentEvent) -> Vec<String> {
    let about = event.alert.as_deref().or(event.attempt.as_deref()).unwrap_or("");
    let freed = freed(event.freed_bytes.filter(|bytes| *bytes > 0));
    let freed = (!freed.is_empty()).then(|| format!("{freed} freed"));
    let how: Vec<_> = event
        .outcome
        .iter()
        .map(|text| plain(text))
        .chain(freed)
        .chain(event.reason.iter().map(|text| plain(text)))
        .collect();
    vec![time(event.at), plain(&event.event), plain(about), how.join(", ")]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_incident_that_is_over_needs_nobody_and_says_who_was_told() {
        let said = |state: &str, closed_at: Option<&str>| {
            shown(
                &serde_json::from_value(json!({
                    "id": 7, "host": "ray-80", "state": state, "urgency": null, "attempts": 1,
                    "opened_at": "2026-01-05T10:00:00Z", "due_at": null, "last_outcome": "active",
                    "escalation": "critical_active", "tried": { "active": 1 }, "closed_at": closed_at,
                    "close_reason": closed_at.map(|_| "resolved"), "alerts": [], "timeline": [],
                }))
                .unwrap(),
            )
        };
        let open = said("waiting", None);
        assert!(open.contains("ray-80 needs a person (critical_active): tried 1 active; held by "), "{open}");
        let over = said("closed", Some("2026-01-05T11:00:00Z"));
        assert!(over.contains("incident 7 of ray-80: closed (resolved), "), "{over}");
        assert!(
            over.contains("ray-80 needed a person (critical_active): tried 1 active; held by "),
            "{over}"
        );
        assert!(!over.contains("needs"), "{over}");
    }
}
