//! Which entries under a temp root are candidates, before anyone looks into them.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{Broken, Run, passing};
use crate::{
    domain::report::{Class, KeptBecause},
    sweeper::{
        candidates::{
            Candidate, Keep, is_detached, is_process_log, is_session, kept_by_use, leftover_class,
            locked_checkpoints, own_name, shown,
        },
        inside::{DETACHED, Entry, Inside, InsideError, Kind, Restored, Tree, is_begun},
        signs::Signs,
        temp_root::LISTED_AT_ONCE,
    },
};

/// What the names in a list begin with. Only what may be a candidate is listed: a folder may hold a
/// million of something else.
const CHECKPOINT: &str = "checkpoint_tmp_";
const OTHER_LEFTOVERS: [&str; 3] = ["ray_tmp_", "pip-", "tmp"];
const SESSION: &str = "session_";

/// A candidate, and what it holds where that was looked at to find it.
pub(super) struct Found {
    pub(super) candidate: Candidate,
    pub(super) tree: Option<Tree>,
}

impl From<Candidate> for Found {
    fn from(candidate: Candidate) -> Self {
        Self { candidate, tree: None }
    }
}

impl Found {
    /// The list and the look may have met two of one name: then what was looked at says nothing.
    pub(super) fn looked_at(candidate: Candidate, tree: Tree) -> Self {
        let tree = (tree.id == candidate.id).then_some(tree);
        Self { candidate, tree }
    }
}

/// What a dead session holds.
struct Dead {
    /// The newest change of anything in it.
    newest: Timestamp,
    /// The same of its parts alone: that its folder has changed may be our own doing, and so may be what was
    /// done to a part whose delete had begun.
    last_used: Timestamp,
    parts: Vec<(Entry, Tree)>,
}

/// Why it is not known what a session holds.
enum Unseen {
    OutOfTime,
    Broken(Broken),
}

impl From<Broken> for Unseen {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// What is known of a session.
enum Session {
    Live,
    Dead(Dead),
    /// There was no time to look at all of it.
    Unknown,
}

impl Run<'_> {
    /// `ray_tmp_*`, `pip-*`, `tmp*` and `checkpoint_tmp_*` directly under the root.
    pub(super) fn leftovers(&mut self, _: &Signs, candidates: &mut Vec<Found>) -> Result<(), Broken> {
        if !self.orders.leftovers {
            return self.begun(candidates);
        }
        // A list that is cut may lack the very lock that keeps a checkpoint. So these come by themselves,
        // after what an earlier sweep had detached has its name back.
        let mut entries = self.entries(Path::new(""), &[DETACHED])?;
        entries.retain(|entry| entry.path.file_name().is_some_and(is_detached));
        let checkpoints = self.entries(Path::new(""), &[CHECKPOINT])?;
        if self.is_cut {
            let many = format!("more {CHECKPOINT}* than one list holds: none of them is looked at");
            self.findings.error(&many);
        } else {
            entries.extend(checkpoints);
        }
        entries.extend(self.entries(Path::new(""), &OTHER_LEFTOVERS)?);
        let names = entries.iter().filter_map(|entry| entry.path.file_name());
        let locked = locked_checkpoints(names, self.orders.live_pids);
        for entry in entries {
            let name = own_name(entry.path.file_name().unwrap_or_default());
            let Some(class) = leftover_class(name) else { continue };
            let is_locked = locked.contains(name.as_bytes());
            let candidate = Candidate { class, id: entry.id, path: entry.path };
            if is_locked {
                let keep = Keep::new(KeptBecause::InUse, "a live process holds its .del_lock");
                self.keep(&candidate, 0, keep);
            } else {
                candidates.push(candidate.into());
            }
        }
        Ok(())
    }

    /// They were leftovers when a sweep that was killed detached them: they get their names back, or go if
    /// their delete had begun.
    fn begun(&mut self, candidates: &mut Vec<Found>) -> Result<(), Broken> {
        for entry in self.entries(Path::new(""), &[DETACHED])? {
            let candidate = Candidate { class: Class::Detached, id: entry.id, path: entry.path };
            if candidate.is_begun() {
                candidates.push(candidate.into());
            }
        }
        Ok(())
    }

