use std::collections::BTreeMap;

use jiff::Timestamp;

use super::*;
use crate::{
    domain::attempt::Mode,
    fleet::{
        deploy::{
            Trouble,
            examine::{HostKey, There},
        },
        doctor::{Side, links},
        order::{
            Change, How,
            health::{Cron, Exporter, Health, Holder, LastRun, Settings, TempRoot, Textfile},
        },
    },
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A host on which everything is as it should be.
fn healthy() -> Seen {
    let health = Health {
        now: at(1000),
        changes: Some(Ok(vec![])),
        version: Ok(env!("CARGO_PKG_VERSION").to_owned()),
        settings: Ok(Settings {
            mode: Mode::Enforce,
            deadline_secs: 600,
            socket: "/var/run/docker.sock".into(),
            hold_file: "/etc/raysweep/hold".into(),
        }),
        hold: None,
        cron: Cron {
            has_file: true,
            runs: true,
            last: Some(LastRun { outcome: "freed".to_owned(), finished_at: at(900) }),
            missed: Some(0),
        },
        lock: Ok(None),
        containers: Some(Ok(())),
        temp_roots: Ok(vec![TempRoot { worker: "w".to_owned(), path: "/tmp".to_owned(), trouble: None }]),
        sudo: Ok(()),
        textfile: Textfile {
            age_secs: Ok(20),
            is_linked: true,
            written_at: Some(at(980)),
            linked_at: Some(at(100)),
            metrics: vec!["raysweep_host_mode".to_owned()],
        },
        exporters: vec![exporter("/textfiles", Some(true))],
    };
    Seen {
        entry: serde_json::from_value(serde_json::json!({ "name": "ray-80", "address": "10.0.0.80" }))
            .unwrap(),
        textfile_dir: "/textfiles".into(),
        unknown: None,
        address: Some(Ok("10.0.0.80".to_owned())),
        examined: Examined {
            login: Ok(()),
            host_key: Some(HostKey::Known(fingerprint())),
            root: Some(Ok(())),
            program: Some(There::This),
            seen: Some(Ok(examine::Seen { health, asked_at: at(999), answered_at: at(1001) })),
        },
        login: Ok(()),
        broken_key: None,
    }
}

fn exporter(folder: &str, reads: Option<bool>) -> Exporter {
    Exporter { pid: 7, folders: vec![folder.into()], reads, has_own_mounts: false }
}

fn fingerprint() -> crate::fleet::deploy::Fingerprint {
    crate::fleet::deploy::Fingerprint("SHA256:x".to_owned())
}

fn inside(seen: &mut Seen) -> &mut Health {
    &mut seen.examined.seen.as_mut().unwrap().as_mut().unwrap().health
}

/// Whatever is not as on a host on which everything is as it should be.
fn not_ok(seen: &Seen) -> BTreeMap<&'static str, State> {
    let checks = judge(seen, None);
    for check in &checks {
        let needs_advice = matches!(check.state, State::Warn | State::Broken);
        assert!(!needs_advice || check.advice.is_some(), "{check:?}");
    }
    let is_ok = |check: &Check| check.state == State::Ok || matches!(check.check, "target" | "metrics");
    checks.into_iter().filter(|check| !is_ok(check)).map(|check| (check.check, check.state)).collect()
}

