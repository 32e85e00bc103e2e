//! `raysweep undeploy`: takes a host's part away again.

use clap::Args;

use super::{
    exit::Exit,
    fleet::{Hosts, Passage, Run},
};
use crate::fleet::deploy::Wish;

/// Take a host's part away from hosts of the inventory: program, settings, account, cron, logs
///
/// A sweep that runs ends by itself. An account that is in use is named; a second run takes it. On the
/// responder's own host the program stays.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  raysweep undeploy ray-80 --check\n  raysweep undeploy ray-80")]
pub(crate) struct Undeploy {
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    passage: Passage,
}

impl Undeploy {
    pub(crate) fn run(self) -> Exit {
        let Self { hosts, passage } = self;
        Run { hosts, wish: Wish::Undeploy, accept_host_key: vec![], passage }.carry_out()
    }
}
