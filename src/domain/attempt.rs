//! Attempts: one sweep of a host, what was asked for and how it ended.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What identifies an attempt on both sides: in the journal, in the host's log and in every name
/// that the sweep gives to what it detaches. Ordered by time of making.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(Uuid);

impl AttemptId {
    /// A new identity.
    pub fn now() -> Self {
        Self(Uuid::now_v7())
    }
}

impl FromStr for AttemptId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// Who asked for a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The responder, for an incident. Does not ask how much there is to free.
    Alert,
    /// The backstop.
    Cron,
    /// A person.
    Manual,
}

impl Trigger {
    /// The trigger as command line, report and metrics write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Cron => "cron",
            Self::Manual => "manual",
        }
    }
}

/// What a host lets a sweep do: its own, root-owned setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything but the deleting; the report says what would have gone.
    #[default]
    Observe,
    /// Delete.
    Enforce,
}

impl Mode {
    /// The mode as settings, report and metrics write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Space was freed.
    Freed,
    /// Space would have been freed: the host only observes, or the caller asked for a dry run.
    WouldFree,
    /// Nothing that may go was there.
    NothingToFree,
    /// A worker is at work and holds what there is.
    Active,
    /// The host is on hold; nothing is deleted by anyone.
    Held,
    /// Another sweep runs there.
    Busy,
    /// The host or its SSH server would not have us: key changed, login refused, command refused.
    Refused,
    /// The host did not answer.
    Unreachable,
    /// No complete report came back; what happened there is not known.
    Unknown,
    /// The sweep ran and says that it failed.
    Failed,
}

impl Outcome {
    /// Every outcome, for metrics that start at zero.
    pub const ALL: [Self; 10] = [
        Self::Freed,
        Self::WouldFree,
        Self::NothingToFree,
        Self::Active,
        Self::Held,
        Self::Busy,
        Self::Refused,
        Self::Unreachable,
        Self::Unknown,
        Self::Failed,
    ];

    /// The outcome as journal, report, log and metrics write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Freed => "freed",
            Self::WouldFree => "would_free",
            Self::NothingToFree => "nothing_to_free",
            Self::Active => "active",
            Self::Held => "held",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }

    /// Whether the attempt counts against the host's period. What changed nothing there and cost
    /// the host nothing spends nothing.
    pub fn spends(self) -> bool {
        !matches!(self, Self::Busy | Self::Held | Self::Refused | Self::Unreachable)
    }
}

/// What the responder asks of a host, as JSON on standard input of the one command that its key may
/// run. There is nothing in it that could widen what may be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepRequest {
    /// Version of this shape; 1.
    pub schema: u32,
    /// The attempt's identity.
    pub attempt: AttemptId,
    /// Who asks.
    pub trigger: Trigger,
    /// Whether to say only what would go.
    #[serde(default)]
    pub dry_run: bool,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum SweepRequestError {
    /// Not JSON, or not of this shape.
    #[error("the request is not what this host takes: {0}")]
    Shape(#[from] serde_json::Error),
    /// A version that this binary does not know.
    #[error("the request has schema {0}; this host takes {known}", known = SweepRequest::SCHEMA)]
    Schema(u32),
}

impl SweepRequest {
    /// The version of the request that this binary speaks.
    pub const SCHEMA: u32 = 1;
    /// No request is longer; what is longer is refused unread.
    pub const MAX_BYTES: u64 = 4096;

    /// A request of the present version.
    pub fn new(attempt: AttemptId, trigger: Trigger, dry_run: bool) -> Self {
        Self { schema: Self::SCHEMA, attempt, trigger, dry_run }
    }

    /// Reads a request, strictly.
    pub fn parse(text: &[u8]) -> Result<Self, SweepRequestError> {
        let request: Self = serde_json::from_slice(text)?;
        if request.schema == Self::SCHEMA {
            Ok(request)
        } else {
            Err(SweepRequestError::Schema(request.schema))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_nothing_on_a_host_spends_nothing_of_its_period() {
        let free: Vec<_> = Outcome::ALL.into_iter().filter(|outcome| !outcome.spends()).collect();
        assert_eq!(free, [Outcome::Held, Outcome::Busy, Outcome::Refused, Outcome::Unreachable]);
    }

    #[test]
    fn a_request_survives_the_wire() {
        let request = SweepRequest::new(AttemptId::now(), Trigger::Alert, true);
        let text = serde_json::to_vec(&request).unwrap();
        assert_eq!(SweepRequest::parse(&text).unwrap(), request);
    }

    #[test]
    fn a_request_with_anything_more_or_of_another_version_is_refused() {
        let id = AttemptId::now();
        for text in [
            format!(r#"{{"schema":1,"attempt":"{id}","trigger":"alert","force":true}}"#),
            format!(r#"{{"schema":2,"attempt":"{id}","trigger":"alert"}}"#),
            format!(r#"{{"schema":1,"attempt":"{id}","trigger":"root"}}"#),
            r#"{"schema":1,"attempt":"../../etc","trigger":"alert"}"#.to_owned(),
            String::new(),
        ] {
            assert!(SweepRequest::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
