//! The control side: from a webhook to an attempt on a host.
//!
//! HTTP body → notification → a decision an alert → incidents in the journal, on disk → 200; then
//! the dispatcher: due, allowed, a free slot → SSH → a report → the journal again.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::info;

use crate::{
    config::{ConfigError, responder::ResponderConfig, secret::SecretError, web::WebConfig},
    domain::host::DirectoryClash,
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
    /// `--web.config.file`.
    pub web_config_file: Option<PathBuf>,
}

/// Why the responder does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration cannot be read, or keeps nobody out.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The web configuration file cannot be used.
    #[error(transparent)]
    WebFile(#[from] http::web_file::WebFileError),
    /// The web configuration file cannot be used any more.
    #[error("{0}")]
    WebFileNow(Arc<str>),
    /// A host of the inventory cannot be told to ssh.
    #[error(transparent)]
    Target(#[from] ssh::TargetError),
    /// Two hosts claim one label value.
    #[error("hosts: {0}")]
    Directory(#[from] DirectoryClash),
    /// The token cannot be asked for.
    #[error("web.bearer_token_file: {path} {source}", path = path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SecretError,
    },
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
        use journal::JournalError::{Corrupt, Flush, Migrate, Newer, Unchecked};
        matches!(self, Self::Journal(Newer { .. } | Unchecked { .. } | Migrate(_) | Flush(_) | Corrupt(_)))
    }

    /// Whether the configuration is to be mended, rather than the machine.
    pub fn is_config(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::WebFile(_)
            | Self::WebFileNow(_)
            | Self::Target(_)
            | Self::Directory(_)
            | Self::Token { .. } => true,
            Self::Bind { .. } | Self::Journal(_) | Self::Ssh(_) | Self::Runtime(_) => false,
        }
    }

    /// What is wrong, with the file in which it is to be mended.
    pub fn beside(&self, config_file: &Path) -> String {
        match self {
            // They name their file themselves.
            Self::Config(_) | Self::WebFile(_) | Self::WebFileNow(_) => self.to_string(),
            other if other.is_config() => format!("{}: {other}", config_file.display()),
            other => other.to_string(),
        }
    }
}

/// Checks a web configuration file as `serve` would; for `check-config`.
pub fn check_web(path: &Path) -> Result<WebConfig, ServeError> {
    Ok(http::web_file::check(path)?)
}

/// Serves until SIGTERM or SIGINT, and returns after a graceful stop.
pub fn run(options: ServeOptions, config: ResponderConfig) -> Result<(), ServeError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
    let served = runtime.block_on(async {
        let mut signals = app::Signals::listen()?;
        // The check of a large journal takes minutes; nothing was promised until it is over.
        let app = tokio::select! {
            app = App::bind(options, config) => app?,
            () = signals.stop() => {
                info!("asked to stop before it served");
                return Ok(());
            }
        };
        app.run(signals).await
    });
    // Whatever still blocks has had its time.
    runtime.shutdown_background();
    served
}
