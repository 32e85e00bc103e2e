//! `raysweep deploy`: a host's part on many hosts, over the operator's own ssh.

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::{
    exit::Exit,
    fleet::{Hosts, Passage, Run},
};
use crate::{domain::attempt::Mode, fleet::deploy::Wish};

/// Put a host's part in place on hosts of the inventory, over your own SSH login
///
/// Each host gets this very program, its sweep.yml, the account with the responder's key, one sudoers line,
/// cron, logrotate and the link for node_exporter, all of it or nothing. What is as it should be is left
/// alone. Your ssh must know the host and let you in without a question; root is reached by sudo.
#[derive(Debug, Args)]
#[command(after_help = "A host observes unless its settings in the inventory or --mode say otherwise.\n\n\
    The responder is told of a host's key only after you have seen its fingerprint: at the\n\
    terminal, or by --accept-host-key. With deploy.host_ca_file the CA is what it is told of.\n\n\
    The inventory is where a host's settings are changed. A sweep.yml that was changed on the host,\n\
    or put there by hand, is shown, and the host is left alone without --overwrite-settings.\n\n\
    In the end the responder's key is tried where it can be read: \"verified\" is yes where it has\n\
    come to the host's gate. A host where it has not is a failure.\n\n\
    Example:\n  raysweep deploy --all --check\n  raysweep deploy ray-80 ray-81 --mode enforce --replace-old-cron")]
pub(crate) struct Deploy {
    #[command(flatten)]
    hosts: Hosts,
    /// What the hosts may do, instead of what the inventory says
    #[arg(long, value_name = "MODE", value_parser = mode())]
    mode: Option<Mode>,
    /// Take the old script's line out of the hosts' crontabs
    #[arg(long)]
    replace_old_cron: bool,
    /// A host key that you have seen and take for a host's own; may be given several times
    #[arg(long, value_name = "SHA256:…")]
    accept_host_key: Vec<String>,
    /// Put the inventory's settings in the place of a sweep.yml that no deploy has written as it is
    #[arg(long)]
    overwrite_settings: bool,
    /// Do not log in to each host with the responder's key in the end
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    passage: Passage,
}

fn mode() -> impl TypedValueParser<Value = Mode> {
    const ALL: [Mode; 2] = [Mode::Observe, Mode::Enforce];
    PossibleValuesParser::new(ALL.map(Mode::as_str)).map(|text| {
        // The parser before this one lets nothing else through.
        ALL.into_iter().find(|mode| mode.as_str() == text).unwrap_or_default()
    })
}

impl Deploy {
    pub(crate) fn run(self) -> Exit {
        let Self { hosts, mode, replace_old_cron, accept_host_key, overwrite_settings, no_verify, passage } =
            self;
        let wish = Wish::Deploy { mode, replace_old_cron, overwrite_settings, verify: !no_verify };
        Run { hosts, wish, accept_host_key, passage }.carry_out()
    }
}
