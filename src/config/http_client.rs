//! `--http.config.file`: who we are to a responder, and whom we take for it, in the format of Prometheus'
//! HTTP clients.
//!
//! promtool and amtool take the same file. What of it is not done here is refused by its name: whoever
//! wrote it relies on it. Secrets stand in files of their own.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    check::Problems,
    load::{self, ConfigError, Overrides},
};

#[cfg(test)]
mod tests;

/// The HTTP client configuration file. An unknown key is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpClient {
    /// A user with a password.
    pub basic_auth: Option<BasicAuth>,
    /// A token.
    pub authorization: Option<Authorization>,
    /// Whom we take for the responder, and the certificate that we show.
    pub tls_config: Option<Tls>,
}

/// A user with a password.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BasicAuth {
    /// The user.
    pub username: String,
    /// The file with the password.
    pub password_file: PathBuf,
}

/// A token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authorization {
    /// What kind of token it is: `Bearer` is the only one.
    pub r#type: TokenKind,
    /// The file with the token.
    pub credentials_file: PathBuf,
}

/// What kind of token it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum TokenKind {
    /// `Authorization: Bearer …`.
    #[default]
    Bearer,
}

/// How the connection is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The authorities that the responder's certificate may be of, as PEM; the public ones where there is none.
    pub ca_file: Option<PathBuf>,
    /// The certificate that we show and those that lead to its root, as PEM.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
}

impl HttpClient {
    /// Reads the file; paths in it are relative to its folder. What they name is not read.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::HttpClient { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut config: Self = load::parse(path, text, Overrides::Given(HashMap::new()))?;
        config.check(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let Self { basic_auth, authorization, tls_config } = &mut config;
        let secrets = [
            basic_auth.as_mut().map(|basic| &mut basic.password_file),
            authorization.as_mut().map(|token| &mut token.credentials_file),
        ];
        let tls =
            tls_config.iter_mut().flat_map(|tls| [&mut tls.ca_file, &mut tls.cert_file, &mut tls.key_file]);
        for file in secrets.into_iter().flatten().chain(tls.flatten()) {
            *file = folder.join(&file);
        }
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let Self { basic_auth, authorization, tls_config } = self;
        let mut problems = Problems::default();
        if let Some(BasicAuth { username, password_file }) = basic_auth {
            let is_user = !username.is_empty() && !username.contains(':');
            problems.unless(is_user, "basic_auth.username", "must not be empty and must hold no colon");
            problems.unless(password_file != Path::new(""), "basic_auth.password_file", "is missing");
        }
        if let Some(Authorization { r#type: TokenKind::Bearer, credentials_file }) = authorization {
            let is_there = credentials_file != Path::new("");
            problems.unless(is_there, "authorization.credentials_file", "is missing");
        }
        problems.unless(
            basic_auth.is_none() || authorization.is_none(),
            "authorization",
            "stands beside `basic_auth`: keep one of them",
        );
        if let Some(Tls { cert_file, key_file, .. }) = tls_config {
            for (key, other, is_there) in [
                ("cert_file", "key_file", cert_file.is_some() || key_file.is_none()),
                ("key_file", "cert_file", key_file.is_some() || cert_file.is_none()),
            ] {
                let message = format!("is missing: it belongs to `{other}`");
                problems.unless(is_there, &format!("tls_config.{key}"), &message);
            }
        }
        problems.end(path)
    }
}
