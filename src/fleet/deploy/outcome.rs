//! How it went with a host.

use serde::Serialize;

use crate::{domain::host::HostName, fleet::order::Done};

/// Why a host is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It does not answer.
    Unreachable(String),
    /// It, or this machine, will not have it; nothing was changed.
    Refused(String),
    /// What no deploy has written would have been overwritten; nothing was changed.
    ByHand(Box<Done>),
    /// It went wrong.
    Failed(String),
    /// It was broken off by the operator.
    Interrupted,
    /// Nothing was begun.
    NotBegun,
}

impl Trouble {
    /// The state of a host that has it.
    pub(super) fn state(&self) -> State {
        match self {
            Self::Unreachable(_) => State::Unreachable,
            Self::Refused(_) | Self::ByHand(_) => State::Refused,
            Self::Failed(_) => State::Failed,
            Self::Interrupted => State::Interrupted,
            Self::NotBegun => State::NotBegun,
        }
    }

    /// What is wrong, in words, where there is something to say.
    pub(in crate::fleet) fn why(self) -> Option<String> {
        match self {
            Self::Unreachable(why) | Self::Refused(why) | Self::Failed(why) => Some(why),
            Self::ByHand(done) => Some(not_written_by_deploy(&done)),
            Self::Interrupted => {
                Some("broken off; what was begun there ends by itself: run it again".to_owned())
            }
            Self::NotBegun => None,
        }
    }

    /// The line of a host that has it.
    pub(super) fn row(self, host: HostName) -> Row {
        let state = self.state();
        let done = match &self {
            Self::ByHand(done) => (**done).clone(),
            _ => Done::default(),
        };
        let why = self.why();
        Row { host, state, why, verified: None, done }
    }
}

fn not_written_by_deploy(done: &Done) -> String {
    let files: Vec<_> = done.by_hand.iter().map(|change| change.what.as_str()).collect();
    format!(
        "no deploy has written {} as it is there: bring the inventory up to it, or --overwrite-settings",
        files.join(", ")
    )
}

/// How it stands with a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was changed.
    Changed,
    /// There was nothing to do.
    Unchanged,
    /// There is something to do; it was only looked at.
    WouldChange,
    /// It does not answer.
    Unreachable,
    /// It was refused, and nothing was changed.
    Refused,
    /// It went wrong.
    Failed,
    /// The operator broke it off.
    Interrupted,
    /// Nothing was begun.
    NotBegun,
}

impl State {
    /// The word as tables and JSON write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::WouldChange => "would change",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::NotBegun => "not begun",
        }
    }

    /// Whether the host is, or would be, as it should be.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Changed | Self::Unchanged | Self::WouldChange)
    }
}

/// Whether the responder's own way to a host leads there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verified {
    /// Its key has come to the host's gate.
    Yes,
    /// Its key, or its `known_hosts`, is not to be read where deploy runs.
    KeyNotHere,
    /// It does not get there.
    No,
}

impl Verified {
    /// The words as a table writes them.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::KeyNotHere => "key not here",
            Self::No => "no",
        }
    }
}

/// A host's line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The host.
    pub host: HostName,
    /// How it stands with it.
    pub state: State,
    /// Why it is not as it should be.
    pub why: Option<String>,
    /// Whether the responder was seen to get there; nothing where nobody has tried.
    pub verified: Option<Verified>,
    /// What was done there.
    #[serde(flatten)]
    pub done: Done,
}

impl Row {
    /// Whether the host has, or would get, what it was to have, and the responder gets there.
    pub fn is_good(&self) -> bool {
        self.state.is_good() && self.verified != Some(Verified::No)
    }
}
