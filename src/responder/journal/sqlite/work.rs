//! One transaction on the journal.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, Params, Row, params};
use uuid::Uuid;

use super::{
    super::{Asked, Ended, Fence, JournalError, Keep, Order, Running, Stored, Tried, Work, bounded},
    due,
    latch::Latch,
    notifications::{self, Held, Tally},
    rows, views,
    writer::{Turn, in_place},
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

/// An incident's columns that events change and no index has.
const SAVE: &str =
    "UPDATE incidents SET urgency = ?2, firing_since = ?3, attempts = ?4, failures_in_row = ?5,
     last_outcome = ?6, escalated_at = ?7, escalation = ?8 WHERE id = ?1";
/// Those that indexes have. Written only where they have changed: an alert that was received again
/// changes none of them, and each index would be a page more for the log.
const SAVE_STATE: &str =
    "UPDATE incidents SET state = ?2, due_at = ?3, closed_at = ?4, close_reason = ?5 WHERE id = ?1
     AND (state, due_at, closed_at, close_reason) IS NOT (?2, ?3, ?4, ?5)";
/// When time brings something. One that is still to come and too soon is left: it is asked then, and is
/// written then. Each alert that is received again puts it off.
const SAVE_TIME: &str = "UPDATE incidents SET time_event_at = ?2 WHERE id = ?1 AND time_event_at IS NOT ?2
     AND (time_event_at > ?3 AND time_event_at < ?2) IS NOT TRUE";

/// A transaction. Dropped before its commit, it is rolled back.
#[derive(Debug)]
pub struct SqliteWork {
    turn: Turn,
    latch: Latch,
    tally: Tally,
    /// How many notifications there are, once this is committed.
    held: Held,
    /// Whether the thread is there for it alone.
    is_apart: bool,
}

impl Drop for SqliteWork {
    fn drop(&mut self) {
        self.turn.undo();
    }
}

impl SqliteWork {
    pub(super) fn begin(
        turn: Turn,
        latch: Latch,
        tally: Tally,
        is_apart: bool,
    ) -> Result<Self, JournalError> {
        let held = tally.held();
        let mut work = Self { turn, latch, tally, held, is_apart };
        let begun = if is_apart { work.turn.begin() } else { in_place(|| work.turn.begin()) };
        work.latch.seen(begun)?;
        Ok(work)
    }

    /// Does something over the connection, on this thread.
    fn on<T>(&self, step: impl FnOnce(&Connection) -> Result<T, JournalError>) -> Result<T, JournalError> {
        let connection = self.turn.connection()?;
        self.latch.seen(if self.is_apart { step(connection) } else { in_place(|| step(connection)) })
    }

    /// How many rows a statement has changed.
    fn execute(&self, statement: &str, values: impl Params) -> Result<usize, JournalError> {
        self.on(|connection| Ok(connection.prepare_cached(statement)?.execute(values)?))
    }

    fn all<T>(
        &self,
        question: &str,
        values: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, JournalError>,
    ) -> Result<Vec<T>, JournalError> {
        self.on(|connection| all(connection, question, values, read))
    }

    fn one<T>(
        &self,
        question: &str,
        values: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, JournalError>,
    ) -> Result<Option<T>, JournalError> {
        Ok(self.all(question, values, read)?.pop())
    }

    /// Incidents with their alerts, as a question finds them.
    fn incidents<T>(
        &self,
        question: &str,
        values: impl Params,
        read: impl Fn(&Row<'_>, Stored) -> Result<T, JournalError>,
    ) -> Result<Vec<T>, JournalError> {
        const MEMBERS: &str = concat!("SELECT ", rows::member_columns!(), " FROM alerts WHERE incident = ?");
        self.on(|connection| {
            all(connection, question, values, |row| {
                let members = all(connection, MEMBERS, [row.get::<_, i64>("id")?], rows::member)?;
                read(row, rows::stored(row, members.into_iter().collect())?)
            })
        })
    }

    /// Ends an attempt: one that was claimed, by its claim, or one that never began.
    fn end(
        &self,
        attempt: AttemptId,
        fence: Option<Fence>,
        ended: &Ended,
        now: Timestamp,
    ) -> Result<bool, JournalError> {
        let holds = ended.holds.as_ref().map(serde_json::to_string).transpose().map_err(rows::corrupt)?;
        let rows = self.execute(
            "UPDATE attempts SET finished_at = ?, outcome = ?, reason = ?, freed_bytes = ?, report = ?, holds = ?
             WHERE id = ? AND finished_at IS NULL AND IIF(started_at IS NULL, NULL, fence) IS ?",
            params![
                now.as_microsecond(),
                ended.outcome.as_str(),
                ended.reason,
                i64::try_from(ended.freed_bytes).unwrap_or(i64::MAX),
                ended.report,
                holds.as_deref(),
                attempt.to_string(),
                fence.map(|fence| fence.0),
            ],
        )?;
        let ours = rows == 1;
        if let Some(seen) = ended.seen.as_ref().filter(|_| ours) {
            self.see(attempt, seen, holds.as_deref(), now)?;
        }
        Ok(ours)
    }

    /// What the host of an attempt has reported is its last report now. Who is on hold or busy measures
    /// nothing: what was measured before still stands. Of its backstop each report tells anew.
    fn see(
        &self,
        attempt: AttemptId,
        seen: &Seen,
        holds: Option<&str>,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let Seen { mode, version, measured, backstop } = seen;
        let measured = measured.as_ref();
        let backstop = backstop.as_ref().map(serde_json::to_string).transpose().map_err(rows::corrupt)?;
        let disks = measured.map(|measured| serde_json::to_string(&measured.disks)).transpose();
        self.execute(
            "INSERT INTO last_reports (host, attempt, reported_at, mode, version, measured_at, disks, tmp_bytes, holds,
             backstop) SELECT host, id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM attempts WHERE id = ?1
             ON CONFLICT (host) DO UPDATE SET attempt = excluded.attempt, reported_at = excluded.reported_at,
             mode = excluded.mode, version = excluded.version, backstop = excluded.backstop,
             measured_at = COALESCE(excluded.measured_at, measured_at), disks = COALESCE(excluded.disks, disks),
             tmp_bytes = COALESCE(excluded.tmp_bytes, tmp_bytes), holds = COALESCE(excluded.holds, holds)",
            params![
                attempt.to_string(),
                now.as_microsecond(),
                mode.as_str(),
                version,
                measured.map(|_| now.as_microsecond()),
                disks.map_err(rows::corrupt)?,
                measured.map(|measured| i64::try_from(measured.tmp_bytes).unwrap_or(i64::MAX)),
                holds.filter(|_| measured.is_some()),
                backstop,
            ],
        )?;
        Ok(())
    }
}

fn all<T>(
    connection: &Connection,
    question: &str,
    values: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, JournalError>,
) -> Result<Vec<T>, JournalError> {
    connection.prepare_cached(question)?.query_and_then(values, read)?.collect()
}

impl Work for SqliteWork {
    async fn open_incident(&mut self, host: &HostName) -> Result<Option<Stored>, JournalError> {
        const QUESTION: &str = "SELECT * FROM incidents WHERE host = ? AND state <> 'closed'";
        Ok(self.incidents(QUESTION, [host.as_str()], |_, stored| Ok(stored))?.pop())
    }

    async fn open_incidents(&mut self) -> Result<Vec<Stored>, JournalError> {
        const QUESTION: &str = "SELECT * FROM incidents WHERE state <> 'closed'";
        self.incidents(QUESTION, [], |_, stored| Ok(stored))
    }

    async fn incident(&mut self, id: IncidentId) -> Result<Option<Stored>, JournalError> {
        const QUESTION: &str = "SELECT * FROM incidents WHERE id = ?";
        Ok(self.incidents(QUESTION, [id.0], |_, stored| Ok(stored))?.pop())
    }

    async fn timed_incidents(&mut self, now: Timestamp, limit: u32) -> Result<Vec<Stored>, JournalError> {
        const QUESTION: &str =
            "SELECT * FROM incidents WHERE time_event_at <= ? ORDER BY time_event_at, id LIMIT ?";
        self.incidents(QUESTION, params![now.as_microsecond(), limit], |_, stored| Ok(stored))
    }

    async fn due_incidents(
        &mut self,
        now: Timestamp,
        lanes: &[Lane],
        order: Order,
        limit: u32,
    ) -> Result<Vec<(Stored, Lane)>, JournalError> {
        let values = params![now.as_microsecond(), due::words(lanes), limit];
        self.incidents(due::incidents(order), values, |row, stored| Ok((stored, rows::lane(row)?)))
    }

    async fn past(&mut self, host: &HostName, timing: &Timing, now: Timestamp) -> Result<Past, JournalError> {
        let since = now.checked_sub(PAST).unwrap_or(Timestamp::MIN);
        let counts = self.all(
            "SELECT opened_at, closed_at FROM incidents WHERE host = ? AND closed_at >= ?",
            params![host.as_str(), since.as_microsecond()],
            |row| Ok(counted(rows::time_of(row, "opened_at")?, rows::time_of(row, "closed_at")?, timing)),
        )?;
        let failures_in_row = self.standing(host).await?.failures_in_row;
        Ok(Past {
            failures_in_row,
            trouble: counts.into_iter().fold(Duration::ZERO, Duration::saturating_add),
        })
    }

    async fn standing(&mut self, host: &HostName) -> Result<Standing, JournalError> {
        let found = self.one("SELECT * FROM hosts WHERE host = ?", [host.as_str()], |row| {
            Ok(Standing {
                last_outcome: row
                    .get::<_, Option<String>>("last_outcome")?
                    .map(|w| rows::word(&w))
                    .transpose()?,
                failures_in_row: row.get("failures_in_row")?,
                not_before: rows::maybe_time(row, "not_before")?,
            })
        })?;
        Ok(found.unwrap_or_default())
    }

    async fn save_standing(&mut self, host: &HostName, standing: &Standing) -> Result<(), JournalError> {
        self.execute(
            "INSERT OR REPLACE INTO hosts (host, lane, last_outcome, failures_in_row, not_before) VALUES (?, ?, ?, ?, ?)",
            params![
                host.as_str(),
                standing.lane().as_str(),
                standing.last_outcome.map(Outcome::as_str),
                standing.failures_in_row,
                standing.not_before.map(Timestamp::as_microsecond),
            ],
        )?;
        Ok(())
    }

    async fn tried(&mut self, id: IncidentId) -> Result<Tried, JournalError> {
        let outcomes = self.all(views::OUTCOMES, [id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let last: Option<String> = self.one(views::LAST_HOLDS, [id.0], |row| Ok(row.get(0)?))?;
        views::tried_of(outcomes.into_iter().collect(), last.as_deref())
    }

    async fn insert_incident(
        &mut self,
        incident: &Incident,
        timing: &Timing,
        accepted_at: Timestamp,
    ) -> Result<IncidentId, JournalError> {
        const STATEMENT: &str =
            "INSERT INTO incidents (host, state, opened_at, accepted_at, due_at, attempts,
             failures_in_row, trouble_before) VALUES (?1, 'waiting', ?2, ?3, ?2, 0, 0, ?4)";
        let id = self.on(|connection| {
            connection.prepare_cached(STATEMENT)?.execute(params![
                incident.host.as_str(),
                incident.opened_at.as_microsecond(),
                accepted_at.as_microsecond(),
                microseconds(incident.trouble_before),
            ])?;
            Ok(IncidentId(connection.last_insert_rowid()))
        })?;
        self.save_incident(&Stored { id, incident: incident.clone() }, timing, accepted_at).await?;
        Ok(id)
    }

    async fn save_incident(
        &mut self,
        stored: &Stored,
        timing: &Timing,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let incident = &stored.incident;
        let (state, due_at, closed) = match incident.state {
            State::Waiting { due_at } => ("waiting", Some(due_at), None),
            State::Sweeping => ("sweeping", None, None),
            State::Closed { at, reason } => ("closed", None, Some((at, reason))),
        };
        self.execute(
            SAVE,
            params![
                stored.id.0,
                incident.urgency().map(Urgency::as_str),
                incident.firing_since().map(Timestamp::as_microsecond),
                incident.attempts,
                incident.failures_in_row,
                incident.last_outcome.map(Outcome::as_str),
                incident.escalated.map(|escalated| escalated.at.as_microsecond()),
                incident.escalated.map(|escalated| escalated.reason.as_str()),
            ],
        )?;
        self.execute(
            SAVE_STATE,
            params![
                stored.id.0,
                state,
                due_at.map(Timestamp::as_microsecond),
                closed.map(|(at, _)| at.as_microsecond()),
                closed.map(|(_, reason): (_, Closed)| reason.as_str()),
            ],
        )?;
        let time_event_at = incident.time_event_at(timing).map(Timestamp::as_microsecond);
        self.execute(SAVE_TIME, params![stored.id.0, time_event_at, now.as_microsecond()])?;
        Ok(())
    }

    async fn record_notifications(
        &mut self,
        received: &[(Uuid, &[u8])],
        at: Timestamp,
        keep: Keep,
    ) -> Result<(), JournalError> {
        let held = self.held;
        self.held = self.on(|connection| notifications::record(connection, held, received, at, keep))?;
        Ok(())
    }

    async fn record_deferral(
        &mut self,
        incident: IncidentId,
        until: Timestamp,
        reason: &str,
    ) -> Result<(), JournalError> {
        const STATEMENT: &str = "UPDATE incidents SET deferred_until = ?, deferred_for = ? WHERE id = ?";
        self.execute(STATEMENT, params![until.as_microsecond(), reason, incident.0])?;
        Ok(())
    }

    async fn record_alert(
        &mut self,
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

    async fn save_member(
        &mut self,
        incident: IncidentId,
        fingerprint: &Fingerprint,
        member: &Member,
    ) -> Result<(), JournalError> {
        self.execute(
            "UPDATE alerts SET urgency = ?, status = ? WHERE incident = ? AND fingerprint = ?",
            params![member.urgency.as_str(), member.status.as_str(), incident.0, fingerprint.as_str()],
        )?;
        Ok(())
    }

    async fn drop_alert(
        &mut self,
        incident: IncidentId,
        fingerprint: &Fingerprint,
    ) -> Result<(), JournalError> {
        const STATEMENT: &str = "DELETE FROM alerts WHERE incident = ? AND fingerprint = ?";
        self.execute(STATEMENT, params![incident.0, fingerprint.as_str()])?;
        Ok(())
    }

    async fn record_ignored(
        &mut self,
        alert: &Alert,
        reason: Ignored,
        now: Timestamp,
    ) -> Result<(), JournalError> {
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

    async fn keep_ignored(&mut self, most: u32) -> Result<(), JournalError> {
        self.execute(
            "DELETE FROM ignored_alerts WHERE (fingerprint, reason) IN
             (SELECT fingerprint, reason FROM ignored_alerts ORDER BY last_seen DESC LIMIT -1 OFFSET ?)",
            [most],
        )?;
        Ok(())
    }

    async fn queue_attempt(&mut self, asked: &Asked, now: Timestamp) -> Result<(), JournalError> {
        self.execute(
            "INSERT INTO attempts (id, host, incident, replay, trigger, dry_run, asked_by, queued_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                asked.id.to_string(),
                asked.host.as_str(),
                asked.incident.map(|id| id.0),
                asked.replay.map(|id| id.to_string()),
                asked.trigger.as_str(),
                asked.dry_run,
                asked.asked_by,
                now.as_microsecond(),
            ],
        )?;
        Ok(())
    }

    async fn waiting_attempts(
        &mut self,
        dry_run: bool,
    ) -> Result<BTreeMap<HostName, AttemptId>, JournalError> {
        let waiting = self.all(due::WAITING, [dry_run], rows::waiting)?;
        // Of several on one host the last of these, which was the first to be asked for.
        Ok(waiting.into_iter().collect())
    }

    async fn queued_attempts(
        &mut self,
        now: Timestamp,
        lanes: &[Lane],
        limit: u32,
    ) -> Result<Vec<(Asked, Lane, Timestamp)>, JournalError> {
        self.all(due::QUEUED, params![now.as_microsecond(), due::words(lanes), limit], |row| {
            Ok((rows::asked(row)?, rows::lane(row)?, rows::time_of(row, "since")?))
        })
    }

    async fn start_attempt(
        &mut self,
        asked: &Asked,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Fence, JournalError> {
        let values = params![
            asked.id.to_string(),
            asked.host.as_str(),
            asked.incident.map(|id| id.0),
            asked.replay.map(|id| id.to_string()),
            asked.trigger.as_str(),
            now.as_microsecond(),
            lease_until.as_microsecond(),
            asked.dry_run,
        ];
        self.on(|connection| {
            Ok(connection.prepare_cached(START)?.query_one(values, |row| row.get(0).map(Fence))?)
        })
    }

    async fn starts_since(&mut self, since: Timestamp) -> Result<u32, JournalError> {
        const QUESTION: &str = "SELECT COUNT(*) FROM attempts WHERE started_at >= ?";
        Ok(self.one(QUESTION, [since.as_microsecond()], |row| Ok(row.get(0)?))?.unwrap_or_default())
    }

    async fn connected(
        &mut self,
        attempt: AttemptId,
        fence: Fence,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.execute(
            "UPDATE attempts SET connected_at = ? WHERE id = ? AND fence = ? AND finished_at IS NULL",
            params![now.as_microsecond(), attempt.to_string(), fence.0],
        )?;
        Ok(())
    }

    async fn end_attempt(
        &mut self,
        attempt: AttemptId,
        fence: Fence,
        ended: &Ended,
        now: Timestamp,
    ) -> Result<bool, JournalError> {
        self.end(attempt, Some(fence), ended, now)
    }

    async fn refuse_attempt(
        &mut self,
        attempt: AttemptId,
        ended: &Ended,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.end(attempt, None, ended, now).map(drop)
    }

    async fn running_attempts(&mut self) -> Result<Vec<Running>, JournalError> {
        const QUESTION: &str = "SELECT * FROM attempts WHERE started_at IS NOT NULL AND finished_at IS NULL";
        self.all(QUESTION, [], |row| {
            Ok(Running {
                asked: rows::asked(row)?,
                fence: Fence(row.get("fence")?),
                // What was claimed before there were leases has been left by whoever claimed it.
                lease_until: rows::maybe_time(row, "lease_until")?.unwrap_or(Timestamp::MIN),
            })
        })
    }

    async fn anchor(&mut self) -> Result<Option<Anchor>, JournalError> {
        self.one("SELECT boot, uptime, at FROM clock", [], |row| {
            Ok(Anchor {
                boot: row.get("boot")?,
                uptime: Duration::from_micros(row.get::<_, i64>("uptime")?.unsigned_abs()),
                at: rows::time_of(row, "at")?,
            })
        })
    }

    async fn save_anchor(&mut self, anchor: &Anchor) -> Result<(), JournalError> {
        self.execute(
            "INSERT OR REPLACE INTO clock (id, boot, uptime, at) VALUES (1, ?, ?, ?)",
            params![anchor.boot, microseconds(anchor.uptime), anchor.at.as_microsecond()],
        )?;
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
            self.execute(statement, [by, since.as_microsecond()])?;
        }
        Ok(())
    }

    async fn commit(self) -> Result<(), JournalError> {
        if self.is_apart {
            return self.committed();
        }
        // However long the disk takes, who waits for it can be given up.
        let done = tokio::task::spawn_blocking(move || self.committed()).await;
        done.unwrap_or(Err(JournalError::Unanswered))
    }
}

impl SqliteWork {
    /// On this thread, whatever time that takes.
    fn committed(mut self) -> Result<(), JournalError> {
        let commit = |connection: &Connection| {
            connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(())
        };
        self.latch.seen(self.turn.connection().and_then(commit))?;
        // Before anybody else has a turn.
        self.tally.note(self.held);
        self.turn.committed();
        Ok(())
    }

    /// Forgets some of the notifications that are older; how many.
    pub(super) fn forget_notifications(&mut self, before: Timestamp, most: i64) -> Result<u64, JournalError> {
        let held = self.held;
        let forgotten;
        (forgotten, self.held) =
            self.on(|connection| notifications::forget(connection, held, before, most))?;
        Ok(forgotten)
    }
}
