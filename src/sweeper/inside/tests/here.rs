//! In this machine's own namespace, as on a bare host.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use super::harness::{enter, here, id, look, sweep_away, wait_for};
use crate::{
    domain::attempt::AttemptId,
    sweeper::inside::{Inside, InsideError, Kind, Looking, Restored},
};

#[test]
fn a_tree_of_every_kind_of_file_is_seen_and_goes() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), "x").unwrap();
    let tree = root.path().join("tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::write(tree.join("a/file"), vec![1; 10_000]).unwrap();
    fs::hard_link(tree.join("a/file"), tree.join("a/b/again")).unwrap();
    symlink(outside.path(), tree.join("a/out")).unwrap();
    assert!(Command::new("mkfifo").arg(tree.join("fifo")).status().unwrap().success());
    let _socket = UnixListener::bind(tree.join("sock")).unwrap();
    fs::write(tree.join(OsStr::from_bytes(b"\xff\xfe")), "").unwrap();
    fs::write(tree.join("n".repeat(255)), "").unwrap();

    let mut inside = enter(root.path());
    let in_use = BTreeSet::from([id(&tree.join("a/file"))]);
    let seen = look(&mut inside, Path::new("tree"), &in_use).unwrap();
    assert_eq!((seen.kind, seen.id), (Kind::Folder, id(&tree)));
    assert_eq!(seen.files, 6, "a hard link is no file of its own");
    assert_eq!(seen.in_use.first(), in_use.first());
    assert_eq!(seen.sockets, Some(vec!["sock".into()]));
    assert!(seen.bytes >= 10_000);
    assert!(!seen.image_layer && seen.mount.is_none() && seen.other_owner.is_none());

    let deleted = sweep_away(&mut inside, root.path(), Path::new("tree"));
    assert_eq!(deleted.errors, Vec::<String>::new());
    assert!(deleted.complete);
    assert_eq!((deleted.bytes, deleted.files), (seen.bytes, 7));
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    assert!(outside.path().join("precious").exists());
}

/// Large enough for several threads, of which each sees a part: what one of them saw must not be lost.
#[test]
fn what_is_seen_in_any_part_of_a_large_tree_is_told() {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("tree");
    for folder in 0..60 {
        let folder = tree.join(folder.to_string());
        fs::create_dir_all(&folder).unwrap();
        for file in 0..30 {
            fs::write(folder.join(file.to_string()), vec![1; 3000]).unwrap();
        }
        fs::hard_link(tree.join("0/0"), folder.join("linked")).unwrap();
    }
    let mut inside = enter(root.path());
    let whole = look(&mut inside, Path::new("tree"), &BTreeSet::new()).unwrap();
    assert_eq!((whole.files, whole.in_use.len(), whole.sockets.as_deref()), (60 * 30, 0, Some(&[][..])));
    let du = Command::new("du").args(["-s", "-B1"]).arg(root.path()).output().unwrap();
    let du = String::from_utf8(du.stdout).unwrap();
    let usage = inside.usage().unwrap();
    assert_eq!(Some(usage.used_bytes.to_string().as_str()), du.split_whitespace().next());
    assert_eq!((usage.files, usage.used_bytes > whole.bytes), (60 * 30, true));
    for folder in 0..60 {
        let used = id(&tree.join(format!("{folder}/7")));
        let seen = look(&mut inside, Path::new("tree"), &BTreeSet::from([used])).unwrap();
        assert_eq!((seen.in_use, seen.bytes, seen.files), (vec![used], whole.bytes, whole.files));
    }
    for (at, folder) in [0, 17, 33, 59].into_iter().enumerate() {
        let socket = UnixListener::bind(tree.join(format!("{folder}/sock"))).unwrap();
        std::os::unix::fs::chown(tree.join(format!("{folder}/3")), Some(7), None).ok();
        drop(socket);
        let seen = look(&mut inside, Path::new("tree"), &BTreeSet::new()).unwrap();
        assert_eq!(seen.sockets.map(|sockets| sockets.len()), Some(at + 1), "{folder}");
        assert!(seen.newest > whole.newest, "{folder}");
        if rustix::process::geteuid().is_root() {
            assert_eq!(seen.other_owner, Some(7), "{folder}");
        }
    }
    assert!(sweep_away(&mut inside, root.path(), Path::new("tree")).complete);
}

