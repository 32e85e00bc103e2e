//! `deploy` and `undeploy`, up to where a host would be spoken to.

use std::fs;

use expect_test::{Expect, expect};

use super::{raysweep, said};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJlIGtpbmQgdG8gdGhlIG5leHQgcGVyc29uIGhlcmUh\n";

/// A host at whose port nobody listens: what is said of it is the same everywhere.
fn check(deploy: &str, arguments: &[&str], expected: Expect) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("id.pub"), KEY).unwrap();
    let text = format!(
        "ssh: {{ identity_file: {0}/id, known_hosts_file: {0}/known_hosts }}
{deploy}
hosts: [{{ name: ray-80, address: 127.0.0.1, port: 1 }}, {{ name: ray-81, address: 127.0.0.2, port: 1 }}]
",
        folder.path().display()
    );
    fs::write(folder.path().join("a.yml"), text).unwrap();
    let mut command = raysweep();
    command
        .current_dir(&folder)
        .env("PATH", "/usr/bin:/bin")
        .args(arguments)
        .args(["--config.file", "a.yml"]);
    expected.assert_eq(&said(&mut command));
}

const FROM: &str = "deploy: { from: [192.0.2.10] }";

#[test]
fn without_a_source_and_for_an_unknown_host_nothing_is_begun() {
    check(
        "",
        &["deploy", "--all"],
        expect![[r#"
        exit 3
        raysweep: a.yml: deploy.from: name the addresses that the responder comes from, such as [192.0.2.10]
    "#]],
    );
    check(
        FROM,
        &["deploy", "ray-8"],
        expect![[r#"
        exit 3
        raysweep: a.yml: "ray-8" is no host of the inventory
    "#]],
    );
}

#[test]
fn hosts_that_do_not_answer_end_in_the_table_and_in_the_exit_code() {
    check(
        FROM,
        &["deploy", "--all", "--parallel", "1"],
        expect![[r#"
        exit 8
          host     state         changes   note
        ──────────────────────────────────────────────────────────────────────────────────────────────
          ray-80   unreachable         -   ssh: connect to host 127.0.0.1 port 1: Connection refused
          ray-81   unreachable         -   ssh: connect to host 127.0.0.2 port 1: Connection refused
    "#]],
    );
    check(
        "",
        &["undeploy", "ray-81", "--json"],
        expect![[r#"
        exit 8
        [{"host":"ray-81","state":"unreachable","why":"ssh: connect to host 127.0.0.2 port 1: Connection refused","verified":null,"changes":[],"notes":[],"old_cron":[],"by_hand":[]}]
    "#]],
    );
}

#[test]
fn secrets_that_are_the_responders_alone_are_not_the_operators_to_have() {
    check(
        "web: { bearer_token_file: /nonexistent/token }
alertmanager: { url: 'http://127.0.0.1:9093', bearer_token_file: /nonexistent/token }",
        &["undeploy", "ray-80"],
        expect![[r#"
        exit 8
          host     state         changes   note
        ──────────────────────────────────────────────────────────────────────────────────────────────
          ray-80   unreachable         -   ssh: connect to host 127.0.0.1 port 1: Connection refused
    "#]],
    );
}

#[test]
fn whoever_walks_the_chain_sweeps_directly_or_explains_needs_none_of_the_responders_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let text = format!(
        "web: {{ bearer_token_file: /nonexistent/token }}
alertmanager: {{ url: 'http://127.0.0.1:1', bearer_token_file: /nonexistent/alertmanager }}
ssh: {{ identity_file: {at}/id, known_hosts_file: {at}/known_hosts }}
hosts: [{{ name: ray-80, address: 127.0.0.1, port: 1 }}]
"
    );
    fs::write(folder.path().join("a.yml"), text).unwrap();
    let payload = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let payload = payload.join("alertmanager/payloads/firing-two-hosts.json");
    let asks = |arguments: &[&str]| {
        let mut command = raysweep();
        command.current_dir(&folder).env("PATH", "/usr/bin:/bin").args(arguments);
        said(command.args(["--config.file", "a.yml"]))
    };
    let ran = asks(&["run", "ray-80", "--direct"]);
    assert!(ran.starts_with("exit 8") && ran.contains("Connection refused"), "{ran}");
    let explained = asks(&["replay", payload.to_str().unwrap()]);
    assert!(explained.starts_with("exit 0") && explained.contains("names ray-80"), "{explained}");
    let walked = asks(&["doctor", "ray-80", "--json"]);
    assert!(
        walked.starts_with("exit 1") && walked.contains(r#""check":"config","host":null,"state":"ok""#),
        "{walked}"
    );
    for secret in ["/nonexistent/token", "/nonexistent/alertmanager"] {
        assert!(walked.contains(&format!("raysweep: {secret}: cannot be read")), "{walked}");
    }
}

#[test]
fn hosts_are_named_or_all_are_meant_and_nothing_is_guessed() {
    for arguments in [
        &["deploy"][..],
        &["undeploy"],
        &["deploy", "--all", "ray-80"],
        &["deploy", "--all", "--mode", "force"],
        &["deploy", "--all", "--parallel", "0"],
        &["deploy", "--all", "--user", "-oProxyCommand=x"],
        &["deploy", "--all", "--timeout", "10"],
        &["undeploy", "--all", "--mode", "enforce"],
    ] {
        raysweep().args(arguments).assert().code(2);
    }
}
