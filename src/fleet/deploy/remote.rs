//! A host as the operator reaches it: their own ssh, its configuration, agent and jump hosts.
//!
//! Each command is a text that stands here, with a digest of our own in it at most. All data goes by
//! standard input, a password too.

use std::{ffi::OsString, io, process::Stdio, time::Duration};

use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::timeout,
};

use super::{Trouble, known_hosts::Fingerprint};
use crate::{
    config::responder::{HostEntry, ResponderConfig},
    fleet::host_part::{ARGUMENT, PROGRAM, STAGED},
};

/// The longest answer that is read.
const ANSWER_BYTES: u64 = 4 << 20;
/// The exit code with which ssh says that it has not come there, or no longer is.
pub(in crate::fleet) const NO_CONNECTION: i32 = 255;
/// What is kept of what the host says on standard error.
pub(in crate::fleet) const SAID_BYTES: u64 = 64 * 1024;

/// How root is reached there.
#[derive(Debug, Clone)]
pub(super) enum Root {
    /// The login is root's.
    Already,
    /// sudo asks for nothing.
    Sudo,
    /// sudo asks for the password.
    SudoWithPassword(Password),
}

impl Root {
    fn password(&self) -> Option<&Password> {
        match self {
            Self::Already | Self::Sudo => None,
            Self::SudoWithPassword(password) => Some(password),
        }
    }
}

/// What sudo asks for. It goes to the standard input of an ssh to a host whose sudo asks, and nowhere else.
#[derive(Clone, Default)]
pub struct Password(String);

impl Password {
    /// What was typed.
    pub fn new(typed: String) -> Self {
        Self(typed)
    }

