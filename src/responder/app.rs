//! The composition: parts are made, the listener is bound, then work starts. What a configuration makes
//! of the parts can be replaced while they work; all of it stops within the grace period.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use jiff::Timestamp;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{Notify, mpsc, watch},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    ServeError, ServeOptions,
    clock::Clock,
    dispatcher::Dispatcher,
    http::{
        ReloadAsked, Serving, Web, access,
        body::Bodies,
        connections::Connections,
        seldom::Seldom,
        server::{self, Server},
        shared::Shared,
        users::Passwords,
        web_file::WebFile,
    },
    intake::{Intake, Queue},
    journal::{Keep, sqlite::SqliteJournal},
    lanes::{self, Lanes},
    limiter::{Limiter, Starts},
    metrics::Metrics,
    silences::Silences,
    ssh::{Ssh, Target},
};
use crate::{
    config::{
        self,
        responder::{Limits, ResponderConfig, Timing as TimingSettings},
    },
    domain::{
        host::{Directory, HostName},
        incident::Timing,
        policy::Policies,
    },
};

mod life;
mod limits;
mod reload;
mod signals;
mod systemd;

pub use signals::Signals;

type Journal = SqliteJournal;

/// Connections that may wait to be taken; the system may allow fewer.
const BACKLOG: u32 = 4096;

/// The responder with its listener bound and its journal open; nothing runs yet.
#[derive(Debug)]
pub struct App {
    listener: TcpListener,
    parts: Parts,
}

/// What works, and the configuration that it works by.
#[derive(Debug)]
struct Parts {
    options: ServeOptions,
    /// What was asked to be listened on; a port of 0 is any.
    asked_address: SocketAddr,
    config: ResponderConfig,
    journal: Journal,
    dispatcher: Arc<Dispatcher<Journal>>,
    web: Arc<Web<Journal>>,
    serving: watch::Sender<Arc<Serving<Journal>>>,
    reloads: mpsc::Receiver<ReloadAsked>,
    stop: CancellationToken,
}

/// What of the configuration has been checked beyond its shape.
#[derive(Debug)]
pub struct Checked {
    /// The inventory as ssh is told of it.
    pub targets: BTreeMap<HostName, Target>,
    /// Which label values stand for which host.
    pub directory: Directory,
    /// What each alert name asks for.
    pub policies: Policies,
}

/// Checks what a configuration's shape does not tell; for `serve` and `check-config`.
pub fn check(config: &ResponderConfig) -> Result<Checked, ServeError> {
    // That no name stands there twice has been seen to where the file was read.
    let targets = config.hosts.iter().map(|entry| Ok((entry.name.clone(), Target::new(entry, &config.ssh)?)));
    let targets = targets.collect::<Result<_, ServeError>>()?;
    Ok(Checked { targets, directory: config.directory()?, policies: config.policies() })
}

impl App {
    /// Binds, opens and recovers. What fails here fails before anything was promised.
    pub async fn bind(options: ServeOptions, config: ResponderConfig) -> Result<Self, ServeError> {
        let Checked { targets, directory, policies } = check(&config)?;
        let asked_address = wanted_address(&options, &config);
        let file = options.web_config_file.as_deref().map(WebFile::open).transpose()?.map(Arc::new);
        check_access(&options.config_file, &[asked_address], &config, file.clone()).await?;
        limits::raise_open_files(&config.limits);
        let listener =
            listen(asked_address).map_err(|source| ServeError::Bind { address: asked_address, source })?;
        let address = listener.local_addr().map_err(ServeError::Runtime)?;
        let journal = systemd::starting(SqliteJournal::open(&options.storage_path)).await?;
        tell_unreadable(&targets).await;
        let folder = std::path::absolute(options.storage_path.join("ssh")).map_err(ServeError::Runtime)?;
        let ssh = Ssh::prepare(folder, config.ssh.connect_timeout.0, config.ssh.output_bytes).await?;

        let inventory: Vec<_> = targets.keys().cloned().collect();
        let metrics = Arc::new(Metrics::new(&inventory, &policies));
        metrics.start_time.set(Timestamp::now().as_duration().as_secs_f64());
        metrics.reloaded(true);
        let wake = Arc::new(Notify::new());
        let timing = incident_timing(&config.timing);
        let clock = Arc::new(Clock::start());
        if clock.anchor().boot.is_empty() {
            warn!("the boot's name cannot be read: a clock that is set while nobody runs will not be found");
        }
        let dispatcher = Arc::new(Dispatcher {
            journal: journal.clone(),
            ssh,
            targets,
            policies: policies.clone(),
            clock: Arc::clone(&clock),
            limiter: Limiter::new(config.timing.period.0, config.timing.critical_period.0),
            starts: Arc::new(Starts::new(config.limits.starts_a_minute)),
            lanes: Lanes::new(bounds(&config)),
            silences: Silences::new(config.alertmanager.clone(), &policies, Arc::clone(&metrics)),
            timing,
            period: config.timing.period.0,
            attempt_deadline: config.ssh.attempt_deadline.0,
            history: config.timing.history.0,
            reports_bytes: config.journal.reports_bytes.0,
            starts_are_scarce: AtomicBool::default(),
            metrics: Arc::clone(&metrics),
            wake: Arc::clone(&wake),
        });
        dispatcher.recover().await?;
        let intake = Intake {
            journal: journal.clone(),
            clock,
            policies,
            directory,
            timing,
            metrics: Arc::clone(&metrics),
            wake,
            queue: Queue::default(),
            keep: keep(&config),
        };
        let (serving, served) = watch::channel(Arc::new(serving(&config, intake, inventory)));
        let (reload, reloads) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let web = Arc::new(Web {
            serving: served,
            journal: journal.clone(),
            metrics,
            file,
            passwords: Passwords::new().map_err(ServeError::Runtime)?,
            address,
            bodies: Arc::new(Bodies::default()),
            probed: Shared::default(),
            encoded: Shared::default(),
            told: Seldom::default(),
            reloads: reload,
            stop: stop.clone(),
        });
        let parts =
            Parts { options, asked_address, config, journal, dispatcher, web, serving, reloads, stop };
        Ok(Self { listener, parts })
    }
}

