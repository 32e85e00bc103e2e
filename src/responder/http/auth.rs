//! Who may call: whoever shows the token.

use std::{path::Path, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq;
use tracing::{error, warn};

use super::Web;
use crate::responder::{journal::Journal, metrics::ByResult};

/// Why a token cannot be asked for.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// The file holds nothing: everybody would be let in, or nobody.
    #[error("the file holds no token")]
    Empty,
}

/// The token in a file, without the line break at its end.
pub async fn token(path: &Path) -> Result<Vec<u8>, TokenError> {
    let text = tokio::fs::read(path).await?;
    let token = text.trim_ascii();
    if token.is_empty() { Err(TokenError::Empty) } else { Ok(token.to_owned()) }
}

/// Lets a request through that shows the token. The file is read each time, so that a new token
/// needs no restart.
pub async fn require_token<J: Journal>(
    State(web): State<Arc<Web<J>>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(path) = &web.bearer_token_file else { return next.run(request).await };
    let count = |result| web.intake.metrics.notifications.get_or_create(&ByResult::new(result)).inc();
    let expected = match token(path).await {
        Ok(expected) => expected,
        Err(error) => {
            // Not the caller's fault: 503 is sent again, 401 would be final.
            count("unavailable");
            error!(path = %path.display(), %error, "nobody can be let in");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    };
    if shows(&request, &expected) {
        return next.run(request).await;
    }
    count("unauthorized");
    warn!(path = request.uri().path(), "request without the right token");
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response()
}

fn shows(request: &Request, expected: &[u8]) -> bool {
    let shown = request.headers().get(header::AUTHORIZATION).map(axum::http::HeaderValue::as_bytes);
    shown
        .and_then(|shown| shown.split_at_checked(7))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "))
        .is_some_and(|(_, token)| token.trim_ascii().ct_eq(expected).into())
}
