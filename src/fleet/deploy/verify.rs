//! The responder's own way to a host, gone once: with its key, its `known_hosts` and its ssh's configuration,
//! and with nothing of the operator's. `deploy` ends with it, and `doctor` looks at it.
//!
//! What is asked for is no request at all: the gate refuses it by itself, which nothing but the gate could
//! have done, and nothing is looked at or swept.

use std::{fs::File, io::ErrorKind, time::Duration};

use super::ssh::{Call, Ended, Failure, last_words};
use crate::{
    config::{
        responder::{HostEntry, Ssh},
        ssh_target::{Target, TargetError},
    },
    fleet::deploy::Verified,
};

/// The one command that the responder's key may run.
const COMMAND: &str = "sweep";
/// What no gate takes for a request.
const NO_REQUEST: &[u8] = b"{}";
/// The exit code with which a gate refuses, and how it says so.
const REFUSED: (i32, &str) = (6, "raysweep: refused: ");

/// Why the responder does not get to a host's gate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::fleet) enum LoginError {
    /// A file of the responder's is not for us to read, so nobody has tried: that takes its account, or root.
    #[error("{0}")]
    NotOurs(String),
    /// There is no key to try.
    #[error("{0}")]
    NoKey(String),
    /// A setting of the inventory that no ssh is told.
    #[error(transparent)]
    Untold(#[from] TargetError),
    /// The host, or the jump host of this name, shows another key than the pinned one.
    #[error("{} shows another key than the one in known_hosts", named(.0.as_deref()))]
    KeyChanged(Option<String>),
    /// No key of the host, or of the jump host of this name, is pinned.
    #[error("known_hosts has no key of {}", named(.0.as_deref()))]
    KeyUnknown(Option<String>),
    /// The host does not take the key, or not from here.
    #[error("the host does not let the responder's key in: {0}")]
    NotLetIn(String),
    /// The same of a jump host.
    #[error("a jump host does not let the responder's key in: {0}")]
    NotLetThrough(String),
    /// Behind the key there is something else than the gate.
    #[error("the key is let in, and no gate answers: {0}")]
    NoGate(String),
    /// There is no connection.
    #[error("{0}")]
    NoAnswer(String),
}

fn named(jump: Option<&str>) -> String {
    jump.map_or_else(|| "the host".to_owned(), |jump| format!("the jump host {jump}"))
}

/// Goes the responder's way to the host's gate.
pub(in crate::fleet) async fn to_the_gate(
    entry: &HostEntry,
    ssh: &Ssh,
    deadline: Duration,
) -> Result<(), LoginError> {
    let target = Target::new(entry, ssh)?;
    can_be_tried(&target)?;
    let call = Call {
        config: &target.config(ssh.connect_timeout.0),
        arguments: &target.arguments(),
        command: COMMAND,
        has_agent: false,
        deadline,
    };
    judged(call.run(NO_REQUEST, &[]).await)
}

/// Whether its files are here, and ours to read.
fn can_be_tried(target: &Target) -> Result<(), LoginError> {
    let [(_, key), (_, known_hosts)] = target.files();
    for (path, is_needed) in [(known_hosts, false), (key, true)] {
        let Err(error) = File::open(path) else { continue };
        let why = format!("{}: {error}", path.display());
        match error.kind() {
            ErrorKind::PermissionDenied => return Err(LoginError::NotOurs(why)),
            _ if is_needed => return Err(LoginError::NoKey(why)),
            // A `known_hosts` that is not there knows nobody, and that ssh says by itself.
            _ => {}
        }
    }
    Ok(())
}

fn judged(ended: Result<Ended, Failure>) -> Result<(), LoginError> {
    Err(match ended {
        Ok(Ended { code: Some(code), stderr, .. }) if code == REFUSED.0 && stderr.contains(REFUSED.1) => {
            return Ok(());
        }
        Ok(Ended { code, stderr, .. }) => {
            let code = code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
            LoginError::NoGate(format!("{code}: {}", last_words(&stderr)))
        }
        Err(Failure::KeyChanged(at)) => LoginError::KeyChanged(at),
        Err(Failure::KeyUnknown(at)) => LoginError::KeyUnknown(at),
        Err(Failure::NotLetIn(said)) => LoginError::NotLetIn(said),
        Err(Failure::NotLetThrough(said)) => LoginError::NotLetThrough(said),
        Err(Failure::NoAnswer(said) | Failure::Lost(said)) => LoginError::NoAnswer(said),
        Err(Failure::Local(error)) => LoginError::NoAnswer(format!("ssh cannot be run here: {error}")),
    })
}

/// Whether the responder gets to the host's gate, and what `deploy` has to say of it.
pub(super) async fn as_responder(
    entry: &HostEntry,
    ssh: &Ssh,
    deadline: Duration,
) -> (Verified, Option<String>) {
    told(to_the_gate(entry, ssh, deadline).await)
}

