//! Why a request is not answered as it was meant, in the one shape of every error: `{"error": "…"}`.

use std::sync::Arc;

use axum::{
    Json,
    extract::rejection::QueryRejection,
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tracing::{error, warn};

use super::{Web, body::BodyError};
use crate::{
    domain::line::line,
    responder::{alertmanager::PayloadError, journal::JournalError},
};

/// An error as every route tells of it.
pub fn error(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why.trim_end() }))).into_response()
}

/// Why a request is not answered as it was meant.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Its body is none.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Its body is no notification.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// Its body asks for no run.
    #[error("no run: {0}")]
    Run(String),
    /// The journal failed.
    #[error(transparent)]
    Journal(Arc<JournalError>),
    /// It asks for something with a key or a value that there is not.
    #[error("the query {0}")]
    Query(String),
    /// What it asks for is not there.
    #[error("{0}")]
    Missing(String),
}

impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        Self::Journal(Arc::new(error))
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        let said = rejection.body_text();
        let said = said.strip_prefix("Failed to deserialize query string: ").unwrap_or(&said);
        Self::Query(format!("cannot be read: {}", line(said)))
    }
}

impl Refusal {
    /// There is no such thing of this name, which may be anything.
    pub fn no(what: &str, name: &str) -> Self {
        Self::Missing(format!("there is no {what} {}", line(name)))
    }

    /// The status that tells it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Body(BodyError::TooLong) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::Broken) | Self::Payload(_) | Self::Run(_) | Self::Query(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Body(BodyError::Late | BodyError::Crowded | BodyError::Busy) | Self::Journal(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// The result as metrics write it.
    pub fn result(&self) -> &'static str {
        match self.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::BAD_REQUEST => "malformed",
            _ => "unavailable",
        }
    }
}

impl Refusal {
    /// Says in the log and in metrics that what somebody sent was refused, however often it is sent.
    pub(super) fn tell<J>(&self, web: &Web<J>, what: &str) {
        if let Self::Journal(error) = self {
            web.metrics.journal_failed("accept");
            error!(reason = error.reason(), %error, "{what} refused: the journal failed");
        } else if let Some(suppressed) = web.told.now() {
            warn!(reason = self.result(), error = %self, suppressed, "{what} refused");
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        error(self.status(), &self.to_string())
    }
}

/// No route leads there.
pub async fn no_route(uri: Uri) -> Response {
    Refusal::no("route", uri.path()).into_response()
}

/// A route leads there, but not this way. Which ways there are stands in `Allow`.
pub async fn no_method(method: Method, uri: Uri) -> Response {
    let why = format!("{} takes no {}", line(uri.path()), line(method.as_str()));
    error(StatusCode::METHOD_NOT_ALLOWED, &why)
}
