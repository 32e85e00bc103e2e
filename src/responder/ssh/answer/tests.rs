use std::{future::pending, io, os::unix::process::ExitStatusExt};

use serde_json::json;
use tokio::{
    io::{DuplexStream, duplex, empty, repeat},
    time::Instant,
};

use super::*;
use crate::domain::attempt::Outcome;

/// No output is longer in these tests.
const MOST: u64 = 64 * 1024;
/// An attempt that is still waiting after this long would wait for ever.
const DEADLINE: Duration = Duration::from_mins(11);
const SAID: &[u8] = b"a first line\nsudo: a password is required\n";

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Exit(i32),
    Signal,
    ConnectionLost,
    Never,
}

const ENDS: [End; 11] = [
    End::Exit(0),
    End::Exit(1),
    End::Exit(2),
    End::Exit(4),
    End::Exit(6),
    End::Exit(126),
    End::Exit(127),
    End::Exit(255),
    End::Signal,
    End::ConnectionLost,
    End::Never,
];

impl End {
    /// As the crate tells it.
    async fn told(self) -> Result<ExitStatus, openssh::Error> {
        match self {
            Self::Exit(127) => Err(openssh::Error::Remote(io::ErrorKind::NotFound.into())),
            Self::Exit(code) => Ok(ExitStatus::from_raw(code << 8)),
            Self::Signal => Err(openssh::Error::RemoteProcessTerminated),
            Self::ConnectionLost => Err(openssh::Error::Disconnected),
            Self::Never => pending().await,
        }
    }
}

fn attempt() -> AttemptId {
    "018cc251-f400-7000-8000-000000000001".parse().unwrap()
}

/// A report with something in each of its parts.
fn line(outcome: &str) -> Vec<u8> {
    let report = json!({
        "schema": 1, "attempt": attempt(), "host": "ray-80", "version": "0.1.0", "trigger": "alert",
        "mode": "enforce", "dry_run": false, "started_at": "2026-01-05T10:00:00Z",
        "finished_at": "2026-01-05T10:00:09.25Z", "outcome": outcome, "freed_bytes": 4096,
        "reason": "a \"reason\"\nof two lines",
        "disks": [{ "mount": "8:1", "size_bytes": 9000, "avail_before_bytes": 1, "avail_after_bytes": 4097 }],
        "workers": [{
            "name": "räy-worker-1", "runtime": "docker", "state": "no_job", "verdict": "cleaned",
            "note": "}", "tmp_before_bytes": 8192, "tmp_after_bytes": 4096, "freed_bytes": 4096,
            "evidence": [{ "kind": "no_job", "detail": "Ray says so" }],
            "removed": [{ "class": "tmp", "path": "/tmp/tmp{}", "bytes": 4096, "files": 1 }],
            "kept": [{ "class": "pip", "path": "/tmp/pip-1", "bytes": 1, "why": "in_use", "detail": "fd 3", "pid": 7 }],
            "errors": ["one"], "cut": 3,
        }],
        "prune": { "mode": "safe", "freed_bytes": 0, "removed": 0 },
    });
    format!("{report}\n").into_bytes()
}

/// What an attempt comes to over streams that end, as `outcome reason`.
async fn comes_to(output: &[u8], end: End) -> String {
    let heard = report(Some(output), Some(SAID), end.told(), attempt(), MOST).await;
    match heard {
        Ok(report) => report.outcome.as_str().to_owned(),
        Err(error) => format!("{} {}", error.outcome().as_str(), error.reason()),
    }
}

/// A stream that begins so and stays open as long as the other one lives.
fn held_open(begins: &[u8]) -> (DuplexStream, impl AsyncRead + Unpin) {
    let (ours, theirs) = duplex(1);
    (ours, begins.chain(theirs))
}

