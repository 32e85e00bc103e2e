//! The control side: from a webhook to an attempt on a host.
//!
//! HTTP body → notification → a decision an alert → incidents in the journal, on disk → 200; then
//! the dispatcher: due, allowed, a free slot → SSH → a report → the journal again.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::{
    config::responder::ResponderConfig,
    domain::host::{DirectoryClash, HostName},
};

pub mod alertmanager;
pub mod app;
pub mod clock;
pub mod dispatcher;
pub mod http;
pub mod intake;
pub mod journal;
pub mod lanes;
pub mod limiter;
pub mod metrics;
pub mod silences;
pub mod ssh;

pub use app::{App, check};

/// What `serve` was told on the command line.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// `--config.file`.
    pub config_file: PathBuf,
    /// `--storage.path`.
    pub storage_path: PathBuf,
    /// `--web.listen-address`, which beats the file.
    pub listen_address: Option<SocketAddr>,
}

/// Why the responder does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A host of the inventory cannot be told to ssh.
    #[error(transparent)]
    Target(#[from] ssh::TargetError),
    /// Two hosts have one name.
    #[error("hosts: {0} stands there twice")]
    HostTwice(HostName),
    /// Two hosts claim one label value.
    #[error("hosts: {0}")]
    Directory(#[from] DirectoryClash),
    /// The token cannot be asked for.
    #[error("web.bearer_token_file: {path}: {source}", path = path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: http::auth::TokenError,
    },
    /// Everybody on the network could start sweeps.
    #[error(
        "web.listen_address: {0} is not loopback: set web.bearer_token_file, or listen on 127.0.0.1 or [::1]"
    )]
    OpenToAll(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The journal cannot be used.
    #[error("storage: {0}")]
    Journal(#[from] journal::JournalError),
    /// Connections cannot be made.
    #[error("ssh: {0}")]
    Ssh(#[from] ssh::SshSetupError),
    /// The system does not give what it takes.
    #[error("{0}")]
    Runtime(#[source] io::Error),
}

impl ServeError {
    /// Whether the journal is to be looked at: another start would end the same way, or must begin with
    /// what is on disk.
    pub fn is_storage(&self) -> bool {
        use journal::JournalError::{Corrupt, Flush, Migrate, Newer};
        matches!(self, Self::Journal(Newer { .. } | Migrate(_) | Flush(_) | Corrupt(_)))
    }

    /// Whether the configuration is to be mended, rather than the machine.
    pub fn is_config(&self) -> bool {
        matches!(
            self,
            Self::Target(_)
                | Self::HostTwice(_)
                | Self::Directory(_)
                | Self::Token { .. }
                | Self::OpenToAll(_)
        )
    }
}

/// Serves until SIGTERM or SIGINT, and returns after a graceful stop.
pub fn run(options: ServeOptions, config: ResponderConfig) -> Result<(), ServeError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
    let served = runtime.block_on(async {
        let signals = app::Signals::listen()?;
        App::bind(options, config).await?.run(signals.stop()).await
    });
    // Whatever still blocks has had its time.
    runtime.shutdown_background();
    served
}
