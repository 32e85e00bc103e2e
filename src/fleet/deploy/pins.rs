//! Whose keys the responder knows: those of hosts that have their part, and no longer those of hosts that
//! have lost it.

use super::{
    Fleet, Job, Row, State, Trouble,
    known_hosts::{self, Pinned, PublicKey},
    probe::Facts,
};
use crate::{
    config::responder::{HostEntry, ResponderConfig},
    domain::host::HostName,
};

/// A key that the responder does not know yet.
#[derive(Debug)]
pub(super) struct Pin {
    pub(super) name: String,
    pub(super) key: PublicKey,
    pub(super) is_ca: bool,
}

/// A host that is done with, but for what the responder is told of it.
#[derive(Debug)]
pub(super) struct Worked {
    pub(super) job: Job,
    pub(super) row: Row,
    pub(super) pin: Option<Pin>,
    /// Whoever watches knows its end already.
    pub(super) is_over: bool,
}

impl Worked {
    /// Whether its part is there now, or is no longer there.
    fn is_done(&self) -> bool {
        matches!(self.row.state, State::Changed | State::Unchanged)
    }

    fn failed(&mut self, why: String) {
        (self.row.state, self.row.why) = (State::Failed, Some(why));
    }
}

impl Fleet<'_> {
    /// What the responder is to be told of a host's key.
    pub(super) fn to_pin(&self, job: &Job, facts: &Facts) -> Result<Option<Pin>, Trouble> {
        let ssh = &self.config.ssh;
        let name = known_hosts::name_of(&job.entry, ssh);
        let (key, is_ca) = match &job.host_ca {
            Some(ca) => (ca, true),
            None => (facts.host_key()?, false),
        };
        let path = &ssh.known_hosts_file;
        let text = known_hosts::read(path)
            .map_err(|error| Trouble::Failed(format!("{}: {error}", path.display())))?;
        match known_hosts::pinned(&text, &name, key, is_ca) {
            Pinned::Yes => Ok(None),
            Pinned::No => {
                if !job.order.check {
                    known_hosts::can_add(path).map_err(Trouble::Refused)?;
                }
                Ok(Some(Pin { name, key: key.clone(), is_ca }))
            }
            Pinned::Otherwise => Err(Trouble::Refused(format!(
                "it shows {}, and {} has another key for {name}: if the host is a new one, take that line out",
                key.fingerprint(),
                path.display()
            ))),
        }
    }

    /// Only the keys of hosts that have their part now; one write for all of them.
    pub(super) fn pin(&self, worked: &mut [Worked]) {
        let path = &self.config.ssh.known_hosts_file;
        let pins = worked.iter().filter(|worked| worked.is_done()).filter_map(|worked| worked.pin.as_ref());
        let lines: Vec<_> = pins.map(|pin| known_hosts::line(&pin.name, &pin.key, pin.is_ca)).collect();
        if lines.is_empty() {
            return;
        }
        if let Err(error) = known_hosts::add(path, &lines) {
            for worked in worked.iter_mut().filter(|worked| worked.pin.is_some() && worked.is_done()) {
                worked.failed(format!("its key cannot be pinned: {}: {error}", path.display()));
            }
        }
    }

    /// Takes out what deploy has pinned for hosts that have lost their part; one write for all of them.
    /// What somebody else has written stays, and so does what other hosts are reached by.
    pub(super) fn unpin(&self, worked: &mut [Worked]) {
        let path = &self.config.ssh.known_hosts_file;
        let mut lost: Vec<_> =
            worked.iter_mut().filter(|worked| !worked.job.pins() && worked.row.state.is_good()).collect();
        let names: Vec<_> = lost.iter().map(|worked| worked.row.host.clone()).collect();
        // What cannot be read may be somebody else's responder's: it keeps what it knows.
        let Ok(before) = known_hosts::read(path) else { return };
        let mut text = before.clone();
        let mut changed = vec![];
        for worked in &mut lost {
            let name = known_hosts::name_of(&worked.job.entry, &self.config.ssh);
            let (rest, note) = match known_hosts::without_ours(&text, &name) {
                None if known_hosts::is_named(&text, &name) => {
                    (None, "stays in: no deploy has put it there".to_owned())
                }
                None => continue,
                Some(rest) => match reached_by(self.config, &name, &names) {
                    Some(other) => (None, format!("stays in: {other} is reached by it")),
                    None => (Some(rest), "goes out".to_owned()),
                },
            };
            worked.row.done.notes.push(format!("its host key in {} {note}", path.display()));
            if let Some(rest) = rest {
                text = rest;
                changed.push(worked);
            }
        }
        let written =
            changed.iter().all(|worked| worked.job.order.check) || known_hosts::write(path, &text).is_ok();
        for worked in changed {
            match (written, worked.row.state) {
                (false, _) => worked.failed(format!("its key cannot be taken out of {}", path.display())),
                (true, State::Unchanged) if worked.job.order.check => worked.row.state = State::WouldChange,
                (true, State::Unchanged) => worked.row.state = State::Changed,
                (true, _) => {}
            }
        }
    }
}

/// A host that keeps its part and cannot be reached without the key of that name: its own, or that of a host
/// before it.
fn reached_by<'a>(config: &'a ResponderConfig, name: &str, lost: &[HostName]) -> Option<&'a HostName> {
    let needs = |entry: &&HostEntry| {
        let jumps = entry.jump.as_deref().map(known_hosts::names_of_jump).unwrap_or_default();
        known_hosts::name_of(entry, &config.ssh) == name || jumps.iter().any(|jump| jump == name)
    };
    config.hosts.iter().filter(|entry| !lost.contains(&entry.name)).find(needs).map(|entry| &entry.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_others_are_reached_by_is_one() {
        let config: ResponderConfig = serde_json::from_value(serde_json::json!({ "hosts": [
            { "name": "a", "address": "10.0.0.1" },
            { "name": "b", "address": "10.0.0.2", "jump": "hop@10.0.0.1" },
            { "name": "c", "address": "10.0.0.3", "jump": "x@h:2222,10.0.0.1:22" },
            { "name": "d", "address": "10.0.0.4" },
        ]}))
        .unwrap();
        let by = |name: &str, lost: &[&str]| {
            let lost: Vec<HostName> = lost.iter().map(|host| host.parse().unwrap()).collect();
            reached_by(&config, name, &lost).map(ToString::to_string)
        };
        assert_eq!(by("10.0.0.1", &["a"]).as_deref(), Some("b"));
        assert_eq!(by("10.0.0.1", &["a", "b"]).as_deref(), Some("c"));
        assert_eq!(by("10.0.0.1", &["a", "b", "c"]), None);
        assert_eq!(by("[h]:2222", &["a"]).as_deref(), Some("c"));
        assert_eq!(by("10.0.0.4", &["d"]), None);
    }
}
