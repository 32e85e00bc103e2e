use std::{fs, os::unix::fs::PermissionsExt};

use expect_test::{Expect, expect};

use super::*;

const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
const TLS: &str = "cert_file: c.pem, key_file: k.pem";

fn parse(text: &str) -> Result<WebConfig, ConfigError> {
    WebConfig::parse(Path::new("web/web.yml"), text)
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&parse(text).unwrap_err().to_string());
}

#[test]
fn an_empty_file_asks_for_nothing() {
    let config = parse("").unwrap();
    assert_eq!(config, WebConfig::default());
    assert!(!config.authenticates());
}

#[test]
fn every_key_of_exporter_toolkit_that_is_supported_is_read() {
    let config = parse(&format!(
        "tls_server_config:
  cert_file: c.pem
  key_file: /keys/k.pem
  client_ca_file: ca.pem
  client_auth_type: RequireAndVerifyClientCert
  client_allowed_sans: [alertmanager.example]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP384, X25519]
http_server_config:
  http2: false
  headers: {{ X-Frame-Options: deny, X-Content-Type-Options: nosniff, Strict-Transport-Security: max-age=1 }}
basic_auth_users:
  Amy.Smith@example: {HASH}
"
    ))
    .unwrap();
    assert!(config.authenticates() && config.verifies_clients());
    let tls = config.tls_server_config.unwrap();
    // Relative paths begin at the file's folder.
    assert_eq!(tls.cert_file.as_deref(), Some(Path::new("web/c.pem")));
    assert_eq!(tls.key_file.as_deref(), Some(Path::new("/keys/k.pem")));
    assert_eq!(tls.curve_preferences, [Curve::CurveP384, Curve::X25519]);
    assert_eq!(config.basic_auth_users.keys().collect::<Vec<_>>(), ["Amy.Smith@example"]);
    assert_eq!(config.http_server_config.headers.len(), 3);
    for (text, policy) in [
        ("NoClientCert", ClientAuth::NoClientCert),
        ("RequestClientCert", ClientAuth::RequestClientCert),
        ("RequireClientCert", ClientAuth::RequireAnyClientCert),
        ("RequireAnyClientCert", ClientAuth::RequireAnyClientCert),
    ] {
        let config = parse(&format!("tls_server_config: {{ {TLS}, client_auth_type: {text} }}")).unwrap();
        assert_eq!(config.tls_server_config.unwrap().client_auth_type, policy);
    }
}

