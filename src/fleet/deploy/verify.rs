//! The last look: the way that the responder will go, gone once.
//!
//! With the responder's key and its ssh's configuration, and with nothing of the operator's. What is asked
//! for is no request at all: the gate refuses it by itself, which nothing but the gate could have done, and
//! nothing is looked at or swept.

use std::{fs::File, time::Duration};

use super::ssh::{Call, Ended, Failure, last_words};
use crate::{
    config::{
        responder::{HostEntry, Ssh},
        ssh_target::Target,
    },
    fleet::deploy::Verified,
};

/// The one command that the responder's key may run.
const COMMAND: &str = "sweep";
/// What no gate takes for a request.
const NO_REQUEST: &[u8] = b"{}";
/// The exit code with which a gate refuses, and how it says so.
const REFUSED: (i32, &str) = (6, "raysweep: refused: ");

/// Whether the responder gets to the host's gate, and what is to be said of it.
pub(super) async fn as_responder(
    entry: &HostEntry,
    ssh: &Ssh,
    deadline: Duration,
) -> (Verified, Option<String>) {
    let target = match Target::new(entry, ssh) {
        Ok(target) => target,
        Err(error) => return (Verified::No, Some(error.to_string())),
    };
    for (_, path) in target.files() {
        if let Err(error) = File::open(path) {
            let path = path.display();
            let why =
                format!("nobody has tried the responder's way: {path} is not for you to read here: {error}");
            return (Verified::KeyNotHere, Some(why));
        }
    }
    let call = Call {
        config: &target.config(ssh.connect_timeout.0),
        arguments: &target.arguments(),
        command: COMMAND,
        has_agent: false,
        deadline,
    };
    judged(call.run(NO_REQUEST, &[]).await)
}

fn judged(ended: Result<Ended, Failure>) -> (Verified, Option<String>) {
    let why = match ended {
        Ok(ended) if ended.code == Some(REFUSED.0) && ended.stderr.contains(REFUSED.1) => {
            return (Verified::Yes, None);
        }
        Ok(ended) => format!("its gate gives no answer: {}", last_words(&ended.stderr)),
        Err(Failure::KeyChanged(at)) => format!("{} shows another host key than the pinned one", named(at)),
        Err(Failure::KeyUnknown(at)) => format!("no key of {} is pinned", named(at)),
        Err(Failure::NotLetIn(said)) => format!("it is not let in: {said}; is this machine in deploy.from?"),
        Err(Failure::NoAnswer(said) | Failure::Lost(said)) => said,
        Err(Failure::Local(error)) => format!("ssh cannot be run here: {error}"),
    };
    (Verified::No, Some(format!("the responder does not get to it: {why}")))
}

fn named(jump: Option<String>) -> String {
    jump.map_or_else(|| "the host".to_owned(), |jump| format!("the jump host {jump}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i32, stderr: &str) -> Ended {
        Ended { code: Some(code), stdout: vec![], stderr: stderr.to_owned(), host_key: None }
    }

    #[test]
    fn only_the_gates_own_refusal_shows_that_the_way_leads_there() {
        let refusal =
            "debug1: x\nraysweep: refused: the request is not what this host takes: missing field\n";
        assert_eq!(judged(Ok(ended(6, refusal))), (Verified::Yes, None));
        for (other, said) in [
            (Ok(ended(0, "")), "its gate gives no answer: nothing said"),
            (Ok(ended(6, "something else\n")), "its gate gives no answer: something else"),
            (Ok(ended(1, refusal)), "its gate gives no answer: raysweep: refused: "),
            (Ok(ended(127, "sh: 1: /usr/local/bin/raysweep: not found\n")), "not found"),
            (Err(Failure::NotLetIn("denied".to_owned())), "it is not let in: denied"),
            (Err(Failure::KeyUnknown(None)), "no key of the host is pinned"),
            (Err(Failure::KeyUnknown(Some("a".to_owned()))), "no key of the jump host a is pinned"),
        ] {
            let (verified, why) = judged(other);
            assert_eq!(verified, Verified::No);
            let why = why.unwrap();
            assert!(why.starts_with("the responder does not get to it: ") && why.contains(said), "{why}");
        }
    }

    #[tokio::test]
    async fn without_the_responders_key_nobody_tries() {
        let config: crate::config::responder::ResponderConfig = serde_json::from_value(serde_json::json!({
            "ssh": { "identity_file": "/nonexistent/id" },
            "hosts": [{ "name": "a", "address": "127.0.0.1", "port": 1 }],
        }))
        .unwrap();
        let (verified, why) = as_responder(&config.hosts[0], &config.ssh, Duration::from_secs(30)).await;
        assert_eq!(verified, Verified::KeyNotHere);
        assert!(why.unwrap().contains("/nonexistent/id"));
    }
}
