//! A small fleet for the whole way of an alert: hosts with an sshd each, the responder, and
//! Prometheus and Alertmanager with the shipped rules and the shipped route, only quicker.

use std::{fmt::Write as _, fs};

use crate::{
    sweeping::Settings,
    world::{self, Failed, RAYSWEEP, lib, repository, run},
};

/// Sweeps, and enforces.
pub(crate) const ENFORCING: &str = "alpha";
/// On hold.
pub(crate) const HELD: &str = "beta";
/// Observes.
pub(crate) const OBSERVING: &str = "gamma";
/// Answers with another key than the one that is pinned.
pub(crate) const REKEYED: &str = "delta";
/// Has lost its raysweep.
pub(crate) const BARE: &str = "epsilon";
/// Nothing listens there.
pub(crate) const DOWN: &str = "zeta";
/// The inventory, and where each host's sshd listens, at port 22.
pub(crate) const INVENTORY: [(&str, &str); 6] = [
    (ENFORCING, "127.0.1.1"),
    (HELD, "127.0.1.2"),
    (OBSERVING, "127.0.1.3"),
    (REKEYED, "127.0.1.4"),
    (BARE, "127.0.1.5"),
    (DOWN, "127.0.1.6"),
];
/// Fires like the others and stands in no inventory.
pub(crate) const STRANGER: &str = "omega";
/// Has cAdvisor and nothing else: neither raysweep nor `node_exporter`.
pub(crate) const CADVISED: &str = "psi";

/// Where the shipped script puts raysweep.
const INSTALLED: &str = "/usr/local/bin/raysweep";
const RESPONDER: &str = "http://127.0.0.1:9095";
const EXPORTER: u16 = 9101;
const CADVISOR: u16 = 8080;

/// Brings up every host but [`DOWN`], with raysweep put there by the shipped script.
pub(crate) fn hosts_up() -> Result<(), Failed> {
    fs::create_dir_all(path("")).unwrap();
    let key = path("key");
    run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &key], "")?;
    let mut known_hosts = String::new();
    for (host, address) in INVENTORY.iter().filter(|(host, _)| *host != DOWN) {
        lib(["host_up", host, &format!("{address}:22")])?;
        known_hosts += &(lib(["host_key", host])? + "\n");
    }
    fs::write(path("known_hosts"), known_hosts).unwrap();
    node_exporter_up()?;
    install(ENFORCING, &host_settings("enforce"))?;
    install(HELD, &host_settings("enforce"))?;
    install(OBSERVING, &host_settings("observe"))?;
    install(BARE, &host_settings("enforce"))?;
    on_host(HELD, &["touch", "/etc/raysweep/hold"])?;
    lib(["host_key_change", REKEYED])?;
    on_host(BARE, &["umount", INSTALLED])?;
    on_host(BARE, &["rm", INSTALLED])?;
    Ok(())
}

fn host_settings(mode: &'static str) -> Settings {
    Settings {
        mode,
        runtime_dir: "/run/raysweep".into(),
        hold_file: "/etc/raysweep/hold".into(),
        ..Settings::default()
    }
}

fn install(host: &str, settings: &Settings) -> Result<String, Failed> {
    let script = repository("deploy/install-host.sh").display().to_string();
    let file = settings.written().display().to_string();
    let key = path("key.pub");
    on_host(
        host,
        &[&script, "--binary", RAYSWEEP, "--key", &key, "--from", "127.0.0.0/8", "--settings", &file],
    )?;
    // The hosts of a world have the same containers. A raysweep knows the child of another one by its
    // file; that of another host would be a stranger at work.
    on_host(host, &["mount", "--bind", RAYSWEEP, INSTALLED])
}

/// Runs a command on a host as root.
pub(crate) fn on_host(host: &str, words: &[&str]) -> Result<String, Failed> {
    lib([&["on_host", host], words].concat())
}

/// Before the install, as on a host that is monitored already: it has the textfile folder.
fn node_exporter_up() -> Result<String, Failed> {
    lib(["node_exporter_up", ENFORCING, &EXPORTER.to_string()])
}

/// The shipped cron job measures each minute; here it is done without a pause.
pub(crate) fn measuring_up() -> Result<String, Failed> {
    let measure = "while :; do
        /usr/local/bin/raysweep measure --textfile /run/raysweep/raysweep.prom; sleep 1
    done";
    let start = format!(
        "mapfile -t enter < <(host_entry {ENFORCING})
         daemon_start measuring \"${{enter[@]}}\" sh -c '{measure}'
         daemon_ready measuring 20 on_host {ENFORCING} test -s /run/raysweep/raysweep.prom"
    );
    lib(["eval", &start])
}