#[test]
fn what_is_not_supported_is_refused_by_its_name() {
    check(
        "rate_limit: { interval: 1s, burst: 5 }
http_server_config: { http2: true }
tls_server_config: { cert_file: c, key_file: k, min_version: TLS10, max_version: TLS11 }",
        expect![[r#"
            web/web.yml: tls_server_config.min_version: is not supported: write TLS12 or TLS13
            web/web.yml: tls_server_config.max_version: is not supported: write TLS12 or TLS13
            web/web.yml: http_server_config.http2: is not supported: HTTP/1.1 is spoken here; write false, or leave it out
            web/web.yml: rate_limit: is not supported: it answers 429, which Alertmanager does not send again; take it out"#]],
    );
    let tls = |setting: &str| format!("tls_server_config: {{ {TLS}, {setting} }}");
    check(
        &tls("cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]"),
        expect![[
            r#"web/web.yml: tls_server_config.cipher_suites[0]: "TLS_RSA_WITH_AES_128_CBC_SHA" is not one of TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"#
        ]],
    );
    check(
        &tls("curve_preferences: [CurveP521]"),
        expect![[
            r#"web/web.yml: tls_server_config.curve_preferences[0]: "CurveP521" is not one of X25519, CurveP256, CurveP384"#
        ]],
    );
    check(
        &tls("client_auth_type: Maybe"),
        expect![[
            r#"web/web.yml: tls_server_config.client_auth_type: "Maybe" is not one of NoClientCert, RequestClientCert, RequireAnyClientCert, RequireClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert"#
        ]],
    );
    check(
        &tls("min_version: SSL3"),
        expect![[
            r#"web/web.yml: tls_server_config.min_version: "SSL3" is not one of TLS10, TLS11, TLS12, TLS13"#
        ]],
    );
    check(
        &tls("session_tickets: true"),
        expect![
            "web/web.yml: tls_server_config: unknown key `session_tickets`; known keys: cert, key, client_ca, cert_file, key_file, client_ca_file, client_auth_type, client_allowed_sans, min_version, max_version, cipher_suites, prefer_server_cipher_suites, curve_preferences"
        ],
    );
    check(
        "oauth: {}",
        expect![
            "web/web.yml: unknown key `oauth`; known keys: tls_server_config, http_server_config, basic_auth_users, rate_limit"
        ],
    );
    check(
        "http_server_config: { headers: { X-Powered-By: a, X-Frame-Options: maybe } }",
        expect![[r#"
        web/web.yml: http_server_config.headers.X-Frame-Options: "maybe" is not one of deny, sameorigin
        web/web.yml: http_server_config.headers.X-Powered-By: cannot be set; those that can are Content-Security-Policy, Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection"#]],
    );
}

#[test]
fn what_contradicts_itself_or_keeps_nobody_out_is_refused() {
    check(
        "tls_server_config:",
        expect!["web/web.yml: tls_server_config: found nothing, wanted a section: keys indented below it"],
    );
    check(
        "tls_server_config: {}",
        expect![[r#"
        web/web.yml: tls_server_config.cert_file: is missing: TLS takes it, or `cert`
        web/web.yml: tls_server_config.key_file: is missing: TLS takes it, or `key`"#]],
    );
    check(
        "tls_server_config: { cert: a, cert_file: b, key_file: k, client_ca_file: ca, min_version: TLS13, max_version: TLS12, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256] }",
        expect![[r#"
            web/web.yml: tls_server_config.cert_file: stands beside `cert`: keep one of them
            web/web.yml: tls_server_config.client_auth_type: must be set beside client_ca_file: RequireAndVerifyClientCert lets in who shows a certificate of it
            web/web.yml: tls_server_config.min_version: must not be newer than max_version
            web/web.yml: tls_server_config.cipher_suites: are those of TLS 1.2, which min_version leaves out; those of TLS 1.3 cannot be chosen"#]],
    );
    let tls = |setting: &str| format!("tls_server_config: {{ {TLS}, {setting} }}");
    check(
        &tls("client_auth_type: RequireAndVerifyClientCert"),
        expect![
            "web/web.yml: tls_server_config.client_auth_type: RequireAndVerifyClientCert needs client_ca_file: every public CA would be trusted without"
        ],
    );
    check(
        &tls("client_auth_type: VerifyClientCertIfGiven"),
        expect![
            "web/web.yml: tls_server_config.client_auth_type: VerifyClientCertIfGiven needs client_ca_file: every public CA would be trusted without"
        ],
    );
    check(
        &tls("client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca, client_allowed_sans: [a]"),
        expect![
            "web/web.yml: tls_server_config.client_allowed_sans: needs client_auth_type RequireAndVerifyClientCert or RequireAnyClientCert: others let in who shows no certificate"
        ],
    );
}

#[test]
fn a_password_in_place_of_its_hash_is_refused_and_not_shown() {
    check(
        "basic_auth_users: { amy: hunter2 }",
        expect![
            "web/web.yml: basic_auth_users.amy: must be the bcrypt hash of a password, as `htpasswd -nBC 10 USER` prints it"
        ],
    );
    check(
        "basic_auth_users: { amy: 12345678 }",
        expect!["web/web.yml: basic_auth_users.amy: must be a text: put it into quotes"],
    );
    let dear = HASH.replace("$10$", "$16$");
    check(
        &format!("basic_auth_users: {{ amy: {dear}, 'a:b': {HASH}, '': {HASH} }}"),
        expect![[r#"
        web/web.yml: basic_auth_users.: is no user's name: it must not be empty and must hold no colon
        web/web.yml: basic_auth_users.a:b: is no user's name: it must not be empty and must hold no colon
        web/web.yml: basic_auth_users.amy: the hash's cost must be from 4 to 15: `htpasswd -nBC 10 USER`"#]],
    );
    assert_eq!(format!("{:?}", Secret("hunter2".to_owned())), "Secret(…)");
}

#[test]
fn a_change_of_any_of_its_files_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yml");
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
    };
    write(
        "web.yml",
        &format!(
            "tls_server_config: {{ {TLS}, client_ca_file: ca.pem, client_auth_type: RequestClientCert }}"
        ),
    );
    for name in ["c.pem", "k.pem", "ca.pem"] {
        assert!(Contents::read(&path).is_err(), "{name} is missing");
        write(name, name);
    }
    let (contents, loaded) = Contents::read(&path).unwrap();
    assert_eq!(loaded.pem.unwrap().client_ca.unwrap().0, "ca.pem");
    assert!(contents.unchanged());
    for name in ["c.pem", "k.pem", "ca.pem", "web.yml"] {
        let before = fs::read_to_string(folder.path().join(name)).unwrap();
        write(name, &format!("{before}\n"));
        assert!(!contents.unchanged(), "{name}");
        write(name, &before);
        assert!(contents.unchanged(), "{name}");
    }
    assert!(!Contents::default().unchanged());
}

#[test]
fn a_key_that_everybody_can_read_and_a_file_that_has_no_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yml");
    fs::write(&path, format!("tls_server_config: {{ {TLS} }}")).unwrap();
    for name in ["c.pem", "k.pem"] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    fs::set_permissions(folder.path().join("k.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let said = || Contents::read(&path).unwrap_err().to_string();
    assert!(said().contains("tls_server_config.key_file: ") && said().contains("chmod o="), "{}", said());
    fs::write(&path, "tls_server_config: { cert_file: c.pem, key: x }").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(said().contains("tls_server_config.key: ") && said().contains("web.yml is open"), "{}", said());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    Contents::read(&path).unwrap();
    fs::write(&path, "tls_server_config: { cert_file: /dev/zero, key_file: k.pem }").unwrap();
    assert!(said().contains("is longer than"), "{}", said());
    fs::write(&path, [0xff]).unwrap();
    assert!(said().contains("is not YAML: no UTF-8"), "{}", said());
}
