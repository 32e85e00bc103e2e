//! The order of a sweep: hold, discover, judge, remove, prune, report. The lock is its parent's.

mod clock;
mod disks;
mod entered;
mod judged;
mod naming;
mod outcome;
mod turns;
mod whose;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    io,
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use globset::GlobSet;
use jiff::Timestamp;

use self::{
    disks::disks,
    entered::{Asked, Entered},
    judged::{Judged, Window},
    naming::{Naming, passes},
    outcome::{outcome_of, verdict_of},
    whose::{spare_what_strangers_share, tell_of_no_root},
};
use super::{
    FileId, backstop,
    discover::{self, Discovery, Refused, Worker},
    hold,
    inside::{Inside, Usage},
    processes::Snapshot,
    prune,
    sharing::{Neighbours, Place},
    signs::Signs,
    temp_root::{self, Findings, Orders},
};
use crate::{
    config::{
        sweep::{PruneMode, SweepSettings},
        units::Span,
    },
    domain::{
        attempt::{Mode, Outcome, SweepRequest, Trigger},
        report::{Disk, LISTED, PruneReport, Report, SCHEMA, Verdict, WorkerReport, told},
    },
};

/// Sweeps this host and says what happened. Never fails otherwise: a failure is a report too.
/// `only` limits the sweep to the worker of that name; `tell` hears how far it has come, for the case
/// that it does not get to its end.
pub(super) fn run(
    request: &SweepRequest,
    only: Option<&str>,
    settings: &SweepSettings,
    tell: &dyn Fn(&[WorkerReport]),
) -> Report {
    let started_at = Timestamp::now();
    let deadline = Instant::now() + settings.deadline.0;
    let sweep = Sweep { request, only, settings, tell, deadline, held: RefCell::default() };
    sweep.run().into_report(request, settings, started_at)
}

/// What a sweep came to, before it becomes a report.
#[derive(Debug)]
pub(super) struct Swept {
    outcome: Outcome,
    reason: Option<String>,
    pub(super) workers: Vec<WorkerReport>,
    disks: Vec<Disk>,
    prune: Option<PruneReport>,
}

impl Swept {
    pub(super) fn ended(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self { outcome, reason: Some(reason.into()), workers: vec![], disks: vec![], prune: None }
    }

    pub(super) fn into_report(
        self,
        request: &SweepRequest,
        settings: &SweepSettings,
        started_at: Timestamp,
    ) -> Report {
        let workers_freed: u64 = self.workers.iter().map(|worker| worker.freed_bytes).sum();
        let prune_freed = self.prune.as_ref().map_or(0, |prune| prune.freed_bytes);
        let finished_at = Timestamp::now();
        Report {
            schema: SCHEMA,
            attempt: request.attempt,
            host: backstop::host_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            trigger: request.trigger,
            mode: settings.mode,
            dry_run: request.dry_run,
            started_at,
            finished_at,
            outcome: self.outcome,
            reason: self.reason,
            freed_bytes: workers_freed + prune_freed,
            disks: self.disks,
            workers: self.workers,
            prune: self.prune,
            backstop: Some(backstop::told(request, settings, self.outcome, finished_at)),
        }
    }
}

/// Looking for what may go takes at most half of the time that is left, in each temp root.
const LOOKING: u32 = 2;

/// One in so many parts of the time that is left for the temp roots stays for the prune after them.
const PRUNING: u32 = 8;

struct Sweep<'a> {
    request: &'a SweepRequest,
    only: Option<&'a str>,
    settings: &'a SweepSettings,
    tell: &'a dyn Fn(&[WorkerReport]),
    deadline: Instant,
    /// Why somebody has put the host on hold since it began.
    held: RefCell<Option<String>>,
}

/// One temp root, entered through one worker; the others that share it are judged with it.
struct Root {
    inside: Inside,
    usage: Usage,
    place: Place,
    /// As its first worker calls it.
    path: PathBuf,
    /// Indexes into the workers.
    members: Vec<usize>,
    /// All that its workers call it, in their order.
    namings: Vec<Naming>,
    /// Who else can write to it.
    shared_with: Option<String>,
}

