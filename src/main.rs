//! The raysweep binary.

use std::process::ExitCode;

use raysweep::{cli, sweeper::inside};

fn main() -> ExitCode {
    // The child in a worker's namespace has to be itself before any argument is parsed, any runtime
    // starts and any thread exists.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == inside::ARGUMENT) {
        return inside::main();
    }
    cli::main()
}
