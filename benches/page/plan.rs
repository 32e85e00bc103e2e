//! What is measured: from the environment, with a default for each.

use std::{env, fmt};

use crate::environment::number;

/// The whole of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) hosts: usize,
    pub(crate) attempts: usize,
    pub(crate) rounds: usize,
    pub(crate) requests: usize,
    /// Whether the figures of less than the whole plan go into the document too.
    keep: bool,
}

impl Plan {
    pub(crate) fn from_environment() -> Result<Self, String> {
        let plan = Self {
            hosts: number("HOSTS", 1000, 10_000)?,
            attempts: number("ATTEMPTS", 100_000, 2_000_000)?,
            rounds: number("ROUNDS", 5, 20)?,
            requests: number("REQUESTS", 50, 1000)?,
            keep: env::var("KEEP").is_ok_and(|keep| keep == "yes"),
        };
        if plan.hosts > 500 { Ok(plan) } else { Err("HOSTS: the page of host 500 is asked for".to_owned()) }
    }

    /// Figures of a run that left something out say too little to stand in a document.
    pub(crate) fn is_kept(&self) -> bool {
        let Self { hosts, attempts, rounds, requests, keep } = *self;
        keep || (hosts >= 1000 && attempts >= 100_000 && rounds >= 5 && requests >= 50)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hosts, attempts, rounds, requests, keep: _ } = self;
        write!(f, "HOSTS={hosts} ATTEMPTS={attempts} ROUNDS={rounds} REQUESTS={requests}")
    }
}
