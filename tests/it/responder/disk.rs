//! A disk that is full, and one that does not keep what it is given.

use std::{collections::BTreeSet, fs, process::Command};

use super::{
    harness::{LARGE, Responder, alert, firing, payload, wait_for},
    stand_in::StandIns,
};

const PATIENT: &str = "timing: { period: 1h, critical_period: 1h }";

/// Sends an alert with a number of its own; the status.
fn send(responder: &Responder, number: u64) -> u16 {
    responder.send(numbered(number))
}

fn numbered(number: u64) -> String {
    payload(&[alert(LARGE, "firing", &[("host", "h-0"), ("n", &number.to_string())])])
}

#[test]
fn a_disk_that_is_full_at_any_write_is_503_and_never_200_and_ready_again_once_there_is_room() {
    let fleet = StandIns::new(["h-0"]);
    let responder = fleet.serve(PATIENT);
    let (mut number, mut acknowledged, mut refused) = (0, BTreeSet::new(), 0);
    for room in 0..100 {
        fleet.room_for(Some(room));
        loop {
            number += 1;
            let status = send(&responder, number);
            assert!([200, 503].contains(&status), "{status} with room for {room} more writes");
            if status == 200 {
                acknowledged.insert(number);
            } else if responder.get("/-/ready").0 == 503 {
                // Refused for the disk, and not because a loaded machine had no time for us.
                break;
            }
        }
        refused += 1;
        let (status, text) = responder.get("/-/ready");
        assert!(status == 503 && text.contains("journal"), "{status} {text}");
        assert_eq!(responder.get("/-/healthy").0, 200);
        fleet.room_for(None);
        wait_for("ready again", || (responder.get("/-/ready").0 == 200).then_some(()));
        number += 1;
        assert_eq!(send(&responder, number), 200, "after the disk had no room at write {room}");
        acknowledged.insert(number);
    }
    // What was refused and what was acknowledged: a refused one may not be there, the others have to.
    responder.kill_9();
    let responder = fleet.serve(PATIENT);
    responder.stop();
    let stored = fleet.stored();
    let lost: Vec<_> = acknowledged.iter().filter(|number| !stored.contains_key(number)).collect();
    assert_eq!(lost, [&0; 0], "acknowledged and lost");
    assert!(stored.values().all(|times| *times == 1));
    println!(
        "figure: a disk full at the Nth write, N = 1..100: {refused} × 503, {} × 200, 0 lost",
        acknowledged.len()
    );
}

#[test]
fn a_disk_that_cannot_be_flushed_is_503_and_the_end_of_the_process_with_its_own_code() {
    let fleet = StandIns::new(["h-0"]);
    let mut responder = fleet.serve(PATIENT);
    for number in 0..20 {
        assert_eq!(send(&responder, number), 200);
    }
    fleet.flushes(false);
    assert_eq!(send(&responder, 20), 503);
    assert_eq!(responder.exit_code(), Some(9), "{}", responder.log());
    assert!(responder.log().contains("could not be flushed"), "{}", responder.log());

    fleet.flushes(true);
    let responder = fleet.serve(PATIENT);
    assert_eq!(send(&responder, 21), 200);
    assert_eq!(responder.get("/-/ready").0, 200);
    responder.stop();
    assert!((0..20).chain([21]).all(|number| fleet.stored().contains_key(&number)));
}

#[test]
fn a_file_that_cannot_be_flushed_while_the_log_is_brought_to_it_is_the_end_of_the_process_too() {
    let fleet = StandIns::new(["h-0"]);
    let mut responder = fleet.serve(PATIENT);
    fleet.only_the_log_flushes();
    // As many as the log keeps are taken in: they are safe in it.
    let (mut number, mut acknowledged) = (0, BTreeSet::new());
    while number < 5000 && responder.process.try_wait().unwrap().is_none() {
        number += 1;
        if responder.try_send(numbered(number)) == Some(200) {
            acknowledged.insert(number);
        }
    }
    assert_eq!(responder.exit_code(), Some(9), "{}", responder.log());
    assert!(responder.log().contains("could not be flushed"), "{}", responder.log());

    fleet.flushes(true);
    fleet.serve(PATIENT).stop();
    let stored = fleet.stored();
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    assert!(acknowledged.iter().all(|number| stored.contains_key(number)));
}

#[test]
fn a_flush_that_fails_after_its_request_was_given_up_is_the_end_of_the_process_too() {
    let fleet = StandIns::new(["h-0"]);
    let mut responder = fleet.serve(&format!("{PATIENT}\nlimits: {{ request_timeout: 2s }}"));
    assert_eq!(send(&responder, 0), 200);
    // The dispatcher writes for itself as well: here only the request's own flush is to fail.
    responder.ended_attempt("h-0");
    fleet.flushes_fail_after(4000);
    assert_eq!(send(&responder, 1), 503);
    assert_eq!(responder.exit_code(), Some(9), "{}", responder.log());
    assert!(responder.log().contains("request given up"), "{}", responder.log());
    assert!(responder.log().contains("could not be flushed"), "{}", responder.log());
}

#[test]
fn a_file_system_that_is_really_full_is_no_other() {
    let fleet = StandIns::new(["h-0"]);
    let mut command = fleet.command(PATIENT);
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    // In a mount namespace of its own; as root of the machine, or of a user namespace of its own.
    let data = fleet.path("data");
    fs::create_dir(&data).unwrap();
    let script = format!("mount -t tmpfs -o size=2m none {data} && exec \"$@\"", data = data.display());
    let mut within = Command::new("unshare");
    within.args(["--mount", "--map-root-user", "--propagation", "private", "sh", "-c", &script, "sh"]);
    within.arg(command.get_program()).args(arguments);
    for (name, value) in command.get_envs() {
        // The disk is the only trouble here.
        if let Some(value) = value.filter(|_| name != "LD_PRELOAD") {
            within.env(name, value);
        }
    }
    command = within;
    let responder =
        Responder::launch(command, fleet.path("responder.log")).unwrap_or_else(|log| panic!("{log}"));
    let seen = format!("/proc/{}/root{}", responder.process.id(), data.display());
    assert_eq!(send(&responder, 1), 200);
    // Only what is sent is written from here on: a write that fails halfway leaves room for a smaller one.
    responder.ended_attempt("h-0");
    let filler = format!("{seen}/filler");
    let full = || {
        use std::io::Write as _;
        let mut file = fs::File::options().create(true).append(true).open(&filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    };
    full();
    let mut number = 1;
    let status = loop {
        number += 1;
        let status = send(&responder, number);
        if status != 200 {
            break status;
        }
        full();
    };
    assert_eq!(status, 503);
    assert_eq!(responder.get("/-/ready").0, 503);
    fs::File::options().write(true).truncate(true).open(&filler).unwrap();
    wait_for("ready again", || (responder.get("/-/ready").0 == 200).then_some(()));
    assert_eq!(responder.send(firing("h-0")), 200);
}

#[test]
fn a_damaged_journal_is_refused_at_the_start_with_its_own_code() {
    let fleet = StandIns::new(["h-0"]);
    fleet.serve(PATIENT).stop();
    let journal = fleet.path("data/journal.db");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[4096..].fill(0x5a);
    fs::write(&journal, bytes).unwrap();
    let ended = fleet.command(PATIENT).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(9), "{said}");
    assert!(said.contains("damaged"), "{said}");
}
