//! The checks of `raysweep.yml`.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::Problems;
use crate::{
    config::{
        overlay,
        responder::{
            Alertmanager, Deploy, HostEntry, Journal, Limits, PolicyEntry, Prometheus, ResponderConfig, Ssh,
            Timing, Web,
        },
        secret,
        sweep::SweepSettings,
    },
    domain::incident::PAST,
};

pub(super) fn check(config: &ResponderConfig, problems: &mut Problems) {
    let ResponderConfig {
        web,
        timing,
        limits,
        journal,
        ssh,
        alertmanager,
        prometheus,
        deploy,
        policies,
        hosts,
    } = config;
    check_web(web, problems);
    check_timing(timing, problems);
    check_limits(limits, problems);
    check_journal(*journal, ssh.output_bytes, problems);
    check_ssh(ssh, problems);
    check_alertmanager(alertmanager, problems);
    check_prometheus(prometheus, problems);
    check_deploy(deploy, problems);
    check_policies(policies, problems);
    for (at, host) in hosts.iter().enumerate() {
        check_host(&format!("hosts[{at}]"), host, problems);
    }
    check_settings(config, problems);
    if let Err(clash) = config.directory() {
        problems.add("hosts", clash.to_string());
    }
    let mut names = BTreeSet::new();
    for (at, host) in hosts.iter().enumerate() {
        if !names.insert(&host.name) {
            problems
                .add(format!("hosts[{at}].name"), format!("{} is there twice: keep one entry", host.name));
        }
    }
}

fn check_web(web: &Web, problems: &mut Problems) {
    // Whether anybody is kept out depends on flags too: `access`.
    let Web { listen_address: _, bearer_token_file, allowed_hosts } = web;
    for (at, name) in allowed_hosts.iter().enumerate() {
        problems.unless(
            is_name(name),
            &format!("web.allowed_hosts[{at}]"),
            &format!(
                "{name:?} is no name: write it alone, such as raysweep.example.com, without http:// and port"
            ),
        );
    }
    if let Some(file) = bearer_token_file {
        problems.absolute("web.bearer_token_file", file);
        check_token_file("web.bearer_token_file", file, problems);
    }
}

/// A token that everybody can read is no secret; one that cannot be read keeps every sender out.
fn check_token_file(key: &str, file: &Path, problems: &mut Problems) {
    let shown = file.display();
    let metadata = match std::fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) => return problems.add(key, format!("{shown} cannot be read: {error}")),
    };
    if secret::is_open(metadata.mode()) {
        problems.add(key, format!("{shown} is open to everybody: chmod o= {shown}"));
    }
    if let Err(error) = secret::read(file) {
        problems.add(key, format!("{shown} {error}"));
    }
}

fn check_timing(timing: &Timing, problems: &mut Problems) {
    let Timing {
        period,
        critical_period,
        recheck,
        decay,
        backoff_first,
        backoff_most,
        escalate_after,
        expiry,
        history,
        stop_grace,
    } = timing;
    for (key, span) in [
        ("timing.period", period),
        ("timing.critical_period", critical_period),
        ("timing.recheck", recheck),
        ("timing.decay", decay),
        ("timing.backoff_first", backoff_first),
        ("timing.backoff_most", backoff_most),
        ("timing.escalate_after", escalate_after),
        ("timing.expiry", expiry),
        ("timing.history", history),
        ("timing.stop_grace", stop_grace),
    ] {
        problems.positive(key, *span);
    }
    problems.unless(
        critical_period <= period,
        "timing.critical_period",
        &format!("must not be longer than timing.period ({period})"),
    );
    problems.unless(
        backoff_first <= backoff_most,
        "timing.backoff_first",
        &format!("must not be longer than timing.backoff_most ({backoff_most})"),
    );
    problems.unless(history >= expiry, "timing.history", "must not be shorter than timing.expiry");
    problems.unless(
        history >= period,
        "timing.history",
        &format!(
            "must not be shorter than timing.period ({period}): after a restart it is what limits a host"
        ),
    );
    problems.unless(
        history.0 >= PAST,
        "timing.history",
        "must be 24h or more: a host's incidents of 24 hours count together",
    );
}

