//! `raysweep.yml`: the responder's settings and the fleet's inventory.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    overlay::Overlay,
    units::{Size, Span},
};
use crate::domain::{
    host::{Directory, DirectoryClash, HostName},
    policy::{Policies, Urgency},
};

/// Where the responder's configuration lies.
pub const DEFAULT_PATH: &str = "/etc/raysweep/raysweep.yml";

/// The responder's settings. A missing key takes its default; an unknown one is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResponderConfig {
    /// What listens, and who may call.
    pub web: Web,
    /// When a host is looked at.
    pub timing: Timing,
    /// How much is done at once.
    pub limits: Limits,
    /// What is kept beside incidents and attempts.
    pub journal: Journal,
    /// How hosts are reached.
    pub ssh: Ssh,
    /// What is asked of Alertmanager.
    pub alertmanager: Alertmanager,
    /// Where `raysweep doctor` finds Prometheus.
    pub prometheus: Prometheus,
    /// What `raysweep deploy` puts on the hosts.
    pub deploy: Deploy,
    /// What each alert name asks for. Default: the four alerts of the shipped rules.
    pub policies: Vec<PolicyEntry>,
    /// The inventory. Nothing outside it is ever connected to.
    pub hosts: Vec<HostEntry>,
}

impl Default for ResponderConfig {
    fn default() -> Self {
        let policies = Policies::default();
        Self {
            web: Web::default(),
            timing: Timing::default(),
            limits: Limits::default(),
            journal: Journal::default(),
            ssh: Ssh::default(),
            alertmanager: Alertmanager::default(),
            prometheus: Prometheus::default(),
            deploy: Deploy::default(),
            policies: policies
                .iter()
                .map(|(alert, urgency)| PolicyEntry { alert: alert.to_owned(), urgency })
                .collect(),
            hosts: vec![],
        }
    }
}

impl ResponderConfig {
    /// The policies by alert name.
    pub fn policies(&self) -> Policies {
        Policies::new(self.policies.iter().map(|entry| (entry.alert.clone(), entry.urgency)))
    }

    /// Which label values stand for which host.
    pub fn directory(&self) -> Result<Directory, DirectoryClash> {
        Directory::new(
            self.hosts
                .iter()
                .map(|host| (host.name.clone(), host.aliases.iter().cloned().chain([host.address.clone()]))),
        )
    }
}

/// What listens, and who may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Where the webhook listens, unless `--web.listen-address` says otherwise. Default `127.0.0.1:9095`.
    pub listen_address: SocketAddr,
    /// A file with the bearer token that a caller must show. Without it, and without users or client certificates in the file of `--web.config.file`, only loopback is listened on.
    pub bearer_token_file: Option<PathBuf>,
    /// Names by which it may be called where callers have to show nothing, such as the one that a reverse proxy passes on as `Host`. `localhost` and every IP address always may; any other name would let a web page of its owner read what is answered.
    pub allowed_hosts: Vec<String>,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            listen_address: SocketAddr::from(([127, 0, 0, 1], 9095)),
            bearer_token_file: None,
            allowed_hosts: vec![],
        }
    }
}

/// When a host is looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    /// At most one attempt a host in this time. Default `10m`.
    pub period: Span,
    /// The same for an incident with a critical alert. Default `2m`.
    pub critical_period: Span,
    /// How soon a host is looked at again that was at work, had nothing to give, only observes or is on hold, or of whose sweep nobody knows the end. Default `5m`.
    pub recheck: Span,
    /// How long an alert may take to resolve after space was freed. Default `5m`.
    pub decay: Span,
    /// The first wait after a host could not be reached or refused us; it doubles. Default `30s`.
    pub backoff_first: Span,
    /// The longest such wait. Default `10m`.
    pub backoff_most: Span,
    /// When a person is told whatever the outcomes were. Default `1h`.
    pub escalate_after: Span,
    /// When an incident closes whose alerts were not seen again. Default `45m`; the shipped route repeats every 15m.
    pub expiry: Span,
    /// How long ended incidents are kept; `24h` or more. Default `90d`.
    pub history: Span,
    /// How long a stop waits for attempts under way. Default `30s`.
    pub stop_grace: Span,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            period: Span::mins(10),
            critical_period: Span::mins(2),
            recheck: Span::mins(5),
            decay: Span::mins(5),
            backoff_first: Span::secs(30),
            backoff_most: Span::mins(10),
            escalate_after: Span::hours(1),
            expiry: Span::mins(45),
            history: Span::hours(90 * 24),
            stop_grace: Span::secs(30),
        }
    }
}

