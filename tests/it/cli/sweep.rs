//! `sweep` before it looks at anything.

use std::{fs, os::unix::process::CommandExt};

use expect_test::expect;

use super::{raysweep, said};

#[test]
fn a_sweep_without_settings_does_not_start() {
    let mut command = raysweep();
    command.args(["sweep", "--config.file", "/nonexistent/sweep.yml"]);
    expect![[r#"
        exit 3
        raysweep: /nonexistent/sweep.yml: cannot be read: No such file or directory (os error 2); create it, or name another with --config.file
    "#]].assert_eq(&said(&mut command));
}

#[test]
fn a_sweep_with_wrong_settings_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sweep.yml"), "mode: enforce\nage: 1m\n").unwrap();
    let mut command = raysweep();
    command.current_dir(&folder).args(["sweep", "--config.file", "sweep.yml"]);
    expect![[r#"
        exit 3
        raysweep: sweep.yml: unknown key `age`; known keys: mode, hold_file, runtime_dir, log_dir, deadline, schedule, jitter, min_tmp_size, activity, ages, containers, bare, prune; did you mean `ages`?
    "#]].assert_eq(&said(&mut command));
}

#[test]
fn a_request_from_outside_is_checked_again_as_root() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sweep.yml"), "").unwrap();
    let mut command = raysweep();
    command.current_dir(&folder).args(["sweep", "--request", "-", "--config.file", "sweep.yml"]);
    expect![[r#"
        exit 6
        raysweep: refused: the request is not what this host takes: missing field `attempt` at line 1 column 12
    "#]]
    .assert_eq(&said(command.write_stdin(r#"{"schema":2}"#)));
}

#[test]
fn a_sweep_by_anybody_else_asks_for_root() {
    let folder = tempfile::tempdir().unwrap();
    // Where the build lies, `nobody` may not look.
    let program = folder.path().join("raysweep");
    fs::copy(env!("CARGO_BIN_EXE_raysweep"), &program).unwrap();
    open_to_everybody(folder.path());
    let output = std::process::Command::new(&program).arg("sweep").uid(65534).gid(65534).output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    expect![[r#"
        raysweep: a sweep reads every process of the host: run it as root
    "#]]
    .assert_eq(&String::from_utf8_lossy(&output.stderr));
}

fn open_to_everybody(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}