/// Starts the responder. Every ssh that it starts leaves its arguments in a file of the test's.
pub(crate) fn responder_up() -> Result<String, Failed> {
    fs::write(path("token"), "a-token-for-this-test-alone\n").unwrap();
    run(&["chmod", "600", &path("token")], "")?;
    fs::write(path("raysweep.yml"), responder_config()).unwrap();
    fs::create_dir_all(path("bin")).unwrap();
    let ssh = run(&["bash", "-c", "command -v ssh"], "")?;
    let recorder = format!("#!/bin/sh\nprintf '%s\\n' \"$*\" >>{}\nexec {ssh} \"$@\"\n", path("ssh.log"));
    fs::write(path("bin/ssh"), recorder).unwrap();
    run(&["chmod", "755", &path("bin/ssh")], "")?;
    let start = format!(
        "daemon_start responder env PATH={bin}:$PATH {RAYSWEEP} serve --config.file {config} \
         --storage.path {journal} --log.format json",
        bin = path("bin"),
        config = path("raysweep.yml"),
        journal = path("journal"),
    );
    lib(["eval", &start])?;
    lib(["daemon_ready", "responder", "20", "curl", "-fs", &format!("{RESPONDER}/-/ready")])
}

fn responder_config() -> String {
    let hosts: Vec<_> = INVENTORY
        .iter()
        .map(|(name, address)| format!("  - {{name: {name}, address: {address}}}\n"))
        .collect();
    format!(
        "web: {{bearer_token_file: {token}}}\n\
         ssh: {{identity_file: {key}, known_hosts_file: {known_hosts}, connect_timeout: 5s}}\n\
         hosts:\n{hosts}",
        hosts = hosts.concat(),
        token = path("token"),
        key = path("key"),
        known_hosts = path("known_hosts"),
    )
}

/// Alertmanager with the shipped route, then Prometheus with the shipped rules; only times, the
/// token's place and the targets are this test's. The host that observes is watched alone at first: the
/// hosts of a world have the same containers, and what one sweep asks there is work to another host's.
pub(crate) fn monitoring_up() -> Result<(), Failed> {
    let route = fs::read_to_string(repository("alertmanager/raysweep.yml")).unwrap();
    let route = replaced(&route, "group_wait: 5s", "group_wait: 1s");
    let route = replaced(&route, "group_interval: 1m", "group_interval: 5s");
    let route = replaced(&route, "repeat_interval: 15m", "repeat_interval: 1m");
    let route = replaced(&route, "/etc/prometheus/raysweep.token", &path("token"));
    fs::write(path("alertmanager.yml"), route).unwrap();
    lib(["alertmanager_up", &path("alertmanager.yml")])?;
    let cadvisor = std::env::var("CADVISOR").map_err(|_| Failed("CADVISOR names no program".to_owned()))?;
    lib(["cadvisor_up", &cadvisor])?;
    for rules in ["ray-worker.rules.yml", "raysweep.rules.yml"] {
        let text = fs::read_to_string(repository("rules").join(rules)).unwrap();
        let quick: Vec<_> = text
            .lines()
            .map(|line| if line.trim_start().starts_with("for: ") { "        for: 2s" } else { line })
            .collect();
        fs::write(path(rules), quick.join("\n")).unwrap();
    }
    fs::write(path("prometheus.yml"), prometheus_config(&[OBSERVING])).unwrap();
    lib(["prometheus_up", &path("prometheus.yml")])?;
    Ok(())
}

/// Has every host watched, and the stranger.
pub(crate) fn watch_all() -> Result<String, Failed> {
    let hosts: Vec<_> = INVENTORY.iter().map(|(host, _)| *host).chain([STRANGER]).collect();
    fs::write(path("prometheus.yml"), prometheus_config(&hosts)).unwrap();
    run(&["curl", "-fsS", "-X", "POST", "http://127.0.0.1:9090/-/reload"], "")
}

/// What Prometheus answers: to `rules`, to a `query`, or which `series` a selector has found.
pub(crate) fn prometheus(what: &str, asked: Option<&str>) -> serde_json::Value {
    let url = format!("http://127.0.0.1:9090/api/v1/{what}");
    let key = if what == "series" { "match[]" } else { "query" };
    let asked = asked.map(|asked| format!("{key}={asked}"));
    let mut words = vec!["curl", "-sS", "--get", &url];
    words.extend(asked.iter().flat_map(|asked| ["--data-urlencode", asked.as_str()]));
    serde_json::from_str(&run(&words, "").unwrap()).unwrap()
}

/// Whether Prometheus has had series that a selector finds.
pub(crate) fn has_series(selector: &str) -> bool {
    let found = prometheus("series", Some(selector));
    found["data"].as_array().is_some_and(|series| !series.is_empty())
}

