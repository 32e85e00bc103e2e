//! All workers judged over one sampling window.

use std::{
    collections::BTreeSet,
    io, thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::runtime::Runtime;

use super::Root;
use crate::{
    config::sweep::{Activity, RayApi, SweepSettings},
    domain::{
        evidence::{Evidence, EvidenceKind, WorkerState},
        report::WorkerReport,
    },
    sweeper::{
        candidates::Situation,
        discover::Worker,
        evidence::{Judgement, judge},
        jobs::{self, Jobs},
        processes::Snapshot,
        ray_api,
    },
};

/// What is known of every worker after the window. A worker whose temp roots are not swept has no entry.
pub(super) struct Judged {
    workers: Vec<Option<(Judgement, Jobs)>>,
    after: Snapshot,
    ended: Instant,
    now: Timestamp,
}

/// The one sampling window, from its first reading of /proc on.
#[derive(Debug)]
pub(super) struct Window {
    before: Snapshot,
    began: Instant,
}

impl Window {
    pub(super) fn open() -> io::Result<Self> {
        let before = Snapshot::read()?;
        Ok(Self { before, began: Instant::now() })
    }

    /// What runs as the window opens.
    pub(super) fn processes(&self) -> &Snapshot {
        &self.before
    }

    /// Waits until it has lasted so long. One that has been open for much longer is opened anew: what
    /// used the CPU for a moment would be lost in it.
    fn wait(self, length: Duration) -> io::Result<Self> {
        let this = if self.began.elapsed() > length * 2 { Self::open()? } else { self };
        thread::sleep(length.saturating_sub(this.began.elapsed()));
        Ok(this)
    }
}

impl Judged {
    /// Samples all workers over one window. What is done while it is open is seen at neither end of it:
    /// the question to Ray, which is itself a process in the worker, has ended by then.
    pub(super) fn by_one_window(
        settings: &SweepSettings,
        workers: &[Worker],
        roots: &[Root],
        window: Window,
        runtime: &Runtime,
        deadline: Instant,
    ) -> Self {
        let concerned: BTreeSet<usize> = roots.iter().flat_map(|root| root.members.iter().copied()).collect();
        let until = asking_until(Instant::now(), deadline);
        let asked = concerned.iter().map(|index| jobs::ask(&workers[*index], settings, until));
        let answers = runtime.block_on(join_all(asked));
        let length = if concerned.is_empty() { Duration::ZERO } else { settings.activity.sampling_window.0 };
        let api = api_to_ask(&settings.activity, &concerned);
        let api = api.map(|api| ray_api::ask(api, settings.activity.ray_timeout.0));
        let window = window.wait(length);
        let after = Snapshot::read();
        let mut judged: Vec<Option<(Judgement, Jobs)>> = workers.iter().map(|_| None).collect();
        for (index, jobs) in concerned.into_iter().zip(answers) {
            let judgement = match (&window, &after) {
                (Ok(Window { before, began }), Ok(after)) => {
                    judge(&workers[index], before, after, began.elapsed(), &jobs, &settings.activity)
                }
                (Err(error), _) | (_, Err(error)) => unreadable(error),
            };
            let judgement = match api.as_ref().and_then(|api| api.sign(&workers[index])) {
                Some(sign) => judgement.with(sign),
                None => judgement,
            };
            judged[index] = Some((judgement, jobs));
        }
        Self {
            workers: judged,
            after: after.unwrap_or_default(),
            ended: Instant::now(),
            now: Timestamp::now(),
        }
    }

    /// Puts states and evidence into the reports.
    pub(super) fn tell(&self, reports: &mut [WorkerReport]) {
        for (report, judged) in reports.iter_mut().zip(&self.workers) {
            if let Some((judgement, _)) = judged {
                report.state = Some(judgement.state);
                report.evidence.clone_from(&judgement.evidence);
            }
        }
    }

    /// A temp root is judged by all workers that share it: the busiest decides, and every job counts.
    pub(super) fn situation(&self, members: &[usize], set_forward: Duration) -> SharedSituation {
        let all = members.iter().map(|index| self.workers[*index].as_ref());
        let (state, jobs) = (WorkerState::NoJob, Jobs::Known(vec![]));
        let mut shared = SharedSituation { state, jobs, now: self.now, set_forward };
        for one in all {
            let Some((judgement, jobs)) = one else {
                shared.state = WorkerState::Active;
                continue;
            };
            shared.state = shared.state.max(judgement.state);
            shared.jobs = both(shared.jobs, jobs.clone());
        }
        shared
    }

    /// What is at work now in any of these workers that was not at the end of the window.
    pub(super) fn awake(
        &self,
        now: &Snapshot,
        workers: &[Worker],
        members: &[usize],
        settings: &SweepSettings,
    ) -> Option<String> {
        members.iter().find_map(|index| {
            let Some((_, jobs)) = &self.workers[*index] else { return Some("not judged".to_owned()) };
            let window = self.ended.elapsed();
            let judgement = judge(&workers[*index], &self.after, now, window, jobs, &settings.activity);
            judgement.evidence.into_iter().find(works).map(|sign| sign.detail)
        })
    }

    /// Pids that are alive in these workers, as they number them themselves.
    pub(super) fn pids_inside(&self, workers: &[Worker], members: &[usize]) -> BTreeSet<i32> {
        let namespaces: BTreeSet<_> = members.iter().map(|index| workers[*index].pid_namespace).collect();
        let processes =
            self.after.processes.iter().filter(|process| namespaces.contains(&process.namespaces.pid));
        processes.map(|process| process.inner_pid).collect()
    }
}

/// The situation of a shared temp root, owned.
pub(super) struct SharedSituation {
    state: WorkerState,
    jobs: Jobs,
    now: Timestamp,
    set_forward: Duration,
}

impl SharedSituation {
    pub(super) fn rules<'a>(
        &'a self,
        settings: &'a SweepSettings,
        owner: Option<u32>,
        shared_with: Option<&'a str>,
    ) -> Situation<'a> {
        Situation {
            state: self.state,
            jobs: &self.jobs,
            now: self.now,
            ages: &settings.ages,
            owner,
            shared_with,
            set_forward: self.set_forward,
        }
    }
}

