//! The responder's own way to a host: its key, its `known_hosts`, its account, and the gate behind them.

use std::{io, path::Path, process::Stdio, time::Duration};

use tokio::{io::AsyncReadExt, net::lookup_host, process::Command, time::timeout};

use crate::config::responder::{HostEntry, ResponderConfig};

/// How long a name may take to be resolved.
const RESOLVING: Duration = Duration::from_secs(10);
/// What the gate may take beyond the connection.
const ANSWERING: Duration = Duration::from_secs(20);
/// What is read of what is said.
const SAID_BYTES: u64 = 64 * 1024;
/// With this the gate refuses; see the command line's exit codes.
const REFUSED: i32 = 6;

/// How a try of the responder's key ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// The gate has answered, and refused what was no request.
    Gate,
    /// The key is not ours to read: only the responder's account or root can try it.
    NotOurs(String),
    /// The key cannot be used at all.
    NoKey(String),
    /// The host shows a key that `known_hosts` does not have.
    HostKey(String),
    /// The host does not take the key, or not from here.
    Denied(String),
    /// Behind the key there is something else than the gate.
    NoGate(String),
    /// There is no connection.
    Unreachable(String),
}

/// Whether a host's address is one; `None` where only a jump host could say.
pub(super) async fn resolve(entry: &HostEntry, config: &ResponderConfig) -> Option<Result<String, String>> {
    if entry.jump.is_some() {
        return None;
    }
    let port = entry.port.unwrap_or(config.ssh.port);
    let found = match timeout(RESOLVING, lookup_host((entry.address.as_str(), port))).await {
        Ok(Ok(mut addresses)) => addresses.next().ok_or_else(|| "no address".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", RESOLVING.as_secs())),
    };
    Some(found.map(|address| address.ip().to_string()))
}

/// Logs in as the responder does, and asks the gate for nothing: an empty request is refused there, before
/// root hears of it.
pub(super) async fn try_key(entry: &HostEntry, config: &ResponderConfig) -> Login {
    let identity = entry.identity_file.as_deref().unwrap_or(&config.ssh.identity_file);
    match std::fs::File::open(identity) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Login::NotOurs(format!("{}: {error}", identity.display()));
        }
        Err(error) => return Login::NoKey(format!("{}: {error}", identity.display())),
    }
    let bound = config.ssh.connect_timeout.0 + ANSWERING;
    match timeout(bound, ended(entry, config, identity)).await {
        Ok(Ok((code, said))) => judge(code, &said),
        Ok(Err(error)) => Login::Unreachable(format!("ssh cannot be run here: {error}")),
        Err(_) => Login::Unreachable(format!("no answer within {} s", bound.as_secs())),
    }
}

async fn ended(
    entry: &HostEntry,
    config: &ResponderConfig,
    identity: &Path,
) -> io::Result<(Option<i32>, String)> {
    let settings = tempfile::NamedTempFile::new()?;
    std::fs::write(settings.path(), ssh_config(config, identity))?;
    let mut ssh = Command::new("ssh");
    ssh.arg("-T").arg("-F").arg(settings.path());
    ssh.args(["-l", entry.user.as_deref().unwrap_or(&config.ssh.user)]);
    ssh.args(["-p", &entry.port.unwrap_or(config.ssh.port).to_string()]);
    if let Some(jump) = &entry.jump {
        ssh.args(["-J", jump]);
    }
    ssh.args(["--", &entry.address, "sweep"]);
    ssh.env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = ssh.spawn()?;
    let mut said = vec![];
    if let Some(stderr) = child.stderr.take() {
        stderr.take(SAID_BYTES).read_to_end(&mut said).await?;
    }
    let status = child.wait().await?;
    Ok((status.code(), String::from_utf8_lossy(&said).into_owned()))
}

/// As the responder has it: a file, because only that is passed on to the ssh that goes through a jump host.
fn ssh_config(config: &ResponderConfig, identity: &Path) -> String {
    let quoted = |path: &Path| format!("\"{}\"", path.to_string_lossy().replace('%', "%%"));
    format!(
        "BatchMode yes\nStrictHostKeyChecking yes\nUpdateHostKeys no\nGlobalKnownHostsFile /dev/null\n\
         CheckHostIP no\nIdentitiesOnly yes\nIdentityAgent none\nPreferredAuthentications publickey\n\
         ForwardAgent no\nForwardX11 no\nControlMaster no\nControlPath none\nConnectionAttempts 1\n\
         ServerAliveInterval 5\nServerAliveCountMax 3\nLogLevel ERROR\n\
         ConnectTimeout {}\nIdentityFile {}\nUserKnownHostsFile {}\n",
        config.ssh.connect_timeout.0.as_secs().max(1),
        quoted(identity),
        quoted(&config.ssh.known_hosts_file),
    )
}

fn judge(code: Option<i32>, said: &str) -> Login {
    let has = |needles: &[&str]| needles.iter().any(|needle| said.contains(needle));
    let last = last_words(said);
    match code {
        Some(REFUSED) if has(&["raysweep: refused"]) => Login::Gate,
        Some(255) if has(&["IDENTIFICATION HAS CHANGED", "REVOKED HOST KEY"]) => {
            Login::HostKey("the host shows another key than the one in known_hosts".to_owned())
        }
        Some(255) if has(&["host key is known for", "Host key verification failed"]) => {
            Login::HostKey("known_hosts has no key of the host".to_owned())
        }
        Some(255) if has(&["Permission denied", "Too many authentication failures", "invalid format"]) => {
            Login::Denied(last)
        }
        Some(255) => Login::Unreachable(last),
        Some(code) => Login::NoGate(format!("exit code {code}: {last}")),
        None => Login::NoGate(last),
    }
}

fn last_words(said: &str) -> String {
    let line = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("nothing said");
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_login_ended_is_told_by_what_ssh_and_the_gate_said() {
        for (code, said, expected) in [
            (Some(6), "raysweep: refused: the request is empty\n", "Gate"),
            (Some(0), "", "NoGate"),
            (Some(127), "sh: raysweep: not found\n", "NoGate"),
            (None, "", "NoGate"),
            (Some(255), "raysweep@10.0.0.80: Permission denied (publickey).\r\n", "Denied"),
            (
                Some(255),
                "@ REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n",
                "HostKey",
            ),
            (
                Some(255),
                "No ED25519 host key is known for [::1]:22\nHost key verification failed.\n",
                "HostKey",
            ),
            (Some(255), "ssh: connect to host 10.0.0.80 port 22: No route to host\n", "Unreachable"),
        ] {
            let found = format!("{:?}", judge(code, said));
            assert!(found.starts_with(expected), "{said:?}: {found}");
        }
    }

    #[test]
    fn the_responders_key_goes_nowhere_but_to_hosts_that_it_knows() {
        let text = ssh_config(&ResponderConfig::default(), Path::new("/etc/raysweep/100%"));
        for line in [
            "StrictHostKeyChecking yes",
            "IdentityAgent none",
            "IdentityFile \"/etc/raysweep/100%%\"",
            "UserKnownHostsFile \"/etc/raysweep/known_hosts\"",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}: {text}");
        }
    }
}
