//! The files with the responder's secrets, as far as they are on this machine and ours to look at: its token, what
//! it shows to Alertmanager, its keys. What is shown to Prometheus is doctor's own, and that link's trouble.

use std::{
    collections::BTreeSet,
    fs::{self, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{task::spawn_blocking, time::timeout};

use self::account::Account;
use super::{Check, State};
use crate::config::{
    responder::{Alertmanager, HostEntry, ResponderConfig, Web},
    secret::{self, SecretError},
    ssh_target::Target,
};

mod account;

const LINK: &str = "secrets";
/// How long the disk may take to show all of them.
const TIME: Duration = Duration::from_secs(10);

/// What a file is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Shown by whoever calls the responder.
    Token,
    /// Shown to Alertmanager.
    Alertmanager,
    /// A key of the responder's ssh.
    Key,
}

/// A file that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    kind: Kind,
    key: &'static str,
    path: PathBuf,
}

/// Why a file cannot be used, or whether it can.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// It is not ours to look at: whether it is good is not known.
    NotOurs,
    /// What was seen, and what to do.
    Broken(String, String),
}

/// What was seen of all of them.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    good: Vec<Named>,
    bad: Vec<(Named, Trouble)>,
}

impl Secrets {
    /// Looks at what a configuration names for these hosts, within a bound. What the responder alone reads is
    /// there only where it runs.
    pub(super) async fn look(config: &ResponderConfig, hosts: &[&HostEntry], responder: &str) -> Self {
        let named = named(config, hosts, is_here(responder));
        let asked = named.clone();
        let looked = spawn_blocking(move || {
            let responders = Account::of_the_unit();
            asked.iter().map(|named| look_at(named, responders.as_ref())).collect::<Vec<_>>()
        });
        let looked = match timeout(TIME, looked).await {
            Ok(Ok(looked)) => looked,
            _ => named.iter().map(|named| Err(late(&named.path))).collect(),
        };
        let mut secrets = Self::default();
        for (named, looked) in named.into_iter().zip(looked) {
            match looked {
                Ok(()) => secrets.good.push(named),
                Err(trouble) => secrets.bad.push((named, trouble)),
            }
        }
        secrets
    }

    /// A row for each that cannot be used; else one for all.
    pub(super) fn judge(&self) -> Vec<Check> {
        let broken: Vec<_> = self.broken().map(|(named, seen, advice)| row(named, seen, advice)).collect();
        if !broken.is_empty() {
            return broken;
        }
        let list = |mut named: Vec<&'static str>| {
            named.dedup();
            named.join(", ")
        };
        if self.bad.is_empty() {
            let good = list(self.good.iter().map(|named| named.key).collect());
            let seen =
                if good.is_empty() { "none is named".to_owned() } else { format!("can be used: {good}") };
            return vec![Check::ok(LINK, seen)];
        }
        let not_ours = list(self.bad.iter().map(|(named, _)| named.key).collect());
        let advice = "run this as root or as the responder's account to have them looked at";
        vec![Check::not_asked(LINK, format!("not for you to read: {not_ours}"), advice)]
    }

    fn broken(&self) -> impl Iterator<Item = (&Named, &str, &str)> {
        self.bad.iter().filter_map(|(named, trouble)| match trouble {
            Trouble::Broken(seen, advice) => Some((named, seen.as_str(), advice.as_str())),
            Trouble::NotOurs => None,
        })
    }

    /// Whether the responder's own token is what is broken.
    pub(super) fn token_is_broken(&self) -> bool {
        self.broken().any(|(named, ..)| named.kind == Kind::Token)
    }

    /// Where Alertmanager does not let us in, that hangs on what is shown to it.
    pub(super) fn excuse(&self, checks: &mut [Check]) {
        let is_let_out = |check: &&mut Check| {
            let refused = [" answers 401: ", " answers 403: "];
            check.check == "alertmanager"
                && check.state == State::Broken
                && refused.iter().any(|refused| check.seen.contains(refused))
        };
        let is_broken = self.broken().any(|(named, ..)| named.kind == Kind::Alertmanager);
        for check in checks.iter_mut().filter(|_| is_broken).filter(is_let_out) {
            *check = Check::skipped("alertmanager", "what is shown to it cannot be used");
        }
    }

    /// The key of a host, where it is what is broken.
    pub(super) fn broken_key(&self, config: &ResponderConfig, entry: &HostEntry) -> Option<PathBuf> {
        let key = key_of(config, entry)?;
        self.broken().find(|(named, ..)| named.path == key).map(|_| key)
    }
}

