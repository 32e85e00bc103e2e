//! From ready to stopped: what is waited for while everything works, and the order in which it ends.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::{
    App, Journal, Parts, server,
    signals::{Signals, Wish},
    systemd,
};
use crate::responder::{
    ServeError,
    dispatcher::{Dispatcher, ended},
    http::ReloadAsked,
    journal::Journal as _,
};

/// How long the journal may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The dispatchers: the one that starts attempts, and those whose last attempts are under way.
#[derive(Debug)]
pub(super) struct Dispatchers {
    running: JoinSet<()>,
    /// Tells the one that starts attempts to start no more.
    retire: CancellationToken,
    /// Says that it starts no more.
    retired: CancellationToken,
    /// Tells all of them that their attempts have no more time.
    give_up: CancellationToken,
}

impl Dispatchers {
    fn of(first: Arc<Dispatcher<Journal>>) -> Self {
        let mut dispatchers = Self {
            running: JoinSet::new(),
            retire: CancellationToken::new(),
            retired: CancellationToken::new(),
            give_up: CancellationToken::new(),
        };
        dispatchers.start(first);
        dispatchers
    }

    /// Lets one start attempts. There is no other that does.
    pub(super) fn start(&mut self, dispatcher: Arc<Dispatcher<Journal>>) {
        (self.retire, self.retired) = (CancellationToken::new(), CancellationToken::new());
        let (retire, retired) = (self.retire.clone(), self.retired.clone());
        let give_up = self.give_up.clone();
        self.running.spawn(async move {
            // Dropped with the task, however it ends: nobody waits for one that has failed.
            let retired = retired.drop_guard();
            let attempts = dispatcher.run(retire, give_up.clone()).await;
            drop(retired);
            ended(attempts, give_up).await;
        });
    }

    /// Returns once the one that starts attempts starts no more.
    pub(super) async fn retire(&self) {
        self.retire.cancel();
        self.retired.cancelled().await;
    }

    /// Ends once one of them has failed: nobody would sweep any more, and nobody would notice.
    async fn failed(&mut self) -> ServeError {
        loop {
            match self.running.join_next().await {
                Some(Err(error)) => return ServeError::Runtime(error.into()),
                // One that was retired has seen its last attempt end.
                Some(Ok(())) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Lets attempts end within the grace period; those that do not are recorded as given up.
    async fn stop(mut self, grace: Duration) {
        self.retire.cancel();
        let all = async { while self.running.join_next().await.is_some() {} };
        tokio::pin!(all);
        if timeout(grace, all.as_mut()).await.is_err() {
            self.give_up.cancel();
            all.await;
        }
    }
}

impl App {
    /// Works until it is asked to stop, then stops within the grace period.
    pub async fn run(self, mut signals: Signals) -> Result<(), ServeError> {
        let Self { listener, mut parts } = self;
        let (web, hosts) = (Arc::clone(&parts.web), parts.dispatcher.targets.len());
        let tls = web.file.as_ref().is_some_and(|file| file.speaks_tls());
        info!(address = %web.address, tls, hosts, version = env!("CARGO_PKG_VERSION"), "raysweep serves");
        let mut dispatchers = Dispatchers::of(Arc::clone(&parts.dispatcher));
        let close = CancellationToken::new();
        let mut server = tokio::spawn(server(&web).run(listener, close.clone()));
        tokio::spawn(heartbeat());
        systemd::ready(hosts);
        let failure = loop {
            tokio::select! {
                wish = signals.next() => match wish {
                    Wish::Stop => break None,
                    // Whoever sent the signal reads the log.
                    Wish::Reload => drop(parts.reload_and_tell("SIGHUP", &mut dispatchers).await),
                },
                Some(ReloadAsked { by, answer }) = parts.reloads.recv() => {
                    // Whoever asked may have gone.
                    let _ = answer.send(parts.reload_and_tell(by.as_str(), &mut dispatchers).await);
                }
                failure = dispatchers.failed() => break Some(failure),
                // What cannot be trusted any more is not gone on with: only a new process reads what is
                // on disk.
                failure = parts.journal.failed() => {
                    error!(reason = failure.reason(), error = %failure, "the journal cannot be trusted any more: stopping");
                    break Some(failure.into());
                }
                ended = &mut server => {
                    let ended = ended.map_or_else(std::io::Error::from, |()| std::io::Error::other("nobody listens any more"));
                    return Err(ServeError::Runtime(ended));
                }
            }
        };
        signals.abort_on_stop();
        // What cannot be written down any more has nothing to wait for.
        let lost = failure.as_ref().is_some_and(ServeError::is_storage);
        parts.stop(dispatchers, if lost { Duration::ZERO } else { parts.config.timing.stop_grace.0 }).await;
        close.cancel();
        let _ = server.await;
        // What was found while it stopped is no smaller trouble.
        let found = timeout(Duration::ZERO, parts.journal.failed()).await.ok().map(ServeError::from);
        let _ = timeout(CLOSE_TIMEOUT, parts.journal.close()).await;
        info!("raysweep stopped");
        failure.or(found).map_or(Ok(()), Err)
    }
}

impl Parts {
    /// Reads the configuration again, and says in the log, to systemd and in metrics what came of it.
    async fn reload_and_tell(
        &mut self,
        asked_by: &str,
        dispatchers: &mut Dispatchers,
    ) -> Result<String, String> {
        info!(asked_by, "reload asked for");
        systemd::reloading();
        let reloaded = self.reload(dispatchers).await;
        self.web.metrics.reloaded(reloaded.is_ok());
        match reloaded {
            Ok(said) => {
                info!("{said}");
                systemd::reloaded(&said);
                Ok(said)
            }
            Err(error) => {
                const WHAT: &str = "the configuration was not reloaded, the old one is used";
                let error = error.beside(&self.options.config_file);
                // All that is wrong with a file is several lines, and a log's entry is one.
                error!(error = error.replace('\n', "; "), "{WHAT}");
                let said = format!("{WHAT}: {error}");
                systemd::reloaded(&said);
                Err(said)
            }
        }
    }

    /// Lets attempts end. Meanwhile notifications are still taken in: they are on disk, and the next
    /// start goes on with them.
    async fn stop(&mut self, dispatchers: Dispatchers, grace: Duration) {
        systemd::stopping(grace);
        self.stop.cancel();
        self.reloads.close();
        info!(grace_secs = grace.as_secs(), "stopping; attempts under way have their time");
        dispatchers.stop(grace).await;
    }
}

/// Tells systemd that we live, as long as tasks are run and time passes for them.
async fn heartbeat() {
    let Some(period) = systemd::watchdog_period() else { return };
    let mut beat = interval(period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        systemd::alive();
    }
}
