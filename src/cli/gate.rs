//! `raysweep gate`: the forced command of the responder's key.

use std::env;

use clap::Args;

use super::{exit::Exit, failed};
use crate::sweeper::gate;

/// On a host: the one command that the responder's key may run
///
/// Takes what the caller asked for from SSH_ORIGINAL_COMMAND and a request from standard input, checks
/// both, and hands the request to root's `raysweep sweep --request -`.
#[derive(Debug, Args)]
#[command(after_help = "Example, in the account's authorized_keys:\n  \
    restrict,from=\"10.0.0.0/8\",command=\"/usr/local/bin/raysweep gate\" ssh-ed25519 AAAA…")]
pub(crate) struct Gate {}

impl Gate {
    pub(crate) fn run(self) -> Exit {
        let Self {} = self;
        let command = env::var_os(gate::COMMAND_VARIABLE);
        match gate::run(command.as_deref()) {
            // The sweep's own code, which is one of ours.
            Ok(status) => Exit::passed_on(status),
            Err(refusal @ gate::GateError::Sweep(_)) => failed(Exit::Failure, &refusal),
            Err(refusal) => failed(Exit::Refused, &refusal),
        }
    }
}