fn check(break_it: impl FnOnce(&mut Seen), expected: &[(&'static str, State)]) {
    let mut seen = healthy();
    break_it(&mut seen);
    let found: Vec<_> = not_ok(&seen).into_iter().collect();
    let mut expected = expected.to_vec();
    expected.sort_by_key(|(link, _)| *link);
    assert_eq!(found, expected);
}

fn advises(break_it: impl FnOnce(&mut Seen), link: &str, words: &str) {
    let mut seen = healthy();
    break_it(&mut seen);
    let advice = judge(&seen, None).into_iter().find(|check| check.check == link).unwrap().advice.unwrap();
    assert!(advice.contains(words), "{advice}");
}

fn change(what: &str) -> Change {
    Change { what: what.to_owned(), how: How::Changed, diff: "-a\n+b\n".to_owned() }
}

#[test]
fn every_link_of_a_host_is_told_of_once_in_the_chains_order() {
    let told: Vec<_> = judge(&healthy(), None).iter().map(|check| check.check).collect();
    let expected: Vec<_> = links(|side| side != Side::Control).collect();
    assert_eq!(told, expected);
    check(|_| {}, &[]);
}

#[test]
fn each_link_that_is_broken_is_one_row() {
    use State::{Broken, Warn};
    type Break = Box<dyn FnOnce(&mut Seen)>;
    let changed = |what: &'static str| -> Break {
        Box::new(move |seen| inside(seen).changes = Some(Ok(vec![change(what)])))
    };
    let cases: Vec<(Break, &str, State)> = vec![
        (changed("/etc/raysweep/sweep.yml"), "settings", Warn),
        (changed("/etc/sudoers.d/raysweep"), "sudoers", Warn),
        (changed("/etc/cron.d/raysweep"), "cron", Warn),
        (changed("/var/lib/raysweep-account/.ssh/authorized_keys"), "responder_login", Warn),
        (changed("/etc/logrotate.d/raysweep"), "files", Warn),
        (Box::new(|seen| inside(seen).hold = Some("disk swap".to_owned())), "hold", Warn),
        (Box::new(|seen| inside(seen).sudo = Err("no".to_owned())), "sudoers", Broken),
        (Box::new(|seen| inside(seen).settings.as_mut().unwrap().mode = Mode::Observe), "mode", Warn),
        (Box::new(|seen| seen.examined.program = Some(There::Nothing)), "program", Broken),
        (Box::new(|seen| seen.examined.program = Some(There::Another)), "program", Warn),
        (Box::new(|seen| inside(seen).cron.missed = Some(2)), "backstop", Broken),
        (Box::new(|seen| inside(seen).cron.missed = None), "backstop", Warn),
        (
            Box::new(|seen| inside(seen).cron.last.as_mut().unwrap().outcome = "failed".to_owned()),
            "backstop",
            Warn,
        ),
        (Box::new(|seen| inside(seen).textfile.age_secs = Ok(181)), "textfile", Broken),
        (Box::new(|seen| inside(seen).textfile.is_linked = false), "textfile", Broken),
        (
            Box::new(|seen| inside(seen).exporters = vec![exporter("/other", Some(false))]),
            "node_exporter",
            Broken,
        ),
        (Box::new(|seen| inside(seen).exporters.clear()), "node_exporter", Warn),
        (Box::new(|seen| inside(seen).now = at(1500)), "host_clock", Broken),
        (Box::new(|seen| inside(seen).now = at(990)), "host_clock", Warn),
    ];
    for (break_it, link, state) in cases {
        check(break_it, &[(link, state)]);
    }
}

/// Whatever keeps the responder from the gate is one row, and says the right thing to do.
#[test]
fn a_way_of_the_responders_that_is_broken_is_one_row() {
    use State::{Broken, Skipped};
    type Kind = fn(String) -> LoginError;
    let kinds: [(Kind, &str); 5] = [
        (LoginError::NotLetIn, "deploy.from"),
        (LoginError::NotLetThrough, "that `jump` names"),
        (LoginError::NoGate, "puts program and authorized_keys in place"),
        (LoginError::NoKey, "ssh.identity_file"),
        (LoginError::NoAnswer, "port and jump"),
    ];
    for (kind, advice) in kinds {
        let stopped = |seen: &mut Seen| seen.login = Err(kind("no".to_owned()));
        check(stopped, &[("responder_login", Broken)]);
        advises(stopped, "responder_login", advice);
    }
    // A key that is known to be broken is one row for all hosts, and what else is in the way is not its doing.
    let with_broken_key = |error: LoginError| {
        move |seen: &mut Seen| (seen.login, seen.broken_key) = (Err(error), Some("/etc/raysweep/key".into()))
    };
    let no = || "no".to_owned();
    for error in [LoginError::NoKey(no()), LoginError::NotLetIn(no())] {
        check(with_broken_key(error), &[("responder_login", Skipped)]);
    }
    check(with_broken_key(LoginError::NoGate(no())), &[("responder_login", Broken)]);
    let (unknown, changed) = (LoginError::KeyUnknown, LoginError::KeyChanged);
    let (not_pinned, another) = (HostKey::Unknown(fingerprint()), HostKey::Another(fingerprint()));
    let jump = || Some("gate".to_owned());
    for (error, shown, advice) in [
        (unknown(None), Some(not_pinned.clone()), "pins it"),
        (unknown(None), None, "pins it"),
        (unknown(None), Some(another.clone()), "take its line out"),
        (unknown(None), Some(HostKey::Known(fingerprint())), "the CA in known_hosts"),
        (changed(None), Some(another), "take its line out"),
        (changed(None), Some(not_pinned.clone()), "take its line out"),
        (unknown(jump()), Some(HostKey::Known(fingerprint())), "look at the fingerprint of gate"),
        (changed(jump()), Some(not_pinned), "if gate is a new one"),
    ] {
        let stopped = |seen: &mut Seen| {
            (seen.login, seen.examined.host_key) = (Err(error.clone()), shown.clone());
        };
        check(stopped, &[("host_key", Broken), ("responder_login", Skipped)]);
        advises(stopped, "host_key", advice);
    }
}

#[test]
fn a_lock_is_stuck_once_no_sweep_could_still_have_it() {
    let holder = |age_secs| {
        move |seen: &mut Seen| {
            inside(seen).lock = Ok(Some(Holder { pid: 7, name: "raysweep".to_owned(), age_secs }));
        }
    };
    check(holder(630), &[]);
    check(holder(631), &[("lock", State::Broken)]);
}

#[test]
fn what_hangs_on_a_broken_link_raises_no_alarm() {
    use State::{Broken, NotAsked, Skipped};
    check(
        |seen| {
            inside(seen).cron = Cron { has_file: false, runs: true, last: None, missed: Some(9) };
            inside(seen).textfile.age_secs = Err("none".to_owned());
        },
        &[("cron", Broken), ("backstop", Skipped), ("textfile", Skipped)],
    );
    check(
        |seen| {
            inside(seen).containers = Some(Err("refused".to_owned()));
            inside(seen).temp_roots = Err("refused".to_owned());
        },
        &[("containers", Broken), ("temp_roots", Skipped)],
    );
    check(
        |seen| {
            inside(seen).settings = Err("line 1".to_owned());
            inside(seen).textfile.age_secs = Ok(1000);
        },
        &[("settings", Broken), ("mode", Skipped), ("textfile", Skipped)],
    );
    check(
        |seen| {
            inside(seen).changes = None;
            seen.unknown = Some("deploy.from".to_owned());
        },
        &[("files", NotAsked)],
    );
}

#[test]
fn a_host_that_is_not_there_is_one_alarm() {
    let mut seen = healthy();
    seen.examined = Examined {
        login: Err(Trouble::Unreachable("no route".to_owned())),
        host_key: None,
        root: None,
        program: None,
        seen: None,
    };
    seen.login = Err(LoginError::NoAnswer("no route".to_owned()));
    let found = not_ok(&seen);
    let broken: Vec<_> = found.iter().filter(|(_, state)| **state != State::Skipped).collect();
    assert_eq!(broken, [(&"ssh", &State::Broken)]);
    seen.address = Some(Err("no such name".to_owned()));
    let found = not_ok(&seen);
    let broken: Vec<_> = found.iter().filter(|(_, state)| **state != State::Skipped).collect();
    assert_eq!(broken, [(&"address", &State::Broken)]);
}

/// A Prometheus that scrapes node_exporter and, in another job, something of the user's own, and has these
/// metrics of the host, of figures that had been written then.
fn prometheus(node: &str, others: &str, metrics: &[&str], written_at: Option<i64>) -> Prometheus {
    use serde_json::json;
    let target = |job: &str, health: &str| json!({ "labels": { "job": job, "instance": format!("{job}:1"), "host": "ray-80" }, "health": health, "lastError": "refused" });
    let has: Vec<_> =
        metrics.iter().map(|name| json!({ "metric": { "__name__": name, "host": "ray-80" } })).collect();
    let written: Vec<_> = written_at
        .iter()
        .map(|at| json!({ "metric": { "host": "ray-80" }, "value": [0, at.to_string()] }))
        .collect();
    Prometheus::that_answered(
        &json!({ "data": { "activeTargets": [target("cadvisor", others), target("node", node)] } }),
        &json!({ "data": { "result": has } }),
        &json!({ "data": { "result": written } }),
    )
}

/// What the rules need of node_exporter, and what stands in the figures of a host on which all is well.
const ALL: [&str; 5] = [
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    "node_textfile_mtime_seconds",
    "raysweep_measure_timestamp_seconds",
    "raysweep_host_mode",
];

/// How it stands with node_exporter, the target and the metrics.
fn watched(seen: &Seen, prometheus: &Prometheus) -> [State; 3] {
    let checks = judge(seen, Some(prometheus));
    ["node_exporter", "target", "metrics"]
        .map(|link| checks.iter().find(|check| check.check == link).unwrap().state)
}

#[test]
fn what_else_is_scraped_of_a_host_is_not_of_the_chain() {
    use State::{Broken, Ok, Skipped, Warn};
    let seen = healthy();
    assert_eq!(watched(&seen, &prometheus("up", "up", &ALL, Some(980))), [Ok, Ok, Ok]);
    assert_eq!(watched(&seen, &prometheus("up", "down", &ALL, Some(980))), [Ok, Ok, Ok]);
    assert_eq!(watched(&seen, &prometheus("down", "up", &ALL, Some(980))), [Ok, Broken, Skipped]);
    assert_eq!(watched(&seen, &prometheus("unknown", "up", &ALL, Some(980))), [Ok, Warn, Skipped]);
}

#[test]
fn figures_that_are_younger_than_the_last_scrape_are_waited_for_and_others_are_missed() {
    use State::{Broken, Ok, Warn};
    let mut seen = healthy();
    inside(&mut seen).textfile.metrics.push("raysweep_last_sweep_timestamp_seconds".to_owned());
    let metrics = |seen: &Seen, has: &[&str], at| watched(seen, &prometheus("up", "up", has, at))[2];
    assert_eq!(metrics(&seen, &ALL, Some(920)), Warn, "the first sweep has ended after the last scrape");
    assert_eq!(metrics(&seen, &ALL, Some(980)), Broken, "they are what was scraped");
    assert_eq!(metrics(&seen, &ALL, Some(100)), Broken, "nothing is scraped of what is written anew");
    assert_eq!(metrics(&seen, &ALL[1..], Some(920)), Broken, "a collector is off, whatever was written when");
    let none: &[&str] = &ALL[..2];
    assert_eq!(metrics(&seen, none, None), Broken, "they have been in the folder for long");
    inside(&mut seen).textfile.linked_at = Some(at(970));
    assert_eq!(metrics(&seen, none, None), Warn, "they have only just been put there");
    let mut all = ALL.to_vec();
    all.push("raysweep_last_sweep_timestamp_seconds");
    assert_eq!(metrics(&seen, &all, Some(920)), Ok);
}

#[test]
fn an_exporter_is_judged_by_what_it_reads_and_by_what_prometheus_has() {
    use State::{Broken, Ok, Skipped};
    let mut seen = healthy();
    let with = |seen: &mut Seen, exporters: Vec<Exporter>, has: &[&str]| {
        inside(seen).exporters = exporters;
        watched(seen, &prometheus("up", "up", has, Some(980)))
    };
    let elsewhere = || exporter("/textfiles", Some(false));
    let none = &ALL[..2];
    assert_eq!(with(&mut seen, vec![elsewhere()], none), [Broken, Ok, Skipped]);
    assert_eq!(with(&mut seen, vec![elsewhere()], &ALL), [Ok, Ok, Ok], "whatever its arguments say");
    assert_eq!(with(&mut seen, vec![elsewhere(), exporter("/b", Some(true))], none), [Ok, Ok, Broken]);
    assert_eq!(with(&mut seen, vec![exporter("/*", None)], none), [Ok, Ok, Broken], "that cannot be told");
    let own = Exporter { has_own_mounts: true, ..elsewhere() };
    inside(&mut seen).exporters = vec![own];
    let checks = judge(&seen, None);
    let check = checks.iter().find(|check| check.check == "node_exporter").unwrap();
    let advice = check.advice.as_deref().unwrap();
    assert!(
        advice.starts_with(
            "mount the host's /textfiles there, or name in deploy.textfile_dir the host's folder"
        )
    );
}
