//! What the responder's key may run: one request, checked, then handed to root's sweep.
//!
//! `SSH_ORIGINAL_COMMAND` arrives as the caller wrote it. It is compared, never parsed by a shell and
//! never passed on: what runs is the one command that is written here, which is also the one that
//! sudoers allows, and it gets the request as we wrote it again and not as it came.

use std::{
    ffi::OsStr,
    io::{self, Read, Write},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::domain::attempt::{SweepRequest, SweepRequestError};

/// Where sshd puts what the caller asked for.
pub const COMMAND_VARIABLE: &str = "SSH_ORIGINAL_COMMAND";

/// The whole grammar. No shell ever sees it, so there is nothing to quote.
const SWEEP: &str = "sweep";

/// The one command that the account may run as root; sudoers names the same words.
const ROOT_COMMAND: [&str; 6] = ["/usr/bin/sudo", "-n", "/usr/local/bin/raysweep", "sweep", "--request", "-"];

/// How long a caller may take to send a request of a few hundred bytes.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// How much of a refused command is shown in the log.
const SHOWN: usize = 80;

/// Why nothing was swept.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The key was used for a login, or without a command.
    #[error("refused: no command; this key may only run {SWEEP:?}")]
    NoCommand,
    /// The key was used for something else.
    #[error("refused: {0}; this key may only run {SWEEP:?}")]
    Command(String),
    /// No request came in time.
    #[error("refused: no request on standard input within {} s", REQUEST_TIME.as_secs())]
    Slow,
    /// More came than a request can be.
    #[error("refused: the request is longer than {} bytes", SweepRequest::MAX_BYTES)]
    TooLong,
    /// The request could not be read.
    #[error("refused: the request cannot be read: {0}")]
    Read(io::Error),
    /// The request is not one.
    #[error("refused: {0}")]
    Request(#[from] SweepRequestError),
    /// Root's sweep could not be started or asked.
    #[error("the sweep cannot be started: {0}")]
    Sweep(io::Error),
}

/// Checks the command and the request, then runs root's sweep. Its report goes straight to our
/// standard output, and its exit code is the result.
pub fn run(command: Option<&OsStr>) -> Result<u8, GateError> {
    check_command(command)?;
    let request = read_request(io::stdin())?;
    let [program, arguments @ ..] = ROOT_COMMAND;
    let mut root = Command::new(program);
    root.args(arguments);
    hand_over(root, &request).map(code).map_err(GateError::Sweep)
}

pub(crate) fn check_command(command: Option<&OsStr>) -> Result<(), GateError> {
    match command {
        None => Err(GateError::NoCommand),
        Some(command) if command.is_empty() => Err(GateError::NoCommand),
        Some(command) if command == SWEEP => Ok(()),
        Some(command) => Err(GateError::Command(shown(command))),
    }
}

/// The start of a command as text that can neither drive a terminal nor forge a line of the log.
fn shown(command: &OsStr) -> String {
    let text = command.to_string_lossy();
    let start: String = text.chars().take(SHOWN).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", start.escape_default())
}

/// Reads one request, bounded in length and in time; for the gate, and again for root.
pub fn read_request(input: impl Read + Send + 'static) -> Result<SweepRequest, GateError> {
    read_in_time(input, REQUEST_TIME)
}

/// Reads the request on a thread of its own: a read of standard input has no time limit. If the time
/// is over the thread stays behind for the moment that the process still lives.
fn read_in_time(input: impl Read + Send + 'static, limit: Duration) -> Result<SweepRequest, GateError> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = vec![];
        let result = input.take(SweepRequest::MAX_BYTES + 1).read_to_end(&mut text).map(|_| text);
        let _ = sender.send(result);
    });
    request_in(&receiver.recv_timeout(limit).map_err(|_| GateError::Slow)?.map_err(GateError::Read)?)
}

/// The one request that a caller's whole input is.
pub(crate) fn request_in(input: &[u8]) -> Result<SweepRequest, GateError> {
    if input.len() as u64 > SweepRequest::MAX_BYTES {
        return Err(GateError::TooLong);
    }
    Ok(SweepRequest::parse(input)?)
}

/// Starts root's command with the request on its standard input and waits for its end. How long that
/// may take is the sweep's own deadline.
fn hand_over(mut root: Command, request: &SweepRequest) -> io::Result<ExitStatus> {
    let mut child = root.stdin(Stdio::piped()).spawn()?;
    let text = serde_json::to_vec(request)?;
    let written = match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(&text),
        None => Ok(()),
    };
    ended(written, child.wait()?)
}

/// Root's command that ended without reading says by its own code why; whatever else kept it from its
/// request is ours to say.
fn ended(written: io::Result<()>, status: ExitStatus) -> io::Result<ExitStatus> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(status),
        Err(error) => Err(error),
        Ok(()) => Ok(status),
    }
}

/// A sweep that a signal ended has no code of its own.
fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests;
