//! The child as a process: what it says, how it ends, and what it does when its parent does.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use ioprio::{Class, Pid};
use rustix::process::{Signal, kill_process};

use super::{child_command, harness::*};
use crate::{
    domain::attempt::AttemptId,
    sweeper::inside::{
        Inside, InsideError, Looking,
        enter::Target,
        parent::Link,
        protocol::{Answer, Line, Lines, Request, write_line},
    },
};

pub(super) const SOON: Duration = Duration::from_secs(20);

pub(super) fn target(root: &Path) -> Target {
    let here = here();
    Target {
        init: here.init,
        mount_namespace: here.mount_namespace,
        cgroup: here.cgroup,
        temp_root: root.to_owned(),
        upper_layer: None,
        bare: false,
        time: SOON,
    }
}

/// A child and the bare socket to it.
pub(super) fn raw() -> (std::process::Child, UnixStream) {
    let (socket, theirs) = UnixStream::pair().unwrap();
    let mut command = child_command();
    command.stdin(std::os::fd::OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    (child, socket)
}

pub(super) fn next(lines: &mut Lines, socket: &UnixStream) -> Answer {
    match lines.next(socket, 1 << 20, || Ok(())).unwrap() {
        Line::Message(answer) => answer,
        Line::End => panic!("the child ended"),
    }
}

/// A child that has detached `tmp1`.
fn with_detached(root: &Path) -> (std::process::Child, UnixStream, PathBuf) {
    let (child, socket) = raw();
    let path = root.join("tmp1");
    fs::create_dir(&path).unwrap();
    let mut lines = Lines::default();
    write_line(&socket, &Request::Enter(target(root))).unwrap();
    assert!(matches!(next(&mut lines, &socket), Answer::Entered(_)));
    let request = Request::Detach { path: "tmp1".into(), id: id(&path), attempt: AttemptId::now() };
    write_line(&socket, &request).unwrap();
    assert!(matches!(next(&mut lines, &socket), Answer::Detached(_)));
    assert!(!path.exists());
    (child, socket, path)
}

#[test]
fn a_line_that_is_cut_or_garbage_restores_and_ends_the_child() {
    for rest in [b"".as_slice(), b"{\"op\":\"us", b"nonsense\n", b"{\"op\":\"root\"}\n", b"\xff\xff\n"] {
        let root = tempfile::tempdir().unwrap();
        let (mut child, mut socket, path) = with_detached(root.path());
        socket.write_all(rest).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut all = vec![];
        socket.read_to_end(&mut all).unwrap();
        child.wait().unwrap();
        assert!(path.exists(), "{}", String::from_utf8_lossy(rest));
    }
}

#[test]
fn a_request_that_arrives_in_pieces_is_one_request() {
    let root = tempfile::tempdir().unwrap();
    let (mut child, mut socket) = raw();
    let request = serde_json::to_vec(&Request::Enter(target(root.path()))).unwrap();
    let usage = serde_json::to_vec(&Request::Usage { looking: Looking::ALL }).unwrap();
    for byte in request.iter().chain(b"\n{\"op\":\"disk\"}\n").chain(&usage).chain(b"\n") {
        socket.write_all(&[*byte]).unwrap();
    }
    let mut lines = Lines::default();
    assert!(matches!(next(&mut lines, &socket), Answer::Entered(_)));
    assert!(matches!(next(&mut lines, &socket), Answer::Disk(_)));
    assert!(matches!(next(&mut lines, &socket), Answer::Usage(_)));
    drop(socket);
    assert!(child.wait().unwrap().success());
}

#[test]
fn nothing_but_enter_comes_first() {
    let (mut child, mut socket) = raw();
    socket.write_all(b"{\"op\":\"disk\"}\n").unwrap();
    let mut all = vec![];
    socket.read_to_end(&mut all).unwrap();
    assert!(all.is_empty());
    assert!(!child.wait().unwrap().success());
}

#[test]
fn a_child_that_does_not_answer_is_killed_in_time() {
    let root = tempfile::tempdir().unwrap();
    let limit = Duration::from_secs(2);
    let started = Instant::now();
    let mut inside = Inside::enter(&here(), root.path(), limit).unwrap();
    let pid = pid_of(&inside);
    kill_process(pid, Signal::STOP).unwrap();
    // One thread takes the signal and stops the others; until then the child may still answer.
    let tasks = PathBuf::from(format!("/proc/{}/task", pid.as_raw_nonzero()));
    while !fs::read_dir(&tasks).unwrap().all(|task| is_stopped(&task.unwrap().path())) {
        assert!(started.elapsed() < SOON);
    }
    assert!(matches!(inside.usage(), Err(InsideError::Timeout(_))));
    assert!(started.elapsed() < limit + SOON);
    assert!(matches!(inside.usage(), Err(InsideError::Gone(_))));
    assert!(!Path::new(&format!("/proc/{}", pid.as_raw_nonzero())).exists(), "it was waited for");
}

#[test]
fn what_is_detached_when_the_time_is_over_gets_its_name_back_at_once() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("tmp1");
    fs::create_dir(&path).unwrap();
    let limit = Duration::from_secs(2);
    let mut inside = Inside::enter(&here(), root.path(), limit).unwrap();
    inside.detach(Path::new("tmp1"), id(&path), AttemptId::now()).unwrap();
    let started = Instant::now();
    let ended = loop {
        if let Err(error) = inside.disk() {
            break error;
        }
        assert!(started.elapsed() < limit + SOON);
    };
    assert!(matches!(ended, InsideError::Timeout(_)), "{ended}");
    assert!(path.exists());
}