/// One folder is shared by its entries, folders among them.
#[test]
fn what_is_seen_in_any_part_of_a_large_folder_is_told_and_all_of_it_goes() {
    const MANY: usize = 6000;
    let root = tempfile::tempdir().unwrap();
    let flat = root.path().join("flat");
    for entry in 0..MANY {
        let path = flat.join(entry.to_string());
        if entry % 20 == 0 {
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("x"), "x").unwrap();
        } else {
            fs::write(path, "x").unwrap();
        }
    }
    let mut inside = enter(root.path());
    let whole = look(&mut inside, Path::new("flat"), &BTreeSet::new()).unwrap();
    assert_eq!((whole.files, inside.usage().unwrap().files), (MANY as u64, MANY as u64));
    for entry in (0..MANY).step_by(MANY / 30) {
        let used = [entry.to_string(), format!("{entry}/x"), (entry + 1).to_string()];
        let used = used.map(|path| flat.join(path)).into_iter().filter(|path| path.exists());
        let used: BTreeSet<_> = used.map(|path| id(&path)).collect();
        let seen = look(&mut inside, Path::new("flat"), &used).unwrap();
        assert_eq!(seen.in_use.iter().copied().collect::<BTreeSet<_>>(), used, "{entry}");
        assert_eq!((seen.bytes, seen.files), (whole.bytes, whole.files));
    }
    let deleted = sweep_away(&mut inside, root.path(), Path::new("flat"));
    assert_eq!((deleted.complete, deleted.files, deleted.bytes), (true, whole.files, whole.bytes));
}

#[test]
fn a_folder_that_is_moved_is_told_to_be_and_is_written_no_later() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("mine")).unwrap();
    fs::write(root.path().join("mine/x"), "x").unwrap();
    let mut inside = enter(root.path());
    let before = look(&mut inside, Path::new("mine"), &BTreeSet::new()).unwrap();
    // A file system tells time in ticks.
    let moved = wait_for("a move to be later", || {
        fs::rename(root.path().join("mine"), root.path().join("tmpa")).unwrap();
        let tree = look(&mut inside, Path::new("tmpa"), &BTreeSet::new()).unwrap();
        if tree.moved == before.moved {
            fs::rename(root.path().join("tmpa"), root.path().join("mine")).unwrap();
        }
        (tree.moved > before.moved).then_some(tree)
    });
    assert_eq!((moved.newest, moved.written), (before.newest, before.written));
}

/// Whoever may move a folder and not empty it moves it into what is being deleted.
#[test]
fn what_is_another_users_stays_in_what_is_deleted() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("tree");
    let give = |path: &str, owner| std::os::unix::fs::chown(tree.join(path), Some(owner), None).unwrap();
    fs::create_dir_all(tree.join("own/deep")).unwrap();
    fs::create_dir_all(tree.join("own/theirs")).unwrap();
    for file in ["own/deep/x", "own/theirs/x", "own/theirs/y", "own/z"] {
        fs::write(tree.join(file), "x").unwrap();
    }
    for path in ["", "own", "own/deep", "own/deep/x", "own/theirs/y"] {
        give(path, 7);
    }
    for path in ["own/theirs", "own/theirs/x", "own/z"] {
        give(path, 8);
    }
    let top = id(&tree);
    let mut inside = enter(root.path());
    let mut delete = |owner| {
        let detached = inside.detach(Path::new("tree"), top, AttemptId::now()).unwrap();
        let deleted = inside.delete_all([(detached.as_path(), top)].into_iter(), owner).remove(0);
        if deleted.is_err() {
            inside.restore(&detached).unwrap();
        }
        deleted
    };
    assert!(matches!(delete(Some(8)), Err(InsideError::System(why)) if why.contains("another user")));
    let deleted = delete(Some(7)).unwrap();
    assert_eq!((deleted.complete, deleted.files), (false, 1), "{deleted:?}");
    assert!(deleted.errors.iter().any(|error| error.contains("another user")), "{deleted:?}");
    assert!(tree.join("own/theirs/x").exists() && tree.join("own/theirs/y").exists());
    assert!(tree.join("own/z").exists() && !tree.join("own/deep").exists());
    assert!(delete(None).unwrap().complete);
}

