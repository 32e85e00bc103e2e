//! The HTTP side: the webhook, the health of the process, metrics, and what the journal says.
//!
//! Status codes follow what Alertmanager does with them: everything but 5xx is final to it, so
//! trouble of our own is always 503, and 429 is never used.
//!
//! | route | what it does |
//! |---|---|
//! | `POST /webhook` | Takes a notification in. 200 once it is on disk, with how many alerts were accepted and ignored. |
//! | `POST /api/v1/replay` | Takes the same payload as a replay of its own: one attempt, trigger `manual`, on each host that a firing alert names. It touches no incident and does not ask the limiter, but counts for it. 202 with what was decided about each alert and the attempts' identities. |
//! | `POST /api/v1/run` | `{"hosts":["ray-80"],"dry_run":false}`, or `"all":true`: one attempt, trigger `manual`, on each of these hosts, as a replay makes them. 202 with each host's attempt, or why it has none: `{"hosts":[{"host":"ray-80","attempt":"…","error":null}]}`. |
//! | `GET /api/v1/incidents`, `/attempts`, `/ignored` | Rows of the journal, the newest first; `?host=` and `?limit=` (50, at most 1000). `/incidents?open=true` has those alone that are open, `/attempts?reports=false` leaves out what hosts reported. |
//! | `GET /api/v1/attempts/{id}` | One attempt, with its host's report; 404 where none has this id. |
//! | `POST /-/reload` | Reads the configuration again. 200 once it is used; 500, with what is wrong, where the old one stays. |
//! | `GET /metrics` | Open, unless the web configuration file has users. |
//! | `GET /-/healthy`, `/-/ready` | Open to all who reach the address. |

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use self::{
    body::{Bodies, BodyError, Whole},
    connections::Slot,
    seldom::Seldom,
    shared::Shared,
    users::Passwords,
    web_file::WebFile,
};
use super::{
    alertmanager::{self, PayloadError},
    intake::Intake,
    journal::{Journal, JournalError},
    metrics::{ByResult, Metrics},
};
use crate::{
    config::responder::Limits,
    domain::{alert::Notification, host::HostName},
};

pub mod access;
pub mod body;
pub mod connections;
mod run;
pub mod seldom;
pub mod server;
pub mod shared;
pub mod tls;
pub mod users;
pub mod web_file;

/// How many rows are shown, unless asked for otherwise, and at most.
const ROWS: u32 = 50;
const ROWS_MOST: u32 = 1000;

/// For so long a probe of the journal tells whoever asks whether we are ready: each one is a write.
const PROBED_FOR: Duration = Duration::from_millis(200);

/// Who asked for a reload, and waits for what came of it.
pub type ReloadAsked = oneshot::Sender<Result<String, String>>;

/// What handlers share for as long as the process lives.
#[derive(Debug)]
pub struct Web<J> {
    /// What the configuration makes of them; a reload puts another in its place.
    pub serving: watch::Receiver<Arc<Serving<J>>>,
    /// Where incidents and attempts are kept.
    pub journal: J,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The web configuration file, where there is one.
    pub file: Option<Arc<WebFile>>,
    /// The passwords that were shown so far.
    pub passwords: Passwords,
    /// Where it listens.
    pub address: SocketAddr,
    /// What all bodies hold together.
    pub bodies: Arc<Bodies>,
    /// What the last probe of the journal found.
    pub probed: Shared<Result<(), String>>,
    /// The last text of all metrics.
    pub encoded: Shared<Result<Bytes, String>>,
    /// How often the log is told of requests that were refused.
    pub told: Seldom,
    /// Takes the wish for a reload to whoever does it.
    pub reloads: mpsc::Sender<ReloadAsked>,
    /// Cancelled once the responder stops.
    pub stop: CancellationToken,
}

/// What a configuration makes of the HTTP side.
#[derive(Debug)]
pub struct Serving<J> {
    /// Takes notifications in.
    pub intake: Arc<Intake<J>>,
    /// The inventory.
    pub inventory: Vec<HostName>,
    /// Where the bearer token is, where one is asked for.
    pub bearer_token_file: Option<PathBuf>,
    /// How much at once, and for how long.
    pub limits: Limits,
}

impl<J> Web<J> {
    /// What the configuration says now. A request that is under way stays with what it began with.
    pub fn serving(&self) -> Arc<Serving<J>> {
        Arc::clone(&self.serving.borrow())
    }
}

