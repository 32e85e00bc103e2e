//! What Alertmanager says of the alerts now: a silence that is made after an alert was sent, or an
//! alert that is inhibited since, is announced to nobody.
//!
//! It can only put an attempt off. What Alertmanager does not list is no resolution (it forgets with a
//! restart), and an Alertmanager that does not answer puts nothing off.

use std::{
    collections::HashSet,
    io::{BufReader, Read},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use tracing::{info, warn};
use ureq::Agent;

use super::metrics::{ByResult, Metrics};
use crate::{
    config::responder::Alertmanager,
    domain::{alert::Fingerprint, incident::Incident, policy::Policies},
};

/// An answer is good for so long: many incidents that are due together ask once.
const FRESH: Duration = Duration::from_secs(1);
/// After a failure Alertmanager is left alone for so long, and nothing is put off.
const AFTER_FAILURE: Duration = Duration::from_secs(30);
/// The longest answer that is read; some tens of thousands of alerts. Of what is read only fingerprints are
/// kept.
const ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// What may become of a question, for metrics that start at zero.
pub const RESULTS: [&str; 2] = ["answered", "failed"];

/// Asks Alertmanager.
#[derive(Debug)]
pub struct Silences {
    agent: Agent,
    url: String,
    credentials: Credentials,
    metrics: Arc<Metrics>,
    last: Mutex<Option<(Instant, Arc<Answer>)>>,
}

/// What Alertmanager said, or that it did not.
#[derive(Debug)]
pub enum Answer {
    /// The alerts that are silenced or inhibited.
    Suppressed(HashSet<Fingerprint>),
    /// It did not answer: nothing is put off.
    Unknown,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("{path}: {source}", path = .path.display())]
    Secret { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Http(#[from] ureq::Error),
    #[error("the answer is no list of alerts: {0}")]
    Shape(#[from] serde_json::Error),
    #[error("the question could not be asked: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Answer {
    /// Whether every firing alert of an incident is silenced or inhibited.
    pub fn suppresses(&self, incident: &Incident) -> bool {
        match self {
            Self::Suppressed(alerts) => incident.firing_all(|fingerprint| alerts.contains(fingerprint)),
            Self::Unknown => false,
        }
    }
}

impl Silences {
    /// Of the Alertmanager of the settings; none where they name none. Each question takes no longer than
    /// they say.
    pub fn new(settings: Alertmanager, policies: &Policies, metrics: Arc<Metrics>) -> Option<Self> {
        let Alertmanager { url, username, password_file, bearer_token_file, timeout } = settings;
        let agent = Agent::config_builder()
            .timeout_global(Some(timeout.0))
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("raysweep/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let url = question(url?.trim_end_matches('/'), policies);
        let credentials = match (username.zip(password_file), bearer_token_file) {
            (Some((username, password_file)), _) => Credentials::Basic { username, password_file },
            (None, Some(file)) => Credentials::Bearer(file),
            (None, None) => Credentials::Nobodys,
        };
        Some(Self { agent, url, credentials, metrics, last: Mutex::default() })
    }

    /// The last answer, as long as it is good.
    pub fn known(&self, now: Instant) -> Option<Arc<Answer>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, answer) = last.as_ref()?;
        let good = match **answer {
            Answer::Suppressed(_) => FRESH,
            Answer::Unknown => AFTER_FAILURE,
        };
        (now.saturating_duration_since(*at) < good).then(|| Arc::clone(answer))
    }

    /// Asks, and keeps the answer. Takes no longer than the time for it, whatever the other side does.
    pub async fn ask(&self) {
        let (agent, url, credentials) = (self.agent.clone(), self.url.clone(), self.credentials.clone());
        let asked = tokio::task::spawn_blocking(move || ask(&agent, &url, &credentials)).await;
        let asked = asked.map_err(AskError::from).and_then(|answer| answer);
        let failed_before = self.failed();
        let (result, answer) = match asked {
            Ok(suppressed) => {
                if failed_before {
                    info!("Alertmanager answers again: silences and inhibition are heeded");
                }
                ("answered", Answer::Suppressed(suppressed))
            }
            Err(error) => {
                warn!(%error, "Alertmanager does not say what is silenced: going on as if nothing were");
                ("failed", Answer::Unknown)
            }
        };
        self.metrics.alertmanager_requests.get_or_create(&ByResult::new(result)).inc();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::new(answer)));
    }

    fn failed(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().is_some_and(|(_, answer)| matches!(**answer, Answer::Unknown))
    }
}

