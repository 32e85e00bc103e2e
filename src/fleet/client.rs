//! Talks to a running responder over HTTP.

use std::{collections::BTreeMap, io::ErrorKind, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use ureq::{Agent, Body, http::Response};

use super::access::Access;
use crate::domain::report::Holds;

mod history;

pub use history::{Attempt, AttemptsAsked, IncidentAlert, IncidentEvent, IncidentWhole};

/// Where a responder listens that was told nothing else.
pub const DEFAULT_URL: &str = "http://127.0.0.1:9095";

/// How long an answer may take.
const TIME: Duration = Duration::from_secs(30);
/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Why a responder could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer.
    #[error("{url} does not answer: {message}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// Why there is no answer.
        message: String,
        /// Whether nobody is there at all: what was asked has come to nobody.
        nobody: bool,
    },
    /// It would not have us.
    #[error(
        "{url} does not let us in: it wants a token (--bearer-token-file), a user or a certificate (--http.config.file)"
    )]
    Unauthorized {
        /// What was asked.
        url: String,
    },
    /// It answered that it cannot, or will not.
    #[error("{url} answered {status}: {message}")]
    Status {
        /// What was asked.
        url: String,
        /// The status code.
        status: u16,
        /// What it said of it.
        message: String,
    },
    /// It answered more than is read here.
    #[error("{url} answered more than {MOST_BYTES} bytes: ask for fewer rows with --limit")]
    TooLong {
        /// What was asked.
        url: String,
    },
    /// It answered something that is no answer of a responder.
    #[error("{url} answered what no raysweep answers: {message}")]
    Shape {
        /// What was asked.
        url: String,
        /// What cannot be read.
        message: String,
    },
}

/// What a replayed notification leads to.
#[derive(Debug, Clone, Deserialize)]
pub struct Replayed {
    /// The replay's own identity.
    pub replay: String,
    /// What was decided about each alert.
    pub alerts: Vec<ReplayedAlert>,
}

/// What was decided about a replayed alert.
#[derive(Debug, Clone, Deserialize)]
pub struct ReplayedAlert {
    /// Its name.
    pub alert: String,
    /// The host that it names, where it names one.
    pub host: Option<String>,
    /// The one attempt on that host.
    pub attempt: Option<String>,
    /// Why nothing is done.
    pub ignored: Option<String>,
}

/// A host's trouble.
#[derive(Debug, Clone, Deserialize)]
pub struct Incident {
    /// The host.
    pub host: String,
    /// Where it stands.
    pub state: String,
    /// How pressing it is.
    pub urgency: Option<String>,
    /// When it began.
    pub opened_at: Timestamp,
    /// When the host is looked at next.
    pub due_at: Option<Timestamp>,
    /// How often the host was looked at.
    pub attempts: i64,
    /// How that ended last.
    pub last_outcome: Option<String>,
    /// Why a person was told.
    pub escalation: Option<String>,
    /// How often each outcome came.
    #[serde(default)]
    pub tried: BTreeMap<String, i64>,
    /// What holds the space, as the host's last report has it.
    #[serde(default)]
    pub holds: Option<Holds>,
    /// When it ended.
    pub closed_at: Option<Timestamp>,
}

/// What a wish to sweep hosts now leads to.
#[derive(Debug, Clone, Deserialize)]
pub struct Wished {
    /// The hosts.
    pub hosts: Vec<WishedHost>,
}

/// What becomes of one host.
#[derive(Debug, Clone, Deserialize)]
pub struct WishedHost {
    /// Its name.
    pub host: String,
    /// The one attempt on it.
    pub attempt: Option<String>,
    /// Whether that one waited there already, for somebody else's wish; a responder of before does not tell.
    #[serde(default)]
    pub joined: bool,
    /// Why there is none.
    pub error: Option<String>,
}

/// An incident that was to be closed.
#[derive(Debug, Clone, Deserialize)]
pub struct ClosedIncident {
    /// Its host.
    pub host: String,
    /// Why it closed.
    pub close_reason: String,
    /// Whether it had closed before.
    pub already: bool,
}

/// An attempt with what its host reported.
#[derive(Debug, Clone, Deserialize)]
pub struct Reported {
    /// The attempt.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// The report, as it came.
    pub report: Option<serde_json::Value>,
}

/// A responder that can be asked.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

impl Client {
    /// For the responder at `url`, which asks of us what it asks of Alertmanager.
    pub fn new(url: &str, access: Access) -> Self {
        let Access { authorization, tls } = access;
        // No proxy: what we show is the responder's and nobody else's.
        let config = Agent::config_builder()
            .timeout_global(Some(TIME))
            .timeout_connect(Some(CONNECT_TIME))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .tls_config(tls)
            .build();
        Self { agent: config.new_agent(), base: url.trim_end_matches('/').to_owned(), authorization }
    }

