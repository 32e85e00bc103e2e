//! Where a host is and how the responder's ssh reaches it: the inventory's words and nobody else's.

use std::{
    ffi::OsString,
    fmt::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use super::responder::{HostEntry, Ssh as Settings};
use crate::domain::host::HostName;

/// A host as ssh is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name in the inventory.
    pub host: HostName,
    address: String,
    user: String,
    port: u16,
    jump: Option<String>,
    identity_file: PathBuf,
    known_hosts_file: PathBuf,
}

/// A setting that cannot be told to ssh.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("host {host}: {key}: {value:?} cannot be told to ssh: {wanted}")]
pub struct TargetError {
    /// The host.
    pub host: HostName,
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What would be right.
    pub wanted: &'static str,
}

impl Target {
    /// The target of an inventory entry under the common settings.
    pub fn new(entry: &HostEntry, settings: &Settings) -> Result<Self, TargetError> {
        let target = Self {
            host: entry.name.clone(),
            address: entry.address.clone(),
            user: entry.user.clone().unwrap_or_else(|| settings.user.clone()),
            port: entry.port.unwrap_or(settings.port),
            jump: entry.jump.clone(),
            identity_file: entry.identity_file.clone().unwrap_or_else(|| settings.identity_file.clone()),
            known_hosts_file: settings.known_hosts_file.clone(),
        };
        target.check()?;
        Ok(target)
    }

    fn check(&self) -> Result<(), TargetError> {
        let refuse = |key, value: &str, wanted| {
            Err(TargetError { host: self.host.clone(), key, value: value.to_owned(), wanted })
        };
        // `user@host` and `ssh://` would change user and port behind the configuration's back.
        let plain = |text: &str, more: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if !plain(&self.address, ".-_:%") {
            return refuse("address", &self.address, "use a DNS name or an IP address");
        }
        if !plain(&self.user, ".-_$") {
            return refuse("user", &self.user, "use an account's name");
        }
        if let Some(jump) = self.jump.as_deref().filter(|jump| !plain(jump, ".-_:@[],%")) {
            return refuse("jump", jump, "use [user@]host[:port]");
        }
        for (key, path) in self.files() {
            let text = path.to_string_lossy();
            if !path.is_absolute() || text.contains(['"', '\n', '\\', '$', '\u{fffd}']) {
                return refuse(
                    key,
                    &text,
                    "use an absolute path without quotes, backslashes, '$' or line breaks",
                );
            }
        }
        Ok(())
    }

    /// The files that ssh reads here, each with the key that names it.
    pub fn files(&self) -> [(&'static str, &Path); 2] {
        [("identity_file", &self.identity_file), ("known_hosts_file", &self.known_hosts_file)]
    }

    /// What follows ssh's other options on the command line.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            vec!["-l".into(), (&self.user).into(), "-p".into(), self.port.to_string().into()];
        if let Some(jump) = &self.jump {
            arguments.extend(["-J".into(), jump.into()]);
        }
        arguments.extend(["--".into(), (&self.address).into()]);
        arguments
    }

    /// The same words as text.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn words(&self) -> Vec<String> {
        self.arguments().into_iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    /// ssh's whole configuration. A file, and not options, because only a file is passed on to the
    /// ssh that goes through a jump host.
    pub fn config(&self, connect_timeout: Duration) -> String {
        let mut config = String::from(
            "BatchMode yes\n\
             StrictHostKeyChecking yes\n\
             UpdateHostKeys no\n\
             GlobalKnownHostsFile /dev/null\n\
             CheckHostIP no\n\
             IdentitiesOnly yes\n\
             IdentityAgent none\n\
             PreferredAuthentications publickey\n\
             ForwardAgent no\n\
             ForwardX11 no\n\
             ControlPersist no\n\
             ConnectionAttempts 1\n\
             ServerAliveInterval 5\n\
             ServerAliveCountMax 3\n\
             LogLevel ERROR\n",
        );
        let secs = connect_timeout.as_secs().max(1);
        // Writing to a String cannot fail.
        let _ = writeln!(config, "ConnectTimeout {secs}");
        let _ = writeln!(config, "IdentityFile {}", quoted(&self.identity_file));
        let _ = writeln!(config, "UserKnownHostsFile {}", quoted(&self.known_hosts_file));
        config
    }
}

/// A path as ssh's configuration takes it, in which a percent sign begins a token.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(address: &str) -> HostEntry {
        HostEntry::at("ray-80", address)
    }

    #[test]
    fn an_address_that_could_be_an_option_a_user_or_an_url_is_refused() {
        for address in ["", "-V", "-oProxyCommand=x", "a@b", "ssh://a", "a b", "$(id)", "../..", "a\nb"] {
            assert_eq!(
                Target::new(&entry(address), &Settings::default()).unwrap_err().key,
                "address",
                "{address:?}"
            );
        }
        for address in ["10.0.0.80", "ray-80.example", "fd00::80", "fe80::1%eth0"] {
            assert!(Target::new(&entry(address), &Settings::default()).is_ok(), "{address}");
        }
    }

    #[test]
    fn a_path_that_would_leave_its_quotes_is_refused() {
        let settings = Settings { identity_file: "/tmp/a\"\nProxyCommand x".into(), ..Settings::default() };
        assert_eq!(Target::new(&entry("a"), &settings).unwrap_err().key, "identity_file");
        let settings = Settings { known_hosts_file: "known_hosts".into(), ..Settings::default() };
        assert_eq!(Target::new(&entry("a"), &settings).unwrap_err().key, "known_hosts_file");
    }

    #[test]
    fn the_responders_key_goes_nowhere_but_to_hosts_that_it_knows() {
        let entry = HostEntry { identity_file: Some("/etc/raysweep/100%".into()), ..entry("a") };
        let config = Target::new(&entry, &Settings::default()).unwrap().config(Duration::ZERO);
        for line in [
            "StrictHostKeyChecking yes",
            "IdentityAgent none",
            "ConnectTimeout 1",
            "IdentityFile \"/etc/raysweep/100%%\"",
            "UserKnownHostsFile \"/etc/raysweep/known_hosts\"",
        ] {
            assert!(config.lines().any(|other| other == line), "{line}: {config}");
        }
    }

    #[test]
    fn the_destination_stands_behind_the_end_of_options() {
        let jump = HostEntry { jump: Some("gate@10.0.0.1:2222".to_owned()), ..entry("10.0.0.80") };
        let arguments = Target::new(&jump, &Settings::default()).unwrap().arguments();
        assert_eq!(
            arguments,
            ["-l", "raysweep", "-p", "22", "-J", "gate@10.0.0.1:2222", "--", "10.0.0.80"].map(OsString::from)
        );
    }
}
