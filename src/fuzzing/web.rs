//! What can stand in the web configuration file, and what clients can show.

use std::path::Path;

use serde_json::json;

use super::names;
use crate::{
    config::web::{COST_MOST, ClientAuth, Pem, Secret, Tls, TlsVersion, WebConfig},
    responder::http::tls,
};

const FILE: &str = "folder/web.yml";
/// What no message of ours says by itself.
const MARK: &str = "\u{a7}s3cret\u{a7}";
/// Without it nothing holds the mark, however it is put together.
const MARK_SIGN: char = '\u{a7}';

/// A file that is taken can be done as it says.
pub(super) fn any_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let config = match WebConfig::parse(Path::new(FILE), text) {
        Ok(config) => config,
        Err(error) => return assert!(error.to_string().starts_with(FILE), "{error}"),
    };
    assert!(config.rate_limit.is_none() && config.http_server_config.http2 != Some(true));
    for (user, hash) in &config.basic_auth_users {
        let parts: bcrypt::HashParts = hash.0.parse().expect("it is a hash");
        assert!(parts.get_cost() <= COST_MOST && !user.contains(':'));
    }
    let Some(tls) = &config.tls_server_config else {
        return assert_eq!(config.authenticates(), !config.basic_auth_users.is_empty());
    };
    assert!(tls.min_version >= TlsVersion::Tls12 && tls.min_version <= tls.max_version);
    assert_ne!(tls.cert.is_some(), tls.cert_file.is_some());
    assert_ne!(tls.key.is_some(), tls.key_file.is_some());
    for file in [&tls.cert_file, &tls.key_file, &tls.client_ca_file].into_iter().flatten() {
        assert!(file.is_absolute() || file.starts_with("folder"), "{}", file.display());
    }
    let has_ca = tls.client_ca.is_some() || tls.client_ca_file.is_some();
    assert!(has_ca || !config.verifies_clients());
    let pem = |secret: &Option<Secret>| secret.clone().unwrap_or_default();
    let pem = Pem { cert: pem(&tls.cert), key: pem(&tls.key), client_ca: tls.client_ca.clone() };
    let _ = tls::server_config(tls, &pem);
}

/// Neither a hash nor a key is shown by a message, wherever it stands.
pub(super) fn secrets(data: &[u8]) {
    let mut texts = names(data).map(|name| String::from_utf8_lossy(name).replace(MARK_SIGN, ""));
    let (user, rest) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
    let secret = format!("{MARK}{rest}");
    for file in [
        json!({ "basic_auth_users": { &user: &secret } }),
        json!({ "basic_auth_users": { &user: [&secret] } }),
        json!({ "basic_auth_users": { &user: { &secret: 1 } } }),
        json!({ "tls_server_config": { "cert": &secret, "key": &secret, "client_ca": &secret } }),
        json!({ "tls_server_config": { "cert": &secret, "key": [&secret] } }),
    ] {
        if let Err(error) = WebConfig::parse(Path::new(FILE), &file.to_string()) {
            assert!(!error.to_string().contains(MARK), "{error}");
        }
    }
    let tls = Tls { client_auth_type: ClientAuth::RequireAndVerifyClientCert, ..Tls::default() };
    let secret = Secret(secret);
    let pem = Pem { cert: secret.clone(), key: secret.clone(), client_ca: Some(secret) };
    let error = tls::server_config(&tls, &pem).expect_err("it is no certificate");
    assert!(!error.to_string().contains(MARK), "{error}");
}

/// Whatever a client shows for a certificate names nobody whom it does not hold.
pub(super) fn certificates(data: &[u8]) {
    let allowed = ["am.example".to_owned(), "10.0.0.7".to_owned()];
    if tls::names_one_of(&data.into(), &allowed) {
        let holds = |part: &[u8]| data.windows(part.len()).any(|window| window == part);
        assert!(holds(b"am.example") || holds(b"10.0.0.7") || holds(&[10, 0, 0, 7]));
    }
}
