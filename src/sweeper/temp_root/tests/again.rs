//! What becomes of what is detached, by the answers to the second look alone.

use rustix::process::{Signal, kill_process};

use super::{super::again::Detached, *};
use crate::{
    domain::report::Class,
    sweeper::{
        FileId,
        candidates::Candidate,
        inside::{Kind, tests::harness::pid_of},
    },
};

fn tree(ino: u64, files: u64) -> Tree {
    Tree {
        id: FileId { dev: 1, ino },
        kind: Kind::Folder,
        owner: 0,
        bytes: 0,
        files,
        newest: Timestamp::UNIX_EPOCH,
        written: Timestamp::UNIX_EPOCH,
        moved: Timestamp::UNIX_EPOCH,
        in_use: vec![],
        sockets: Some(vec![]),
        mount: None,
        image_layer: false,
        other_owner: None,
    }
}

pub(super) fn detached(ino: u64) -> Detached {
    let path = PathBuf::from(format!("tmp{ino}"));
    let candidate = Candidate { class: Class::Tmp, id: FileId { dev: 1, ino }, path: path.clone() };
    Detached { candidate, path, tree: tree(ino, 1) }
}

fn again(looks: Vec<Result<Tree, InsideError>>) -> Again {
    Again::of((1..=4).map(detached).collect(), looks, &Signs::default(), None)
}

#[test]
fn each_is_judged_by_its_own_answer() {
    let again = again(vec![
        Ok(tree(1, 1)),
        Ok(tree(2, 2)),
        Err(InsideError::System("no".to_owned())),
        Ok(tree(4, 1)),
    ]);
    let paths = |of: &[Detached]| of.iter().map(|each| each.path.display().to_string()).collect::<Vec<_>>();
    assert_eq!(paths(&again.may_go), ["tmp1", "tmp4"]);
    let stays: Vec<_> =
        again.stays.iter().map(|(each, keep)| (each.path.to_str().unwrap(), keep.why)).collect();
    assert_eq!(stays, [("tmp2", KeptBecause::InUse), ("tmp3", KeptBecause::Error)]);
    assert!(again.unknown.is_empty() && again.ended.is_none());
}

/// Its owner may move into it what is another user's, as long as it has a name.
#[test]
fn what_has_come_to_hold_another_users_files_stays() {
    let of = |owner, other_owner| Ok(Tree { owner, other_owner, ..tree(1, 1) });
    let stays = |look| {
        let again = Again::of(vec![detached(1)], vec![look], &Signs::default(), Some(7));
        again.stays.first().map(|(_, keep)| keep.why)
    };
    assert_eq!(stays(of(7, None)), None);
    assert_eq!(stays(of(7, Some(8))), Some(KeptBecause::Error));
    assert_eq!(stays(of(8, None)), Some(KeptBecause::Error));
}

#[test]
fn nothing_goes_of_which_the_second_look_was_not_answered() {
    let gone = || Err(InsideError::Gone("killed".to_owned()));
    for looks in [vec![Ok(tree(1, 1)), gone(), gone(), gone()], vec![Ok(tree(1, 1))]] {
        let again = again(looks);
        assert_eq!((again.may_go.len(), again.stays.len(), again.unknown.len()), (1, 0, 3));
        assert!(again.ended.is_some(), "and so does not even the one that was answered");
    }
}

/// The first of a batch may be cleared before the child ends; it is not deleted then.
#[test]
fn a_child_that_ends_between_two_looks_has_nothing_to_delete() {
    let stage = Stage::new();
    for number in 0..200 {
        stage.plant(&format!("tmp{number}"));
    }
    let before = stage.standing();
    let mut inside = enter(stage.root.path());
    let child = pid_of(&inside);
    let signs = only_later(|| {
        kill_process(child, Signal::KILL).unwrap();
        Signs::default()
    });
    let findings = stage.sweep_inside(&mut inside, &signs, &|| None, &|| None);
    assert_eq!(findings.gone(), 0, "{findings:?}");
    drop(inside);
    // The next sweep gives the names back; this one's age keeps all of it.
    let next = Stage { hours_later: 0, root: stage.root, ..Stage::new() };
    next.sweep();
    assert_eq!(next.standing(), before);
}
