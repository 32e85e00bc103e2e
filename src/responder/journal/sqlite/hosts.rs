//! Hosts as they stand: five questions, however many hosts there are.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::{Row, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{
    super::{AttemptView, BackstopView, HostView, JournalError, LastReport, OpenIncident, Waiting},
    attempts,
    columns::{maybe_time, time_of},
    rows::{corrupt, word},
};
use crate::domain::{backstop::Stood, host::HostName, incident::IncidentId, standing::Lane};

/// Where these hosts stand (?1: a JSON list of them), and what each reported last.
pub(super) const STANDINGS: &str =
    "SELECT known.value AS name, lane, last_outcome, failures_in_row, not_before, attempt, reported_at, mode,
     version, measured_at, disks, tmp_bytes, holds, backstop FROM json_each(?1) AS known
     LEFT JOIN hosts ON hosts.host = known.value
     LEFT JOIN last_reports ON last_reports.host = known.value ORDER BY known.key";
/// The open incidents; one a host at most.
pub(super) const OPEN: &str =
    "SELECT id, host, state, urgency, firing_since, opened_at, due_at, deferred_until,
     deferred_for, attempts, last_outcome, escalated_at, escalation FROM incidents WHERE state <> 'closed'";
/// When the first attempt of each host was queued that waits for its begin.
pub(super) const QUEUED: &str =
    "SELECT host, MIN(queued_at) AS queued_at FROM attempts INDEXED BY queued_attempts
     WHERE started_at IS NULL AND finished_at IS NULL GROUP BY +host";

/// An open incident, and what is known of its next attempt.
struct Open {
    incident: OpenIncident,
    waiting: Waiting,
}

pub(super) async fn hosts(
    pool: &SqlitePool,
    of: &[HostName],
    now: Timestamp,
) -> Result<Vec<HostView>, JournalError> {
    let names = serde_json::to_string(of).map_err(corrupt)?;
    // One moment for all five.
    let mut transaction = pool.begin().await?;
    let standings = sqlx::query(STANDINGS).bind(&names).fetch_all(&mut *transaction).await?;
    let mut open = HashMap::new();
    for row in sqlx::query(OPEN).fetch_all(&mut *transaction).await? {
        open.insert(row.try_get::<String, _>("host")?, open_incident(&row)?);
    }
    let mut queued = HashMap::new();
    for row in sqlx::query(QUEUED).fetch_all(&mut *transaction).await? {
        queued.insert(row.try_get::<String, _>("host")?, time_of(&row, "queued_at")?);
    }
    let mut running = by_host(sqlx::query(attempts::RUNNING), &mut transaction).await?;
    let mut last = by_host(sqlx::query(attempts::LAST).bind(&names), &mut transaction).await?;
    let mut views = Vec::with_capacity(standings.len());
    for row in &standings {
        let name: String = row.try_get("name")?;
        let running = running.remove(&name);
        let (incident, waiting) =
            open.remove(&name).map(|Open { incident, waiting }| (incident, waiting)).unzip();
        let not_before = maybe_time(row, "not_before")?;
        let last_outcome = row.try_get::<Option<String>, _>("last_outcome")?.map(|text| word(&text));
        // What an incident waits for is by its own last attempt, and not by one that a person made since;
        // what a host is left alone for, by the host's last one.
        let own = incident.as_ref().and_then(|incident: &OpenIncident| incident.last_outcome.as_deref());
        let own = own.map(word).transpose()?;
        let is_left_alone = not_before.is_some_and(|at| at > now);
        let waiting = Waiting {
            queued_at: queued.remove(&name),
            not_before,
            last_outcome: last_outcome.transpose()?.filter(|_| is_left_alone || own.is_none()).or(own),
            is_running: running.is_some(),
            ..waiting.unwrap_or_default()
        };
        views.push(HostView {
            lane: row.try_get::<Option<_>, _>("lane")?.unwrap_or_else(|| Lane::New.as_str().to_owned()),
            failures_in_row: row.try_get::<Option<_>, _>("failures_in_row")?.unwrap_or_default(),
            not_before,
            incident,
            running,
            last_attempt: last.remove(&name),
            next_attempt: waiting.next(now),
            last_report: last_report(row)?,
            name,
        });
    }
    Ok(views)
}

async fn by_host(
    query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    connection: &mut SqliteConnection,
) -> Result<HashMap<String, AttemptView>, JournalError> {
    let found = query.fetch_all(connection).await?;
    found.iter().map(|row| attempts::attempt(row).map(|attempt| (attempt.host.clone(), attempt))).collect()
}

fn open_incident(row: &SqliteRow) -> Result<Open, JournalError> {
    let incident = OpenIncident {
        id: IncidentId(row.try_get("id")?),
        state: row.try_get("state")?,
        urgency: row.try_get("urgency")?,
        firing_since: maybe_time(row, "firing_since")?,
        opened_at: time_of(row, "opened_at")?,
        attempts: row.try_get("attempts")?,
        last_outcome: row.try_get("last_outcome")?,
        escalated_at: maybe_time(row, "escalated_at")?,
        escalation: row.try_get("escalation")?,
    };
    let deferred = maybe_time(row, "deferred_until")?.zip(row.try_get("deferred_for")?);
    let waiting = Waiting { due_at: maybe_time(row, "due_at")?, deferred, ..Waiting::default() };
    Ok(Open { incident, waiting })
}

fn last_report(row: &SqliteRow) -> Result<Option<LastReport>, JournalError> {
    let Some(attempt) = row.try_get("attempt")? else { return Ok(None) };
    let disks: Option<&str> = row.try_get("disks")?;
    let holds: Option<&str> = row.try_get("holds")?;
    let backstop: Option<&str> = row.try_get("backstop")?;
    let stood: Option<Stood> = backstop.map(serde_json::from_str).transpose().map_err(corrupt)?;
    let reported_at = time_of(row, "reported_at")?;
    Ok(Some(LastReport {
        attempt,
        reported_at,
        mode: row.try_get("mode")?,
        version: row.try_get("version")?,
        measured_at: maybe_time(row, "measured_at")?,
        disks: disks.map(serde_json::from_str).transpose().map_err(corrupt)?.unwrap_or_default(),
        tmp_bytes: row.try_get("tmp_bytes")?,
        holds: holds.map(serde_json::from_str).transpose().map_err(corrupt)?,
        backstop: stood.map(|stood| BackstopView::new(stood, reported_at)),
    }))
}
