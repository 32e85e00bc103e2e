//! Single rules of the order, each by itself.

use super::{
    super::{
        again::{Detached, changed},
        collect::Found,
    },
    *,
};
use crate::sweeper::inside::Kind;

#[test]
fn whatever_grows_or_is_newer_between_two_looks_has_changed() {
    let stage = Stage::new();
    stage.plant("tmpa/x");
    let mut inside = enter(stage.root.path());
    inside.remember(&BTreeSet::new()).unwrap();
    let before = inside.look(Path::new("tmpa")).unwrap();
    let later = before.newest + SignedDuration::from_secs(1);
    assert!(!changed(&before, &before));
    assert!(!changed(&before, &Tree { files: 0, bytes: 0, ..before.clone() }), "a delete of somebody else's");
    assert!(changed(&before, &Tree { files: before.files + 1, ..before.clone() }));
    assert!(changed(&before, &Tree { bytes: before.bytes + 1, ..before.clone() }));
    assert!(changed(&before, &Tree { newest: later, ..before.clone() }));
    let file = Tree { kind: Kind::File, ..before };
    assert!(
        !changed(&file, &Tree { newest: later, ..file.clone() }),
        "its detaching is a change of its ctime"
    );
    assert!(changed(&file, &Tree { newest: later, written: later, ..file.clone() }), "it was written to");
    let earlier = file.written - SignedDuration::from_secs(1);
    assert!(changed(&file, &Tree { written: earlier, ..file.clone() }), "as whoever copies times does");
}

#[test]
fn only_an_error_about_the_child_ends_the_run_and_each_is_told_as_what_it_is() {
    let text = String::new;
    for (error, ends, why) in [
        (InsideError::Gone(text()), true, KeptBecause::Error),
        (InsideError::NotTheWorker(text()), true, KeptBecause::Error),
        (InsideError::Timeout(text()), true, KeptBecause::Deadline),
        (InsideError::NameTooLong, false, KeptBecause::NameTooLong),
        (InsideError::Changed, false, KeptBecause::InUse),
        (InsideError::System(text()), false, KeptBecause::Error),
    ] {
        assert_eq!((because(&error), passing(error.clone()).is_err()), (why, ends), "{error}");
    }
}

#[test]
fn only_a_folder_named_like_a_session_is_one() {
    let stage = Stage { hours_later: 48, ..Stage::new() };
    stage.plant("ray/session_1/data/x");
    stage.plant("ray/mine/x");
    stage.plant("ray/session_2");
    let findings = stage.sweep();
    assert_eq!(removed(&findings), ["ray/session_1/data"]);
    assert!(stage.path("ray/mine/x").exists() && stage.path("ray/session_2").exists());
}

#[test]
fn what_was_looked_at_by_the_name_of_a_candidate_and_is_another_file_says_nothing() {
    let Detached { candidate, tree, .. } = again::detached(1);
    assert!(Found::looked_at(candidate.clone(), tree.clone()).tree.is_some());
    let other = Tree { id: again::detached(2).tree.id, ..tree };
    assert!(Found::looked_at(candidate, other).tree.is_none());
}

#[test]
fn what_could_not_be_handled_stays_and_is_told() {
    let stage = Stage::new();
    let name = format!("tmp{}", "a".repeat(252));
    stage.plant(&name);
    stage.plant("tmpb");
    let findings = stage.sweep();
    assert_eq!(kept(&findings), [(name.as_str(), KeptBecause::NameTooLong)]);
    assert_eq!(removed(&findings), ["tmpb"]);
}

#[test]
fn a_session_that_is_a_mount_is_live() {
    let script = r#"mkdir -p "$SCRATCH/ray/session_1"; mount -t tmpfs tmpfs "$SCRATCH/ray/session_1"
        mkdir "$SCRATCH/ray/session_1/data"; echo x >"$SCRATCH/ray/session_1/data/x""#;
    let Some(world) = World::start(script) else { return };
    let mut inside = world.enter(world.scratch.to_str().unwrap());
    let stage = Stage { hours_later: 48, ..Stage::new() };
    let findings = stage.sweep_inside(&mut inside, &|| Ok(Signs::default()), &|| None, &|| None);
    assert!(findings.removed.is_empty() && findings.kept.is_empty(), "{findings:?}");
    assert!(world.path(&world.scratch.join("ray/session_1/data/x").display().to_string()).exists());
}

/// Whoever has a disk for logs lays `logs` there.
#[test]
fn a_living_session_whose_logs_lie_elsewhere_has_none_of_ours_and_nothing_is_wrong() {
    let script = r#"cd "$SCRATCH"; mkdir -p ray/session_1/logs/old ray/session_2 ray/session_3 elsewhere/old
        echo x >ray/session_1/logs/old/x; mount -t tmpfs tmpfs ray/session_1/logs/old
        echo x >elsewhere/old/x; ln -s ../../elsewhere ray/session_2/logs; echo x >ray/session_3/logs"#;
    let Some(world) = World::start(script) else { return };
    let mut inside = world.enter(world.scratch.to_str().unwrap());
    let stage = Stage { hours_later: 24 * 400, ..Stage::new() };
    let names = (1..=3).map(|number| (7, format!("--session_dir=/tmp/ray/session_{number}"))).collect();
    let alive = Signs { arguments: names, ..Signs::default() };
    let findings = stage.sweep_inside(&mut inside, &|| Ok(alive.clone()), &|| None, &|| None);
    assert_eq!((findings.errors, findings.removed.len()), (vec![], 0));
    assert!(world.scratch.join("elsewhere/old/x").exists());
}

/// To remove what is mounted on there takes the mount away without a word; what is mounted elsewhere is held by
/// nothing but the mount.
#[test]
fn a_mount_of_another_namespace_keeps_what_it_lies_on_and_what_it_is_made_of() {
    // Not in one word: the script is an argument, and would keep what it names.
    let script = r#"cd "$SCRATCH"; a=ws b=data c=other; mkdir tmp_$a tmp_$b tmp_$c work; echo x >tmp_$a/x
        mount --bind tmp_$a work; mount -t tmpfs tmpfs tmp_$b; echo x >tmp_$b/x"#;
    let Some(world) = World::start(script) else { return };
    let of_the_world = || Signs::of(i32::try_from(world.pid).unwrap());
    let mut inside = enter(&world.scratch);
    let findings = Stage::new().sweep_inside(&mut inside, &of_the_world, &|| None, &|| None);
    let mut stays = kept(&findings);
    stays.sort_unstable_by_key(|(path, _)| *path);
    assert_eq!(stays, [("tmp_data", KeptBecause::InUse), ("tmp_ws", KeptBecause::InUse)], "{findings:?}");
    assert_eq!(removed(&findings), ["tmp_other"]);
    for file in ["tmp_data/x", "work/x"] {
        assert!(world.path(&world.scratch.join(file).display().to_string()).exists(), "{file}");
    }
}
