//! What one process of a worker is. Titles belong to users: what Ray runs for itself is known by its
//! place under the raylet and by its program.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{
    config::sweep::Activity,
    sweeper::{
        ProcessId,
        discover::{Raylet, Runtime, Worker, membership::Membership},
        processes::{Process, Snapshot, open::LOGS},
    },
};

/// What a process is to the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// The raylet and Ray's own daemons.
    Machinery,
    /// What started the raylet, up to the container's first process.
    Entrypoint,
    /// On root's list.
    Ignored,
    /// Somebody's open terminal, with nothing under way there.
    WaitingShell,
    /// A worker process of Ray's without a task.
    Pooled,
    /// A process of Ray's that writes objects to disk or reads them back, and waits to be told to.
    IdleMover,
    /// A worker process of Ray's that has no title yet.
    Starting,
    /// A task or an actor.
    Task,
    /// It drives a job; the log that says so.
    Driver(String),
    /// Anything else.
    Foreign,
}

/// Every process of a worker at one moment, with what it is.
#[derive(Debug)]
pub(super) struct Roles<'a> {
    by_id: BTreeMap<ProcessId, (&'a Process, Role)>,
}

impl<'a> Roles<'a> {
    pub(super) fn of(worker: &Worker, snapshot: &'a Snapshot, activity: &Activity) -> Self {
        let membership = Membership::of(worker, snapshot);
        let belongs = |process: &Process| match worker.runtime {
            Runtime::Bare => process.namespaces.mount == worker.mount_namespace,
            _ => membership.holds(process),
        };
        let members: BTreeMap<i32, &Process> = snapshot
            .processes
            .iter()
            .filter(|process| belongs(process))
            .map(|process| (process.id.pid, process))
            .collect();
        let family = Family::of(&members, snapshot, activity);
        let by_id = members
            .values()
            .map(|process| (process.id, (*process, family.role(process, activity))))
            .collect();
        Self { by_id }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a Process, &Role)> {
        self.by_id.values().map(|(process, role)| (*process, role))
    }

    pub(super) fn find(&self, id: ProcessId) -> Option<&'a Process> {
        self.by_id.get(&id).map(|(process, _)| *process)
    }
}

/// Titles of pooled workers.
const POOLED: [&str; 3] = ["ray::IDLE", SPILL, RESTORE];
/// Titles of those among them that spill and restore objects and run no task. At work they are called
/// `ray::SPILL_SpillWorker`, `ray::RESTORE_RestoreWorker` or `ray::DELETE_…`.
const SPILL: &str = "ray::IDLE_SpillWorker";
const RESTORE: &str = "ray::IDLE_RestoreWorker";

/// Titles that some versions give to Ray's own agents, and the logs that those hold open.
const AGENTS: [(&str, &[&str]); 2] = [
    ("ray::DashboardAgent", &["dashboard_agent", "agent-"]),
    ("ray::RuntimeEnvAgent", &["runtime_env_agent"]),
];

/// Daemons that the raylet starts, as paths in Ray's package.
const UNDER_RAYLET: [&str; 2] = ["dashboard/agent.py", "_private/runtime_env/agent/main.py"];

/// Daemons that stand beside the raylet: `ray start` has started them.
const BESIDE_RAYLET: [&str; 4] = [
    "_private/log_monitor.py",
    "autoscaler/_private/monitor.py",
    "autoscaler/v2/monitor.py",
    "dashboard/dashboard.py",
];

/// What the raylet starts its workers with, until they have a title.
const WORKER_SCRIPTS: [&str; 2] = ["_private/workers/setup_worker.py", "_private/workers/default_worker.py"];

/// The raylets of a worker and what is around them, and whom shells have started.
struct Family {
    raylets: BTreeSet<i32>,
    /// Every ancestor of a raylet inside the worker.
    entrypoint: BTreeSet<i32>,
    /// Parents of raylets inside the worker.
    starters: BTreeSet<i32>,
    /// The folders of the Ray packages that the raylets belong to.
    packages: Vec<String>,
    /// Everybody on the host who has a child.
    parents: BTreeSet<i32>,
    /// Shells in which somebody types, at rest or not.
    typed_into: BTreeSet<i32>,
}