fn told(gone: Result<(), LoginError>) -> (Verified, Option<String>) {
    let Err(error) = gone else { return (Verified::Yes, None) };
    let why = match error {
        LoginError::NotOurs(_) | LoginError::NoKey(_) => {
            let why =
                format!("nobody has tried the responder's way: what it takes cannot be read here: {error}");
            return (Verified::KeyNotHere, Some(why));
        }
        LoginError::NotLetIn(_) => format!("{error}; is this machine in deploy.from?"),
        _ => error.to_string(),
    };
    (Verified::No, Some(format!("the responder does not get to it: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: Option<i32>, stderr: &str) -> Ended {
        Ended { code, stdout: vec![], stderr: stderr.to_owned(), host_key: None }
    }

    #[test]
    fn only_the_gates_own_refusal_shows_that_the_way_leads_there() {
        let refusal =
            "debug1: x\nraysweep: refused: the request is not what this host takes: missing field\n";
        assert_eq!(told(judged(Ok(ended(Some(6), refusal)))), (Verified::Yes, None));
        let denied = || "denied".to_owned();
        let jump = || Some("a".to_owned());
        for (other, said) in [
            (Ok(ended(Some(0), "")), "the key is let in, and no gate answers: exit code 0: nothing said"),
            (Ok(ended(Some(6), "something else\n")), "no gate answers: exit code 6: something else"),
            (Ok(ended(Some(1), refusal)), "no gate answers: exit code 1: raysweep: refused: "),
            (Ok(ended(None, refusal)), "no gate answers: no exit code: raysweep: refused: "),
            (
                Ok(ended(Some(127), "sh: 1: /usr/local/bin/raysweep: not found\n")),
                "exit code 127: sh: 1: /usr",
            ),
            (Err(Failure::NotLetIn(denied())), "the host does not let the responder's key in: denied; is"),
            (
                Err(Failure::NotLetThrough(denied())),
                "a jump host does not let the responder's key in: denied",
            ),
            (Err(Failure::KeyUnknown(None)), "known_hosts has no key of the host"),
            (Err(Failure::KeyUnknown(jump())), "known_hosts has no key of the jump host a"),
            (Err(Failure::KeyChanged(None)), "the host shows another key than the one in known_hosts"),
            (Err(Failure::KeyChanged(jump())), "the jump host a shows another key than"),
            (Err(Failure::NoAnswer("no route".to_owned())), "it: no route"),
        ] {
            let (verified, why) = told(judged(other));
            assert_eq!(verified, Verified::No);
            let why = why.unwrap();
            assert!(why.starts_with("the responder does not get to it: ") && why.contains(said), "{why}");
        }
    }

    #[tokio::test]
    async fn without_the_responders_key_nobody_tries() {
        let settings = Ssh { identity_file: "/nonexistent/id".into(), ..Ssh::default() };
        let entry = HostEntry { port: Some(1), ..HostEntry::at("a", "127.0.0.1") };
        let gone = to_the_gate(&entry, &settings, Duration::from_secs(30)).await;
        assert!(matches!(gone, Err(LoginError::NoKey(_))), "{gone:?}");
        let (verified, why) = told(gone);
        assert_eq!(verified, Verified::KeyNotHere);
        assert!(why.unwrap().contains("/nonexistent/id"));
    }

    /// A `known_hosts` that is not there is no reason not to try.
    #[tokio::test]
    async fn the_way_is_the_one_that_the_inventory_says() {
        let key = tempfile::NamedTempFile::new().unwrap();
        let settings = Ssh {
            identity_file: key.path().into(),
            known_hosts_file: "/nonexistent/known_hosts".into(),
            ..Ssh::default()
        };
        let gone = async |entry: HostEntry| to_the_gate(&entry, &settings, Duration::from_secs(30)).await;
        // A port at which nobody listens: `ssh` says so at once.
        let told = gone(HostEntry { port: Some(1), ..HostEntry::at("a", "127.0.0.1") }).await;
        assert!(
            matches!(&told, Err(LoginError::NoAnswer(why)) if why.contains("127.0.0.1 port 1")),
            "{told:?}"
        );
        let jump = Some("jo@127.0.0.1:2".to_owned());
        let told = gone(HostEntry { port: Some(1), jump, ..HostEntry::at("a", "192.0.2.1") }).await;
        assert!(
            matches!(&told, Err(LoginError::NoAnswer(why)) if why.contains("127.0.0.1 port 2")),
            "{told:?}"
        );
        let told = gone(HostEntry::at("a", "-oProxyCommand=x")).await;
        assert!(matches!(told, Err(LoginError::Untold(_))), "{told:?}");
    }
}
