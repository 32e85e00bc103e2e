//! One transaction on the journal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::{
    Row, Sqlite, Transaction,
    sqlite::{SqliteArguments, SqliteRow},
};
use uuid::Uuid;

use super::{
    super::{Asked, Ended, JournalError, Stored, Work, bounded},
    rows,
};
use crate::domain::{
    alert::Alert,
    attempt::{AttemptId, Outcome},
    decision::Ignored,
    host::HostName,
    incident::{Closed, Incident, IncidentId, Member, State, Timing},
    policy::Urgency,
};

/// A transaction. Dropped before its commit, it is rolled back.
#[derive(Debug)]
pub struct SqliteWork {
    transaction: Transaction<'static, Sqlite>,
}

impl SqliteWork {
    pub(super) fn new(transaction: Transaction<'static, Sqlite>) -> Self {
        Self { transaction }
    }

    async fn with_members(&mut self, found: Vec<SqliteRow>) -> Result<Vec<Stored>, JournalError> {
        let mut incidents = Vec::with_capacity(found.len());
        for row in found {
            let members = sqlx::query("SELECT * FROM alerts WHERE incident = ?")
                .bind(row.try_get::<i64, _>("id")?)
                .fetch_all(&mut *self.transaction)
                .await?;
            let members: BTreeMap<_, _> = members.iter().map(rows::member).collect::<Result<_, _>>()?;
            incidents.push(rows::stored(&row, members)?);
        }
        Ok(incidents)
    }

    async fn fetch(
        &mut self,
        query: sqlx::query::Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Vec<Stored>, JournalError> {
        let found = query.fetch_all(&mut *self.transaction).await?;
        self.with_members(found).await
    }
}

impl Work for SqliteWork {
    async fn open_incident(&mut self, host: &HostName) -> Result<Option<Stored>, JournalError> {
        let query = sqlx::query("SELECT * FROM incidents WHERE host = ? AND state <> 'closed'");
        Ok(self.fetch(query.bind(host.as_str())).await?.pop())
    }

    async fn open_incidents(&mut self) -> Result<Vec<Stored>, JournalError> {
        self.fetch(sqlx::query("SELECT * FROM incidents WHERE state <> 'closed'")).await
    }

    async fn incident(&mut self, id: IncidentId) -> Result<Option<Stored>, JournalError> {
        Ok(self.fetch(sqlx::query("SELECT * FROM incidents WHERE id = ?").bind(id.0)).await?.pop())
    }

    async fn due_incidents(&mut self, now: Timestamp, limit: u32) -> Result<Vec<Stored>, JournalError> {
        let query = sqlx::query(
            "SELECT * FROM incidents WHERE next_event_at <= ? AND host NOT IN
             (SELECT host FROM attempts WHERE started_at IS NOT NULL AND finished_at IS NULL)
             ORDER BY urgency = 'critical' DESC, next_event_at, id LIMIT ?",
        );
        self.fetch(query.bind(now.as_microsecond()).bind(limit)).await
    }

    async fn insert_incident(
        &mut self,
        incident: &Incident,
        timing: &Timing,
        accepted_at: Timestamp,
    ) -> Result<IncidentId, JournalError> {
        let done = sqlx::query(
            "INSERT INTO incidents (host, state, opened_at, accepted_at, due_at, attempts, failures_in_row)
             VALUES (?, 'waiting', ?, ?, ?, 0, 0)",
        )
        .bind(incident.host.as_str())
        .bind(incident.opened_at.as_microsecond())
        .bind(accepted_at.as_microsecond())
        .bind(incident.opened_at.as_microsecond())
        .execute(&mut *self.transaction)
        .await?;
        let id = IncidentId(done.last_insert_rowid());
        self.save_incident(&Stored { id, incident: incident.clone() }, timing).await?;
        Ok(id)
    }

