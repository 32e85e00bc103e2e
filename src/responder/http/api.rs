//! What the journal says, for programs: `docs/api.md` has every route with an example. It reads only.
//!
//! A list is an object with one key, its rows the newest first; one thing by its identity is the object
//! itself. `limit` is 50 unless it says otherwise and at most 1000, of whole reports 50; where there are more
//! rows, `before` with the last row's identity goes on.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::error;
use uuid::Uuid;

use super::{Web, refusal::Refusal};
use crate::{
    domain::{
        attempt::{AttemptId, Outcome, Trigger},
        host::HostName,
        incident::IncidentId,
        line::line,
    },
    responder::journal::{
        ALERTS_MOST, AttemptQuery, HostWhole, IncidentQuery, Journal, JournalError, REPORTS_BYTES_MOST,
        REPORTS_MOST, ROWS_MOST,
    },
};

/// How many rows are told, unless asked for otherwise.
const ROWS: u32 = 50;
/// How many incidents and attempts are told beside a host, and attempts beside an incident.
const INCIDENTS_BESIDE: u32 = 20;
pub(super) const ATTEMPTS_BESIDE: u32 = 200;

/// What a query may say about hosts: nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// What a query may say about incidents.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incidents {
    host: Option<String>,
    #[serde(default)]
    open: bool,
    before: Option<i64>,
    limit: Option<u32>,
    /// With their alerts, unless somebody asks for them without.
    alerts: Option<bool>,
}

/// What a query may say about attempts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempts {
    host: Option<String>,
    incident: Option<i64>,
    trigger: Option<Trigger>,
    /// One or several, with commas between them.
    outcome: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    before: Option<String>,
    limit: Option<u32>,
    /// With what their hosts reported, unless somebody asks for them without.
    reports: Option<bool>,
}

/// What a query may say about ignored alerts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ignored {
    limit: Option<u32>,
}

type Asked<T> = Result<Query<T>, QueryRejection>;

/// Every host of the inventory as it stands.
pub async fn hosts<J: Journal>(
    State(web): State<Arc<Web<J>>>,
    asked: Asked<Nothing>,
) -> Result<Response, Refusal> {
    let Query(Nothing {}) = asked?;
    let serving = web.serving();
    let found = web.journal.hosts(&serving.inventory, serving.intake.clock.now()).await;
    Ok(list("hosts", read(&web, found)?))
}

/// A host of the inventory, with what happened there last.
pub async fn host<J: Journal>(
    State(web): State<Arc<Web<J>>>,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    let Some(name) = known_host(&web, &name) else {
        return Err(Refusal::no("host in the inventory of the name", &name));
    };
    Ok(Json(read(&web, whole_host(&web, name).await)?).into_response())
}

/// A host of the inventory.
pub(super) fn known_host<J>(web: &Web<J>, name: &str) -> Option<HostName> {
    name.parse().ok().filter(|name| web.serving().inventory.contains(name))
}

/// A host with what happened there last.
pub(super) async fn whole_host<J: Journal>(
    web: &Web<J>,
    name: HostName,
) -> Result<Option<HostWhole>, JournalError> {
    let now = web.serving().intake.clock.now();
    let host = Some(name.to_string());
    let Some(view) = web.journal.hosts(&[name], now).await?.pop() else { return Ok(None) };
    let incidents = IncidentQuery { host: host.clone(), limit: INCIDENTS_BESIDE, ..IncidentQuery::default() };
    let attempts = AttemptQuery { host, limit: ROWS, ..AttemptQuery::default() };
    Ok(Some(HostWhole {
        host: view,
        incidents: web.journal.find_incidents(&incidents).await?,
        attempts: web.journal.find_attempts(&attempts).await?,
    }))
}

/// Incidents, the newest first.
pub async fn incidents<J: Journal>(
    State(web): State<Arc<Web<J>>>,
    asked: Asked<Incidents>,
) -> Result<Response, Refusal> {
    let Query(Incidents { host, open, before, limit, alerts }) = asked?;
    let query = IncidentQuery {
        host,
        open,
        before: before.map(IncidentId),
        limit: rows(limit)?,
        alerts: alerts.unwrap_or(true),
    };
    match web.journal.find_incidents(&query).await {
        Err(JournalError::TooManyAlerts) => Err(Refusal::Query(format!(
            "asks for incidents with more than {ALERTS_MOST} alerts together: say a lower limit and go on with \
             before, or alerts=false"
        ))),
        found => Ok(list("incidents", read(&web, found)?)),
    }
}

/// An incident with all that belongs to it.
pub async fn incident<J: Journal>(
    State(web): State<Arc<Web<J>>>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let none = || Refusal::no("incident", &id);
    let known = IncidentId(id.parse().map_err(|_| none())?);
    let found = read(&web, web.journal.incident(known, ATTEMPTS_BESIDE).await)?;
    Ok(Json(found.ok_or_else(none)?).into_response())
}