/// How much is done at once, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Attempts under way at once over the fleet; hosts that failed last time have a quarter of them, and what hangs goes on beside them. Default 16.
    pub attempts_at_once: u32,
    /// Attempts that begin in a minute over the fleet, at most. Default 120.
    pub starts_a_minute: u32,
    /// The longest body that is read, in bytes. Default 32 MiB.
    pub body_bytes: u64,
    /// What all bodies that are being read may hold together, in bytes; 503 beyond. Default 64 MiB.
    pub bodies_bytes: u64,
    /// How many connections may be without a whole request, and how many requests may be under way, three quarters of them from one address. Beyond it whoever has the most of them loses the one that has waited longest, and a request gets 503. Default 512.
    pub connections: u32,
    /// How long a connection may take to its first request's end of header, TLS included; how long it may be idle; and how long a body may stand still. Default `10s`.
    pub header_timeout: Span,
    /// How long a request may take, body and answer included; 503 beyond. Default `30s`.
    pub request_timeout: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempts_at_once: 16,
            starts_a_minute: 120,
            body_bytes: 32 * 1024 * 1024,
            bodies_bytes: 64 * 1024 * 1024,
            connections: 512,
            header_timeout: Span::secs(10),
            request_timeout: Span::secs(30),
        }
    }
}

/// What is kept beside incidents and attempts, for as long as `timing.history` at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// How many notifications are kept as they were received, the last ones, for `raysweep replay ID`; 0 keeps none. Default 10000.
    pub notifications: u32,
    /// What they may hold together, in bytes; a single one that is longer than a tenth of it is not kept. Default 64 MiB.
    pub notifications_bytes: u64,
    /// What the reports of all attempts may hold together, with its unit; beyond it the oldest are dropped, and all else that is known of their attempts stays. An open incident's last one is kept. Default `1GiB`.
    pub reports_bytes: Size,
}

impl Default for Journal {
    fn default() -> Self {
        Self { notifications: 10_000, notifications_bytes: 64 * 1024 * 1024, reports_bytes: Size(1 << 30) }
    }
}

/// How hosts are reached; each host may say otherwise for itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ssh {
    /// The account that `deploy` made. Default `raysweep`.
    pub user: String,
    /// The port. Default 22.
    pub port: u16,
    /// The responder's private key. Default `/etc/raysweep/id_ed25519`.
    pub identity_file: PathBuf,
    /// The hosts' pinned keys; nothing is ever added by connecting. Default `/etc/raysweep/known_hosts`.
    pub known_hosts_file: PathBuf,
    /// How long TCP and the handshake may take. Default `10s`.
    pub connect_timeout: Span,
    /// How long an attempt may take, a little longer than the host's own deadline. Default `11m`.
    pub attempt_deadline: Span,
    /// The longest output of a host that is read, on each of its streams, in bytes. Default 8 MiB.
    pub output_bytes: u64,
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            user: "raysweep".to_owned(),
            port: 22,
            identity_file: "/etc/raysweep/id_ed25519".into(),
            known_hosts_file: "/etc/raysweep/known_hosts".into(),
            connect_timeout: Span::secs(10),
            attempt_deadline: Span::mins(11),
            output_bytes: 8 * 1024 * 1024,
        }
    }
}