#[test]
fn a_name_that_is_no_text_survives_the_wire() {
    let root = tempfile::tempdir().unwrap();
    let name = Path::new(OsStr::from_bytes(b"tmp\xff"));
    fs::write(root.path().join(name), "x").unwrap();
    let mut inside = enter(root.path());
    let entries = inside.list(Path::new(""), &[], 1000).unwrap().entries;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].path, name);
    assert!(sweep_away(&mut inside, root.path(), name).complete);
}

#[test]
fn a_file_with_a_link_outside_of_the_tree_frees_nothing() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("tree")).unwrap();
    fs::write(root.path().join("tree/file"), vec![1; 1 << 20]).unwrap();
    fs::hard_link(root.path().join("tree/file"), root.path().join("kept")).unwrap();
    let mut inside = enter(root.path());
    assert!(inside.usage().unwrap().used_bytes >= 1 << 20);
    assert!(look(&mut inside, Path::new("tree"), &BTreeSet::new()).unwrap().bytes < 1 << 20);
    assert!(sweep_away(&mut inside, root.path(), Path::new("tree")).bytes < 1 << 20);
    assert!(root.path().join("kept").exists());
}

#[test]
fn usage_counts_what_du_counts() {
    let root = tempfile::tempdir().unwrap();
    for folder in 0..20 {
        let folder = root.path().join(format!("d{folder}/e"));
        fs::create_dir_all(&folder).unwrap();
        for file in 0..20 {
            fs::write(folder.join(format!("f{file}")), vec![1; file * 1000]).unwrap();
        }
    }
    fs::hard_link(root.path().join("d1/e/f19"), root.path().join("link")).unwrap();
    let du = Command::new("du").args(["-s", "-B1"]).arg(root.path()).output().unwrap();
    let du: u64 = String::from_utf8(du.stdout).unwrap().split('\t').next().unwrap().parse().unwrap();
    let usage = enter(root.path()).usage().unwrap();
    assert_eq!((usage.used_bytes, usage.files), (du, 400));
    assert_eq!(usage.root, id(root.path()));
    assert!(usage.disk.size_bytes > usage.disk.avail_bytes);
}

#[test]
fn what_is_not_the_file_that_was_looked_at_stays() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("tmp1"), "old").unwrap();
    let old = id(&root.path().join("tmp1"));
    fs::write(root.path().join("new"), "new").unwrap();
    fs::rename(root.path().join("new"), root.path().join("tmp1")).unwrap();
    let mut inside = enter(root.path());
    let attempt = AttemptId::now();
    assert_eq!(inside.detach(Path::new("tmp1"), old, attempt), Err(InsideError::Changed));
    assert_eq!(inside.detach(Path::new("tmp2"), old, attempt), Err(InsideError::NotFound));
    assert_eq!(fs::read_to_string(root.path().join("tmp1")).unwrap(), "new");
}