/// Every route.
pub fn router<J: Journal>(web: &Arc<Web<J>>) -> Router {
    let state = || Arc::clone(web);
    let guarded = Router::new()
        .route("/webhook", post(webhook::<J>))
        .route("/api/v1/replay", post(replay::<J>))
        .route("/api/v1/run", post(run::run::<J>))
        .route("/api/v1/incidents", get(incidents::<J>))
        .route("/api/v1/attempts", get(attempts::<J>))
        .route("/api/v1/attempts/{id}", get(attempt::<J>))
        .route("/api/v1/ignored", get(ignored::<J>))
        .route("/-/reload", post(reload::<J>).put(reload::<J>))
        .route_layer(middleware::from_fn_with_state(state(), access::require::<J>));
    let metrics = Router::new()
        .route("/metrics", get(metrics::<J>))
        .route_layer(middleware::from_fn_with_state(state(), access::require_of_users::<J>));
    guarded
        .merge(metrics)
        .route("/-/ready", get(ready::<J>))
        .route_layer(middleware::from_fn_with_state(state(), bounded::<J>))
        // Whatever else there is too much of: this is how somebody sees that we live.
        .route("/-/healthy", get(async || "raysweep is healthy\n"))
        .layer(middleware::from_fn_with_state(state(), headers::<J>))
        .with_state(state())
}

/// Answers 503 to what is too much or takes too long: whoever sent it may send it again.
async fn bounded<J: Journal>(State(web): State<Arc<Web<J>>>, request: Request, next: Next) -> Response {
    let most = web.serving().limits.request_timeout.0;
    let path = request.uri().path().to_owned();
    // One with a body is asked for its room once the body is there.
    let has_room = request.extensions().get::<Arc<Slot>>().is_none_or(|slot| slot.has_room());
    let answer = if has_room {
        timeout(most, next.run(request)).await.map_err(|_| "the request took too long: send it again\n")
    } else {
        Err("too many requests are under way: send it again\n")
    };
    answer.unwrap_or_else(|why| {
        if path == "/webhook" {
            web.metrics.notifications.get_or_create(&ByResult::new("unavailable")).inc();
        }
        if let Some(suppressed) = web.told.now() {
            warn!(path, reason = why.trim_end(), suppressed, "request given up");
        }
        (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
    })
}

/// The headers that the web configuration file sets.
async fn headers<J: Journal>(State(web): State<Arc<Web<J>>>, request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    if let Some(file) = &web.file {
        answer.headers_mut().extend(file.last().headers.clone());
    }
    answer
}

/// Why a request is not answered as it was meant.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Payload(#[from] PayloadError),
    #[error("no run: {0}")]
    Run(String),
    #[error(transparent)]
    Journal(Arc<JournalError>),
}

impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        Self::Journal(Arc::new(error))
    }
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Body(BodyError::TooLong) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::Broken) | Self::Payload(_) | Self::Run(_) => StatusCode::BAD_REQUEST,
            Self::Body(BodyError::Late | BodyError::Crowded | BodyError::Busy) | Self::Journal(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// The result as metrics write it.
    fn result(&self) -> &'static str {
        match self.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::BAD_REQUEST => "malformed",
            _ => "unavailable",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status(), Json(json!({ "error": self.to_string() }))).into_response()
    }
}

/// Reads a notification; its body may be anything. What the body held is held until the answer.
async fn read<J>(web: &Web<J>, limits: &Limits, request: Request) -> Result<(Notification, Whole), Refusal> {
    let body = whole(web, limits, request).await?;
    Ok((alertmanager::parse(body.bytes())?, body))
}

async fn whole<J>(web: &Web<J>, limits: &Limits, request: Request) -> Result<Whole, BodyError> {
    let bounds = body::Bounds {
        body_bytes: limits.body_bytes,
        bodies_bytes: limits.bodies_bytes,
        pause: limits.header_timeout.0,
    };
    body::read(&web.bodies, request, bounds).await
}

async fn webhook<J: Journal>(State(web): State<Arc<Web<J>>>, request: Request) -> Response {
    let began = Instant::now();
    let serving = web.serving();
    let accepted = match read(&web, &serving.limits, request).await {
        Ok((notification, _body)) => serving.intake.accept(notification).await.map_err(Refusal::Journal),
        Err(refusal) => Err(refusal),
    };
    let result = accepted.as_ref().map_or_else(Refusal::result, |_| "accepted");
    web.metrics.notifications.get_or_create(&ByResult::new(result)).inc();
    match accepted {
        Ok(accepted) => {
            web.metrics.accept_duration.observe(began.elapsed().as_secs_f64());
            Json(accepted).into_response()
        }
        Err(refusal) => {
            refused(&web, &refusal);
            refusal.into_response()
        }
    }
}

fn refused<J>(web: &Web<J>, refusal: &Refusal) {
    if let Refusal::Journal(error) = refusal {
        web.metrics.journal_failed("accept");
        error!(reason = error.reason(), %error, "notification refused: the journal failed");
    } else if let Some(suppressed) = web.told.now() {
        warn!(reason = refusal.result(), error = %refusal, suppressed, "notification refused");
    }
}

