//! The responder's process: started, asked, stopped, killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use super::waiting::{PATIENCE, wait_for};

/// Any free port of loopback; the log tells which.
pub(crate) const LOOPBACK: &str = "127.0.0.1:0";

/// How the responder is started beside its configuration.
#[derive(Default)]
pub(crate) struct Launch {
    pub(crate) flags: Vec<String>,
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Launch {
    pub(crate) fn with_flags<const N: usize>(flags: [&str; N]) -> Self {
        Self { flags: flags.map(str::to_owned).to_vec(), variables: vec![] }
    }
}

/// The responder over a configuration and a journal.
pub(crate) fn serve_command(config: &Path, data: &Path, address: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raysweep"));
    command.arg("serve").arg("--config.file").arg(config).arg("--storage.path").arg(data);
    command.args(["--web.listen-address", address]);
    // What a service's account has, which runs nothing.
    command.env("SHELL", "/usr/sbin/nologin");
    command
}

/// The responder's process.
pub(crate) struct Responder {
    pub(crate) address: String,
    log: PathBuf,
    pub(crate) process: Child,
}

impl Responder {
    /// Starts it and waits until it serves; its log where it ends before that.
    pub(crate) fn launch(mut command: Command, log: PathBuf) -> Result<Self, String> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let mut process = command.spawn().unwrap();
        let text = || fs::read_to_string(&log).unwrap();
        let address = wait_for("the responder", || {
            let text = text();
            let said = text.split_once(" address=").or_else(|| text.split_once(r#""address":""#));
            let served = said.map(|(_, rest)| rest.split([' ', '\n', '"']).next().unwrap().to_owned());
            (served.is_some() || process.try_wait().unwrap().is_some()).then_some(served)
        });
        match address {
            Some(address) => Ok(Self { address, log, process }),
            None => Err(text()),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Sends a body to the webhook; the status code.
    pub(crate) fn send(&self, body: impl AsRef<[u8]>) -> u16 {
        self.post("/webhook", body.as_ref(), None).0
    }

    /// The status; none where the responder went away before it answered.
    pub(crate) fn try_send(&self, body: impl AsRef<[u8]>) -> Option<u16> {
        let request = agent().post(self.url("/webhook")).header("Content-Type", "application/json");
        request.send(body.as_ref()).ok().map(|response| response.status().as_u16())
    }

    pub(crate) fn post(&self, path: &str, body: &[u8], token: Option<&str>) -> (u16, Value) {
        let mut request = agent().post(self.url(path)).header("Content-Type", "application/json");
        if let Some(token) = token {
            request = request.header("Authorization", token);
        }
        let mut response = request.send(body).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Asks for a reload over HTTP; the status and what was said.
    pub(crate) fn reload(&self) -> (u16, String) {
        let mut answer = agent().post(self.url("/-/reload")).send_empty().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut response = agent().get(self.url(path)).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    pub(crate) fn content_type(&self, path: &str) -> String {
        let response = agent().get(self.url(path)).call().unwrap();
        response.headers()["content-type"].to_str().unwrap().to_owned()
    }

    /// Rows of `/api/v1/<name>`, the newest first.
    pub(crate) fn rows(&self, name: &str) -> Vec<Value> {
        let (status, text) = self.get(&format!("/api/v1/{name}"));
        assert_eq!(status, 200, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()[name].as_array().unwrap().clone()
    }

    pub(crate) fn attempts(&self, host: &str) -> Vec<Value> {
        self.rows("attempts").into_iter().filter(|attempt| attempt["host"] == host).collect()
    }

    /// Waits for the newest attempt on a host to end.
    pub(crate) fn ended_attempt(&self, host: &str) -> Value {
        wait_for(&format!("an ended attempt on {host}\n{}", self.log()), || {
            self.attempts(host).into_iter().next().filter(|attempt| !attempt["finished_at"].is_null())
        })
    }

    /// The newest incident of a host.
    pub(crate) fn incident(&self, host: &str) -> Value {
        self.rows("incidents").into_iter().find(|incident| incident["host"] == host).unwrap_or(Value::Null)
    }

    /// The value of a series, written as Prometheus writes it; a whole number.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let (_, text) = self.get("/metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
    }

    /// What it has started and not seen the end of, as the kernel describes it.
    pub(crate) fn children(&self) -> Vec<String> {
        let ours = self.process.id().to_string();
        let child = |stat: &String| {
            let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
            fields.and_then(|fields| fields.split_whitespace().nth(1)) == Some(ours.as_str())
        };
        let stats = fs::read_dir("/proc").unwrap();
        let stats = stats.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
        stats.filter(child).collect()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to end; its exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        wait_for("the responder's end", || self.process.try_wait().unwrap()).code()
    }

    /// Kills it, as the kernel would.
    pub(crate) fn kill_9(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks it to stop, and waits for it.
    pub(crate) fn stop(mut self) {
        self.signal("-TERM");
        assert_eq!(self.exit_code(), Some(0), "{}", self.log());
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            self.log.parent().into_iter().for_each(end_left_over);
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- the responder's log ---\n{log}");
        }
    }
}

pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}

/// Command lines of processes that name this.
pub(crate) fn processes_with(text: &str) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap();
    all.filter_map(|entry| command_line(&entry.ok()?.path())).filter(|line| line.contains(text)).collect()
}

fn command_line(process: &Path) -> Option<String> {
    Some(String::from_utf8_lossy(&fs::read(process.join("cmdline")).ok()?).replace('\0', " "))
}

/// Ends the ssh processes that a killed responder left, each by its id.
fn end_left_over(folder: &Path) {
    let socket = format!("{}/data/ssh/", folder.display());
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if command_line(&entry.path()).is_some_and(|line| line.contains(&socket)) {
            let _ = Command::new("kill").arg(entry.file_name()).status();
        }
    }
}
