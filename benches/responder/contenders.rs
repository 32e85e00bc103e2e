//! Who answers: raysweep as shipped, and adnanh/webhook with a command that does nothing.

use std::{
    env, fs,
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::{LOOPBACK, Responder, free_port, serve_command, wait_for},
    load::{self, Answered},
    payload,
    stand_in::StandIns,
};

/// Nobody is measured cold.
const WARM_UP: Duration = Duration::from_secs(1);

/// `raysweep serve` over hosts that a stand-in for ssh leads to, without the tests' hand on its disk and
/// its clock.
pub(crate) fn serve(fleet: &StandIns, settings: &str) -> Responder {
    let mut command = serve_command(&fleet.configure(settings), &fleet.path("data"), LOOPBACK);
    let path = format!("{}:{}", fleet.path("bin").display(), env::var("PATH").unwrap());
    command.env("PATH", path).env("STAND_IN", fleet.path("")).env("SWEEP_MS", "0");
    Responder::launch(command, fleet.path("responder.log"))
        .unwrap_or_else(|log| panic!("the responder does not serve:\n{log}"))
}

/// What was answered, and how much a second was also done, as far as an answer promises it.
pub(crate) type Measured = (Answered, f64);

/// What raysweep answered, all of which is in its journal after it was killed: what is answered is done.
pub(crate) fn raysweep(connections: usize, span: Duration) -> Measured {
    let fleet = StandIns::new((0..payload::HOSTS).map(payload::host));
    let responder = serve(&fleet, "");
    let (url, next) = (responder.url("/webhook"), AtomicU64::new(0));
    let warm = load::send(&url, connections, WARM_UP, &next);
    let answered = load::send(&url, connections, span, &next);
    let sent = warm.count + answered.count;
    assert_eq!(next.load(Ordering::Relaxed), sent);
    assert_eq!(responder.metric(r#"raysweep_notifications_total{result="accepted"}"#), sent);
    responder.kill_9();
    let responder = serve(&fleet, "");
    assert_eq!(stored(&responder), payload::distinct(sent), "what was acknowledged is not what is stored");
    responder.stop();
    let done = answered.a_second;
    (answered, done)
}

/// How many incidents and alerts the journal has.
fn stored(responder: &Responder) -> (u64, u64) {
    let (status, text) = responder.get("/api/v1/incidents?limit=1000");
    assert_eq!(status, 200, "{text}");
    let rows: Value = serde_json::from_str(&text).unwrap();
    let incidents = rows["incidents"].as_array().unwrap();
    let alerts: usize = incidents.iter().map(|incident| incident["alerts"].as_array().unwrap().len()).sum();
    (incidents.len() as u64, alerts as u64)
}

/// What webhook answered; done is what it has started its command for, once the last of them has ended.
pub(crate) fn webhook(connections: usize, span: Duration) -> Measured {
    let webhook = Webhook::start();
    let next = AtomicU64::new(0);
    let before = forks();
    let warm = load::send(&webhook.url, connections, WARM_UP, &next);
    webhook.ended(before + warm.count);
    let (before, begun) = (forks(), Instant::now());
    let answered = load::send(&webhook.url, connections, span, &next);
    let ended = webhook.ended(before + answered.count);
    let commands = answered.count.min(forks() - before);
    if commands < answered.count {
        eprintln!("of {} commands webhook has started {commands} at most", answered.count);
    }
    (answered, commands as f64 / (ended - begun).as_secs_f64())
}

/// Processes that were ever started here, threads among them.
fn forks() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    stat.lines().find_map(|line| line.strip_prefix("processes ")).unwrap().parse().unwrap()
}

/// So long none runs only where none is left to be started.
const QUIET: Duration = Duration::from_secs(2);

struct Webhook {
    url: String,
    process: Child,
    _folder: TempDir,
}

impl Webhook {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hooks = folder.path().join("hooks.json");
        fs::write(&hooks, json!([{ "id": "alert", "execute-command": "/bin/true" }]).to_string()).unwrap();
        let port = free_port("127.0.0.1");
        let process = Command::new(program())
            .arg("-hooks")
            .arg(&hooks)
            .args(["-ip", "127.0.0.1", "-port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let webhook = Self { url: format!("http://127.0.0.1:{port}/hooks/alert"), process, _folder: folder };
        wait_for("webhook", || TcpStream::connect(("127.0.0.1", port)).ok());
        webhook
    }

    /// Waits until it has ended its commands, and says when the last was seen: so many processes have begun here
    /// by then, or none of its own has for a while. It starts no command where it may open no more files, of
    /// which each that waits for its start has some.
    fn ended(&self, processes: u64) -> Instant {
        let mut last = Instant::now();
        wait_for("the commands' ends", || {
            if !self.is_idle() {
                last = Instant::now();
                return None;
            }
            // For a moment none may run while others wait.
            (forks() >= processes || last.elapsed() > QUIET).then_some(last)
        })
    }

    /// Whether none of its commands runs.
    fn is_idle(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let children = |thread: PathBuf| fs::read_to_string(thread.join("children")).unwrap_or_default();
        threads.flatten().all(|thread| children(thread.path()).is_empty())
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> PathBuf {
    env::var_os("WEBHOOK").expect("benches/responder.sh says where webhook is").into()
}

/// Its version, as it says it.
pub(crate) fn webhook_version() -> String {
    let said = Command::new(program()).arg("-version").output().unwrap().stdout;
    String::from_utf8_lossy(&said).trim().to_owned()
}
