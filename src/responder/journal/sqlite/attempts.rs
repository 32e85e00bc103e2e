//! Attempts, as people ask for them: each question is led through by an index of its own, and reads no
//! further than what it tells.

use serde_json::value::RawValue;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{
    super::{AttemptQuery, AttemptView, JournalError, REPORTS_BYTES_MOST},
    columns::{maybe_time, time_of},
    rows::corrupt,
};
use crate::domain::{
    attempt::{AttemptId, Outcome},
    incident::IncidentId,
};

/// What is told of an attempt. Its report comes after these and may be long: it is not even read where
/// nobody asks for it.
macro_rules! columns {
    () => {
        "id, host, incident, replay, trigger, asked_by, queued_at, started_at, connected_at, finished_at, outcome,
         reason, freed_bytes, report_dropped_bytes, "
    };
}

const IN_BRIEF: &str = concat!("SELECT ", columns!(), "NULL AS report FROM attempts ");

/// An attempt that is under way, on each of its hosts.
pub(super) const RUNNING: &str = concat!(
    "SELECT ",
    columns!(),
    "NULL AS report FROM attempts WHERE started_at IS NOT NULL AND finished_at IS NULL"
);

/// The last attempt of each host (?1: a JSON list of hosts) that has ended. Who has no outcome has no end.
pub(super) const LAST: &str = concat!(
    "SELECT ",
    columns!(),
    "NULL AS report FROM (SELECT value FROM json_each(?1)) AS known CROSS JOIN attempts ON id =
     (SELECT last.id FROM attempts AS last INDEXED BY attempts_of_host
      WHERE last.host = known.value AND last.outcome IS NOT NULL
      ORDER BY last.queued_at DESC, last.id DESC LIMIT 1)"
);

/// Where to go on: after the attempt of this instant and identity.
type Place = (i64, String);

pub(super) async fn find(pool: &SqlitePool, query: &AttemptQuery) -> Result<Vec<AttemptView>, JournalError> {
    let mut transaction = pool.begin().await?;
    let place = match query.before {
        None => None,
        Some(before) => match place(&mut transaction, before).await? {
            // The oldest are forgotten first: there is nothing before one that is not there.
            None => return Ok(vec![]),
            known => known,
        },
    };
    // Of several outcomes each has its own way through its index: one after the other and then sorted,
    // since all of them at once would take a look at every attempt.
    let outcomes: Vec<_> = query.outcomes.iter().copied().map(Some).collect();
    let mut found = vec![];
    for outcome in if outcomes.is_empty() { vec![None] } else { outcomes } {
        let rows = statement(query, outcome, place.as_ref()).build().fetch_all(&mut *transaction).await?;
        for row in &rows {
            found.push(attempt(row)?);
        }
    }
    if query.outcomes.len() > 1 {
        found.sort_by(|one, other| (other.queued_at, &other.id).cmp(&(one.queued_at, &one.id)));
        found.dedup_by(|one, other| one.id == other.id);
        found.truncate(query.limit as usize);
    }
    if query.reports {
        read_reports(&mut transaction, &mut found).await?;
    }
    Ok(found)
}

/// Reads what the hosts reported, of no more attempts than are told, and no more than may be told at once. A
/// single report is never too long.
async fn read_reports(
    connection: &mut SqliteConnection,
    attempts: &mut [AttemptView],
) -> Result<(), JournalError> {
    let mut bytes = 0;
    for attempt in attempts {
        let question = sqlx::query_scalar("SELECT report FROM attempts WHERE id = ?").bind(&attempt.id);
        let text: Option<String> = question.fetch_one(&mut *connection).await?;
        let before = bytes;
        bytes += text.as_ref().map_or(0, String::len);
        if before > 0 && bytes > REPORTS_BYTES_MOST {
            return Err(JournalError::TooMuch);
        }
        attempt.report = report(text)?;
    }
    Ok(())
}

fn report(text: Option<String>) -> Result<Option<Box<RawValue>>, JournalError> {
    text.map(RawValue::from_string).transpose().map_err(corrupt)
}

async fn place(connection: &mut SqliteConnection, attempt: AttemptId) -> Result<Option<Place>, JournalError> {
    let id = attempt.to_string();
    let found: Option<i64> = sqlx::query_scalar("SELECT queued_at FROM attempts WHERE id = ?")
        .bind(&id)
        .fetch_optional(connection)
        .await?;
    Ok(found.map(|queued_at| (queued_at, id)))
}

/// The index that leads through the fewest attempts.
fn index(query: &AttemptQuery, outcome: Option<Outcome>) -> &'static str {
    if query.incident.is_some() {
        "attempts_of_incident"
    } else if query.host.is_some() {
        "attempts_of_host"
    } else if outcome.is_some() {
        "attempts_of_outcome"
    } else if query.trigger.is_some() {
        "attempts_of_trigger"
    } else {
        "attempts_in_order"
    }
}

pub(super) fn statement(
    query: &AttemptQuery,
    outcome: Option<Outcome>,
    place: Option<&Place>,
) -> QueryBuilder<Sqlite> {
    let AttemptQuery { host, incident, trigger, outcomes: _, since, until, before: _, limit, reports: _ } =
        query;
    let mut sql = QueryBuilder::new(IN_BRIEF);
    sql.push("INDEXED BY ").push(index(query, outcome)).push(" WHERE TRUE");
    if let Some(IncidentId(id)) = incident {
        sql.push(" AND incident = ").push_bind(*id);
    }
    if let Some(host) = host {
        sql.push(" AND host = ").push_bind(host.clone());
    }
    if let Some(outcome) = outcome {
        sql.push(" AND outcome = ").push_bind(outcome.as_str());
    }
    if let Some(trigger) = trigger {
        sql.push(" AND trigger = ").push_bind(trigger.as_str());
    }
    if let Some((queued_at, id)) = place {
        sql.push(" AND (queued_at, id) < (").push_bind(*queued_at);
        sql.push(", ").push_bind(id.clone()).push(")");
    }
    if let Some(since) = since {
        sql.push(" AND queued_at >= ").push_bind(since.as_microsecond());
    }
    if let Some(until) = until {
        sql.push(" AND queued_at < ").push_bind(until.as_microsecond());
    }
    sql.push(" ORDER BY queued_at DESC, id DESC LIMIT ").push_bind(*limit);
    sql
}

pub(super) async fn one(pool: &SqlitePool, id: AttemptId) -> Result<Option<AttemptView>, JournalError> {
    let query = sqlx::query(concat!("SELECT ", columns!(), "report FROM attempts WHERE id = ?"));
    let found = query.bind(id.to_string()).fetch_optional(pool).await?;
    found.as_ref().map(attempt).transpose()
}

pub(super) fn attempt(row: &SqliteRow) -> Result<AttemptView, JournalError> {
    Ok(AttemptView {
        id: row.try_get("id")?,
        host: row.try_get("host")?,
        incident: row.try_get::<Option<i64>, _>("incident")?.map(IncidentId),
        replay: row.try_get("replay")?,
        trigger: row.try_get("trigger")?,
        asked_by: row.try_get("asked_by")?,
        queued_at: time_of(row, "queued_at")?,
        started_at: maybe_time(row, "started_at")?,
        connected_at: maybe_time(row, "connected_at")?,
        finished_at: maybe_time(row, "finished_at")?,
        outcome: row.try_get("outcome")?,
        reason: row.try_get("reason")?,
        freed_bytes: row.try_get("freed_bytes")?,
        report: report(row.try_get("report")?)?,
        report_dropped_bytes: row.try_get("report_dropped_bytes")?,
    })
}
