use std::{fs, os::unix::fs::PermissionsExt};

use expect_test::{Expect, expect};

use super::*;
use crate::config::{
    load::{Overrides, load},
    responder::HostEntry,
};

const FILE: &str = "raysweep.yml";

fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    fs::write(&path, text).unwrap();
    load(&path, Overrides::Given(std::collections::HashMap::new())).unwrap()
}

fn check_responder(text: &str, expected: Expect) {
    let error = responder(Path::new(FILE), &read(text)).unwrap_err();
    expected.assert_eq(&error.to_string());
}

fn check_sweep(text: &str, expected: Expect) {
    let mut problems = Problems::default();
    sweep::check(&read(text), &mut problems);
    expected.assert_eq(&problems.end(Path::new("sweep.yml")).unwrap_err().to_string());
}

#[test]
fn the_defaults_are_sound() {
    responder(Path::new(FILE), &ResponderConfig::default()).unwrap();
    let mut problems = Problems::default();
    sweep::check(&SweepSettings::default(), &mut problems);
    assert_eq!(problems.0, []);
    together(Path::new(FILE), &ResponderConfig::default(), &SweepSettings::default()).unwrap();
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    check_responder(
        "timing: { period: 0s, history: 1m }
limits: { attempts_at_once: 0, starts_a_minute: 0, body_bytes: 1, bodies_bytes: 0, connections: 0, header_timeout: 0s, request_timeout: 0s }
alertmanager: { url: '127.0.0.1:9093', username: 'a:b', timeout: 0s }
ssh: { user: '-l', port: 0, identity_file: id, attempt_deadline: 5s, output_bytes: 1 }
policies: [{ alert: A, urgency: warning }, { alert: A, urgency: critical }, { alert: '', urgency: warning }]
hosts: [{ name: a, address: a }, { name: a, address: a }]",
        expect![[r#"
            raysweep.yml: timing.period: must be longer than 0s
            raysweep.yml: timing.critical_period: must not be longer than timing.period (0s)
            raysweep.yml: timing.history: must not be shorter than timing.expiry
            raysweep.yml: timing.history: must be 24h or more: a host's incidents of 24 hours count together
            raysweep.yml: limits.attempts_at_once: must be 1 or more
            raysweep.yml: limits.starts_a_minute: must be 1 or more
            raysweep.yml: limits.body_bytes: must be 1024 or more: no notification is shorter
            raysweep.yml: limits.bodies_bytes: must not be less than limits.body_bytes (1): one body must fit in
            raysweep.yml: limits.connections: must be 1 or more
            raysweep.yml: limits.header_timeout: must be longer than 0s
            raysweep.yml: limits.request_timeout: must be longer than 0s
            raysweep.yml: ssh.user: "-l" is no user name: use 1 to 32 letters, digits, '_', '-' or '.', not starting with '-' or '.'
            raysweep.yml: ssh.port: must be from 1 to 65535
            raysweep.yml: ssh.identity_file: "id" is no absolute path: write it from / on
            raysweep.yml: ssh.connect_timeout: must be shorter than ssh.attempt_deadline (5s)
            raysweep.yml: ssh.output_bytes: must be 65536 or more: a report must fit in
            raysweep.yml: alertmanager.timeout: must be longer than 0s
            raysweep.yml: alertmanager.username: must stand together with alertmanager.password_file
            raysweep.yml: alertmanager.username: must be a name without a colon
            raysweep.yml: alertmanager.url: "127.0.0.1:9093" is no address of an Alertmanager: write http://HOST:PORT or https://HOST:PORT, and its path prefix where it has one
            raysweep.yml: policies[1].alert: A is there twice: keep one entry
            raysweep.yml: policies[2].alert: must name an alert
            raysweep.yml: hosts[1].name: a is there twice: keep one entry"#]],
    );
    check_sweep(
        "hold_file: hold
log_dir: '/var/log/*'
deadline: 4s
activity: { idle_cpu_percent: 0, sampling_window: 5s, ignore_programs: [/bin/sleep, ''] }
ages: { no_job: 2d, logs: 0s }
containers: { name_pattern: 'ray[', socket: docker.sock, own_temp_roots: [tmp, '/data/ray['] }
bare: { temp_root: /, user_id: 0 }
prune: { min_age: 0s, keep_label: '' }",
        expect![[r#"
            sweep.yml: hold_file: "hold" is no absolute path: write it from / on
            sweep.yml: log_dir: must be a plain path: letters, digits, '/', '.', '_' and '-'
            sweep.yml: activity.idle_cpu_percent: must be above 0 and at most 100, in percent of one core
            sweep.yml: activity.ignore_programs[0]: "/bin/sleep" is no base name of a program: write `sleep`, not `/bin/sleep`
            sweep.yml: activity.ignore_programs[1]: "" is no base name of a program: write `sleep`, not `/bin/sleep`
            sweep.yml: ages.logs: must be longer than 0s
            sweep.yml: ages.in_job: must not be shorter than ages.no_job: a leftover is safer where no job is alive
            sweep.yml: containers.socket: "docker.sock" is no absolute path: write it from / on
            sweep.yml: containers.name_pattern: "ray[" is no pattern: unclosed character class; missing ']'; such as "ray-worker*"
            sweep.yml: containers.own_temp_roots[0]: "tmp" is no absolute path: write it from / on
            sweep.yml: containers.own_temp_roots: "/data/ray[" is no pattern: unclosed character class; missing ']'; such as "/data/ray-tmp-*"
            sweep.yml: bare.temp_root: is the root of the file system: name the folder that holds ray/session_*
            sweep.yml: prune.min_age: must be longer than 0s
            sweep.yml: prune.keep_label: must name a label, such as raysweep.keep
            sweep.yml: activity.sampling_window: must be shorter than deadline (4s)
            sweep.yml: activity.ray_timeout: must be shorter than deadline (4s)"#]],
    );
}

#[test]
fn what_limits_a_host_is_kept_for_as_long_as_it_does() {
    check_responder(
        "timing: { period: 2d, history: 36h }",
        expect![[
            r#"raysweep.yml: timing.history: must not be shorter than timing.period (2d): after a restart it is what limits a host"#
        ]],
    );
}

#[test]
fn an_address_that_ssh_would_take_for_something_else_is_refused() {
    for address in [
        "",
        "-oProxyCommand=x",
        "a b",
        "a@b",
        "ssh://a",
        "a\n",
        "a;b",
        "$(id)",
        "..",
        "/a",
        "ä",
        "a,b",
        "[::1]",
    ] {
        let mut config = ResponderConfig { hosts: vec![HostEntry::at("a", "a")], ..Default::default() };
        config.hosts[0].address = address.to_owned();
        assert!(responder(Path::new(FILE), &config).is_err(), "{address:?}");
    }
    for address in ["a", "10.0.0.80", "fd00::80", "::1", "fe80::1%eth0", "ray-80.example.com"] {
        let mut config = ResponderConfig { hosts: vec![HostEntry::at("a", "a")], ..Default::default() };
        config.hosts[0].address = address.to_owned();
        responder(Path::new(FILE), &config).unwrap();
    }
}

#[test]
fn a_jump_host_is_one_host_with_user_and_port() {
    for (jump, fits) in [
        ("bastion", true),
        ("me@bastion", true),
        ("me@bastion:2222", true),
        ("me@[fd00::1]:22", true),
        ("[fd00::1]", true),
        ("-oProxyCommand=x", false),
        ("a,b", false),
        ("a b", false),
        ("-x@b", false),
        ("a:", false),
        ("a:0", false),
        ("a:x", false),
        ("a:70000", false),
        ("[fd00::1]x", false),
        ("me@", false),
        ("", false),
    ] {
        let mut config = ResponderConfig { hosts: vec![HostEntry::at("a", "a")], ..Default::default() };
        config.hosts[0].jump = Some(jump.to_owned());
        assert_eq!(responder(Path::new(FILE), &config).is_ok(), fits, "{jump:?}");
    }
}

#[test]
fn two_hosts_cannot_share_a_label_value() {
    check_responder(
        "hosts: [{ name: a, address: 10.0.0.1 }, { name: b, address: 10.0.0.2, aliases: [10.0.0.1] }]",
        expect![[
            r#"raysweep.yml: hosts: "10.0.0.1" stands for both a and b: each name, address and alias may belong to one host"#
        ]],
    );
}

#[test]
fn a_name_to_be_called_by_is_a_name_and_nothing_else() {
    for (name, fits) in [
        ("raysweep.example.com", true),
        ("raysweep", true),
        ("my_host-2", true),
        ("http://raysweep.example.com", false),
        ("raysweep.example.com:9095", false),
        ("*.example.com", false),
        ("raysweep.example.com.", false),
        ("10.0.0.84", false),
        ("::1", false),
        ("-a", false),
        ("", false),
    ] {
        let mut config = ResponderConfig::default();
        config.web.allowed_hosts = vec![name.to_owned()];
        let found = responder(Path::new(FILE), &config).map_err(|error| error.to_string());
        let says = format!("raysweep.yml: web.allowed_hosts[0]: {name:?} is no name: write it alone");
        assert_eq!(
            found.as_ref().map_err(|error| error.starts_with(&says)),
            if fits { Ok(&()) } else { Err(true) },
            "{found:?}"
        );
    }
}

#[test]
fn a_token_that_everybody_can_read_or_that_is_empty_or_missing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let mut config = ResponderConfig::default();
    config.web.bearer_token_file = Some(file.clone());
    config.web.listen_address = "0.0.0.0:9095".parse().unwrap();
    let said = |config: &ResponderConfig| {
        responder(Path::new(FILE), config)
            .map_or_else(|error| error.to_string(), |()| "sound".to_owned())
            .replace(folder.path().to_str().unwrap(), "/folder")
    };
    let mut all = vec![said(&config)];
    for (text, mode) in [("secret\n", 0o644), (" \n", 0o600), ("secret\n", 0o600), ("secret\n", 0o640)] {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        all.push(said(&config));
    }
    expect![[r#"
        raysweep.yml: web.bearer_token_file: /folder/token cannot be read: No such file or directory (os error 2)
        raysweep.yml: web.bearer_token_file: /folder/token is open to everybody: chmod o= /folder/token
        raysweep.yml: web.bearer_token_file: /folder/token is empty: put the secret into it
        sound
        sound"#]].assert_eq(&all.join("\n"));
}

#[test]
fn what_only_doctor_reads_does_not_keep_the_responder_down() {
    let text = "prometheus: { url: 'http://p:9090', username: u, password_file: /nonexistent/password }";
    responder(Path::new(FILE), &read(text)).unwrap();
    check_responder(
        "prometheus: { username: u, password_file: password }",
        expect![[r#"
            raysweep.yml: prometheus.url: must say where prometheus.password_file is shown
            raysweep.yml: prometheus.password_file: "password" is no absolute path: write it from / on"#]],
    );
    check_responder(
        "alertmanager: { url: 'http://a:9093', bearer_token_file: /nonexistent/token }",
        expect![
            "raysweep.yml: alertmanager.bearer_token_file: /nonexistent/token cannot be read: No such file or directory (os error 2)"
        ],
    );
}

#[test]
fn whoever_listens_to_the_network_asks_callers_for_something() {
    let (file, open) = (Path::new(FILE), "0.0.0.0:9095".parse().unwrap());
    let web = |text: &str| WebConfig::parse(Path::new("web.yml"), text).unwrap();
    let hash = "$2b$04$......................".to_owned() + &".".repeat(31);
    let tls = "cert_file: c, key_file: k, client_ca_file: a";
    let mut config = ResponderConfig::default();
    let fits = |config: &ResponderConfig, web: Option<&WebConfig>| access(file, open, config, web).is_ok();

    assert!(!fits(&config, None) && !fits(&config, Some(&web(""))));
    for keeps_nobody_out in ["RequestClientCert", "RequireAnyClientCert", "VerifyClientCertIfGiven"] {
        let web = web(&format!("tls_server_config: {{ {tls}, client_auth_type: {keeps_nobody_out} }}"));
        assert!(!fits(&config, Some(&web)), "{keeps_nobody_out}");
    }
    assert!(fits(&config, Some(&web(&format!("basic_auth_users: {{ amy: {hash} }}")))));
    let verified = format!("tls_server_config: {{ {tls}, client_auth_type: RequireAndVerifyClientCert }}");
    assert!(fits(&config, Some(&web(&verified))));
    for loopback in ["127.0.0.1:1", "[::1]:1", "127.9.9.9:1"] {
        access(file, loopback.parse().unwrap(), &config, None).unwrap();
    }
    config.web.bearer_token_file = Some("/token".into());
    assert!(fits(&config, None));
    config.web.bearer_token_file = None;
    let error = access(file, open, &config, None).unwrap_err();
    expect!["raysweep.yml: web.listen_address: 0.0.0.0:9095 is not loopback: set web.bearer_token_file, or basic_auth_users or client_auth_type RequireAndVerifyClientCert in the file of --web.config.file, or listen on 127.0.0.1 only"].assert_eq(&error.to_string());
}

#[test]
fn a_sweep_file_that_others_may_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sweep.yml");
    for (mode, fits) in [(0o644, true), (0o600, true), (0o664, false), (0o646, false)] {
        fs::write(&file, "mode: enforce\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(crate::config::load_sweep(&file).is_ok(), fits, "{mode:o}");
    }
}

#[test]
fn the_attempt_must_outlast_the_sweep() {
    let mut config = ResponderConfig::default();
    config.ssh.attempt_deadline = Span::mins(10);
    let error = together(Path::new(FILE), &config, &SweepSettings::default()).unwrap_err();
    expect!["raysweep.yml: ssh.attempt_deadline: must be longer than the host's own deadline (10m), better by a minute"].assert_eq(&error.to_string());
}

#[test]
fn the_attempt_must_outlast_the_sweep_that_the_inventory_asks_for() {
    check_responder(
        "ssh: { attempt_deadline: 12m }\n\
         deploy: { sweep: { deadline: 11m } }\n\
         hosts: [{ name: a, address: 10.0.0.80, sweep: { deadline: 30m } }, { name: b, address: 10.0.0.81, sweep: { mode: enforce } }]",
        expect![
            "raysweep.yml: hosts[0].sweep.deadline: is 30m, and must be shorter than ssh.attempt_deadline (12m), better by a minute"
        ],
    );
    // A fault of the fleet's is told once, and a host's default is one where nothing else is said.
    check_responder(
        "ssh: { attempt_deadline: 9m }\n\
         deploy: { sweep: { mode: enforce } }\n\
         hosts: [{ name: a, address: 10.0.0.80, sweep: { mode: observe } }]",
        expect![
            "raysweep.yml: deploy.sweep.deadline: is 10m, and must be shorter than ssh.attempt_deadline (9m), better by a minute"
        ],
    );
    check_responder(
        "ssh: { attempt_deadline: 9m }\n\
         hosts: [{ name: a, address: 10.0.0.80, sweep: { mode: observe } }, { name: b, address: 10.0.0.81 }]",
        expect![
            "raysweep.yml: hosts[0].sweep.deadline: is 10m, and must be shorter than ssh.attempt_deadline (9m), better by a minute"
        ],
    );
}

#[test]
fn what_a_deploy_would_write_into_files_is_checked() {
    check_responder(
        "deploy: { user: -l, from: ['10.0.0.0/8', 'a\",command=\"sh'], host_ca_file: ca.pub, textfile_dir: '/a b', sweep: { schedule: '7 * * * * root id' } }",
        expect![[r#"
            raysweep.yml: deploy.user: "-l" is no user name: use 1 to 32 letters, digits, '_', '-' or '.', not starting with '-' or '.'
            raysweep.yml: deploy.from[1]: "a\",command=\"sh" is no source: write an address, a network such as 10.0.0.0/24, or a name
            raysweep.yml: deploy.host_ca_file: "ca.pub" is no absolute path: write it from / on
            raysweep.yml: deploy.textfile_dir: must be a plain path: letters, digits, '/', '.', '_' and '-'
            raysweep.yml: deploy.sweep.schedule: "7 * * * * root id" is no schedule: write the five fields of a crontab, such as "7 * * * *", or @hourly, @daily, @weekly, @monthly or @yearly"#]],
    );
    check_responder(
        "deploy: { sweep: { ages: { in_job: 1h } } }
hosts: [{ name: a, address: a }, { name: b, address: b, sweep: { ages: { no_job: 2h } } }]",
        expect![
            "raysweep.yml: hosts[1].sweep.ages.in_job: must not be shorter than ages.no_job: a leftover is safer where no job is alive"
        ],
    );
}
