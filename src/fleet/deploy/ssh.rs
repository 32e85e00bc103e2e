//! One run of ssh, with a bound: nobody is asked anything, and what ssh says is kept apart from what the
//! host says.

use std::{ffi::OsString, io, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::timeout,
};

use super::known_hosts::Fingerprint;

/// The longest answer that is read.
const ANSWER_BYTES: u64 = 4 << 20;
/// What is kept of what the host says on standard error.
pub(in crate::fleet) const SAID_BYTES: u64 = 64 * 1024;
/// The exit code with which ssh says that it has not come there, or no longer is.
pub(in crate::fleet) const NO_CONNECTION: i32 = 255;
/// What ssh says of its connection goes there.
const LOG: &str = "log";

/// A command that is to be run on a host.
#[derive(Debug)]
pub(in crate::fleet) struct Call<'a> {
    /// ssh's configuration. A file is made of it, and no options: only a file is passed on to the ssh that
    /// goes through a jump host.
    pub(super) config: &'a str,
    /// ssh's options that differ from host to host, and the host.
    pub(super) arguments: &'a [OsString],
    /// What is to be run there.
    pub(super) command: &'a str,
    /// Whether the caller's agent may be asked for keys.
    pub(super) has_agent: bool,
    /// How long it may take.
    pub(super) deadline: Duration,
}

/// How a command ended there.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
    /// The key that the host has shown.
    pub(super) host_key: Option<Fingerprint>,
}

/// Why no command was run there.
#[derive(Debug)]
pub(in crate::fleet) enum Failure {
    /// The host, or the jump host of this name, shows another key than the known one.
    KeyChanged(Option<String>),
    /// No key of the host, or of the jump host of this name, is known.
    KeyUnknown(Option<String>),
    /// It does not let us in.
    NotLetIn(String),
    /// A jump host does not let us in.
    NotLetThrough(String),
    /// There is no answer.
    NoAnswer(String),
    /// It had let us in, and then there was no answer: what was sent may have been carried out.
    Lost(String),
    /// This machine cannot run ssh.
    Local(io::Error),
}

/// What ssh says of its connection, kept apart from what the host says, and its configuration: both go with
/// it.
#[derive(Debug)]
pub(in crate::fleet) struct Words(TempDir);

impl Words {
    /// All that it has said so far.
    pub(in crate::fleet) fn read(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.0.path().join(LOG)).unwrap_or_default()).into_owned()
    }
}

impl Call<'_> {
    /// An ssh that may be started.
    pub(in crate::fleet) fn ready(&self) -> io::Result<(Command, Words)> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("config");
        std::fs::write(&config, self.config)?;
        // Without a terminal of its session no ssh can ask anything, not even one that the operator's
        // configuration starts to get through somewhere; and a terminal's Ctrl-C is for us.
        let mut ssh = Command::new("setsid");
        // ssh's own words go to a file of their own: on standard error there are the host's.
        ssh.args(["ssh", "-F"]).arg(&config).args(["-T", "-v", "-E"]).arg(folder.path().join(LOG));
        ssh.args(self.arguments).arg(self.command);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        ssh.env("LC_ALL", "C").env("SSH_ASKPASS_REQUIRE", "never");
        if !self.has_agent {
            ssh.env_remove("SSH_AUTH_SOCK");
        }
        Ok((ssh, Words(folder)))
    }

    /// Runs it, with a first line and what follows it on its standard input.
    pub(super) async fn run(&self, first_line: &[u8], input: &[u8]) -> Result<Ended, Failure> {
        let (ssh, words) = self.ready().map_err(Failure::Local)?;
        let said = timeout(self.deadline, talk(ssh, first_line, input)).await.map_err(|_| {
            let why = format!("no answer within {} s", self.deadline.as_secs());
            if was_let_in(&words.read()) { Failure::Lost(why) } else { Failure::NoAnswer(why) }
        })?;
        let (code, stdout, stderr) = said.map_err(Failure::Local)?;
        let (log, stderr) = (words.read(), String::from_utf8_lossy(&stderr).into_owned());
        if code == Some(NO_CONNECTION) {
            return Err(failure(&log, &stderr));
        }
        Ok(Ended { code, stdout, stderr, host_key: host_key(&log) })
    }
}

