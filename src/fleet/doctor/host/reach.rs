//! The ways to a host: the operator's, and the responder's.

use super::{Check, Login, Seen};
use crate::fleet::deploy::{Trouble, examine::HostKey};

pub(super) fn judge(host: &Seen) -> Vec<Check> {
    vec![address(host), ssh(host), host_key(host), responder_login(host), sudo(host)]
}

fn address(host: &Seen) -> Check {
    const LINK: &str = "address";
    match &host.address {
        None => Check::new(LINK, super::State::NotAsked, "only its jump host can say where it is"),
        Some(Ok(address)) if *address == host.entry.address => Check::ok(LINK, address),
        Some(Ok(address)) => Check::ok(LINK, format!("{} is {address}", host.entry.address)),
        Some(Err(why)) => Check::broken(
            LINK,
            format!("{} cannot be resolved: {why}", host.entry.address),
            "put `address` right in the inventory, or the name into DNS or /etc/hosts",
        ),
    }
}

fn has_no_address(host: &Seen) -> bool {
    matches!(host.address, Some(Err(_)))
}

fn ssh(host: &Seen) -> Check {
    const LINK: &str = "ssh";
    let address = &host.entry.address;
    match &host.examined.login {
        Ok(()) => Check::ok(LINK, "your ssh gets in"),
        Err(_) if has_no_address(host) => Check::skipped(LINK, "its address cannot be resolved"),
        Err(Trouble::Unreachable(why)) => Check::broken(
            LINK,
            why,
            format!("see whether the host is up and its sshd listens; `ssh -v {address}` says more"),
        ),
        Err(trouble) => Check::broken(
            LINK,
            trouble.clone().why().unwrap_or_default(),
            format!("connect once by hand (`ssh {address}`) until it asks nothing, or take another --user"),
        ),
    }
}

fn host_key(host: &Seen) -> Check {
    const LINK: &str = "host_key";
    let name = &host.entry.name;
    let renew = format!(
        "if the host is a new one, take its line out of the responder's known_hosts and run \
         `raysweep deploy {name}`: it shows the key that your ssh knows; if it is not, find out who answers there"
    );
    let pin = format!("`raysweep deploy {name}` shows the key that your ssh knows, and pins it");
    match (&host.login, &host.examined.host_key) {
        (Login::HostKey(why), Some(HostKey::Unknown(fingerprint))) => {
            Check::broken(LINK, format!("{why}; it shows {fingerprint}"), pin)
        }
        (Login::HostKey(why), Some(HostKey::Another(fingerprint))) => {
            Check::broken(LINK, format!("{why}; it shows {fingerprint}"), renew)
        }
        (Login::HostKey(why), _) => Check::broken(LINK, why, renew),
        // The responder's own ssh has taken it, by whatever line.
        (Login::Gate | Login::Denied(_) | Login::NoGate(_), _) => {
            Check::ok(LINK, "the responder's known_hosts has it")
        }
        (_, Some(HostKey::Known(fingerprint))) => {
            Check::ok(LINK, format!("the responder's known_hosts has {fingerprint}"))
        }
        (_, Some(HostKey::Unknown(fingerprint))) => {
            Check::broken(LINK, format!("known_hosts has no key of the host; it shows {fingerprint}"), pin)
        }
        (_, Some(HostKey::Another(fingerprint))) => Check::broken(
            LINK,
            format!("the host shows another key than the one in known_hosts: {fingerprint}"),
            renew,
        ),
        (_, Some(HostKey::Untold(why))) => Check::warn(LINK, format!("it cannot be told: {why}"), pin),
        (_, None) => Check::skipped(LINK, "nobody gets there to be shown it"),
    }
}

/// What the responder stands on: its key, from here, to the gate.
fn responder_login(host: &Seen) -> Check {
    const LINK: &str = "responder_login";
    let differs = host.changes().is_some_and(|changes| {
        changes.iter().any(|change| change.what.starts_with("/var/lib/raysweep-account"))
    });
    let deploy = host.deploy();
    match &host.login {
        Login::Gate if differs => Check::warn(
            LINK,
            "its key is let in, and the account's authorized_keys is not as the inventory has it",
            format!("`{deploy} --check` shows what differs, `{deploy}` puts it right"),
        ),
        Login::Gate => Check::ok(LINK, "its key is let in, and the gate answers"),
        Login::NotOurs(_) if differs => Check::broken(
            LINK,
            "the account's authorized_keys is not as the inventory has it",
            format!("`{deploy} --check` shows what differs, `{deploy}` puts it right"),
        ),
        Login::NotOurs(why) => Check::not_asked(
            LINK,
            why,
            "run this as root or as the responder's account to have its key tried",
        ),
        Login::NoKey(why) => Check::broken(
            LINK,
            why,
            "name the responder's key in ssh.identity_file (or the host's identity_file), or make one with ssh-keygen",
        ),
        Login::HostKey(_) => Check::skipped(LINK, "its known_hosts does not have the host's key"),
        Login::Denied(why) => Check::broken(
            LINK,
            format!("the host does not let the responder's key in: {why}"),
            format!("`{deploy}` puts the key there; deploy.from must have the address that you come from"),
        ),
        Login::NoGate(why) => Check::broken(
            LINK,
            format!("the key is let in, and no gate answers: {why}"),
            format!("`{deploy}` puts program and authorized_keys in place"),
        ),
        Login::Unreachable(_) if host.examined.login.is_err() => Check::skipped(LINK, "no ssh gets there"),
        Login::Unreachable(why) => Check::broken(
            LINK,
            why,
            "your ssh gets there and the responder's does not: port and jump of the inventory are what it goes by",
        ),
    }
}

fn sudo(host: &Seen) -> Check {
    const LINK: &str = "sudo";
    match &host.examined.root {
        None => Check::skipped(LINK, "your ssh does not get in"),
        Some(Ok(())) => Check::ok(LINK, "you become root there"),
        Some(Err(trouble)) => Check::broken(
            LINK,
            trouble.clone().why().unwrap_or_default(),
            "--ask-sudo-pass, or log in as somebody who may: --user, deploy.user",
        ),
    }
}