#[test]
fn a_delete_ends_before_the_deadline_and_says_what_has_gone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("tmp1");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("x"), "x").unwrap();
    let file = id(&path);
    // Less than what is kept back for giving names back: nothing may begin.
    let mut inside = Inside::enter(&here(), root.path(), Duration::from_secs(4)).unwrap();
    let detached = inside.detach(Path::new("tmp1"), file, AttemptId::now()).unwrap();
    let deleted = inside.delete(&detached, file).unwrap();
    assert_eq!((deleted.files, deleted.bytes, deleted.complete), (0, 0, false));
    assert!(deleted.errors[0].contains("deadline"), "{:?}", deleted.errors);
    drop(inside);
    assert!(path.join("x").exists(), "what is whole gets its name back");
}

#[test]
fn a_child_that_was_killed_is_gone_and_no_more() {
    let root = tempfile::tempdir().unwrap();
    let mut inside = enter(root.path());
    let pid = pid_of(&inside);
    kill_process(pid, Signal::KILL).unwrap();
    assert!(matches!(inside.disk(), Err(InsideError::Gone(_))));
    assert!(matches!(inside.disk(), Err(InsideError::Gone(_))));
}

#[test]
fn what_is_no_child_of_ours_is_gone() {
    for (program, argument) in [("true", ""), ("cat", "/proc/self/maps"), ("sh", "-cecho hello >&0")] {
        let mut link = Link::start(Command::new(program).arg(argument), Duration::from_secs(10)).unwrap();
        assert!(matches!(link.call(&Request::Disk), Err(InsideError::Gone(_))), "{program}");
    }
}

#[test]
fn the_child_gives_way_and_holds_nothing_of_the_parents() {
    let root = tempfile::tempdir().unwrap();
    let _lock = fs::File::create(root.path().join("lock")).unwrap();
    let inside = enter(root.path());
    let proc = PathBuf::from(format!("/proc/{}", inside.link.pid()));
    // As a test the child is one thread of its process, and niceness is a thread's.
    let threads = || fs::read_dir(proc.join("task")).unwrap().map(|thread| thread.unwrap().path());
    let nicest = threads().map(|thread| niceness(&thread)).max();
    assert_eq!(nicest, Some((niceness(Path::new("/proc/self")) + 10).min(19)));
    // The one that serves, and the one that it starts to wait for our end.
    let idle = threads().filter(|thread| gives_way(thread)).count();
    assert!(idle >= 2, "{idle} threads of the child give way");
    let limits = fs::read_to_string(proc.join("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    for fd in fs::read_dir(proc.join("fd")).unwrap() {
        let target = fs::read_link(fd.unwrap().path()).unwrap();
        assert!(!target.ends_with("lock"), "{}", target.display());
    }
}

fn is_stopped(folder: &Path) -> bool {
    fs::read_to_string(folder.join("stat")).unwrap().rsplit_once(')').unwrap().1.starts_with(" T")
}

fn niceness(folder: &Path) -> i32 {
    field(folder, 19)
}

/// Whether the disk serves a thread last.
fn gives_way(thread: &Path) -> bool {
    let id = Pid::from_raw(thread.file_name().unwrap().to_str().unwrap().parse().unwrap());
    ioprio::get_priority(ioprio::Target::Process(id)).unwrap().class() == Some(Class::Idle)
}

/// A field of `stat`, as `man 5 proc` counts them.
fn field(folder: &Path, number: usize) -> i32 {
    let stat = fs::read_to_string(folder.join("stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split(' ').nth(number - 2).unwrap().parse().unwrap()
}
