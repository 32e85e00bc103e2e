//! A fleet on loopback: a real sshd a host, each with its own key, and the real responder.

use std::{
    fmt::Write as _,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Everything that is waited for is there within this time, or the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Any free port of loopback; the log tells which.
pub(crate) const LOOPBACK: &str = "127.0.0.1:0";

/// Polls until there is something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What a host's forced command does with a request.
pub(crate) enum Behaviour {
    /// Prints a report of this outcome and mode.
    Reports { outcome: &'static str, mode: &'static str },
    /// Reports `freed`, but not before the test opens the gate.
    WaitsThenFrees,
    /// Runs this script in place of a report; `$attempt` is the attempt's identity.
    Script(&'static str),
}

impl Behaviour {
    pub(crate) const FREES: Self = Self::Reports { outcome: "freed", mode: "enforce" };
}

/// A host: an sshd with a key of its own, and what its forced command has seen.
pub(crate) struct Host {
    pub(crate) name: String,
    /// One of loopback's own: an address may stand for one host only.
    pub(crate) address: String,
    pub(crate) port: u16,
    folder: PathBuf,
    sshd: Option<Child>,
}

impl Host {
    /// The requests that reached the host, as `<command> <json>`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("requests")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Lets a host go on that waits.
    pub(crate) fn open_gate(&self) {
        fs::write(self.folder.join("gate"), "").unwrap();
    }

    /// What sshd wrote.
    pub(crate) fn sshd_log(&self) -> String {
        fs::read_to_string(self.folder.join("sshd.log")).unwrap_or_default()
    }

    fn public_key(&self) -> String {
        fs::read_to_string(self.folder.join("host_key.pub")).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A host that still waits ends by itself.
        let _ = fs::write(self.folder.join("gate"), "");
        if let Some(mut sshd) = self.sshd.take() {
            let _ = sshd.kill();
            let _ = sshd.wait();
        }
    }
}

/// A folder with the responder's key, its `known_hosts`, its configuration and its hosts.
pub(crate) struct Fleet {
    // Before their folder, so that each finds its own until it has ended.
    pub(crate) hosts: Vec<Host>,
    folder: TempDir,
    known_hosts: String,
    entries: String,
    /// How long an attempt may take; what has used a fifth of it gives its place away.
    pub(crate) attempt_deadline: &'static str,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("rs").tempdir().unwrap();
        keygen(&folder.path().join("id"));
        trace_ssh(folder.path());
        let (known_hosts, entries) = (String::new(), String::new());
        Self { folder, hosts: vec![], known_hosts, entries, attempt_deadline: "30s" }
    }

    /// A fleet of one host that frees.
    pub(crate) fn of_one() -> Self {
        let mut fleet = Self::new();
        fleet.add("ray-80", &Behaviour::FREES);
        fleet
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn host(&self, name: &str) -> &Host {
        self.hosts.iter().find(|host| host.name == name).unwrap()
    }

    /// Adds a host whose key is pinned and which knows ours.
    pub(crate) fn add(&mut self, name: &str, behaviour: &Behaviour) {
        let public = fs::read_to_string(self.path("id.pub")).unwrap();
        let host = self.start(name, behaviour, &public);
        self.pin(&host, &host.public_key());
        self.keep(host);
    }

    /// Adds a host that shows another key than the pinned one.
    pub(crate) fn add_with_changed_key(&mut self, name: &str) {
        let public = fs::read_to_string(self.path("id.pub")).unwrap();
        let host = self.start(name, &Behaviour::FREES, &public);
        let other = self.path("other_host_key");
        keygen(&other);
        self.pin(&host, &fs::read_to_string(other.with_extension("pub")).unwrap());
        self.keep(host);
    }

    /// Adds a host of which no key is pinned.
    pub(crate) fn add_with_unknown_key(&mut self, name: &str) {
        let public = fs::read_to_string(self.path("id.pub")).unwrap();
        let host = self.start(name, &Behaviour::FREES, &public);
        self.keep(host);
    }

    /// Adds a host that does not know our key.
    pub(crate) fn add_that_refuses_our_key(&mut self, name: &str) {
        let other = self.path("other_id");
        keygen(&other);
        let public = fs::read_to_string(other.with_extension("pub")).unwrap();
        let host = self.start(name, &Behaviour::FREES, &public);
        self.pin(&host, &host.public_key());
        self.keep(host);
    }

    /// Adds a host that is reached through another SSH server; that one's log tells.
    pub(crate) fn add_behind(&mut self, name: &str, gate: &str) {
        let public = fs::read_to_string(self.path("id.pub")).unwrap();
        let host = self.start(gate, &Behaviour::FREES, &public);
        // What is restricted to one command would not pass a connection on either.
        fs::write(host.folder.join("authorized_keys"), &public).unwrap();
        self.pin(&host, &host.public_key());
        let jump = format!("jump: \"{}@{}:{}\", ", user(), host.address, host.port);
        self.keep(host);
        self.add(name, &Behaviour::FREES);
        let entry = format!("{{ name: {name}, ");
        self.entries = self.entries.replace(&entry, &format!("{entry}{jump}"));
    }

    /// Adds an inventory entry for a port behind which there is no sshd.
    pub(crate) fn add_port(&mut self, name: &str, port: u16) {
        let (address, folder) = (self.next_address(), self.path(name));
        self.keep(Host { name: name.to_owned(), address, port, folder, sshd: None });
    }

    fn pin(&mut self, Host { address, port, .. }: &Host, public_key: &str) {
        let _ = writeln!(self.known_hosts, "[{address}]:{port} {}", public_key.trim());
    }

    fn next_address(&self) -> String {
        format!("127.0.1.{}", self.hosts.len() + 1)
    }

    fn keep(&mut self, host: Host) {
        let Host { name, address, port, .. } = &host;
        let _ = writeln!(
            self.entries,
            "  - {{ name: {name}, address: {address}, aliases: [{name}.example], port: {port} }}"
        );
        self.hosts.push(host);
    }

    fn start(&self, name: &str, behaviour: &Behaviour, client_key: &str) -> Host {
        let folder = self.path(name);
        fs::create_dir(&folder).unwrap();
        keygen(&folder.join("host_key"));
        let script = folder.join("command.sh");
        fs::write(&script, command(&folder, behaviour)).unwrap();
        let authorized = format!("restrict,command=\"/bin/sh {}\" {client_key}", script.display());
        fs::write(folder.join("authorized_keys"), authorized).unwrap();
        // Debian's sshd wants it, and only its own unit makes it.
        let _ = fs::create_dir_all("/run/sshd");
        for _ in 0..10 {
            let address = self.next_address();
            let port = free_port(&address);
            let mut host = Host { name: name.to_owned(), address, port, folder: folder.clone(), sshd: None };
            let mut sshd = sshd(&host);
            let log = || fs::read_to_string(folder.join("sshd.log")).unwrap_or_default();
            let listens = wait_for("sshd", || {
                let ended = sshd.try_wait().unwrap().is_some();
                (ended || log().contains("Server listening")).then_some(!ended)
            });
            host.sshd = Some(sshd);
            if listens {
                return host;
            }
        }
        panic!("no port for sshd; see {}", folder.display());
    }

    /// Starts the responder over all that was added. `settings` are more lines of its configuration.
    pub(crate) fn serve(&self, settings: &str) -> Responder {
        self.try_serve(settings, LOOPBACK)
            .unwrap_or_else(|log| panic!("the responder does not serve:\n{log}"))
    }

    /// As `serve`, on this address; the log where it ends before it serves.
    pub(crate) fn try_serve(&self, settings: &str, address: &str) -> Result<Responder, String> {
        self.try_serve_as(settings, address, &Launch::default())
    }

    /// As `serve`, with more flags and variables.
    pub(crate) fn serve_as(&self, settings: &str, launch: &Launch) -> Responder {
        self.try_serve_as(settings, LOOPBACK, launch)
            .unwrap_or_else(|log| panic!("the responder does not serve:\n{log}"))
    }

    /// Writes the responder's configuration over all that was added.
    pub(crate) fn configure(&self, settings: &str) {
        fs::write(self.path("known_hosts"), &self.known_hosts).unwrap();
        let hosts = if self.entries.is_empty() { "hosts: []" } else { "hosts:" };
        let ssh = format!(
            "ssh: {{ user: {user}, identity_file: {id}, known_hosts_file: {known}, connect_timeout: 15s, attempt_deadline: {deadline}, output_bytes: 65536 }}",
            user = user(),
            id = self.path("id").display(),
            known = self.path("known_hosts").display(),
            deadline = self.attempt_deadline,
        );
        let text = format!("{ssh}\n{settings}\n{hosts}\n{}", self.entries);
        fs::write(self.path("raysweep.yml"), text).unwrap();
    }

    /// As `try_serve`, with more flags and variables.
    pub(crate) fn try_serve_as(
        &self,
        settings: &str,
        address: &str,
        launch: &Launch,
    ) -> Result<Responder, String> {
        self.configure(settings);
        let config = self.path("raysweep.yml");
        let mut command = serve_command(&config, &self.path("data"), address);
        command.args(&launch.flags).envs(launch.variables.iter().cloned());
        let search = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", search);
        Responder::launch(command, self.path("responder.log"))
    }

    /// The same fleet with nothing in its inventory.
    pub(crate) fn without_hosts(mut self) -> Self {
        self.entries.clear();
        self
    }

    /// How often ssh was started, whoever started it.
    pub(crate) fn ssh_starts(&self) -> usize {
        fs::read_to_string(self.path("ssh-starts")).map_or(0, |text| text.lines().count())
    }
}

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

    pub(crate) fn post(&self, path: &str, body: &[u8], token: Option<&str>) -> (u16, Value) {
        let mut request = agent().post(self.url(path)).header("Content-Type", "application/json");
        if let Some(token) = token {
            request = request.header("Authorization", token);
        }
        let mut response = request.send(body).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
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

/// An alert of a payload; more labels may be given, and may name the host otherwise.
pub(crate) fn alert(name: &str, status: &str, labels: &[(&str, &str)]) -> Value {
    let mut all = json!({ "alertname": name });
    for (key, value) in labels {
        all[*key] = json!(value);
    }
    let ends_at = if status == "firing" { "0001-01-01T00:00:00Z" } else { "2026-01-05T10:10:00Z" };
    json!({ "status": status, "labels": all, "annotations": {}, "startsAt": "2026-01-05T10:00:00Z", "endsAt": ends_at })
}

pub(crate) const LARGE: &str = "RayWorkerLargeTmpDirectory";
pub(crate) const CRITICAL: &str = "RayWorkerDiskCritical";

/// A payload of alerts, as Alertmanager wraps them.
pub(crate) fn payload(alerts: &[Value]) -> String {
    json!({ "version": "4", "groupKey": "{}", "receiver": "raysweep", "status": "firing", "alerts": alerts, "truncatedAlerts": 0 })
        .to_string()
}

pub(crate) fn firing(host: &str) -> String {
    payload(&[alert(LARGE, "firing", &[("host", host)])])
}

pub(crate) fn resolved(host: &str) -> String {
    payload(&[alert(LARGE, "resolved", &[("host", host)])])
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn keygen(path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
}

pub(crate) fn free_port(address: &str) -> u16 {
    TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port()
}

fn sshd(host: &Host) -> Child {
    let folder = host.folder.display();
    let config = host.folder.join("sshd_config");
    let text = format!(
        "Port {}\nListenAddress {}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized_keys\n\
         PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nLogLevel VERBOSE\n",
        host.port, host.address
    );
    fs::write(&config, text).unwrap();
    Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(host.folder.join("sshd.log")).unwrap())
        .spawn()
        .expect("sshd is installed: apt-get install openssh-server")
}

/// What the responder finds as `ssh` notes every start and is ssh.
fn trace_ssh(folder: &Path) {
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    let starts = folder.join("ssh-starts");
    let script =
        format!("#!/bin/sh\nprintf '%s\\n' \"$*\" >>{}\nexec /usr/bin/ssh \"$@\"\n", starts.display());
    fs::write(bin.join("ssh"), script).unwrap();
    let made = Command::new("chmod").arg("+x").arg(bin.join("ssh")).status().unwrap();
    assert!(made.success());
}

/// The forced command: notes the request, then behaves.
fn command(folder: &Path, behaviour: &Behaviour) -> String {
    let folder = folder.display();
    let note = format!(
        "request=$(cat)\nprintf '%s %s\\n' \"$SSH_ORIGINAL_COMMAND\" \"$request\" >>{folder}/requests\n\
         attempt=$(printf %s \"$request\" | sed -n 's/.*\"attempt\":\"\\([^\"]*\\)\".*/\\1/p')\n"
    );
    let act = match behaviour {
        Behaviour::Reports { outcome, mode } => report(outcome, mode),
        Behaviour::WaitsThenFrees => {
            // Bounded, so that nothing stays behind whatever becomes of the test.
            format!(
                "n=0\nuntil [ -e {folder}/gate ] || [ ! -d {folder} ] || [ $n -gt 1500 ]; do sleep 0.02; n=$((n+1)); done\n{}",
                report("freed", "enforce")
            )
        }
        Behaviour::Script(script) => (*script).to_owned(),
    };
    note + &act
}

fn report(outcome: &str, mode: &str) -> String {
    let (freed, verdict) =
        if matches!(outcome, "freed" | "would_free") { (4096, "cleaned") } else { (0, "nothing_to_remove") };
    let verdict = if mode == "observe" { "would_clean" } else { verdict };
    let report = json!({
        "schema": 1, "attempt": "ATTEMPT", "host": "a-node", "version": "0.1.0", "trigger": "alert", "mode": mode,
        "dry_run": false, "started_at": "2026-01-05T10:00:00Z", "finished_at": "2026-01-05T10:00:01Z",
        "outcome": outcome, "freed_bytes": freed, "disks": [],
        "workers": [{
            "name": "ray-worker-1", "runtime": "docker", "state": "no_job", "verdict": verdict,
            "tmp_before_bytes": 8192, "tmp_after_bytes": 4096, "freed_bytes": freed,
            "evidence": [], "removed": [], "kept": [],
        }],
    });
    format!("printf '%s\\n' '{report}' | sed \"s/ATTEMPT/$attempt/\"\n")
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
