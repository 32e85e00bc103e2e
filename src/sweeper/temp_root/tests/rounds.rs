//! More than one list, one look or one batch holds.

use super::super::findings::Cut;
use super::*;
use crate::domain::report::{Class, LISTED};

#[test]
fn more_leftovers_than_one_list_holds_all_go_in_rounds() {
    let stage = Stage { listed_at_once: 10, ..Stage::new() };
    for number in 0..45 {
        stage.plant(&format!("tmp{number}/x"));
    }
    stage.plant("checkpoint_tmp_a/x");
    stage.plant("other");
    let findings = stage.sweep();
    assert_eq!((findings.gone(), findings.unseen.as_deref()), (46, None));
    assert_eq!(stage.standing(), ["other"]);
}

#[test]
fn rounds_end_when_they_get_nothing_done_and_the_report_says_so() {
    let stage = Stage { listed_at_once: 10, hours_later: 0, ..Stage::new() };
    for number in 0..25 {
        stage.plant(&format!("tmp{number}"));
    }
    let findings = stage.sweep();
    assert_eq!((findings.gone(), findings.kept.len()), (0, 10));
    assert!(findings.unseen.is_some_and(|unseen| unseen.contains("more entries")));
    assert_eq!(stage.standing().len(), 25);
}

/// The lock that keeps a checkpoint may be the very name that a list left out.
#[test]
fn of_more_checkpoints_than_one_list_holds_none_is_looked_at() {
    let mut stage = Stage { listed_at_once: 10, ..Stage::new() };
    for number in 0..8 {
        stage.plant(&format!("checkpoint_tmp_{number}/x"));
        stage.plant(&format!("checkpoint_tmp_{number}.del_lock_7"));
    }
    stage.live_pids.insert(7);
    stage.plant("tmpa");
    let findings = stage.sweep();
    assert_eq!(removed(&findings), ["tmpa"]);
    assert_eq!(stage.standing().len(), 24);
    // It ends by itself: the child's deadline would be a second error.
    let [error] = findings.errors.as_slice() else { panic!("{findings:?}") };
    assert!(error.contains("checkpoint_tmp_") && findings.unseen.is_some(), "{findings:?}");
}

#[test]
fn more_leftovers_than_one_batch_all_go() {
    let stage = Stage::new();
    for number in 0..=DETACHED_AT_ONCE {
        stage.plant(&format!("tmp{number}"));
    }
    let findings = stage.sweep();
    assert_eq!(findings.gone(), DETACHED_AT_ONCE as u64 + 1);
    assert_eq!(stage.standing(), Vec::<String>::new());
    assert!(findings.removed.len() < 2 * LISTED, "only the largest are listed");
    assert!(findings.freed_bytes >= 5000 * findings.gone(), "{}", findings.freed_bytes);
}

#[test]
fn a_hold_that_comes_during_the_sweep_ends_it_before_the_next_batch() {
    let stage = Stage::new();
    for number in 0..=DETACHED_AT_ONCE {
        stage.plant(&format!("tmp{number}"));
    }
    let asked = Cell::new(false);
    let held = || asked.replace(true).then(|| "stop".to_owned());
    let mut inside = enter(stage.root.path());
    let findings = stage.sweep_inside(&mut inside, &|| Ok(Signs::default()), &|| None, &held);
    assert_eq!(findings.gone(), DETACHED_AT_ONCE as u64);
    assert_eq!(stage.standing().len(), 1);
    assert_eq!((findings.held.as_deref(), findings.errors.len()), (Some("stop"), 0), "that is no error");
}

/// Its use may lie in what a list left out.
#[test]
fn a_session_with_more_in_it_than_one_list_holds_is_live_by_any_part_of_it() {
    let stage = Stage { listed_at_once: 4, ..Stage::new() };
    for part in 0..9 {
        stage.plant(&format!("ray/session_2026-01-05_1/part{part}/x"));
    }
    let before = stage.standing();
    for part in 0..9 {
        let used = id(&stage.path(&format!("ray/session_2026-01-05_1/part{part}/x")));
        let signs = move || {
            let mut signs = Signs::default();
            signs.files.insert(used, 7);
            Ok(signs)
        };
        stage.sweep_with(&signs, &|| None);
        assert_eq!(stage.standing(), before, "part{part} is in use");
    }
    stage.sweep();
    assert_eq!(stage.standing(), ["ray", "ray/session_2026-01-05_1"], "in several rounds");
}

fn removed_of(bytes: u64) -> Removed {
    Removed { class: Class::Tmp, path: "tmpa".to_owned(), bytes, files: 1 }
}

#[test]
fn lists_hold_the_largest_and_say_how_many_they_have_lost() {
    let mut findings = Findings::default();
    let kept = |bytes| Kept {
        class: Class::Tmp,
        path: "tmpa".to_owned(),
        bytes,
        why: KeptBecause::TooYoung,
        detail: String::new(),
        pid: None,
    };
    let (listed, most) = (LISTED as u64, 2 * LISTED as u64);
    for bytes in 1..most {
        findings.remove(removed_of(bytes));
        findings.keep(kept(bytes));
    }
    assert_eq!((findings.removed.len(), findings.kept.len()), (2 * LISTED - 1, 2 * LISTED - 1));
    assert_eq!(findings.cut, Cut::default());
    for bytes in most..=2 * most {
        findings.remove(removed_of(bytes));
        findings.keep(kept(bytes));
    }
    let all = 2 * most;
    assert_eq!((findings.cut.removed, findings.cut.kept), (3 * listed, 3 * listed));
    assert_eq!((findings.gone(), findings.freed_bytes), (all, all * (all + 1) / 2));
    assert!(findings.kept.iter().any(|kept| kept.bytes == all));
    assert!(findings.kept.iter().all(|kept| kept.bytes > 3 * listed));
}

#[test]
fn errors_are_told_once_and_no_more_of_them_than_are_listed() {
    let mut findings = Findings::default();
    for number in 0..LISTED + 3 {
        findings.error(&format!("error {number}"));
        findings.error("error 0");
    }
    assert_eq!((findings.errors.len(), findings.cut.errors), (LISTED, 3));
}

#[test]
fn a_batch_holds_few_files_or_one_tree() {
    let trees = [15_000, 5_000, 1, 25_000, 1, 1].map(|files| {
        let each = again::detached(1);
        (each.candidate, Tree { files, ..each.tree })
    });
    let files = |batch: Vec<(Candidate, Tree)>| batch.iter().map(|(_, tree)| tree.files).collect::<Vec<_>>();
    let found: Vec<_> = batches(trees.to_vec()).map(files).collect();
    assert_eq!(found, [vec![15_000, 5_000], vec![1], vec![25_000], vec![1, 1]]);
}
