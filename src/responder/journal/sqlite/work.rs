//! One transaction on the journal.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use sqlx::{
    Row, Sqlite, Transaction,
    sqlite::{SqliteArguments, SqliteRow},
};
use uuid::Uuid;

use super::{
    super::{Asked, Ended, Fence, JournalError, Keep, Order, Running, Stored, Tried, Work, bounded},
    due,
    latch::Latch,
    notifications::{self, Held, Tally},
    rows, views,
};
use crate::{
    domain::{
        alert::{Alert, Fingerprint},
        attempt::{AttemptId, Outcome},
        decision::Ignored,
        host::HostName,
        incident::{Closed, Incident, IncidentId, Member, PAST, Past, State, Timing, counted},
        policy::Urgency,
        report::Seen,
        standing::{Lane, Standing},
    },
    responder::clock::{Anchor, microseconds},
};

/// An attempt begins, with a fence greater than any of its host's before.
pub(super) const START: &str =
    "INSERT INTO attempts (id, host, incident, replay, trigger, queued_at, started_at, lease_until, dry_run, fence)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8,
     (SELECT COALESCE(MAX(fence), 0) + 1 FROM attempts WHERE host = ?2))
     ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at,
     lease_until = excluded.lease_until, fence = excluded.fence RETURNING fence";

/// A transaction. Dropped before its commit, it is rolled back.
#[derive(Debug)]
pub struct SqliteWork {
    transaction: Transaction<'static, Sqlite>,
    latch: Latch,
    tally: Tally,
    /// How many notifications there were when it began.
    held_before: Held,
    /// How many there are, once this is committed.
    held: Held,
}

impl SqliteWork {
    pub(super) fn new(transaction: Transaction<'static, Sqlite>, latch: Latch, tally: Tally) -> Self {
        let held = tally.held();
        Self { transaction, latch, tally, held_before: held, held }
    }

