//! What may go: classes, states and ages. Pure, so that every rule can be shown to hold.
//!
//! | class | goes in state | age |
//! |---|---|---|
//! | leftovers (`ray_tmp_*`, `pip-*`, `tmp*`, `checkpoint_tmp_*`) | no job / in job | `ages.no_job` / older than every live job, or `ages.in_job` |
//! | dead session: data | any | `ages.dead_session` |
//! | dead session: logs; live session: old logs | any | `ages.logs` |

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    FileId,
    inside::{Tree, is_begun, name_before},
    jobs::{Jobs, LiveJob},
    signs::Signs,
};
use crate::{
    config::{sweep::Ages, units::Span},
    domain::{
        evidence::WorkerState,
        report::{Class, KeptBecause, told},
    },
};

/// Leftovers directly under a temp root, by the prefix of their name; the first that fits counts.
const LEFTOVERS: [(&[u8], Class); 4] = [
    (b"ray_tmp_", Class::RayTmp),
    (b"pip-", Class::Pip),
    (b"checkpoint_tmp_", Class::CheckpointTmp),
    (b"tmp", Class::Tmp),
];

/// Names that fit a class and never go: the source of a bind mount that Ray itself makes.
const NEVER: [&[u8]; 1] = [b"ray_tmp_mount"];

/// What a checkpoint's name is followed by in the name of a lock on it, before the pid.
const CHECKPOINT_LOCK: &[u8] = b".del_lock_";

/// The class of a name directly under a temp root.
pub(crate) fn leftover_class(name: &OsStr) -> Option<Class> {
    let name = name.as_bytes();
    if NEVER.contains(&name) {
        return None;
    }
    LEFTOVERS.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, class)| *class)
}

/// Whether a text can hold the name of something that is a candidate, or that one lies in.
pub(crate) fn may_be_named_in(text: &str) -> bool {
    ["tmp", "pip-", "session_"].iter().any(|part| text.contains(part))
}

/// Whether a name in the sessions' folder is a session's.
pub(crate) fn is_session(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"session_") && name != "session_latest"
}

/// Whether a name is one that a sweep detached.
pub(crate) fn is_detached(name: &OsStr) -> bool {
    name_before(name).is_some()
}

/// The name that something had before it was detached. Any other name is its own.
pub(crate) fn own_name(name: &OsStr) -> &OsStr {
    name_before(name).unwrap_or(name)
}

/// Whether a log's name ends in a pid (`worker-…-123.out`, `python-core-worker-…_123.log`): logs of
/// one process, which nobody writes once it has ended. Daemons' logs have no pid and stay.
pub(crate) fn is_process_log(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let Some(stem) = [".out", ".err", ".log"].iter().find_map(|end| name.strip_suffix(end.as_bytes())) else {
        return false;
    };
    let digits = stem.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let before = stem.len().checked_sub(digits + 1).and_then(|at| stem.get(at));
    digits > 0 && matches!(before, Some(b'-' | b'_'))
}

/// Checkpoints that a live process has locked, among the names under a temp root.
///
/// Ray writes `<checkpoint>.del_lock_<pid>` beside a checkpoint while a process uses it. A lock whose
/// pid cannot be read counts as live.
pub(crate) fn locked_checkpoints<'n>(
    names: impl IntoIterator<Item = &'n OsStr>,
    live_pids: &BTreeSet<i32>,
) -> BTreeSet<Vec<u8>> {
    names
        .into_iter()
        .filter_map(|name| {
            let name = name.as_bytes();
            let at = name.windows(CHECKPOINT_LOCK.len()).position(|window| window == CHECKPOINT_LOCK)?;
            let pid = std::str::from_utf8(&name[at + CHECKPOINT_LOCK.len()..]).ok();
            let live = pid.and_then(|pid| pid.parse().ok()).is_none_or(|pid| live_pids.contains(&pid));
            live.then(|| [name[..at].to_vec(), name.to_vec()])
        })
        .flatten()
        .collect()
}

/// Something that may go, if its tree and the signs of use allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Relative to the temp root.
    pub(crate) path: PathBuf,
    pub(crate) id: FileId,
    pub(crate) class: Class,
}

impl Candidate {
    /// Whether an earlier sweep, which was killed, had judged it twice and begun to delete it.
    pub(crate) fn is_begun(&self) -> bool {
        self.path.file_name().is_some_and(is_begun)
    }
}

