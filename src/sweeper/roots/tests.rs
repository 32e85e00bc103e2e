use std::fs;

use super::*;
use crate::sweeper::{
    ProcessId,
    discover::Raylet,
    inside::tests::harness::{World, id, worker_of},
};

const TIME: Duration = Duration::from_mins(1);

fn temp_root(path: &Path) -> TempRoot {
    TempRoot { path: path.to_owned(), sessions: "ray".into(), leftovers: true, owner: None }
}

fn raylet(user_id: u32, temp_dir: &Path) -> Raylet {
    Raylet {
        id: ProcessId { pid: 7, start_ticks: 1 },
        user_id,
        group_id: 0,
        temp_dir: Some(temp_dir.to_owned()),
        session_dir: None,
        node_id: None,
        gcs_address: None,
        python: None,
    }
}

/// Every folder that is entered for this temp root, and whether sessions are looked for in it.
fn opened(worker: &Worker, root: &Path) -> Vec<(PathBuf, bool)> {
    let opened = open(worker, &temp_root(root), || TIME);
    let entered = opened.into_iter().filter(|opened| opened.entered.as_ref().unwrap().is_some());
    entered.map(|opened| (opened.root.path, opened.has_sessions)).collect()
}

#[test]
fn sessions_in_their_folder_have_no_root_of_their_own() {
    let root = tempfile::tempdir().unwrap();
    let worker = worker_of(std::process::id());
    assert_eq!(opened(&worker, root.path()), [(root.path().to_owned(), true)], "there are none");
    fs::create_dir(root.path().join("ray")).unwrap();
    assert_eq!(opened(&worker, root.path()), [(root.path().to_owned(), true)]);
    assert_eq!(opened(&worker, &root.path().join("none")), [], "there is no such folder");
}

#[test]
fn sessions_behind_a_symlink_have_a_root_of_their_own_where_their_raylet_says_so() {
    let Some(world) = World::start(r#"cd "$SCRATCH"; mkdir tmp large; ln -s ../large tmp/ray"#) else {
        return;
    };
    let root = world.scratch.join("tmp");
    let (root, ray) = (root.as_path(), root.join("ray"));
    let user = rustix::process::getuid().as_raw();
    let by = |raylets| Worker { raylets, ..worker_of(world.pid) };
    let alone = [(root.to_owned(), true)];
    assert_eq!(opened(&by(vec![]), root), alone, "nobody says that they lie there");
    assert_eq!(opened(&by(vec![raylet(user + 1, &ray)]), root), alone, "another user's raylet");
    assert_eq!(opened(&by(vec![raylet(user, root)]), root), alone, "elsewhere");
    let both = [(root.to_owned(), false), (ray.clone(), true)];
    assert_eq!(opened(&by(vec![raylet(user, &ray)]), root), both);
    let bare = Worker { runtime: Runtime::Bare, ..by(vec![raylet(user, &ray)]) };
    assert_eq!(opened(&bare, root), alone, "what root names there is meant");
    let found = open(&by(vec![raylet(user, &ray)]), &temp_root(root), || TIME).remove(1);
    assert_eq!(found.root.owner, Some(user), "who lays symlinks gets only what is its own");
    assert!(!found.root.leftovers);
}

/// Whoever serves the file system at its end may be gone.
#[test]
fn a_symlink_to_what_does_not_answer_keeps_nothing_but_the_sessions_behind_it() {
    let script = r#"cd "$SCRATCH"; mkdir dead tmp; ln -s ../dead tmp/ray; exec 3<>/dev/fuse
        mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 dead "$SCRATCH/dead" "#;
    let Some(world) = World::start(script) else { return };
    let tmp = world.scratch.join("tmp");
    let worker = Worker { raylets: vec![raylet(0, &tmp.join("ray"))], ..worker_of(world.pid) };
    let opened = open(&worker, &temp_root(&tmp), || Duration::from_secs(2));
    let told = opened.iter().map(|opened| (opened.root.path.as_path(), opened.entered.is_ok()));
    assert_eq!(told.collect::<Vec<_>>(), [(tmp.as_path(), true), (tmp.join("ray").as_path(), false)]);
}

#[test]
fn what_is_mounted_where_sessions_lie_is_a_root_and_lies_in_no_other() {
    let script = r#"cd "$SCRATCH"; mkdir -p tmp/ray tmp/deep/er volume; mount --bind volume tmp/ray"#;
    let Some(world) = World::start(script) else { return };
    let (worker, tmp) = (worker_of(world.pid), world.scratch.join("tmp"));
    assert_eq!(opened(&worker, &tmp), [(tmp.clone(), false), (tmp.join("ray"), true)]);
    let lies = |path: &Path| {
        let opened = open(&worker, &temp_root(path), || TIME).remove(0);
        opened.entered.unwrap().unwrap().1
    };
    let (top, deep, mounted) = (lies(&tmp), lies(&tmp.join("deep/er")), lies(&tmp.join("ray")));
    assert_eq!(top.sessions, Sessions::Mounted);
    assert_eq!(top.root, id(&tmp));
    assert_eq!(deep.above[..2], [id(&tmp.join("deep")), top.root]);
    assert_eq!(mounted.above, [], "a walk does not cross a mount");
    assert_eq!(mounted.root, id(&world.scratch.join("volume")));
}

/// `/` has no other folder above it, however it is asked.
#[test]
fn the_way_up_ends_at_the_top() {
    let script = r#"mount -t tmpfs tmpfs "$SCRATCH"; cd "$SCRATCH"; mkdir -p old tmp; pivot_root . old"#;
    let Some(world) = World::start(script) else { return };
    let opened = open(&worker_of(world.pid), &temp_root(Path::new("/tmp")), || TIME).remove(0);
    let (_, lies) = opened.entered.unwrap().unwrap();
    assert_eq!(lies.above.len(), 1, "{lies:?}");
}

#[test]
fn of_folders_in_one_another_and_of_one_by_two_names_one_is_counted() {
    let folder = |ino| crate::sweeper::FileId { dev: 1, ino };
    let lies = |root, above: &[u64]| Whereabouts {
        root: folder(root),
        above: above.iter().copied().map(folder).collect(),
        device: 1,
        sessions: Sessions::Here,
    };
    let counted = |folders: Vec<Whereabouts>| -> Vec<u64> {
        let apart = apart(folders.into_iter().map(|lies| (lies, ())).collect());
        apart.iter().map(|(lies, ())| lies.root.ino).collect()
    };
    assert_eq!(counted(vec![lies(2, &[1]), lies(3, &[1])]), [2, 3]);
    assert_eq!(counted(vec![lies(2, &[1]), lies(2, &[1])]), [2], "by two names");
    assert_eq!(counted(vec![lies(4, &[3, 2, 1]), lies(2, &[1])]), [2], "in another");
    assert_eq!(counted(vec![lies(2, &[1]), lies(3, &[2, 1]), lies(4, &[3, 2, 1])]), [2]);
}
