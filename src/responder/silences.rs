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
use tokio::{sync::Semaphore, time::timeout};
use tracing::{info, warn};
use ureq::Agent;

use super::metrics::{ByResult, Metrics};
use crate::{
    config::{
        responder::Alertmanager,
        secret::{self, SecretError},
    },
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
    timeout: Duration,
    /// Whoever asks has it, also one who hangs: it keeps a thread, and must not get another.
    turn: Arc<Semaphore>,
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
    #[error("{path} {source}", path = .path.display())]
    Secret { path: PathBuf, source: SecretError },
    #[error("there was no answer within the time for it")]
    Late,
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
        let (timeout, turn) = (timeout.0, Arc::new(Semaphore::new(1)));
        Some(Self { agent, url, credentials, timeout, turn, metrics, last: Mutex::default() })
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

    /// Asks, and keeps the answer. Takes no longer than the time for it, whatever the other side and the
    /// secret's disk do.
    pub async fn ask(&self) {
        let asked = self.asked().await;
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

    async fn asked(&self) -> Result<HashSet<Fingerprint>, AskError> {
        let turn = Arc::clone(&self.turn).try_acquire_owned().map_err(|_| AskError::Late)?;
        let (agent, url, credentials) = (self.agent.clone(), self.url.clone(), self.credentials.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            ask(&agent, &url, &credentials)
        });
        timeout(self.timeout, asked).await.map_err(|_| AskError::Late)??
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
            secret::read(path).map_err(|source| AskError::Secret { path: path.clone(), source })
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
    let text = names.join("|").replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("alertname=~\"{text}\"")
}

/// A name as a regular expression that matches it alone. Go takes the escape of a sign of ASCII, and
/// refuses that of any other: the whole question would be none.
fn escaped(name: &str) -> String {
    let special = |c: char| c.is_ascii_punctuation() && !matches!(c, '_' | '-');
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
    use crate::{config::units::Span, domain::policy::Urgency};

    #[test]
    fn each_kind_of_credentials_is_shown_as_it_is_meant() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "open sesame\n").unwrap();
        let path = || file.path().to_owned();
        let basic = Credentials::Basic { username: "Aladdin".to_owned(), password_file: path() };
        assert_eq!(basic.shown().unwrap().as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert_eq!(Credentials::Bearer(path()).shown().unwrap().as_deref(), Some("Bearer open sesame"));
        assert_eq!(Credentials::Nobodys.shown().unwrap(), None);
        std::fs::write(file.path(), "\n").unwrap();
        let empty = Credentials::Bearer(path()).shown().unwrap_err().to_string();
        assert!(empty.contains("is empty"), "{empty}");
        let gone = Credentials::Bearer("/nowhere".into()).shown().unwrap_err().to_string();
        assert!(gone.contains("/nowhere"), "{gone}");
    }

    #[tokio::test]
    async fn a_secret_whose_disk_hangs_costs_no_more_than_the_time_for_it_and_one_thread() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("token");
        assert!(std::process::Command::new("mkfifo").arg(&secret).status().unwrap().success());
        let settings = Alertmanager {
            url: Some("http://127.0.0.1:1".to_owned()),
            bearer_token_file: Some(secret.clone()),
            timeout: Span(Duration::from_millis(10)),
            ..Alertmanager::default()
        };
        let policies = Policies::default();
        let metrics = Arc::new(Metrics::new([], &policies));
        let silences = Silences::new(settings, &policies, metrics).unwrap();
        for _ in 0..3 {
            let asked = tokio::time::timeout(Duration::from_secs(60), silences.asked()).await.unwrap();
            assert!(matches!(asked, Err(AskError::Late)), "{asked:?}");
        }
        assert_eq!(silences.turn.available_permits(), 0);
        // Somebody writes, and whoever hung goes on.
        std::fs::write(&secret, "").unwrap();
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
        // Outside ASCII nothing is special, and an escape of it would be refused.
        assert_eq!(escaped("Dísk „voll“ – a.b_c\u{a0}🚨"), "Dísk „voll“ – a\\.b_c\u{a0}🚨");
    }
}
