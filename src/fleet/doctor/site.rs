//! A server that is asked over HTTP, within a bound: Prometheus, Alertmanager, the responder.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use serde_json::Value;
use ureq::{Agent, Body, http::Response};

use crate::fleet::access::Access;

/// How long an answer may take.
const TIME: Duration = Duration::from_secs(10);
/// The longest answer that is read: the rules of a large fleet.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// A server, and who we are to it.
#[derive(Debug, Clone)]
pub(super) struct Site {
    agent: Agent,
    /// Its address, without a slash at its end.
    pub(super) base: String,
    authorization: Option<String>,
}

/// What it answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Its clock, to the second.
    pub(super) date: Option<Timestamp>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The start of its words, for people.
    pub(super) fn words(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.trim().chars().take(200).collect()
    }
}

impl Site {
    pub(super) fn new(url: &str, access: Access) -> Self {
        let Access { authorization, tls } = access;
        // No proxy: what we show is this server's and nobody else's.
        let config = Agent::config_builder()
            .timeout_global(Some(TIME))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("raysweep/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        Self { agent: config.new_agent(), base: url.trim_end_matches('/').to_owned(), authorization }
    }

    /// Asks, and takes every answer for one.
    pub(super) fn ask(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, String> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.get(&url);
        for (key, value) in query {
            request = request.query(key, value);
        }
        if let Some(shown) = &self.authorization {
            request = request.header("authorization", shown);
        }
        answered(&url, request.call())
    }

    /// Asks for JSON; anything else is no answer.
    pub(super) fn json(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, String> {
        self.value(path, &self.ask(path, query)?)
    }

    /// Sends JSON; anything but a yes is none.
    pub(super) fn send(&self, path: &str, value: &Value) -> Result<(), String> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.post(&url).content_type("application/json");
        if let Some(shown) = &self.authorization {
            request = request.header("authorization", shown);
        }
        let answer = answered(&url, request.send(value.to_string().as_bytes()))?;
        if answer.status == 200 { Ok(()) } else { Err(self.refused(path, &answer)) }
    }

    fn value(&self, path: &str, answer: &Answer) -> Result<Value, String> {
        if answer.status != 200 {
            return Err(self.refused(path, answer));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| format!("{}{path} answers no JSON: {error}", self.base))
    }

    fn refused(&self, path: &str, answer: &Answer) -> String {
        format!("{}{path} answers {}: {}", self.base, answer.status, answer.words())
    }
}

fn answered(url: &str, result: Result<Response<Body>, ureq::Error>) -> Result<Answer, String> {
    let silent = |error: ureq::Error| format!("{url} does not answer: {error}");
    let mut response = result.map_err(silent)?;
    let date = response.headers().get("date").and_then(|date| date.to_str().ok()).and_then(time_of);
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(MOST_BYTES).read_to_vec().map_err(silent)?;
    Ok(Answer { status, date, body })
}

fn time_of(date: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(date).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_as_http_writes_it() {
        assert_eq!(time_of("Fri, 27 Nov 2026 02:25:24 GMT"), "2026-11-27T02:25:24Z".parse().ok());
        assert_eq!(time_of("today"), None);
    }
}
