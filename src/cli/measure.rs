//! `raysweep measure`: the figures for node_exporter.

use std::path::PathBuf;

use clap::Args;

use super::{exit::Exit, failed};
use crate::{
    config::{self, sweep::DEFAULT_PATH},
    sweeper,
};

/// On a host: measure every worker's temp directory, for node_exporter's textfile collector
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  raysweep measure --textfile /run/raysweep/raysweep.prom")]
pub(crate) struct Measure {
    /// The file to write, by a rename, so that it is never read half; standard output without it
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
    /// This host's settings
    #[arg(long = "config.file", value_name = "FILE", default_value = DEFAULT_PATH)]
    config_file: PathBuf,
}

impl Measure {
    pub(crate) fn run(self) -> Exit {
        let Self { textfile, config_file } = self;
        let settings = match config::load_sweep(&config_file) {
            Ok(settings) => settings,
            Err(error) => return failed(Exit::Config, &error),
        };
        match sweeper::measure::run(&settings, textfile.as_deref()) {
            Ok(()) => Exit::Success,
            Err(error) => failed(Exit::Failure, &error),
        }
    }
}