    /// As sudo reads it.
    pub(in crate::fleet) fn line(&self) -> String {
        format!("{}\n", self.0)
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
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

/// A host that commands are run on.
#[derive(Debug)]
pub(in crate::fleet) struct Remote {
    arguments: Vec<OsString>,
    deadline: Duration,
}

impl Remote {
    pub(in crate::fleet) fn new(
        entry: &HostEntry,
        config: &ResponderConfig,
        user: Option<&str>,
        deadline: Duration,
    ) -> Self {
        Self { arguments: arguments(entry, config, user), deadline }
    }

    /// What there is, and whether root can be reached; with a password, where sudo asks for one.
    pub(super) async fn probe(&self, password: Option<&Password>) -> Result<Ended, Trouble> {
        self.run(&script(&[PROBE]), password, &[]).await
    }

    /// Brings the program along, whole or not at all.
    pub(super) async fn bring(&self, root: &Root, program: &[u8], digest: &str) -> Result<Ended, Trouble> {
        let bring = format!("{BRING} sh {} {digest}", staged(digest));
        self.run(&script(&[as_root(root), &format!("run {bring}")]), root.password(), program).await
    }

    /// Runs the program's part there, from where it was brought to or from where it lies.
    pub(super) async fn order(
        &self,
        root: &Root,
        staged_digest: Option<&str>,
        order: &[u8],
    ) -> Result<Ended, Trouble> {
        let program = staged_digest.map_or_else(|| PROGRAM.to_owned(), staged);
        let command = script(&[as_root(root), &format!("run {program} {ARGUMENT}")]);
        self.run(&command, root.password(), order).await
    }

    /// Takes away what was brought along and could not be run.
    pub(super) async fn discard(&self, root: &Root, digest: &str) -> Result<Ended, Trouble> {
        let discard = format!("run rm -f {}", staged(digest));
        self.run(&script(&[as_root(root), &discard]), root.password(), &[]).await
    }

    async fn run(&self, command: &str, password: Option<&Password>, input: &[u8]) -> Result<Ended, Trouble> {
        let (ssh, log) = self.ssh(command).map_err(|error| Trouble::local(&error))?;
        let (code, stdout, stderr) = timeout(self.deadline, talk(ssh, password, input))
            .await
            .map_err(|_| Trouble::Unreachable(format!("no answer within {} s", self.deadline.as_secs())))?
            .map_err(|error| Trouble::local(&error))?;
        let log = read(&log);
        if code == Some(NO_CONNECTION) {
            return Err(trouble(&log));
        }
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        Ok(Ended { code, stdout, stderr, host_key: host_key(&log) })
    }
}

impl Remote {
    /// An ssh that runs this there, and the file for its own words: on standard error there are the host's.
    pub(in crate::fleet) fn ssh(&self, command: &str) -> io::Result<(Command, NamedTempFile)> {
        let log = NamedTempFile::new()?;
        let mut ssh = Command::new("ssh");
        ssh.args(OPTIONS).arg("-v").arg("-E").arg(log.path()).args(&self.arguments).arg(command);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        ssh.env("LC_ALL", "C");
        Ok((ssh, log))
    }

    /// How long any one command may take there.
    pub(in crate::fleet) fn deadline(&self) -> Duration {
        self.deadline
    }
}

/// What ssh said of its connection.
pub(in crate::fleet) fn read(log: &NamedTempFile) -> String {
    String::from_utf8_lossy(&std::fs::read(log.path()).unwrap_or_default()).into_owned()
}

/// Runs ssh to its end: its exit code, standard output, and the start of standard error.
async fn talk(
    mut ssh: Command,
    password: Option<&Password>,
    input: &[u8],
) -> io::Result<(Option<i32>, Vec<u8>, Vec<u8>)> {
    let mut child = ssh.spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A host that does not read has its reason, which its output or exit code tells.
            let _ = stdin.write_all(password.map_or(&[][..], |password| password.0.as_bytes())).await;
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
    Ok((status.code(), answer, said))
}

/// What is not left to the operator's configuration: a host that is not known is not spoken to, nothing is
/// asked at the terminal, and nothing of ours is forwarded. A connection that stands already would not
/// show the host's key.
const OPTIONS: [&str; 27] = [
    "-T",
    "-o",
    "BatchMode=yes",
    "-o",
    "StrictHostKeyChecking=yes",
    "-o",
    "UpdateHostKeys=no",
    "-o",
    "ControlMaster=no",
    "-o",
    "ControlPath=none",
    "-o",
    "ForwardAgent=no",
    "-o",
    "ClearAllForwardings=yes",
    "-o",
    "PermitLocalCommand=no",
    "-o",
    "RemoteCommand=none",
    "-o",
    "ConnectionAttempts=1",
    "-o",
    "ServerAliveInterval=5",
    "-o",
    "ServerAliveCountMax=3",
    "-o",
    "EscapeChar=none",
];

/// Where the host is. The inventory's jump host is gone through as the operator, not as the responder.
fn arguments(entry: &HostEntry, config: &ResponderConfig, user: Option<&str>) -> Vec<OsString> {
    let secs = config.ssh.connect_timeout.0.as_secs().max(1);
    let mut arguments: Vec<OsString> = vec!["-o".into(), format!("ConnectTimeout={secs}").into()];
    let port = entry.port.unwrap_or(config.ssh.port);
    if port != 22 {
        arguments.extend(["-p".into(), port.to_string().into()]);
    }
    if let Some(jump) = &entry.jump {
        let host = jump.rsplit_once('@').map_or(jump.as_str(), |(_, host)| host);
        arguments.extend(["-J".into(), host.into()]);
    }
    if let Some(user) = user.or(config.deploy.user.as_deref()) {
        arguments.extend(["-l".into(), user.into()]);
    }
    arguments.extend(["--".into(), (&entry.address).into()]);
    arguments
}

/// Where the program lies before it is in place: beside its place, where programs may be run.
fn staged(digest: &str) -> String {
    let start: String = digest.chars().take(16).collect();
    PROGRAM.replace("/raysweep", &format!("/{STAGED}{start}"))
}

/// For whatever shell the login has: one word in single quotes, on one line, without what csh and fish
/// would read in it.
pub(in crate::fleet) fn script(parts: &[&str]) -> String {
    let body = parts.join(" ").split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    format!("exec /bin/sh -c '{PRELUDE} {body}'")
}

/// The first line of standard input is the password, or nothing.
const PRELUDE: &str =
    "LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export LC_ALL PATH; IFS= read -r p;";

/// `run PROGRAM…`: as root, with the rest of standard input.
fn as_root(root: &Root) -> &'static str {
    match root {
        Root::Already => r#"run() { "$@"; };"#,
        Root::Sudo => r#"run() { sudo -n -- "$@"; };"#,
        // -k: a password that is remembered would not be read, and be taken for data.
        Root::SudoWithPassword(_) => r#"run() { { printf "%s\n" "$p"; cat; } | sudo -k -S -p "" -- "$@"; };"#,
    }
}

/// A program that comes in half has another digest.
const BRING: &str = r#"/bin/sh -c "umask 022; rm -f \$1.part~; cat >\$1.part~ && chmod 755 \$1.part~ && [ \$(sha256sum <\$1.part~ | cut -c1-64) = \$2 ] && mv -f \$1.part~ \$1 || { rm -f \$1.part~; exit 74; }""#;

/// A fact a line: its name, a tab, and what it is. A host's keys are those that the very sshd shows that
/// we came in by.
const PROBE: &str = r#"
say() { printf "%s\t%s\n" "$1" "$2"; };
say system "$(uname -s)";
say kernel "$(uname -r)";
say machine "$(uname -m)";
say glibc "$(getconf GNU_LIBC_VERSION 2>/dev/null)";
say program "$(sha256sum /usr/local/bin/raysweep 2>/dev/null | cut -c1-64)";
say account "$(id -un)";
if [ "$(id -u)" = 0 ]; then say root already;
elif command -v sudo >/dev/null 2>&1; then
if sudo -n true 2>/dev/null; then say root sudo;
elif [ -z "$p" ]; then say root locked;
elif e=$(printf "%s\n" "$p" | sudo -k -S -p "" true 2>&1); then say root password;
else say root "denied $(printf "%s" "$e" | tr "\n" " ")"; fi;
else say root none; fi;
for k in /etc/ssh/ssh_host_*_key.pub; do [ -r "$k" ] && say key "$(cut -d" " -f1,2 "$k")"; done;
set -- $SSH_CONNECTION;
if [ $# = 4 ] && command -v ssh-keyscan >/dev/null 2>&1; then
ssh-keyscan -T 5 -p "$4" "$3" 2>/dev/null | while read -r h k; do say key "$k"; done; fi;
say end yes;
"#;

/// Why there was no connection, by what ssh said.
pub(in crate::fleet) fn trouble(log: &str) -> Trouble {
    let said = last_words(log);
    let has = |needles: &[&str]| needles.iter().any(|needle| log.contains(needle));
    if has(&["IDENTIFICATION HAS CHANGED", "REVOKED HOST KEY"]) {
        Trouble::Refused("it shows another host key than the one that your ssh knows".to_owned())
    } else if has(&["host key is known for", "Host key verification failed"]) {
        Trouble::Refused(
            "your ssh does not know its host key: connect once by hand, and compare the fingerprint"
                .to_owned(),
        )
    } else if has(&["Permission denied", "Too many authentication failures"]) {
        Trouble::Refused(format!("it does not let you in: {said}"))
    } else {
        Trouble::Unreachable(said)
    }
}

/// The last line that is no detail of ssh's own.
pub(in crate::fleet) fn last_words(log: &str) -> String {
    let is_detail = |line: &str| {
        ["debug", "OpenSSH_", "Authenticated to", "Transferred:", "Bytes per second"]
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
    fn no_shell_reads_anything_into_a_command_but_sh() {
        let digest = "ab".repeat(32);
        for root in [Root::Already, Root::Sudo, Root::SudoWithPassword(Password::default())] {
            let bring = format!("run {BRING} sh {} {digest}", staged(&digest));
            for command in [script(&[PROBE]), script(&[as_root(&root), &bring])] {
                let body = command.strip_prefix("exec /bin/sh -c '").unwrap().strip_suffix('\'').unwrap();
                assert!(!body.contains(['\'', '!', '\n']), "{body}");
                let parsed = std::process::Command::new("/bin/sh").args(["-n", "-c", body]).output().unwrap();
                assert!(parsed.status.success(), "{parsed:?}");
            }
        }
    }

    #[test]
    fn a_host_is_reached_as_the_operator_and_not_as_the_responder() {
        let entry = HostEntry {
            name: "ray-80".parse().unwrap(),
            address: "10.0.0.80".to_owned(),
            aliases: vec![],
            user: Some("raysweep".to_owned()),
            port: Some(2222),
            identity_file: None,
            jump: Some("raysweep@bastion:2200".to_owned()),
            sweep: None,
        };
        let words = |user| {
            let arguments = arguments(&entry, &ResponderConfig::default(), user);
            arguments.iter().map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(None), "-o ConnectTimeout=10 -p 2222 -J bastion:2200 -- 10.0.0.80");
        assert_eq!(words(Some("jo")), "-o ConnectTimeout=10 -p 2222 -J bastion:2200 -l jo -- 10.0.0.80");
    }

    #[test]
    fn what_ssh_says_is_told_apart() {
        let refused = |log: &str| matches!(trouble(log), Trouble::Refused(_));
        assert!(refused(
            "No ED25519 host key is known for [::1]:22 and you have requested strict checking.\nHost key verification failed."
        ));
        assert!(refused("@  WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!  @"));
        assert!(refused("jo@10.0.0.80: Permission denied (publickey)."));
        let log = "debug1: Connecting\nssh: connect to host 10.0.0.80 port 22: No route to host\ndebug1: x\n";
        let Trouble::Unreachable(why) = trouble(log) else { panic!("{log}") };
        assert_eq!(why, "ssh: connect to host 10.0.0.80 port 22: No route to host");
    }

    #[test]
    fn the_host_key_is_the_last_one_that_was_shown() {
        let log = "debug1: Server host key: ssh-rsa SHA256:jump\r\ndebug1: Server host key: ssh-ed25519-cert-v01@openssh.com SHA256:mine\r\n";
        assert_eq!(host_key(log), Some(Fingerprint("SHA256:mine".to_owned())));
        assert_eq!(host_key("nothing"), None);
    }

    #[test]
    fn a_password_shows_in_no_debug_output() {
        assert_eq!(format!("{:?}", Password::new("secret".to_owned())), "Password(…)");
    }
}
