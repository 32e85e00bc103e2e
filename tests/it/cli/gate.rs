//! `gate` as sshd starts it.

use expect_test::expect;

use super::{raysweep, said};

#[test]
fn a_refused_command_is_one_line_and_its_own_exit_code() {
    let mut command = raysweep();
    command.arg("gate").env("SSH_ORIGINAL_COMMAND", "sweep; rm -rf /\n");
    expect![[r#"
        exit 6
        raysweep: refused: "sweep; rm -rf /\n"; this key may only run "sweep"
    "#]]
    .assert_eq(&said(&mut command));
}

#[test]
fn a_login_is_refused() {
    expect![[r#"
        exit 6
        raysweep: refused: no command; this key may only run "sweep"
    "#]]
    .assert_eq(&said(raysweep().arg("gate")));
}

#[test]
fn a_request_that_could_widen_something_is_refused() {
    let mut command = raysweep();
    let request =
        r#"{"schema":1,"attempt":"01890000-0000-7000-8000-000000000000","trigger":"alert","force":true}"#;
    command.arg("gate").env("SSH_ORIGINAL_COMMAND", "sweep").write_stdin(request);
    expect![[r#"
        exit 6
        raysweep: refused: the request is not what this host takes: unknown field `force`, expected one of `schema`, `attempt`, `trigger`, `dry_run` at line 1 column 86
    "#]].assert_eq(&said(&mut command));
}
