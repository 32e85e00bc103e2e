//! A notification that a responder has kept, by its identity or by its incident's.

use std::path::Path;

use serde_json::Value;
use uuid::Uuid;

use crate::{
    cli::connection::AskError,
    fleet::client::{Client, ClientError, IncidentWhole},
    responder::alertmanager,
};

/// What is replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    /// An incident, by the notification that opened it.
    Incident(i64),
    /// A notification as it was received.
    Notification(Uuid),
}

/// Why nothing was kept that could be replayed.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeptError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("incident {0} was opened before notifications were kept: there is nothing to replay")]
    TooOld(i64),
    #[error(
        "the notification {notification} that opened incident {incident} is not kept any more: see journal.notifications"
    )]
    Forgotten { incident: i64, notification: String },
    #[error("what the responder keeps is no notification: {0}")]
    Shape(String),
}

impl Kept {
    /// What a word on the command line names, where it is neither a file that is there nor `-`.
    pub(super) fn named(word: &Path) -> Option<Self> {
        if word == Path::new("-") || word.exists() {
            return None;
        }
        let word = word.to_str()?;
        let incident = word.parse().ok().filter(|id: &i64| *id > 0).map(Self::Incident);
        incident.or_else(|| word.parse().ok().map(Self::Notification))
    }

    /// Its payload, from the responder that has it.
    pub(super) fn payload(&self, client: &Client) -> Result<Vec<u8>, KeptError> {
        match self {
            Self::Notification(id) => Ok(client.notification(*id).map_err(AskError::from)?),
            Self::Incident(id) => of_incident(client, *id),
        }
    }
}

/// What opened the incident: of that notification the alerts that the incident has. It may have named other
/// hosts too, and whoever replays this one's trouble does not ask for theirs.
fn of_incident(client: &Client, id: i64) -> Result<Vec<u8>, KeptError> {
    let whole: IncidentWhole = client.incident(id).map_err(AskError::from)?;
    let opening = whole.alerts.iter().min_by_key(|alert| alert.received_at);
    let notification =
        opening.and_then(|alert| alert.first_notification.clone()).ok_or(KeptError::TooOld(id))?;
    let known: Uuid = notification.parse().map_err(|_| KeptError::Shape(notification.clone()))?;
    let payload = match client.notification(known) {
        Err(ClientError::Status { status: 404, .. }) => {
            return Err(KeptError::Forgotten { incident: id, notification });
        }
        other => other.map_err(AskError::from)?,
    };
    let fingerprints: Vec<_> = whole.alerts.iter().map(|alert| alert.fingerprint.as_str()).collect();
    only(&payload, |fingerprint| fingerprints.contains(&fingerprint)).map_err(KeptError::Shape)
}

/// The payload with those of its alerts alone whose fingerprints these are.
fn only(payload: &[u8], keeps: impl Fn(&str) -> bool) -> Result<Vec<u8>, String> {
    let read = alertmanager::parse(payload).map_err(|error| error.to_string())?;
    let mut value: Value = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    if let Some(alerts) = value.get_mut("alerts").and_then(Value::as_array_mut) {
        let mut keeps = read.alerts.iter().map(|alert| keeps(alert.fingerprint.as_str()));
        alerts.retain(|_| keeps.next().unwrap_or(false));
    }
    serde_json::to_vec(&value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_comes_before_an_identity_of_the_same_name() {
        let folder = tempfile::tempdir().unwrap();
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(Kept::named(Path::new("12")), Some(Kept::Incident(12)));
        assert_eq!(Kept::named(Path::new(id)), Some(Kept::Notification(id.parse().unwrap())));
        for word in ["-", "0", "-3", "payload.json", "../12", "1.5"] {
            assert_eq!(Kept::named(Path::new(word)), None, "{word}");
        }
        let file = folder.path().join(id);
        std::fs::write(&file, "{}").unwrap();
        assert_eq!(Kept::named(&file), None);
    }

    #[test]
    fn of_an_incidents_notification_the_alerts_of_other_hosts_stay_out() {
        let payload = r#"{"version":"4","alerts":[
            {"status":"firing","labels":{"host":"a"},"startsAt":"2026-01-05T10:00:00Z","fingerprint":"0a"},
            {"status":"firing","labels":{"host":"b"},"startsAt":"2026-01-05T10:00:00Z","fingerprint":"0b"}]}"#;
        let narrowed = only(payload.as_bytes(), |fingerprint| fingerprint == "0b").unwrap();
        let read = alertmanager::parse(&narrowed).unwrap();
        assert_eq!((read.alerts.len(), read.alerts[0].labels["host"].as_str()), (1, "b"));
        assert!(only(b"{", |_| true).is_err());
    }
}
