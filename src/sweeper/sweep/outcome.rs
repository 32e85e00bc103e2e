//! From what was found to a verdict a worker, and from all verdicts to one outcome.

use crate::domain::{
    attempt::Outcome,
    evidence::WorkerState,
    report::{KeptBecause, PruneReport, Verdict, WorkerReport},
};

/// The verdict on a worker whose temp roots were swept.
pub(super) fn verdict_of(report: &WorkerReport, deletes: bool) -> Verdict {
    let something_goes = !report.removed.is_empty();
    match report.state {
        _ if something_goes && deletes => Verdict::Cleaned,
        _ if something_goes => Verdict::WouldClean,
        _ if !report.errors.is_empty() => Verdict::Failed,
        Some(WorkerState::Active) => Verdict::Active,
        _ => Verdict::NothingToRemove,
    }
}

/// How the whole sweep ended: what was freed counts first; then that somebody has put the host on hold
/// meanwhile; then what is held by work in progress, which is worth another look soon; then failures; then
/// nothing. A worker that is never swept, such as a rootless container, is no failure of a sweep that had others: it would hide what those came to, each time.
pub(super) fn outcome_of(
    workers: &[WorkerReport],
    refused: &[WorkerReport],
    prune: Option<&PruneReport>,
    is_on_hold: bool,
) -> Outcome {
    let any = |verdict: Verdict| workers.iter().any(|worker| worker.verdict == verdict);
    let has_failed = any(Verdict::Failed) || workers.is_empty() && !refused.is_empty();
    let pruned = prune.is_some_and(|prune| prune.freed_bytes > 0);
    if any(Verdict::Cleaned) || pruned {
        Outcome::Freed
    } else if any(Verdict::WouldClean) {
        Outcome::WouldFree
    } else if is_on_hold {
        Outcome::Held
    } else if any(Verdict::Active) || workers.iter().any(holds_for_work) {
        Outcome::Active
    } else if has_failed {
        Outcome::Failed
    } else {
        Outcome::NothingToFree
    }
}

/// Whether something stays only because work may come back for it.
fn holds_for_work(worker: &WorkerReport) -> bool {
    worker.kept.iter().any(|kept| matches!(kept.why, KeptBecause::JobAlive | KeptBecause::WorkerActive))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report::{Class, Kept, Removed};

    fn worker(verdict: Verdict) -> WorkerReport {
        WorkerReport { verdict, ..WorkerReport::blank("w", "docker") }
    }

    #[test]
    fn what_was_freed_counts_before_what_is_held() {
        let freed = [worker(Verdict::Active), worker(Verdict::Cleaned), worker(Verdict::Failed)];
        assert_eq!(outcome_of(&freed, &[], None, false), Outcome::Freed);
        assert_eq!(outcome_of(&freed[..1], &[], None, false), Outcome::Active);
        assert_eq!(outcome_of(&[worker(Verdict::WouldClean)], &[], None, false), Outcome::WouldFree);
        assert_eq!(outcome_of(&[], &[], None, false), Outcome::NothingToFree);
        assert_eq!(outcome_of(&[worker(Verdict::Failed)], &[], None, false), Outcome::Failed);
        let pruned = PruneReport { freed_bytes: 1, ..PruneReport::default() };
        assert_eq!(
            outcome_of(&[worker(Verdict::NothingToRemove)], &[], Some(&pruned), false),
            Outcome::Freed
        );
        let in_vain = PruneReport::default();
        assert_eq!(outcome_of(&[worker(Verdict::Active)], &[], Some(&in_vain), false), Outcome::Active);
    }

    /// The host's period is not spent by it, as it is by a failure.
    #[test]
    fn a_hold_that_comes_during_the_sweep_is_its_outcome_unless_something_was_freed() {
        for (verdict, outcome) in [
            (Verdict::Cleaned, Outcome::Freed),
            (Verdict::Active, Outcome::Held),
            (Verdict::Failed, Outcome::Held),
            (Verdict::NothingToRemove, Outcome::Held),
        ] {
            assert_eq!(outcome_of(&[worker(verdict)], &[], None, true), outcome, "{verdict:?}");
        }
    }

    /// A rootless container beside Ray is refused in every sweep of its host.
    #[test]
    fn a_worker_that_is_never_swept_hides_nothing_of_the_others() {
        let refused = [worker(Verdict::Failed)];
        for (verdict, outcome) in [
            (Verdict::NothingToRemove, Outcome::NothingToFree),
            (Verdict::Active, Outcome::Active),
            (Verdict::Failed, Outcome::Failed),
        ] {
            assert_eq!(outcome_of(&[worker(verdict)], &refused, None, false), outcome);
        }
        assert_eq!(outcome_of(&[], &refused, None, false), Outcome::Failed, "there is nobody else");
    }

    #[test]
    fn a_leftover_that_waits_for_a_job_is_worth_another_look() {
        let kept = |why| Kept {
            class: Class::Tmp,
            path: "tmpa".into(),
            bytes: 1,
            why,
            detail: String::new(),
            pid: None,
        };
        let waits =
            WorkerReport { kept: vec![kept(KeptBecause::JobAlive)], ..worker(Verdict::NothingToRemove) };
        assert_eq!(outcome_of(&[waits], &[], None, false), Outcome::Active);
        let young =
            WorkerReport { kept: vec![kept(KeptBecause::TooYoung)], ..worker(Verdict::NothingToRemove) };
        assert_eq!(outcome_of(&[young], &[], None, false), Outcome::NothingToFree);
    }

    #[test]
    fn a_verdict_names_what_went_before_what_went_wrong() {
        let removed = Removed { class: Class::Tmp, path: "tmpa".into(), bytes: 1, files: 1 };
        let mut report =
            WorkerReport { removed: vec![removed], errors: vec!["x".into()], ..worker(Verdict::Failed) };
        assert_eq!(verdict_of(&report, true), Verdict::Cleaned);
        assert_eq!(verdict_of(&report, false), Verdict::WouldClean);
        report.removed.clear();
        assert_eq!(verdict_of(&report, true), Verdict::Failed);
        report.errors.clear();
        report.state = Some(WorkerState::Active);
        assert_eq!(verdict_of(&report, true), Verdict::Active);
        for resting in [None, Some(WorkerState::NoJob), Some(WorkerState::InJob)] {
            report.state = resting;
            assert_eq!(verdict_of(&report, true), Verdict::NothingToRemove);
        }
    }
}
