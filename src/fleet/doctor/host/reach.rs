//! The ways to a host: the operator's, and the responder's.

use super::{Check, LoginError, Seen};
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
    let shown = host.examined.host_key.as_ref();
    match (&host.login, shown) {
        (Err(error @ (LoginError::KeyUnknown(jump) | LoginError::KeyChanged(jump))), _) => {
            let seen = match shown.and_then(HostKey::fingerprint).filter(|_| jump.is_none()) {
                Some(fingerprint) => format!("{error}; it shows {fingerprint}"),
                None => error.to_string(),
            };
            Check::broken(LINK, seen, key_advice(host, error))
        }
        // The responder's own ssh has taken it, by whatever line.
        (Ok(()) | Err(LoginError::NotLetIn(_) | LoginError::NoGate(_)), _) => {
            Check::ok(LINK, "the responder's known_hosts has it")
        }
        (_, Some(HostKey::Known(fingerprint))) => {
            Check::ok(LINK, format!("the responder's known_hosts has {fingerprint}"))
        }
        (_, Some(HostKey::Unknown(fingerprint))) => Check::broken(
            LINK,
            format!("known_hosts has no key of the host; it shows {fingerprint}"),
            pin_it(host),
        ),
        (_, Some(HostKey::Another(fingerprint))) => Check::broken(
            LINK,
            format!("the host shows another key than the one in known_hosts: {fingerprint}"),
            renew_it(host),
        ),
        (_, Some(HostKey::Untold(why))) => {
            Check::warn(LINK, format!("it cannot be told: {why}"), pin_it(host))
        }
        (_, None) => Check::skipped(LINK, "nobody gets there to be shown it"),
    }
}

/// What to do where the responder's own ssh does not take a key.
fn key_advice(host: &Seen, error: &LoginError) -> String {
    match (error, &host.examined.host_key) {
        (LoginError::KeyUnknown(Some(jump)), _) => format!(
            "look at the fingerprint of {jump}, and put its key into the responder's known_hosts: no deploy does"
        ),
        (LoginError::KeyChanged(Some(jump)), _) => format!(
            "if {jump} is a new one, put its new key into the responder's known_hosts; if it is not, find out \
             who answers there"
        ),
        (LoginError::KeyUnknown(None), Some(HostKey::Known(_))) => {
            "the CA in known_hosts does not answer for it: have it sign the host's key (ssh-keygen -s CA -h), and \
             name what comes of it in sshd's HostCertificate"
                .to_owned()
        }
        (LoginError::KeyUnknown(None), Some(HostKey::Unknown(_) | HostKey::Untold(_)) | None) => pin_it(host),
        _ => renew_it(host),
    }
}

fn pin_it(host: &Seen) -> String {
    format!("`{}` shows the key that your ssh knows, and pins it", host.deploy())
}

fn renew_it(host: &Seen) -> String {
    format!(
        "if the host is a new one, take its line out of the responder's known_hosts and run `{}`: it shows the \
         key that your ssh knows; if it is not, find out who answers there",
        host.deploy()
    )
}

/// What the responder stands on: its key, from here, to the gate.
fn responder_login(host: &Seen) -> Check {
    const LINK: &str = "responder_login";
    let differs = host.changes().is_some_and(|changes| {
        changes.iter().any(|change| change.what.starts_with("/var/lib/raysweep-account"))
    });
    let deploy = host.deploy();
    let put_right = format!("`{deploy} --check` shows what differs, `{deploy}` puts it right");
    let error = match &host.login {
        Ok(()) if differs => {
            let seen = "its key is let in, and the account's authorized_keys is not as the inventory has it";
            return Check::warn(LINK, seen, put_right);
        }
        Ok(()) => return Check::ok(LINK, "its key is let in, and the gate answers"),
        Err(error) => error,
    };
    if let (Some(key), LoginError::NoKey(_) | LoginError::NotLetIn(_)) = (&host.broken_key, error) {
        return Check::skipped(LINK, &format!("{} cannot be used", key.display()));
    }
    let advice = match error {
        LoginError::NotOurs(_) if differs => {
            let seen = "the account's authorized_keys is not as the inventory has it";
            return Check::broken(LINK, seen, put_right);
        }
        LoginError::NotOurs(why) => {
            let advice = "run this as root or as the responder's account to have its key tried";
            return Check::not_asked(LINK, why, advice);
        }
        LoginError::KeyUnknown(None) | LoginError::KeyChanged(None) => {
            return Check::skipped(LINK, "its known_hosts does not have the host's key");
        }
        LoginError::KeyUnknown(Some(_)) | LoginError::KeyChanged(Some(_)) => {
            return Check::skipped(LINK, "its known_hosts does not have the jump host's key");
        }
        LoginError::NoAnswer(_) if host.examined.login.is_err() => {
            return Check::skipped(LINK, "no ssh gets there");
        }
        LoginError::NoKey(_) => {
            "name the responder's key in ssh.identity_file (or the host's identity_file), or make one with \
             ssh-keygen"
                .to_owned()
        }
        LoginError::Untold(_) => {
            "put it right: with this no responder starts; `raysweep check-config` shows when it is".to_owned()
        }
        LoginError::NotLetIn(_) => {
            format!("`{deploy}` puts the key there; deploy.from must have the address that you come from")
        }
        LoginError::NotLetThrough(_) => {
            "put the responder's key there, at the account that `jump` names in the inventory: no deploy does"
                .to_owned()
        }
        LoginError::NoGate(_) => format!("`{deploy}` puts program and authorized_keys in place"),
        LoginError::NoAnswer(_) => {
            "your ssh gets there and the responder's does not: port and jump of the inventory are what it goes by"
                .to_owned()
        }
    };
    Check::broken(LINK, error.to_string(), advice)
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
