//! What is written of alerts.

use jiff::Timestamp;
use rusqlite::params;
use uuid::Uuid;

use super::{
    super::super::{JournalError, bounded},
    SqliteWork,
};
use crate::domain::{
    alert::Alert,
    decision::Ignored,
    incident::{IncidentId, Member},
};

impl SqliteWork {
    pub(super) fn join(
        &self,
        incident: IncidentId,
        alert: &Alert,
        member: &Member,
        notification: Uuid,
    ) -> Result<(), JournalError> {
        self.execute(
            "INSERT INTO alerts (incident, fingerprint, name, urgency, status, starts_at, ends_at, received_at,
             last_seen, labels, first_notification, last_notification)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?11, ?11)
             ON CONFLICT (incident, fingerprint) DO UPDATE SET urgency = excluded.urgency,
             status = excluded.status, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
             last_seen = excluded.last_seen, last_notification = excluded.last_notification",
            params![
                incident.0,
                alert.fingerprint.as_str(),
                member.name,
                member.urgency.as_str(),
                member.status.as_str(),
                member.starts_at.as_microsecond(),
                member.ends_at.map(Timestamp::as_microsecond),
                member.received_at.as_microsecond(),
                member.last_seen.as_microsecond(),
                bounded::labels(&alert.labels),
                notification.to_string(),
            ],
        )?;
        Ok(())
    }

    pub(super) fn ignore(&self, alert: &Alert, reason: Ignored, now: Timestamp) -> Result<(), JournalError> {
        self.execute(
            "INSERT INTO ignored_alerts (fingerprint, reason, name, status, labels, first_seen, last_seen, times)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 1)
             ON CONFLICT (fingerprint, reason) DO UPDATE SET status = excluded.status,
             last_seen = excluded.last_seen, times = times + 1",
            params![
                alert.fingerprint.as_str(),
                reason.reason(),
                bounded::name(alert.name()),
                alert.status.as_str(),
                bounded::labels(&alert.labels),
                now.as_microsecond(),
            ],
        )?;
        Ok(())
    }
}