/// What a worker (or all workers that share a temp root) is doing, and the rules that apply.
#[derive(Debug, Clone)]
pub(crate) struct Situation<'a> {
    pub(crate) state: WorkerState,
    pub(crate) jobs: &'a Jobs,
    pub(crate) now: Timestamp,
    pub(crate) ages: &'a Ages,
    /// Only what belongs to this user may go: on a bare host Ray's, and where nobody but a raylet names the
    /// folder, the raylet's.
    pub(crate) owner: Option<u32>,
    /// Who else can write to the temp root, where somebody can: nobody judges them, so whatever they may
    /// hold by name stays.
    pub(crate) shared_with: Option<&'a str>,
    /// By how much the host's clock was set forward while things were written here.
    pub(crate) set_forward: Duration,
}

/// Why a candidate stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keep {
    pub(crate) why: KeptBecause,
    pub(crate) detail: String,
    pub(crate) pid: Option<i32>,
}

impl Keep {
    pub(crate) fn new(why: KeptBecause, detail: impl Into<String>) -> Self {
        Self { why, detail: told(&detail.into()), pid: None }
    }
}

impl Situation<'_> {
    /// The first rule that keeps a candidate, `None` if it may go: what it holds, who uses it, what
    /// the worker is doing, how old it is.
    pub(crate) fn keeps(&self, candidate: &Candidate, tree: &Tree, signs: &Signs) -> Option<Keep> {
        let kept = kept_by_contents(tree, self.owner).or_else(|| kept_by_use(&candidate.path, tree, signs));
        // Nobody can come back for it by its name, and its age is that of the delete that was killed.
        if candidate.is_begun() {
            return kept;
        }
        kept.or_else(|| self.kept_by_age(candidate.class, tree.newest.max(tree.moved)))
    }

    /// State and age, by class.
    pub(crate) fn kept_by_age(&self, class: Class, newest: Timestamp) -> Option<Keep> {
        let newest = self.as_of_this_clock(newest);
        match class {
            Class::RayTmp | Class::Pip | Class::Tmp | Class::CheckpointTmp => self.leftover_kept(newest),
            Class::DeadSession | Class::Detached => self.younger_than(self.ages.dead_session, newest),
            Class::DeadSessionLogs | Class::SessionLogs => self.younger_than(self.ages.logs, newest),
        }
    }

    /// When something changed, if it may have been before the clock was set. What is so young that it would
    /// then lie in the future has changed since.
    fn as_of_this_clock(&self, newest: Timestamp) -> Timestamp {
        let then = newest.checked_add(self.set_forward).ok().filter(|then| *then <= self.now);
        then.unwrap_or(newest)
    }

    fn leftover_kept(&self, newest: Timestamp) -> Option<Keep> {
        if let Some(stranger) = self.shared_with {
            return Some(Keep::new(
                KeptBecause::Shared,
                format!("the temp root is not this worker's alone: {stranger}"),
            ));
        }
        match self.state {
            WorkerState::Active => Some(Keep::new(
                KeptBecause::WorkerActive,
                "the worker is at work; what it holds by name alone cannot be told from a leftover",
            )),
            WorkerState::NoJob => self.younger_than(self.ages.no_job, newest),
            WorkerState::InJob => self.kept_for_a_job(newest),
        }
    }

    /// A job's next step may read what its last step wrote, by a name that only a driver elsewhere
    /// remembers. What is older than every live job cannot be theirs; what is older than
    /// `ages.in_job` is taken as forgotten.
    fn kept_for_a_job(&self, newest: Timestamp) -> Option<Keep> {
        let age = age(self.now, newest);
        if age >= self.ages.in_job.0 {
            return None;
        }
        if self.older_than_every_job(newest) {
            return self.younger_than(self.ages.no_job, newest);
        }
        let job = match self.jobs {
            Jobs::Known(jobs) if jobs.is_empty() => "a pooled worker waits for a job".to_owned(),
            Jobs::Known(jobs) => format!("job {} may still read it", some_of(jobs)),
            Jobs::Unknown(reason) => format!("Ray did not say which jobs are alive ({reason})"),
        };
        Some(Keep::new(
            KeptBecause::JobAlive,
            format!("{job}; changed {} ago, kept until {} have passed", rounded(age), self.ages.in_job),
        ))
    }

    fn older_than_every_job(&self, newest: Timestamp) -> bool {
        let Jobs::Known(jobs) = self.jobs else { return false };
        let margin = self.ages.job_start_margin.0;
        !jobs.is_empty()
            && jobs.iter().all(|job| newest.checked_add(margin).is_ok_and(|latest| latest <= job.started_at))
    }

    fn younger_than(&self, least: Span, newest: Timestamp) -> Option<Keep> {
        let age = age(self.now, newest);
        (age < least.0).then(|| {
            let detail = format!("changed {} ago, kept until {least} have passed", rounded(age));
            Keep::new(KeptBecause::TooYoung, detail)
        })
    }
}

