//! The raysweep binary.

use std::process::ExitCode;

use raysweep::{
    cli::{self, pages},
    fleet::host_part,
    sweeper::{inside, supervise},
};

fn main() -> ExitCode {
    // The children have to be themselves before any argument is parsed, any runtime
    // starts and any thread exists.
    match std::env::args_os().nth(1) {
        Some(argument) if argument == inside::ARGUMENT => inside::main(),
        Some(argument) if argument == supervise::ARGUMENT => supervise::main(),
        // Not a subcommand: what it is told comes from the `deploy` of this very binary and from nobody else.
        Some(argument) if argument == host_part::ARGUMENT => host_part::main(cli::look_over),
        // Not a subcommand either: it is for whoever makes a package.
        Some(argument) if argument == pages::ARGUMENT => pages::main(),
        _ => cli::main(),
    }
}