/// Ends ssh together with what it has started to get through to a host. Disarmed once its end was seen:
/// then the number may already be another's.
#[derive(Debug)]
pub(in crate::fleet) struct Group(Option<Pid>);

impl Group {
    /// That of an ssh which was just started.
    pub(in crate::fleet) fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// Its end was seen.
    pub(in crate::fleet) fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs ssh to its end: its exit code, standard output, and the start of standard error.
async fn talk(
    mut ssh: Command,
    first_line: &[u8],
    input: &[u8],
) -> io::Result<(Option<i32>, Vec<u8>, Vec<u8>)> {
    let mut child = ssh.spawn()?;
    let mut group = Group::of(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A host that does not read has its reason, which its output or exit code tells.
            let _ = stdin.write_all(first_line).await;
            let _ = stdin.write_all(b"\n").await;
            let _ = stdin.write_all(input).await;
        }
    };
    let (mut answer, mut said) = (vec![], vec![]);
    let read = async {
        if let Some(stdout) = stdout {
            stdout.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
        }
        io::Result::Ok(())
    };
    let listen = async {
        if let Some(mut stderr) = stderr {
            (&mut stderr).take(SAID_BYTES).read_to_end(&mut said).await?;
            tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
        }
        io::Result::Ok(())
    };
    let ((), was_read, was_heard) = tokio::join!(write, read, listen);
    was_read.and(was_heard)?;
    let status = child.wait().await?;
    group.disarm();
    Ok((status.code(), answer, said))
}

/// Why there was no connection: by what ssh said of the host in its log, or by what the ssh that it has
/// started said of a jump host on standard error.
pub(in crate::fleet) fn failure(log: &str, stderr: &str) -> Failure {
    // From then on what is said beside the log is the host's, and nothing of it tells why.
    if was_let_in(log) {
        return Failure::Lost(last_words(log));
    }
    let has = |text: &str, needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    for (text, is_jump) in [(log, false), (stderr, true)] {
        let name = |before, behind| is_jump.then(|| between(text, before, behind));
        if has(text, &["IDENTIFICATION HAS CHANGED", "REVOKED HOST KEY"]) {
            return Failure::KeyChanged(name("Host key for ", " has changed"));
        }
        if has(text, &["host key is known for", "Host key verification failed"]) {
            return Failure::KeyUnknown(name("host key is known for ", " and you have"));
        }
        if has(text, &["Permission denied", "Too many authentication failures"]) {
            let said = last_words(text);
            return if is_jump { Failure::NotLetThrough(said) } else { Failure::NotLetIn(said) };
        }
    }
    // What ssh says of a connection that it does not make itself.
    let is_through = log.contains("UNKNOWN port");
    Failure::NoAnswer(last_words(if is_through && !last_words(stderr).is_empty() { stderr } else { log }))
}

/// Whether ssh has come in at the host itself. A jump host's ssh has another log.
fn was_let_in(log: &str) -> bool {
    log.lines().any(|line| line.starts_with("Authenticated to "))
}

/// A name that ssh has in the middle of a line.
fn between(text: &str, before: &str, behind: &str) -> String {
    let name = text.split_once(before).and_then(|(_, rest)| rest.split_once(behind)).map(|(name, _)| name);
    let name = name.filter(|name| name.len() < 200 && !name.contains(char::is_whitespace));
    name.unwrap_or("that is gone through").to_owned()
}

