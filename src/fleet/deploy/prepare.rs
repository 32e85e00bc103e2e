//! What each host is to get, by the inventory: settled for all of them before any is spoken to.

use std::path::{Path, PathBuf};

use super::known_hosts::PublicKey;
use crate::{
    config::{
        Problem, overlay,
        responder::{HostEntry, ResponderConfig},
    },
    domain::{attempt::Mode, host::HostName},
    fleet::order::{Hold, HostPart, Order, Task, health::Examination},
};

/// What the operator wants of all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The host's part is to be there.
    Deploy {
        /// Instead of what the inventory says.
        mode: Option<Mode>,
        /// The old script's cron lines are to go.
        replace_old_cron: bool,
        /// Settings that no deploy has written are to go.
        overwrite_settings: bool,
        /// In the end the responder's way to each host is to be tried.
        verify: bool,
    },
    /// It is not to be there.
    Undeploy {
        /// The old script's cron lines are not to come back.
        drop_old_cron: bool,
    },
    /// Nothing is to be deleted there.
    Hold(Hold),
    /// It is to go on.
    Release,
}

/// What is to be done on one host.
#[derive(Debug, Clone)]
pub struct Job {
    pub(super) entry: HostEntry,
    pub(super) order: Order,
    pub(super) host_ca: Option<PublicKey>,
    /// Whether the responder's way there is to be tried.
    pub(super) verifies: bool,
}

impl Job {
    /// The host.
    pub fn host(&self) -> &HostName {
        &self.entry.name
    }

    /// Whether the responder is to know the host's key afterwards.
    pub(super) fn pins(&self) -> bool {
        matches!(self.order.task, Task::Deploy(_))
    }

    /// Whether the responder is no longer to know it.
    pub(super) fn unpins(&self) -> bool {
        matches!(self.order.task, Task::Undeploy { .. })
    }

    /// What is under way, for whoever watches.
    pub(super) fn step(&self) -> &'static str {
        match (self.order.check, &self.order.task) {
            (true, _) => "comparing",
            (false, Task::Deploy(_)) => "putting in place",
            (false, Task::Undeploy { .. }) => "taking away",
            (false, Task::Hold(_)) => "holding",
            (false, Task::Release) => "releasing",
            (false, Task::Examine(_)) => "looking",
        }
    }
}

/// Why nothing can be begun.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A name that the inventory does not have.
    #[error("{0:?} is no host of the inventory")]
    UnknownHost(String),
    /// Nobody is there to be deployed to.
    #[error("the inventory has no host")]
    NoHost,
    /// From where the responder comes is not said.
    #[error("deploy.from: name the addresses that the responder comes from, such as [192.0.2.10]")]
    NoSource,
    /// A key cannot be used.
    #[error("{path}: {why}", path = path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The settings of a host are none.
    #[error("{host}: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings {
        /// The host.
        host: HostName,
        /// What is wrong with them.
        problems: Vec<Problem>,
    },
}

/// Settles what is to be done, on the named hosts or where none is named on all of them.
pub fn prepare(
    config: &ResponderConfig,
    names: &[String],
    wish: Wish,
    check: bool,
) -> Result<Vec<Job>, PrepareError> {
    let entries = entries(config, names)?;
    entries.into_iter().map(|entry| job(config, entry, &wish, check)).collect()
}

/// In the inventory's order, each once. A name is an entry's own: an alias may stand for what an exporter
/// says, and not for what a person means.
pub fn entries<'a>(
    config: &'a ResponderConfig,
    names: &[String],
) -> Result<Vec<&'a HostEntry>, PrepareError> {
    let is_there = |name: &&String| config.hosts.iter().any(|entry| entry.name.as_str() == name.as_str());
    if let Some(unknown) = names.iter().find(|name| !is_there(name)) {
        return Err(PrepareError::UnknownHost(unknown.chars().take(64).collect()));
    }
    let is_named =
        |entry: &&HostEntry| names.is_empty() || names.iter().any(|name| name == entry.name.as_str());
    let entries: Vec<_> = config.hosts.iter().filter(is_named).collect();
    if entries.is_empty() { Err(PrepareError::NoHost) } else { Ok(entries) }
}

/// What is to be looked at on a host; and where it is not known what a deploy would put there, why.
pub fn examination(config: &ResponderConfig, entry: &HostEntry) -> (Examination, Option<PrepareError>) {
    let (part, unknown) = match host_part(config, entry, None) {
        Ok(part) => (Some(part), None),
        Err(error) => (None, Some(error)),
    };
    (Examination { part, textfile_dir: config.deploy.textfile_dir.clone() }, unknown)
}

fn job(config: &ResponderConfig, entry: &HostEntry, wish: &Wish, check: bool) -> Result<Job, PrepareError> {
    let textfile_dir = config.deploy.textfile_dir.clone();
    let (task, host_ca, verifies) = match wish {
        Wish::Undeploy { drop_old_cron } => {
            (Task::Undeploy { textfile_dir, drop_old_cron: *drop_old_cron }, None, false)
        }
        Wish::Hold(hold) => (Task::Hold(hold.clone()), None, false),
        Wish::Release => (Task::Release, None, false),
        Wish::Deploy { mode, replace_old_cron, overwrite_settings, verify } => {
            let part = HostPart {
                replace_old_cron: *replace_old_cron,
                overwrite_settings: *overwrite_settings,
                ..host_part(config, entry, *mode)?
            };
            let host_ca = config.deploy.host_ca_file.as_deref().map(public_key).transpose()?;
            (Task::Deploy(part), host_ca, *verify && !check)
        }
    };
    Ok(Job { entry: entry.clone(), order: Order { check, task }, host_ca, verifies })
}

