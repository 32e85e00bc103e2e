//! A turn that ends before the sweep does.

use std::time::Instant;

use super::*;

#[test]
fn when_its_turn_is_over_nothing_goes_and_it_says_so_at_once() {
    let stage = Stage::new();
    for number in 0..3 {
        stage.plant(&format!("tmp{number}"));
    }
    stage.plant("tmpfolder/x");
    stage.plant("ray/session_2026-01-05_1/data/x");
    let before = stage.standing();
    let mut inside = enter(stage.root.path());
    inside.end_by(Instant::now()).unwrap();
    let findings = stage.sweep_inside(&mut inside, &|| Ok(Signs::default()), &|| None, &|| None);
    assert_eq!(findings.gone(), 0, "{findings:?}");
    assert!(findings.kept.iter().all(|kept| kept.why == KeptBecause::Deadline), "{findings:?}");
    assert!(findings.unseen.as_deref().is_some_and(|unseen| unseen.contains("time to look")), "{findings:?}");
    assert_eq!(findings.errors, Vec::<String>::new());
    assert_eq!(stage.standing(), before);
    assert!(inside.disk().is_ok(), "it is asked on");

    inside.end_by(Instant::now() + Duration::from_hours(1)).unwrap();
    let findings = stage.sweep_inside(&mut inside, &|| Ok(Signs::default()), &|| None, &|| None);
    assert_eq!(findings.unseen, None, "the end of the whole time stands");
    assert_eq!(stage.standing(), ["ray", "ray/session_2026-01-05_1"]);
}

/// What is off its name when the turn ends has it back, and is whole.
#[test]
fn what_a_turn_has_no_time_to_delete_has_its_name_back() {
    let stage = Stage::new();
    stage.plant("tmp7/x");
    let mut inside = enter(stage.root.path());
    let id = id(&stage.path("tmp7"));
    let detached = inside.detach(Path::new("tmp7"), id, AttemptId::now()).unwrap();
    inside.end_by(Instant::now()).unwrap();
    let deleted = inside.delete(&detached, id).unwrap();
    assert!(!deleted.complete && deleted.files == 0, "{deleted:?}");
    assert_eq!(stage.standing(), ["tmp7", "tmp7/x"]);
}
