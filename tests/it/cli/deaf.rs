//! Nobody reads what it says, or the disk under it is full: the exit code stays the same.

use std::{
    fs::{self, File},
    process::{Command, Stdio},
};

fn code_of(arguments: &[&str], stdout: Stdio, stderr: Stdio) -> Option<i32> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yml"), "").unwrap();
    fs::write(folder.path().join("p.json"), r#"{"alerts":[]}"#).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_raysweep"));
    command.current_dir(&folder).args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    command.status().unwrap().code()
}

/// Every write to it fails, as on a full disk.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe whose reader has gone.
fn gone() -> Stdio {
    let (_, writer) = std::io::pipe().unwrap();
    writer.into()
}

#[test]
fn an_error_that_cannot_be_printed_is_still_that_error() {
    for stderr in [full, gone] {
        assert_eq!(code_of(&["check-config", "missing.yml"], Stdio::null(), stderr()), Some(3));
        assert_eq!(code_of(&["gate"], Stdio::null(), stderr()), Some(6));
        assert_eq!(code_of(&["sweep", "--config.file", "missing.yml"], Stdio::null(), stderr()), Some(3));
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure_and_a_full_disk_is_one() {
    let replay = ["replay", "--config.file", "a.yml", "p.json"];
    assert_eq!(code_of(&replay, gone(), Stdio::null()), Some(0));
    assert_eq!(code_of(&replay, full(), Stdio::null()), Some(1));
    assert_eq!(code_of(&["check-config", "a.yml"], gone(), gone()), Some(0));
}

#[test]
fn a_log_that_cannot_be_written_does_not_end_serve() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let serve = ["serve", "--config.file", "a.yml", "--storage.path", "s", "--web.listen-address", &address];
    for stderr in [full, gone] {
        assert_eq!(code_of(&serve, Stdio::null(), stderr()), Some(1));
    }
}
