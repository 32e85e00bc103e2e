//! `serve`, and the subcommands that ask it: `replay --url`, `status`, `history`.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
};

use tempfile::TempDir;

use super::{raysweep, said};

/// A responder on a free port of loopback; its end is the test's end.
struct Running {
    child: Child,
    url: String,
    folder: TempDir,
}

impl Running {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        fs::write(&token, "let me in\n").unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        // Nothing listens on port 1: an attempt ends at once.
        let config = format!(
            "web: {{ bearer_token_file: {} }}\nhosts: [{{ name: ray-80, address: 127.0.0.1, port: 1 }}]\n",
            token.display()
        );
        fs::write(folder.path().join("raysweep.yml"), config).unwrap();
        fs::write(folder.path().join("known_hosts"), "").unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_raysweep"))
            .current_dir(&folder)
            .args(["serve", "--config.file", "raysweep.yml", "--storage.path", "storage"])
            .args(["--web.listen-address", "127.0.0.1:0", "--log.format", "json"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = log.find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            Some(line["address"].as_str()?.to_owned())
        });
        // The log is read on, so that serve never waits for us.
        std::thread::spawn(move || log.for_each(drop));
        let url = format!("http://{}", address.expect("serve ended before it listened"));
        Self { child, url, folder }
    }

    fn asked(&self, arguments: &[&str]) -> String {
        let mut command = raysweep();
        command.current_dir(&self.folder).args(arguments).args(["--url", &self.url]);
        said(command.args(["--bearer-token-file", "token"]))
    }

    /// Asks until the answer has `wanted` in it; the bound is so long that only a fault meets it.
    fn asked_until(&self, arguments: &[&str], wanted: &str) -> String {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            let said = self.asked(arguments);
            if said.contains(wanted) {
                return said;
            }
            assert!(std::time::Instant::now() < until, "no {wanted:?} in {said}");
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
    }

    fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PAYLOAD: &str = r#"{"alerts":[
    {"status":"firing","labels":{"alertname":"RayWorkerDiskCritical","host":"ray-80"},
     "startsAt":"2026-01-05T10:00:00Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"00ff"},
    {"status":"firing","labels":{"alertname":"RayWorkerDiskCritical","host":"ray-99"},
     "startsAt":"2026-01-05T10:00:00Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"00fe"}]}"#;

#[test]
fn a_replay_makes_one_attempt_that_history_shows() {
    let running = Running::start();
    fs::write(running.folder.path().join("payload.json"), PAYLOAD).unwrap();

    assert_eq!(running.asked(&["status"]), "exit 0\nno host is in trouble\n");
    assert_eq!(running.asked(&["history"]), "exit 0\nno attempt is known\n");

    let sent = running.asked(&["replay", "payload.json"]);
    assert!(sent.starts_with("exit 0\nreplay "), "{sent}");
    assert!(sent.contains("ray-80") && sent.contains("unknown_host"), "{sent}");

    let history = running.asked_until(&["history", "--host", "ray-80"], "unreachable");
    assert_eq!(history.matches("ray-80").count(), 1, "{history}");
    assert_eq!(running.asked(&["history", "--host", "ray-81"]), "exit 0\nno attempt is known\n");
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn who_shows_no_token_or_asks_nobody_gets_a_code_that_says_so() {
    let running = Running::start();
    let refused = said(raysweep().args(["history", "--url", &running.url]));
    assert!(refused.starts_with("exit 6\n") && refused.contains("--bearer-token-file"), "{refused}");

    let unreachable = said(raysweep().args(["status", "--url", "http://127.0.0.1:1"]));
    assert!(unreachable.starts_with("exit 8\nraysweep: http://127.0.0.1:1"), "{unreachable}");
}

/// Somebody in a responder's place who answers one request; what was asked for.
fn answering(answer: impl FnOnce(TcpStream) + Send + 'static) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let asked = lines.next().unwrap();
        let _ = lines.find(String::is_empty);
        answer(stream);
        asked
    });
    (url, asked)
}

#[test]
fn a_status_asks_for_what_is_open_and_a_history_for_no_reports() {
    for (command, asked_for, empty, expected) in [
        (
            "status",
            "/api/v1/incidents?limit=1000&open=true&alerts=false",
            "incidents",
            "no host is in trouble",
        ),
        ("history", "/api/v1/attempts?limit=50&reports=false", "attempts", "no attempt is known"),
    ] {
        let body = format!("{{\"{empty}\":[]}}");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let (url, asked) = answering(move |mut stream| stream.write_all(answer.as_bytes()).unwrap());
        assert_eq!(said(raysweep().args([command, "--url", &url])), format!("exit 0\n{expected}\n"));
        assert_eq!(asked.join().unwrap(), format!("GET {asked_for} HTTP/1.1"));
    }
}

#[test]
fn an_answer_that_is_too_long_is_told_as_what_it_is() {
    const MIB: usize = 1024 * 1024;
    let (url, asked) = answering(|mut stream| {
        let header = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 80 * MIB);
        stream.write_all(header.as_bytes()).unwrap();
        let spaces = vec![b' '; MIB];
        // Whoever has read enough goes.
        while stream.write_all(&spaces).is_ok() {}
    });
    let told = said(raysweep().args(["history", "--url", &url]));
    assert!(told.starts_with("exit 1\n") && told.contains("answered more than 67108864 bytes"), "{told}");
    asked.join().unwrap();
}