/// The last line that is no detail of ssh's own.
pub(in crate::fleet) fn last_words(log: &str) -> String {
    let is_detail = |line: &str| {
        // The last one is of the ssh that was started for a jump host, and ended with ours.
        ["debug", "OpenSSH_", "Authenticated to", "Transferred:", "Bytes per second", "Killed by signal"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let line = log.lines().map(str::trim).rfind(|line| !line.is_empty() && !is_detail(line));
    line.unwrap_or("nothing said").chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The key that the host has proved to have: of a certificate, the key that it is for.
fn host_key(log: &str) -> Option<Fingerprint> {
    let line = log.lines().rfind(|line| line.contains("Server host key: "))?;
    let fingerprint = line.split_ascii_whitespace().find(|word| word.starts_with("SHA256:"))?;
    Some(Fingerprint(fingerprint.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_way_through_a_jump_host_died_of_is_no_last_word() {
        let log = "debug1: Executing proxy command\nssh: connect to host jump port 22: Connection timed out\n\
                   Killed by signal 1.\n";
        assert_eq!(last_words(log), "ssh: connect to host jump port 22: Connection timed out");
    }

    #[test]
    fn what_ssh_says_is_told_apart() {
        let unknown = "No ED25519 host key is known for [::1]:22 and you have requested strict checking.\nHost key verification failed.";
        assert!(matches!(failure(unknown, ""), Failure::KeyUnknown(None)));
        let changed = "@  WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!  @";
        assert!(matches!(failure(changed, ""), Failure::KeyChanged(None)));
        assert!(matches!(failure("jo@10.0.0.80: Permission denied (publickey).", ""), Failure::NotLetIn(_)));
        let log = "debug1: Connecting\nssh: connect to host 10.0.0.80 port 22: No route to host\ndebug1: x\n";
        let Failure::NoAnswer(why) = failure(log, "") else { panic!("{log}") };
        assert_eq!(why, "ssh: connect to host 10.0.0.80 port 22: No route to host");
    }

    /// Whoever takes that for no connection takes it that nothing was begun.
    #[test]
    fn a_connection_that_broke_after_the_login_is_lost_and_was_there() {
        let log = "debug1: x\nAuthenticated to 10.0.0.80 ([10.0.0.80]:22) using \"publickey\".\r\nTimeout, server 10.0.0.80 not responding.\r\n";
        for stderr in ["", "rm: Permission denied\n", "Host key verification failed.\n"] {
            let Failure::Lost(why) = failure(log, stderr) else { panic!("{stderr}") };
            assert_eq!(why, "Timeout, server 10.0.0.80 not responding.");
        }
        let Failure::NoAnswer(_) = failure("debug1: Authenticated to nobody\n", "") else { panic!() };
    }

    #[test]
    fn a_jump_host_is_named() {
        let log = "kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535\n";
        let said = |stderr: &str| failure(log, stderr);
        let unknown = "debug1: x\nNo ED25519 host key is known for 10.0.0.1 and you have requested strict checking.\nHost key verification failed.\n";
        assert!(matches!(said(unknown), Failure::KeyUnknown(Some(name)) if name == "10.0.0.1"));
        let changed = "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key for [10.0.0.1]:2222 has changed and you have requested strict checking.\n";
        assert!(matches!(said(changed), Failure::KeyChanged(Some(name)) if name == "[10.0.0.1]:2222"));
        let unnamed = "Host key verification failed.\n";
        assert!(matches!(said(unnamed), Failure::KeyUnknown(Some(name)) if name == "that is gone through"));
        let closed = "ssh: connect to host 10.0.0.1 port 22: Connection refused\r\n";
        assert!(matches!(said(closed), Failure::NoAnswer(why) if why.ends_with("Connection refused")));
        let denied = "jo@10.0.0.1: Permission denied (publickey).\n";
        assert!(matches!(said(denied), Failure::NotLetThrough(why) if why.starts_with("jo@")));
    }

    #[test]
    fn the_host_key_is_the_last_one_that_was_shown() {
        let log = "debug1: Server host key: ssh-rsa SHA256:jump\r\ndebug1: Server host key: ssh-ed25519-cert-v01@openssh.com SHA256:mine\r\n";
        assert_eq!(host_key(log), Some(Fingerprint("SHA256:mine".to_owned())));
        assert_eq!(host_key("nothing"), None);
    }
}
