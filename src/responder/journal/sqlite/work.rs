//! One transaction on the journal.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, Params, Row, params};
use uuid::Uuid;

use super::{
    super::{Asked, CLOSED_MOST, Ended, Fence, JournalError, Keep, Order, Running, Stored, Tried, Work},
    due,
    latch::Latch,
    notifications, recent, reports, rows,
    tally::{Held, Tally},
    views,
    writer::{Turn, in_place},
};
use crate::{
    domain::{
        alert::{Alert, Fingerprint},
        attempt::{AttemptId, Outcome},
        decision::Ignored,
        host::HostName,
        incident::{Incident, IncidentId, Member, PAST, Past, Timing, counted},
        standing::{Lane, Standing},
    },
    responder::clock::{Anchor, microseconds},
};

mod alerts;
mod attempts;
mod incidents;

#[cfg(test)]
pub(super) use {alerts::KEEP_CLOSED, attempts::START};

/// What closed of a host since an instant. Each counts for a recheck at least: so many are a day of trouble.
pub(super) const PAST_OF: &str =
    "SELECT opened_at, closed_at FROM incidents WHERE host = ? AND closed_at >= ?
     ORDER BY closed_at DESC LIMIT ?";

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
        let counts =
            self.all(PAST_OF, params![host.as_str(), since.as_microsecond(), CLOSED_MOST], |row| {
                Ok(counted(rows::time_of(row, "opened_at")?, rows::time_of(row, "closed_at")?, timing))
            })?;
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
        self.insert(incident, timing, accepted_at)
    }

    async fn save_incident(
        &mut self,
        stored: &Stored,
        timing: &Timing,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.save(stored, timing, now)
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

    async fn record_closer(&mut self, incident: IncidentId, closed_by: &str) -> Result<(), JournalError> {
        self.execute("UPDATE incidents SET closed_by = ? WHERE id = ?", params![closed_by, incident.0])?;
        Ok(())
    }

    async fn record_alert(
        &mut self,
        incident: IncidentId,
        alert: &Alert,
        member: &Member,
        notification: Uuid,
    ) -> Result<(), JournalError> {
        self.join(incident, alert, member, notification)
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
        self.ignore(alert, reason, now)
    }

    async fn keep_ignored(&mut self, most: u32) -> Result<(), JournalError> {
        self.execute(
            "DELETE FROM ignored_alerts WHERE (fingerprint, reason) IN
             (SELECT fingerprint, reason FROM ignored_alerts ORDER BY last_seen DESC LIMIT -1 OFFSET ?)",
            [most],
        )?;
        Ok(())
    }

    async fn keep_closed(&mut self, host: &HostName, most: u32) -> Result<(), JournalError> {
        self.keep_of_closed(host, most)
    }

    async fn queue_attempt(&mut self, asked: &Asked, now: Timestamp) -> Result<(), JournalError> {
        self.queue(asked, now)
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
        self.start(asked, now, lease_until)
    }

    async fn starts_since(&mut self, since: Timestamp) -> Result<u32, JournalError> {
        let since = since.as_microsecond();
        Ok(self.one(recent::STARTS, [since, since], |row| Ok(row.get(0)?))?.unwrap_or_default())
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
        for statement in recent::SHIFT {
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

    /// Drops some of the oldest reports where all of them hold more than so much; how many.
    pub(super) fn drop_reports(&mut self, most_bytes: u64) -> Result<u64, JournalError> {
        let surplus = self.held.reports_bytes.saturating_sub(most_bytes);
        let (dropped, bytes) = self.on(|connection| reports::drop_oldest(connection, surplus))?;
        self.held.reports_bytes = self.held.reports_bytes.saturating_sub(bytes);
        Ok(dropped)
    }

    /// Forgets some of the attempts that ended earlier; how many.
    pub(super) fn forget_attempts(&mut self, before: Timestamp, most: i64) -> Result<u64, JournalError> {
        let (forgotten, bytes) =
            self.on(|connection| reports::forget(connection, before.as_microsecond(), most))?;
        self.held.reports_bytes = self.held.reports_bytes.saturating_sub(bytes);
        Ok(forgotten)
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
