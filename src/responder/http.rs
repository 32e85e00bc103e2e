//! The HTTP side: the webhook, the health of the process, metrics, and what the journal says.
//!
//! Status codes follow what Alertmanager does with them: everything but 5xx is final to it, so
//! trouble of our own is always 503, and 429 is never used.
//!
//! | route | what it does |
//! |---|---|
//! | `POST /webhook` | Takes a notification in. 200 once it is on disk, with how many alerts were accepted and ignored. |
//! | `POST /api/v1/replay` | Takes the same payload as a replay of its own: one attempt, trigger `manual`, on each host that a firing alert names. It touches no incident and does not ask the limiter, but counts for it. 202 with what was decided about each alert and the attempts' identities. |
//! | `GET /api/v1/incidents`, `/attempts`, `/ignored` | Rows of the journal, the newest first; `?host=` and `?limit=` (50, at most 1000). |
//! | `GET /-/healthy`, `/-/ready`, `/metrics` | Open to all who reach the address. |

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Query, State, rejection::BytesRejection},
    http::{StatusCode, header::CONTENT_TYPE},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;
use tracing::{error, warn};

use super::{
    alertmanager::{self, PayloadError},
    intake::Intake,
    journal::{Journal, JournalError},
    metrics::ByResult,
};
use crate::domain::{alert::Notification, host::HostName};

pub mod auth;

/// A request that takes longer than this is answered 503: whoever sent it may send it again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How many rows are shown, unless asked for otherwise, and at most.
const ROWS: u32 = 50;
const ROWS_MOST: u32 = 1000;

/// What handlers share.
#[derive(Debug)]
pub struct Web<J> {
    /// Takes notifications in.
    pub intake: Intake<J>,
    /// The inventory.
    pub inventory: Vec<HostName>,
    /// Where the bearer token is, where one is asked for.
    pub bearer_token_file: Option<PathBuf>,
    /// Cancelled once the responder stops.
    pub stop: CancellationToken,
}

/// Every route. `/-/…` and `/metrics` are open; all else asks for the token where there is one.
pub fn router<J: Journal>(web: Arc<Web<J>>, body_bytes: u64) -> Router {
    let body_bytes = usize::try_from(body_bytes).unwrap_or(usize::MAX);
    Router::new()
        .route("/webhook", post(webhook::<J>))
        .route("/api/v1/replay", post(replay::<J>))
        .route("/api/v1/incidents", get(incidents::<J>))
        .route("/api/v1/attempts", get(attempts::<J>))
        .route("/api/v1/ignored", get(ignored::<J>))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&web), auth::require_token::<J>))
        .route("/-/healthy", get(async || "raysweep is healthy\n"))
        .route("/-/ready", get(ready::<J>))
        .route("/metrics", get(metrics::<J>))
        .layer(DefaultBodyLimit::max(body_bytes))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .with_state(web)
}

/// Why a request is not answered as it was meant.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the body is longer than is read here")]
    TooLarge,
    #[error("the body did not come whole")]
    Body,
    #[error(transparent)]
    Payload(#[from] PayloadError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body | Self::Payload(_) => StatusCode::BAD_REQUEST,
            Self::Journal(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The result as metrics write it.
    fn result(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Body | Self::Payload(_) => "malformed",
            Self::Journal(_) => "unavailable",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status(), Json(json!({ "error": self.to_string() }))).into_response()
    }
}

/// Reads a notification; its body may be anything.
fn read(body: Result<Bytes, BytesRejection>) -> Result<Notification, Refusal> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge,
        _ => Refusal::Body,
    })?;
    Ok(alertmanager::parse(&body)?)
}

async fn webhook<J: Journal>(
    State(web): State<Arc<Web<J>>>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let began = Instant::now();
    let metrics = &web.intake.metrics;
    let accepted = match read(body) {
        Ok(notification) => web.intake.accept(&notification).await.map_err(Refusal::from),
        Err(refusal) => Err(refusal),
    };
    let result = accepted.as_ref().map_or_else(Refusal::result, |_| "accepted");
    metrics.notifications.get_or_create(&ByResult::new(result)).inc();
    match accepted {
        Ok(accepted) => {
            metrics.accept_duration.observe(began.elapsed().as_secs_f64());
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
        web.intake.metrics.journal_failed("accept");
        error!(reason = error.reason(), %error, "notification refused: the journal failed");
    } else {
        warn!(reason = refusal.result(), error = %refusal, "notification refused");
    }
}

async fn replay<J: Journal>(State(web): State<Arc<Web<J>>>, body: Result<Bytes, BytesRejection>) -> Response {
    let replayed = match read(body) {
        Ok(notification) => web.intake.replay(&notification).await.map_err(Refusal::from),
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

/// What to show.
#[derive(Debug, Deserialize)]
struct Rows {
    host: Option<String>,
    limit: Option<u32>,
}

impl Rows {
    fn limit(&self) -> u32 {
        self.limit.unwrap_or(ROWS).min(ROWS_MOST)
    }
}

async fn incidents<J: Journal>(State(web): State<Arc<Web<J>>>, Query(rows): Query<Rows>) -> Response {
    shown(&web, web.intake.journal.incidents(rows.host.as_deref(), rows.limit()).await, "incidents")
}

async fn attempts<J: Journal>(State(web): State<Arc<Web<J>>>, Query(rows): Query<Rows>) -> Response {
    shown(&web, web.intake.journal.attempts(rows.host.as_deref(), rows.limit()).await, "attempts")
}

async fn ignored<J: Journal>(State(web): State<Arc<Web<J>>>, Query(rows): Query<Rows>) -> Response {
    shown(&web, web.intake.journal.ignored(rows.limit()).await, "ignored")
}

fn shown<J, T: serde::Serialize>(web: &Web<J>, found: Result<T, JournalError>, name: &str) -> Response {
    match found {
        Ok(found) => Json(json!({ name: found })).into_response(),
        Err(error) => {
            web.intake.metrics.journal_failed("read");
            error!(reason = error.reason(), %error, "the journal cannot be read");
            Refusal::from(error).into_response()
        }
    }
}

/// Ready is who can take a notification in: the journal takes a write, and nobody asked us to stop.
async fn ready<J: Journal>(State(web): State<Arc<Web<J>>>) -> Response {
    let mut reasons = Vec::new();
    if web.stop.is_cancelled() {
        reasons.push("stopping".to_owned());
    }
    if let Err(error) = web.intake.journal.probe(web.intake.clock.now()).await {
        reasons.push(format!("journal: {error}"));
    }
    if reasons.is_empty() {
        "raysweep is ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("raysweep is not ready: {}\n", reasons.join("; ")))
            .into_response()
    }
}

async fn metrics<J: Journal>(State(web): State<Arc<Web<J>>>) -> Response {
    let metrics = &web.intake.metrics;
    match web.intake.journal.open_hosts().await {
        Ok(open) => metrics.set_open(&web.inventory, &open),
        // The other metrics still tell; this failure is one of them.
        Err(error) => {
            metrics.journal_failed("read");
            error!(reason = error.reason(), %error, "open incidents cannot be counted");
        }
    }
    match metrics.encoded() {
        Ok(text) => ([(CONTENT_TYPE, super::metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
