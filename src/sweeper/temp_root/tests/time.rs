//! Looking that takes longer than it may.

use super::*;

/// Without any time a file is looked at all the same, and no folder is looked into.
const NO_TIME: u32 = u32::MAX;

#[test]
fn what_was_looked_at_in_time_goes_and_the_rest_stays_and_is_said() {
    let stage = Stage { looking: NO_TIME, ..Stage::new() };
    stage.plant("tmpfile");
    stage.plant("tmpfolder/x");
    let findings = stage.sweep();
    assert_eq!(removed(&findings), ["tmpfile"], "{findings:?}");
    assert_eq!(kept(&findings), [("tmpfolder", KeptBecause::Deadline)]);
    assert!(findings.unseen.as_deref().is_some_and(|unseen| unseen.contains("time to look")), "{findings:?}");
    assert_eq!(findings.errors, Vec::<String>::new());
    assert_eq!(stage.standing(), ["tmpfolder", "tmpfolder/x"]);
}

#[test]
fn a_session_that_there_was_no_time_to_look_at_keeps_all_it_has() {
    let stage = Stage { looking: NO_TIME, hours_later: 48, ..Stage::new() };
    for path in ["ray_spilled_objects/x", "logs/old/x", "logs/worker-a-01-7.out"] {
        stage.plant(&format!("ray/session_2026-01-05_1/{path}"));
    }
    let before = stage.standing();
    let findings = stage.sweep();
    assert_eq!(kept(&findings), [("ray/session_2026-01-05_1", KeptBecause::Deadline)]);
    assert_eq!(stage.standing(), before);
    Stage { looking: 2, ..stage }.sweep();
}

/// Whoever looks at everything before anything goes frees nothing of a host whose looking takes too long.
#[test]
fn what_is_dead_is_gone_before_a_leftover_is_looked_at() {
    let stage = Stage::new();
    stage.plant("tmpa/x");
    stage.plant("ray/session_2026-01-05_1/ray_spilled_objects/x");
    let asked = Cell::new(false);
    let held = || asked.replace(true).then(|| "stop".to_owned());
    let mut inside = enter(stage.root.path());
    stage.sweep_inside(&mut inside, &|| Ok(Signs::default()), &|| None, &held);
    assert_eq!(stage.standing(), ["ray", "ray/session_2026-01-05_1", "tmpa", "tmpa/x"]);
}

#[test]
fn lists_of_sessions_that_are_cut_cut_no_checkpoints() {
    let stage = Stage { listed_at_once: 2, ..Stage::new() };
    for session in 1..4 {
        stage.plant(&format!("ray/session_2026-01-0{session}_1/data/x"));
    }
    stage.plant("checkpoint_tmp_a/x");
    let findings = stage.sweep();
    assert!(!stage.path("checkpoint_tmp_a").exists(), "{findings:?}");
    assert_eq!(findings.errors, Vec::<String>::new());
}
