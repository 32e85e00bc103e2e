//! The program as its callers see it: help, messages, exit codes.

mod check_config;
mod deaf;
mod deploy;
mod gate;
mod gentle;
mod help;
mod replay;
mod running;
mod serve;
mod sweep;

use assert_cmd::Command;

/// The program, without variables that would override its configuration.
pub(crate) fn raysweep() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raysweep"));
    command.env_clear().timeout(std::time::Duration::from_mins(1));
    command
}

/// What it printed, and its exit code: `exit 3`, standard output, standard error.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let code = output.status.code().map_or_else(|| "signal".to_owned(), |code| code.to_string());
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("exit {code}\n{stdout}{stderr}")
}
