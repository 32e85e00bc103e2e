//! Every way in which an attempt fails between here and the host's report.

use std::{io, process::ExitStatus};

use crate::domain::{attempt::Outcome, report::ReportError};

/// The exit code with which a host's `raysweep gate` refuses; see the command line's exit codes.
const GATE_REFUSED: i32 = 6;
/// What a shell's exit code says of a program that it may not run, or that is not there.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// The host shows another key than the one that is pinned.
    #[error("the host's key is not the one in known_hosts: {0}")]
    HostKeyChanged(String),
    /// No key of the host is pinned.
    #[error("no key of the host is in known_hosts: {0}")]
    HostKeyUnknown(String),
    /// The host's SSH server does not take our key.
    #[error("the host does not let us in: {0}")]
    AuthRefused(String),
    /// The host has no raysweep.
    #[error("the host has no raysweep to run: {0}")]
    NoBinary(String),
    /// The host's gate does not take the request.
    #[error("the host refuses the request: {0}")]
    RequestRefused(String),
    /// Nothing listens there.
    #[error("nothing listens there: {0}")]
    ConnectionRefused(String),
    /// The address cannot be resolved.
    #[error("the address cannot be resolved: {0}")]
    NameUnknown(String),
    /// No way leads there.
    #[error("no way leads there: {0}")]
    NoRoute(String),
    /// The host did not answer, or not for long enough, while we connected.
    #[error("no connection within the time for it")]
    ConnectTimeout,
    /// The host closed the connection before it let us in.
    #[error("the host closed the connection before it let us in: {0}")]
    ConnectionClosed(String),
    /// ssh says something else.
    #[error("ssh failed: {0}")]
    Other(String),
    /// This machine cannot run ssh.
    #[error("ssh cannot be run here: {0}")]
    Local(#[source] io::Error),
    /// The connection broke while the sweep ran, or the sweep was killed: ssh does not tell which.
    #[error("the connection broke, or the sweep was killed, before the report was complete")]
    ConnectionLost,
    /// The attempt took longer than it may.
    #[error("no report within the attempt's deadline")]
    Deadline,
    /// The output is longer than any report.
    #[error("the output is longer than {0} bytes")]
    OutputTooLong(u64),
    /// The command ended without a whole report.
    #[error("the command ended with {exit} and no whole report: {said}")]
    NoReport {
        /// How it ended.
        exit: String,
        /// What it said on standard error.
        said: String,
    },
    /// What came is no report of this attempt.
    #[error("{0}")]
    BadReport(#[source] ReportError),
}

impl SshError {
    /// Every reason, for metrics that start at zero.
    pub const REASONS: [&'static str; 17] = [
        "host_key_changed",
        "host_key_unknown",
        "auth_refused",
        "no_binary",
        "request_refused",
        "connection_refused",
        "name_unknown",
        "no_route",
        "connect_timeout",
        "connection_closed",
        "ssh_failed",
        "local",
        "connection_lost",
        "deadline",
        "output_too_long",
        "no_report",
        "bad_report",
    ];

    /// The reason as log, journal and metrics write it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::HostKeyChanged(_) => "host_key_changed",
            Self::HostKeyUnknown(_) => "host_key_unknown",
            Self::AuthRefused(_) => "auth_refused",
            Self::NoBinary(_) => "no_binary",
            Self::RequestRefused(_) => "request_refused",
            Self::ConnectionRefused(_) => "connection_refused",
            Self::NameUnknown(_) => "name_unknown",
            Self::NoRoute(_) => "no_route",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectionClosed(_) => "connection_closed",
            Self::Other(_) => "ssh_failed",
            Self::Local(_) => "local",
            Self::ConnectionLost => "connection_lost",
            Self::Deadline => "deadline",
            Self::OutputTooLong(_) => "output_too_long",
            Self::NoReport { .. } => "no_report",
            Self::BadReport(_) => "bad_report",
        }
    }

    /// How an attempt ends that failed so. Once the command may have begun, only a report says what
    /// happened: without one it is unknown.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::HostKeyChanged(_)
            | Self::HostKeyUnknown(_)
            | Self::AuthRefused(_)
            | Self::NoBinary(_)
            | Self::RequestRefused(_) => Outcome::Refused,
            Self::ConnectionRefused(_)
            | Self::NameUnknown(_)
            | Self::NoRoute(_)
            | Self::ConnectTimeout
            | Self::ConnectionClosed(_)
            | Self::Other(_)
            | Self::Local(_) => Outcome::Unreachable,
            Self::ConnectionLost
            | Self::Deadline
            | Self::OutputTooLong(_)
            | Self::NoReport { .. }
            | Self::BadReport(_) => Outcome::Unknown,
        }
    }

    /// Why a master ended before it was connected, by what ssh said. Its exit code is always 255.
    pub(super) fn of_master(stderr: &[u8]) -> Self {
        let said = last_words(stderr);
        let text = String::from_utf8_lossy(stderr);
        let has = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
        // The order counts: ssh says of a jump host's failure first what happened, then that the
        // connection through it was closed.
        if has(&["IDENTIFICATION HAS CHANGED", "differs from the key for the IP address", "REVOKED HOST KEY"])
        {
            Self::HostKeyChanged(said)
        } else if has(&["host key is known for", "Host key verification failed"]) {
            Self::HostKeyUnknown(said)
        } else if has(&["Permission denied", "Too many authentication failures", "Authentication failed"]) {
            Self::AuthRefused(said)
        } else if has(&["Connection refused"]) {
            Self::ConnectionRefused(said)
        } else if has(&["Could not resolve"]) {
            Self::NameUnknown(said)
        } else if has(&["timed out", "Timeout, server"]) {
            Self::ConnectTimeout
        } else if has(&["No route to host", "Network is unreachable", "Host is down"]) {
            Self::NoRoute(said)
        } else if has(&["Connection closed", "Connection reset", "closed by remote host", "Broken pipe"]) {
            Self::ConnectionClosed(said)
        } else {
            Self::Other(said)
        }
    }
}

