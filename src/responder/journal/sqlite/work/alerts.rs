//! What is written of alerts.

use jiff::Timestamp;
use rusqlite::params;
use uuid::Uuid;

use super::{
    super::{
        super::{JournalError, bounded},
        rows,
    },
    SqliteWork,
};
use crate::domain::{
    alert::Alert,
    decision::Ignored,
    host::HostName,
    incident::{IncidentId, Member},
};

/// So many incidents beyond those that are kept are looked at: more than close in one unit of work.
const CLOSED_AT_ONCE: u32 = 128;
/// What goes of a host's closed incidents where there is more than is kept.
pub(in super::super) const KEEP_CLOSED: [&str; 2] = [
    "DELETE FROM alerts WHERE (incident, fingerprint) IN
     (SELECT incident, fingerprint FROM incidents JOIN alerts ON incident = id
     WHERE host = ?1 AND closed_at >= IFNULL((SELECT closed_at FROM incidents
         WHERE host = ?1 AND closed_at IS NOT NULL ORDER BY closed_at DESC LIMIT 1 OFFSET ?2 + ?3), 0)
     ORDER BY closed_at DESC LIMIT -1 OFFSET ?2)",
    "DELETE FROM incidents WHERE id IN (SELECT id FROM incidents
     WHERE host = ?1 AND closed_at IS NOT NULL ORDER BY closed_at DESC LIMIT ?3 OFFSET ?2)
     AND NOT EXISTS (SELECT 1 FROM alerts WHERE incident = incidents.id)
     AND NOT EXISTS (SELECT 1 FROM attempts WHERE incident = incidents.id)",
];

impl SqliteWork {
    pub(super) fn join(
        &self,
        incident: IncidentId,
        alert: &Alert,
        member: &Member,
        notification: Uuid,
    ) -> Result<(), JournalError> {
        let about = serde_json::to_string(&bounded::about(&alert.labels)).map_err(rows::corrupt)?;
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
                about,
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

    /// The alerts of what closed before go, and then incidents to which nothing belongs any more. Each that
    /// closes pushes one other out: however many there are, no more than these are looked at.
    pub(super) fn keep_of_closed(&self, host: &HostName, most: u32) -> Result<(), JournalError> {
        for statement in KEEP_CLOSED {
            self.execute(statement, params![host.as_str(), most, CLOSED_AT_ONCE])?;
        }
        Ok(())
    }
}