/// Sweeps a host as its cron job does, whatever that comes to.
pub(crate) fn swept_by_cron(host: &str) {
    let _ = on_host(host, &[INSTALLED, "sweep", "--trigger", "cron"]);
}

/// One exporter stands for every host, and one cAdvisor for the two that have any: the hosts of a world
/// have one Docker and one disk. What the
/// machine's other disks hold is none of the test's business.
fn prometheus_config(hosts: &[&str]) -> String {
    // The host that has raysweep as well is watched by both from the same moment on.
    let cadvised: Vec<_> = hosts
        .iter()
        .filter(|host| **host == ENFORCING)
        .chain([&CADVISED])
        .map(|host| format!("      - {{targets: ['127.0.0.1:{CADVISOR}'], labels: {{host: {host}}}}}\n"))
        .collect();
    let hosts: Vec<_> = hosts
        .iter()
        .map(|host| {
            format!("      - {{targets: ['127.0.0.1:{EXPORTER}'], labels: {{host: {host}, ray: 'true'}}}}\n")
        })
        .collect();
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:9093']}}]}}]}}\n\
         rule_files: [ray-worker.rules.yml, raysweep.rules.yml]\n\
         scrape_configs:\n\
         \x20 - job_name: raysweep\n\
         \x20   static_configs: [{{targets: ['127.0.0.1:9095']}}]\n\
         \x20 - job_name: cadvisor\n\
         \x20   static_configs:\n{cadvised}\
         \x20 - job_name: node\n\
         \x20   metric_relabel_configs:\n\
         \x20     - {{source_labels: [mountpoint], regex: '{disk}', target_label: __tmp_ours, replacement: 'yes'}}\n\
         \x20     - {{source_labels: [__name__, __tmp_ours], regex: 'node_filesystem_.+;', action: drop}}\n\
         \x20     - {{action: labeldrop, regex: __tmp_ours}}\n\
         \x20   static_configs:\n{hosts}",
        cadvised = cadvised.concat(),
        hosts = hosts.concat(),
        disk = world::dir().join("disk").display(),
    )
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the shipped file no longer says {from:?}");
    text.replace(from, to)
}

/// Reads a list of the responder's.
pub(crate) fn listed(what: &str) -> Vec<serde_json::Value> {
    // Attempts come with their reports, and no more of these at once.
    let limit = if what == "attempts" { 50 } else { 1000 };
    let page = get(&format!("/api/v1/{what}?limit={limit}")).unwrap();
    let mut page: serde_json::Value = serde_json::from_str(&page).unwrap();
    match page[what].take() {
        serde_json::Value::Array(rows) => rows,
        other => panic!("no list of {what}: {other}"),
    }
}

/// Reads a page of the responder's.
pub(crate) fn get(page: &str) -> Result<String, Failed> {
    run(&["curl", "-fsS", "-H", &authorization(), &format!("{RESPONDER}{page}")], "")
}

/// Sends a body to the webhook and gives the status code.
pub(crate) fn post(body: &str) -> String {
    let to = format!("{RESPONDER}/webhook");
    let words = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", &authorization()];
    let words = [&words[..], &["--data-binary", "@-", &to]].concat();
    run(&words, body).unwrap()
}

fn authorization() -> String {
    format!("Authorization: Bearer {}", fs::read_to_string(path("token")).unwrap().trim_end())
}

/// The arguments of every ssh that the responder started.
pub(crate) fn started_ssh() -> Vec<String> {
    let log = fs::read_to_string(path("ssh.log")).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}

/// The responder's log, a JSON object a line.
pub(crate) fn log() -> Vec<serde_json::Value> {
    let file = world::dir().join("log/responder.log");
    let text = fs::read_to_string(file).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// What the parts say of themselves, for whoever has to find out where the way ended.
pub(crate) fn state() -> String {
    let mut state = String::new();
    let alerts = run(&["curl", "-fsS", "http://127.0.0.1:9090/api/v1/alerts"], "");
    let _ = writeln!(state, "Prometheus: {:.2000}", alerts.unwrap_or_else(|failed| failed.0));
    let attempts = get(&format!("/api/v1/attempts?host={ENFORCING}"));
    let _ = writeln!(state, "attempts: {:.6000}", attempts.unwrap_or_else(|failed| failed.0));
    for daemon in ["responder", "measuring", "alertmanager", "prometheus"] {
        let file = world::dir().join(format!("log/{daemon}.log")).display().to_string();
        let end = run(&["tail", "-n", "12", &file], "");
        let _ = writeln!(state, "{daemon}'s log ends:\n{:.3000}", end.unwrap_or_else(|failed| failed.0));
    }
    state
}

fn path(name: &str) -> String {
    world::dir().join("fleet").join(name).display().to_string()
}