/// Attempts, the newest first.
pub async fn attempts<J: Journal>(
    State(web): State<Arc<Web<J>>>,
    asked: Asked<Attempts>,
) -> Result<Response, Refusal> {
    let Query(Attempts { host, incident, trigger, outcome, since, until, before, limit, reports }) = asked?;
    let before = match before {
        None => None,
        Some(id) => Some(known_attempt(&web, &id).await?),
    };
    let (limit, reports) = (rows(limit)?, reports.unwrap_or(true));
    if reports && limit > REPORTS_MOST {
        return Err(too_many_reports(&format!("more than {REPORTS_MOST} reports at once")));
    }
    let query = AttemptQuery {
        host,
        incident: incident.map(IncidentId),
        trigger,
        outcomes: outcome.as_deref().map(outcomes).transpose()?.unwrap_or_default(),
        since,
        until,
        before,
        limit,
        reports,
    };
    match web.journal.find_attempts(&query).await {
        Err(JournalError::TooMuch) => {
            let most = REPORTS_BYTES_MOST / (1024 * 1024);
            Err(too_many_reports(&format!("reports that are longer than {most} MiB together")))
        }
        found => Ok(list("attempts", read(&web, found)?)),
    }
}

fn too_many_reports(what: &str) -> Refusal {
    Refusal::Query(format!(
        "asks for {what}: say a lower limit (1 to {REPORTS_MOST} with reports) and go on with before, or \
         reports=false (1 to {ROWS_MOST})"
    ))
}

/// An attempt with its report.
pub async fn attempt<J: Journal>(
    State(web): State<Arc<Web<J>>>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let none = || Refusal::no("attempt", &id);
    let known = id.parse().map_err(|_| none())?;
    let found = read(&web, web.journal.attempt(known).await)?;
    Ok(Json(found.ok_or_else(none)?).into_response())
}

/// A notification to the byte as it was received.
pub async fn notification<J: Journal>(
    State(web): State<Arc<Web<J>>>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let none = || Refusal::no("notification (any more)", &id);
    let known: Uuid = id.parse().map_err(|_| none())?;
    let found = read(&web, web.journal.notification(known).await)?.ok_or_else(none)?;
    // It is somebody else's: no browser is to make anything of it.
    let headers = [
        (CONTENT_TYPE.as_str(), "application/json"),
        (X_CONTENT_TYPE_OPTIONS.as_str(), "nosniff"),
        (CONTENT_SECURITY_POLICY.as_str(), "default-src 'none'; sandbox"),
        ("x-received-at", &found.received_at.to_string()),
    ];
    Ok((headers, Body::from(found.body)).into_response())
}

/// Alerts about which nothing was done, the last seen first.
pub async fn ignored<J: Journal>(
    State(web): State<Arc<Web<J>>>,
    asked: Asked<Ignored>,
) -> Result<Response, Refusal> {
    let Query(Ignored { limit }) = asked?;
    Ok(list("ignored", read(&web, web.journal.ignored(rows(limit)?).await)?))
}

/// The attempt that a list goes on behind.
async fn known_attempt<J: Journal>(web: &Web<J>, id: &str) -> Result<AttemptId, Refusal> {
    let none = || Refusal::Query(format!("names no attempt: before={}", line(id)));
    let known = id.parse().map_err(|_| none())?;
    read(web, web.journal.attempt(known).await)?.map(|_| known).ok_or_else(none)
}

fn rows(limit: Option<u32>) -> Result<u32, Refusal> {
    let limit = limit.unwrap_or(ROWS);
    if (1..=ROWS_MOST).contains(&limit) {
        Ok(limit)
    } else {
        Err(Refusal::Query(format!("asks for too many rows or none: limit is 1 to {ROWS_MOST}")))
    }
}

fn outcomes(words: &str) -> Result<Vec<Outcome>, Refusal> {
    let known = |word: &str| Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word);
    let wrong = |word: &str| {
        let all = Outcome::ALL.map(Outcome::as_str).join(", ");
        Refusal::Query(format!("has no outcome {}; there are {all}", line(word)))
    };
    // Each once, however often it is named: every one is a question of its own.
    let mut found = vec![];
    for word in words.split(',') {
        let outcome = known(word).ok_or_else(|| wrong(word))?;
        if !found.contains(&outcome) {
            found.push(outcome);
        }
    }
    Ok(found)
}

fn list<T: Serialize>(name: &str, rows: T) -> Response {
    // Written as it is: made into values first, whole reports would be many times as large.
    Json(BTreeMap::from([(name, rows)])).into_response()
}

fn read<J, T>(web: &Web<J>, found: Result<T, JournalError>) -> Result<T, Refusal> {
    found.map_err(|error| {
        web.metrics.journal_failed("read");
        error!(reason = error.reason(), %error, "the journal cannot be read");
        error.into()
    })
}
