//! By which name it is called: a web page that has its own name lead here reads nothing.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
};

use serde_json::Value;

use super::harness::{Fleet, Responder, firing};

/// What is answered to the lines of a request: its status and its body.
fn answer(responder: &Responder, request: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(&responder.address).unwrap();
    stream.write_all(format!("{request}\r\nConnection: close\r\n\r\n{body}").as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request:?}: {said:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn asks(responder: &Responder, path: &str, host: &str) -> u16 {
    answer(responder, &format!("GET {path} HTTP/1.1\r\nHost: {host}"), "").0
}

/// Everything that tells of hosts, alerts, settings or outcomes.
const TELLING: [&str; 8] = [
    "/api/v1/hosts",
    "/api/v1/incidents",
    "/api/v1/attempts",
    "/api/v1/ignored",
    "/",
    "/config",
    "/metrics",
    "/-/ready",
];

#[test]
fn where_nothing_is_asked_of_callers_no_strange_name_reads_anything() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("web: { allowed_hosts: [raysweep.example.com] }");
    let port = responder.address.rsplit_once(':').unwrap().1;
    for path in TELLING {
        for name in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "127.0.0.1",
            "[::1]",
            "10.0.0.84",
            "raysweep.example.com",
            "RaySweep.Example.com.",
        ] {
            assert_eq!(asks(&responder, path, name), 200, "{path} {name}");
            assert_eq!(asks(&responder, path, &format!("{name}:{port}")), 200, "{path} {name}:{port}");
        }
        for name in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[evil]"] {
            assert_eq!(asks(&responder, path, name), 421, "{path} {name}");
            assert_eq!(asks(&responder, path, &format!("{name}:{port}")), 421, "{path} {name}:{port}");
        }
        // What names nothing is no browser's.
        assert_eq!(answer(&responder, &format!("GET {path} HTTP/1.0"), "").0, 200, "{path}");
        // Whatever else is named as well.
        let absolute = format!("GET http://evil.example{path} HTTP/1.1\r\nHost: localhost");
        assert_eq!(answer(&responder, &absolute, "").0, 421, "{path}");
        let twice = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nHost: evil.example");
        assert_eq!(answer(&responder, &twice, "").0, 421, "{path}");
    }
    let (status, text) = answer(&responder, "GET /api/v1/hosts HTTP/1.1\r\nHost: evil.example", "");
    let error: Value = serde_json::from_str(&text).unwrap();
    let told = error["error"].as_str().unwrap();
    assert_eq!((status, error.as_object().unwrap().len()), (421, 1));
    assert!(told.starts_with("evil.example is no name") && told.contains("web.allowed_hosts"), "{told}");
    assert!(responder.log().contains("request by a name that is not ours"), "{}", responder.log());
    for path in ["/api/v1/run", "/api/v1/replay", "/-/reload"] {
        let wish = r#"{"all":true}"#;
        let head = format!("POST {path} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: {}", wish.len());
        assert_eq!(answer(&responder, &head, wish).0, 421, "{path}");
    }
    assert_eq!(fleet.ssh_starts(), 0);
    // That it lives is no secret; and to Alertmanager a refusal would be final, whatever name it calls us by.
    assert_eq!(asks(&responder, "/-/healthy", "evil.example"), 200);
    let body = firing("ray-99");
    let head = format!("POST /webhook HTTP/1.1\r\nHost: evil.example\r\nContent-Length: {}", body.len());
    assert_eq!(answer(&responder, &head, &body).0, 200);
    // A name that the configuration no longer has is none.
    fleet.configure("");
    assert_eq!(responder.reload().0, 200);
    assert_eq!(asks(&responder, "/api/v1/hosts", "raysweep.example.com"), 421);
}

#[test]
fn whoever_asks_callers_for_something_may_be_called_by_any_name() {
    let fleet = Fleet::of_one();
    let token = fleet.path("token");
    fs::write(&token, "s3cret").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let responder = fleet.serve(&format!("web: {{ bearer_token_file: {} }}", token.display()));
    assert_eq!(asks(&responder, "/api/v1/hosts", "raysweep.example.com"), 401);
    let shown = "GET /api/v1/hosts HTTP/1.1\r\nHost: raysweep.example.com\r\nAuthorization: Bearer s3cret";
    assert_eq!(answer(&responder, shown, "").0, 200);
    assert_eq!(asks(&responder, "/metrics", "raysweep.example.com"), 200);
}
