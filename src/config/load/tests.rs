use std::path::PathBuf;

use expect_test::{Expect, expect};

use super::*;
use crate::config::{responder::ResponderConfig, sweep::SweepSettings, units::Span};

const FILE: &str = "raysweep.yml";

fn load_text<T: DeserializeOwned>(text: &str, variables: &[(&str, &str)]) -> Result<T, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    std::fs::write(&path, text).unwrap();
    let variables = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    load(&path, Overrides::Given(variables.collect())).map_err(|error| match error {
        // The folder's name differs from run to run.
        ConfigError::Read { source, .. }
        | ConfigError::Web { source, .. }
        | ConfigError::HttpClient { source, .. } => ConfigError::Read { path: FILE.into(), source },
        ConfigError::Syntax { message, .. } => ConfigError::Syntax { path: FILE.into(), message },
        ConfigError::Invalid { problems, .. } => ConfigError::Invalid { path: FILE.into(), problems },
    })
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&load_text::<ResponderConfig>(text, &[]).unwrap_err().to_string());
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(load_text::<ResponderConfig>("", &[]).unwrap(), ResponderConfig::default());
    assert_eq!(load_text::<SweepSettings>("# nothing\n", &[]).unwrap(), SweepSettings::default());
}

#[test]
fn an_unknown_key_is_named_with_the_known_ones_and_the_likeliest() {
    check(
        "ssh:\n  prot: 22\n",
        expect![
            "raysweep.yml: ssh: unknown key `prot`; known keys: user, port, identity_file, known_hosts_file, connect_timeout, attempt_deadline, output_bytes; did you mean `port`?"
        ],
    );
    check(
        "webb:\n",
        expect![
            "raysweep.yml: unknown key `webb`; known keys: web, timing, limits, journal, ssh, alertmanager, prometheus, deploy, policies, hosts; did you mean `web`?"
        ],
    );
    check(
        "hosts:\n- name: a\n  address: a\n  colour: blue\n",
        expect![
            "raysweep.yml: hosts[0]: unknown key `colour`; known keys: name, address, aliases, user, port, identity_file, jump, sweep"
        ],
    );
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_the_right_one() {
    check(
        "ssh:\n  port: '22'\n",
        expect![[
            r#"raysweep.yml: ssh.port: found the text "22", wanted a whole number from 0 to 65535, without quotes"#
        ]],
    );
    check(
        "ssh:\n  port: 5.7\n",
        expect![
            "raysweep.yml: ssh.port: found the number 5.7, wanted a whole number from 0 to 65535, without quotes"
        ],
    );
    check(
        "ssh:\n  port: true\n",
        expect!["raysweep.yml: ssh.port: found true, wanted a whole number from 0 to 65535, without quotes"],
    );
    check(
        "ssh:\n  port: 70000\n",
        expect![
            "raysweep.yml: ssh.port: found the number 70000, wanted a whole number from 0 to 65535, without quotes"
        ],
    );
    check(
        "ssh:\n  port: -1\n",
        expect![
            "raysweep.yml: ssh.port: found the number -1, wanted a whole number from 0 to 65535, without quotes"
        ],
    );
    check(
        "ssh:\n  user: 7\n",
        expect![
            "raysweep.yml: ssh.user: found the number 7, wanted a text (a number or a word like true is one in quotes)"
        ],
    );
    check(
        "ssh:\n  user: [a]\n",
        expect![
            "raysweep.yml: ssh.user: found a list, wanted a text (a number or a word like true is one in quotes)"
        ],
    );
    check(
        "ssh: 22\n",
        expect!["raysweep.yml: ssh: found the number 22, wanted a section: keys indented below it"],
    );
    check("ssh:\n", expect!["raysweep.yml: ssh: found nothing, wanted a section: keys indented below it"]);
    check(
        "hosts: a\n",
        expect![[r#"raysweep.yml: hosts: found the text "a", wanted a list: lines that start with `- `"#]],
    );
    check("- a\n", expect!["raysweep.yml: is not YAML: it must hold keys with values, such as `ssh:`"]);
    check(
        "web:\n  listen_address: localhost\n",
        expect!["raysweep.yml: web.listen_address: write an IP address and a port, such as 127.0.0.1:9095"],
    );
}

#[test]
fn a_duration_without_a_unit_is_told_what_it_lacks() {
    check(
        "timing:\n  period: 10\n",
        expect![
            "raysweep.yml: timing.period: found the number 10, wanted a duration with its unit, such as 90s, 10m or 24h"
        ],
    );
    check(
        "timing:\n  period: '10'\n",
        expect![[
            r#"raysweep.yml: timing.period: "10" is no duration: write a number with its unit, such as 90s, 10m or 24h"#
        ]],
    );
    check(
        "timing:\n  period: 10 monkeys\n",
        expect![[
            r#"raysweep.yml: timing.period: "10 monkeys" is no duration: write a number with its unit, such as 90s, 10m or 24h"#
        ]],
    );
    check(
        "timing:\n  period: -10m\n",
        expect![[
            r#"raysweep.yml: timing.period: "-10m" is no duration: write a number with its unit, such as 90s, 10m or 24h"#
        ]],
    );
}

#[test]
fn a_host_or_policy_is_named_by_its_place_in_the_list() {
    check(
        "hosts:\n- name: a\n  address: a\n- address: b\n",
        expect!["raysweep.yml: hosts[1]: the key `name` is missing"],
    );
    check(
        "hosts:\n- name: -oProxyCommand=x\n  address: a\n",
        expect![[
            r#"raysweep.yml: hosts[0].name: "-oProxyCommand=x" is no host name: use 1 to 253 letters, digits, '.', '-' or '_', starting with a letter or digit"#
        ]],
    );
    check(
        "policies:\n- alert: X\n  urgency: urgent\n",
        expect![[r#"raysweep.yml: policies[0].urgency: "urgent" is not one of warning, critical"#]],
    );
}

#[test]
fn what_is_no_yaml_is_named_with_its_line() {
    check(
        "ssh:\n  user: [\n",
        expect![
            "raysweep.yml: is not YAML: while parsing a node, did not find expected node content at byte 15 line 3 column 1"
        ],
    );
    check(
        "ssh:\n  user: a\n  user: b\n",
        expect![[
            r#"raysweep.yml: is not YAML: String("user"): duplicated key in mapping at byte 23 line 3 column 9"#
        ]],
    );
    check("a: 1\n---\nb: 2\n", expect!["raysweep.yml: is not YAML: Got 2 YAML documents, expected 1"]);
    check(
        "just words\n",
        expect!["raysweep.yml: is not YAML: it must hold keys with values, such as `ssh:`"],
    );
}

#[test]
fn a_missing_file_is_named() {
    let error =
        load::<ResponderConfig>(&PathBuf::from("/nonexistent/x.yml"), Overrides::Given(HashMap::new()))
            .unwrap_err();
    expect!["/nonexistent/x.yml: cannot be read: No such file or directory (os error 2); create it, or name another with --config.file"].assert_eq(&error.to_string());
}

#[test]
fn a_variable_overrides_a_key_and_is_read_as_if_it_stood_in_the_file() {
    let config: ResponderConfig = load_text(
        "ssh:\n  port: 22\n  user: a\n",
        &[("SSH__PORT", "2222"), ("TIMING__PERIOD", "90s"), ("SSH__USER", "'007'")],
    )
    .unwrap();
    assert_eq!(config.ssh.port, 2222);
    assert_eq!(config.ssh.user, "007");
    assert_eq!(config.timing.period, Span::secs(90));
}

#[test]
fn a_wrong_variable_is_named_as_the_key_that_it_overrides() {
    let mistakes = [
        ("SSH__PORT", "x"),
        ("SSH__PORT", "'7'"),
        ("SSH__PROT", "7"),
        ("TIMING__PERIOD", "10"),
        ("SSH__USER", "["),
        ("SSH__USER", "a\nport: 7"),
    ];
    let said = mistakes.map(|mistake| load_text::<ResponderConfig>("", &[mistake]).unwrap_err().to_string());
    expect![[r#"
        raysweep.yml: ssh.port: found the text "x", wanted a whole number from 0 to 65535, without quotes (a variable of the environment sets it)
        raysweep.yml: ssh.port: found the text "7", wanted a whole number from 0 to 65535, without quotes (a variable of the environment sets it)
        raysweep.yml: ssh: unknown key `prot`; known keys: user, port, identity_file, known_hosts_file, connect_timeout, attempt_deadline, output_bytes; did you mean `port`? (a variable of the environment sets it)
        raysweep.yml: timing.period: found the number 10, wanted a duration with its unit, such as 90s, 10m or 24h (a variable of the environment sets it)
        raysweep.yml: ssh.user: the variable's value "[" is not YAML: quote it as in a file
        raysweep.yml: ssh.user: the variable's value "a\nport: 7" is not YAML: quote it as in a file"#]].assert_eq(&said.join("\n"));
}

/// config-rs would make a list of four thousand million entries of the one, and two keys of the other.
#[test]
fn a_key_at_the_top_is_a_name_and_no_path() {
    check(
        "hosts[4000000000]: 1\n",
        expect![
            "raysweep.yml: hosts[4000000000]: is no key: write `section:`, and the keys of the section indented below it"
        ],
    );
    check(
        "ssh.port: 22\n",
        expect![
            "raysweep.yml: ssh.port: is no key: write `section:`, and the keys of the section indented below it"
        ],
    );
}
