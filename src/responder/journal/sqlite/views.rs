//! What status, history, page and demo read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::{Row, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{
    super::{AlertView, AttemptView, IgnoredView, IncidentView, JournalError, OpenHost, Tried},
    rows::{corrupt, host, time},
};
use crate::domain::incident::IncidentId;

macro_rules! incidents {
    ($which:literal) => {
        concat!(
            "SELECT incidents.*, MAX(due_at, COALESCE(not_before, 0)) AS next_due_at FROM incidents
             LEFT JOIN hosts USING (host) WHERE (?1 IS NULL OR host = ?1)",
            $which,
            " ORDER BY id DESC LIMIT ?2"
        )
    };
}

/// Every incident.
pub(super) const ALL: &str = incidents!("");
/// Those that are open.
pub(super) const OPEN: &str = incidents!(" AND state <> 'closed'");

pub(super) async fn incidents(
    pool: &SqlitePool,
    which: &'static str,
    host: Option<&str>,
    limit: u32,
) -> Result<Vec<IncidentView>, JournalError> {
    let found = sqlx::query(which).bind(host).bind(limit).fetch_all(pool).await?;
    let mut views = Vec::with_capacity(found.len());
    for row in &found {
        let id = row.try_get::<i64, _>("id")?;
        let alerts = sqlx::query("SELECT * FROM alerts WHERE incident = ? ORDER BY received_at, fingerprint")
            .bind(id)
            .fetch_all(pool)
            .await?;
        let mut view = incident(row, alerts.iter().map(alert).collect::<Result<_, _>>()?)?;
        view.tried = tried(&mut *pool.acquire().await?, id).await?;
        views.push(view);
    }
    Ok(views)
}

fn incident(row: &SqliteRow, alerts: Vec<AlertView>) -> Result<IncidentView, JournalError> {
    Ok(IncidentView {
        id: IncidentId(row.try_get("id")?),
        host: row.try_get("host")?,
        state: row.try_get("state")?,
        urgency: row.try_get("urgency")?,
        firing_since: maybe_time(row, "firing_since")?,
        opened_at: time_of(row, "opened_at")?,
        accepted_at: time_of(row, "accepted_at")?,
        due_at: maybe_time(row, "next_due_at")?,
        attempts: row.try_get("attempts")?,
        last_outcome: row.try_get("last_outcome")?,
        escalated_at: maybe_time(row, "escalated_at")?,
        escalation: row.try_get("escalation")?,
        closed_at: maybe_time(row, "closed_at")?,
        close_reason: row.try_get("close_reason")?,
        tried: Tried::default(),
        alerts,
    })
}

pub(super) const OUTCOMES: &str =
    "SELECT outcome, COUNT(*) FROM attempts WHERE incident = ? AND outcome IS NOT NULL GROUP BY outcome";
pub(super) const LAST_HOLDS: &str =
    "SELECT holds FROM attempts WHERE incident = ? AND holds IS NOT NULL ORDER BY finished_at DESC LIMIT 1";

/// How often each outcome came, and what holds the space as the incident's last report has it.
pub(super) async fn tried(connection: &mut SqliteConnection, incident: i64) -> Result<Tried, JournalError> {
    let outcomes = sqlx::query(OUTCOMES).bind(incident).fetch_all(&mut *connection).await?;
    let last: Option<String> =
        sqlx::query_scalar(LAST_HOLDS).bind(incident).fetch_optional(connection).await?;
    let outcomes = outcomes.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    tried_of(outcomes.collect::<Result<_, JournalError>>()?, last.as_deref())
}

/// What the two questions have found.
pub(super) fn tried_of(tried: BTreeMap<String, i64>, holds: Option<&str>) -> Result<Tried, JournalError> {
    Ok(Tried { tried, holds: holds.map(serde_json::from_str).transpose().map_err(corrupt)? })
}