fn check_limits(limits: &Limits, problems: &mut Problems) {
    let Limits {
        attempts_at_once,
        starts_a_minute,
        body_bytes,
        bodies_bytes,
        connections,
        header_timeout,
        request_timeout,
    } = limits;
    problems.unless(*attempts_at_once > 0, "limits.attempts_at_once", "must be 1 or more");
    problems.unless(*starts_a_minute > 0, "limits.starts_a_minute", "must be 1 or more");
    problems.unless(
        *body_bytes >= 1024,
        "limits.body_bytes",
        "must be 1024 or more: no notification is shorter",
    );
    problems.unless(
        body_bytes <= bodies_bytes,
        "limits.bodies_bytes",
        &format!("must not be less than limits.body_bytes ({body_bytes}): one body must fit in"),
    );
    problems.unless(
        u32::try_from(*bodies_bytes).is_ok(),
        "limits.bodies_bytes",
        &format!("must be {} or less", u32::MAX),
    );
    problems.unless(*connections > 0, "limits.connections", "must be 1 or more");
    problems.positive("limits.header_timeout", *header_timeout);
    problems.positive("limits.request_timeout", *request_timeout);
}

fn check_journal(journal: Journal, output_bytes: u64, problems: &mut Problems) {
    let Journal { notifications, notifications_bytes, reports_bytes } = journal;
    problems.unless(
        notifications == 0 || notifications_bytes >= 64 * 1024,
        "journal.notifications_bytes",
        "must be 65536 or more, or journal.notifications 0: no notification would be kept",
    );
    problems.unless(
        u32::try_from(notifications_bytes).is_ok(),
        "journal.notifications_bytes",
        &format!("must be {} or less", u32::MAX),
    );
    problems.unless(
        reports_bytes.0 >= output_bytes,
        "journal.reports_bytes",
        &format!("must not be less than ssh.output_bytes ({output_bytes}B): one report must fit in"),
    );
}

fn check_ssh(ssh: &Ssh, problems: &mut Problems) {
    let Ssh { user, port, identity_file, known_hosts_file, connect_timeout, attempt_deadline, output_bytes } =
        ssh;
    check_user("ssh.user", user, problems);
    problems.unless(*port != 0, "ssh.port", PORT);
    problems.absolute("ssh.identity_file", identity_file);
    problems.absolute("ssh.known_hosts_file", known_hosts_file);
    problems.positive("ssh.connect_timeout", *connect_timeout);
    problems.unless(
        connect_timeout < attempt_deadline,
        "ssh.connect_timeout",
        &format!("must be shorter than ssh.attempt_deadline ({attempt_deadline})"),
    );
    problems.positive("ssh.attempt_deadline", *attempt_deadline);
    problems.unless(
        *output_bytes >= 64 * 1024,
        "ssh.output_bytes",
        "must be 65536 or more: a report must fit in",
    );
}

fn check_alertmanager(alertmanager: &Alertmanager, problems: &mut Problems) {
    let Alertmanager { url, username, password_file, bearer_token_file, timeout } = alertmanager;
    problems.positive("alertmanager.timeout", *timeout);
    let server = Server {
        key: "alertmanager",
        what: "an Alertmanager",
        url,
        username,
        password_file,
        bearer_token_file,
    };
    check_server(&server, problems);
    for (name, file) in [("password_file", password_file), ("bearer_token_file", bearer_token_file)] {
        if let Some(file) = file {
            check_token_file(&format!("alertmanager.{name}"), file, problems);
        }
    }
}

/// Its secret files are `doctor`'s to read: the responder asks it nothing, and must not stay down for them.
fn check_prometheus(prometheus: &Prometheus, problems: &mut Problems) {
    let Prometheus { url, username, password_file, bearer_token_file } = prometheus;
    let server =
        Server { key: "prometheus", what: "a Prometheus", url, username, password_file, bearer_token_file };
    check_server(&server, problems);
}

