//! Trees that are made to break a sweep, and somebody who changes them meanwhile.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use rustix::{
    fs::{Mode, OFlags, mkdirat, open, openat},
    process::{Pid, Resource, Rlimit, prlimit},
};
use tempfile::TempDir;

use super::harness::{enter, id, look, sweep_away};
use crate::domain::attempt::AttemptId;

/// A folder in memory: thousands of entries on a disk with a busy journal take half a minute.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

#[test]
fn ten_thousand_nested_folders_go_with_few_open_files() {
    let root = scratch();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut folder = open(root.path(), flags, Mode::empty()).unwrap();
    for _ in 0..10_000 {
        mkdirat(&folder, "d", Mode::RWXU).unwrap();
        folder = openat(&folder, "d", flags, Mode::empty()).unwrap();
    }
    drop(folder);
    let mut inside = enter(root.path());
    let pid = Pid::from_raw(i32::try_from(inside.link.pid()).unwrap());
    let few = Rlimit { current: Some(256), maximum: Some(256) };
    prlimit(pid, Resource::Nofile, few).unwrap();
    inside.usage().unwrap();
    let tree = look(&mut inside, "d", &BTreeSet::new()).unwrap();
    let deleted = sweep_away(&mut inside, root.path(), Path::new("d"));
    assert_eq!(deleted.errors, Vec::<String>::new());
    assert!(deleted.complete);
    assert_eq!(deleted.bytes, tree.bytes);
}

/// Folders with files, the same at both places.
fn forest(at: &Path) {
    for folder in 0..40 {
        let folder = at.join(format!("y{folder}"));
        fs::create_dir_all(folder.join("z")).unwrap();
        for file in 0..20 {
            fs::write(folder.join(format!("f{file}")), "").unwrap();
            fs::write(folder.join(format!("z/f{file}")), "").unwrap();
        }
    }
}

fn count(at: &Path) -> usize {
    let entries = fs::read_dir(at).unwrap().map(Result::unwrap);
    entries.map(|entry| if entry.file_type().unwrap().is_dir() { 1 + count(&entry.path()) } else { 1 }).sum()
}

#[test]
fn an_ancestor_that_becomes_a_symlink_leads_nowhere() {
    let outside = scratch();
    forest(outside.path());
    let precious = count(outside.path());
    let swaps = AtomicU64::new(0);
    // On a busy machine a tree may be gone before anybody has swapped anything: then once more.
    for round in 0..100 {
        if round >= 5 && swaps.load(Ordering::Relaxed) > 0 {
            break;
        }
        let root = scratch();
        forest(&root.path().join("tree/x"));
        let mut inside = enter(root.path());
        let tree = id(&root.path().join("tree"));
        let detached = inside.detach(Path::new("tree"), tree, AttemptId::now()).unwrap();
        let at = root.path().join(&detached);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // Under the top, and the top itself.
                for name in [at.join("x"), at.clone()].iter().cycle() {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let aside = root.path().join("aside");
                    if fs::rename(name, &aside).is_ok() && symlink(outside.path(), name).is_ok() {
                        swaps.fetch_add(1, Ordering::Relaxed);
                        // The symlink itself may have been removed: it lay in the tree.
                        let _ = fs::rename(name, root.path().join("link"));
                        let _ = fs::rename(&aside, name);
                    }
                }
            });
            // What the race lets it do is its own business; that it ends is not.
            let _ = inside.delete(&detached, tree);
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(count(outside.path()), precious);
    }
    assert!(swaps.into_inner() > 0, "nothing was swapped: the test shows nothing");
}

#[test]
fn files_that_keep_appearing_end_the_delete_all_the_same() {
    let root = scratch();
    forest(&root.path().join("tree"));
    let mut inside = enter(root.path());
    let tree = id(&root.path().join("tree"));
    let detached = inside.detach(Path::new("tree"), tree, AttemptId::now()).unwrap();
    let done = AtomicBool::new(false);
    let deleted = thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..1_000_000 {
                let folder = root.path().join(&detached).join(format!("y{}", number % 40));
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let _ = fs::write(folder.join(number.to_string()), "");
            }
        });
        let deleted = inside.delete(&detached, tree);
        done.store(true, Ordering::Relaxed);
        deleted.unwrap()
    });
    assert_eq!(deleted.complete, !root.path().join(&detached).exists());
    assert!(deleted.complete || !deleted.errors.is_empty());
    assert!(deleted.files >= 40 * 40, "{deleted:?}");
}

#[test]
fn a_symlink_in_the_way_is_never_followed() {
    let root = scratch();
    let outside = scratch();
    fs::write(outside.path().join("tmp1"), "x").unwrap();
    symlink(outside.path(), root.path().join("ray")).unwrap();
    let mut inside = enter(root.path());
    let tmp1 = id(&outside.path().join("tmp1"));
    let path = Path::new("ray/tmp1");
    assert!(look(&mut inside, path, &BTreeSet::new()).is_err());
    assert!(inside.list(Path::new("ray"), &[], 1000).is_err());
    assert!(inside.detach(path, tmp1, AttemptId::now()).is_err());
    let link = look(&mut inside, "ray", &BTreeSet::new()).unwrap();
    assert_eq!((link.files, link.in_use), (1, vec![]));
    assert!(sweep_away(&mut inside, root.path(), Path::new("ray")).complete);
    assert!(outside.path().join("tmp1").exists());
}
