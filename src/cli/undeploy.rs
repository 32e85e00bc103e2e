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
/// responder's own host the program stays. Lines of the old script that deploy took out of crontabs are put
/// back, and the key that it pinned for the responder is taken out, unless other hosts are reached by it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  raysweep undeploy ray-80 --check\n  raysweep undeploy ray-80")]
pub(crate) struct Undeploy {
    #[command(flatten)]
    hosts: Hosts,
    /// Do not put back the old script's lines that deploy took out of the hosts' crontabs
    #[arg(long)]
    drop_old_cron: bool,
    #[command(flatten)]
    passage: Passage,
}

impl Undeploy {
    pub(crate) fn run(self) -> Exit {
        let Self { hosts, drop_old_cron, passage } = self;
        Run { hosts, wish: Wish::Undeploy { drop_old_cron }, accept_host_key: vec![], passage }.carry_out()
    }
}
