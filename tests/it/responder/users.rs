//! Users and tokens: who is let in, and what changes while it runs.

use std::fs;

use super::{
    harness::{Fleet, Responder, agent, firing, resolved, wait_for},
    pki::{Authority, WebFolder, text},
};

/// bcrypt at its cheapest; what counts here is not how long it takes.
fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

fn users(users: &[(&str, &str)]) -> String {
    let users: Vec<_> =
        users.iter().map(|(user, password)| format!("  {user}: {}\n", hash(password))).collect();
    format!("basic_auth_users:\n{}", users.concat())
}

fn basic(user: &str, password: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn asks(responder: &Responder, path: &str, shown: Option<&str>) -> u16 {
    let mut request = agent().get(responder.url(path));
    if let Some(shown) = shown {
        request = request.header("Authorization", shown);
    }
    request.call().unwrap().status().as_u16()
}

fn folder() -> WebFolder {
    WebFolder::of(&Authority::new("ours"))
}

#[test]
fn only_who_shows_a_users_password_is_let_in_to_all_but_health() {
    let (fleet, web) = (Fleet::of_one(), folder());
    web.write("web.yml", &users(&[("Amy.Smith", "s3cret"), ("bob", "other")]));
    let responder = fleet.serve_as("", &web.launch());
    let paths = ["/api/v1/incidents", "/api/v1/attempts", "/api/v1/ignored", "/metrics"];
    let wrong = [
        basic("Amy.Smith", "S3cret"),
        basic("Amy.Smith", "other"),
        basic("amy.smith", "s3cret"),
        basic("eve", "s3cret"),
        basic("", ""),
        "Basic".to_owned(),
        "Basic !".to_owned(),
        "Bearer s3cret".to_owned(),
    ];
    for path in paths {
        assert_eq!(asks(&responder, path, None), 401, "{path}");
        for wrong in &wrong {
            assert_eq!(asks(&responder, path, Some(wrong)), 401, "{path} {wrong}");
        }
        assert_eq!(asks(&responder, path, Some(&basic("Amy.Smith", "s3cret"))), 200, "{path}");
        assert_eq!(asks(&responder, path, Some(&basic("bob", "other"))), 200, "{path}");
    }
    let body = firing("ray-99");
    for path in ["/webhook", "/api/v1/replay", "/-/reload"] {
        assert_eq!(responder.post(path, body.as_bytes(), None).0, 401, "{path}");
        assert_eq!(responder.post(path, body.as_bytes(), Some(&wrong[0])).0, 401, "{path}");
    }
    assert_eq!(responder.post("/webhook", body.as_bytes(), Some(&basic("bob", "other"))).0, 200);
    for path in ["/-/healthy", "/-/ready"] {
        assert_eq!(asks(&responder, path, None), 200, "{path}");
    }
    let answer = agent().get(responder.url("/metrics")).call().unwrap();
    assert_eq!(answer.headers()["www-authenticate"], r#"Basic realm="raysweep", charset="UTF-8""#);
    assert!(!responder.log().contains("s3cret"), "{}", responder.log());
}

#[test]
fn who_asks_for_something_is_in_log_and_history_and_what_was_shown_is_in_neither() {
    let (fleet, web) = (Fleet::of_one(), folder());
    web.write("web.yml", &users(&[("amy", "s3cret")]));
    web.write("token", "t0ken");
    let with_token = format!("web: {{ bearer_token_file: {} }}", text(&web.path("token")));
    let responder = fleet.serve_as(&with_token, &web.launch());
    let told = |path: &str| {
        let asked = agent().get(responder.url(path)).header("Authorization", "Bearer t0ken");
        asked.call().unwrap().into_body().read_to_string().unwrap()
    };
    let amy = basic("amy", "s3cret");
    for (shown, dry_run, who) in [
        (amy.as_str(), false, "user amy from 127.0.0.1"),
        ("Bearer t0ken", true, "bearer token from 127.0.0.1"),
    ] {
        let wish = format!(r#"{{"all":true,"dry_run":{dry_run}}}"#);
        let (status, wished) = responder.post("/api/v1/run", wish.as_bytes(), Some(shown));
        assert_eq!(status, 202, "{wished}");
        let attempt = told(&format!("/api/v1/attempts/{}", wished["hosts"][0]["attempt"].as_str().unwrap()));
        assert!(attempt.contains(&format!(r#""asked_by":"{who}""#)), "{attempt}");
        assert_eq!(responder.post("/-/reload", b"", Some(shown)).0, 200);
        let log = responder.log();
        for what in ["run accepted", "reload asked for"] {
            let line = log.lines().find(|line| line.contains(what) && line.contains(who));
            assert!(line.is_some(), "{what}: {who}\n{log}");
        }
    }
    let page = told(&format!("/attempts/{}", responder_attempt(&told("/api/v1/attempts"))));
    assert!(page.contains("manual, bearer token from 127.0.0.1"), "{page}");
    for secret in ["s3cret", "t0ken", amy.split_once(' ').unwrap().1] {
        let everything = [responder.log(), told("/api/v1/attempts"), page.clone()].concat();
        assert!(!everything.contains(secret), "{secret}");
    }
}

/// The newest attempt's identity.
fn responder_attempt(attempts: &str) -> String {
    let attempts: serde_json::Value = serde_json::from_str(attempts).unwrap();
    attempts["attempts"][0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn users_that_are_replaced_need_no_restart_and_what_went_is_out_at_once() {
    let (fleet, web) = (Fleet::of_one(), folder());
    web.write("web.yml", &users(&[("amy", "first"), ("bob", "other")]));
    let responder = fleet.serve_as("", &web.launch());
    let found = || {
        [("amy", "first"), ("amy", "second"), ("bob", "other")]
            .map(|(user, password)| asks(&responder, "/api/v1/incidents", Some(&basic(user, password))))
    };
    assert_eq!(found(), [200, 401, 200]);
    web.write("web.yml", &users(&[("amy", "second")]));
    assert_eq!(found(), [401, 200, 401]);
    // A file that cannot be used is our trouble: 503 is sent again, 401 would be final.
    web.write("web.yml", "basic_auth_users: { amy: second }");
    assert_eq!(found(), [503; 3]);
    let (status, ready) = responder.get("/-/ready");
    assert!(status == 503 && ready.contains("basic_auth_users.amy: must be the bcrypt hash"), "{ready}");
    fs::rename(web.path("web.yml"), web.path("elsewhere")).unwrap();
    assert_eq!(found(), [503; 3]);
    web.write("web.yml", &users(&[("amy", "first"), ("bob", "other")]));
    assert_eq!(found(), [200, 401, 200]);
    assert_eq!(responder.get("/-/ready").0, 200);
}

#[test]
fn a_token_or_a_password_is_enough_where_both_are_asked_for() {
    let (fleet, web) = (Fleet::of_one(), folder());
    web.write("web.yml", &users(&[("amy", "s3cret")]));
    web.write("token", "t0ken\n");
    let token = web.path("token");
    let responder = fleet.serve_as(&format!("web: {{ bearer_token_file: {} }}", text(&token)), &web.launch());
    for (shown, expected) in [
        (None, 401),
        (Some("Bearer s3cret"), 401),
        (Some("Bearert0ken"), 401),
        (Some("Bearer t0ken"), 200),
        (Some(&*basic("amy", "t0ken")), 401),
        (Some(&*basic("amy", "s3cret")), 200),
    ] {
        assert_eq!(asks(&responder, "/api/v1/incidents", shown), expected, "{shown:?}");
        assert_eq!(asks(&responder, "/metrics", shown), expected, "{shown:?}");
    }
    let answer = agent().get(responder.url("/metrics")).call().unwrap();
    let offered: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
    assert_eq!(offered, ["Bearer", r#"Basic realm="raysweep", charset="UTF-8""#]);
    // The token's file is replaced, as a secret's manager does it.
    web.write("token", "newer");
    assert_eq!(asks(&responder, "/api/v1/incidents", Some("Bearer t0ken")), 401);
    assert_eq!(asks(&responder, "/api/v1/incidents", Some("Bearer newer")), 200);
}

#[test]
fn whoever_listens_to_the_network_asks_for_something_at_the_start_and_later() {
    let (fleet, web) = (Fleet::of_one(), folder());
    let everywhere = "0.0.0.0:0";
    web.write("web.yml", "");
    let refused = fleet.try_serve_as("", everywhere, &web.launch()).err().expect("open to all");
    assert!(refused.contains("is not loopback") && refused.contains("basic_auth_users"), "{refused}");

    web.write("web.yml", &users(&[("amy", "s3cret")]));
    let mut responder = fleet.try_serve_as("", everywhere, &web.launch()).unwrap();
    responder.address = responder.address.replace("0.0.0.0", "127.0.0.1");
    let amy = basic("amy", "s3cret");
    assert_eq!(asks(&responder, "/api/v1/incidents", Some(&amy)), 200);
    // Users that went from the file leave it open to nobody, rather than to all.
    web.write("web.yml", "");
    assert_eq!(asks(&responder, "/api/v1/incidents", Some(&amy)), 503);
    assert_eq!(responder.send(resolved("ray-80")), 503);
    let (status, ready) = responder.get("/-/ready");
    assert!(status == 503 && ready.contains("nothing is asked of callers any more"), "{ready}");
    // Neither a path nor a user's name is told to the network.
    web.write("web.yml", "basic_auth_users: { amy: s3cret }");
    let (status, ready) = responder.get("/-/ready");
    assert_eq!(
        (status, ready.as_str()),
        (503, "raysweep is not ready: nobody can be let in; the log says why\n")
    );
    assert!(responder.log().contains("basic_auth_users.amy: must be the bcrypt hash"), "{}", responder.log());
}

#[test]
fn a_reload_judges_who_is_let_in_by_the_file_as_it_stands_then() {
    let (fleet, web) = (Fleet::of_one(), folder());
    web.write("web.yml", "");
    web.write("token", "t0ken");
    let with_token = format!("web: {{ bearer_token_file: {} }}", text(&web.path("token")));
    let responder = fleet.try_serve_as(&with_token, "0.0.0.0:0", &web.launch()).unwrap();
    let reloaded = |times: usize, said: &str| {
        responder.signal("-HUP");
        // A signal is answered in the log, and nobody else has looked at the file meanwhile.
        wait_for("the reload", || (responder.log().matches(said).count() == times).then_some(()));
    };
    web.write("web.yml", &users(&[("amy", "s3cret")]));
    fleet.configure("");
    reloaded(1, "was read and is used");
    web.write("web.yml", "");
    reloaded(1, "was not reloaded");
    assert!(responder.log().contains("is not loopback"), "{}", responder.log());
    web.write("web.yml", "basic_auth_users: { amy: s3cret }");
    reloaded(2, "was not reloaded");
}

#[test]
fn every_answer_carries_the_headers_that_the_file_sets() {
    let (fleet, web) = (Fleet::of_one(), folder());
    web.write(
        "web.yml",
        "http_server_config: { headers: { X-Frame-Options: deny, Content-Security-Policy: '' } }",
    );
    let responder = fleet.serve_as("", &web.launch());
    for path in ["/-/healthy", "/metrics", "/nothing", "/webhook"] {
        let answer = agent().get(responder.url(path)).call().unwrap();
        assert_eq!(answer.headers()["x-frame-options"], "deny", "{path}");
        assert!(!answer.headers().contains_key("content-security-policy"), "{path}");
    }
}
