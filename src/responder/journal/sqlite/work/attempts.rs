//! What is written of attempts.

use jiff::Timestamp;
use rusqlite::params;

use super::{
    super::{
        super::{Asked, Ended, Fence, JournalError},
        reports, rows,
    },
    SqliteWork,
};
use crate::domain::{attempt::AttemptId, report::Seen};

/// An attempt begins, with a fence greater than any of its host's before.
pub(in super::super) const START: &str =
    "INSERT INTO attempts (id, host, incident, replay, trigger, queued_at, started_at, lease_until, dry_run, fence)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8,
     (SELECT COALESCE(MAX(fence), 0) + 1 FROM attempts WHERE host = ?2))
     ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at,
     lease_until = excluded.lease_until, fence = excluded.fence RETURNING fence";

impl SqliteWork {
    pub(super) fn queue(&self, asked: &Asked, now: Timestamp) -> Result<(), JournalError> {
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

    pub(super) fn start(
        &self,
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

    /// Ends an attempt: one that was claimed, by its claim, or one that never began.
    pub(super) fn end(
        &mut self,
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
        if let Some(report) = ended.report.as_ref().filter(|_| ours) {
            self.on(|connection| reports::keep(connection, &attempt.to_string(), report.len()))?;
            self.held.reports_bytes += report.len() as u64;
        }
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
