//! The child when its parent is gone, at every step: it gives names back, stops what takes long, ends.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Child,
};

use super::{
    harness::{id, wait_for},
    process::{next, raw, target},
};
use crate::{
    domain::attempt::AttemptId,
    sweeper::inside::{
        Looking,
        enter::Target,
        protocol::{Answer, Lines, Request, write_line},
    },
};

/// So many folders that deleting them can be stopped in the middle.
const MANY: usize = 150;
const FEW: usize = 3;
/// So many files in each.
const FILES: usize = 50;

/// A child at a temp root that holds `tmpa`, and the way to ask it.
struct Asked {
    root: tempfile::TempDir,
    child: Child,
    socket: UnixStream,
    lines: Lines,
}

impl Asked {
    fn new(time: std::time::Duration, folders: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in 0..folders {
            let folder = root.path().join(format!("tmpa/{folder}"));
            fs::create_dir_all(&folder).unwrap();
            for file in 0..FILES {
                fs::File::create(folder.join(file.to_string())).unwrap();
            }
        }
        let (child, socket) = raw();
        let mut asked = Self { child, socket, lines: Lines::default(), root };
        let target = Target { time, ..target(asked.root.path()) };
        assert!(matches!(asked.ask(&Request::Enter(target)), Answer::Entered(_)));
        asked
    }

    fn send(&self, request: &Request) {
        write_line(&self.socket, request).unwrap();
    }

    fn ask(&mut self, request: &Request) -> Answer {
        self.send(request);
        next(&mut self.lines, &self.socket)
    }

    fn detach(&self) -> Request {
        let id = id(&self.root.path().join("tmpa"));
        Request::Detach { path: "tmpa".into(), id, attempt: AttemptId::now() }
    }

    fn standing(&self) -> Vec<PathBuf> {
        fs::read_dir(self.root.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// The parent goes without a word; the child has to end by itself.
    fn leave(mut self) -> tempfile::TempDir {
        drop(self.socket);
        wait_for("the child's end", || self.child.try_wait().unwrap());
        self.root
    }
}

fn files(root: &Path) -> usize {
    fs::read_dir(root).unwrap().map(|folder| fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}

#[test]
fn a_parent_that_goes_at_any_step_before_the_delete_leaves_everything_as_it_was() {
    let time = super::harness::DEADLINE;
    let look = |path: &str| Request::Look { path: path.into(), whole: true, looking: Looking::ALL };
    for step in ["entered", "usage", "list", "remember", "look", "detach", "second look"] {
        let mut asked = Asked::new(time, FEW);
        // The last request of each is sent and its answer is not waited for.
        match step {
            "entered" => {}
            "usage" => asked.send(&Request::Usage { looking: Looking::ALL }),
            "list" => asked.send(&Request::List { folder: PathBuf::new(), begins: vec![], most: 10 }),
            "remember" => asked.send(&Request::Remember { in_use: vec![] }),
            "look" => {
                asked.ask(&Request::Remember { in_use: vec![] });
                asked.send(&look("tmpa"));
            }
            "detach" => asked.send(&asked.detach()),
            _ => {
                asked.ask(&Request::Remember { in_use: vec![] });
                let Answer::Detached(path) = asked.ask(&asked.detach()) else { panic!("not detached") };
                assert!(!asked.root.path().join("tmpa").exists());
                asked.send(&Request::Look { path, whole: true, looking: Looking::ALL });
            }
        }
        let root = asked.leave();
        assert_eq!(files(&root.path().join("tmpa")), FEW * FILES, "{step}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "{step}");
    }
}

/// The lock is free once the parent is dead, and the next sweep may come at once.
#[test]
fn a_parent_that_goes_in_the_middle_of_a_delete_ends_the_delete() {
    let mut asked = Asked::new(super::harness::DEADLINE, MANY);
    let id = id(&asked.root.path().join("tmpa"));
    let Answer::Detached(detached) = asked.ask(&asked.detach()) else { panic!("not detached") };
    asked.send(&Request::Delete { detached, id, owner: None });
    let begun = wait_for("the delete to be under way", || {
        let top = asked.standing().into_iter().find(|path| path.to_string_lossy().contains("~tmpa"))?;
        (fs::read_dir(&top).ok()?.count() < MANY).then_some(top)
    });
    let root = asked.leave();
    assert!(begun.exists(), "it was all deleted");
    assert!(files(&begun) > 0, "it was all deleted");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "half a folder got its name back");
}

/// A parent that hangs in the kernel holds the socket open even after a kill.
#[test]
fn a_child_ends_by_itself_when_its_time_is_over() {
    let mut asked = Asked::new(std::time::Duration::ZERO, FEW);
    assert!(matches!(asked.ask(&asked.detach()), Answer::Detached(_)));
    wait_for("the child's end", || asked.child.try_wait().unwrap());
    assert_eq!(asked.standing(), [asked.root.path().join("tmpa")]);
}

/// Many deletes are asked for at once. What has been asked and not begun must not be done any more.
#[test]
fn what_was_asked_for_before_the_parent_went_is_not_begun_after_it() {
    let mut asked = Asked::new(super::harness::DEADLINE, MANY);
    // One file: nothing else would stop its delete on the way.
    fs::write(asked.root.path().join("tmpb"), "x").unwrap();
    let first = id(&asked.root.path().join("tmpa"));
    let second = id(&asked.root.path().join("tmpb"));
    let Answer::Detached(large) = asked.ask(&asked.detach()) else { panic!("not detached") };
    let request = Request::Detach { path: "tmpb".into(), id: second, attempt: AttemptId::now() };
    let Answer::Detached(small) = asked.ask(&request) else { panic!("not detached") };
    asked.send(&Request::Delete { detached: large, id: first, owner: None });
    asked.send(&Request::Delete { detached: small, id: second, owner: None });
    wait_for("the first delete to be under way", || {
        asked.standing().into_iter().find(|path| path.to_string_lossy().contains("~tmpa"))
    });
    let root = asked.leave();
    assert!(root.path().join("tmpb").exists(), "it has its name back");
}