impl Family {
    fn of(members: &BTreeMap<i32, &Process>, snapshot: &Snapshot, activity: &Activity) -> Self {
        let typed_into = members.values().filter(|process| is_typed_into(process));
        let mut family = Self {
            raylets: BTreeSet::new(),
            entrypoint: BTreeSet::new(),
            starters: BTreeSet::new(),
            packages: vec![],
            parents: snapshot.processes.iter().map(|process| process.parent).collect(),
            typed_into: typed_into.map(|process| process.id.pid).collect(),
        };
        for process in members.values().filter(|process| Raylet::of(process).is_some()) {
            family.raylets.insert(process.id.pid);
            // Outside the worker the parent is the runtime's, and everything that it starts inside is its child.
            family.starters.extend(members.get(&process.parent).map(|starter| starter.id.pid));
            family.packages.extend(packages(process));
            let mut ancestor = members.get(&process.parent);
            let main = ancestor.and_then(|parent| main_program(parent, process, members, activity));
            family.entrypoint.extend(main);
            // A reading takes time and pids are reused: a chain could seem to bite its own tail.
            while let Some(found) = ancestor.filter(|found| family.entrypoint.insert(found.id.pid)) {
                ancestor = members.get(&found.parent);
            }
        }
        family
    }

    fn role(&self, process: &Process, activity: &Activity) -> Role {
        if let Some(log) = driver_log(process) {
            return Role::Driver(log);
        }
        if self.raylets.contains(&process.id.pid) || self.is_daemon(process) {
            return Role::Machinery;
        }
        if process.arguments.first().is_some_and(|title| title.starts_with("ray::")) {
            return self.titled(process);
        }
        let is_child = self.raylets.contains(&process.parent);
        if is_child && self.runs_any(process, &WORKER_SCRIPTS) {
            return Role::Starting;
        }
        if self.entrypoint.contains(&process.id.pid) {
            return Role::Entrypoint;
        }
        // Between two of its steps a loop that was typed into a shell is nothing but a `sleep`.
        if is_ignored(process, activity) && !self.typed_into.contains(&process.parent) {
            return Role::Ignored;
        }
        if self.waits_at_its_prompt(process) {
            return Role::WaitingShell;
        }
        Role::Foreign
    }

    /// A shell that has started something comes back to what was typed after it.
    fn waits_at_its_prompt(&self, process: &Process) -> bool {
        let pid = process.id.pid;
        self.typed_into.contains(&pid) && !self.parents.contains(&pid) && process.in_foreground
    }

    /// A task may be named anything, `IDLE` and `RuntimeEnvAgent` included. Named `IDLE` it cannot be
    /// told from a pooled worker, which therefore speaks for a living job. Whoever is no child of the
    /// raylet is neither.
    ///
    /// Who spills and restores objects belongs to no job, and is never ended: it would speak for one for as
    /// long as the node lives. What it writes to tells it from a task of that name.
    fn titled(&self, process: &Process) -> Role {
        let is_child = self.raylets.contains(&process.parent);
        let [title] = process.arguments.as_slice() else { return Role::Task };
        if is_child && POOLED.contains(&title.as_str()) {
            let moves = title == SPILL || title == RESTORE;
            return if moves && is_mover(process) { Role::IdleMover } else { Role::Pooled };
        }
        let agent = AGENTS.iter().find(|(name, _)| name == title);
        let is_agent = agent.is_some_and(|(_, logs)| {
            logs.iter().any(|log| holds_log(process, log).is_some())
                && holds_log(process, "python-core-worker-").is_none()
        });
        if is_child && is_agent { Role::Machinery } else { Role::Task }
    }

    fn is_daemon(&self, process: &Process) -> bool {
        if self.raylets.contains(&process.parent) {
            return self.runs_any(process, &UNDER_RAYLET);
        }
        if !self.starters.contains(&process.parent) {
            return false;
        }
        let is_gcs = self.packages.iter().any(|package| {
            process.program() == "gcs_server"
                && process.arguments.first().is_some_and(|own| own.starts_with(package.as_str()))
        });
        is_gcs || self.runs_any(process, &BESIDE_RAYLET)
    }

