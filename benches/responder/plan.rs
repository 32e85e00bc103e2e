//! What is measured: from the environment, with a default for each.

use std::{env, fmt};

use crate::environment::{joined, list, number, words};

const MOST_SECONDS: usize = 600;
const MOST_ROUNDS: usize = 20;
const MOST_CONNECTIONS: usize = 256;
const MOST_HOSTS: usize = 100_000;

/// The whole of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) seconds: usize,
    pub(crate) rounds: usize,
    pub(crate) connections: Vec<usize>,
    pub(crate) hosts: usize,
    pub(crate) parts: Vec<Part>,
    /// Whether the figures of less than the whole plan go into the document too.
    keep: bool,
}

words!(
    /// What is measured.
    Part { Accepting = "accepting", Memory = "memory" }
);

impl Plan {
    pub(crate) fn from_environment() -> Result<Self, String> {
        let plan = Self {
            seconds: number("SECONDS_EACH", 10, MOST_SECONDS)?,
            rounds: number("ROUNDS", 3, MOST_ROUNDS)?,
            connections: list("CONNECTIONS", " ", &[1, 8, 64])?,
            hosts: number("HOSTS", 10_000, MOST_HOSTS)?,
            parts: list("PARTS", " ", Part::ALL)?,
            keep: env::var("KEEP").is_ok_and(|keep| keep == "yes"),
        };
        let fits = |connections: &usize| (1..=MOST_CONNECTIONS).contains(connections);
        match plan.connections.iter().find(|connections| !fits(connections)) {
            Some(connections) => {
                Err(format!("CONNECTIONS: {connections} is not from 1 to {MOST_CONNECTIONS}"))
            }
            None => Ok(plan),
        }
    }

    /// Figures of a run that left something out say too little to stand in a document.
    pub(crate) fn is_kept(&self) -> bool {
        let is_whole = self.seconds >= 10
            && self.rounds >= 3
            && self.connections == [1, 8, 64]
            && self.hosts >= 10_000
            && self.parts == Part::ALL;
        is_whole || self.keep
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, rounds, connections, hosts, parts, keep: _ } = self;
        write!(
            f,
            "SECONDS_EACH={seconds} ROUNDS={rounds} CONNECTIONS={:?} HOSTS={hosts} PARTS={:?}",
            joined(connections, " "),
            joined(parts, " ")
        )
    }
}
