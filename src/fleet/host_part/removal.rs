//! Takes a host's part away. Not all or nothing: what is gone is gone, and a run that is repeated takes
//! the rest.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    PROGRAM, STAGED,
    hold::{HOLD, NEW},
    place::Place,
    record::RECORD,
    system::System,
    transaction::{replace, rmdir_if_empty, unlink_if_there},
    wanted::{ACCOUNT, ACCOUNT_HOME, CRON, LINK, LOGROTATE, SETTINGS, SUDOERS, TEXTFILE, TMPFILES, Thing},
};
use crate::fleet::order::{Change, How};

/// Where a responder on this host has its unit; then the program is its own as well.
const RESPONDER: &str = "/etc/systemd/system/raysweep.service";
const FOLDER: &str = "/etc/raysweep";

/// What there is to take away.
pub(super) fn list(textfile_dir: &Path, place: &Place, system: &dyn System) -> Result<Vec<Change>, String> {
    let removed = |what: String| Change { what, how: How::Removed, diff: String::new() };
    let paths = trees(place).into_iter().chain(files(textfile_dir, place)).chain([place.path(RECORD)]);
    let mut changes: Vec<_> = paths
        .filter(|path| path.symlink_metadata().is_ok())
        .map(|path| removed(place.shown(&path)))
        .collect();
    if is_ours(system)? {
        changes.push(removed(format!("account {ACCOUNT}")));
    }
    Ok(changes)
}

/// Takes it away, and puts the crontabs in their places. Whatever cannot be done is named, and stops
/// nothing else. Whoever calls it has the sweeps' lock: their folder goes too.
pub(super) fn remove(
    textfile_dir: &Path,
    crontabs: &[Thing],
    place: &Place,
    system: &dyn System,
) -> Result<(), String> {
    let mut wrong = vec![];
    let mut note = |path: &Path, result: io::Result<()>| {
        wrong.extend(result.err().map(|error| format!("{}: {error}", place.shown(path))));
    };
    let [home, others @ ..] = trees(place);
    // First what lets somebody in and what starts something.
    note(&home, remove_tree(&home));
    for path in files(textfile_dir, place) {
        note(&path, unlink_if_there(&path));
    }
    let mut is_given_back = true;
    for crontab in crontabs {
        let replaced = replace(crontab);
        is_given_back &= replaced.is_ok();
        note(crontab.path(), replaced);
    }
    // As long as one is missing, what it lost must be remembered.
    if is_given_back {
        let record = place.path(RECORD);
        note(&record, unlink_if_there(&record));
    }
    for path in others {
        note(&path, remove_tree(&path));
    }
    let folder = place.path(FOLDER);
    note(&folder, rmdir_if_empty(&folder));
    // Last, because it is refused while the responder's connection still stands.
    if is_ours(system)?
        && let Err(why) = system.remove_account()
    {
        wrong.push(format!("account {ACCOUNT}: {why}; another undeploy takes it"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// The account's home first: it holds the key.
fn trees(place: &Place) -> [PathBuf; 3] {
    [ACCOUNT_HOME, "/run/raysweep", "/var/log/raysweep"].map(|path| place.path(path))
}

fn files(textfile_dir: &Path, place: &Place) -> Vec<PathBuf> {
    let mut files: Vec<_> = [SUDOERS, CRON].map(|path| place.path(path)).into();
    // Only if it is ours: somebody may have put a file there.
    let link = place.path(textfile_dir).join(LINK);
    if fs::read_link(&link).is_ok_and(|to| to == Path::new(TEXTFILE)) {
        files.push(link);
    }
    files.extend([LOGROTATE, TMPFILES, SETTINGS, HOLD, NEW].map(|path| place.path(path)));
    if !place.path(RESPONDER).exists() {
        files.push(place.path(PROGRAM));
    }
    files
}

/// An account of the same name with another home is somebody else's.
fn is_ours(system: &dyn System) -> Result<bool, String> {
    Ok(system.account_home()?.is_some_and(|home| home == Path::new(ACCOUNT_HOME)))
}

// Folders of our own making, which belong to root and hold what root put there: no worker's.
#[expect(clippy::disallowed_methods, reason = "no temp root is near: these are the host part's own folders")]
fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Somebody's mount: it is empty now.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(()),
        other => other,
    }
}

/// Programs that were brought along, this one's file included: it needs its name no longer.
pub(super) fn staged_programs(place: &Place) {
    let program = place.path(PROGRAM);
    let Some(entries) = program.parent().and_then(|folder| fs::read_dir(folder).ok()) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let is_staged = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(STAGED));
        if is_staged && let Err(error) = unlink_if_there(&path) {
            tracing::warn!("{}: {error}", path.display());
        }
    }
}