    /// Whether it is a Python that runs one of these scripts of the raylet's own Ray package.
    fn runs_any(&self, process: &Process, scripts: &[&str]) -> bool {
        // Options such as -u stand before the script; what stands behind it is the script's.
        let script = process.arguments.iter().skip(1).find(|argument| !argument.starts_with('-'));
        let Some(script) = script.filter(|_| process.program().starts_with("python")) else { return false };
        self.packages
            .iter()
            .any(|package| script.strip_prefix(package.as_str()).is_some_and(|rest| scripts.contains(&rest)))
    }
}

/// `ray start` without `--block` leaves the raylet to the container's first process. Where that is an
/// init wrapper, what has started the raylet is the wrapper's main program: its first child, because
/// every other one is an orphan of the main program's.
fn main_program(
    init: &Process,
    raylet: &Process,
    members: &BTreeMap<i32, &Process>,
    activity: &Activity,
) -> Option<i32> {
    let is_first = !members.contains_key(&init.parent);
    if !is_first || !is_ignored(init, activity) {
        return None;
    }
    let children = members.values().filter(|child| child.parent == init.id.pid);
    let main = children.min_by_key(|child| (child.id.start_ticks, child.id.pid))?;
    (main.id.start_ticks < raylet.id.start_ticks).then_some(main.id.pid)
}

fn is_ignored(process: &Process, activity: &Activity) -> bool {
    activity.ignore_programs.iter().any(|ignored| ignored == program(process))
}

/// The Ray package that a raylet belongs to, by the name that it was started under and by the file
/// that it is: they differ where a virtual environment lies behind a symlink.
fn packages(raylet: &Process) -> impl Iterator<Item = String> {
    const PROGRAM: &str = "core/src/ray/raylet/raylet";
    let file = raylet.exe.as_deref().and_then(Path::to_str).map(|path| path.trim_end_matches(" (deleted)"));
    let names = raylet.arguments.first().map(String::as_str).into_iter().chain(file);
    names.filter_map(|name| name.strip_suffix(PROGRAM)).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Every driver writes its own log, for as long as it lives.
fn driver_log(process: &Process) -> Option<String> {
    ["python-core-driver-", "java-core-driver-", "cpp-core-driver-"]
        .iter()
        .find_map(|kind| holds_log(process, kind))
}

/// Whether it has the output of a process that spills and restores, and none of a process that runs tasks.
fn is_mover(process: &Process) -> bool {
    holds_log(process, "io_worker-").is_some() && holds_log(process, "worker-").is_none()
}

/// The open log whose name begins so, which is one of those that are kept of what is open.
fn holds_log(process: &Process, kind: &str) -> Option<String> {
    debug_assert!(LOGS.contains(&kind), "{kind}");
    process
        .open
        .iter()
        .filter(|path| path.parent().is_some_and(|folder| folder.ends_with("logs")))
        .find(|path| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(kind))
        })
        .map(|path| path.display().to_string())
}

/// The program's base name; of a program that is many, the name it was called by.
fn program(process: &Process) -> &str {
    match process.program() {
        "busybox" | "coreutils" | "toybox" => {
            let called = process.arguments.first().map_or("", String::as_str);
            called.rsplit('/').next().unwrap_or(called)
        }
        program => program,
    }
}

/// A shell at a terminal that was given nothing to run: no script, no `-c`, and nothing is piped into
/// it. What is typed there shows nowhere but in what it starts.
fn is_typed_into(process: &Process) -> bool {
    const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "fish"];
    let runs_nothing = process
        .arguments
        .iter()
        .skip(1)
        .all(|option| option.starts_with("--") || (option.starts_with('-') && !option.contains('c')));
    let at_terminal = process.stdin.as_deref().is_some_and(|stdin| {
        stdin.starts_with("/dev/pts") || stdin == Path::new("/dev/console") || stdin == Path::new("/dev/tty")
    });
    SHELLS.contains(&program(process)) && runs_nothing && at_terminal
}
