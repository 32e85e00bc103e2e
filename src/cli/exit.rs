//! How the program ends: the one list of exit codes.

use std::process::ExitCode;

use crate::domain::attempt::Outcome;

/// What the exit code tells a caller. The report tells more: a caller that wants to know what a sweep
/// did reads that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    /// What was asked for was done, or there was nothing to do.
    Success = 0,
    /// It could not be done.
    Failure = 1,
    /// The command line is wrong; clap ends with it by itself.
    Usage = 2,
    /// A configuration file is wrong or missing.
    Config = 3,
    /// Another sweep runs on this host.
    Busy = 4,
    /// The host is on hold.
    Held = 5,
    /// A command, a request or a payload was refused.
    Refused = 6,
    /// It takes root.
    NeedsRoot = 7,
    /// The responder or the host did not answer.
    Unreachable = 8,
    /// The journal is damaged, of a later version, or its disk does not keep what is written.
    Storage = 9,
    /// A check has found what would be changed.
    Differs = 10,
    /// Ctrl-C, as shells have it.
    Interrupted = 130,
}

/// The list as help texts show it.
macro_rules! exit_codes {
    () => {
        "  0  done, or nothing to do
  1  could not be done
  2  wrong command line
  3  wrong or missing configuration
  4  busy: another sweep runs on this host
  5  held: the host is on hold
  6  refused: a command, a request or a payload that is not taken
  7  needs root
  8  unreachable: no answer from the responder or the host
  9  storage: the journal is damaged, of a later version, or not kept by its disk
  10  differs: a check has found what would be changed
  130  broken off by Ctrl-C (run)"
    };
}
pub(crate) use exit_codes;

impl Exit {
    const ALL: [Self; 12] = [
        Self::Success,
        Self::Failure,
        Self::Usage,
        Self::Config,
        Self::Busy,
        Self::Held,
        Self::Refused,
        Self::NeedsRoot,
        Self::Unreachable,
        Self::Storage,
        Self::Differs,
        Self::Interrupted,
    ];

    /// The code with which another raysweep ended; a code that is not ours is a failure.
    pub(crate) fn passed_on(code: u8) -> Self {
        Self::ALL.into_iter().find(|exit| *exit as u8 == code).unwrap_or(Self::Failure)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            // A worker at work is no failure of the sweep.
            Outcome::Freed | Outcome::WouldFree | Outcome::NothingToFree | Outcome::Active => Self::Success,
            Outcome::Held => Self::Held,
            Outcome::Busy => Self::Busy,
            Outcome::Refused => Self::Refused,
            Outcome::Unreachable => Self::Unreachable,
            Outcome::Unknown | Outcome::Failed => Self::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_documented_and_none_is_given_twice() {
        let documented: Vec<u8> = exit_codes!()
            .lines()
            .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(documented, Exit::ALL.map(|exit| exit as u8));
    }
}
