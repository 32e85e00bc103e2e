//! What no type can say of the web configuration file.

use std::{os::unix::fs::MetadataExt, path::Path};

use super::{ClientAuth, Http, Secret, Tls, TlsVersion, WebConfig, problem};
use crate::config::{check::Problems, load::ConfigError};

/// A hash of a higher cost keeps a processor at work for seconds, for every wrong password.
pub const COST_MOST: u32 = 15;

/// The headers that exporter-toolkit knows, and the values of those that have a list of them.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

pub(super) fn check(path: &Path, config: &WebConfig) -> Result<(), ConfigError> {
    let WebConfig { tls_server_config, http_server_config, basic_auth_users, rate_limit } = config;
    let mut problems = Problems::default();
    if let Some(tls) = tls_server_config {
        check_tls(tls, &mut problems);
    }
    check_http(http_server_config, &mut problems);
    for (user, hash) in basic_auth_users {
        check_user(user, hash, &mut problems);
    }
    problems.unless(
        rate_limit.is_none(),
        "rate_limit",
        "is not supported: it answers 429, which Alertmanager does not send again; take it out",
    );
    problems.end(path)
}

fn check_tls(tls: &Tls, problems: &mut Problems) {
    let Tls { cert, key, client_ca, cert_file, key_file, client_ca_file, .. } = tls;
    for (name, inline, file, needed) in [
        ("cert", cert.is_some(), cert_file.is_some(), true),
        ("key", key.is_some(), key_file.is_some(), true),
        ("client_ca", client_ca.is_some(), client_ca_file.is_some(), false),
    ] {
        let at = format!("tls_server_config.{name}_file");
        problems.unless(inline || file || !needed, &at, &format!("is missing: TLS takes it, or `{name}`"));
        problems.unless(!(inline && file), &at, &format!("stands beside `{name}`: keep one of them"));
    }
    check_clients(tls, client_ca.is_some() || client_ca_file.is_some(), problems);
    check_versions(tls, problems);
}

fn check_clients(tls: &Tls, has_ca: bool, problems: &mut Problems) {
    let at = "tls_server_config.client_auth_type";
    let policy = tls.client_auth_type;
    let verifies =
        matches!(policy, ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequireAndVerifyClientCert);
    problems.unless(
        has_ca || !verifies,
        at,
        &format!("{policy:?} needs client_ca_file: every public CA would be trusted without"),
    );
    problems.unless(
        !has_ca || policy != ClientAuth::NoClientCert,
        at,
        "must be set beside client_ca_file: RequireAndVerifyClientCert lets in who shows a certificate of it",
    );
    let requires =
        matches!(policy, ClientAuth::RequireAnyClientCert | ClientAuth::RequireAndVerifyClientCert);
    problems.unless(
        tls.client_allowed_sans.is_none() || requires,
        "tls_server_config.client_allowed_sans",
        "needs client_auth_type RequireAndVerifyClientCert or RequireAnyClientCert: others let in who shows no certificate",
    );
}

fn check_versions(tls: &Tls, problems: &mut Problems) {
    for (name, version) in [("min_version", tls.min_version), ("max_version", tls.max_version)] {
        problems.unless(
            version >= TlsVersion::Tls12,
            &format!("tls_server_config.{name}"),
            "is not supported: write TLS12 or TLS13",
        );
    }
    problems.unless(
        tls.min_version <= tls.max_version,
        "tls_server_config.min_version",
        "must not be newer than max_version",
    );
    problems.unless(
        tls.cipher_suites.is_empty() || tls.min_version <= TlsVersion::Tls12,
        "tls_server_config.cipher_suites",
        "are those of TLS 1.2, which min_version leaves out; those of TLS 1.3 cannot be chosen",
    );
}

fn check_http(http: &Http, problems: &mut Problems) {
    let Http { http2, headers } = http;
    problems.unless(
        *http2 != Some(true),
        "http_server_config.http2",
        "is not supported: HTTP/1.1 is spoken here; write false, or leave it out",
    );
    for (name, value) in headers {
        let at = format!("http_server_config.headers.{name}");
        match HEADERS.iter().find(|(known, _)| known == name) {
            None => {
                let known: Vec<_> = HEADERS.iter().map(|(name, _)| *name).collect();
                problems.add(at, format!("cannot be set; those that can are {}", known.join(", ")));
            }
            Some((_, [])) => {
                let fits = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
                problems.unless(fits, &at, "must be plain text on one line");
            }
            Some((_, values)) => problems.unless(
                values.contains(&value.as_str()),
                &at,
                &format!("{value:?} is not one of {}", values.join(", ")),
            ),
        }
    }
}

fn check_user(user: &str, hash: &Secret, problems: &mut Problems) {
    let at = format!("basic_auth_users.{user}");
    problems.unless(
        !user.is_empty() && !user.contains(':'),
        &at,
        "is no user's name: it must not be empty and must hold no colon",
    );
    match hash.0.parse::<bcrypt::HashParts>() {
        Err(_) => {
            problems.add(at, "must be the bcrypt hash of a password, as `htpasswd -nBC 10 USER` prints it");
        }
        Ok(parts) => problems.unless(
            (4..=COST_MOST).contains(&parts.get_cost()),
            &at,
            &format!("the hash's cost must be from 4 to {COST_MOST}: `htpasswd -nBC 10 USER`"),
        ),
    }
}

/// A key that everybody on the machine can read is no secret.
pub(super) fn closed_to_others(path: &Path, key: &str, file: &Path) -> Result<(), ConfigError> {
    let shown = file.display();
    let metadata = std::fs::metadata(file)
        .map_err(|error| problem(path, key, format!("{shown} cannot be read: {error}")))?;
    if metadata.mode() & 0o007 != 0 {
        return Err(problem(path, key, format!("{shown} is open to everybody: chmod o= {shown}")));
    }
    Ok(())
}