    /// Dead sessions, and old logs of live ones.
    pub(super) fn sessions(&mut self, signs: &Signs, candidates: &mut Vec<Found>) -> Result<(), Broken> {
        let Some(folder) = self.orders.sessions else { return Ok(()) };
        let mut sessions: Vec<Entry> = self
            .entries(folder, &[SESSION, DETACHED])?
            .into_iter()
            .filter(|entry| entry.kind == Kind::Folder && session_name(entry).is_some())
            .collect();
        // Their names begin with the time at which they started.
        sessions.sort_by(|a, b| session_name(b).cmp(&session_name(a)));
        let mut newest_dead = true;
        for session in sessions {
            let whole = Candidate { class: Class::DeadSession, id: session.id, path: session.path.clone() };
            if whole.is_begun() {
                candidates.push(whole.into());
                continue;
            }
            let name = session_name(&session).unwrap_or_default().to_string_lossy().into_owned();
            match self.session(&session, &name, signs)? {
                Session::Live => self.logs_of_the_living(&session.path, candidates)?,
                Session::Dead(dead) => {
                    self.dead_session(&session, dead, newest_dead, candidates);
                    newest_dead = false;
                }
                Session::Unknown => self.left(&whole, 0, InsideError::OutOfTime)?,
            }
        }
        Ok(())
    }

    /// A session is live while any process of any namespace names it or has anything of it in use, or it
    /// cannot be looked into.
    fn session(&mut self, session: &Entry, name: &str, signs: &Signs) -> Result<Session, Broken> {
        match self.dead(session, name, signs) {
            Ok(Some(dead)) => Ok(Session::Dead(dead)),
            Ok(None) => Ok(Session::Live),
            Err(Unseen::OutOfTime) => Ok(Session::Unknown),
            Err(Unseen::Broken(broken)) => Err(broken),
        }
    }

    /// What a dead session holds; `None` of one that is live.
    fn dead(&mut self, session: &Entry, name: &str, signs: &Signs) -> Result<Option<Dead>, Unseen> {
        if session.mounted || signs.mentioned_by(name).is_some() {
            return Ok(None);
        }
        let Some(top) = self.look_into(&session.path, Inside::look_at_top)? else { return Ok(None) };
        let mut dead = Dead { newest: top.newest, last_used: Timestamp::MIN, parts: vec![] };
        let mut is_used = kept_by_use(&session.path, &top, signs).is_some();
        let was_cut = std::mem::take(&mut self.is_cut);
        let parts = self.entries(&session.path, &[])?;
        if self.is_cut {
            // What the list left out may be what is in use.
            let Some(whole) = self.look_into(&session.path, Inside::look)? else { return Ok(None) };
            is_used |= kept_by_use(&session.path, &whole, signs).is_some();
            dead.newest = dead.newest.max(whole.newest);
            dead.last_used = whole.newest;
        }
        self.is_cut |= was_cut;
        for part in parts {
            let Some(tree) = self.look_into(&part.path, Inside::look)? else { return Ok(None) };
            is_used |= kept_by_use(&part.path, &tree, signs).is_some();
            dead.newest = dead.newest.max(tree.newest);
            if !part.path.file_name().is_some_and(is_begun) {
                dead.last_used = dead.last_used.max(tree.newest);
            }
            dead.parts.push((part, tree));
        }
        Ok((!is_used).then_some(dead))
    }

    /// What could not be looked into may be alive.
    fn look_into(
        &mut self,
        path: &Path,
        look: fn(&mut Inside, &Path) -> Result<Tree, InsideError>,
    ) -> Result<Option<Tree>, Unseen> {
        match look(self.inside, path) {
            Ok(tree) => Ok(Some(tree)),
            Err(InsideError::NotFound) => Ok(None),
            Err(InsideError::OutOfTime) => Err(Unseen::OutOfTime),
            Err(error) => {
                let error = passing(error)?;
                self.findings.error(&format!("{}: {error}", shown(&self.orders.root.join(path))));
                Ok(None)
            }
        }
    }

    /// All of it if even its logs may go; otherwise everything in it but its logs. A part goes by the age of
    /// the session: what was last changed hours ago was needed until the raylet ended a moment ago, and is
    /// again by the one that takes the session up.
    fn dead_session(&mut self, session: &Entry, dead: Dead, newest_dead: bool, candidates: &mut Vec<Found>) {
        let logs = session.path.join("logs");
        let is_old = self.situation.kept_by_age(Class::DeadSessionLogs, dead.newest).is_none();
        if !newest_dead && is_old {
            let whole = Candidate { class: Class::DeadSession, id: session.id, path: session.path.clone() };
            candidates.push(Found { candidate: whole, tree: None });
            return;
        }
        let too_young = self.situation.kept_by_age(Class::DeadSession, dead.last_used);
        for (part, tree) in dead.parts {
            let is_logs = part.path == logs;
            let class = if is_logs { Class::DeadSessionLogs } else { Class::DeadSession };
            let candidate = Candidate { class, id: part.id, path: part.path };
            if is_logs && newest_dead {
                let why = "the newest dead session's logs stay for the post-mortem";
                let keep = Keep::new(KeptBecause::NewestDeadSession, why);
                self.keep(&candidate, tree.bytes, keep);
            } else if let Some(keep) = too_young.as_ref().filter(|_| !candidate.is_begun()) {
                self.keep(&candidate, tree.bytes, keep.clone());
            } else {
                candidates.push(Found::looked_at(candidate, tree));
            }
        }
    }