    /// Sends a payload, which makes one attempt on each host that it names.
    pub fn replay(&self, payload: &[u8]) -> Result<Replayed, ClientError> {
        self.post("replay", payload)
    }

    /// Where the responder listens.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Has hosts swept now, or all of them where none is named.
    pub fn run(&self, hosts: &[String], dry_run: bool) -> Result<Wished, ClientError> {
        let mut wish = serde_json::json!({ "dry_run": dry_run });
        if hosts.is_empty() {
            wish["all"] = true.into();
        } else {
            wish["hosts"] = hosts.into();
        }
        self.post("run", wish.to_string().as_bytes())
    }

    /// Closes an incident.
    pub fn close(&self, incident: i64) -> Result<ClosedIncident, ClientError> {
        self.post(&format!("incidents/{incident}/close"), b"")
    }

    /// What the next attempt on each host waits for, where one is asked for: a word of the API's.
    pub fn waits(&self) -> Result<BTreeMap<String, String>, ClientError> {
        #[derive(Deserialize)]
        struct Hosts {
            hosts: Vec<Host>,
        }
        #[derive(Deserialize)]
        struct Host {
            name: String,
            next_attempt: Option<Next>,
        }
        #[derive(Deserialize)]
        struct Next {
            waits_for: String,
        }
        let Hosts { hosts } = self.ask("hosts", &[])?;
        Ok(hosts.into_iter().filter_map(|host| Some((host.name, host.next_attempt?.waits_for))).collect())
    }

    fn post<T: DeserializeOwned>(&self, what: &str, body: &[u8]) -> Result<T, ClientError> {
        let url = format!("{}/api/v1/{what}", self.base);
        let request = self.agent.post(&url).content_type("application/json");
        let request = match &self.authorization {
            Some(shown) => request.header("authorization", shown),
            None => request,
        };
        read(url.clone(), &self::body(url, request.send(body))?)
    }

    /// The newest incidents that are open.
    pub fn open_incidents(&self, limit: u32) -> Result<Vec<Incident>, ClientError> {
        #[derive(Deserialize)]
        struct Incidents {
            incidents: Vec<Incident>,
        }
        let asked =
            [("limit", limit.to_string()), ("open", "true".to_owned()), ("alerts", "false".to_owned())];
        let Incidents { mut incidents } = self.ask("incidents", &asked)?;
        // One of an older version tells of those that have closed as well.
        incidents.retain(|incident| incident.closed_at.is_none());
        Ok(incidents)
    }

    /// What stands at a path of the API.
    fn ask<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, ClientError> {
        let (url, body) = self.ask_for_bytes(path, query)?;
        read(url, &body)
    }

    /// As `ask`, to the byte; and what was asked.
    fn ask_for_bytes(&self, path: &str, query: &[(&str, String)]) -> Result<(String, Vec<u8>), ClientError> {
        let url = format!("{}/api/v1/{path}", self.base);
        let request =
            query.iter().fold(self.agent.get(&url), |request, (key, value)| request.query(*key, value));
        let request = match &self.authorization {
            Some(shown) => request.header("authorization", shown),
            None => request,
        };
        let body = body(url.clone(), request.call())?;
        Ok((url, body))
    }
}

fn read<T: DeserializeOwned>(url: String, body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::Shape { url, message: error.to_string() })
}

/// The body of an answer that says yes.
fn body(url: String, result: Result<Response<Body>, ureq::Error>) -> Result<Vec<u8>, ClientError> {
    let mut response = match result {
        Ok(response) => response,
        Err(error) => {
            let nobody = is_nobody(&error);
            return Err(ClientError::Unreachable { url, message: error.to_string(), nobody });
        }
    };
    let status = response.status().as_u16();
    let body = match response.body_mut().with_config().limit(MOST_BYTES).read_to_vec() {
        Ok(body) => body,
        Err(ureq::Error::BodyExceedsLimit(_)) => return Err(ClientError::TooLong { url }),
        Err(error) => {
            return Err(ClientError::Unreachable { url, message: error.to_string(), nobody: false });
        }
    };
    match status {
        200..=299 => Ok(body),
        401 | 403 => Err(ClientError::Unauthorized { url }),
        _ => Err(ClientError::Status { url, status, message: error_in(&String::from_utf8_lossy(&body)) }),
    }
}

/// Whether there was not even a connection. Whoever took one and does not answer, or shows a certificate that
/// is none, is there.
fn is_nobody(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::ConnectionFailed | ureq::Error::Timeout(ureq::Timeout::Connect) => true,
        ureq::Error::Io(error) => matches!(
            error.kind(),
            ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
        ),
        _ => false,
    }
}

/// `{"error": "…"}`, or the start of whatever else was said.
fn error_in(text: &str) -> String {
    #[derive(Deserialize)]
    struct Said {
        error: String,
    }
    let said = serde_json::from_str(text).map(|Said { error }| error);
    said.unwrap_or_else(|_| text.chars().take(200).collect())
}
