//! Over real folders, in namespaces made for a test.

use super::*;
use crate::{
    config::schedule::Schedule,
    sweeper::{
        discover::TempRoot,
        inside::tests::harness::{World, worker_of},
    },
};

fn worker_with(pid: u32, temp_roots: &[&Path]) -> Worker {
    let root = |path: &&Path| TempRoot {
        path: (*path).to_owned(),
        sessions: "ray".into(),
        leftovers: true,
        owner: None,
    };
    Worker { temp_roots: temp_roots.iter().map(root).collect(), ..worker_of(pid) }
}

/// What is counted of this worker: folder by folder, and how much of it all together.
fn counted(worker: &Worker) -> (Vec<PathBuf>, u64) {
    let state = State::read(Path::new("/nonexistent"), &Schedule::default(), Timestamp::now());
    let roots = roots_of(worker, &state, Instant::now() + ASKING);
    let used = roots.iter().map(|(path, _)| usage(worker, path).unwrap().used_bytes).sum();
    (roots.into_iter().map(|(path, _)| path).collect(), used)
}

#[test]
fn a_folder_that_lies_in_another_or_has_two_names_is_counted_once() {
    let script =
        r#"cd "$SCRATCH"; mkdir -p tmp/job; ln -s tmp link; head -c 3000000 /dev/zero >tmp/job/file"#;
    let Some(world) = World::start(script) else { return };
    let [tmp, job, link, none] = ["tmp", "tmp/job", "link", "none"].map(|name| world.scratch.join(name));
    let worker = worker_with(world.pid, &[&job, &tmp, &link, &none]);
    let (folders, used) = counted(&worker);
    assert_eq!(folders, [tmp]);
    assert!((3_000_000..4_000_000).contains(&used), "{used}");
}

/// The way out of a small `/tmp`; it fills like any other.
#[test]
fn sessions_on_a_volume_are_counted_with_the_rest() {
    let script = r#"cd "$SCRATCH"; mkdir -p tmp/ray volume; mount --bind volume tmp/ray
        head -c 3000000 /dev/zero >volume/file; head -c 2000000 /dev/zero >tmp/file"#;
    let Some(world) = World::start(script) else { return };
    let tmp = world.scratch.join("tmp");
    let (folders, used) = counted(&worker_with(world.pid, &[&tmp]));
    assert_eq!(folders, [tmp.clone(), tmp.join("ray")]);
    assert!((5_000_000..6_000_000).contains(&used), "{used}");
}

/// Ten seconds of each disk that does not answer are soon more than a run has.
#[test]
fn when_the_time_is_over_a_worker_keeps_what_was_measured_of_it_before() {
    let scratch = tempfile::tempdir().unwrap();
    let worker = worker_with(std::process::id(), &[scratch.path()]);
    let other = Worker { name: "other".to_owned(), ..worker_with(std::process::id(), &[scratch.path()]) };
    let mut state = State::read(Path::new("/nonexistent"), &Schedule::default(), Timestamp::now());
    let known = roots_of(&worker, &state, Instant::now() + ASKING);
    state.roots = known.iter().map(|(_, root)| root.clone()).collect();
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    assert_eq!(roots_of(&worker, &state, past), known);
    assert_eq!(roots_of(&other, &state, past), [], "of which nothing is known");
}

#[test]
fn whoever_asks_whether_a_sweep_could_is_told_of_folders_that_are_there() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("file"), "").unwrap();
    let (none, file) = (scratch.path().join("none"), scratch.path().join("file"));
    let worker = worker_with(std::process::id(), &[scratch.path(), &none, &file]);
    let opened = worker.temp_roots.iter().flat_map(|root| roots::open(&worker, root, || ASKING));
    let told: Vec<_> = opened.filter_map(|opened| seen(&worker, opened)).collect();
    let told: Vec<_> = told.iter().map(|seen| (seen.root.as_path(), seen.trouble.is_some())).collect();
    assert_eq!(told, [(scratch.path(), false), (file.as_path(), true)]);
}