impl Sweep<'_> {
    fn run(&self) -> Swept {
        let own = match self.settings.containers.own_temp_roots() {
            Ok(own) => own,
            Err(error) => {
                return Swept::ended(Outcome::Failed, format!("containers.own_temp_roots: {error}"));
            }
        };
        if let Some(reason) = hold::reason(&self.settings.hold_file) {
            return Swept::ended(Outcome::Held, reason);
        }
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return Swept::ended(Outcome::Failed, format!("no runtime: {error}")),
        };
        let found =
            Window::open().map_err(|error| format!("/proc cannot be read: {error}")).and_then(|window| {
                let discovery = runtime.block_on(discover::discover(self.settings, window.processes()));
                discovery.map(|discovery| (discovery, window)).map_err(|error| error.to_string())
            });
        match found {
            Ok((discovery, window)) => self.workers(self.wanted(discovery), window, &runtime, &own),
            Err(reason) => Swept::ended(Outcome::Failed, reason),
        }
    }

    fn wanted(&self, mut discovery: Discovery) -> Discovery {
        if let Some(only) = self.only {
            discovery.workers.retain(|worker| worker.name == only);
            discovery.refused.retain(|refused| refused.name == only);
        }
        discovery
    }

    fn workers(
        &self,
        discovery: Discovery,
        window: Window,
        runtime: &tokio::runtime::Runtime,
        own: &GlobSet,
    ) -> Swept {
        if let (Some(only), true) = (self.only, discovery.workers.is_empty() && discovery.refused.is_empty())
        {
            return Swept::ended(Outcome::Failed, format!("there is no worker named {only:?} on this host"));
        }
        let mut reports: Vec<WorkerReport> = discovery
            .workers
            .iter()
            .map(|worker| WorkerReport::blank(&worker.name, worker.runtime.as_str()))
            .collect();
        let mut roots = self.enter(&discovery.workers, &mut reports);
        let folders = folders(&roots, &discovery.workers);
        tell_of_no_root(&roots, &mut reports);
        spare_what_strangers_share(&mut roots, &discovery.workers, own, &mut reports);
        self.set_aside_what_is_small(&mut roots, &mut reports);
        let workers = &discovery.workers;
        let judged = Judged::by_one_window(self.settings, workers, &roots, window, runtime, self.deadline);
        judged.tell(&mut reports);
        (self.tell)(&reports);
        let before: Vec<_> = roots.iter().map(|root| root.usage).collect();
        let lately = Lately::default();
        let sizes: Vec<turns::Size> = roots.iter().map(size).collect();
        turns::each(&sizes, self.roots_until(), Instant::now, |index, until| {
            let root = &mut roots[index];
            // A child that is gone says so again when it is asked for anything.
            let _ = root.inside.end_by(until);
            self.sweep(root, &folders, workers, &judged, &lately, &mut reports);
            (self.tell)(&reports);
        });
        let prune = self.prune(runtime);
        let disks = disks(&mut roots, &before, &reports);
        let refused: Vec<WorkerReport> = discovery.refused.iter().map(refused).collect();
        let held = self.held.take();
        let outcome = outcome_of(&reports, &refused, prune.as_ref(), held.is_some());
        let reason = held.map(|why| format!("the host was put on hold during the sweep: {why}"));
        reports.extend(refused);
        Swept { outcome, reason, workers: reports, disks, prune }
    }

    /// Enters every temp root once, through the first worker that has it.
    fn enter(&self, workers: &[Worker], reports: &mut [WorkerReport]) -> Vec<Root> {
        let mut roots: Vec<Root> = vec![];
        for Asked { worker: index, root: temp_root, has_sessions, entered } in
            entered::all(workers, self.deadline)
        {
            let Entered { place, inside, usage } = match entered {
                Ok(Some(entered)) => entered,
                // A variable may name a folder that nobody has made.
                Ok(None) => continue,
                Err(reason) => {
                    let error = format!("{}: {reason}", temp_root.path.display());
                    reports[index].errors.push(told(&error));
                    continue;
                }
            };
            if !usage.is_whole {
                let path = temp_root.path.display();
                reports[index].note.get_or_insert_with(|| {
                    format!("{path} was not measured to its end: it holds more than is said here")
                });
            }
            let known = roots.iter_mut().find(|root| root.usage.root == usage.root);
            let is_counted = known.as_ref().is_some_and(|root| root.members.contains(&index));
            if !is_counted {
                reports[index].tmp_before_bytes += usage.used_bytes;
                reports[index].tmp_after_bytes += usage.used_bytes;
            }
            let naming = Naming {
                worker: index,
                sessions: has_sessions.then(|| temp_root.sessions.clone()),
                leftovers: temp_root.leftovers,
                owner: temp_root.owner,
            };
            match known {
                // Another name of the same folder, such as `/var/tmp` behind a symlink `/tmp`.
                Some(same) if is_counted => same.namings.push(naming),
                Some(shared) => {
                    shared.members.push(index);
                    shared.namings.push(naming);
                    let with = &workers[shared.members[0]].name;
                    let root = temp_root.path.display();
                    let note = format!("shares {root} with {with} and is judged together with it");
                    reports[index].note = Some(told(&note));
                }
                None => roots.push(Root {
                    inside,
                    usage,
                    place,
                    path: temp_root.path.clone(),
                    members: vec![index],
                    namings: vec![naming],
                    shared_with: None,
                }),
            }
        }
        roots
    }

    /// Economy, not safety: without an alert there is no use in looking at a worker that holds little.
    fn set_aside_what_is_small(&self, roots: &mut Vec<Root>, reports: &mut [WorkerReport]) {
        if self.request.trigger == Trigger::Alert {
            return;
        }
        let least = self.settings.min_tmp_size;
        // What a killed sweep left without its name is not left so for want of size, and what was not
        // measured to its end is not known to be small.
        let unfinished: BTreeSet<usize> = roots
            .iter_mut()
            .filter_map(|root| {
                let inside = &mut root.inside;
                let mut names = root.namings.iter().map(|naming| naming.sessions.as_deref());
                let is_small =
                    root.usage.is_whole && !names.any(|sessions| temp_root::is_unfinished(inside, sessions));
                (!is_small).then_some(&root.members)
            })
            .flatten()
            .copied()
            .collect();
        for (index, report) in reports.iter_mut().enumerate() {
            let is_small = report.tmp_before_bytes < least.0 && !unfinished.contains(&index);
            if is_small && report.errors.is_empty() {
                report.verdict = Verdict::BelowThreshold;
                report.note.get_or_insert_with(|| format!("holds less than {least} (min_tmp_size)"));
            }
        }
        roots.retain(|root| root.members.iter().any(|i| reports[*i].verdict != Verdict::BelowThreshold));
    }

    fn sweep(
        &self,
        root: &mut Root,
        folders: &[(FileId, i32)],
        workers: &[Worker],
        judged: &Judged,
        lately: &Lately,
        reports: &mut [WorkerReport],
    ) {
        let members: Vec<&Worker> = root.members.iter().map(|index| &workers[*index]).collect();
        let set_forward = clock::set_forward(&members);
        let situation = judged.situation(&root.members, set_forward);
        let awake = || {
            let now = match Snapshot::read() {
                Ok(now) => now,
                Err(error) => return Some(format!("/proc cannot be read: {error}")),
            };
            // A container that has started since may have the same volume.
            judged.awake(&now, workers, &root.members, self.settings).or_else(|| {
                match Neighbours::read(&now) {
                    Ok(others) => root.place.stranger(&members, &now, &others),
                    Err(error) => Some(error.to_string()),
                }
            })
        };
        let read = || Signs::read().map(|signs| Rc::new(with_folders(signs, folders)));
        let namespaces: Vec<FileId> =
            members.iter().flat_map(|member| [member.mount_namespace, member.pid_namespace]).collect();
        let signs = || all_named(read()?, &namespaces);
        let first = &workers[root.members[0]];
        let live_pids = judged.pids_inside(workers, &root.members);
        let mut findings = vec![];
        for pass in passes(&root.namings) {
            let orders = Orders {
                attempt: self.request.attempt,
                root: &root.path,
                listed_at_once: temp_root::LISTED_AT_ONCE,
                looking: LOOKING,
                delete: self.deletes(),
                leftovers: pass.leftovers && first.runtime.leftovers_are_its_own(),
                live_pids: &live_pids,
                sessions: pass.sessions,
                first_signs: &|| all_named(lately.signs(&read)?, &namespaces),
                signs: &signs,
                awake: &awake,
                held: &|| hold::reason(&self.settings.hold_file),
            };
            let rules = situation.rules(self.settings, pass.owner, root.shared_with.as_deref());
            findings.push(temp_root::sweep(&mut root.inside, &rules, &orders));
        }
        // After the deadline nobody can look again.
        let all_freed = findings.iter().map(|findings| findings.freed_bytes).sum();
        let freed = if self.deletes() { all_freed } else { 0 };
        let expected = root.usage.used_bytes.saturating_sub(freed);
        root.inside.bound_looks(LOOKING, 1);
        let measured = root.inside.usage().ok().filter(|usage| usage.is_whole && root.usage.is_whole);
        let used_after = measured.map_or(expected, |usage| usage.used_bytes);
        for findings in &mut findings {
            self.hold(findings.held.take());
        }
        // All of it is said of the first one.
        for index in &root.members {
            let report = &mut reports[*index];
            report.tmp_after_bytes =
                report.tmp_after_bytes.saturating_sub(root.usage.used_bytes.saturating_sub(used_after));
            findings.drain(..).for_each(|findings| add(report, findings));
            report.verdict = verdict_of(report, self.deletes());
            report.note = report.note.take().or_else(|| note_on_the_clock(set_forward));
        }
    }

    /// When the turns of all temp roots end.
    fn roots_until(&self) -> Instant {
        let kept_back = if self.prunes() { self.remaining() / PRUNING } else { Duration::ZERO };
        self.deadline.checked_sub(kept_back).unwrap_or(self.deadline)
    }

    fn prunes(&self) -> bool {
        self.deletes()
            && self.only.is_none()
            && self.settings.prune.mode != PruneMode::Off
            && self.settings.containers.socket.exists()
    }

    fn prune(&self, runtime: &tokio::runtime::Runtime) -> Option<PruneReport> {
        let runs = self.prunes() && self.is_let();
        runs.then(|| runtime.block_on(prune::prune(self.settings, self.remaining()))).flatten()
    }

    fn hold(&self, held: Option<String>) {
        let first = self.held.take();
        self.held.replace(first.or(held));
    }

    /// Whether nobody has put the host on hold since.
    fn is_let(&self) -> bool {
        let held = hold::reason(&self.settings.hold_file);
        let is_let = held.is_none();
        self.hold(held);
        is_let
    }

    fn deletes(&self) -> bool {
        self.settings.mode == Mode::Enforce && !self.request.dry_run
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// What the workers have as temporary folders, and one of whom: those that are set aside as small as well,
/// since theirs may lie in one that is swept.
fn folders(roots: &[Root], workers: &[Worker]) -> Vec<(FileId, i32)> {
    roots.iter().map(|root| (root.usage.root, workers[root.members[0]].init.pid)).collect()
}

fn size(root: &Root) -> turns::Size {
    turns::Size { is_open: !root.usage.is_whole, files: root.usage.files }
}

/// A temp root may lie in another one (`TMPDIR=/tmp/tmp_job`): what a worker's environment names as its
/// temporary folder is in use, though no process has it open.
fn with_folders(mut signs: Signs, folders: &[(FileId, i32)]) -> Signs {
    for (folder, pid) in folders {
        signs.files.entry(*folder).or_insert(*pid);
    }
    signs
}

/// A name that cannot be said, or one of more variables than are read, could be that of anything under these
/// workers' temp roots.
fn all_named(signs: Rc<Signs>, namespaces: &[FileId]) -> io::Result<Rc<Signs>> {
    match signs.nameless_in(namespaces.iter().copied()) {
        None => Ok(signs),
        Some(pid) => Err(io::Error::other(format!(
            "process {pid} names something whose path is too long to be read or cannot be told, or more than is read"
        ))),
    }
}

/// The signs of a moment ago, for the first look at one temp root after the other: a reading takes up to
/// a second, and whatever is detached is judged again by a new one.
#[derive(Default)]
struct Lately(RefCell<Option<(Instant, Rc<Signs>)>>);

impl Lately {
    const LONGEST: Duration = Duration::from_secs(5);

    fn signs(&self, read: &dyn Fn() -> io::Result<Rc<Signs>>) -> io::Result<Rc<Signs>> {
        if let Some((at, signs)) = &*self.0.borrow()
            && at.elapsed() < Self::LONGEST
        {
            return Ok(Rc::clone(signs));
        }
        let at = Instant::now();
        let signs = read()?;
        *self.0.borrow_mut() = Some((at, Rc::clone(&signs)));
        Ok(signs)
    }
}

/// For whoever wonders why something old is called young.
fn note_on_the_clock(set_forward: Duration) -> Option<String> {
    let by = Span(Duration::from_secs(set_forward.as_secs()));
    (set_forward >= Duration::from_mins(1)).then(|| {
        format!("the host's clock was set forward by {by} since the container started: ages are counted without that")
    })
}

/// Of several temp roots as well, the largest are listed.
fn add(report: &mut WorkerReport, findings: Findings) {
    let Findings { removed, kept, errors, freed_bytes, cut, unseen, held: _ } = findings;
    report.freed_bytes += freed_bytes;
    report.removed.extend(removed);
    report.kept.extend(kept);
    report.errors.extend(errors);
    report.note = report.note.take().or(unseen);
    report.removed.sort_by_key(|removed| std::cmp::Reverse(removed.bytes));
    report.kept.sort_by_key(|kept| std::cmp::Reverse(kept.bytes));
    let over = [report.removed.len(), report.kept.len(), report.errors.len()];
    report.cut += over.map(|length| length.saturating_sub(LISTED) as u64).iter().sum::<u64>();
    report.cut += cut.removed + cut.kept + cut.errors;
    report.removed.truncate(LISTED);
    report.kept.truncate(LISTED);
    report.errors.truncate(LISTED);
}

fn refused(refused: &Refused) -> WorkerReport {
    WorkerReport {
        errors: vec![told(&refused.reason)],
        ..WorkerReport::blank(&refused.name, refused.runtime.as_str())
    }
}
