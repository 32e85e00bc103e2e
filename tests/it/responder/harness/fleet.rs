//! The fleet: its hosts, the responder's key, what it trusts and its configuration.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{
    host::{Behaviour, Host, keygen},
    payloads::{LARGE, alert, firing, payload},
    process::{LOOPBACK, Launch, Responder, serve_command},
    proxy::Stage,
    waiting::wait_for,
};

/// A folder with the responder's key, its `known_hosts`, its configuration and its hosts.
pub(crate) struct Fleet {
    // Before their folder, so that each finds its own until it has ended.
    pub(crate) hosts: Vec<Host>,
    folder: TempDir,
    known_hosts: String,
    entries: String,
    /// How long an attempt may take; what has used a fifth of it gives its place away.
    pub(crate) attempt_deadline: &'static str,
    /// How long connecting may take.
    pub(crate) connect_timeout: &'static str,
    /// How much a host may print.
    pub(crate) output_bytes: u64,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("rs").tempdir().unwrap();
        keygen(&folder.path().join("id"));
        trace_ssh(folder.path());
        let (known_hosts, entries) = (String::new(), String::new());
        Self {
            folder,
            hosts: vec![],
            known_hosts,
            entries,
            attempt_deadline: "30s",
            connect_timeout: "15s",
            output_bytes: 65536,
        }
    }

    /// A fleet of one host that frees.
    pub(crate) fn of_one() -> Self {
        let mut fleet = Self::new();
        fleet.add("ray-80", &Behaviour::FREES);
        fleet
    }

    /// A fleet of hosts that free once their gates are opened.
    pub(crate) fn that_waits<const N: usize>(names: [&str; N]) -> Self {
        let mut fleet = Self::new();
        for name in names {
            fleet.add(name, &Behaviour::WaitsThenFrees);
        }
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
        let host = self.start(name, behaviour, &self.public_key());
        self.keep_pinned(host);
    }

    /// As `add`, where connections get stuck on their way.
    pub(crate) fn add_stuck(&mut self, name: &str, behaviour: &Behaviour, stage: Stage) {
        let host = self.start(name, behaviour, &self.public_key()).behind_proxy(stage);
        self.keep_pinned(host);
    }

    /// Adds a host that shows another key than the pinned one.
    pub(crate) fn add_with_changed_key(&mut self, name: &str) {
        let host = self.start(name, &Behaviour::FREES, &self.public_key());
        let other = self.path("other_host_key");
        keygen(&other);
        self.pin(&host, &fs::read_to_string(other.with_extension("pub")).unwrap());
        self.keep(host);
    }

    /// Adds a host of which no key is pinned.
    pub(crate) fn add_with_unknown_key(&mut self, name: &str) {
        let host = self.start(name, &Behaviour::FREES, &self.public_key());
        self.keep(host);
    }

    /// Adds a host that does not know our key.
    pub(crate) fn add_that_refuses_our_key(&mut self, name: &str) {
        let other = self.path("other_id");
        keygen(&other);
        let public = fs::read_to_string(other.with_extension("pub")).unwrap();
        let host = self.start(name, &Behaviour::FREES, &public);
        self.keep_pinned(host);
    }

    /// Adds a host that is reached through another SSH server, on whose way connections get stuck; that
    /// one's log tells.
    pub(crate) fn add_behind(&mut self, name: &str, gate: &str, stage: Stage) {
        let public = self.public_key();
        let host = self.start(gate, &Behaviour::FREES, &public).behind_proxy(stage);
        // What is restricted to one command would not pass a connection on either.
        fs::write(host.folder.join("authorized_keys"), &public).unwrap();
        let jump = format!("jump: \"{}@{}:{}\", ", user(), host.address, host.port);
        self.keep_pinned(host);
        self.add(name, &Behaviour::FREES);
        let entry = format!("{{ name: {name}, ");
        self.entries = self.entries.replace(&entry, &format!("{entry}{jump}"));
    }

    /// A host's key is one that nobody may use any more.
    pub(crate) fn revoke(&mut self, name: &str) {
        let Host { address, port, .. } = self.host(name);
        let line = format!("@revoked [{address}]:{port} {}", self.host(name).public_key());
        self.known_hosts.push_str(&line);
    }

    /// A host's key is pinned no longer.
    pub(crate) fn unpin(&mut self, name: &str) {
        let Host { address, port, .. } = self.host(name);
        let pinned = format!("[{address}]:{port} ");
        let lines = self.known_hosts.split_inclusive('\n');
        self.known_hosts = lines.filter(|line| !line.starts_with(&pinned)).collect();
    }

    /// Adds an inventory entry for a port behind which there is no sshd.
    pub(crate) fn add_port(&mut self, name: &str, port: u16) {
        let (address, folder) = (self.next_address(), self.path(name));
        self.keep(Host { name: name.to_owned(), address, port, folder, sshd: None, proxy: None });
    }

    fn public_key(&self) -> String {
        fs::read_to_string(self.path("id.pub")).unwrap()
    }

    fn keep_pinned(&mut self, host: Host) {
        self.pin(&host, &host.public_key());
        self.keep(host);
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
        Host::start(self.path(name), &self.next_address(), behaviour, client_key)
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

    /// As `serve`, with an attempt under way on the first host, which waits at its gate.
    pub(crate) fn serve_in_mid_attempt(&self, settings: &str) -> Responder {
        let (responder, host) = (self.serve(settings), &self.hosts[0]);
        assert_eq!(responder.send(firing(&host.name)), 200);
        wait_for("the request at the host", || (host.requests().len() == 1).then_some(()));
        responder
    }

    /// An alert fires on every host.
    pub(crate) fn fire_on_all(&self, responder: &Responder) {
        let fires = |host: &Host| alert(LARGE, "firing", &[("host", &host.name)]);
        let alerts: Vec<_> = self.hosts.iter().map(fires).collect();
        assert_eq!(responder.send(payload(&alerts)), 200);
    }

    /// Waits until an attempt has reached so many hosts.
    pub(crate) fn wait_for_requests(&self, hosts: usize) {
        let reached = || self.hosts.iter().filter(|host| !host.requests().is_empty()).count();
        wait_for(&format!("requests at {hosts} hosts"), || (reached() == hosts).then_some(()));
    }

    /// Opens every gate, and waits until each host has been freed.
    pub(crate) fn free_all(&self, responder: &Responder) {
        self.hosts.iter().for_each(Host::open_gate);
        for host in &self.hosts {
            assert_eq!(responder.ended_attempt(&host.name)["outcome"], "freed");
        }
    }

    /// Writes the responder's configuration over all that was added.
    pub(crate) fn configure(&self, settings: &str) {
        fs::write(self.path("known_hosts"), &self.known_hosts).unwrap();
        let hosts = if self.entries.is_empty() { "hosts: []" } else { "hosts:" };
        let ssh = format!(
            "ssh: {{ user: {user}, identity_file: {id}, known_hosts_file: {known}, connect_timeout: {connect}, attempt_deadline: {deadline}, output_bytes: {output} }}",
            user = user(),
            id = self.path("id").display(),
            known = self.path("known_hosts").display(),
            connect = self.connect_timeout,
            deadline = self.attempt_deadline,
            output = self.output_bytes,
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

fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
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