#[tokio::test(start_paused = true)]
async fn a_report_that_is_cut_anywhere_is_an_unknown_end_however_the_command_ends() {
    let line = line("freed");
    for before in [&b""[..], b"Last login: today\n"] {
        for end in 1..line.len() {
            let output = [before, &line[..end]].concat();
            for how in ENDS {
                let found = comes_to(&output, how).await;
                assert!(found.starts_with("unknown "), "cut at {end}, {how:?}: {found}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_report_tells_how_an_attempt_ended_and_only_without_one_the_exit_code_does() {
    for how in ENDS {
        for outcome in Outcome::ALL {
            assert_eq!(comes_to(&line(outcome.as_str()), how).await, outcome.as_str(), "{how:?}");
        }
        let (none, cut) = match how {
            End::Exit(126 | 127) => ("refused no_binary", "unknown no_report"),
            End::Exit(6) => ("refused request_refused", "unknown no_report"),
            End::Exit(_) | End::Never => ("unknown no_report", "unknown no_report"),
            // To ssh they look alike.
            End::Signal | End::ConnectionLost => ("unknown connection_lost", "unknown connection_lost"),
        };
        assert_eq!(comes_to(b"", how).await, none, "{how:?}");
        assert_eq!(comes_to(&line("freed")[..300], how).await, cut, "{how:?}");
        assert_eq!(comes_to(b"\n", how).await, cut, "{how:?}");
        for odd in ["sh: 1: raysweep: not found\n", "{}\n", "[]\n", "null\n", "\0\n"] {
            assert_eq!(comes_to(odd.as_bytes(), how).await, "unknown bad_report", "{odd} {how:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stays_open_is_waited_for_unless_a_whole_report_is_there() {
    let line = line("freed");
    for end in 0..=line.len() {
        let began = Instant::now();
        let (_open, stdout) = held_open(&line[..end]);
        let (_also, stderr) = duplex(1);
        let heard = report(Some(stdout), Some(stderr), End::Never.told(), attempt(), MOST);
        match timeout(DEADLINE, heard).await {
            Ok(heard) => {
                assert_eq!((heard.unwrap().outcome, end), (Outcome::Freed, line.len()));
                assert!(began.elapsed() <= END_TIMEOUT * 2, "{:?}", began.elapsed());
            }
            Err(_) => assert!(end < line.len(), "a whole report was not taken"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_closes_its_output_and_goes_on_is_left_to_itself() {
    let (_open, stderr) = duplex(1);
    let began = Instant::now();
    let heard = report(Some(empty()), Some(stderr), End::Never.told(), attempt(), MOST).await;
    assert_eq!(heard.unwrap_err().reason(), "no_report");
    assert!(began.elapsed() <= END_TIMEOUT * 3, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_flood_on_either_stream_ends_the_attempt_and_takes_no_report_away() {
    let flood = || Some(repeat(b'x'));
    let too_long = report(flood(), Some(empty()), End::Never.told(), attempt(), MOST).await.unwrap_err();
    assert_eq!((too_long.reason(), too_long.outcome()), ("output_too_long", Outcome::Unknown));
    let (_open, stdout) = held_open(b"");
    let too_long = report(Some(stdout), flood(), End::Never.told(), attempt(), MOST).await.unwrap_err();
    assert_eq!((too_long.reason(), too_long.outcome()), ("output_too_long", Outcome::Unknown));
    let line = line("freed");
    let (_open, stdout) = held_open(&line);
    let heard = report(Some(stdout), flood(), End::Never.told(), attempt(), MOST).await;
    assert_eq!(heard.unwrap().outcome, Outcome::Freed);
    let lines = Some(repeat(b'\n'));
    let too_long = report(lines, Some(empty()), End::Never.told(), attempt(), MOST).await.unwrap_err();
    assert_eq!(too_long.reason(), "output_too_long");
}

#[tokio::test(start_paused = true)]
async fn as_much_as_is_allowed_is_read_and_no_byte_more() {
    let line = line("freed");
    let most = u64::try_from(line.len()).unwrap();
    for (most, whole) in [(most, true), (most - 1, false)] {
        let heard = report(Some(&line[..]), Some(SAID), End::Exit(0).told(), attempt(), most).await;
        assert_eq!(heard.is_ok(), whole, "{most}");
    }
}

/// To grow may take what there was and what there will be at once: both together are held to the bound.
#[test]
fn room_is_made_for_all_that_is_read_and_never_for_twice_as_much() {
    for most in [1_u64, 4096, 70_000, 8 << 20] {
        let all = usize::try_from(most).unwrap() + 1;
        let mut output = Vec::new();
        while output.len() < all {
            let before = output.capacity();
            make_room(&mut output, most);
            let room = output.capacity();
            assert!(room > output.len() && room <= all, "{room} of {all}");
            assert!(room == before || before + room <= all + all / 4, "{before} and {room} of {all}");
            output.resize(room, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_host_said_stands_in_the_reason() {
    let heard = report(Some(empty()), Some(SAID), End::Exit(1).told(), attempt(), MOST).await;
    assert_eq!(
        heard.unwrap_err().to_string(),
        "the command ended with exit code 1 and no whole report: sudo: a password is required"
    );
}
