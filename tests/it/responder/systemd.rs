//! What systemd is told, over a socket of our own.

use std::{
    io::ErrorKind,
    os::unix::net::UnixDatagram,
    time::{Duration, Instant},
};

use super::harness::{Fleet, Launch, PATIENCE, firing, wait_for};

/// systemd's end of the socket.
struct Notified(UnixDatagram);

impl Notified {
    fn at(fleet: &Fleet) -> Self {
        let socket = UnixDatagram::bind(fleet.path("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn launch(fleet: &Fleet) -> Launch {
        let variables = vec![("NOTIFY_SOCKET", fleet.path("notify").display().to_string())];
        Launch { flags: vec![], variables }
    }

    fn next(&self) -> Vec<String> {
        let mut message = [0; 4096];
        let length = loop {
            match self.0.recv(&mut message) {
                // Whoever stops this process for a while and lets it go on interrupts it.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received.expect("systemd is told something"),
            }
        };
        String::from_utf8(message[..length].to_vec()).unwrap().lines().map(str::to_owned).collect()
    }
}

fn starts(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split_once('=').unwrap().0).collect()
}

#[test]
fn it_is_told_of_the_start_of_reloads_good_and_bad_and_of_the_stop() {
    let fleet = Fleet::of_one();
    let systemd = Notified::at(&fleet);
    let mut responder = fleet.serve_as("", &Notified::launch(&fleet));
    assert_eq!(systemd.next(), ["READY=1", "STATUS=serving 1 hosts"]);

    for (settings, said) in [("", "is used: 1 hosts"), ("webb: 1", "the old one is used: ")] {
        fleet.configure(settings);
        responder.signal("-HUP");
        let reloading = systemd.next();
        assert_eq!(
            (reloading[0].as_str(), starts(&reloading)),
            ("RELOADING=1", vec!["RELOADING", "MONOTONIC_USEC"])
        );
        let at: u128 = reloading[1].split_once('=').unwrap().1.parse().unwrap();
        assert!(at > 0);
        let reloaded = systemd.next();
        assert_eq!((reloaded[0].as_str(), starts(&reloaded)), ("READY=1", vec!["READY", "STATUS"]));
        assert!(reloaded[1].contains(said), "{reloaded:?}");
    }
    responder.signal("-TERM");
    let stopping = systemd.next();
    assert_eq!(stopping[0], "STOPPING=1");
    assert_eq!(starts(&stopping), ["STOPPING", "STATUS", "EXTEND_TIMEOUT_USEC"]);
    assert_eq!(responder.exit_code(), Some(0));
}

#[test]
fn the_watchdog_hears_of_it_as_often_as_the_unit_asks_and_else_not() {
    let fleet = Fleet::of_one();
    let systemd = Notified::at(&fleet);
    let mut launch = Notified::launch(&fleet);
    launch.variables.push(("WATCHDOG_USEC", "400000".to_owned()));
    let responder = fleet.serve_as("", &launch);
    let began = Instant::now();
    let beats = (0..10).filter(|_| systemd.next() == ["WATCHDOG=1"]).count();
    // One of them may be READY=1; more often than twice in its time it need not hear of it.
    assert!(
        beats >= 9 && began.elapsed() > Duration::from_millis(200 * 7),
        "{beats} in {:?}",
        began.elapsed()
    );
    responder.stop();
}

#[test]
fn while_it_stops_it_says_that_it_is_not_ready_and_still_takes_notifications_in() {
    let fleet = Fleet::that_waits(["ray-80"]);
    let mut responder = fleet.serve_in_mid_attempt("");
    responder.signal("-TERM");
    let said = wait_for("the stop", || Some(responder.get("/-/ready")).filter(|(status, _)| *status == 503));
    assert_eq!(said.1, "raysweep is not ready: stopping\n");
    assert_eq!(responder.get("/-/healthy").0, 200);
    assert_eq!(responder.send(firing("ray-80")), 200);
    assert_eq!(responder.post("/-/reload", b"", None).0, 503);
    fleet.host("ray-80").open_gate();
    assert_eq!(responder.exit_code(), Some(0));
    let responder = fleet.serve("");
    assert_eq!(responder.ended_attempt("ray-80")["outcome"], "freed");
}