/// A cluster may have hundreds, and each leftover says which.
fn some_of(jobs: &[LiveJob]) -> String {
    const NAMED: usize = 3;
    let named: Vec<&str> = jobs.iter().take(NAMED).map(|job| job.id.as_str()).collect();
    match jobs.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// What is in the tree keeps it: mounts, an image layer, somebody else's files.
fn kept_by_contents(tree: &Tree, owner: Option<u32>) -> Option<Keep> {
    if let Some(keep) = kept_by_mount(tree) {
        return Some(keep);
    }
    if tree.image_layer {
        return Some(Keep::new(
            KeptBecause::ImageLayer,
            "it lies in an image layer; removing it would free nothing",
        ));
    }
    kept_by_owner(tree, owner)
}

/// Somebody else's files keep it, also those that were moved into it since the first look.
pub(crate) fn kept_by_owner(tree: &Tree, owner: Option<u32>) -> Option<Keep> {
    let owner = owner?;
    let other = if tree.owner == owner { tree.other_owner? } else { tree.owner };
    Some(Keep::new(KeptBecause::Error, format!("it belongs to user {other}, not to Ray's user {owner}")))
}

/// A mount in the tree keeps it, also one that has appeared since the first look.
pub(crate) fn kept_by_mount(tree: &Tree) -> Option<Keep> {
    let mount = tree.mount.as_ref()?;
    Some(Keep::new(KeptBecause::Mount, format!("{} is a mount", shown(mount))))
}

/// A dead session that somebody names again: a raylet that joins its cluster anew takes up the session
/// of that cluster, whose name was chosen by the head. Then all of it is a live session's.
pub(crate) fn kept_by_revival(candidate: &Candidate, signs: &Signs) -> Option<Keep> {
    if !matches!(candidate.class, Class::DeadSession | Class::DeadSessionLogs) {
        return None;
    }
    let session = Called::of(&candidate.path).session?;
    let pid = signs.mentioned_by(&session.to_string_lossy())?;
    let detail = "its session has come to life during the sweep".to_owned();
    Some(Keep { why: KeptBecause::SessionLive, detail, pid: Some(pid) })
}

/// Whoever uses anything of the tree keeps it. The path is relative to the temp root, and may be that
/// of something detached.
pub(crate) fn kept_by_use(path: &Path, tree: &Tree, signs: &Signs) -> Option<Keep> {
    let Called { name, session } = Called::of(path);
    let in_use = |pid: Option<i32>, detail: String| Some(Keep { why: KeptBecause::InUse, detail, pid });
    if let Some(file) = tree.in_use.first() {
        let pid = signs.files.get(file).copied();
        return in_use(pid, "a process has something of it open, mapped, locked or as its folder".to_owned());
    }
    match &tree.sockets {
        None => return in_use(None, "it holds more sockets than can be checked".to_owned()),
        Some(sockets) => {
            let session = session.as_deref().map(OsStrExt::as_bytes);
            let bound = sockets.iter().find_map(|socket| signs.bound(socket.as_os_str().as_bytes(), session));
            if bound.is_some() {
                return in_use(bound, "a process has a socket in it bound".to_owned());
            }
        }
    }
    // What is not UTF-8 cannot be looked for in arguments; the lossy form finds its readable part.
    let pid = signs.mentioned_by(&name.to_string_lossy())?;
    in_use(Some(pid), "a process names it in its arguments, variables, open paths or mounts".to_owned())
}

/// What others would call something under a temp root.
struct Called {
    /// Its own name; from the session on where it lies in one, because every session's `sockets` and
    /// `runtime_resources` are named alike.
    name: PathBuf,
    /// The session that it is or lies in.
    session: Option<OsString>,
}

impl Called {
    fn of(path: &Path) -> Self {
        let own: PathBuf = path.iter().map(own_name).collect();
        let Some(at) = own.iter().position(is_session) else {
            return Self { name: own.file_name().unwrap_or_default().into(), session: None };
        };
        let name: PathBuf = own.iter().skip(at).collect();
        let session = name.iter().next().map(OsStr::to_owned);
        Self { name, session }
    }
}

/// Negative ages (a clock that was set back) are no age at all.
fn age(now: Timestamp, newest: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(newest)).unwrap_or_default()
}

fn rounded(age: Duration) -> Span {
    Span(Duration::from_secs(age.as_secs()))
}

/// A path as a report shows it: what is not UTF-8, and what would break a line, is escaped.
pub(crate) fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
        }
        for byte in chunk.invalid() {
            text.extend(['\\', 'x'].into_iter().chain(format!("{byte:02x}").chars()));
        }
    }
    text
}

#[cfg(test)]
mod tests;
