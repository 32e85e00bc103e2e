//! The command line: one enum, one match, one thin file a subcommand.
//!
//! A file here reads its flags, loads the configuration, calls one wing and turns the result into
//! output and an exit code. Nothing is decided here.

mod check_config;
mod close;
mod connection;
mod deploy;
mod doctor;
mod exit;
mod fleet;
mod gate;
mod history;
mod hold;
mod host_part;
mod log;
mod measure;
pub mod pages;
mod release;
mod replay;
mod run;
mod serve;
mod status;
mod sweep;
mod table;
mod text;
mod undeploy;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};

use exit::{Exit, exit_codes};
pub use host_part::look_over;
use log::LogOptions;

/// Frees the disk of Ray hosts when Prometheus says so, and never touches what work in progress
/// still needs.
#[derive(Debug, Parser)]
#[command(
    name = "raysweep",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = concat!("Exit codes:\n", exit_codes!(), "\n\nExample:\n  raysweep sweep --dry-run")
)]
struct Cli {
    #[command(flatten)]
    log: LogOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Sweep(sweep::Sweep),
    Measure(measure::Measure),
    Gate(gate::Gate),
    Replay(replay::Replay),
    Run(run::Run),
    Hold(hold::Hold),
    Release(release::Release),
    Deploy(deploy::Deploy),
    Undeploy(undeploy::Undeploy),
    Doctor(doctor::Doctor),
    Status(status::Status),
    History(history::History),
    Close(close::Close),
    CheckConfig(check_config::CheckConfig),
}

/// Parses the command line and runs the subcommand.
pub fn main() -> ExitCode {
    // clap itself ends the process for --help (0) and for a usage error (Exit::Usage).
    let Cli { log, command } = Cli::parse();
    log.start();
    let exit = match command {
        Command::Serve(serve) => serve.run(),
        Command::Sweep(sweep) => sweep.run(),
        Command::Measure(measure) => measure.run(),
        Command::Gate(gate) => gate.run(),
        Command::Replay(replay) => replay.run(),
        Command::Run(run) => run.run(),
        Command::Hold(hold) => hold.run(),
        Command::Release(release) => release.run(),
        Command::Deploy(deploy) => deploy.run(),
        Command::Undeploy(undeploy) => undeploy.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Status(status) => status.run(),
        Command::History(history) => history.run(),
        Command::Close(close) => close.run(),
        Command::CheckConfig(check_config) => check_config.run(),
    };
    exit.into()
}

/// Prints why a subcommand could not do its work and passes the exit code on. Some of it may be in the
/// words of whoever is on the other side.
fn failed(exit: Exit, error: &dyn std::fmt::Display) -> Exit {
    let error = error.to_string();
    let lines: Vec<_> = error.lines().map(text::plain).collect();
    // Standard error may be a file on a full disk or a reader that has gone; the code still tells.
    let _ = writeln!(std::io::stderr(), "raysweep: {}", lines.join("\n"));
    exit
}

#[cfg(test)]
mod tests;
