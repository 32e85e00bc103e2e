//! `raysweep check-config`: says what is wrong with configuration files, as `serve` and `sweep` would.

use std::{
    error::Error,
    fmt::Display,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{exit::Exit, failed, text};
use crate::{
    config::{
        self,
        responder::{DEFAULT_PATH, ResponderConfig},
        web::WebConfig,
    },
    responder,
};

/// Check configuration files: the same messages and exit code as `serve` and `sweep`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  raysweep check-config raysweep.yml --sweep sweep.yml")]
pub(crate) struct CheckConfig {
    /// The responder's configuration [default: /etc/raysweep/raysweep.yml, unless --sweep is given]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A host's settings (sweep.yml); may be given several times
    #[arg(long, value_name = "FILE")]
    sweep: Vec<PathBuf>,
    /// The web configuration file that `serve` is given beside the responder's configuration
    #[arg(long = "web.config.file", value_name = "FILE")]
    web_config_file: Option<PathBuf>,
}

impl CheckConfig {
    pub(crate) fn run(self) -> Exit {
        let Self { mut files, sweep, web_config_file } = self;
        if files.is_empty() && sweep.is_empty() && web_config_file.is_none() {
            files.push(DEFAULT_PATH.into());
        }
        let mut checked = Checked { exit: Exit::Success };
        let web = web_config_file.as_deref();
        let web = web.and_then(|file| checked.take(file, responder::check_web(file)));
        let configs: Vec<_> = files
            .iter()
            .filter_map(|file| Some((file, checked.take(file, load_as_serve(file, web.as_ref()))?)))
            .collect();
        let settings: Vec<_> =
            sweep.iter().filter_map(|file| checked.take(file, config::load_sweep(file))).collect();
        for (file, config) in &configs {
            for settings in &settings {
                checked.judge(config::check::together(file, config, settings));
            }
        }
        checked.exit
    }
}

/// The responder has a last look of its own, at what ssh would be told.
fn load_as_serve(file: &Path, web: Option<&WebConfig>) -> Result<ResponderConfig, Box<dyn Error>> {
    let config = config::load_responder(file)?;
    responder::check(&config).map_err(|error| error.beside(file))?;
    config::check::access(file, config.web.listen_address, &config, web)?;
    Ok(config)
}

/// The exit code so far; everything that is wrong is printed as it is found.
struct Checked {
    exit: Exit,
}

impl Checked {
    fn take<T, E: Display>(&mut self, file: &Path, result: Result<T, E>) -> Option<T> {
        let value = self.judge(result)?;
        // What was found stands, whoever reads it.
        let _ = text::say(&format!("{}: ok\n", file.display()));
        Some(value)
    }

    fn judge<T, E: Display>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.exit = failed(Exit::Config, &error)).ok()
    }
}
