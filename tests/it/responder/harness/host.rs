//! A host: a real sshd whose forced command behaves as a test wants.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::json;

use super::{
    proxy::{Proxy, Stage},
    waiting::wait_for,
};

/// What a host's forced command does with a request.
pub(crate) enum Behaviour {
    /// Prints a report of this outcome and mode.
    Reports { outcome: &'static str, mode: &'static str },
    /// Reports `freed`, but not before the test opens the gate.
    WaitsThenFrees,
    /// Runs this script, in which `$attempt` is the attempt's identity, `report` prints a report of `freed`,
    /// and `wait_at_gate` waits until the test opens the gate.
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
    pub(super) folder: PathBuf,
    pub(super) sshd: Option<Child>,
    /// What stands before it, where a test wants connections to get stuck.
    pub(super) proxy: Option<Proxy>,
}

impl Host {
    /// Starts an sshd that lets this key in, to its forced command and nothing else.
    pub(super) fn start(folder: PathBuf, address: &str, behaviour: &Behaviour, client_key: &str) -> Self {
        fs::create_dir(&folder).unwrap();
        keygen(&folder.join("host_key"));
        let script = folder.join("command.sh");
        fs::write(&script, command(&folder, behaviour)).unwrap();
        let authorized = format!("restrict,command=\"/bin/sh {}\" {client_key}", script.display());
        fs::write(folder.join("authorized_keys"), authorized).unwrap();
        // Debian's sshd wants it, and only its own unit makes it.
        let _ = fs::create_dir_all("/run/sshd");
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let mut host = Self { name, address: address.to_owned(), port: 0, folder, sshd: None, proxy: None };
        for _ in 0..10 {
            host.port = free_port(address);
            let mut sshd = sshd(&host);
            let listens = wait_for("sshd", || {
                let ended = sshd.try_wait().unwrap().is_some();
                (ended || host.sshd_log().contains("Server listening")).then_some(!ended)
            });
            host.sshd = Some(sshd);
            if listens {
                return host;
            }
        }
        panic!("no port for sshd; see {}", host.folder.display());
    }

    /// The requests that reached the host, as `<command> <json>`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("requests")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Lets a host go on that waits.
    pub(crate) fn open_gate(&self) {
        fs::write(self.folder.join("gate"), "").unwrap();
    }

    /// Passes no byte on any more, in either direction.
    pub(crate) fn get_stuck(&self) {
        self.proxy.as_ref().expect("a proxy stands before it").get_stuck();
    }

    /// Is reached through a proxy from now on.
    pub(super) fn behind_proxy(mut self, stage: Stage) -> Self {
        let proxy = Proxy::before(&self.address, self.port, stage);
        self.port = proxy.port;
        self.proxy = Some(proxy);
        self
    }

    /// What sshd wrote.
    pub(crate) fn sshd_log(&self) -> String {
        fs::read_to_string(self.folder.join("sshd.log")).unwrap_or_default()
    }

    pub(super) fn public_key(&self) -> String {
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

pub(super) fn keygen(path: &Path) {
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

/// The forced command: notes the request, then behaves.
fn command(folder: &Path, behaviour: &Behaviour) -> String {
    let folder = folder.display();
    let (outcome, mode) = match behaviour {
        Behaviour::Reports { outcome, mode } => (*outcome, *mode),
        Behaviour::WaitsThenFrees | Behaviour::Script(_) => ("freed", "enforce"),
    };
    let act = match behaviour {
        Behaviour::Reports { .. } => "report",
        Behaviour::WaitsThenFrees => "wait_at_gate; report",
        Behaviour::Script(script) => script,
    };
    // The wait is bounded, so that nothing stays behind whatever becomes of the test.
    format!(
        "request=$(cat)\nprintf '%s %s\\n' \"$SSH_ORIGINAL_COMMAND\" \"$request\" >>{folder}/requests\n\
         attempt=$(printf %s \"$request\" | sed -n 's/.*\"attempt\":\"\\([^\"]*\\)\".*/\\1/p')\n\
         report() {{ printf '%s\\n' '{}' | sed \"s/ATTEMPT/$attempt/\"; }}\n\
         wait_at_gate() {{ n=0; until [ -e {folder}/gate ] || [ ! -d {folder} ] || [ $n -gt 1500 ]; do sleep 0.02; n=$((n+1)); done; }}\n\
         {act}\n",
        report(outcome, mode)
    )
}

fn report(outcome: &str, mode: &str) -> String {
    let (freed, verdict) =
        if matches!(outcome, "freed" | "would_free") { (4096, "cleaned") } else { (0, "nothing_to_remove") };
    let verdict = if mode == "observe" { "would_clean" } else { verdict };
    json!({
        "schema": 1, "attempt": "ATTEMPT", "host": "a-node", "version": "0.1.0", "trigger": "alert", "mode": mode,
        "dry_run": false, "started_at": "2026-01-05T10:00:00Z", "finished_at": "2026-01-05T10:00:01Z",
        "outcome": outcome, "freed_bytes": freed, "disks": [],
        "workers": [{
            "name": "ray-worker-1", "runtime": "docker", "state": "no_job", "verdict": verdict,
            "tmp_before_bytes": 8192, "tmp_after_bytes": 4096, "freed_bytes": freed,
            "evidence": [], "removed": [], "kept": [],
        }],
    })
    .to_string()
}
