//! What each process of a worker is, and what all of them together show.

mod cpu;
mod role;

use std::{collections::BTreeSet, time::Duration};

use self::role::{Role, Roles};
use super::{
    ProcessId,
    discover::{Runtime, Worker},
    jobs::{self, Jobs},
    processes::{Process, Snapshot, open::is_gpu},
};
use crate::{
    config::sweep::Activity,
    domain::evidence::{Evidence, EvidenceKind, WorkerState, state_of},
};

/// So many signs of one kind are written out. One is enough to decide.
const LISTED: usize = 20;

/// What was seen of a worker over the sampling window.
#[derive(Debug, Clone)]
pub(crate) struct Judgement {
    pub(crate) state: WorkerState,
    pub(crate) evidence: Vec<Evidence>,
}

impl Judgement {
    /// Takes one more sign into account.
    pub(crate) fn with(mut self, sign: Evidence) -> Self {
        self.evidence.push(sign);
        self.evidence.sort_by_key(|sign| std::cmp::Reverse(sign.kind.speaks_for()));
        self.state = self.state.max(state_of(&self.evidence));
        self
    }
}

/// Judges one worker by two readings of /proc, `window` apart, and by what Ray said.
pub(crate) fn judge(
    worker: &Worker,
    before: &Snapshot,
    after: &Snapshot,
    window: Duration,
    jobs: &Jobs,
    activity: &Activity,
) -> Judgement {
    let mut evidence = unreadable(before, after);
    let (first, last) = (Roles::of(worker, before, activity), Roles::of(worker, after, activity));
    let mut seen: BTreeSet<(ProcessId, EvidenceKind)> = BTreeSet::new();
    // What was at work at either end of the window was at work: a task may have ended in between, and
    // another one begun in the same process.
    for (process, role) in last.iter().chain(first.iter()) {
        for sign in signs_of(process, role, worker.runtime) {
            if seen.insert((process.id, sign.kind)) {
                evidence.push(sign);
            }
        }
    }
    // A bare host has work of its own; what Ray does there is told by its processes.
    if worker.runtime != Runtime::Bare {
        evidence.extend(cpu::signs(&first, &last, window, activity.idle_cpu_percent));
    }
    evidence.extend(job_signs(jobs));
    // The busiest first, so that what decided stands on top.
    evidence.sort_by_key(|sign| std::cmp::Reverse(sign.kind.speaks_for()));
    let state = state_of(&evidence);
    Judgement { state, evidence: shortened(evidence) }
}

/// A process that cannot be read might belong to any worker, and might be anything.
fn unreadable(before: &Snapshot, after: &Snapshot) -> Vec<Evidence> {
    let mut seen = BTreeSet::new();
    let all = after.unreadable.iter().chain(&before.unreadable);
    all.filter(|(pid, _)| seen.insert(*pid))
        .map(|(pid, why)| Evidence::of_process(EvidenceKind::Unreadable, *pid, why.clone()))
        .collect()
}

fn signs_of(process: &Process, role: &Role, runtime: Runtime) -> Vec<Evidence> {
    let title = command(process);
    let sign = |kind, detail| Evidence::of_process(kind, process.id.pid, detail);
    let mut signs = vec![];
    if process.says_too_much {
        let why = format!("{} has more arguments than are read", shown(process.program()));
        signs.push(sign(EvidenceKind::Unreadable, why));
    }
    match role {
        Role::Driver(log) => {
            signs.push(sign(EvidenceKind::Driver, format!("{title} holds {}", shown(log))));
        }
        Role::Task => signs.push(sign(EvidenceKind::RayTask, title.clone())),
        Role::Starting => {
            signs.push(sign(EvidenceKind::RayTask, format!("a Ray worker that is starting: {title}")));
        }
        Role::Pooled => signs.push(sign(EvidenceKind::PooledWorker, title.clone())),
        // A bare host runs what it likes beside Ray, and loses nothing but dead sessions.
        Role::Foreign if runtime != Runtime::Bare => {
            signs.push(sign(EvidenceKind::ForeignProcess, foreign(process, &title)));
        }
        Role::Foreign
        | Role::Machinery
        | Role::Entrypoint
        | Role::Ignored
        | Role::WaitingShell
        | Role::IdleMover => {}
    }
    // Ray's own agents ask the driver how busy a GPU is.
    let foreign_to_us = runtime == Runtime::Bare && *role == Role::Foreign;
    if *role != Role::Machinery && !foreign_to_us {
        let gpu = process.open.iter().find(|path| is_gpu(path));
        signs.extend(gpu.map(|gpu| {
            sign(EvidenceKind::GpuHolder, format!("{title} holds {}", shown(&gpu.display().to_string())))
        }));
    }
    signs
}

/// What a person is told of a process that nobody knows.
fn foreign(process: &Process, title: &str) -> String {
    let program = shown(process.program());
    match jobs::left_behind(&process.arguments) {
        Some(secs) => format!(
            "{program} asks Ray which jobs are alive, for a sweep that was ended before it had the answer: \
             it ends by itself within {secs} s of its start"
        ),
        None => format!("{title} ({program})"),
    }
}

fn job_signs(jobs: &Jobs) -> Vec<Evidence> {
    match jobs {
        Jobs::Unknown(reason) => vec![Evidence::new(EvidenceKind::RayUnreachable, shown(reason))],
        Jobs::Known(live) if live.is_empty() => {
            vec![Evidence::new(EvidenceKind::NoJob, "Ray says that no job is alive")]
        }
        Jobs::Known(live) => live
            .iter()
            .map(|job| {
                let detail =
                    format!("job {} since {}, {}", shown(&job.id), job.started_at, shown(&job.held_by));
                Evidence::new(EvidenceKind::LiveJob, detail)
            })
            .collect(),
    }
}

/// Leaves out all but the first few of each kind, and says how many.
fn shortened(evidence: Vec<Evidence>) -> Vec<Evidence> {
    let mut kept: Vec<Evidence> = vec![];
    let mut left_out: Vec<(EvidenceKind, usize)> = vec![];
    for sign in evidence {
        if kept.iter().filter(|other| other.kind == sign.kind).count() < LISTED {
            kept.push(sign);
        } else if let Some((_, count)) = left_out.iter_mut().find(|(kind, _)| *kind == sign.kind) {
            *count += 1;
        } else {
            left_out.push((sign.kind, 1));
        }
    }
    kept.extend(left_out.into_iter().map(|(kind, count)| Evidence::new(kind, format!("and {count} more"))));
    kept
}

/// A process's title or command line, without what its arguments call a secret: reports travel.
fn command(process: &Process) -> String {
    const SECRET: [&str; 6] = ["password", "passwd", "secret", "token", "credential", "key"];
    let names_secret = |word: &str| {
        let word = word.to_ascii_lowercase();
        SECRET.iter().any(|secret| word.contains(secret))
    };
    let joined = process.arguments.join(" ");
    let mut is_value = false;
    let words: Vec<&str> = joined
        .split(' ')
        .map(|word| {
            let hidden = std::mem::replace(&mut is_value, word.starts_with('-') && names_secret(word));
            match word.split_once(['=', ':']) {
                Some((name, value)) if names_secret(name) && !value.is_empty() => {
                    is_value = false;
                    &word[..=name.len()]
                }
                _ if hidden => "…",
                _ => word,
            }
        })
        .collect();
    shown(&words.join(" "))
}

/// Titles and paths are whatever a process says: bounded, and nothing that moves a terminal.
fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut shown: String =
        text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