impl SshError {
    /// Why there is no whole report in so many bytes of output; `end` is how the command ended, `None`
    /// where it closed its output and went on. Where it printed anything, it had begun.
    pub(super) fn of_command(
        printed: usize,
        end: Option<Result<ExitStatus, openssh::Error>>,
        stderr: &[u8],
    ) -> Self {
        let said = last_words(stderr);
        let code = match end {
            None => return Self::NoReport { exit: "its output closed".to_owned(), said },
            Some(Ok(status)) => status.code(),
            // The crate's word for this exit code.
            Some(Err(openssh::Error::Remote(_))) => Some(NOT_FOUND),
            Some(Err(_)) => return Self::ConnectionLost,
        };
        match code {
            Some(NOT_EXECUTABLE | NOT_FOUND) if printed == 0 => Self::NoBinary(said),
            Some(GATE_REFUSED) if printed == 0 => Self::RequestRefused(said),
            Some(code) => Self::NoReport { exit: format!("exit code {code}"), said },
            None => Self::NoReport { exit: "a signal".to_owned(), said },
        }
    }
}

/// The last line that was said, short and printable: it goes into log and journal.
pub(super) fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("nothing said");
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_told_apart() {
        for (said, reason) in [
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\r\n",
                "host_key_changed",
            ),
            (
                "No ED25519 host key is known for [::1]:22 and you have requested strict checking.\r\nHost key verification failed.",
                "host_key_unknown",
            ),
            ("raysweep@10.0.0.80: Permission denied (publickey).\r\n", "auth_refused"),
            ("ssh: connect to host 10.0.0.80 port 22: Connection refused\r\n", "connection_refused"),
            ("ssh: Could not resolve hostname ray-80: Name or service not known\r\n", "name_unknown"),
            ("ssh: connect to host 10.0.0.80 port 22: Connection timed out\r\n", "connect_timeout"),
            ("ssh: connect to host 10.0.0.80 port 22: No route to host\r\n", "no_route"),
            ("kex_exchange_identification: Connection closed by remote host\r\n", "connection_closed"),
            ("something new\n", "ssh_failed"),
            ("", "ssh_failed"),
        ] {
            let error = SshError::of_master(said.as_bytes());
            assert_eq!(error.reason(), reason, "{said}");
            assert!(SshError::REASONS.contains(&reason));
        }
    }

    #[test]
    fn last_words_are_one_short_printable_line() {
        assert_eq!(last_words(b"a\nb\x1b[31m\r\n\n"), "b[31m");
        assert_eq!(last_words(&[b'x'; 5000]).len(), 200);
    }
}