#[test]
fn only_what_is_detached_is_deleted_or_restored() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("tmp1"), "x").unwrap();
    let tmp1 = id(&root.path().join("tmp1"));
    let mut inside = enter(root.path());
    assert!(matches!(inside.delete(Path::new("tmp1"), tmp1), Err(InsideError::System(_))));
    assert!(matches!(inside.restore(Path::new("tmp1")), Err(InsideError::System(_))));
    for path in ["/etc", "..", "../x", "", "a/../../b"] {
        assert!(
            matches!(look(&mut inside, Path::new(path), &BTreeSet::new()), Err(InsideError::System(_))),
            "{path}"
        );
    }
    assert!(root.path().join("tmp1").exists());
}

#[test]
fn a_name_without_room_for_the_prefix_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let mut inside = enter(root.path());
    for (length, fits) in [(208, true), (209, false), (255, false)] {
        let name = "x".repeat(length);
        let path = root.path().join(&name);
        fs::write(&path, "x").unwrap();
        let detached = inside.detach(Path::new(&name), id(&path), AttemptId::now());
        assert_eq!(detached.is_ok(), fits, "{length}");
        if !fits {
            assert_eq!(detached, Err(InsideError::NameTooLong));
            assert!(path.exists());
        }
    }
}

#[test]
fn restoring_never_replaces_what_has_appeared() {
    let root = tempfile::tempdir().unwrap();
    let mut inside = enter(root.path());
    let path = root.path().join("tmp1");
    fs::write(&path, "first").unwrap();
    let first = inside.detach(Path::new("tmp1"), id(&path), AttemptId::now()).unwrap();
    assert_eq!(inside.restore(&first), Ok(Restored::InPlace));
    let first = inside.detach(Path::new("tmp1"), id(&path), AttemptId::now()).unwrap();
    fs::write(&path, "second").unwrap();
    assert_eq!(inside.restore(&first), Ok(Restored::NameTaken));
    assert_eq!(fs::read_to_string(&path).unwrap(), "second");
    assert_eq!(fs::read_to_string(root.path().join(first)).unwrap(), "first");
}

#[test]
fn the_end_of_the_parent_gives_everything_its_name_back() {
    let root = tempfile::tempdir().unwrap();
    let mut inside = enter(root.path());
    let path = root.path().join("tmp1");
    fs::create_dir(&path).unwrap();
    inside.detach(Path::new("tmp1"), id(&path), AttemptId::now()).unwrap();
    assert!(!path.exists());
    drop(inside);
    assert!(path.exists());
}

#[test]
fn a_later_child_finishes_what_a_killed_one_left() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("tmp1");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("file"), "x").unwrap();
    let old = id(&path);
    let left = root.path().join(format!(".raysweep-{}-tmp1", AttemptId::now()));
    fs::rename(&path, &left).unwrap();
    let mut inside = enter(root.path());
    let entries = inside.list(Path::new(""), &[], 1000).unwrap().entries;
    assert_eq!((entries.len(), entries[0].id), (1, old));
    assert!(inside.delete(&entries[0].path, old).unwrap().complete);
    assert!(!left.exists());
}

#[test]
fn a_file_that_cannot_go_does_not_keep_its_siblings() {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("tmp1");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    for name in ["a/1", "a/stays", "a/b/2"] {
        fs::write(tree.join(name), "x").unwrap();
    }
    let immutable = |path: &Path, flag: &str| Command::new("chattr").arg(flag).arg(path).status();
    if !immutable(&tree.join("a/stays"), "+i").is_ok_and(|status| status.success()) {
        return eprintln!("not checked: no immutable files here");
    }
    let mut inside = enter(root.path());
    let deleted = sweep_away(&mut inside, root.path(), Path::new("tmp1"));
    let left: Vec<_> = walk(root.path());
    let stays = left.iter().find(|path| path.ends_with("stays")).cloned();
    immutable(stays.as_ref().unwrap(), "-i").unwrap();
    assert!(!deleted.complete);
    assert_eq!(deleted.files, 2);
    assert_eq!(deleted.errors.len(), 1, "{:?}", deleted.errors);
    assert!(deleted.errors[0].contains("a/stays"), "{:?}", deleted.errors);
    assert_eq!(left.len(), 3, "{left:?}");
}

