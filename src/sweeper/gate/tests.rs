use std::os::unix::{ffi::OsStrExt, process::ExitStatusExt};

use expect_test::expect;

use super::*;
use crate::domain::attempt::{AttemptId, Trigger};

fn request() -> SweepRequest {
    SweepRequest::new(AttemptId::now(), Trigger::Alert, true)
}

/// What a caller who has the key, and nothing else, might try.
const HOSTILE: [&[u8]; 78] = [
    b" sweep",
    b"sweep ",
    b"\tsweep",
    b"sweep\n",
    b"\nsweep",
    b"sweep\r",
    b"sweep\r\n",
    b"sweep\0",
    b"\0sweep",
    b"sweep\0id",
    b"sweep\x0b",
    b"sweep\x1b[2J",
    b"sweep\x7f",
    b"Sweep",
    b"SWEEP",
    b"sweeps",
    b"swee",
    b"s",
    b"-",
    b"--",
    b"sweep --dry-run",
    b"sweep --request -",
    b"sweep --config.file /tmp/evil.yml",
    b"sweep --worker x",
    b"sweep --help",
    b"--help",
    b"--version",
    b"sweep sweep",
    b"sweep;id",
    b"sweep; id",
    b";sweep",
    b"sweep;",
    b"sweep&",
    b"sweep & id",
    b"sweep && id",
    b"sweep || id",
    b"sweep | sh",
    b"sweep|sh",
    b"sweep > /etc/passwd",
    b"sweep >> /etc/raysweep/sweep.yml",
    b"sweep < /etc/shadow",
    b"sweep 2>&1",
    b"sweep\nid",
    b"sweep\\\nid",
    b"sweep $(id)",
    b"sweep`id`",
    b"$(sweep)",
    b"`sweep`",
    b"${IFS}sweep",
    b"sweep$IFS",
    b"sweep ${HOME}",
    b"'sweep'",
    b"\"sweep\"",
    b"s'w'eep",
    b"s\\weep",
    b"sw?ep",
    b"sw*",
    b"{sweep,id}",
    b"(sweep)",
    b"!sweep",
    b"#sweep",
    b"sweep #",
    b"~/sweep",
    b"./sweep",
    b"../sweep",
    b"/usr/local/bin/raysweep sweep",
    b"raysweep sweep",
    b"sudo raysweep sweep",
    b"gate",
    b"serve",
    b"measure",
    b"version",
    b"bash -i",
    b"scp -t /etc/cron.d/evil",
    b"internal-sftp",
    "ｓｗｅｅｐ".as_bytes(),
    "sweep\u{200b}".as_bytes(),
    b"sweep\xff\xfe",
];

#[test]
fn exactly_one_command_is_taken() {
    check_command(Some(OsStr::new("sweep"))).unwrap();
}

#[test]
fn every_other_command_is_refused_in_one_line_that_cannot_drive_a_terminal() {
    for hostile in HOSTILE {
        let refusal = check_command(Some(OsStr::from_bytes(hostile))).unwrap_err();
        assert!(matches!(refusal, GateError::Command(_)), "{hostile:?}");
        let line = refusal.to_string();
        assert!(line.starts_with("refused: "), "{line:?}");
        assert!(line.is_ascii() && !line.chars().any(char::is_control), "{line:?}");
    }
}

/// The same file is sent through a real sshd by `tests/fleet`. A line is a command, with `\\` and `\xHH`.
fn corpus() -> Vec<Vec<u8>> {
    let unescaped = |line: &str| {
        let mut bytes = vec![];
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('\\') {
            bytes.extend(before.as_bytes());
            rest = if let Some(digits) = after.strip_prefix('x') {
                bytes.push(u8::from_str_radix(&digits[..2], 16).unwrap());
                &digits[2..]
            } else {
                bytes.push(b'\\');
                after.strip_prefix('\\').unwrap()
            };
        }
        bytes.extend(rest.as_bytes());
        bytes
    };
    include_str!("../../../tests/fleet/hostile.txt").lines().map(unescaped).collect()
}

#[test]
fn each_command_of_the_hostile_corpus_is_refused() {
    let corpus = corpus();
    assert!(corpus.len() >= 350, "{}", corpus.len());
    for hostile in corpus {
        let refusal = check_command(Some(OsStr::from_bytes(&hostile))).unwrap_err();
        let line = refusal.to_string();
        assert!(line.starts_with("refused: ") && line.len() < 1000, "{hostile:?}: {line:?}");
        assert!(line.chars().all(|c| c == '…' || c == ' ' || c.is_ascii_graphic()), "{line:?}");
    }
}

