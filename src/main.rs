//! The raysweep binary.

use std::process::ExitCode;

use raysweep::{
    cli,
    sweeper::{inside, supervise},
};

fn main() -> ExitCode {
    // The children have to be themselves before any argument is parsed, any runtime
    // starts and any thread exists.
    match std::env::args_os().nth(1) {
        Some(argument) if argument == inside::ARGUMENT => inside::main(),
        Some(argument) if argument == supervise::ARGUMENT => supervise::main(),
        _ => cli::main(),
    }
}