    async fn save_incident(&mut self, stored: &Stored, timing: &Timing) -> Result<(), JournalError> {
        let incident = &stored.incident;
        let (state, due_at, closed) = match incident.state {
            State::Waiting { due_at } => ("waiting", Some(due_at), None),
            State::Sweeping => ("sweeping", None, None),
            State::Closed { at, reason } => ("closed", None, Some((at, reason))),
        };
        sqlx::query(
            "UPDATE incidents SET state = ?, urgency = ?, firing_since = ?, due_at = ?, next_event_at = ?,
             attempts = ?, failures_in_row = ?, last_outcome = ?, escalated_at = ?, escalation = ?,
             closed_at = ?, close_reason = ? WHERE id = ?",
        )
        .bind(state)
        .bind(incident.urgency().map(Urgency::as_str))
        .bind(incident.firing_since().map(Timestamp::as_microsecond))
        .bind(due_at.map(Timestamp::as_microsecond))
        .bind(incident.next_event_at(timing).map(Timestamp::as_microsecond))
        .bind(incident.attempts)
        .bind(incident.failures_in_row)
        .bind(incident.last_outcome.map(Outcome::as_str))
        .bind(incident.escalated.map(|escalated| escalated.at.as_microsecond()))
        .bind(incident.escalated.map(|escalated| escalated.reason.as_str()))
        .bind(closed.map(|(at, _)| at.as_microsecond()))
        .bind(closed.map(|(_, reason): (_, Closed)| reason.as_str()))
        .bind(stored.id.0)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn record_alert(
        &mut self,
        incident: IncidentId,
        alert: &Alert,
        member: &Member,
    ) -> Result<(), JournalError> {
        sqlx::query(
            "INSERT INTO alerts (incident, fingerprint, name, urgency, status, starts_at, ends_at, received_at,
             last_seen, labels) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (incident, fingerprint) DO UPDATE SET urgency = excluded.urgency,
             status = excluded.status, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
             last_seen = excluded.last_seen",
        )
        .bind(incident.0)
        .bind(alert.fingerprint.as_str())
        .bind(&member.name)
        .bind(member.urgency.as_str())
        .bind(member.status.as_str())
        .bind(member.starts_at.as_microsecond())
        .bind(member.ends_at.map(Timestamp::as_microsecond))
        .bind(member.received_at.as_microsecond())
        .bind(member.last_seen.as_microsecond())
        .bind(bounded::labels(&alert.labels))
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn record_ignored(
        &mut self,
        alert: &Alert,
        reason: Ignored,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let now = now.as_microsecond();
        sqlx::query(
            "INSERT INTO ignored_alerts (fingerprint, reason, name, status, labels, first_seen, last_seen, times)
             VALUES (?, ?, ?, ?, ?, ?, ?, 1)
             ON CONFLICT (fingerprint, reason) DO UPDATE SET status = excluded.status,
             last_seen = excluded.last_seen, times = times + 1",
        )
        .bind(alert.fingerprint.as_str())
        .bind(reason.reason())
        .bind(bounded::name(alert.name()))
        .bind(alert.status.as_str())
        .bind(bounded::labels(&alert.labels))
        .bind(now)
        .bind(now)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn queue_attempt(&mut self, asked: &Asked, now: Timestamp) -> Result<(), JournalError> {
        sqlx::query(
            "INSERT INTO attempts (id, host, incident, replay, trigger, queued_at) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(asked.id.to_string())
        .bind(asked.host.as_str())
        .bind(asked.incident.map(|id| id.0))
        .bind(asked.replay.map(|id| id.to_string()))
        .bind(asked.trigger.as_str())
        .bind(now.as_microsecond())
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn queued_attempts(&mut self, limit: u32) -> Result<Vec<Asked>, JournalError> {
        let found = sqlx::query(
            "SELECT id, host, incident, replay, trigger, MIN(queued_at) FROM attempts
             WHERE started_at IS NULL AND finished_at IS NULL AND host NOT IN
             (SELECT host FROM attempts WHERE started_at IS NOT NULL AND finished_at IS NULL)
             GROUP BY host ORDER BY MIN(queued_at) LIMIT ?",
        )
        .bind(limit)
        .fetch_all(&mut *self.transaction)
        .await?;
        found.iter().map(asked).collect()
    }

    async fn start_attempt(&mut self, asked: &Asked, now: Timestamp) -> Result<(), JournalError> {
        sqlx::query(
            "INSERT INTO attempts (id, host, incident, replay, trigger, queued_at, started_at)
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at",
        )
        .bind(asked.id.to_string())
        .bind(asked.host.as_str())
        .bind(asked.incident.map(|id| id.0))
        .bind(asked.replay.map(|id| id.to_string()))
        .bind(asked.trigger.as_str())
        .bind(now.as_microsecond())
        .bind(now.as_microsecond())
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn connected(&mut self, attempt: AttemptId, now: Timestamp) -> Result<(), JournalError> {
        sqlx::query("UPDATE attempts SET connected_at = ? WHERE id = ? AND finished_at IS NULL")
            .bind(now.as_microsecond())
            .bind(attempt.to_string())
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    async fn end_attempt(&mut self, attempt: AttemptId, ended: &Ended) -> Result<bool, JournalError> {
        let done = sqlx::query(
            "UPDATE attempts SET finished_at = ?, outcome = ?, reason = ?, freed_bytes = ?, report = ?
             WHERE id = ? AND finished_at IS NULL",
        )
        .bind(ended.at.as_microsecond())
        .bind(ended.outcome.as_str())
        .bind(ended.reason.as_deref())
        .bind(i64::try_from(ended.freed_bytes).unwrap_or(i64::MAX))
        .bind(ended.report.as_deref())
        .bind(attempt.to_string())
        .execute(&mut *self.transaction)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn running_attempts(&mut self) -> Result<Vec<Asked>, JournalError> {
        let found =
            sqlx::query("SELECT * FROM attempts WHERE started_at IS NOT NULL AND finished_at IS NULL")
                .fetch_all(&mut *self.transaction)
                .await?;
        found.iter().map(asked).collect()
    }

    async fn commit(self) -> Result<(), JournalError> {
        Ok(self.transaction.commit().await?)
    }
}

fn asked(row: &SqliteRow) -> Result<Asked, JournalError> {
    Ok(Asked {
        id: row.try_get::<&str, _>("id")?.parse().map_err(rows::corrupt)?,
        host: rows::host(row.try_get("host")?)?,
        incident: row.try_get::<Option<i64>, _>("incident")?.map(IncidentId),
        replay: row
            .try_get::<Option<&str>, _>("replay")?
            .map(Uuid::parse_str)
            .transpose()
            .map_err(rows::corrupt)?,
        trigger: rows::word(row.try_get("trigger")?)?,
    })
}
