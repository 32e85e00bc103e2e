//! The web configuration file as it stands now. It is looked at for each connection and each request,
//! so that new certificates and users need no restart and no reload.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tokio_rustls::rustls::ServerConfig;
use tracing::{error, info};

use super::tls::{self, TlsError};
use crate::config::{
    ConfigError,
    web::{Contents, Loaded, Pem, Tls, WebConfig},
};

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebFileError {
    /// It cannot be read, or says what cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Certificates and keys cannot be used.
    #[error("{path}: {source}", path = path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// Which key, and why.
        source: TlsError,
    },
    /// Whether TLS is spoken is settled at the start.
    #[error("{path}: tls_server_config: came or went while raysweep runs: restart it", path = .0.display())]
    TlsCameOrWent(PathBuf),
}

/// What the file says.
#[derive(Debug)]
pub struct Current {
    /// The settings.
    pub config: WebConfig,
    /// Headers of every answer.
    pub headers: HeaderMap,
    tls: Option<Spoken>,
    /// Another one whenever what is asked of clients may be another.
    pub generation: u64,
}

/// What TLS is made of, and what was made of it.
#[derive(Debug)]
struct Spoken {
    settings: Tls,
    pem: Pem,
    config: Arc<ServerConfig>,
}

/// What a connection's handshake was held to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// That of the file as it stood then.
    pub generation: u64,
    /// Whose certificate was shown, if one was; whether it was checked is told by what the file asks for.
    pub subject: Option<Arc<str>>,
}

/// What was seen last.
#[derive(Debug, Clone)]
struct Seen {
    /// What could be used last.
    good: Arc<Current>,
    /// Why what stands there now cannot be.
    wrong: Option<Arc<str>>,
}

/// The file, and what was last read of it.
#[derive(Debug)]
pub struct WebFile {
    path: PathBuf,
    contents: Mutex<Contents>,
    seen: RwLock<Seen>,
}

impl WebFile {
    /// Reads the file for the first time; whether TLS is spoken is settled by it.
    pub fn open(path: &Path) -> Result<Self, WebFileError> {
        let (contents, current) = read(path, None)?;
        let seen = Seen { good: Arc::new(current), wrong: None };
        Ok(Self { path: path.to_owned(), contents: Mutex::new(contents), seen: RwLock::new(seen) })
    }

    /// Whether connections begin with a handshake.
    pub fn speaks_tls(&self) -> bool {
        self.last().tls.is_some()
    }

    /// What could be used when it was last looked at. Reads nothing.
    pub fn last(&self) -> Arc<Current> {
        Arc::clone(&self.seen.read().unwrap_or_else(PoisonError::into_inner).good)
    }

    /// Looks at the file. Blocks as long as the disk does.
    pub fn look(&self) -> Result<Arc<Current>, Arc<str>> {
        // Who looks at the same time waits for the one look.
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        if !contents.unchanged() {
            self.look_anew(&mut contents);
        }
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner).clone();
        seen.wrong.map_or(Ok(seen.good), Err)
    }

    fn look_anew(&self, contents: &mut Contents) {
        let before = self.seen.read().unwrap_or_else(PoisonError::into_inner).clone();
        let read = read(&self.path, Some(&before.good)).and_then(|(contents, current)| {
            if current.tls.is_some() == before.good.tls.is_some() {
                Ok((contents, current))
            } else {
                Err(WebFileError::TlsCameOrWent(self.path.clone()))
            }
        });
        let seen = match read {
            Ok((read, current)) => {
                *contents = read;
                info!(path = %self.path.display(), "the web configuration file changed and was read");
                Seen { good: Arc::new(current), wrong: None }
            }
            Err(error) => {
                // Nothing is known of what stands there: the next look reads it again.
                *contents = Contents::default();
                let wrong = error.to_string();
                if before.wrong.as_deref() != Some(&wrong) {
                    error!(error = wrong, "nobody can be let in: the web configuration file cannot be used");
                }
                Seen { good: before.good, wrong: Some(wrong.into()) }
            }
        };
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// What a handshake is held to. Where the file cannot be used now, the last one that could be goes
    /// on: a connection is how somebody learns why nobody is let in.
    pub fn handshake(&self) -> Option<(Arc<ServerConfig>, Handshake)> {
        let current = self.look().unwrap_or_else(|_| self.last());
        let generation = current.generation;
        current.tls.as_ref().map(|tls| (Arc::clone(&tls.config), Handshake { generation, subject: None }))
    }
}

/// Reads the file and makes of it what is served with; for `serve` and `check-config`.
pub fn check(path: &Path) -> Result<WebConfig, WebFileError> {
    Ok(read(path, None)?.1.config)
}

fn read(path: &Path, before: Option<&Current>) -> Result<(Contents, Current), WebFileError> {
    let (contents, Loaded { config, pem }) = Contents::read(path)?;
    let headers = headers(&config);
    let last = before.map_or(0, |before| before.generation);
    let Some((settings, pem)) = config.tls_server_config.clone().zip(pem) else {
        return Ok((contents, Current { config, headers, tls: None, generation: last }));
    };
    let same = before
        .and_then(|before| before.tls.as_ref())
        .filter(|tls| tls.settings == settings && tls.pem == pem)
        .map(|tls| Arc::clone(&tls.config));
    let generation = if same.is_some() { last } else { last + 1 };
    let made = same.map_or_else(|| tls::server_config(&settings, &pem), Ok);
    let made = made.map_err(|source| WebFileError::Tls { path: path.to_owned(), source })?;
    let tls = Some(Spoken { settings, pem, config: made });
    Ok((contents, Current { config, headers, tls, generation }))
}

/// Names and values have been checked: what is no header is none of theirs.
fn headers(config: &WebConfig) -> HeaderMap {
    let headers = config.http_server_config.headers.iter().filter(|(_, value)| !value.is_empty());
    headers
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        })
        .collect()
}