fn host_part(
    config: &ResponderConfig,
    entry: &HostEntry,
    mode: Option<Mode>,
) -> Result<HostPart, PrepareError> {
    let deploy = &config.deploy;
    if deploy.from.is_empty() {
        return Err(PrepareError::NoSource);
    }
    let wrong = |problems| PrepareError::Settings { host: entry.name.clone(), problems };
    let mut settings = config.settings_of(entry).map_err(wrong)?;
    if let Some(mode) = mode {
        settings.mode = mode;
    }
    let text = overlay::yaml(&settings)
        .map_err(|error| wrong(vec![Problem { key: String::new(), message: error.to_string() }]))?;
    Ok(HostPart {
        settings: format!("{HEADING}{text}"),
        public_key: public_key(&public_key_file(config, entry))?.to_string() + " raysweep",
        from: deploy.from.clone(),
        schedule: settings.schedule.to_string(),
        log_dir: settings.log_dir,
        textfile_dir: deploy.textfile_dir.clone(),
        socket: settings.bare.is_none().then_some(settings.containers.socket),
        replace_old_cron: false,
        overwrite_settings: false,
    })
}

/// Above a host's settings, for whoever opens them there.
const HEADING: &str = "# Written by `raysweep deploy` from the inventory: change it there. A deploy stops at what is changed here.\n";

fn public_key_file(config: &ResponderConfig, entry: &HostEntry) -> PathBuf {
    let beside = |identity: &Path| {
        let mut name = identity.as_os_str().to_owned();
        name.push(".pub");
        PathBuf::from(name)
    };
    match (&entry.identity_file, &config.deploy.public_key_file) {
        (Some(identity), _) => beside(identity),
        (None, Some(file)) => file.clone(),
        (None, None) => beside(&config.ssh.identity_file),
    }
}

/// The one key of a file.
pub(super) fn public_key(path: &Path) -> Result<PublicKey, PrepareError> {
    let wrong = |why: String| PrepareError::Key { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let (key, more) = (lines.next().and_then(PublicKey::parse), lines.next());
    match (key, more) {
        (Some(key), None) => Ok(key),
        _ => Err(wrong("it must hold one public key, as ssh-keygen writes it".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJlIGtpbmQgdG8gdGhlIG5leHQgcGVyc29uIGhlcmUh";

    /// An inventory of two hosts, and the folder that its key lies in.
    fn inventory() -> (tempfile::TempDir, ResponderConfig) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("id.pub"), format!("{KEY} me@here\n")).unwrap();
        let mut config: ResponderConfig = serde_json::from_value(serde_json::json!({
            "hosts": [
                { "name": "a", "address": "10.0.0.80", "aliases": ["c"] },
                { "name": "b", "address": "10.0.0.81", "sweep": { "mode": "enforce" } },
            ],
            "deploy": { "from": ["192.0.2.10"] },
        }))
        .unwrap();
        config.ssh.identity_file = folder.path().join("id");
        (folder, config)
    }

    fn deploy(mode: Option<Mode>) -> Wish {
        Wish::Deploy { mode, replace_old_cron: false, overwrite_settings: false, verify: true }
    }

    fn settings(job: &Job) -> &str {
        let Task::Deploy(part) = &job.order.task else { panic!("{job:?}") };
        &part.settings
    }

    #[test]
    fn a_host_observes_unless_the_inventory_or_the_operator_says_otherwise() {
        let (_folder, config) = inventory();
        let jobs = prepare(&config, &[], deploy(None), false).unwrap();
        assert!(settings(&jobs[0]).contains("\nmode: \"observe\"\n"), "{}", settings(&jobs[0]));
        assert!(settings(&jobs[1]).contains("\nmode: \"enforce\"\n"));
        for job in prepare(&config, &[], deploy(Some(Mode::Enforce)), false).unwrap() {
            assert!(settings(&job).contains("\nmode: \"enforce\"\n"));
        }
        let jobs = prepare(&config, &["b".to_owned()], deploy(Some(Mode::Observe)), false).unwrap();
        assert!(settings(&jobs[0]).contains("\nmode: \"observe\"\n"));
    }

    #[test]
    fn the_key_comes_without_its_comment() {
        let (_folder, config) = inventory();
        let jobs = prepare(&config, &["a".to_owned()], deploy(None), false).unwrap();
        let Task::Deploy(part) = &jobs[0].order.task else { panic!() };
        assert_eq!(part.public_key, format!("{KEY} raysweep"));
    }

    #[test]
    fn what_cannot_be_begun_is_said_before_any_host_is_spoken_to() {
        let (folder, config) = inventory();
        let said = |config: &ResponderConfig, name: &str| {
            prepare(config, &[name.to_owned()], deploy(None), false).unwrap_err().to_string()
        };
        assert_eq!(said(&config, "c"), "\"c\" is no host of the inventory", "an alias is no name");
        std::fs::write(folder.path().join("id.pub"), "no key\n").unwrap();
        assert!(said(&config, "a").ends_with("it must hold one public key, as ssh-keygen writes it"));
        std::fs::write(folder.path().join("id.pub"), format!("{KEY}\n{KEY}\n")).unwrap();
        assert!(said(&config, "a").ends_with("it must hold one public key, as ssh-keygen writes it"));
        let mut nowhere = config.clone();
        nowhere.deploy.from.clear();
        assert!(said(&nowhere, "a").starts_with("deploy.from: "));
        assert!(
            prepare(&nowhere, &[], Wish::Undeploy { drop_old_cron: false }, false).is_ok(),
            "taking away needs no key"
        );
    }
}
