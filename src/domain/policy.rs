//! Policies: what an alert's name asks for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How pressing an alert is. Decides when we look and when we escalate, never what may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Look when the period allows it.
    Warning,
    /// Look sooner, and tell a person at once when looking did not help.
    Critical,
}

impl Urgency {
    /// The urgency as configuration, metrics and log write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Every alert name that raysweep acts on, with its urgency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Policies(BTreeMap<String, Urgency>);

impl Policies {
    /// Makes the set from its entries.
    pub fn new(entries: impl IntoIterator<Item = (String, Urgency)>) -> Self {
        Self(entries.into_iter().collect())
    }

    /// What an alert name asks for; `None` where nothing is to be done.
    pub fn urgency(&self, alert_name: &str) -> Option<Urgency> {
        self.0.get(alert_name).copied()
    }

    /// Every alert name with its urgency, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Urgency)> {
        self.0.iter().map(|(name, urgency)| (name.as_str(), *urgency))
    }
}

impl Default for Policies {
    /// The four alerts of the shipped rules.
    fn default() -> Self {
        use Urgency::{Critical, Warning};
        Self::new(
            [
                ("RayWorkerLargeTmpDirectory", Warning),
                ("RayWorkerCriticalTmpDirectory", Critical),
                ("RayWorkerDiskUsageHigh", Warning),
                ("RayWorkerDiskCritical", Critical),
            ]
            .map(|(name, urgency)| (name.to_owned(), urgency)),
        )
    }
}
