//! The signals that the process listens to. They end here: what is made of them is said in words.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

use crate::responder::ServeError;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// SIGTERM or SIGINT: end what is under way, and stop.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// Made before anything is promised: a signal that comes before somebody waits for it is not lost.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    pub fn listen() -> Result<Self, ServeError> {
        let listen = |kind| signal(kind).map_err(ServeError::Runtime);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// The next wish. May be dropped while it waits.
    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    /// Ends once somebody wants it to stop; a wish for a reload stays for `next`.
    pub async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// From now on a wish to stop ends the process at once; others have no meaning any more.
    pub fn abort_on_stop(mut self) {
        tokio::spawn(async move {
            while self.next().await != Wish::Stop {}
            warn!("asked twice to stop: stopping at once");
            std::process::exit(1);
        });
    }
}