#[test]
fn no_command_is_refused_as_a_login() {
    assert!(matches!(check_command(None), Err(GateError::NoCommand)));
    assert!(matches!(check_command(Some(OsStr::new(""))), Err(GateError::NoCommand)));
}

#[test]
fn a_long_command_is_shown_in_part() {
    let command = "x".repeat(100_000);
    let line = check_command(Some(OsStr::new(&command))).unwrap_err().to_string();
    assert!(line.len() < 200 && line.contains("x…\""), "{line}");
    let refusal = check_command(Some(OsStr::new("sweep\n; $(id)"))).unwrap_err();
    expect![[r#"refused: "sweep\n; $(id)"; this key may only run "sweep""#]].assert_eq(&refusal.to_string());
}

#[test]
fn a_request_is_read_whole_or_refused() {
    let limit = Duration::from_secs(10);
    let wanted = request();
    let text = serde_json::to_vec(&wanted).unwrap();
    assert_eq!(read_in_time(io::Cursor::new(text.clone()), limit).unwrap(), wanted);
    for end in 0..text.len() {
        let cut = io::Cursor::new(text[..end].to_vec());
        assert!(matches!(read_in_time(cut, limit), Err(GateError::Request(_))), "cut at {end}");
    }
    let mut padded = text.clone();
    padded.resize(usize::try_from(SweepRequest::MAX_BYTES).unwrap(), b' ');
    assert_eq!(read_in_time(io::Cursor::new(padded.clone()), limit).unwrap(), wanted);
    padded.push(b' ');
    assert!(matches!(read_in_time(io::Cursor::new(padded), limit), Err(GateError::TooLong)));
    assert!(matches!(read_in_time(io::repeat(b' '), limit), Err(GateError::TooLong)));
    let twice = [text.clone(), text].concat();
    assert!(matches!(read_in_time(io::Cursor::new(twice), limit), Err(GateError::Request(_))));
}

#[test]
fn a_caller_who_sends_nothing_is_not_waited_for() {
    // The writing end stays open: no end of input ever comes.
    let (reader, _writer) = io::pipe().unwrap();
    assert!(matches!(read_in_time(reader, Duration::from_millis(50)), Err(GateError::Slow)));
}

#[test]
fn root_gets_the_request_as_we_write_it_and_its_code_is_ours() {
    let wanted = request();
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let mut root = Command::new("/bin/sh");
    root.args(["-c", r#"cat >"$0"; exit 5"#]).arg(&seen);
    let status = hand_over(root, &wanted).unwrap();
    assert_eq!(code(status), 5);
    assert_eq!(std::fs::read(seen).unwrap(), serde_json::to_vec(&wanted).unwrap());
}

#[test]
fn a_root_command_that_ends_unheard_or_by_a_signal_is_a_failure_and_no_hang() {
    for (script, expected) in [("exit 7", 7), ("kill -9 $$", 1)] {
        let mut root = Command::new("/bin/sh");
        root.args(["-c", script]);
        assert_eq!(code(hand_over(root, &request()).unwrap()), expected, "{script}");
    }
    assert!(hand_over(Command::new("/nonexistent/sudo"), &request()).is_err());
}

#[test]
fn a_root_command_speaks_for_itself_only_where_it_was_its_own_choice_not_to_read() {
    let seven = || ExitStatus::from_raw(7 << 8);
    assert_eq!(ended(Err(io::ErrorKind::BrokenPipe.into()), seven()).unwrap(), seven());
    assert!(ended(Err(io::ErrorKind::StorageFull.into()), seven()).is_err());
}

#[test]
fn without_a_command_or_with_another_one_nothing_runs() {
    for command in [None, Some(OsStr::new("")), Some(OsStr::new("sweep; id"))] {
        assert!(matches!(run(command), Err(GateError::NoCommand | GateError::Command(_))), "{command:?}");
    }
}

#[test]
fn what_runs_as_root_is_what_sudoers_allows_to_the_letter() {
    let sudoers = include_str!("../../../deploy/sudoers.d/raysweep");
    let [_, _, command @ ..] = ROOT_COMMAND;
    let allowed = format!("NOPASSWD: {}\n", command.join(" "));
    assert!(sudoers.ends_with(&allowed), "{sudoers}");
}
