//! TLS by the web configuration file: who is let in, and what changes while it runs.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};

use super::{
    harness::{Fleet, Responder, wait_for},
    pki::{Authority, Identity, WebFolder, client, https},
};

const CA: &str = "  client_ca_file: ca.pem\n";

fn policy(name: &str) -> String {
    format!("  client_auth_type: {name}\n")
}

/// The responder under a certificate of this authority, which may vouch for clients too, with the folder
/// that it reads them from. Whoever drops them in turn ends the process first.
fn serve(authority: &Authority, settings: &str) -> (WebFolder, Fleet, Responder) {
    let web = WebFolder::of(authority);
    web.write("ca.pem", &authority.pem());
    web.tls(settings, "");
    let fleet = Fleet::new();
    let responder = fleet.serve_as("", &web.launch());
    (web, fleet, responder)
}

#[test]
fn each_policy_lets_in_those_clients_that_it_names_and_no_others() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let web = WebFolder::of(&ours);
    web.write("ca.pem", &ours.pem());
    let nothing = client(&ours.pem(), None);
    let [right, wrong, expired] = [ours.issue(&["a"]), theirs.issue(&["a"]), ours.issue_expired("a")]
        .map(|it| client(&ours.pem(), Some(&it)));
    let fleet = Fleet::new();
    for (name, ca, let_in) in [
        ("NoClientCert", "", [true, true, true, true]),
        ("RequestClientCert", CA, [true, true, true, true]),
        ("RequireAnyClientCert", "", [false, true, true, true]),
        ("RequireClientCert", "", [false, true, true, true]),
        ("VerifyClientCertIfGiven", CA, [true, true, false, false]),
        ("RequireAndVerifyClientCert", CA, [false, true, false, false]),
    ] {
        web.tls(&(policy(name) + ca), "");
        let responder = fleet.serve_as("", &web.launch());
        let found =
            [&nothing, &right, &wrong, &expired].map(|client| https(client, &responder, "/-/healthy"));
        for (found, let_in) in found.iter().zip(let_in) {
            assert_eq!(found.as_ref().is_ok_and(|status| *status == 200), let_in, "{name}: {found:?}");
        }
        responder.stop();
    }
}

#[test]
fn a_plain_request_and_a_client_that_trusts_another_get_nothing() {
    let ours = Authority::new("ours");
    let (_web, _fleet, responder) = serve(&ours, "");
    assert!(https(&client(&Authority::new("theirs").pem(), None), &responder, "/-/healthy").is_err());
    let mut plain = TcpStream::connect(&responder.address).unwrap();
    plain.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = plain.read_to_string(&mut answer);
    assert!(!answer.contains("healthy"), "{answer}");
    let trusting = client(&ours.pem(), None);
    assert_eq!(https(&trusting, &responder, "/-/healthy"), Ok(200));
    let metrics = trusting.get(format!("https://{}/metrics", responder.address)).call().unwrap();
    let text = metrics.into_body().read_to_string().unwrap();
    // A client that goes away without a word is nobody that was cut.
    assert!(!text.contains(r#"raysweep_http_connections_cut_total{reason="handshake"} 0"#), "{text}");
}

#[test]
fn every_payload_that_a_real_sender_sent_is_taken_in_over_tls() {
    let ours = Authority::new("ours");
    let (_web, _fleet, responder) = serve(&ours, "");
    let client = client(&ours.pem(), None);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("alertmanager/payloads");
    let mut sent = 0;
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|extension| extension == "json") {
            let request = client.post(format!("https://{}/webhook", responder.address));
            let answer = request.send(std::fs::read(&path).unwrap()).unwrap();
            assert_eq!(answer.status(), 200, "{}", path.display());
            sent += 1;
        }
    }
    // Grafana's is among them.
    assert!(sent >= 9, "only {sent}");
}

#[test]
fn a_certificate_has_to_hold_one_of_the_allowed_names() {
    let ours = Authority::new("ours");
    let sans = "  client_allowed_sans: [am.example, 10.0.0.7, 'spiffe://example/am', am@example]\n";
    let settings = policy("RequireAndVerifyClientCert") + CA + sans;
    let (_web, _fleet, responder) = serve(&ours, &settings);
    for (identity, let_in) in [
        (ours.issue(&["am.example"]), true),
        (ours.issue(&["other.example", "10.0.0.7"]), true),
        (ours.issue_named("spiffe://example/am", "x@example"), true),
        (ours.issue_named("spiffe://example/x", "am@example"), true),
        (ours.issue(&["am.example.org", "AM.EXAMPLE", "10.0.0.70"]), false),
        (ours.issue(&[]), false),
        (Authority::new("theirs").issue(&["am.example"]), false),
    ] {
        let found = https(&client(&ours.pem(), Some(&identity)), &responder, "/-/healthy");
        assert_eq!(found.is_ok(), let_in, "{found:?}\n{}", identity.certificate);
    }
}

