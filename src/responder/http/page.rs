//! The page: what a person sees at a glance. It reads only; what acts is the command line, and the page
//! shows the command.
//!
//! | route | what it shows |
//! |---|---|
//! | `GET /` | The fleet; which hosts, in which order and which page of them stands in the query. |
//! | `GET /hosts/{name}` | A host: how it stands, its newest incident as a story, its attempts. |
//! | `GET /incidents/{id}` | An incident as a story. |
//! | `GET /attempts/{id}` | An attempt: its report as a person reads it. |
//! | `GET /notifications/{id}` | A notification as it was received, and the command that replays it. |
//! | `GET /status`, `/config` | The responder itself, and the configuration that it runs with. |
//! | `GET /page/…` | Style, script and icon. |
//!
//! Whoever may call the API may see the page. Every text goes through askama's escaping, and nothing but
//! the files of `/page/` is loaded or run, whatever stands in a label.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{Html, IntoResponse, Response},
    routing::get,
};
use jiff::Timestamp;
use tracing::error;

use super::{Web, api, not_ready};
use crate::{
    domain::incident::IncidentId,
    responder::journal::{Journal, JournalError},
};

mod attempt;
mod attempts;
mod config;
mod fleet;
mod host;
mod incident;
mod notification;
mod room;
mod row;
mod status;
mod words;

pub use config::shown;

use self::{
    attempt::{AttemptPage, Reported},
    config::ConfigPage,
    fleet::{FleetPage, Wish},
    host::HostPage,
    incident::IncidentPage,
    notification::NotificationPage,
    room::fitting,
    status::{Known, StatusPage},
    words::{SENTENCE, brief},
};

/// Nothing from elsewhere is loaded, nothing in the page itself is run, nobody frames it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// So many ignored alerts are shown.
const IGNORED: u32 = 50;

/// What stands around every page.
#[derive(Debug, Clone)]
struct Frame {
    now: Timestamp,
    shown: String,
    /// From this page to the first one: the page may lie behind a prefix that only a proxy knows.
    to_top: &'static str,
}

impl Frame {
    fn new<J: Journal>(web: &Web<J>, to_top: &'static str) -> Self {
        let now = web.serving().intake.clock.now();
        Self { now, shown: words::instant(now), to_top }
    }
}

/// The routes that tell something of the fleet.
pub fn routes<J: Journal>() -> Router<Arc<Web<J>>> {
    Router::new()
        .route("/", get(fleet::<J>))
        .route("/hosts/{name}", get(host::<J>))
        .route("/incidents/{id}", get(incident::<J>))
        .route("/attempts/{id}", get(attempt::<J>))
        .route("/notifications/{id}", get(notification::<J>))
        .route("/status", get(status::<J>))
        .route("/config", get(config::<J>))
}

/// The routes that tell nothing.
pub fn assets<J: Journal>() -> Router<Arc<Web<J>>> {
    let asset = |kind: &'static str, text: &'static str| {
        get(move || async move { ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "max-age=600")], text) })
    };
    Router::new()
        .route("/page/page.css", asset("text/css; charset=utf-8", include_str!("page/assets/page.css")))
        .route("/page/page.js", asset("text/javascript; charset=utf-8", include_str!("page/assets/page.js")))
        .route("/page/icon.svg", asset("image/svg+xml", include_str!("page/assets/icon.svg")))
}

/// Why there is no page, as a page.
#[derive(Debug, Template)]
#[template(path = "refused.html")]
struct RefusedPage {
    frame: Frame,
    status: u16,
    heading: &'static str,
    why: String,
}

/// Why there is no page.
enum Refused {
    /// There is no such thing.
    Missing(String),
    /// The address asks for what cannot be.
    Query(String),
    /// The journal cannot be read.
    Journal(JournalError),
    /// A template writes into memory; it has nothing that could fail.
    Template(askama::Error),
}

