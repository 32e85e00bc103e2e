//! `check-config`: every mistake named, the exit code its own.

use std::fs;

use expect_test::{Expect, expect};

use super::{raysweep, said};

fn check(file: &str, text: &str, arguments: &[&str], expected: Expect) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(file), text).unwrap();
    expected.assert_eq(&said(raysweep().current_dir(&folder).arg("check-config").args(arguments)));
}

#[test]
fn a_sound_file_is_ok() {
    check(
        "a.yml",
        "hosts: [{ name: a, address: b }]\n",
        &["a.yml"],
        expect![[r#"
        exit 0
        a.yml: ok
    "#]],
    );
    check(
        "a.yml",
        "mode: enforce\n",
        &["--sweep", "a.yml"],
        expect![[r#"
        exit 0
        a.yml: ok
    "#]],
    );
}

#[test]
fn an_unknown_key_a_wrong_type_a_bare_number_and_a_missing_file_are_named() {
    check(
        "a.yml",
        "webb: 1\n",
        &["a.yml"],
        expect![[r#"
            exit 3
            raysweep: a.yml: unknown key `webb`; known keys: web, timing, limits, journal, ssh, alertmanager, prometheus, deploy, policies, hosts; did you mean `web`?
        "#]],
    );
    check(
        "a.yml",
        "ssh: { port: 5.7 }\n",
        &["a.yml"],
        expect![[r#"
        exit 3
        raysweep: a.yml: ssh.port: found the number 5.7, wanted a whole number from 0 to 65535, without quotes
    "#]],
    );
    check(
        "a.yml",
        "timing: { period: 10 }\n",
        &["a.yml"],
        expect![[r#"
        exit 3
        raysweep: a.yml: timing.period: found the number 10, wanted a duration with its unit, such as 90s, 10m or 24h
    "#]],
    );
    check(
        "a.yml",
        "",
        &["b.yml"],
        expect![[r#"
        exit 3
        raysweep: b.yml: cannot be read: No such file or directory (os error 2); create it, or name another with --config.file
    "#]],
    );
    check(
        "a.yml",
        "ages: { no_job: 600 }\n",
        &["--sweep", "a.yml"],
        expect![[r#"
        exit 3
        raysweep: a.yml: ages.no_job: found the number 600, wanted a duration with its unit, such as 90s, 10m or 24h
    "#]],
    );
    check(
        "a.yml",
        "mode: force\n",
        &["--sweep", "a.yml"],
        expect![[r#"
        exit 3
        raysweep: a.yml: mode: "force" is not one of observe, enforce
    "#]],
    );
}

#[test]
fn all_mistakes_of_all_files_are_named() {
    check(
        "a.yml",
        "limits: { attempts_at_once: 0 }\nhosts: [{ name: a, address: -x }]\n",
        &["a.yml", "b.yml"],
        expect![[r#"
            exit 3
            raysweep: a.yml: limits.attempts_at_once: must be 1 or more
            a.yml: hosts[0].address: "-x" is no host: write a DNS name or an IP address, without user and port
            raysweep: b.yml: cannot be read: No such file or directory (os error 2); create it, or name another with --config.file
        "#]],
    );
}

#[test]
fn two_files_that_contradict_each_other_are_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yml"), "ssh: { attempt_deadline: 5m }\n").unwrap();
    fs::write(folder.path().join("s.yml"), "deadline: 10m\n").unwrap();
    let mut command = raysweep();
    command.current_dir(&folder).args(["check-config", "a.yml", "--sweep", "s.yml"]);
    expect![[r#"
        exit 3
        a.yml: ok
        s.yml: ok
        raysweep: a.yml: ssh.attempt_deadline: must be longer than the host's own deadline (10m), better by a minute
    "#]].assert_eq(&said(&mut command));
}