/// An alert as the API shows it; what else it shows is skipped.
#[derive(Deserialize)]
struct Shown {
    fingerprint: Fingerprint,
    status: ShownStatus,
}

#[derive(Deserialize)]
struct ShownStatus {
    state: String,
}

/// Who we are to Alertmanager.
#[derive(Debug, Clone)]
enum Credentials {
    Nobodys,
    Basic { username: String, password_file: PathBuf },
    Bearer(PathBuf),
}

impl Credentials {
    /// The value of `Authorization`. The file is read each time, so that a new secret needs no restart.
    fn shown(&self) -> Result<Option<String>, AskError> {
        let secret = |path: &PathBuf| {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|source| AskError::Secret { path: path.clone(), source })?;
            Ok::<_, AskError>(text.trim().to_owned())
        };
        Ok(match self {
            Self::Nobodys => None,
            Self::Bearer(file) => Some(format!("Bearer {}", secret(file)?)),
            Self::Basic { username, password_file } => {
                let pair = format!("{username}:{}", secret(password_file)?);
                Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
            }
        })
    }
}

fn ask(agent: &Agent, url: &str, credentials: &Credentials) -> Result<HashSet<Fingerprint>, AskError> {
    let mut request = agent.get(url).header("Accept", "application/json");
    if let Some(shown) = credentials.shown()? {
        request = request.header("Authorization", shown);
    }
    let mut body = request.call()?.into_body();
    let answer = BufReader::new(body.as_reader().take(ANSWER_BYTES));
    let shown: Vec<Shown> = serde_json::from_reader(answer)?;
    // Also where an Alertmanager shows more than it was asked for.
    let suppressed = shown.into_iter().filter(|alert| alert.status.state == "suppressed");
    Ok(suppressed.map(|alert| alert.fingerprint).collect())
}

/// Only the alerts that are suppressed, and only those that we act on: in most answers there are none, and
/// another team's need not be read.
fn question(base: &str, policies: &Policies) -> String {
    format!("{base}/api/v2/alerts?active=false&filter={}", encoded(&matcher(policies)))
}

fn matcher(policies: &Policies) -> String {
    let names: Vec<_> = policies.iter().map(|(name, _)| escaped(name)).collect();
    format!("alertname=~\"{}\"", names.join("|").replace('\\', "\\\\").replace('"', "\\\""))
}

/// A name as a regular expression that matches it alone.
fn escaped(name: &str) -> String {
    let special = |c: char| !(c.is_alphanumeric() || c == '_' || c == '-');
    name.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Percent-encoded, whatever it is.
fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::Urgency;

    #[test]
    fn each_kind_of_credentials_is_shown_as_it_is_meant() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "open sesame\n").unwrap();
        let path = || file.path().to_owned();
        let basic = Credentials::Basic { username: "Aladdin".to_owned(), password_file: path() };
        assert_eq!(basic.shown().unwrap().as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert_eq!(Credentials::Bearer(path()).shown().unwrap().as_deref(), Some("Bearer open sesame"));
        assert_eq!(Credentials::Nobodys.shown().unwrap(), None);
        let gone = Credentials::Bearer("/nowhere".into()).shown().unwrap_err().to_string();
        assert!(gone.contains("/nowhere"), "{gone}");
    }

    #[test]
    fn only_our_own_alerts_that_are_suppressed_are_asked_for_whatever_they_are_called() {
        let policies = Policies::new([("A".to_owned(), Urgency::Warning)]);
        assert_eq!(
            question("http://am:9093", &policies),
            "http://am:9093/api/v2/alerts?active=false&filter=alertname%3D~%22A%22"
        );
        let policies =
            Policies::new([("A|B".to_owned(), Urgency::Warning), ("C\"".to_owned(), Urgency::Warning)]);
        assert_eq!(matcher(&policies), r#"alertname=~"A\\|B|C\\\"""#);
        assert_eq!(encoded("a=~\"b|ä\""), "a%3D~%22b%7C%C3%A4%22");
    }
}