/// What a start would listen on: the flag beats the file.
fn wanted_address(options: &ServeOptions, config: &ResponderConfig) -> SocketAddr {
    options.listen_address.unwrap_or(config.web.listen_address)
}

/// Listens with room for all who come at once: who finds none tries again a second later.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart finds the connections of before in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What a configuration makes of the HTTP side.
fn serving(config: &ResponderConfig, intake: Intake<Journal>, inventory: Vec<HostName>) -> Serving<Journal> {
    let config::responder::Web { listen_address: _, bearer_token_file, allowed_hosts } = config.web.clone();
    let limits = config.limits.clone();
    let shown = super::http::page::shown(config);
    Serving { intake: Arc::new(intake), inventory, bearer_token_file, allowed_hosts, limits, config: shown }
}

/// The server over a responder's HTTP side; its bounds are the configuration's of the moment.
fn server(web: &Arc<Web<Journal>>) -> Server<impl Fn() -> server::Bounds + Send + Sync + 'static> {
    let bounded = Arc::clone(web);
    Server {
        router: super::http::router(web),
        bounds: move || {
            let Limits { connections, header_timeout, request_timeout, .. } = bounded.serving().limits;
            server::Bounds { header: header_timeout.0, request: request_timeout.0, connections }
        },
        file: web.file.clone(),
        metrics: Arc::clone(&web.metrics),
        connections: Arc::new(Connections::default()),
        told: Seldom::default(),
    }
}

/// Anything but loopback asks callers for something, as the files stand now, and a token that is asked
/// for has to be there.
async fn check_access(
    config_file: &Path,
    addresses: &[SocketAddr],
    config: &ResponderConfig,
    file: Option<Arc<WebFile>>,
) -> Result<(), ServeError> {
    let current = match file {
        None => None,
        Some(file) => {
            let looked = tokio::task::spawn_blocking(move || file.look()).await;
            let looked = looked.map_err(|error| ServeError::Runtime(error.into()))?;
            Some(looked.map_err(ServeError::WebFileNow)?)
        }
    };
    let web = current.as_ref().map(|current| &current.config);
    for address in addresses {
        config::check::access(config_file, *address, config, web)?;
    }
    let Some(path) = &config.web.bearer_token_file else { return Ok(()) };
    let unreadable = |source| ServeError::Token { path: path.clone(), source };
    access::token(path).await.map(|_| ()).map_err(unreadable)
}

/// Says at the start what every attempt would fail for: ssh only says that the host does not let us
/// in. The webhook works without these files, and what it takes in waits until they are there.
async fn tell_unreadable(targets: &BTreeMap<HostName, Target>) {
    let files: BTreeSet<_> = targets.values().flat_map(Target::files).collect();
    for (key, path) in files {
        if let Err(error) = tokio::fs::File::open(path).await {
            let path = path.display();
            warn!(key, %path, %error, "no host can be reached with it: create the file, and let this account read it");
        }
    }
}

fn incident_timing(timing: &TimingSettings) -> Timing {
    Timing {
        recheck: timing.recheck.0,
        decay: timing.decay.0,
        backoff_first: timing.backoff_first.0,
        backoff_most: timing.backoff_most.0,
        escalate_after: timing.escalate_after.0,
        expiry: timing.expiry.0,
    }
}

/// How many notifications are kept as they were received.
fn keep(config: &ResponderConfig) -> Keep {
    let config::responder::Journal { notifications, notifications_bytes, reports_bytes: _ } = config.journal;
    Keep { notifications, bytes: notifications_bytes }
}

/// How much may be under way at once, and from when on an attempt is slow.
fn bounds(config: &ResponderConfig) -> lanes::Bounds {
    let ResponderConfig { limits, ssh, .. } = config;
    lanes::Bounds {
        most: limits.attempts_at_once,
        connect_timeout: ssh.connect_timeout.0,
        attempt_deadline: ssh.attempt_deadline.0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{attempt::Outcome, incident::after, standing::Standing};

    /// OpenSSH's `PerSourcePenalties` at their defaults: what an sshd holds against an address grows by a
    /// penalty with each login that failed, and shuts the address out once it is more than this.
    const SHUTS_OUT: Duration = Duration::from_secs(15);
    /// The worst of them for what a caller can do: a login that is never finished. A key that is refused
    /// counts half of it, a connection that ends before that a tenth.
    const PENALTY: Duration = Duration::from_secs(10);

    proptest! {
        #[test]
        fn however_often_a_host_fails_by_default_its_sshd_never_shuts_us_out(
            failures in prop::collection::vec(
                (
                    prop_oneof![Just(Outcome::Unreachable), Just(Outcome::Refused), Just(Outcome::Unknown)],
                    0.0..1.0f64,
                ),
                1..50,
            ),
        ) {
            let timing = incident_timing(&TimingSettings::default());
            let (mut standing, mut now) = (Standing::default(), Timestamp::UNIX_EPOCH);
            let mut held_until = now;
            for (outcome, jitter) in failures {
                held_until = after(held_until.max(now), PENALTY);
                prop_assert!(held_until <= after(now, SHUTS_OUT), "at {now} until {held_until}");
                standing.finish(outcome, &timing, jitter, now);
                // Nothing begins before it, whoever asks: the dispatcher's tests show that.
                now = standing.not_before.unwrap();
            }
        }
    }
}
