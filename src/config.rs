//! Files and environment become values here; every default has its one place here.
//!
//! Two files, two owners: `raysweep.yml` belongs to the operator and configures the responder and
//! the fleet commands; `sweep.yml` belongs to a host's root and alone decides what a sweep may do.
//! Beside the first there may be a web configuration file, and for those who ask a responder an HTTP
//! client configuration file, as Prometheus' own programs take them.

pub mod check;
pub mod http_client;
pub mod load;
pub mod overlay;
pub mod responder;
pub mod schedule;
pub mod secret;
pub mod ssh_target;
pub mod sweep;
pub mod units;
pub mod web;

pub use load::{ConfigError, Problem};

use std::{collections::HashMap, path::Path};

/// Variables that override a key of `raysweep.yml` start with this: `RAYSWEEP__SSH__PORT=2222`.
pub const ENVIRONMENT_PREFIX: &str = "RAYSWEEP";

/// Reads and checks `raysweep.yml`; variables of the environment override its keys.
pub fn load_responder(path: &Path) -> Result<responder::ResponderConfig, ConfigError> {
    let config = load::load(path, load::Overrides::OfProcess(ENVIRONMENT_PREFIX))?;
    check::responder(path, &config)?;
    Ok(config)
}

/// Reads and checks `raysweep.yml` for what it says of the hosts. The files with the responder's own secrets
/// are not looked at: an operator may have no right to read them, or not have them at all.
pub fn load_inventory(path: &Path) -> Result<responder::ResponderConfig, ConfigError> {
    let config: responder::ResponderConfig =
        load::load(path, load::Overrides::OfProcess(ENVIRONMENT_PREFIX))?;
    let mut without_secrets = config.clone();
    without_secrets.web.bearer_token_file = None;
    without_secrets.alertmanager = responder::Alertmanager::default();
    check::responder(path, &without_secrets)?;
    Ok(config)
}

/// Reads and checks `sweep.yml`. The file alone decides what a sweep may do: no variable of whoever
/// called overrides it, and nobody but its owner may be able to write it.
pub fn load_sweep(path: &Path) -> Result<sweep::SweepSettings, ConfigError> {
    let settings = load::load(path, load::Overrides::Given(HashMap::new()))?;
    check::sweep(path, &settings)?;
    Ok(settings)
}