fn walk(path: &Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        found.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            found.extend(walk(&entry.path()));
        }
    }
    found
}

#[test]
fn a_process_that_is_another_one_now_is_not_entered() {
    let root = tempfile::tempdir().unwrap();
    let enter = |worker| Inside::enter(&worker, root.path(), super::harness::DEADLINE).unwrap_err();
    let mut worker = here();
    worker.init.start_ticks += 1;
    assert!(matches!(enter(worker), InsideError::NotTheWorker(why) if why.contains("another process")));
    let mut worker = here();
    worker.cgroup.push_str("1:x:/other\n");
    assert!(matches!(enter(worker), InsideError::NotTheWorker(why) if why.contains("cgroup")));
    let mut worker = here();
    worker.mount_namespace.ino += 1;
    assert!(matches!(enter(worker), InsideError::NotTheWorker(why) if why.contains("mount namespace")));
    let mut worker = here();
    worker.init.pid = i32::MAX;
    assert!(matches!(enter(worker), InsideError::NotTheWorker(_)));
}

#[test]
fn a_temp_root_that_is_no_place_for_leftovers_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    symlink("/var", scratch.path().join("link")).unwrap();
    let link = scratch.path().join("link");
    for (path, why) in [
        (Path::new("/"), "root folder"),
        (Path::new("/proc"), "proc"),
        (Path::new("tmp"), "absolute"),
        (link.as_path(), "symlink"),
    ] {
        match Inside::enter(&here(), path, super::harness::DEADLINE) {
            Err(InsideError::RootRefused(reason)) => assert!(reason.contains(why), "{reason}"),
            other => panic!("{}: {other:?}", path.display()),
        }
    }
    let nowhere = Inside::enter(&here(), Path::new("/nowhere/deeper"), super::harness::DEADLINE);
    assert!(matches!(nowhere, Err(InsideError::NotFound)), "{nowhere:?}");
}

/// What was seen when the time was over is no look, and the child is asked on.
#[test]
fn a_look_that_has_no_time_ends_and_says_so_and_the_next_one_may_have_all_of_it() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("tmpa/b")).unwrap();
    fs::write(root.path().join("tmpa/b/x"), vec![1; 5000]).unwrap();
    let mut inside = enter(root.path());
    inside.remember(&BTreeSet::new()).unwrap();
    inside.bound_looks(u32::MAX, 1);
    assert_eq!(inside.look(Path::new("tmpa")), Err(InsideError::OutOfTime));
    let usage = inside.usage().unwrap();
    assert!(!usage.is_whole && usage.files == 0, "{usage:?}");
    assert_eq!(inside.look_at_top(Path::new("tmpa")).unwrap().kind, Kind::Folder, "that is no walk");
    inside.unbound_looks();
    assert_eq!(inside.look(Path::new("tmpa")).unwrap().files, 1);
    let usage = inside.usage().unwrap();
    assert!(usage.is_whole && usage.files == 1, "{usage:?}");
}

#[test]
fn all_looks_have_a_part_of_what_is_left_and_one_has_a_part_of_that() {
    let looking = Looking::part(Duration::from_secs(600), 2, 4);
    assert_eq!(looking, Looking { leave: Duration::from_secs(300), most: Duration::from_secs(75) });
    let until = |left| looking.until(Instant::now() + Duration::from_secs(left)) - Instant::now();
    assert!((74..=75).contains(&until(600).as_secs()), "the first one");
    assert!((39..=40).contains(&until(340).as_secs()), "one that is late");
    assert_eq!(until(200), Duration::ZERO, "one that is too late");
    let all = Looking::ALL.until(Instant::now() + Duration::from_secs(600)) - Instant::now();
    assert!((599..=600).contains(&all.as_secs()));
}
