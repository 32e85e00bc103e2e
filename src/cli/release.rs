//! `raysweep release`: hosts go on after a hold.

use clap::Args;

use super::{
    exit::Exit,
    fleet::{Hosts, Passage, Run},
};
use crate::fleet::deploy::Wish;

/// Take a hold away again, whoever set it
///
/// Over your own SSH login. A host that is not held is left as it is.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  raysweep release ray-80 ray-81")]
pub(crate) struct Release {
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    passage: Passage,
}

impl Release {
    pub(crate) fn run(self) -> Exit {
        let Self { hosts, passage } = self;
        Run { hosts, wish: Wish::Release, accept_host_key: vec![], passage }.carry_out()
    }
}