/// A server that is asked over HTTP.
struct Server<'a> {
    key: &'a str,
    what: &'a str,
    url: &'a Option<String>,
    username: &'a Option<String>,
    password_file: &'a Option<PathBuf>,
    bearer_token_file: &'a Option<PathBuf>,
}

fn check_server(server: &Server<'_>, problems: &mut Problems) {
    let Server { key, what, url, username, password_file, bearer_token_file } = server;
    for (name, file) in [("password_file", password_file), ("bearer_token_file", bearer_token_file)] {
        if let Some(file) = file {
            let name = format!("{key}.{name}");
            problems.unless(url.is_some(), &format!("{key}.url"), &format!("must say where {name} is shown"));
            problems.absolute(&name, file);
        }
    }
    problems.unless(
        username.is_some() == password_file.is_some(),
        &format!("{key}.username"),
        &format!("must stand together with {key}.password_file"),
    );
    problems.unless(
        username.is_none() || bearer_token_file.is_none(),
        &format!("{key}.bearer_token_file"),
        &format!("cannot stand beside {key}.username: keep one of them"),
    );
    problems.unless(
        username.as_ref().is_none_or(|name| !name.is_empty() && !name.contains(':')),
        &format!("{key}.username"),
        "must be a name without a colon",
    );
    let Some(url) = url else { return };
    let address = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let fits = |address: &str| {
        !address.is_empty() && !address.contains(['?', '#', '@']) && !address.contains(char::is_whitespace)
    };
    problems.unless(
        address.is_some_and(fits),
        &format!("{key}.url"),
        &format!("{url:?} is no address of {what}: write http://HOST:PORT or https://HOST:PORT, and its path prefix where it has one"),
    );
}

fn check_deploy(deploy: &Deploy, problems: &mut Problems) {
    let Deploy { user, from, public_key_file, host_ca_file, textfile_dir, sweep: _ } = deploy;
    if let Some(user) = user {
        check_user("deploy.user", user, problems);
    }
    for (at, from) in from.iter().enumerate() {
        let key = format!("deploy.from[{at}]");
        problems.unless(is_source(from), &key, &format!("{from:?} is no source: {SOURCE}"));
    }
    for (key, file) in [("deploy.public_key_file", public_key_file), ("deploy.host_ca_file", host_ca_file)] {
        if let Some(file) = file {
            problems.absolute(key, file);
        }
    }
    problems.absolute("deploy.textfile_dir", textfile_dir);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    problems.unless(
        textfile_dir.to_str().is_some_and(|text| text.chars().all(plain)),
        "deploy.textfile_dir",
        "must be a plain path: letters, digits, '/', '.', '_' and '-'",
    );
}

const SOURCE: &str = "write an address, a network such as 10.0.0.0/24, or a name";

/// What may stand between the quotes of `from=`; a comma would begin another source.
fn is_source(from: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '/' | '*' | '?' | '_' | '-');
    !from.is_empty() && from.chars().all(fits)
}

/// What the inventory would have the hosts do; each host's is looked at as it would get it.
fn check_settings(config: &ResponderConfig, problems: &mut Problems) {
    let fleet = config.deploy.sweep.as_ref();
    match overlay::settings("deploy.sweep", [fleet]) {
        Ok(settings) if fleet.is_some() => check_deadline("deploy.sweep", config, &settings, problems),
        // Nothing is said of the hosts' files: they may be anybody's.
        Ok(_) => {}
        Err(wrong) => {
            problems.0.extend(wrong);
            return;
        }
    }
    for (at, host) in config.hosts.iter().enumerate().filter(|(_, host)| host.sweep.is_some()) {
        let key = format!("hosts[{at}].sweep");
        match overlay::settings(&key, [fleet, host.sweep.as_ref()]) {
            // What the whole fleet has was told of above.
            Ok(settings) if says_deadline(host.sweep.as_ref()) || fleet.is_none() => {
                check_deadline(&key, config, &settings, problems);
            }
            Ok(_) => {}
            Err(wrong) => problems.0.extend(wrong),
        }
    }
}

