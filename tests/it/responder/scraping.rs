//! What Prometheus reads.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::harness::{Fleet, firing};

#[test]
fn promtool_takes_the_metrics_and_has_nothing_to_say() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("");
    responder.send(firing("ray-80"));
    responder.ended_attempt("ray-80");
    let (status, text) = responder.get("/metrics");
    assert_eq!(status, 200);

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of Debian's package prometheus");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let checked = promtool.wait_with_output().unwrap();
    let said = [checked.stdout, checked.stderr].map(|said| String::from_utf8(said).unwrap());
    assert_eq!((checked.status.code(), said), (Some(0), [String::new(), String::new()]), "{text}");
}

#[test]
fn the_metrics_say_in_which_format_they_are() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("");
    assert_eq!(responder.content_type("/metrics"), "text/plain; version=0.0.4; charset=utf-8");
}
