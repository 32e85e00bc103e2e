//! `--web.config.file`: TLS and users, in the format of Prometheus' exporter-toolkit.
//!
//! The same file serves Prometheus, Alertmanager and their exporters. What of it is not done here is
//! refused by its name: whoever wrote it relies on it. It is read anew while it is in use, so nothing
//! here keeps anything.

mod check;
mod secret;

use std::{
    collections::{BTreeMap, HashMap},
    io::Read,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer};

use super::load::{self, ConfigError, Overrides};

pub use check::COST_MOST;
pub use secret::Secret;

#[cfg(test)]
mod tests;

/// A longer file than this is no configuration, certificate or key.
pub const FILE_BYTES_MOST: u64 = 1024 * 1024;

/// The web configuration file. A missing key takes exporter-toolkit's default; an unknown one is an
/// error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebConfig {
    /// TLS; without it HTTP is served in the clear.
    #[serde(deserialize_with = "with_content")]
    pub tls_server_config: Option<Tls>,
    /// What is said beside every answer.
    pub http_server_config: Http,
    /// Users, and the bcrypt hash of each one's password.
    pub basic_auth_users: BTreeMap<String, Secret>,
    /// Refused: it answers 429, which Alertmanager takes for final.
    pub rate_limit: Option<serde_json::Value>,
}

/// How connections are encrypted, and which clients are let in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The server's certificate and those that lead to its root, as PEM in place.
    pub cert: Option<Secret>,
    /// The certificate's key, as PEM in place.
    pub key: Option<Secret>,
    /// Whose client certificates are taken, as PEM in place.
    pub client_ca: Option<Secret>,
    /// The file of `cert`.
    pub cert_file: Option<PathBuf>,
    /// The file of `key`.
    pub key_file: Option<PathBuf>,
    /// The file of `client_ca`.
    pub client_ca_file: Option<PathBuf>,
    /// Whether a client has to show a certificate, and whether it is looked at.
    pub client_auth_type: ClientAuth,
    /// A client's certificate must hold one of these names, addresses or URIs.
    pub client_allowed_sans: Option<Vec<String>>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The newest version that is spoken.
    pub max_version: TlsVersion,
    /// The cipher suites of TLS 1.2, by Go's names; all that are supported where there are none.
    pub cipher_suites: Vec<CipherSuite>,
    /// Whether our order of cipher suites counts, and not the client's.
    pub prefer_server_cipher_suites: bool,
    /// The curves, the preferred first; all that are supported where there are none.
    pub curve_preferences: Vec<Curve>,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            cert: None,
            key: None,
            client_ca: None,
            cert_file: None,
            key_file: None,
            client_ca_file: None,
            client_auth_type: ClientAuth::default(),
            client_allowed_sans: None,
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
            cipher_suites: vec![],
            prefer_server_cipher_suites: true,
            curve_preferences: vec![],
        }
    }
}

/// Go's policies for client certificates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum ClientAuth {
    /// None is asked for.
    #[default]
    NoClientCert,
    /// One is asked for; whatever is shown is taken, nothing too.
    RequestClientCert,
    /// One has to be shown; whoever made it.
    #[serde(alias = "RequireClientCert")]
    RequireAnyClientCert,
    /// One is asked for; what is shown has to be of the client CA.
    VerifyClientCertIfGiven,
    /// One of the client CA has to be shown. The only one that keeps anybody out.
    RequireAndVerifyClientCert,
}

/// Versions of TLS. The first two are known so that they can be refused by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[allow(missing_docs)]
pub enum TlsVersion {
    #[serde(rename = "TLS10")]
    Tls10,
    #[serde(rename = "TLS11")]
    Tls11,
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

/// Cipher suites of TLS 1.2 that can be chosen; those of TLS 1.3 never can, in Go neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub enum CipherSuite {
    #[serde(rename = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")]
    EcdsaAes128,
    #[serde(rename = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")]
    EcdsaAes256,
    #[serde(rename = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256")]
    EcdsaChacha20,
    #[serde(rename = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")]
    RsaAes128,
    #[serde(rename = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384")]
    RsaAes256,
    #[serde(rename = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256")]
    RsaChacha20,
}

/// Curves that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub enum Curve {
    X25519,
    CurveP256,
    CurveP384,
}

/// What is said beside every answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// HTTP/2. Only HTTP/1.1 is spoken here, so `true` is refused and silence means `false`.
    pub http2: Option<bool>,
    /// Headers of every answer, five of which are known.
    pub headers: BTreeMap<String, String>,
}