/// What is asked of Alertmanager; nothing without an address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alertmanager {
    /// Where it answers, such as `http://127.0.0.1:9093`. An attempt then waits while every alert of its incident is silenced or inhibited there.
    pub url: Option<String>,
    /// The user of its basic authentication; absent where it wants none.
    pub username: Option<String>,
    /// A file with that user's password.
    pub password_file: Option<PathBuf>,
    /// A file with the bearer token that it wants; absent where it wants none.
    pub bearer_token_file: Option<PathBuf>,
    /// How long an answer may take; without one nothing is put off. Default `3s`.
    pub timeout: Span,
}

impl Default for Alertmanager {
    fn default() -> Self {
        Self {
            url: None,
            username: None,
            password_file: None,
            bearer_token_file: None,
            timeout: Span::secs(3),
        }
    }
}

/// Where `raysweep doctor` finds Prometheus; the responder itself never asks it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prometheus {
    /// Where it answers, such as `http://127.0.0.1:9090`.
    pub url: Option<String>,
    /// The user of its basic authentication; absent where it wants none.
    pub username: Option<String>,
    /// A file with that user's password.
    pub password_file: Option<PathBuf>,
    /// A file with the bearer token that it wants; absent where it wants none.
    pub bearer_token_file: Option<PathBuf>,
}

/// What `raysweep deploy` puts on the hosts, and how it gets there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deploy {
    /// Whom the operator logs in as; without it, as the operator's own ssh configuration says.
    pub user: Option<String>,
    /// The addresses and networks that the responder comes from, as sshd's `from=` takes them. `deploy` asks for at least one.
    pub from: Vec<String>,
    /// The responder's public key. Default: the host's `identity_file` with `.pub` behind it.
    pub public_key_file: Option<PathBuf>,
    /// The public key of the CA that signs the hosts' keys; then it is pinned for each host, and no single key is.
    pub host_ca_file: Option<PathBuf>,
    /// The folder that node_exporter's textfile collector reads. Default `/var/lib/prometheus/node-exporter`.
    pub textfile_dir: PathBuf,
    /// The hosts' `sweep.yml`: keys that are not as their default.
    pub sweep: Option<Overlay>,
}

impl Default for Deploy {
    fn default() -> Self {
        Self {
            user: None,
            from: vec![],
            public_key_file: None,
            host_ca_file: None,
            textfile_dir: "/var/lib/prometheus/node-exporter".into(),
            sweep: None,
        }
    }
}

/// What an alert name asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyEntry {
    /// The alert's name.
    pub alert: String,
    /// `warning` or `critical`: when we look and when we escalate, never what may be deleted.
    pub urgency: Urgency,
}

/// One host of the inventory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostEntry {
    /// Its name: the value of the `host` label.
    pub name: HostName,
    /// Where its SSH server is: a DNS name or an IP address.
    pub address: String,
    /// Other label values that stand for it, such as an exporter's `instance` without the port.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Overrides `ssh.user`.
    #[serde(default)]
    pub user: Option<String>,
    /// Overrides `ssh.port`.
    #[serde(default)]
    pub port: Option<u16>,
    /// Overrides `ssh.identity_file`.
    #[serde(default)]
    pub identity_file: Option<PathBuf>,
    /// A host to go through, as `ssh -J` takes it: `[user@]host[:port]`.
    #[serde(default)]
    pub jump: Option<String>,
    /// Its `sweep.yml`: keys that are not as in `deploy.sweep`.
    #[serde(default)]
    pub sweep: Option<Overlay>,
}

#[cfg(test)]
impl HostEntry {
    /// With nothing but a name and an address, for tests.
    pub(crate) fn at(name: &str, address: &str) -> Self {
        Self {
            name: name.parse().unwrap(),
            address: address.to_owned(),
            aliases: vec![],
            user: None,
            port: None,
            identity_file: None,
            jump: None,
            sweep: None,
        }
    }
}
