//! What the responder's key may run: one request, checked, then handed to root's sweep.

use std::process::ExitCode;

/// Reads `SSH_ORIGINAL_COMMAND` and standard input, checks both, and becomes `sudo … raysweep sweep --request -`.
pub fn run() -> ExitCode {
    ExitCode::FAILURE
}