pub(super) async fn open_hosts(pool: &SqlitePool) -> Result<Vec<OpenHost>, JournalError> {
    let found = sqlx::query("SELECT id, host, state, escalation FROM incidents WHERE state <> 'closed'")
        .fetch_all(pool)
        .await?;
    let mut hosts = Vec::with_capacity(found.len());
    for row in &found {
        let id = row.try_get("id")?;
        let mut open = OpenHost {
            host: host(row.try_get("host")?)?,
            state: row.try_get("state")?,
            escalation: row.try_get("escalation")?,
            tried: Tried::default(),
        };
        // Only who has to look wants to know.
        if open.escalation.is_some() {
            open.tried = tried(&mut *pool.acquire().await?, id).await?;
        }
        hosts.push(open);
    }
    Ok(hosts)
}

fn alert(row: &SqliteRow) -> Result<AlertView, JournalError> {
    Ok(AlertView {
        fingerprint: row.try_get("fingerprint")?,
        name: row.try_get("name")?,
        urgency: row.try_get("urgency")?,
        status: row.try_get("status")?,
        starts_at: time_of(row, "starts_at")?,
        ends_at: maybe_time(row, "ends_at")?,
        received_at: time_of(row, "received_at")?,
        last_seen: time_of(row, "last_seen")?,
    })
}

macro_rules! attempts {
    ($report:literal) => {
        concat!(
            "SELECT id, host, incident, replay, trigger, queued_at, started_at, connected_at, finished_at,
             outcome, reason, freed_bytes, ",
            $report,
            " AS report FROM attempts WHERE ?1 IS NULL OR host = ?1 ORDER BY queued_at DESC, id DESC LIMIT ?2"
        )
    };
}

/// Attempts as they are stored.
pub(super) const WITH_REPORTS: &str = attempts!("report");
/// Attempts without their reports, which are not even read.
pub(super) const IN_BRIEF: &str = attempts!("NULL");

pub(super) async fn attempts(
    pool: &SqlitePool,
    how: &'static str,
    host: Option<&str>,
    limit: u32,
) -> Result<Vec<AttemptView>, JournalError> {
    let found = sqlx::query(how).bind(host).bind(limit).fetch_all(pool).await?;
    found.iter().map(attempt).collect()
}

fn attempt(row: &SqliteRow) -> Result<AttemptView, JournalError> {
    let report: Option<&str> = row.try_get("report")?;
    Ok(AttemptView {
        id: row.try_get("id")?,
        host: row.try_get("host")?,
        incident: row.try_get::<Option<i64>, _>("incident")?.map(IncidentId),
        replay: row.try_get("replay")?,
        trigger: row.try_get("trigger")?,
        queued_at: time_of(row, "queued_at")?,
        started_at: maybe_time(row, "started_at")?,
        connected_at: maybe_time(row, "connected_at")?,
        finished_at: maybe_time(row, "finished_at")?,
        outcome: row.try_get("outcome")?,
        reason: row.try_get("reason")?,
        freed_bytes: row.try_get("freed_bytes")?,
        report: report.map(serde_json::from_str).transpose().map_err(corrupt)?,
    })
}

pub(super) async fn ignored(pool: &SqlitePool, limit: u32) -> Result<Vec<IgnoredView>, JournalError> {
    let found = sqlx::query("SELECT * FROM ignored_alerts ORDER BY last_seen DESC LIMIT ?")
        .bind(limit)
        .fetch_all(pool)
        .await?;
    found
        .iter()
        .map(|row| {
            Ok(IgnoredView {
                fingerprint: row.try_get("fingerprint")?,
                reason: row.try_get("reason")?,
                name: row.try_get("name")?,
                labels: serde_json::from_str(row.try_get("labels")?).map_err(corrupt)?,
                first_seen: time_of(row, "first_seen")?,
                last_seen: time_of(row, "last_seen")?,
                times: row.try_get("times")?,
            })
        })
        .collect()
}

fn maybe_time(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, JournalError> {
    row.try_get::<Option<i64>, _>(column)?.map(time).transpose()
}

fn time_of(row: &SqliteRow, column: &str) -> Result<Timestamp, JournalError> {
    time(row.try_get(column)?)
}
