//! What no type can say: keys that contradict each other, and values that would be dangerous.
//!
//! Everything that is wrong is gathered, so that a file is put right in one go.

mod responder;
mod sweep;

use std::{net::SocketAddr, path::Path};

use super::{
    load::{ConfigError, Problem},
    responder::ResponderConfig,
    sweep::SweepSettings,
    units::Span,
    web::WebConfig,
};

/// Checks `raysweep.yml` beyond its shape.
pub fn responder(path: &Path, config: &ResponderConfig) -> Result<(), ConfigError> {
    let mut problems = Problems::default();
    responder::check(config, &mut problems);
    problems.end(path)
}

/// Checks `sweep.yml` beyond its shape.
pub fn sweep(path: &Path, settings: &SweepSettings) -> Result<(), ConfigError> {
    let mut problems = Problems::default();
    sweep::check_file(path, &mut problems);
    sweep::check(settings, &mut problems);
    problems.end(path)
}

/// Checks what only both files together can show. A sweep that is given up here while it goes on
/// there leaves an attempt whose end nobody knows.
pub fn together(path: &Path, config: &ResponderConfig, settings: &SweepSettings) -> Result<(), ConfigError> {
    let mut problems = Problems::default();
    problems.unless(
        config.ssh.attempt_deadline > settings.deadline,
        "ssh.attempt_deadline",
        &format!("must be longer than the host's own deadline ({}), better by a minute", settings.deadline),
    );
    problems.end(path)
}

/// Checks that not everybody on the network could start sweeps: whoever listens on more than loopback
/// asks for something that callers must show.
pub fn access(
    path: &Path,
    address: SocketAddr,
    config: &ResponderConfig,
    web: Option<&WebConfig>,
) -> Result<(), ConfigError> {
    let mut problems = Problems::default();
    let asks = config.web.bearer_token_file.is_some() || web.is_some_and(WebConfig::authenticates);
    problems.unless(
        asks || address.ip().is_loopback(),
        "web.listen_address",
        &format!(
            "{address} is not loopback: set web.bearer_token_file, or basic_auth_users or client_auth_type \
             RequireAndVerifyClientCert in the file of --web.config.file, or listen on 127.0.0.1 only"
        ),
    );
    problems.end(path)
}

/// What is wrong with a host's settings that stand in the inventory, beyond their shape.
pub(super) fn settings(settings: &SweepSettings) -> Vec<Problem> {
    let mut problems = Problems::default();
    sweep::check(settings, &mut problems);
    problems.0
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { key: key.into(), message: message.into() });
    }

    pub(super) fn unless(&mut self, right: bool, key: &str, message: &str) {
        if !right {
            self.add(key, message);
        }
    }

    pub(super) fn absolute(&mut self, key: &str, path: &Path) {
        if !path.is_absolute() {
            self.add(
                key,
                format!("{:?} is no absolute path: write it from / on", path.display().to_string()),
            );
        }
    }

    pub(super) fn positive(&mut self, key: &str, span: Span) {
        self.unless(!span.0.is_zero(), key, "must be longer than 0s");
    }

    pub(super) fn end(self, path: &Path) -> Result<(), ConfigError> {
        let Self(problems) = self;
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::Invalid { path: path.to_owned(), problems })
        }
    }
}

#[cfg(test)]
mod tests;
