//! Many requests on their way at once.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::harness::{enter, id, pid_of};
use crate::{
    domain::attempt::AttemptId,
    sweeper::inside::{InsideError, Restored},
};

/// More than are on their way at once, several times.
const MANY: usize = 300;

/// Names that are long on the wire: what is not UTF-8 takes up to four bytes for each of its own.
fn plant(root: &Path) -> Vec<PathBuf> {
    let names: Vec<PathBuf> = (0..MANY)
        .map(|number| {
            let mut name = format!("tmp{number:03}").into_bytes();
            name.resize(200, 0xFF);
            PathBuf::from(std::ffi::OsStr::from_bytes(&name))
        })
        .collect();
    for name in &names {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join("x"), "x").unwrap();
    }
    names
}

#[test]
fn every_answer_is_that_of_its_own_request() {
    let root = tempfile::tempdir().unwrap();
    let names = plant(root.path());
    let ids: Vec<_> = names.iter().map(|name| id(&root.path().join(name))).collect();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::rename(root.path().join(&names[100]), elsewhere.path().join("x")).unwrap();
    let mut inside = enter(root.path());
    inside.remember(&BTreeSet::new()).unwrap();

    let looks = inside.look_all(names.iter().map(PathBuf::as_path));
    let seen: Vec<_> = looks.iter().map(|look| look.as_ref().ok().map(|tree| tree.id)).collect();
    let there: Vec<_> = ids.iter().enumerate().map(|(at, id)| (at != 100).then_some(*id)).collect();
    assert_eq!(seen, there);

    let entries = names.iter().map(PathBuf::as_path).zip(ids.iter().copied());
    let detached = inside.detach_all(entries, AttemptId::now());
    assert_eq!(detached[100], Err(InsideError::NotFound));
    let detached: Vec<PathBuf> = detached.into_iter().flatten().collect();
    assert_eq!(detached.len(), MANY - 1);

    let (stay, go) = detached.split_at(50);
    let restored = inside.restore_all(stay.iter().map(PathBuf::as_path));
    assert!(restored.iter().all(|restored| *restored == Ok(Restored::InPlace)), "{restored:?}");
    let ids: Vec<_> = there.into_iter().flatten().skip(50).collect();
    let deleted = inside.delete_all(go.iter().map(PathBuf::as_path).zip(ids), None);
    assert_eq!(
        deleted.iter().filter(|deleted| deleted.as_ref().is_ok_and(|it| it.complete)).count(),
        go.len()
    );
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 50);
}

#[test]
fn a_child_that_is_gone_answers_each_with_its_end() {
    let root = tempfile::tempdir().unwrap();
    let names = plant(root.path());
    let mut inside = enter(root.path());
    rustix::process::kill_process(pid_of(&inside), rustix::process::Signal::KILL).unwrap();
    let looks = inside.look_all(names.iter().map(PathBuf::as_path));
    assert_eq!(looks.len(), MANY);
    assert!(looks.iter().all(|look| matches!(look, Err(InsideError::Gone(_)))));
}
