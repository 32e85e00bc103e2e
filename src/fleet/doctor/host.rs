//! What is to be said of a host, by what was seen of it from all sides. Pure.

mod inside;
mod reach;
mod watched;

use std::path::PathBuf;

use super::{Check, State, order, prometheus::Prometheus};
use crate::{
    config::responder::HostEntry,
    fleet::deploy::{
        examine::{self, Examined},
        verify::LoginError,
    },
};

/// What was seen of a host.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) entry: HostEntry,
    /// The folder that node_exporter should read.
    pub(super) textfile_dir: PathBuf,
    /// Why it is not known what a deploy would put there.
    pub(super) unknown: Option<String>,
    /// What its name stands for; `None` where only a jump host could say.
    pub(super) address: Option<Result<String, String>>,
    /// By the operator's ssh.
    pub(super) examined: Examined,
    /// Whether the responder's gets to the gate.
    pub(super) login: Result<(), LoginError>,
    /// The key with which that goes, where it is known to be broken.
    pub(super) broken_key: Option<PathBuf>,
}

impl Seen {
    /// What its part told.
    fn inside(&self) -> Option<&examine::Seen> {
        self.examined.seen.as_ref()?.as_ref().ok()
    }

    /// What a deploy would change, where that is known.
    fn changes(&self) -> Option<&[crate::fleet::order::Change]> {
        self.inside()?.health.changes.as_ref()?.as_ref().ok().map(Vec::as_slice)
    }

    /// `raysweep deploy ray-80`.
    fn deploy(&self) -> String {
        format!("raysweep deploy {}", self.entry.name)
    }
}

/// Every link of a host, in the chain's order.
pub(super) fn judge(host: &Seen, prometheus: Option<&Prometheus>) -> Vec<Check> {
    let mut checks = reach::judge(host);
    checks.extend(inside::judge(host));
    let is_broken =
        |link: &str| checks.iter().any(|check| check.check == link && check.state == State::Broken);
    let has_textfile = !is_broken("textfile");
    checks.extend(watched::judge(host, prometheus, has_textfile));
    checks.sort_by_key(|check| order(check.check));
    checks.into_iter().map(|check| check.of(&host.entry.name)).collect()
}

#[cfg(test)]
mod tests;
