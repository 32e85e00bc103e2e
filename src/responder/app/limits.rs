//! Open files: each connection is one, and each attempt takes some.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::{config::responder::Limits, responder::lanes::BESIDE};

/// Journal, log, listener and what the runtime needs.
const OWN: u64 = 64;
/// A master process, its pipes and its socket.
const AN_ATTEMPT: u64 = 8;

/// Takes as many open files as the system gives, and says so where they are fewer than could be needed.
pub(super) fn raise_open_files(limits: &Limits) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let given = if raised { maximum } else { current };
    // Connections wait or are worked on, and there may be as many of the one as of the other.
    let attempts = u64::from(limits.attempts_at_once) * (1 + BESIDE as u64);
    let needed = OWN + 2 * u64::from(limits.connections) + AN_ATTEMPT * attempts;
    if given.is_some_and(|given| given < needed) {
        warn!(given, needed, "fewer open files than limits.connections may need: raise LimitNOFILE");
    }
}