fn says_deadline(overlay: Option<&overlay::Overlay>) -> bool {
    overlay.is_some_and(|overlay| overlay.contains_key("deadline"))
}

/// A sweep that is given up here while it goes on there leaves an attempt whose end nobody knows.
fn check_deadline(key: &str, config: &ResponderConfig, settings: &SweepSettings, problems: &mut Problems) {
    let attempt = config.ssh.attempt_deadline;
    problems.unless(
        attempt > settings.deadline,
        &format!("{key}.deadline"),
        &format!(
            "is {}, and must be shorter than ssh.attempt_deadline ({attempt}), better by a minute",
            settings.deadline
        ),
    );
}

const PORT: &str = "must be from 1 to 65535";

fn check_policies(policies: &[PolicyEntry], problems: &mut Problems) {
    let mut names = BTreeSet::new();
    for (at, PolicyEntry { alert, urgency: _ }) in policies.iter().enumerate() {
        let key = format!("policies[{at}].alert");
        problems.unless(!alert.is_empty(), &key, "must name an alert");
        problems.unless(names.insert(alert), &key, &format!("{alert} is there twice: keep one entry"));
    }
}

fn check_host(key: &str, host: &HostEntry, problems: &mut Problems) {
    let HostEntry { name: _, address, aliases, user, port, identity_file, jump, sweep: _ } = host;
    if let Err(wrong) = destination(address) {
        problems.add(format!("{key}.address"), wrong);
    }
    for (at, alias) in aliases.iter().enumerate() {
        problems.unless(!alias.is_empty(), &format!("{key}.aliases[{at}]"), "must not be empty");
    }
    if let Some(user) = user {
        check_user(&format!("{key}.user"), user, problems);
    }
    problems.unless(*port != Some(0), &format!("{key}.port"), PORT);
    if let Some(identity_file) = identity_file {
        problems.absolute(&format!("{key}.identity_file"), identity_file);
    }
    if let Some(jump) = jump {
        check_jump(&format!("{key}.jump"), jump, problems);
    }
}

/// What ssh takes for a host and not for an option, a user or a URL.
fn destination(address: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    let starts_well = address.starts_with(|c: char| c.is_ascii_alphanumeric() || c == ':');
    if starts_well && address.chars().all(fits) && address.len() <= 253 {
        Ok(())
    } else {
        Err(format!("{address:?} is no host: write a DNS name or an IP address, without user and port"))
    }
}

/// A DNS name, and neither an address (these always may) nor a pattern.
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().all(fits)
        && !name.ends_with('.')
        && name.len() <= 253
        && name.parse::<IpAddr>().is_err()
}

/// A name that useradd would take; it stands in an ssh command line.
fn check_user(key: &str, user: &str, problems: &mut Problems) {
    let starts_well = user.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let fits = user.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    problems.unless(
        starts_well && fits && user.len() <= 32,
        key,
        &format!(
            "{user:?} is no user name: use 1 to 32 letters, digits, '_', '-' or '.', not starting with '-' or '.'"
        ),
    );
}

/// `[user@]host[:port]`, hosts of IPv6 in brackets, as `ssh -J` takes it; one jump, no list.
fn check_jump(key: &str, jump: &str, problems: &mut Problems) {
    let (user, rest) = jump.rsplit_once('@').map_or((None, jump), |(user, rest)| (Some(user), rest));
    if let Some(user) = user {
        check_user(key, user, problems);
    }
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').or((!port.is_empty()).then_some("x"))),
        None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
    };
    let port_fits = port.is_none_or(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if destination(host).is_err() || !port_fits {
        problems.add(key, format!("{jump:?} is no jump host: write [user@]host[:port]"));
    }
}
