//! Start, stop, and being killed.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Stdio},
};

use super::{
    harness::{Behaviour, Fleet, LOOPBACK, Responder, firing, processes_with, serve_command, wait_for},
    stand_in::StandIns,
};

#[test]
fn a_responder_killed_in_mid_attempt_records_an_unknown_end_and_does_not_run_it_again() {
    let fleet = Fleet::that_waits(["ray-80"]);
    let settings = "timing: { period: 1h, critical_period: 1h }";
    let responder = fleet.serve_in_mid_attempt(settings);
    let ssh = fleet.path("data/ssh").display().to_string();
    assert_eq!(processes_with(&ssh).len(), 1);
    responder.kill_9();

    let responder = fleet.serve(settings);
    let attempt = responder.ended_attempt("ray-80");
    assert_eq!((&attempt["outcome"], &attempt["reason"]), (&"unknown".into(), &"interrupted".into()));
    assert_eq!(responder.attempts("ray-80").len(), 1);
    let incident = responder.incident("ray-80");
    assert_eq!((&incident["state"], &incident["last_outcome"]), (&"waiting".into(), &"unknown".into()));
    // The same alert again, as Alertmanager would send it, is no reason for a second run either.
    responder.send(firing("ray-80"));
    assert_eq!(responder.attempts("ray-80").len(), 1);
    assert_eq!(fleet.host("ray-80").requests().len(), 1);
    // The ssh process that the killed responder left is gone, and so is its folder.
    wait_for("the end of the left-over ssh", || processes_with(&ssh).is_empty().then_some(()));
    assert_eq!(std::fs::read_dir(&ssh).unwrap().count(), 0);
}

#[test]
fn what_was_accepted_before_a_kill_is_done_after_it() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("limits: { attempts_at_once: 1 }");
    responder.send(firing("ray-80"));
    responder.kill_9();
    let responder = fleet.serve("timing: { recheck: 100ms, period: 100ms, critical_period: 100ms }");
    wait_for("the host to be freed", || {
        (responder.incident("ray-80")["last_outcome"] == "freed").then_some(())
    });
}

#[test]
fn a_graceful_stop_lets_an_attempt_end_and_records_it() {
    let fleet = Fleet::that_waits(["ray-80"]);
    let mut responder = fleet.serve_in_mid_attempt("");
    responder.signal("-TERM");
    wait_for("the stop to begin", || responder.log().contains("stopping").then_some(()));
    fleet.host("ray-80").open_gate();
    assert_eq!(responder.exit_code(), Some(0));
    let responder = fleet.serve("");
    assert_eq!(responder.ended_attempt("ray-80")["outcome"], "freed");
}

#[test]
fn an_attempt_that_outlasts_the_grace_period_is_given_up_and_recorded_as_unknown() {
    let fleet = Fleet::that_waits(["ray-80"]);
    let mut responder = fleet.serve_in_mid_attempt("timing: { stop_grace: 300ms }");
    responder.signal("-INT");
    assert_eq!(responder.exit_code(), Some(0));
    assert_eq!(processes_with(&fleet.path("data/ssh").display().to_string()), [""; 0]);
    let responder = fleet.serve("");
    let attempt = responder.ended_attempt("ray-80");
    assert_eq!((&attempt["outcome"], &attempt["reason"]), (&"unknown".into(), &"stopped".into()));
}

/// A process that ends with the test at the latest.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn whoever_asks_it_to_stop_before_it_serves_is_heard() {
    let fleet = Fleet::of_one();
    fleet.configure("");
    // Whoever opens it waits for one that writes.
    std::fs::rename(fleet.path("id"), fleet.path("elsewhere")).unwrap();
    assert!(Command::new("mkfifo").arg(fleet.path("id")).status().unwrap().success());
    let data = fleet.path("data");
    let started = serve_command(&fleet.path("raysweep.yml"), &data, LOOPBACK)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(fleet.path("responder.log")).unwrap())
        .spawn();
    let mut process = Ending(started.unwrap());
    wait_for("the start", || data.join("journal.db").exists().then_some(()));
    let pid = process.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended = wait_for("its end", || process.0.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
    let log = std::fs::read_to_string(fleet.path("responder.log")).unwrap();
    assert!(log.contains("asked to stop before it served"), "{log}");
}

#[test]
fn it_is_healthy_and_ready_and_a_second_one_on_the_same_journal_is_refused() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("");
    assert_eq!(responder.get("/-/healthy").0, 200);
    assert_eq!(responder.get("/-/ready").0, 200);
    let log = fleet.try_serve("", LOOPBACK).err().expect("two responders on one journal");
    assert!(log.contains("in use by another process"), "{log}");
}

#[test]
fn an_address_that_is_not_loopback_is_refused_without_a_token() {
    let fleet = Fleet::of_one();
    let log = fleet.try_serve("", "0.0.0.0:0").err().expect("open to all");
    assert!(log.contains("bearer_token_file"), "{log}");
}

#[test]
fn a_host_that_left_the_inventory_has_no_open_incident_and_no_attempt() {
    let mut fleet = Fleet::new();
    fleet.add("ray-80", &Behaviour::Reports { outcome: "held", mode: "enforce" });
    let responder = fleet.serve("");
    responder.send(firing("ray-80"));
    responder.ended_attempt("ray-80");
    responder.stop();
    let fleet = fleet.without_hosts();
    let responder = fleet.serve("");
    assert_eq!(responder.incident("ray-80")["close_reason"], "removed");
}

#[test]
fn a_key_that_is_not_there_is_named_at_the_start() {
    let fleet = Fleet::of_one();
    std::fs::rename(fleet.path("id"), fleet.path("elsewhere")).unwrap();
    let responder = fleet.serve("");
    let log = responder.log();
    let path = fleet.path("id").display().to_string();
    let told = log.lines().find(|line| line.contains("key=\"identity_file\""));
    assert!(told.is_some_and(|line| line.contains(&path) && line.contains("WARN")), "{log}");
    assert!(!log.contains("known_hosts_file"), "{log}");
}

#[test]
fn a_journal_is_the_accounts_own_whatever_the_umask_and_one_that_is_not_is_told_of() {
    let fleet = StandIns::new(["a"]);
    let serve = fleet.command("");
    let mut command = Command::new("sh");
    command.args(["-c", r#"umask 0; exec "$0" "$@""#]).arg(serve.get_program()).args(serve.get_args());
    command.envs(serve.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let responder = Responder::launch(command, fleet.path("responder.log")).unwrap();
    assert_eq!(responder.send(firing("a")), 200);
    let data = fleet.path("data");
    let mode = |name: &str| fs::metadata(data.join(name)).unwrap().permissions().mode() & 0o777;
    for (name, expected) in [
        ("", 0o700),
        ("ssh", 0o700),
        ("lock", 0o600),
        ("journal.db", 0o600),
        ("journal.db-wal", 0o600),
        ("journal.db-shm", 0o600),
    ] {
        assert_eq!(mode(name), expected, "{name}: {:o}", mode(name));
    }
    let told = "others may look into the journal";
    assert!(!responder.log().contains(told), "{}", responder.log());
    responder.stop();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let responder = fleet.serve("");
    let (log, path) = (responder.log(), data.display().to_string());
    let lines: Vec<_> = log.lines().filter(|line| line.contains(told)).collect();
    assert!(lines.len() == 1 && lines[0].contains(&path) && lines[0].contains("755"), "{log}");
    assert_eq!(mode(""), 0o755);
}