fn row(named: &Named, seen: &str, advice: &str) -> Check {
    Check::broken(LINK, format!("{}: {} {seen}", named.key, named.path.display()), advice)
}

/// Whether whoever is asked there runs on this machine.
fn is_here(responder: &str) -> bool {
    let host = responder.split_once("://").map_or(responder, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]")
}

fn named(config: &ResponderConfig, hosts: &[&HostEntry], is_here: bool) -> Vec<Named> {
    let mut all = BTreeSet::new();
    let mut add = |kind, key, path: Option<&Path>| {
        all.extend(path.map(|path| Named { kind, key, path: path.to_owned() }));
    };
    if is_here {
        let Web { bearer_token_file: token, .. } = &config.web;
        let Alertmanager { password_file, bearer_token_file, .. } = &config.alertmanager;
        add(Kind::Token, "web.bearer_token_file", token.as_deref());
        add(Kind::Alertmanager, "alertmanager.password_file", password_file.as_deref());
        add(Kind::Alertmanager, "alertmanager.bearer_token_file", bearer_token_file.as_deref());
    }
    for entry in hosts {
        add(Kind::Key, "ssh.identity_file", key_of(config, entry).as_deref());
    }
    all.into_iter().collect()
}

/// The key with which the responder goes to a host.
fn key_of(config: &ResponderConfig, entry: &HostEntry) -> Option<PathBuf> {
    let target = Target::new(entry, &config.ssh).ok()?;
    let [(_, key), _] = target.files();
    Some(key.to_owned())
}

fn look_at(named: &Named, responders: Option<&Account>) -> Result<(), Trouble> {
    let shown = named.path.display();
    let told = |error: &io::Error| match error.kind() {
        ErrorKind::PermissionDenied => Trouble::NotOurs,
        ErrorKind::NotFound => broken(
            "is not there",
            format!("put the {} into {shown}, for the responder's account alone to read", named.kind.word()),
        ),
        _ => broken(format!("cannot be read: {error}"), format!("see what is wrong with {shown}")),
    };
    let metadata = fs::metadata(&named.path).map_err(|error| told(&error))?;
    if !metadata.is_file() {
        return Err(broken(
            "is no file",
            format!("name a file with the {} in {}", named.kind.word(), named.key),
        ));
    }
    is_closed(named, &metadata)?;
    match secret::read(&named.path) {
        Err(SecretError::Read(error)) => return Err(told(&error)),
        Err(error @ SecretError::TooLong) => {
            return Err(broken(error.to_string(), format!("put the {} into {shown}", named.kind.word())));
        }
        Err(SecretError::Empty) => {
            return Err(broken("is empty", format!("put the {} into {shown}", named.kind.word())));
        }
        Ok(_) => {}
    }
    match responders.filter(|account| !account.can_read(&metadata)) {
        Some(_) => Err(broken(
            format!("cannot be read by {}, the responder's account", account::NAME),
            format!("chown {} {shown}", account::NAME),
        )),
        None => Ok(()),
    }
}

/// Whether nobody reads it who should not. A key that is more than its owner's is none to its owner's ssh.
fn is_closed(named: &Named, metadata: &Metadata) -> Result<(), Trouble> {
    const ROOT: u32 = 0;
    let shown = named.path.display();
    let is_open = secret::is_open(metadata.mode());
    let is_its_groups = metadata.mode() & 0o070 != 0 && metadata.uid() != ROOT;
    match named.kind {
        Kind::Key if !is_open && !is_its_groups => Ok(()),
        Kind::Key => Err(broken(
            format!("is open to others than its owner (mode {:o})", metadata.mode() & 0o777),
            format!("chmod 600 {shown}: ssh takes no other key"),
        )),
        _ if is_open => Err(broken("is open to everybody", format!("chmod o= {shown}"))),
        _ => Ok(()),
    }
}

fn broken(seen: impl Into<String>, advice: String) -> Trouble {
    Trouble::Broken(seen.into(), advice)
}

fn late(path: &Path) -> Trouble {
    let secs = TIME.as_secs();
    broken(
        format!("could not be looked at in {secs} s"),
        format!("see what the disk of {} is at", path.display()),
    )
}

impl Kind {
    /// What the file holds.
    fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Alertmanager => "password or token",
            Self::Key => "private key",
        }
    }
}

#[cfg(test)]
mod tests;
