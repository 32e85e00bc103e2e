//! The commands that ask a responder which asks who they are.

use std::process::Output;

use super::{
    super::cli::raysweep,
    harness::{Fleet, Responder, firing},
    pki::{Authority, WebFolder, text},
};

const CLIENTS: &str = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
const USER: &str = "basic_auth: { username: amy, password_file: password }\n";
const TLS: &str = "tls_config: { ca_file: ca.pem, cert_file: shown.pem, key_file: shown-key.pem }\n";

/// A folder with what server and client take: the server's certificate, the user amy, and a certificate
/// of the same authority for the client.
fn folder(authority: &Authority) -> WebFolder {
    let web = WebFolder::of(authority);
    let shown = authority.issue(&["a-desk"]);
    let hash = bcrypt::hash("s3cret", 4).unwrap();
    web.tls(CLIENTS, &format!("basic_auth_users: {{ amy: '{hash}' }}\n"));
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("shown.pem", shown.certificate),
        ("shown-key.pem", shown.key),
        ("password", "s3cret\n".to_owned()),
    ] {
        web.write(name, &text);
    }
    web
}

fn asked(responder: &Responder, scheme: &str, web: &WebFolder, words: &[&str]) -> Output {
    let url = format!("{scheme}://{}", responder.address);
    let file = web.path("client.yml");
    raysweep().args(words).args(["--url", &url, "--http.config.file", text(&file)]).output().unwrap()
}

#[test]
fn a_command_shows_its_user_and_its_certificate_and_trusts_whom_the_file_names() {
    let ours = Authority::new("ours");
    let (fleet, web) = (Fleet::of_one(), folder(&ours));
    web.write("theirs.pem", &Authority::new("theirs").pem());
    web.write("wrong", "other");
    web.write("payload.json", &firing("ray-80"));
    let responder = fleet.serve_as("", &web.launch());
    for (config, code, said) in [
        (format!("{USER}{TLS}"), 0, "no host is in trouble"),
        (format!("{}{TLS}", USER.replace("password }", "wrong }")), 6, "does not let us in"),
        (TLS.to_owned(), 6, "--http.config.file"),
        (format!("{USER}tls_config: {{ ca_file: ca.pem }}"), 8, "does not answer"),
        (format!("{USER}{}", TLS.replace("ca.pem", "theirs.pem")), 8, "does not answer"),
        (USER.to_owned(), 8, "does not answer"),
        (format!("{USER}{}", TLS.replace("ca.pem", "password")), 1, "password: holds no certificate in PEM"),
        (format!("{USER}{}", TLS.replace("ca.pem", "gone.pem")), 1, "gone.pem: cannot be read"),
        ("proxy_url: http://127.0.0.1".to_owned(), 3, "unknown key `proxy_url`"),
    ] {
        web.write("client.yml", &config);
        let output = asked(&responder, "https", &web, &["status"]);
        let all = [output.stdout, output.stderr].concat();
        let all = String::from_utf8_lossy(&all);
        assert_eq!(output.status.code(), Some(code), "{config}: {all}");
        assert!(all.contains(said), "{config}: {all}");
        assert!(!all.contains("s3cret"), "{all}");
    }
    web.write("client.yml", &format!("{USER}{TLS}"));
    let payload = web.path("payload.json");
    let sent = asked(&responder, "https", &web, &["replay", text(&payload)]);
    assert!(sent.status.success(), "{sent:?}");
    let history = asked(&responder, "https", &web, &["history"]);
    assert!(String::from_utf8_lossy(&history.stdout).contains("ray-80"), "{history:?}");
}

#[test]
fn a_command_shows_the_token_that_the_file_names() {
    let (fleet, web) = (Fleet::new(), WebFolder::of(&Authority::new("ours")));
    web.write("token", "t0ken\n");
    let token = web.path("token");
    let responder = fleet.serve(&format!("web: {{ bearer_token_file: {} }}", text(&token)));
    web.write("client.yml", "authorization: { credentials_file: token }");
    assert!(asked(&responder, "http", &web, &["status"]).status.success());
    // One of both says who we are.
    let both = asked(&responder, "http", &web, &["status", "--bearer-token-file", text(&token)]);
    assert_eq!(both.status.code(), Some(2), "{both:?}");
    web.write("token", "newer\n");
    assert!(asked(&responder, "http", &web, &["history"]).status.success());
    web.write("client.yml", "authorization: { credentials_file: ca.pem }");
    assert_eq!(asked(&responder, "http", &web, &["status"]).status.code(), Some(1));
}