impl From<JournalError> for Refused {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl From<askama::Error> for Refused {
    fn from(error: askama::Error) -> Self {
        Self::Template(error)
    }
}

/// A page, or why there is none.
fn answer<J: Journal>(web: &Web<J>, frame: &Frame, page: Result<String, Refused>) -> Response {
    let (status, heading, why) = match page {
        Ok(html) => return sent(StatusCode::OK, html),
        Err(Refused::Missing(why)) => (StatusCode::NOT_FOUND, "There is no such thing", why),
        Err(Refused::Query(why)) => (StatusCode::BAD_REQUEST, "The address cannot be read", why),
        Err(Refused::Journal(error)) => {
            web.metrics.journal_failed("read");
            error!(reason = error.reason(), %error, "the journal cannot be read");
            (StatusCode::SERVICE_UNAVAILABLE, "The journal cannot be read", error.to_string())
        }
        Err(Refused::Template(error)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "The page cannot be made", error.to_string())
        }
    };
    let why = brief(&why, SENTENCE);
    let page = RefusedPage { frame: frame.clone(), status: status.as_u16(), heading, why };
    match page.render() {
        Ok(html) => sent(status, html),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn sent(status: StatusCode, html: String) -> Response {
    let headers: [(HeaderName, HeaderValue); 4] = [
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, Html(html)).into_response()
}

async fn fleet<J: Journal>(
    State(web): State<Arc<Web<J>>>,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Response {
    let frame = Frame::new(&web, "./");
    let page = async {
        let Query(wish) = wish.map_err(|rejection| Refused::Query(rejection.body_text()))?;
        wish.check().map_err(Refused::Query)?;
        let hosts = web.journal.hosts(&web.serving().inventory, frame.now).await?;
        Ok(fitting(|most| FleetPage::new(frame.clone(), &hosts, &wish, frame.now, most))?)
    };
    answer(&web, &frame, page.await)
}

async fn host<J: Journal>(State(web): State<Arc<Web<J>>>, Path(name): Path<String>) -> Response {
    let frame = Frame::new(&web, "../");
    let page = async {
        let missing = || Refused::Missing(format!("The inventory has no host {name:?}."));
        let known = api::known_host(&web, &name).ok_or_else(missing)?;
        let host = api::whole_host(&web, known).await?.ok_or_else(missing)?;
        let newest = match host.incidents.first() {
            Some(incident) => web.journal.incident(incident.id, api::ATTEMPTS_BESIDE).await?,
            None => None,
        };
        Ok(fitting(|most| HostPage::new(frame.clone(), &host, newest.as_ref(), frame.now, most))?)
    };
    answer(&web, &frame, page.await)
}

async fn incident<J: Journal>(State(web): State<Arc<Web<J>>>, Path(id): Path<String>) -> Response {
    let frame = Frame::new(&web, "../");
    let page = async {
        let missing = || Refused::Missing(format!("No incident {id:?} is known, or none any more."));
        let known = IncidentId(id.parse().map_err(|_| missing())?);
        let whole = web.journal.incident(known, api::ATTEMPTS_BESIDE).await?.ok_or_else(missing)?;
        Ok(fitting(|most| IncidentPage::new(frame.clone(), &whole, frame.now, most))?)
    };
    answer(&web, &frame, page.await)
}

async fn attempt<J: Journal>(State(web): State<Arc<Web<J>>>, Path(id): Path<String>) -> Response {
    let frame = Frame::new(&web, "../");
    let page = async {
        let missing = || Refused::Missing(format!("No attempt {id:?} is known, or none any more."));
        let known = id.parse().map_err(|_| missing())?;
        let attempt = web.journal.attempt(known).await?.ok_or_else(missing)?;
        let reported = Reported::new(&attempt);
        Ok(fitting(|most| AttemptPage::new(frame.clone(), &reported, frame.now, most))?)
    };
    answer(&web, &frame, page.await)
}

async fn notification<J: Journal>(State(web): State<Arc<Web<J>>>, Path(id): Path<String>) -> Response {
    let frame = Frame::new(&web, "../");
    let page = async {
        let missing = || Refused::Missing(format!("No notification {id:?} is kept, or none any more."));
        let known = id.parse().map_err(|_| missing())?;
        let notification = web.journal.notification(known).await?.ok_or_else(missing)?;
        Ok(fitting(|most| NotificationPage::new(frame.clone(), &notification, frame.now, most))?)
    };
    answer(&web, &frame, page.await)
}

async fn status<J: Journal>(State(web): State<Arc<Web<J>>>) -> Response {
    let frame = Frame::new(&web, "./");
    let page = async {
        let known = Known {
            reasons: not_ready(&web).await,
            started_at: at(web.metrics.start_time.get()),
            config_read_at: at(web.metrics.config_reloaded_at.get()),
            is_reloaded: web.metrics.config_reloaded.get() == 1,
            address: web.address.to_string(),
            hosts: web.serving().inventory.len(),
            running: web.metrics.attempts_running.get(),
            journal_errors: web.metrics.journal_failures(),
        };
        let ignored = web.journal.ignored(IGNORED).await?;
        Ok(fitting(|most| StatusPage::new(frame.clone(), &known, &ignored, frame.now, most))?)
    };
    answer(&web, &frame, page.await)
}

async fn config<J: Journal>(
    State(web): State<Arc<Web<J>>>,
    wish: Result<Query<config::Wish>, QueryRejection>,
) -> Response {
    let frame = Frame::new(&web, "./");
    let page = || {
        let Query(wish) = wish.map_err(|rejection| Refused::Query(rejection.body_text()))?;
        Ok(ConfigPage::new(frame.clone(), &web.serving().config, &wish).render()?)
    };
    answer(&web, &frame, page())
}

/// An instant that a metric holds as Unix time.
#[allow(clippy::cast_possible_truncation)]
fn at(secs: f64) -> Timestamp {
    Timestamp::from_second(secs as i64).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