impl WebConfig {
    /// Reads the file's text; paths in it are relative to its folder. What they name is not read.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut config: Self = load::parse(path, text, Overrides::Given(HashMap::new()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        if let Some(tls) = &mut config.tls_server_config {
            for file in [&mut tls.cert_file, &mut tls.key_file, &mut tls.client_ca_file] {
                *file = file.take().map(|file| folder.join(file));
            }
        }
        check::check(path, &config)?;
        Ok(config)
    }

    /// Whether a request or a connection has to prove who it comes from.
    pub fn authenticates(&self) -> bool {
        !self.basic_auth_users.is_empty() || self.verifies_clients()
    }

    /// Whether every client shows a certificate of the client CA.
    pub fn verifies_clients(&self) -> bool {
        self.tls_server_config
            .as_ref()
            .is_some_and(|tls| tls.client_auth_type == ClientAuth::RequireAndVerifyClientCert)
    }
}

/// What the file and the files that it names hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// Each file with its bytes, the web configuration file first.
    files: Vec<(PathBuf, Vec<u8>)>,
}

/// The web configuration file with everything that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The settings.
    pub config: WebConfig,
    /// What TLS takes, where there is TLS.
    pub pem: Option<Pem>,
}

/// What TLS takes, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pem {
    /// The certificate and those that lead to its root.
    pub cert: Secret,
    /// Its key.
    pub key: Secret,
    /// Whose client certificates are taken.
    pub client_ca: Option<Secret>,
}

impl Contents {
    /// Reads the file and what it names.
    pub fn read(path: &Path) -> Result<(Self, Loaded), ConfigError> {
        let bytes = read(path, path, "")?;
        let text = std::str::from_utf8(&bytes).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            message: format!("no UTF-8: {error}"),
        })?;
        let config = WebConfig::parse(path, text)?;
        let mut files = vec![(path.to_owned(), bytes)];
        let pem = config.tls_server_config.as_ref().map(|tls| pem(path, tls, &mut files)).transpose()?;
        Ok((Self { files }, Loaded { config, pem }))
    }

    /// Whether all of it stands there as it was read.
    pub fn unchanged(&self) -> bool {
        !self.files.is_empty()
            && self.files.iter().all(|(path, known)| bounded(path).is_ok_and(|bytes| bytes == *known))
    }
}

fn pem(path: &Path, tls: &Tls, files: &mut Vec<(PathBuf, Vec<u8>)>) -> Result<Pem, ConfigError> {
    let mut given = |key: &str, inline: Option<&Secret>, file: Option<&PathBuf>| {
        let Some(file) = file else { return Ok(inline.cloned()) };
        let key = format!("tls_server_config.{key}");
        let bytes = read(path, file, &key)?;
        let text = String::from_utf8(bytes.clone())
            .map_err(|_| problem(path, &key, format!("{} is no PEM", file.display())))?;
        files.push((file.clone(), bytes));
        Ok(Some(Secret(text)))
    };
    // `parse` has made sure that certificate and key are given.
    let cert = given("cert_file", tls.cert.as_ref(), tls.cert_file.as_ref())?.unwrap_or_default();
    let key = given("key_file", tls.key.as_ref(), tls.key_file.as_ref())?.unwrap_or_default();
    let client_ca = given("client_ca_file", tls.client_ca.as_ref(), tls.client_ca_file.as_ref())?;
    if let Some(file) = &tls.key_file {
        check::closed_to_others(path, "tls_server_config.key_file", file)?;
    }
    if tls.key.is_some() {
        check::closed_to_others(path, "tls_server_config.key", path)?;
    }
    Ok(Pem { cert, key, client_ca })
}

fn read(path: &Path, file: &Path, key: &str) -> Result<Vec<u8>, ConfigError> {
    let bytes = bounded(file).map_err(|source| match key {
        "" => ConfigError::Web { path: path.to_owned(), source },
        key => problem(path, key, format!("{} cannot be read: {source}", file.display())),
    })?;
    if bytes.len() as u64 > FILE_BYTES_MOST {
        let message = format!("{} is longer than {FILE_BYTES_MOST} bytes", file.display());
        return Err(problem(path, key, message));
    }
    Ok(bytes)
}

/// A little more than the most, so that what is too long shows.
fn bounded(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![];
    std::fs::File::open(file)?.take(FILE_BYTES_MOST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn problem(path: &Path, key: &str, message: String) -> ConfigError {
    let problems = vec![load::Problem { key: key.to_owned(), message }];
    ConfigError::Invalid { path: path.to_owned(), problems }
}

/// A section that stands there holds something: one of which all was commented out would turn TLS off.
fn with_content<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Tls>, D::Error> {
    Tls::deserialize(deserializer).map(Some)
}
