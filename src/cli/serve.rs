//! `raysweep serve`: the responder.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::{exit::Exit, failed};
use crate::{
    config::{self, responder::DEFAULT_PATH},
    responder::{self, ServeOptions},
};

/// Take Alertmanager's webhooks and sweep the hosts that they name, over SSH
#[derive(Debug, Args)]
#[command(
    after_help = "SIGTERM and SIGINT end it within timing.stop_grace. SIGHUP and POST /-/reload read the configuration\n\
    again; a bad one changes nothing. A new listen address and other flags take a restart.\n\n\
    Example:\n  raysweep serve --config.file /etc/raysweep/raysweep.yml --storage.path /var/lib/raysweep"
)]
pub(crate) struct Serve {
    /// The responder's configuration and inventory
    #[arg(long = "config.file", value_name = "FILE", default_value = DEFAULT_PATH)]
    config_file: PathBuf,
    /// The folder of the journal; what was accepted survives in it
    #[arg(long = "storage.path", value_name = "FOLDER", default_value = "/var/lib/raysweep")]
    storage_path: PathBuf,
    /// Where to listen, instead of the address in the configuration
    #[arg(long = "web.listen-address", value_name = "ADDRESS:PORT")]
    listen_address: Option<SocketAddr>,
    /// TLS, client certificates and users, in the format of Prometheus' exporter-toolkit; read anew for
    /// each connection and request
    #[arg(long = "web.config.file", value_name = "FILE")]
    web_config_file: Option<PathBuf>,
}

impl Serve {
    pub(crate) fn run(self) -> Exit {
        let Self { config_file, storage_path, listen_address, web_config_file } = self;
        let config = match config::load_responder(&config_file) {
            Ok(config) => config,
            Err(error) => return failed(Exit::Config, &error),
        };
        let options =
            ServeOptions { config_file: config_file.clone(), storage_path, listen_address, web_config_file };
        match responder::run(options, config) {
            Ok(()) => Exit::Success,
            Err(error) if error.is_config() => failed(Exit::Config, &error.beside(&config_file)),
            Err(error) if error.is_storage() => failed(Exit::Storage, &error),
            Err(error) => failed(Exit::Failure, &error),
        }
    }
}
