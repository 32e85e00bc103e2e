//! The HTTP side: the webhook, the health of the process, metrics, and what the journal says.
//!
//! Status codes follow what Alertmanager does with them: everything but 5xx is final to it, so
//! trouble of our own is always 503, and 429 is never used. An error is `{"error": "…"}` wherever it comes
//! from; only what other exporters answer as text (`/-/…`, `/metrics`) is text here too.
//!
//! | route | what it does |
//! |---|---|
//! | `POST /webhook` | Takes a notification in. 200 once it is on disk, with how many alerts were accepted and ignored. |
//! | `POST /api/v1/replay` | Takes the same payload as a replay of its own: one attempt, trigger `manual`, on each host that a firing alert names. It touches no incident and does not ask for the host's period, but counts for it. 202 with what was decided about each alert and the attempts' identities. |
//! | `GET /api/v1/…` | What the journal says: `api`. |
//! | `POST /api/v1/run` | `{"hosts":["ray-80"],"dry_run":false}`, or `"all":true`: one attempt, trigger `manual`, on each of these hosts, as a replay makes them; one that waits there already is joined. 202 with each host's attempt, or why it has none: `{"hosts":[{"host":"ray-80","attempt":"…","joined":false,"error":null}]}`. |
//! | `POST /api/v1/incidents/{id}/close` | Closes an incident: nothing more is tried for it, until an alert of it is received again, firing, and opens another. 200 with when and why it closed, also where it had closed before. |
//! | `GET /`, `/hosts/…`, … | The same for people: `page`. |
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
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use self::{
    body::{Bodies, BodyError, Whole},
    connections::Slot,
    refusal::{Refusal, no_method, no_route},
    seldom::Seldom,
    shared::Shared,
    users::Passwords,
    web_file::WebFile,
    who::Who,
};
use super::{
    alertmanager,
    intake::Intake,
    journal::Journal,
    metrics::{ByResult, Metrics},
};
use crate::{
    config::responder::Limits,
    domain::{alert::Notification, host::HostName},
};

pub mod access;
pub mod api;
pub mod body;
pub mod called;
mod close;
pub mod connections;
pub mod page;
pub mod refusal;
mod run;
pub mod seldom;
pub mod server;
pub mod shared;
pub mod tls;
pub mod users;
pub mod web_file;
pub mod who;

/// For so long a probe of the journal tells whoever asks whether we are ready: each one is a write.
const PROBED_FOR: Duration = Duration::from_millis(200);

/// A reload that somebody asked for, and who waits for what came of it.
#[derive(Debug)]
pub struct ReloadAsked {
    /// Who asked.
    pub by: Who,
    /// Takes what came of it.
    pub answer: oneshot::Sender<Result<String, String>>,
}

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
    /// Names by which we may be called, beside localhost and addresses.
    pub allowed_hosts: Vec<String>,
    /// How much at once, and for how long.
    pub limits: Limits,
    /// The whole of it, as it may be shown.
    pub config: String,
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
    // Called by any name: to Alertmanager a refusal is final, nothing is told here but how many alerts were
    // taken, and a web page may not ask for it whatever its name is.
    let webhook = Router::new()
        .route("/webhook", post(webhook::<J>))
        .route_layer(middleware::from_fn_with_state(state(), access::require::<J>));
    let guarded = Router::new()
        .route("/api/v1/replay", post(replay::<J>))
        .route("/api/v1/run", post(run::run::<J>))
        .route("/api/v1/hosts", get(api::hosts::<J>))
        .route("/api/v1/hosts/{name}", get(api::host::<J>))
        .route("/api/v1/incidents", get(api::incidents::<J>))
        .route("/api/v1/incidents/{id}", get(api::incident::<J>))
        .route("/api/v1/incidents/{id}/close", post(close::close::<J>))
        .route("/api/v1/attempts", get(api::attempts::<J>))
        .route("/api/v1/attempts/{id}", get(api::attempt::<J>))
        .route("/api/v1/notifications/{id}", get(api::notification::<J>))
        .route("/api/v1/ignored", get(api::ignored::<J>))
        .route("/-/reload", post(reload::<J>).put(reload::<J>))
        .merge(page::routes::<J>())
        .route_layer(middleware::from_fn_with_state(state(), access::require::<J>));
    let metrics = Router::new()
        .route("/metrics", get(metrics::<J>))
        .route_layer(middleware::from_fn_with_state(state(), access::require_of_users::<J>));
    guarded
        .merge(metrics)
        .merge(page::assets::<J>())
        .route("/-/ready", get(ready::<J>))
        .route_layer(middleware::from_fn_with_state(state(), called::by_a_known_name::<J>))
        .merge(webhook)
        .route_layer(middleware::from_fn_with_state(state(), bounded::<J>))
        // Whatever else there is too much of: this is how somebody sees that we live.
        .route("/-/healthy", get(async || "raysweep is healthy\n"))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
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
        timeout(most, next.run(request)).await.map_err(|_| "the request took too long: send it again")
    } else {
        Err("too many requests are under way: send it again")
    };
    answer.unwrap_or_else(|why| {
        if path == "/webhook" {
            web.metrics.notifications.get_or_create(&ByResult::new("unavailable")).inc();
        }
        if let Some(suppressed) = web.told.now() {
            warn!(path, reason = why, suppressed, "request given up");
        }
        refusal::error(StatusCode::SERVICE_UNAVAILABLE, why)
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
        Ok((notification, body)) => {
            // What the body holds it holds until nobody needs it any more.
            serving.intake.accept(notification, Bytes::from_owner(body)).await.map_err(Refusal::Journal)
        }
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
            refusal.tell(&web, "notification");
            refusal.into_response()
        }
    }
}

async fn replay<J: Journal>(State(web): State<Arc<Web<J>>>, request: Request) -> Response {
    let (serving, who) = (web.serving(), Who::of(&request));
    let replayed = match read(&web, &serving.limits, request).await {
        Ok((notification, _body)) => {
            serving.intake.replay(&notification, who.as_str()).await.map_err(Refusal::from)
        }
        Err(refusal) => Err(refusal),
    };
    match replayed {
        Ok(replayed) => (StatusCode::ACCEPTED, Json(replayed)).into_response(),
        Err(refusal) => {
            refusal.tell(&web, "notification");
            refusal.into_response()
        }
    }
}

/// Waits for the reload and says what came of it, in the words of the log.
async fn reload<J: Journal>(State(web): State<Arc<Web<J>>>, request: Request) -> Response {
    let by = Who::of(&request);
    let (answer, reloaded) = oneshot::channel();
    if web.reloads.send(ReloadAsked { by, answer }).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "raysweep is stopping\n").into_response();
    }
    match reloaded.await {
        Ok(Ok(said)) => format!("{said}\n").into_response(),
        Ok(Err(wrong)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{wrong}\n")).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "raysweep is stopping\n").into_response(),
    }
}

/// Ready is who can take a notification in: the journal takes a write, a sender can be let in, and nobody
/// asked us to stop.
async fn ready<J: Journal>(State(web): State<Arc<Web<J>>>) -> Response {
    let reasons = not_ready(&web).await;
    if reasons.is_empty() {
        "raysweep is ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("raysweep is not ready: {}\n", reasons.join("; ")))
            .into_response()
    }
}

/// Why no notification can be taken in.
async fn not_ready<J: Journal>(web: &Web<J>) -> Vec<String> {
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
    reasons
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
