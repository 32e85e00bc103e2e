//! Against a real server on loopback that says what it is told to.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::PathBuf,
    thread,
};

use super::*;
use crate::{
    domain::evidence::WorkerState,
    sweeper::{
        FileId, ProcessId,
        discover::{Raylet, Runtime},
        processes::fixture,
    },
};

const OURS: &str = "aa01";
const NOTHING: &str = r#"{"result": true, "msg": "", "data": {"result": {"total": 0, "num_after_truncation": 0, "result": [], "partial_failure_warning": ""}}}"#;

fn of_one(one: &str) -> String {
    NOTHING.replace("\"result\": []", &format!("\"result\": [{one}]"))
}

/// Answers every request with what `say` makes of its path and its token.
fn server(say: impl Fn(&str, Option<&str>) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let path = lines.next().unwrap_or_default();
            let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let token = headers.iter().find_map(|line| line.strip_prefix("authorization: Bearer "));
            let _ = stream.write_all(say(&path, token).as_bytes());
        }
    });
    url
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn worker(node_id: Option<&str>) -> Worker {
    let mut raylet = Raylet::of(&fixture::raylet(20, 10)).unwrap();
    raylet.node_id = node_id.map(str::to_owned);
    Worker {
        name: "ray-worker-1".to_owned(),
        runtime: Runtime::Docker,
        container: None,
        init: ProcessId { pid: 10, start_ticks: 1 },
        mount_namespace: FileId { dev: 4, ino: 1 },
        pid_namespace: FileId { dev: 4, ino: 2 },
        cgroup: String::new(),
        raylets: vec![raylet],
        temp_roots: vec![],
        upper_layer: None,
        started_at: None,
    }
}

fn asked(url: String, token_file: Option<PathBuf>) -> StateApi {
    ask(&RayApi { url, token_file }, Duration::from_secs(20))
}

/// What a worker is told where tasks and actors are these.
fn sign(tasks: String, actors: String) -> Option<String> {
    let url = server(move |path, _| ok(if path.contains("/tasks?") { &tasks } else { &actors }));
    asked(url, None).sign(&worker(Some(OURS))).map(|sign| {
        assert_eq!(sign.kind.speaks_for(), WorkerState::Active);
        sign.detail
    })
}

#[test]
fn work_on_this_node_is_activity_and_work_elsewhere_is_not() {
    let running = |node: &str| of_one(&format!(r#"{{"state": "RUNNING", "node_id": {node}, "name": "f"}}"#));
    let actor =
        |node: &str| of_one(&format!(r#"{{"state": "ALIVE", "node_id": {node}, "class_name": "A"}}"#));
    let nothing = || NOTHING.to_owned();
    assert_eq!(sign(nothing(), nothing()), None);
    assert_eq!(sign(running("\"aa01\""), nothing()).unwrap(), r#"Ray says: task "f" is RUNNING"#);
    assert_eq!(sign(nothing(), actor("\"aa01\"")).unwrap(), r#"Ray says: actor "A" is ALIVE"#);
    assert_eq!(sign(running("\"bb02\""), actor("\"bb02\"")), None);
    assert_eq!(sign(running("null"), nothing()), None);
}

#[test]
fn whatever_is_no_whole_answer_is_activity() {
    let cut = NOTHING.replace("\"total\": 0", "\"total\": 20000");
    let partly = NOTHING.replace("warning\": \"\"", "warning\": \"a node did not answer\"");
    let failed = r#"{"result": false, "msg": "no", "data": null}"#.to_owned();
    for (tasks, why) in [
        ("garbage".to_owned(), "cannot be read"),
        (NOTHING[..60].to_owned(), "cannot be read"),
        (cut, "it knows 20000"),
        (partly, "a node did not answer"),
        (failed, "could not say: no"),
    ] {
        let told = sign(tasks, NOTHING.to_owned()).unwrap();
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn a_node_that_is_not_told_might_be_any() {
    let url = server(|_, _| ok(NOTHING));
    let sign = asked(url, None).sign(&worker(None)).unwrap();
    assert!(sign.detail.contains("does not say which node"), "{}", sign.detail);
}

#[test]
fn the_token_comes_from_its_file_and_is_never_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let url = server(|_, token| match token {
        Some("s3cret") => ok(NOTHING),
        _ => "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
    });
    fs::write(&file, "s3cret\n").unwrap();
    assert_eq!(asked(url.clone(), Some(file.clone())), StateApi::AtWork(BTreeMap::new()));
    fs::write(&file, "0ther").unwrap();
    let StateApi::Unknown(why) = asked(url.clone(), Some(file)) else { panic!("taken") };
    assert!(why.contains("it answered 401") && !why.contains("0ther"), "{why}");
    let StateApi::Unknown(why) = asked(url, Some(folder.path().join("none"))) else { panic!("taken") };
    assert!(why.contains("none: No such file"), "{why}");
}

#[test]
fn one_that_hangs_or_is_not_there_or_sends_elsewhere_is_bounded_and_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = format!("http://{}", listener.local_addr().unwrap());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let elsewhere = server(|_, _| {
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            .to_owned()
    });
    let began = Instant::now();
    for url in [deaf, format!("http://{closed}"), elsewhere] {
        let api = RayApi { url, token_file: None };
        assert!(matches!(ask(&api, Duration::from_secs(2)), StateApi::Unknown(_)), "{}", api.url);
    }
    assert!(began.elapsed() < Duration::from_mins(1));
}
