//! Tests against real file systems, real processes and, as root, real namespaces.

use std::process::{Command, ExitCode};

pub(crate) mod harness;
mod here;
mod hostile;
mod many;
mod process;
mod survival;
mod worlds;

/// Set for the process that is to be the child.
const CHILD: &str = "RAYSWEEP_TEST_CHILD";

/// This binary as the child: its own main runs one test, and that test is it.
pub(super) fn child_command() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(["sweeper::inside::tests::child", "--exact", "--test-threads=1"]);
    command.env_clear().env(CHILD, "1");
    command
}

#[test]
fn child() {
    if std::env::var_os(CHILD).is_some() {
        // The harness runs a test in a thread of its own. A thread may enter a mount namespace only if
        // it shares its root and working folder with no other.
        #[expect(deprecated, reason = "nobody else here uses what is unshared")]
        rustix::thread::unshare(rustix::thread::UnshareFlags::FS).unwrap();
        let success = super::main() == ExitCode::SUCCESS;
        std::process::exit(i32::from(!success));
    }
}