#[test]
fn a_certificate_that_was_checked_says_who_asked_and_one_that_was_not_says_nothing() {
    let ours = Authority::new("ours");
    let web = WebFolder::of(&ours);
    web.write("ca.pem", &ours.pem());
    let fleet = Fleet::of_one();
    let checked = "certificate CN=rcgen self signed cert from 127.0.0.1";
    // The one is not the other, whether or not that has begun.
    for (asked_of_clients, who, dry_run) in [
        (policy("RequireAndVerifyClientCert") + CA, checked, false),
        (policy("RequireAnyClientCert"), "127.0.0.1", true),
    ] {
        web.tls(&asked_of_clients, "");
        let responder = fleet.serve_as("", &web.launch());
        let client = client(&ours.pem(), Some(&ours.issue(&["am.example"])));
        let url = |path: &str| format!("https://{}{path}", responder.address);
        let answer =
            client.post(url("/api/v1/run")).send(format!(r#"{{"all":true,"dry_run":{dry_run}}}"#)).unwrap();
        assert_eq!(answer.status(), 202);
        let attempts = client.get(url("/api/v1/attempts?limit=1")).call().unwrap();
        let attempts = attempts.into_body().read_to_string().unwrap();
        assert!(attempts.contains(&format!(r#""asked_by":"{who}""#)), "{attempts}");
        responder.stop();
    }
}

/// Speaks one version of TLS and no other.
fn speaks(responder: &str, trusted: &Authority, version: &'static SupportedProtocolVersion) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(responder).unwrap());
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").is_ok() && {
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer.starts_with("HTTP/1.1 200")
    }
}

#[test]
fn only_the_versions_between_the_oldest_and_the_newest_are_spoken() {
    let ours = Authority::new("ours");
    let (web, _fleet, responder) = serve(&ours, "");
    for (settings, expected) in [
        ("", (true, true)),
        ("  min_version: TLS13\n", (false, true)),
        ("  max_version: TLS12\n", (true, false)),
        ("  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n", (false, false)),
        ("  cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]\n", (true, true)),
    ] {
        // The file is read anew for each connection.
        web.tls(settings, "");
        let found = [&TLS12, &TLS13].map(|version| speaks(&responder.address, &ours, version));
        assert_eq!(found, [expected.0, expected.1], "{settings}");
    }
}

#[test]
fn a_certificate_that_is_replaced_is_shown_to_the_next_connection() {
    let (ours, newer) = (Authority::new("ours"), Authority::new("newer"));
    let (web, _fleet, responder) = serve(&ours, "");
    let asks =
        |authority: &Authority| https(&client(&authority.pem(), None), &responder, "/-/healthy").is_ok();
    assert!(asks(&ours) && !asks(&newer));
    web.identify(&newer.issue(&["127.0.0.1"]));
    assert!(asks(&newer) && !asks(&ours));
    // Between the two renames certificate and key do not fit: the last that did go on.
    web.write("cert.pem", &ours.issue(&["127.0.0.1"]).certificate);
    assert!(asks(&newer) && !asks(&ours));
    assert!(responder.log().contains("do not fit together"), "{}", responder.log());
}

#[test]
fn a_client_of_an_authority_that_is_no_longer_trusted_is_out_on_an_open_connection_too() {
    let (ours, newer) = (Authority::new("ours"), Authority::new("newer"));
    let (web, _fleet, responder) = serve(&ours, &(policy("RequireAndVerifyClientCert") + CA));
    let asks = |identity: &Identity| client(&ours.pem(), Some(identity));
    let (old, new) = (asks(&ours.issue(&["a"])), asks(&newer.issue(&["a"])));
    assert_eq!(https(&old, &responder, "/api/v1/incidents"), Ok(200));
    assert!(https(&new, &responder, "/api/v1/incidents").is_err());
    // The client hears of it first.
    wait_for("the log", || responder.log().contains("UnknownIssuer").then_some(()));
    web.write("ca.pem", &newer.pem());
    // ureq keeps its connection; it is told to make another, and that one is refused.
    assert_eq!(https(&old, &responder, "/api/v1/incidents"), Ok(503));
    assert!(https(&old, &responder, "/api/v1/incidents").is_err());
    assert_eq!(https(&new, &responder, "/api/v1/incidents"), Ok(200));
}

#[test]
fn a_file_that_cannot_be_used_lets_nobody_in_says_why_and_is_used_again_once_it_can_be() {
    let ours = Authority::new("ours");
    let (web, _fleet, responder) = serve(&ours, "");
    let client = client(&ours.pem(), None);
    let ready = || {
        let answer = client.get(format!("https://{}/-/ready", responder.address)).call().unwrap();
        (answer.status().as_u16(), answer.into_body().read_to_string().unwrap())
    };
    assert_eq!(ready().0, 200);
    let file = web.path("web.yml").display().to_string();
    for (wrong, said) in [
        ("  client_auth_typ: x\n", "unknown key `client_auth_typ`"),
        ("rate_limit: { interval: 1s }\n", "rate_limit: is not supported"),
        (
            "  client_ca_file: nothing.pem\n  client_auth_type: RequestClientCert\n",
            "nothing.pem cannot be read",
        ),
    ] {
        web.tls(wrong, "");
        let (status, text) = ready();
        assert!(status == 503 && text.contains(said) && text.contains(&file), "{text}");
        assert_eq!(https(&client, &responder, "/api/v1/incidents"), Ok(503), "{wrong}");
        assert_eq!(https(&client, &responder, "/-/healthy"), Ok(200), "{wrong}");
    }
    // TLS is not switched off by a file that no longer speaks of it.
    web.write("web.yml", "");
    let (status, text) = ready();
    assert!(status == 503 && text.contains("came or went"), "{text}");
    web.tls("", "");
    assert_eq!(ready().0, 200);
    assert_eq!(https(&client, &responder, "/api/v1/incidents"), Ok(200));
    wait_for("the log", || responder.log().contains("web configuration file changed").then_some(()));
}
