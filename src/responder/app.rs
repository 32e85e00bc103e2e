//! The composition: parts are made, the listener is bound, then work starts; and all of it stops
//! within the grace period.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use sd_notify::NotifyState;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    ServeError, ServeOptions,
    clock::Clock,
    dispatcher::Dispatcher,
    http::{self, Web, auth},
    intake::Intake,
    journal::{Journal, sqlite::SqliteJournal},
    lanes::Lanes,
    limiter::{Limiter, Starts},
    metrics::Metrics,
    silences::Silences,
    ssh::{Ssh, Target},
};
use crate::{
    config::responder::{ResponderConfig, Timing as TimingSettings},
    domain::{
        host::{Directory, HostName},
        incident::Timing,
        policy::Policies,
    },
};

/// The responder with its listener bound and its journal open; nothing runs yet.
#[derive(Debug)]
pub struct App {
    listener: TcpListener,
    journal: SqliteJournal,
    dispatcher: Arc<Dispatcher<SqliteJournal>>,
    web: Arc<Web<SqliteJournal>>,
    stop: CancellationToken,
    grace: Duration,
    body_bytes: u64,
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
    let mut targets = BTreeMap::new();
    for entry in &config.hosts {
        if targets.insert(entry.name.clone(), Target::new(entry, &config.ssh)?).is_some() {
            return Err(ServeError::HostTwice(entry.name.clone()));
        }
    }
    Ok(Checked { targets, directory: config.directory()?, policies: config.policies() })
}

impl App {
    /// Binds, opens and recovers. What fails here fails before anything was promised.
    pub async fn bind(options: ServeOptions, config: ResponderConfig) -> Result<Self, ServeError> {
        let ServeOptions { config_file: _, storage_path, listen_address } = options;
        let Checked { targets, directory, policies } = check(&config)?;
        let ResponderConfig { web, timing, limits, ssh, alertmanager, .. } = config;
        let address = listen_address.unwrap_or(web.listen_address);
        check_token(address, web.bearer_token_file.as_ref()).await?;
        let listener =
            TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, source })?;
        let journal = SqliteJournal::open(&storage_path).await?;
        tell_unreadable(&targets).await;
        let folder = std::path::absolute(storage_path.join("ssh")).map_err(ServeError::Runtime)?;
        let ssh_client = Ssh::prepare(folder, ssh.connect_timeout.0, ssh.output_bytes).await?;

        let inventory: Vec<_> = targets.keys().cloned().collect();
        let metrics = Arc::new(Metrics::new(&inventory, &policies));
        metrics.start_time.set(Timestamp::now().as_duration().as_secs_f64());
        let wake = Arc::new(Notify::new());
        let incident_timing = incident_timing(&timing);
        let stop = CancellationToken::new();
        let clock = Arc::new(Clock::start());
        let silences = Silences::new(alertmanager, &policies, Arc::clone(&metrics));
        let dispatcher = Arc::new(Dispatcher {
            journal: journal.clone(),
            ssh: ssh_client,
            targets,
            clock: Arc::clone(&clock),
            limiter: Limiter::new(timing.period.0, timing.critical_period.0),
            starts: Starts::new(limits.starts_a_minute),
            lanes: Arc::new(Lanes::new(
                limits.attempts_at_once,
                ssh.connect_timeout.0,
                ssh.attempt_deadline.0,
            )),
            silences,
            timing: incident_timing,
            period: timing.period.0,
            attempt_deadline: ssh.attempt_deadline.0,
            history: timing.history.0,
            metrics: Arc::clone(&metrics),
            wake: Arc::clone(&wake),
        });
        dispatcher.recover().await?;
        let intake = Intake {
            journal: journal.clone(),
            clock,
            policies,
            directory,
            timing: incident_timing,
            metrics,
            wake,
        };
        let web =
            Arc::new(Web { intake, inventory, bearer_token_file: web.bearer_token_file, stop: stop.clone() });
        let (grace, body_bytes) = (timing.stop_grace.0, limits.body_bytes);
        Ok(Self { listener, journal, dispatcher, web, stop, grace, body_bytes })
    }

    /// Where it listens; tells the port where 0 was asked for.
    pub fn local_address(&self) -> Result<SocketAddr, ServeError> {
        self.listener.local_addr().map_err(ServeError::Runtime)
    }

    /// Works until `stopped` is there, then stops within the grace period.
    pub async fn run(self, stopped: impl Future<Output = ()>) -> Result<(), ServeError> {
        let address = self.local_address()?;
        let Self { listener, journal, dispatcher, web, stop, grace, body_bytes } = self;
        info!(%address, hosts = dispatcher.targets.len(), version = env!("CARGO_PKG_VERSION"), "raysweep serves");
        notify(&[NotifyState::Ready]);
        let dispatcher = tokio::spawn(dispatcher.run(stop.clone(), grace));
        let server = axum::serve(listener, http::router(web, body_bytes))
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .into_future();
        let server = tokio::spawn(server);
        // What cannot be trusted any more is not gone on with: only a new process reads what is on disk.
        let failure = tokio::select! {
            () = stopped => None,
            failure = journal.failed() => Some(failure),
        };
        if let Some(failure) = &failure {
            error!(reason = failure.reason(), error = %failure, "the journal cannot be trusted any more: stopping");
        }
        notify(&[NotifyState::Stopping]);
        stop.cancel();
        // Attempts have the grace period and a moment to be written down; requests end beside them.
        if failure.is_some() {
            // Nothing can be written down any more.
            dispatcher.abort();
        }
        let _ = dispatcher.await;
        match timeout(Duration::from_secs(1), server).await {
            Ok(Ok(Err(error))) => return Err(ServeError::Runtime(error)),
            Ok(_) => {}
            Err(_) => warn!("connections that would not end were cut"),
        }
        let _ = timeout(Duration::from_secs(5), journal.close()).await;
        info!("raysweep stopped");
        failure.map_or(Ok(()), |failure| Err(failure.into()))
    }
}

/// Anything but loopback takes a token, and a token that is asked for has to be there.
async fn check_token(address: SocketAddr, file: Option<&PathBuf>) -> Result<(), ServeError> {
    match file {
        None if address.ip().is_loopback() => Ok(()),
        None => Err(ServeError::OpenToAll(address)),
        Some(path) => match auth::token(path).await {
            Ok(_) => Ok(()),
            Err(source) => Err(ServeError::Token { path: path.clone(), source }),
        },
    }
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

/// Tells systemd, where there is one.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd cannot be told");
    }
}

/// The signals that the process listens to. Made before anything is promised: a signal that comes
/// before somebody waits for it is not lost.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> Result<Self, ServeError> {
        let listen = |kind| signal(kind).map_err(ServeError::Runtime);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Ends with the first SIGTERM or SIGINT; the second one ends the process at once.
    pub(super) async fn stop(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            warn!("asked twice to stop: stopping at once");
            std::process::exit(1);
        });
    }

    async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    warn!("the configuration is read at start only: restart to apply changes");
                }
            }
        }
    }
}