/// All workers together are asked for a quarter of the time that is left: where a head is down each of
/// them takes its whole time, and what is dead could go all the same.
fn asking_until(now: Instant, deadline: Instant) -> Instant {
    now + deadline.saturating_duration_since(now) / 4
}

/// Ray's own API, unless there is nobody whom it could speak of.
fn api_to_ask<'a>(activity: &'a Activity, concerned: &BTreeSet<usize>) -> Option<&'a RayApi> {
    activity.ray_api.as_ref().filter(|_| !concerned.is_empty())
}

fn unreadable(error: &std::io::Error) -> Judgement {
    let sign = Evidence::new(EvidenceKind::Unreadable, format!("/proc cannot be read: {error}"));
    Judgement { state: WorkerState::Active, evidence: vec![sign] }
}

/// CPU over a few milliseconds says nothing; what a process is says enough.
fn works(sign: &Evidence) -> bool {
    sign.kind.speaks_for() == WorkerState::Active && sign.kind != EvidenceKind::Cpu
}

fn both(one: Jobs, other: Jobs) -> Jobs {
    match (one, other) {
        (Jobs::Known(mut one), Jobs::Known(other)) => {
            one.extend(other);
            Jobs::Known(one)
        }
        (Jobs::Unknown(reason), _) | (_, Jobs::Unknown(reason)) => Jobs::Unknown(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweeper::{
        jobs::LiveJob,
        processes::{
            Process,
            fixture::{namespaces, process, raylet, snapshot, worker},
        },
    };

    fn judged(workers: Vec<Option<(WorkerState, Jobs)>>) -> Judged {
        let workers = workers
            .into_iter()
            .map(|worker| worker.map(|(state, jobs)| (Judgement { state, evidence: vec![] }, jobs)))
            .collect();
        Judged { workers, after: Snapshot::default(), ended: Instant::now(), now: Timestamp::now() }
    }

    fn job(id: &str) -> Jobs {
        let job = LiveJob { id: id.to_owned(), started_at: Timestamp::UNIX_EPOCH, held_by: String::new() };
        Jobs::Known(vec![job])
    }

    #[test]
    fn the_busiest_of_those_who_share_decides_and_every_job_counts() {
        let resting = || Some((WorkerState::NoJob, Jobs::Known(vec![])));
        let shared =
            judged(vec![resting(), Some((WorkerState::InJob, job("01")))]).situation(&[0, 1], Duration::ZERO);
        assert_eq!((shared.state, shared.jobs), (WorkerState::InJob, job("01")));
        let shared = judged(vec![Some((WorkerState::Active, job("01"))), resting()])
            .situation(&[0, 1], Duration::ZERO);
        assert_eq!((shared.state, shared.jobs), (WorkerState::Active, job("01")));
        let shared =
            judged(vec![Some((WorkerState::Active, job("01"))), resting()]).situation(&[1], Duration::ZERO);
        assert_eq!((shared.state, shared.jobs), (WorkerState::NoJob, Jobs::Known(vec![])));
    }

    #[test]
    fn who_was_not_judged_is_at_work_and_one_who_was_not_answered_hides_every_job() {
        let resting = || Some((WorkerState::NoJob, Jobs::Known(vec![])));
        assert_eq!(
            judged(vec![resting(), None]).situation(&[0, 1], Duration::ZERO).state,
            WorkerState::Active
        );
        let unknown = || Jobs::Unknown("no answer".to_owned());
        for workers in [
            vec![Some((WorkerState::InJob, unknown())), Some((WorkerState::InJob, job("01")))],
            vec![Some((WorkerState::InJob, job("01"))), Some((WorkerState::InJob, unknown()))],
        ] {
            assert_eq!(judged(workers).situation(&[0, 1], Duration::ZERO).jobs, unknown());
        }
    }

    fn entrypoint() -> Process {
        process(10, 5, "/usr/bin/python3.11", &["ray", "start", "--block"])
    }

    #[test]
    fn what_has_begun_since_the_window_is_at_work_and_what_was_there_is_not() {
        let worker = [worker(&entrypoint())];
        let resting = vec![entrypoint(), raylet(20, 10)];
        let mut judged = judged(vec![Some((WorkerState::NoJob, Jobs::Known(vec![])))]);
        judged.after = snapshot(resting.clone());
        let awake = |judged: &Judged, now| judged.awake(&now, &worker, &[0], &SweepSettings::default());
        assert_eq!(awake(&judged, snapshot(resting.clone())), None);
        let task = process(50, 20, "/usr/bin/python3.11", &["ray::train"]);
        let at_work = awake(&judged, snapshot(resting.into_iter().chain([task]))).unwrap();
        assert!(at_work.contains("ray::train"), "{at_work}");
        judged.workers = vec![None];
        assert!(awake(&judged, Snapshot::default()).is_some(), "who was not judged may be at work");
    }

    #[test]
    fn a_workers_pids_are_those_that_it_sees_itself() {
        let mut judged = judged(vec![None]);
        let mut own = process(42, 10, "/usr/bin/x", &["x"]);
        own.inner_pid = 7;
        let other = process(43, 10, "/usr/bin/x", &["x"]).in_namespaces(namespaces(2));
        judged.after = snapshot([own, other]);
        let worker = [worker(&entrypoint())];
        assert_eq!(judged.pids_inside(&worker, &[0]), BTreeSet::from([7]));
        assert_eq!(judged.pids_inside(&worker, &[]), BTreeSet::new());
    }

    #[test]
    fn a_report_names_the_state_and_the_evidence_of_whom_was_judged() {
        let judged = judged(vec![None, Some((WorkerState::InJob, job("01")))]);
        let mut reports = ["small", "judged"].map(|name| WorkerReport::blank(name, "docker"));
        judged.tell(&mut reports);
        assert_eq!(reports.map(|report| report.state), [None, Some(WorkerState::InJob)]);
    }

    #[test]
    fn a_window_that_has_been_open_for_too_long_is_opened_anew() {
        let opened = |ago| Window {
            before: Snapshot::default(),
            began: Instant::now().checked_sub(Duration::from_secs(ago)).unwrap(),
        };
        let is_anew = |window: Window| !window.processes().processes.is_empty();
        assert!(is_anew(opened(1).wait(Duration::from_millis(1)).unwrap()));
        // Half as long again as it was to last, so nobody waits here.
        assert!(!is_anew(opened(90).wait(Duration::from_mins(1)).unwrap()));
    }

    #[test]
    fn most_of_the_time_is_left_when_all_were_asked() {
        let now = Instant::now();
        let deadline = now + Duration::from_mins(8);
        assert_eq!(asking_until(now, deadline), now + Duration::from_mins(2));
        assert_eq!(asking_until(deadline, now), deadline, "none is left");
    }

    #[test]
    fn rays_own_api_is_asked_where_somebody_is_judged() {
        let api = RayApi { url: "http://10.0.0.84:8265".to_owned(), token_file: None };
        let activity = Activity { ray_api: Some(api), ..Activity::default() };
        assert_eq!(api_to_ask(&activity, &BTreeSet::from([0])), activity.ray_api.as_ref());
        assert_eq!(api_to_ask(&activity, &BTreeSet::new()), None);
        assert_eq!(api_to_ask(&Activity::default(), &BTreeSet::from([0])), None);
    }

    #[test]
    fn a_proc_that_cannot_be_read_is_a_worker_at_work() {
        let judgement = unreadable(&std::io::ErrorKind::PermissionDenied.into());
        assert_eq!(judgement.state, WorkerState::Active);
        assert_eq!(judgement.evidence[0].kind, EvidenceKind::Unreadable);
    }

    #[test]
    fn cpu_over_a_moment_is_no_work_and_everything_else_that_works_is() {
        for (kind, at_work) in [
            (EvidenceKind::Cpu, false),
            (EvidenceKind::RayTask, true),
            (EvidenceKind::ForeignProcess, true),
            (EvidenceKind::Unreadable, true),
            (EvidenceKind::PooledWorker, false),
        ] {
            assert_eq!(works(&Evidence::new(kind, "")), at_work, "{kind:?}");
        }
    }
}