async fn replay<J: Journal>(State(web): State<Arc<Web<J>>>, request: Request) -> Response {
    let serving = web.serving();
    let replayed = match read(&web, &serving.limits, request).await {
        Ok((notification, _body)) => serving.intake.replay(&notification).await.map_err(Refusal::from),
        Err(refusal) => Err(refusal),
    };
    match replayed {
        Ok(replayed) => (StatusCode::ACCEPTED, Json(replayed)).into_response(),
        Err(refusal) => {
            refused(&web, &refusal);
            refusal.into_response()
        }
    }
}

/// Waits for the reload and says what came of it, in the words of the log.
async fn reload<J: Journal>(State(web): State<Arc<Web<J>>>) -> Response {
    let (answer, reloaded) = oneshot::channel();
    if web.reloads.send(answer).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "raysweep is stopping\n").into_response();
    }
    match reloaded.await {
        Ok(Ok(said)) => format!("{said}\n").into_response(),
        Ok(Err(wrong)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{wrong}\n")).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "raysweep is stopping\n").into_response(),
    }
}

/// What to show.
#[derive(Debug, Deserialize)]
struct Rows {
    host: Option<String>,
    limit: Option<u32>,
    /// Only incidents that are open.
    #[serde(default)]
    open: bool,
    /// Attempts with what their hosts reported, unless somebody asks for them without.
    reports: Option<bool>,
}

impl Rows {
    fn limit(&self) -> u32 {
        self.limit.unwrap_or(ROWS).min(ROWS_MOST)
    }
}

async fn incidents<J: Journal>(State(web): State<Arc<Web<J>>>, Query(rows): Query<Rows>) -> Response {
    let (host, limit) = (rows.host.as_deref(), rows.limit());
    let found = if rows.open {
        web.journal.still_open(host, limit).await
    } else {
        web.journal.incidents(host, limit).await
    };
    shown(&web, found, "incidents")
}

async fn attempts<J: Journal>(State(web): State<Arc<Web<J>>>, Query(rows): Query<Rows>) -> Response {
    let (host, limit) = (rows.host.as_deref(), rows.limit());
    let found = if rows.reports.unwrap_or(true) {
        web.journal.attempts(host, limit).await
    } else {
        web.journal.attempts_in_brief(host, limit).await
    };
    shown(&web, found, "attempts")
}

async fn attempt<J: Journal>(State(web): State<Arc<Web<J>>>, Path(id): Path<String>) -> Response {
    // What is no identity is nobody's.
    let found = match id.parse() {
        Ok(id) => web.journal.attempt(id).await,
        Err(_) => Ok(None),
    };
    match found {
        Ok(Some(attempt)) => Json(attempt).into_response(),
        Ok(None) => {
            let error = "no attempt has this id: it may have been forgotten";
            (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
        }
        Err(error) => unreadable(&web, error),
    }
}

async fn ignored<J: Journal>(State(web): State<Arc<Web<J>>>, Query(rows): Query<Rows>) -> Response {
    shown(&web, web.journal.ignored(rows.limit()).await, "ignored")
}

fn shown<J, T: serde::Serialize>(web: &Web<J>, found: Result<T, JournalError>, name: &str) -> Response {
    match found {
        Ok(found) => Json(json!({ name: found })).into_response(),
        Err(error) => unreadable(web, error),
    }
}

fn unreadable<J>(web: &Web<J>, error: JournalError) -> Response {
    web.metrics.journal_failed("read");
    error!(reason = error.reason(), %error, "the journal cannot be read");
    Refusal::from(error).into_response()
}

/// Ready is who can take a notification in: the journal takes a write, a sender can be let in, and nobody
/// asked us to stop.
async fn ready<J: Journal>(State(web): State<Arc<Web<J>>>) -> Response {
    let mut reasons = Vec::new();
    if web.stop.is_cancelled() {
        reasons.push("stopping".to_owned());
    }
    let probe = async {
        web.journal.probe(web.serving().intake.clock.now()).await.map_err(|error| error.to_string())
    };
    if let Err(error) = web.probed.younger_than(PROBED_FOR, probe).await {
        reasons.push(format!("journal: {error}"));
    }
    if let Err(unusable) = web.asked().await {
        reasons.push(unusable.told_at(web.address));
    }
    if reasons.is_empty() {
        "raysweep is ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("raysweep is not ready: {}\n", reasons.join("; ")))
            .into_response()
    }
}

async fn metrics<J: Journal>(State(web): State<Arc<Web<J>>>) -> Response {
    match web.encoded.begun_from_now(encoded(&web)).await {
        Ok(text) => ([(CONTENT_TYPE, super::metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error).into_response(),
    }
}

async fn encoded<J: Journal>(web: &Web<J>) -> Result<Bytes, String> {
    let metrics = &web.metrics;
    match web.journal.open_hosts().await {
        Ok(open) => metrics.set_open(&open),
        // The other metrics still tell; this failure is one of them.
        Err(error) => {
            metrics.journal_failed("read");
            error!(reason = error.reason(), %error, "open incidents cannot be counted");
        }
    }
    metrics.encoded().map(Bytes::from).map_err(|error| error.to_string())
}