    /// `logs/old/*`, and logs of processes that have ended: their names end in a pid, and nobody has
    /// them open.
    fn logs_of_the_living(&mut self, session: &Path, candidates: &mut Vec<Found>) -> Result<(), Broken> {
        let logs = session.join("logs");
        for entry in self.own_entries(&logs.join("old"))? {
            let old = Candidate { class: Class::SessionLogs, id: entry.id, path: entry.path };
            candidates.push(old.into());
        }
        for entry in self.own_entries(&logs)? {
            let named_so = entry.path.file_name().is_some_and(is_process_log);
            if entry.kind == Kind::File && named_so {
                let old = Candidate { class: Class::SessionLogs, id: entry.id, path: entry.path };
                candidates.push(old.into());
            }
        }
        Ok(())
    }

    /// All entries of a folder of a living session. Where it is a symlink or a mount, as on a disk of its own
    /// for logs, none of them is ours, and nothing is wrong.
    fn own_entries(&mut self, folder: &Path) -> Result<Vec<Entry>, Broken> {
        match self.inside.list(folder, &[], 0) {
            Err(InsideError::NoFolder(_)) => Ok(vec![]),
            _ => self.entries(folder, &[]),
        }
    }

    /// The entries of a folder whose names begin so, with what an earlier sweep had detached given its
    /// name back. A folder that is not there has none.
    fn entries(&mut self, folder: &Path, begins: &[&str]) -> Result<Vec<Entry>, Broken> {
        let entries = match self.inside.list(folder, begins, self.orders.listed_at_once) {
            Ok(list) => {
                self.is_cut |= list.is_cut;
                list.entries
            }
            Err(InsideError::NotFound) => return Ok(vec![]),
            Err(error) => {
                let error = passing(error)?;
                self.findings.error(&format!("{}: {error}", shown(folder)));
                return Ok(vec![]);
            }
        };
        if !entries.iter().any(|entry| entry.path.file_name().is_some_and(is_detached)) {
            return Ok(entries);
        }
        self.heal(entries)
    }

    /// A sweep that was killed left these off their names: they get them back and are judged anew. In
    /// a dry run, and where something has taken the name, they are judged as they lie; so is what it
    /// had begun to delete, which is no longer what its name said.
    fn heal(&mut self, entries: Vec<Entry>) -> Result<Vec<Entry>, Broken> {
        let delete = self.orders.delete;
        let is_whole = |entry: &Entry| {
            let name = entry.path.file_name().unwrap_or_default();
            delete && is_detached(name) && !is_begun(name)
        };
        let (whole, mut healed): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_whole);
        let restored = self.inside.restore_all(whole.iter().map(|entry| entry.path.as_path()));
        for (entry, restored) in whole.into_iter().zip(restored) {
            match restored {
                Ok(Restored::InPlace) => {
                    self.healed.insert(entry.id);
                    let name = own_name(entry.path.file_name().unwrap_or_default());
                    healed.push(Entry { path: entry.path.with_file_name(name), ..entry });
                }
                Ok(Restored::NameTaken) => healed.push(entry),
                Err(error) => {
                    let detached = Candidate { class: Class::Detached, id: entry.id, path: entry.path };
                    self.left(&detached, 0, error)?;
                }
            }
        }
        Ok(healed)
    }
}

/// Whether an earlier sweep was killed here and left something detached. What cannot be listed is left
/// to a sweep that looks at everything.
pub(crate) fn is_unfinished(inside: &mut Inside, sessions: Option<&Path>) -> bool {
    let mut folders = vec![PathBuf::new()];
    folders.extend(sessions.filter(|sessions| !sessions.as_os_str().is_empty()).map(Path::to_owned));
    while let Some(folder) = folders.pop() {
        let in_session = folder.iter().any(is_session);
        let begins = if in_session { &[][..] } else { &[SESSION, DETACHED] };
        let list = inside.list(&folder, begins, LISTED_AT_ONCE).unwrap_or_default();
        for entry in list.entries {
            if entry.path.file_name().is_some_and(is_detached) {
                return true;
            }
            let is_logs = entry.path.ends_with("logs") || entry.path.ends_with("logs/old");
            if entry.kind == Kind::Folder
                && (Some(folder.as_path()) == sessions && session_name(&entry).is_some()
                    || in_session && is_logs)
            {
                folders.push(entry.path);
            }
        }
    }
    false
}

/// A session under its own name, even while an earlier sweep's detaching hides it.
fn session_name(entry: &Entry) -> Option<&OsStr> {
    entry.path.file_name().map(own_name).filter(|name| is_session(name))
}
