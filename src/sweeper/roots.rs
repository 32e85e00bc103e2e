//! The folders of a worker that are entered: its temp roots, and where sessions lie that are not in the folder
//! under whose name they are found.
//!
//! `/tmp/ray` may be a mount, or a symlink to where there is more room. Under the temp root neither is gone
//! into; the folder behind it is a root of its own. Who sweeps and who measures have them from here, so that
//! what fills one of them is told of.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    discover::{Runtime, TempRoot, Worker},
    inside::{Inside, InsideError, Sessions, Whereabouts},
};

/// A folder that was to be entered.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) root: TempRoot,
    /// Whether its sessions lie in it, and not in a root of their own.
    pub(crate) has_sessions: bool,
    /// `None` where there is no such folder.
    pub(crate) entered: Result<Option<(Inside, Whereabouts)>, InsideError>,
}

/// Enters a temp root, and after it the folder of its sessions where that is another one. Each child has the
/// time that there is then. All looks are the child's: this folder or the way to it may hang.
pub(crate) fn open(worker: &Worker, root: &TempRoot, time: impl Fn() -> Duration) -> Vec<Opened> {
    let entered = enter(worker, root, time());
    let lie = entered.as_ref().ok().and_then(Option::as_ref);
    let elsewhere = lie.and_then(|(_, lie)| sessions_elsewhere(worker, root, lie.sessions));
    let has_sessions = elsewhere.is_none();
    let mut opened = vec![Opened { root: root.clone(), has_sessions, entered }];
    if let Some(root) = elsewhere {
        let entered = enter(worker, &root, time());
        opened.push(Opened { root, has_sessions: true, entered });
    }
    opened
}

fn enter(
    worker: &Worker,
    root: &TempRoot,
    time: Duration,
) -> Result<Option<(Inside, Whereabouts)>, InsideError> {
    let entered = Inside::enter(worker, &root.path, time).and_then(|mut inside| {
        let whereabouts = inside.whereabouts(&root.sessions)?;
        Ok(Some((inside, whereabouts)))
    });
    match entered {
        // A variable may name a folder that nobody has made; root does not.
        Err(InsideError::NotFound) if worker.runtime == Runtime::Bare => {
            Err(InsideError::RootRefused("there is no such folder".to_owned()))
        }
        Err(InsideError::NotFound) => Ok(None),
        entered => entered,
    }
}

/// The folder that a worker's sessions lie in, as a root that holds nothing else, where it is another one than
/// the folder of that name under this root.
fn sessions_elsewhere(worker: &Worker, root: &TempRoot, sessions: Sessions) -> Option<TempRoot> {
    if !worker.runtime.leftovers_are_its_own() {
        return None;
    }
    let path = root.path.join(&root.sessions);
    let owner = match sessions {
        Sessions::Here => return None,
        // Only who may mount can have laid that there.
        Sessions::Mounted => root.owner,
        // Whoever may write to `/tmp` may lay a symlink there: only that raylet's user's goes.
        Sessions::Linked(owner) => Some(is_of_a_raylet(worker, owner, &path).then_some(owner)?),
    };
    Some(TempRoot { path, sessions: PathBuf::new(), leftovers: false, owner })
}

/// Whether a raylet of this user has its sessions there.
fn is_of_a_raylet(worker: &Worker, user: u32, folder: &Path) -> bool {
    let is_its = |temp_dir: &Option<PathBuf>| temp_dir.as_deref() == Some(folder);
    worker.raylets.iter().any(|raylet| raylet.user_id == user && is_its(&raylet.temp_dir))
}

/// Of a worker's folders those that no walk of another one counts: each once, and none that lies in another.
pub(crate) fn apart<T>(mut folders: Vec<(Whereabouts, T)>) -> Vec<(Whereabouts, T)> {
    let all: Vec<Whereabouts> = folders.iter().map(|(lie, _)| lie.clone()).collect();
    let mut seen = vec![];
    folders.retain(|(lie, _)| {
        let is_counted = seen.contains(&lie.root) || all.iter().any(|other| lie.above.contains(&other.root));
        seen.push(lie.root);
        !is_counted
    });
    folders
}

#[cfg(test)]
mod tests;
