//! Who we are to a responder, and whom we take for it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::config::{
    http_client::{Authorization, BasicAuth, HttpClient, Tls},
    secret::{self, SecretError},
};

/// Why we cannot show who we are.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file cannot be read.
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds no secret.
    #[error("{path}: {source}", path = path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SecretError,
    },
    /// A file holds something else than what it is named for.
    #[error("{path}: holds no {what} in PEM", path = path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
}

/// What we show, and what we trust. Read once: a command takes moments.
#[derive(Default)]
pub struct Access {
    /// The value of `Authorization`.
    pub authorization: Option<String>,
    /// How a connection is encrypted.
    pub tls: TlsConfig,
}

impl Access {
    /// With the token that a file holds.
    pub fn with_token(file: &Path) -> Result<Self, AccessError> {
        let authorization = Some(format!("Bearer {}", secret(file)?));
        Ok(Self { authorization, ..Self::default() })
    }

    /// As a user with the password that a file holds, or with the token that a file holds, or as nobody.
    pub fn with_files(
        user: Option<(&str, &Path)>,
        bearer_token_file: Option<&Path>,
    ) -> Result<Self, AccessError> {
        let authorization = match (user, bearer_token_file) {
            (Some((username, password_file)), _) => Some(basic(username, password_file)?),
            (None, Some(file)) => return Self::with_token(file),
            (None, None) => None,
        };
        Ok(Self { authorization, ..Self::default() })
    }

    /// As a configuration says.
    pub fn configured(config: &HttpClient) -> Result<Self, AccessError> {
        let HttpClient { basic_auth, authorization, tls_config } = config;
        let authorization = match (basic_auth, authorization) {
            (Some(BasicAuth { username, password_file }), _) => Some(basic(username, password_file)?),
            (None, Some(Authorization { credentials_file, .. })) => {
                Some(format!("Bearer {}", secret(credentials_file)?))
            }
            (None, None) => None,
        };
        let tls = tls_config.as_ref().map(encrypted).transpose()?.unwrap_or_default();
        Ok(Self { authorization, tls })
    }
}

fn basic(username: &str, password_file: &Path) -> Result<String, AccessError> {
    let pair = format!("{username}:{}", secret(password_file)?);
    Ok(format!("Basic {}", BASE64_STANDARD.encode(pair)))
}

fn encrypted(tls: &Tls) -> Result<TlsConfig, AccessError> {
    let Tls { ca_file, cert_file, key_file } = tls;
    let mut config = TlsConfig::builder();
    if let Some(file) = ca_file {
        config = config.root_certs(RootCerts::Specific(Arc::new(certificates(file)?)));
    }
    if let (Some(cert_file), Some(key_file)) = (cert_file, key_file) {
        let key = PrivateKey::from_pem(&read(key_file)?)
            .map_err(|_| AccessError::Pem { path: key_file.clone(), what: "private key" })?;
        config = config.client_cert(Some(ClientCert::new_with_certs(&certificates(cert_file)?, key)));
    }
    Ok(config.build())
}

fn certificates(file: &Path) -> Result<Vec<Certificate<'static>>, AccessError> {
    let text = read(file)?;
    let items: Result<Vec<_>, _> = parse_pem(&text).collect();
    let certificates = items.unwrap_or_default().into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    if certificates.is_empty() {
        return Err(AccessError::Pem { path: file.to_owned(), what: "certificate" });
    }
    Ok(certificates)
}

fn secret(file: &Path) -> Result<String, AccessError> {
    secret::read(file).map_err(|source| AccessError::Secret { path: file.to_owned(), source })
}

fn read(file: &Path) -> Result<Vec<u8>, AccessError> {
    std::fs::read(file).map_err(|source| AccessError::Read { path: file.to_owned(), source })
}
