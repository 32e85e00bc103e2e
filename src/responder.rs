//! The control side: from a webhook to an attempt on a host.

use std::{net::SocketAddr, path::PathBuf};

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
