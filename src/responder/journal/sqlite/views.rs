//! What status, page and demo read of incidents and of what was ignored.

use std::collections::BTreeMap;

use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{
    super::{
        ALERTS_MOST, AlertView, AttemptQuery, IgnoredView, IncidentQuery, IncidentView, IncidentWhole,
        JournalError, LoweredView, OpenHost, Tried, bounded, timeline,
    },
    attempts,
    columns::{maybe_time, time_of},
    rows::{corrupt, host},
};
use crate::domain::incident::IncidentId;

macro_rules! incidents {
    () => {
        "SELECT incidents.*, MAX(due_at, COALESCE(not_before, 0)) AS next_due_at FROM incidents"
    };
}
macro_rules! with_standing {
    () => {
        " LEFT JOIN hosts USING (host) WHERE "
    };
}

pub(super) const ONE: &str = concat!(incidents!(), with_standing!(), "id = ?");
pub(super) const ALERTS: &str = "SELECT * FROM alerts WHERE incident = ? ORDER BY received_at, fingerprint";

/// Incidents of all hosts are led through by their identity; those of one, or those that are open, by an
/// index: of the latter there is one a host at most.
pub(super) fn incidents_statement(query: &IncidentQuery) -> QueryBuilder<Sqlite> {
    let IncidentQuery { host, open, before, limit, alerts: _ } = query;
    let mut sql = QueryBuilder::new(incidents!());
    match (host, open) {
        (_, true) => sql.push(" INDEXED BY one_open_incident_a_host"),
        (Some(_), false) => sql.push(" INDEXED BY incidents_of_host"),
        (None, false) => &mut sql,
    };
    sql.push(with_standing!()).push("TRUE");
    if *open {
        sql.push(" AND state <> 'closed'");
    }
    if let Some(host) = host {
        sql.push(" AND host = ").push_bind(host.clone());
    }
    if let Some(IncidentId(before)) = before {
        sql.push(" AND id < ").push_bind(*before);
    }
    sql.push(" ORDER BY id DESC LIMIT ").push_bind(*limit);
    sql
}

pub(super) async fn incidents(
    pool: &SqlitePool,
    query: &IncidentQuery,
) -> Result<Vec<IncidentView>, JournalError> {
    let mut transaction = pool.begin().await?;
    let found = incidents_statement(query).build().fetch_all(&mut *transaction).await?;
    let mut views = Vec::with_capacity(found.len());
    let mut alerts = 0;
    for row in &found {
        let view = with_alerts(&mut transaction, row, query.alerts).await?;
        alerts += view.alerts.len();
        if alerts > ALERTS_MOST {
            return Err(JournalError::TooManyAlerts);
        }
        views.push(view);
    }
    Ok(views)
}

async fn with_alerts(
    connection: &mut SqliteConnection,
    row: &SqliteRow,
    alerts: bool,
) -> Result<IncidentView, JournalError> {
    let id = row.try_get::<i64, _>("id")?;
    let alerts =
        if alerts { sqlx::query(ALERTS).bind(id).fetch_all(&mut *connection).await? } else { vec![] };
    let mut view = incident(row, alerts.iter().map(alert).collect::<Result<_, _>>()?)?;
    view.tried = tried(connection, id).await?;
    Ok(view)
}

/// An incident with all that belongs to it, and so many of its attempts.
pub(super) async fn whole(
    pool: &SqlitePool,
    id: IncidentId,
    attempts: u32,
) -> Result<Option<IncidentWhole>, JournalError> {
    let mut transaction = pool.begin().await?;
    let Some(row) = sqlx::query(ONE).bind(id.0).fetch_optional(&mut *transaction).await? else {
        return Ok(None);
    };
    let incident = with_alerts(&mut transaction, &row, true).await?;
    let query = AttemptQuery { incident: Some(id), limit: attempts, ..AttemptQuery::default() };
    let rows = attempts::statement(&query, None, None).build().fetch_all(&mut *transaction).await?;
    let history: Vec<_> = rows.iter().map(attempts::attempt).collect::<Result<_, _>>()?;
    Ok(Some(IncidentWhole {
        notifications: timeline::notifications(&incident.alerts),
        timeline: timeline::timeline(&incident, &history),
        history,
        incident,
    }))
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
        lowered: lowered(row)?,
        closed_at: maybe_time(row, "closed_at")?,
        close_reason: row.try_get("close_reason")?,
        closed_by: row.try_get("closed_by")?,
        tried: Tried::default(),
        alerts,
    })
}

fn lowered(row: &SqliteRow) -> Result<Option<LoweredView>, JournalError> {
    let Some(at) = maybe_time(row, "lowered_at")? else { return Ok(None) };
    let (told_at, reason) = (time_of(row, "lowered_told_at")?, row.try_get("lowered_from")?);
    Ok(Some(LoweredView { told_at, reason, at }))
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
    let labels = serde_json::from_str(row.try_get("labels")?).map_err(corrupt)?;
    Ok(AlertView {
        // Earlier versions have stored all of them.
        labels: bounded::about(&labels),
        fingerprint: row.try_get("fingerprint")?,
        name: row.try_get("name")?,
        urgency: row.try_get("urgency")?,
        status: row.try_get("status")?,
        starts_at: time_of(row, "starts_at")?,
        ends_at: maybe_time(row, "ends_at")?,
        received_at: time_of(row, "received_at")?,
        last_seen: time_of(row, "last_seen")?,
        first_notification: row.try_get("first_notification")?,
        last_notification: row.try_get("last_notification")?,
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
