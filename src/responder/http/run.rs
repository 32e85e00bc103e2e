//! `POST /api/v1/run`: a person wants hosts swept now.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{Web, refusal::Refusal, who::Who, whole};
use crate::{
    domain::{host::HostName, line::line},
    responder::{
        intake::Wished,
        journal::{Journal, JournalError},
    },
};

/// So many hosts may be named at once: each unknown one is told of.
const NAMES_MOST: usize = 10_000;

/// What a person asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// These hosts, by their names in the inventory.
    #[serde(default)]
    hosts: Vec<String>,
    /// All hosts of the inventory instead.
    #[serde(default)]
    all: bool,
    /// Whether to say only what would go.
    #[serde(default)]
    dry_run: bool,
}

impl Wish {
    fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let wish: Self = serde_json::from_slice(body).map_err(|error| Refusal::Run(line(&error)))?;
        match (wish.hosts.is_empty(), wish.all) {
            (true, false) => Err(Refusal::Run("name hosts, or all: true".to_owned())),
            (false, _) if wish.hosts.len() > NAMES_MOST => Err(Refusal::Run(format!(
                "names {} hosts, and at most {NAMES_MOST} are taken",
                wish.hosts.len()
            ))),
            (false, true) => Err(Refusal::Run("name hosts, or all: true, and not both".to_owned())),
            _ => Ok(wish),
        }
    }

    fn names(self, inventory: &[HostName]) -> Vec<String> {
        if self.all { inventory.iter().map(ToString::to_string).collect() } else { self.hosts }
    }
}

pub(super) async fn run<J: Journal>(State(web): State<Arc<Web<J>>>, request: Request) -> Response {
    match begun(&web, request).await {
        Ok(wished) => (StatusCode::ACCEPTED, Json(wished)).into_response(),
        Err(refusal) => {
            refusal.tell(&web, "run");
            refusal.into_response()
        }
    }
}

async fn begun<J: Journal>(web: &Web<J>, request: Request) -> Result<Wished, Refusal> {
    let (serving, who) = (web.serving(), Who::of(&request));
    let body = whole(web, &serving.limits, request).await?;
    let wish = Wish::parse(body.bytes())?;
    let dry_run = wish.dry_run;
    let names = wish.names(&serving.inventory);
    serving.intake.sweep_now(&names, dry_run, who.as_str()).await.map_err(JournalError::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_names_hosts_or_all_and_nothing_else() {
        let names = |text: &str| {
            let inventory = ["a", "b"].map(|name| name.parse().unwrap());
            Wish::parse(text.as_bytes()).map(|wish| wish.names(&inventory)).map_err(|error| error.to_string())
        };
        assert_eq!(names(r#"{"hosts":["x","a"]}"#).unwrap(), ["x", "a"]);
        assert_eq!(names(r#"{"all":true,"dry_run":true}"#).unwrap(), ["a", "b"]);
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"hosts":[]}"#,
            r#"{"hosts":["a"],"all":true}"#,
            r#"{"all":true,"force":true}"#,
        ] {
            assert!(names(wrong).is_err(), "{wrong}");
        }
    }
}