    async fn with_members(&mut self, found: Vec<SqliteRow>) -> Result<Vec<Stored>, JournalError> {
        let mut incidents = Vec::with_capacity(found.len());
        for row in found {
            // All but the labels: a host may have ten thousand alerts.
            let members = sqlx::query(
                "SELECT fingerprint, name, urgency, status, starts_at, ends_at, received_at, last_seen
                 FROM alerts WHERE incident = ?",
            )
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

    async fn timed_incidents(&mut self, now: Timestamp, limit: u32) -> Result<Vec<Stored>, JournalError> {
        let query = sqlx::query(
            "SELECT * FROM incidents WHERE time_event_at <= ? ORDER BY time_event_at, id LIMIT ?",
        );
        self.fetch(query.bind(now.as_microsecond()).bind(limit)).await
    }

    async fn due_incidents(
        &mut self,
        now: Timestamp,
        lanes: &[Lane],
        order: Order,
        limit: u32,
    ) -> Result<Vec<(Stored, Lane)>, JournalError> {
        let found = due::incidents(&mut self.transaction, now, lanes, order, limit).await?;
        let lanes: Vec<_> = found.iter().map(rows::lane).collect::<Result<_, _>>()?;
        Ok(self.with_members(found).await?.into_iter().zip(lanes).collect())
    }

    async fn past(&mut self, host: &HostName, timing: &Timing, now: Timestamp) -> Result<Past, JournalError> {
        let since = now.checked_sub(PAST).unwrap_or(Timestamp::MIN);
        let found =
            sqlx::query("SELECT opened_at, closed_at FROM incidents WHERE host = ? AND closed_at >= ?")
                .bind(host.as_str())
                .bind(since.as_microsecond())
                .fetch_all(&mut *self.transaction)
                .await?;
        let mut past =
            Past { failures_in_row: self.standing(host).await?.failures_in_row, ..Past::default() };
        for row in &found {
            let counts = counted(rows::time_of(row, "opened_at")?, rows::time_of(row, "closed_at")?, timing);
            past.trouble = past.trouble.saturating_add(counts);
        }
        Ok(past)
    }

    async fn standing(&mut self, host: &HostName) -> Result<Standing, JournalError> {
        let found = sqlx::query("SELECT * FROM hosts WHERE host = ?")
            .bind(host.as_str())
            .fetch_optional(&mut *self.transaction)
            .await?;
        let Some(row) = found else { return Ok(Standing::default()) };
        Ok(Standing {
            last_outcome: row
                .try_get::<Option<String>, _>("last_outcome")?
                .map(|w| rows::word(&w))
                .transpose()?,
            failures_in_row: row.try_get("failures_in_row")?,
            not_before: rows::maybe_time(&row, "not_before")?,
        })
    }

    async fn save_standing(&mut self, host: &HostName, standing: &Standing) -> Result<(), JournalError> {
        sqlx::query("INSERT OR REPLACE INTO hosts (host, lane, last_outcome, failures_in_row, not_before) VALUES (?, ?, ?, ?, ?)")
            .bind(host.as_str())
            .bind(standing.lane().as_str())
            .bind(standing.last_outcome.map(Outcome::as_str))
            .bind(standing.failures_in_row)
            .bind(standing.not_before.map(Timestamp::as_microsecond))
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    async fn tried(&mut self, id: IncidentId) -> Result<Tried, JournalError> {
        views::tried(&mut self.transaction, id.0).await
    }

    async fn insert_incident(
        &mut self,
        incident: &Incident,
        timing: &Timing,
        accepted_at: Timestamp,
    ) -> Result<IncidentId, JournalError> {
        let done = sqlx::query(
            "INSERT INTO incidents (host, state, opened_at, accepted_at, due_at, attempts, failures_in_row,
             trouble_before) VALUES (?, 'waiting', ?, ?, ?, 0, 0, ?)",
        )
        .bind(incident.host.as_str())
        .bind(incident.opened_at.as_microsecond())
        .bind(accepted_at.as_microsecond())
        .bind(incident.opened_at.as_microsecond())
        .bind(microseconds(incident.trouble_before))
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
            "UPDATE incidents SET state = ?, urgency = ?, firing_since = ?, due_at = ?, time_event_at = ?,
             attempts = ?, failures_in_row = ?, last_outcome = ?, escalated_at = ?, escalation = ?,
             closed_at = ?, close_reason = ? WHERE id = ?",
        )
        .bind(state)
        .bind(incident.urgency().map(Urgency::as_str))
        .bind(incident.firing_since().map(Timestamp::as_microsecond))
        .bind(due_at.map(Timestamp::as_microsecond))
        .bind(incident.time_event_at(timing).map(Timestamp::as_microsecond))
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

    async fn record_notifications(
        &mut self,
        received: &[(Uuid, &[u8])],
        at: Timestamp,
        keep: Keep,
    ) -> Result<(), JournalError> {
        self.held = notifications::record(&mut self.transaction, self.held, received, at, keep).await?;
        Ok(())
    }

    async fn record_deferral(
        &mut self,
        incident: IncidentId,
        until: Timestamp,
        reason: &str,
    ) -> Result<(), JournalError> {
        sqlx::query("UPDATE incidents SET deferred_until = ?, deferred_for = ? WHERE id = ?")
            .bind(until.as_microsecond())
            .bind(reason)
            .bind(incident.0)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    async fn record_alert(
        &mut self,
        incident: IncidentId,
        alert: &Alert,
        member: &Member,
        notification: Uuid,
    ) -> Result<(), JournalError> {
        sqlx::query(
            "INSERT INTO alerts (incident, fingerprint, name, urgency, status, starts_at, ends_at, received_at,
             last_seen, labels, first_notification, last_notification)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?11, ?11)
             ON CONFLICT (incident, fingerprint) DO UPDATE SET urgency = excluded.urgency,
             status = excluded.status, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
             last_seen = excluded.last_seen, last_notification = excluded.last_notification",
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
        .bind(notification.to_string())
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn save_member(
        &mut self,
        incident: IncidentId,
        fingerprint: &Fingerprint,
        member: &Member,
    ) -> Result<(), JournalError> {
        sqlx::query("UPDATE alerts SET urgency = ?, status = ? WHERE incident = ? AND fingerprint = ?")
            .bind(member.urgency.as_str())
            .bind(member.status.as_str())
            .bind(incident.0)
            .bind(fingerprint.as_str())
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    async fn drop_alert(
        &mut self,
        incident: IncidentId,
        fingerprint: &Fingerprint,
    ) -> Result<(), JournalError> {
        sqlx::query("DELETE FROM alerts WHERE incident = ? AND fingerprint = ?")
            .bind(incident.0)
            .bind(fingerprint.as_str())
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

    async fn keep_ignored(&mut self, most: u32) -> Result<(), JournalError> {
        sqlx::query(
            "DELETE FROM ignored_alerts WHERE (fingerprint, reason) IN
             (SELECT fingerprint, reason FROM ignored_alerts ORDER BY last_seen DESC LIMIT -1 OFFSET ?)",
        )
        .bind(most)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn queue_attempt(&mut self, asked: &Asked, now: Timestamp) -> Result<(), JournalError> {
        sqlx::query(
            "INSERT INTO attempts (id, host, incident, replay, trigger, dry_run, queued_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(asked.id.to_string())
        .bind(asked.host.as_str())
        .bind(asked.incident.map(|id| id.0))
        .bind(asked.replay.map(|id| id.to_string()))
        .bind(asked.trigger.as_str())
        .bind(asked.dry_run)
        .bind(now.as_microsecond())
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn queued_attempts(
        &mut self,
        now: Timestamp,
        lanes: &[Lane],
        limit: u32,
    ) -> Result<Vec<(Asked, Lane, Timestamp)>, JournalError> {
        due::queued(&mut self.transaction, now, lanes, limit).await
    }

    async fn start_attempt(
        &mut self,
        asked: &Asked,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Fence, JournalError> {
        let row = sqlx::query(START)
            .bind(asked.id.to_string())
            .bind(asked.host.as_str())
            .bind(asked.incident.map(|id| id.0))
            .bind(asked.replay.map(|id| id.to_string()))
            .bind(asked.trigger.as_str())
            .bind(now.as_microsecond())
            .bind(lease_until.as_microsecond())
            .bind(asked.dry_run)
            .fetch_one(&mut *self.transaction)
            .await?;
        Ok(Fence(row.try_get(0)?))
    }

    async fn starts_since(&mut self, since: Timestamp) -> Result<u32, JournalError> {
        let row = sqlx::query("SELECT COUNT(*) FROM attempts WHERE started_at >= ?")
            .bind(since.as_microsecond())
            .fetch_one(&mut *self.transaction)
            .await?;
        Ok(row.try_get(0)?)
    }

    async fn connected(
        &mut self,
        attempt: AttemptId,
        fence: Fence,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        sqlx::query(
            "UPDATE attempts SET connected_at = ? WHERE id = ? AND fence = ? AND finished_at IS NULL",
        )
        .bind(now.as_microsecond())
        .bind(attempt.to_string())
        .bind(fence.0)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn end_attempt(
        &mut self,
        attempt: AttemptId,
        fence: Fence,
        ended: &Ended,
        now: Timestamp,
    ) -> Result<bool, JournalError> {
        self.end(attempt, Some(fence), ended, now).await
    }

    async fn refuse_attempt(
        &mut self,
        attempt: AttemptId,
        ended: &Ended,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.end(attempt, None, ended, now).await?;
        Ok(())
    }

    async fn running_attempts(&mut self) -> Result<Vec<Running>, JournalError> {
        let found =
            sqlx::query("SELECT * FROM attempts WHERE started_at IS NOT NULL AND finished_at IS NULL")
                .fetch_all(&mut *self.transaction)
                .await?;
        let running = |row| {
            Ok(Running {
                asked: rows::asked(row)?,
                fence: Fence(row.try_get("fence")?),
                // What was claimed before there were leases has been left by whoever claimed it.
                lease_until: rows::maybe_time(row, "lease_until")?.unwrap_or(Timestamp::MIN),
            })
        };
        found.iter().map(running).collect()
    }

    async fn anchor(&mut self) -> Result<Option<Anchor>, JournalError> {
        let found =
            sqlx::query("SELECT boot, uptime, at FROM clock").fetch_optional(&mut *self.transaction).await?;
        let Some(row) = found else { return Ok(None) };
        Ok(Some(Anchor {
            boot: row.try_get("boot")?,
            uptime: Duration::from_micros(row.try_get::<i64, _>("uptime")?.unsigned_abs()),
            at: rows::time_of(&row, "at")?,
        }))
    }

    async fn save_anchor(&mut self, anchor: &Anchor) -> Result<(), JournalError> {
        sqlx::query("INSERT OR REPLACE INTO clock (id, boot, uptime, at) VALUES (1, ?, ?, ?)")
            .bind(&anchor.boot)
            .bind(microseconds(anchor.uptime))
            .bind(anchor.at.as_microsecond())
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    async fn shift(&mut self, by: SignedDuration, since: Timestamp) -> Result<(), JournalError> {
        let by = i64::try_from(by.as_micros()).unwrap_or_default();
        for statement in [
            // Alerts first: which of them belong to what is recent is told by their incidents.
            "UPDATE alerts SET received_at = received_at + ?1, last_seen = last_seen + ?1 WHERE incident IN
             (SELECT id FROM incidents WHERE state <> 'closed' OR closed_at >= ?2)",
            "UPDATE incidents SET opened_at = opened_at + ?1, accepted_at = accepted_at + ?1, due_at = due_at + ?1,
             time_event_at = time_event_at + ?1, deferred_until = deferred_until + ?1, escalated_at = escalated_at + ?1, closed_at = closed_at + ?1
             WHERE state <> 'closed' OR closed_at >= ?2",
            "UPDATE attempts SET queued_at = queued_at + ?1, started_at = started_at + ?1,
             connected_at = connected_at + ?1, finished_at = finished_at + ?1, lease_until = lease_until + ?1
             WHERE finished_at IS NULL OR finished_at >= ?2",
            "UPDATE hosts SET not_before = not_before + ?1 WHERE not_before >= ?2",
            "UPDATE last_reports SET reported_at = reported_at + ?1 WHERE reported_at >= ?2",
            "UPDATE last_reports SET measured_at = measured_at + ?1 WHERE measured_at >= ?2",
        ] {
            sqlx::query(statement).bind(by).bind(since.as_microsecond()).execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    async fn commit(self) -> Result<(), JournalError> {
        let Self { transaction, latch, tally, held_before, held } = self;
        let committed = async move {
            transaction.commit().await?;
            tally.change(held_before, held);
            Ok(())
        };
        latch.over(committed).await
    }
}

impl SqliteWork {
    /// Forgets some of the notifications that are older; how many.
    pub(super) async fn forget_notifications(
        &mut self,
        before: Timestamp,
        most: u32,
    ) -> Result<u64, JournalError> {
        let forgotten;
        (forgotten, self.held) =
            notifications::forget(&mut self.transaction, self.held, before, most).await?;
        Ok(forgotten)
    }

    /// Ends an attempt: one that was claimed, by its claim, or one that never began.
    async fn end(
        &mut self,
        attempt: AttemptId,
        fence: Option<Fence>,
        ended: &Ended,
        now: Timestamp,
    ) -> Result<bool, JournalError> {
        let holds = ended.holds.as_ref().map(serde_json::to_string).transpose().map_err(rows::corrupt)?;
        let done = sqlx::query(
            "UPDATE attempts SET finished_at = ?, outcome = ?, reason = ?, freed_bytes = ?, report = ?, holds = ?
             WHERE id = ? AND finished_at IS NULL AND IIF(started_at IS NULL, NULL, fence) IS ?",
        )
        .bind(now.as_microsecond())
        .bind(ended.outcome.as_str())
        .bind(ended.reason.as_deref())
        .bind(i64::try_from(ended.freed_bytes).unwrap_or(i64::MAX))
        .bind(ended.report.as_deref())
        .bind(holds.as_deref())
        .bind(attempt.to_string())
        .bind(fence.map(|fence| fence.0))
        .execute(&mut *self.transaction)
        .await?;
        let ours = done.rows_affected() == 1;
        if let Some(seen) = ended.seen.as_ref().filter(|_| ours) {
            self.see(attempt, seen, holds.as_deref(), now).await?;
        }
        Ok(ours)
    }

    /// What the host of an attempt has reported is its last report now. Who is on hold or busy measures
    /// nothing: what was measured before still stands.
    async fn see(
        &mut self,
        attempt: AttemptId,
        seen: &Seen,
        holds: Option<&str>,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let Seen { mode, version, measured } = seen;
        let measured = measured.as_ref();
        let disks = measured.map(|measured| serde_json::to_string(&measured.disks)).transpose();
        sqlx::query(
            "INSERT INTO last_reports (host, attempt, reported_at, mode, version, measured_at, disks, tmp_bytes, holds)
             SELECT host, id, ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM attempts WHERE id = ?1
             ON CONFLICT (host) DO UPDATE SET attempt = excluded.attempt, reported_at = excluded.reported_at,
             mode = excluded.mode, version = excluded.version,
             measured_at = COALESCE(excluded.measured_at, measured_at), disks = COALESCE(excluded.disks, disks),
             tmp_bytes = COALESCE(excluded.tmp_bytes, tmp_bytes), holds = COALESCE(excluded.holds, holds)",
        )
        .bind(attempt.to_string())
        .bind(now.as_microsecond())
        .bind(mode.as_str())
        .bind(version)
        .bind(measured.map(|_| now.as_microsecond()))
        .bind(disks.map_err(rows::corrupt)?)
        .bind(measured.map(|measured| i64::try_from(measured.tmp_bytes).unwrap_or(i64::MAX)))
        .bind(holds.filter(|_| measured.is_some()))
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }
}
