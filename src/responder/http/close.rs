//! `POST /api/v1/incidents/{id}/close`: a person has nothing more done for an incident.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use tracing::error;

use super::{Web, refusal::Refusal, who::Who};
use crate::{
    domain::incident::IncidentId,
    responder::{intake::ClosedByHand, journal::Journal},
};

pub(super) async fn close<J: Journal>(
    State(web): State<Arc<Web<J>>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    match closed(&web, &id, &Who::of(&request)).await {
        Ok(closed) => Json(closed).into_response(),
        Err(refusal) => {
            if let Refusal::Journal(error) = &refusal {
                web.metrics.journal_failed("accept");
                error!(reason = error.reason(), %error, "close refused: the journal failed");
            }
            refusal.into_response()
        }
    }
}

async fn closed<J: Journal>(web: &Web<J>, id: &str, who: &Who) -> Result<ClosedByHand, Refusal> {
    let none = || Refusal::no("incident", id);
    let known = IncidentId(id.parse().map_err(|_| none())?);
    web.serving().intake.close(known, who.as_str()).await?.ok_or_else(none)
}
