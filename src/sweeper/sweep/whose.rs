//! Whose the temp roots are, as the reports tell it.

use globset::GlobSet;

use super::{Root, naming::has_leftovers};
use crate::{
    domain::report::{Verdict, WorkerReport},
    sweeper::{discover::Worker, processes::Snapshot, sharing::Neighbours},
};

/// A container that is named like a worker and has no temporary folder has nothing that could go.
pub(super) fn tell_of_no_root(roots: &[Root], reports: &mut [WorkerReport]) {
    for (index, report) in reports.iter_mut().enumerate() {
        let has_root = roots.iter().any(|root| root.members.contains(&index));
        if !has_root && report.errors.is_empty() {
            report.verdict = Verdict::NothingToRemove;
            report.note = Some("has no temporary folder".to_owned());
        }
    }
}

/// What somebody who is not judged may hold by name alone stays.
pub(super) fn spare_what_strangers_share(
    roots: &mut [Root],
    workers: &[Worker],
    own: &GlobSet,
    reports: &mut [WorkerReport],
) {
    let read = Snapshot::read().and_then(|processes| Ok((Neighbours::read(&processes)?, processes)));
    for root in roots.iter_mut().filter(|root| has_leftovers(&root.namings)) {
        let members: Vec<&Worker> = root.members.iter().map(|index| &workers[*index]).collect();
        let stranger = match &read {
            Ok((others, processes)) => root.place.stranger(&members, processes, others),
            Err(error) => Some(error.to_string()),
        };
        let stranger = stranger.or_else(|| root.place.of_the_host(own));
        let Some(why) = stranger else { continue };
        for index in &root.members {
            reports[*index].note =
                Some(format!("its temp root is not its alone, so only dead sessions may go: {why}"));
        }
        root.shared_with = Some(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Such as a sidecar of a scratch image that is called as the workers are.
    #[test]
    fn a_worker_without_a_temporary_folder_has_nothing_to_remove_and_has_not_failed() {
        let mut reports = ["sidecar", "broken"].map(|name| WorkerReport::blank(name, "docker"));
        reports[1].errors.push("it could not be entered".to_owned());
        tell_of_no_root(&[], &mut reports);
        assert_eq!(reports[0].verdict, Verdict::NothingToRemove);
        assert_eq!(reports[0].note.as_deref(), Some("has no temporary folder"));
        assert_eq!((reports[1].verdict, reports[1].note.as_deref()), (Verdict::Failed, None));
    }
}
