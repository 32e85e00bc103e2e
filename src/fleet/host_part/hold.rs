//! A host that is left alone for a while: the file of which every sweep asks before it does anything.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::{Mode, OFlags, fchmod, major, minor};

use super::{difference, place::Place, transaction::unlink_if_there, unchanged, wanted::SETTINGS};
use crate::{
    config::{self, sweep::SweepSettings},
    fleet::order::{Change, Done, Failed, Hold, How},
};

/// While it exists nothing is deleted there by anyone; its first line says why.
pub(super) const HOLD: &str = "/etc/raysweep/hold";
/// The file before it has its name.
pub(super) const NEW: &str = "/etc/raysweep/.hold~";
/// Why, where nobody says.
const REASON: &str = "maintenance";

/// What the host's sweeps go by. One that asks for another file is not held by ours. Settings that do not load let
/// none begin.
fn settings(place: &Place) -> Result<SweepSettings, Failed> {
    let settings = config::load_sweep(&place.path(SETTINGS)).unwrap_or_default();
    if settings.hold_file != Path::new(HOLD) {
        let file = settings.hold_file.display();
        return Err(unchanged(format!(
            "its hold_file is {file}: make that file, or take it away, on the host"
        )));
    }
    Ok(settings)
}

/// Nothing is to be deleted from now on.
pub(super) fn hold(wish: &Hold, check: bool, place: &Place, done: &mut Done) -> Result<(), Failed> {
    if !place.path(SETTINGS).exists() {
        return Err(unchanged(format!("there is no {SETTINGS}: nothing sweeps this host")));
    }
    let settings = settings(place)?;
    let found = found(place)?;
    if let Some(text) = found.as_deref().filter(|text| says(text, wish.reason.as_deref())) {
        done.notes.push(format!("held already: {}", first_line(text)));
    } else {
        let line = format!("{} ({})", wish.reason.as_deref().unwrap_or(REASON), wish.by);
        let text = format!("{line}\n");
        let before = found.unwrap_or_default();
        let how = if before.is_empty() { How::Created } else { How::Changed };
        let diff = difference::between(HOLD, before.as_bytes(), text.as_bytes());
        done.changes.push(Change { what: HOLD.to_owned(), how, diff });
        if !check {
            put(&text, place).map_err(|error| unchanged(format!("{HOLD}: {error}")))?;
            done.notes.push(format!("held: {line}"));
        }
    }
    if is_sweeping(&place.path(settings.lock_dir())) {
        done.notes.push("a sweep is at work there now, and ends before its next batch".to_owned());
    }
    Ok(())
}

/// It goes on.
pub(super) fn release(check: bool, place: &Place, done: &mut Done) -> Result<(), Failed> {
    settings(place)?;
    let Some(text) = found(place)? else { return Ok(()) };
    let diff = difference::between(HOLD, text.as_bytes(), b"");
    done.changes.push(Change { what: HOLD.to_owned(), how: How::Removed, diff });
    if !check {
        unlink_if_there(&place.path(HOLD)).map_err(|error| unchanged(format!("{HOLD}: {error}")))?;
    }
    let was = if check { "is held" } else { "was held" };
    done.notes.push(format!("{was}: {}", first_line(&text)));
    Ok(())
}

/// What the file says; whatever cannot be read holds a host as well, and is not ours to replace.
fn found(place: &Place) -> Result<Option<String>, Failed> {
    match fs::read(place.path(HOLD)) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unchanged(format!("{HOLD}: {error}"))),
    }
}

/// Whether a hold is for this reason, whoever set it and when; for any, where none is given.
fn says(text: &str, reason: Option<&str>) -> bool {
    reason.is_none_or(|reason| {
        let rest = first_line(text).strip_prefix(reason).map(str::trim_start);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('('))
    })
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim()
}

/// Whole or not at all: a sweep that begins in between sees the one or the other.
fn put(text: &str, place: &Place) -> io::Result<()> {
    let (path, new) = (place.path(HOLD), place.path(NEW));
    unlink_if_there(&new)?;
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let mut file = File::options().write(true).create_new(true).custom_flags(flags).open(&new)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| {
        // Everybody may know why, whatever the umask.
        fchmod(&file, Mode::from_raw_mode(0o644))?;
        file.sync_all()?;
        fs::rename(&new, &path)
    });
    if written.is_err() {
        unlink_if_there(&new)?;
    }
    written?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Whether somebody has the folder that a sweep locks. The kernel is asked: whoever tried the lock could have it
/// when a sweep begins.
pub(super) fn is_sweeping(locked: &Path) -> bool {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    is_locked(locked, &locks)
}

fn is_locked(folder: &Path, locks: &str) -> bool {
    let Ok(metadata) = folder.metadata() else { return false };
    let device = metadata.dev();
    let wanted = format!("{:02x}:{:02x}:{}", major(device), minor(device), metadata.ino());
    locks
        .lines()
        .any(|line| line.contains(" FLOCK ") && line.split_ascii_whitespace().any(|word| word == wanted))
}

#[cfg(test)]
mod tests {
    use rustix::fs::{FlockOperation, flock};

    use super::{super::place::SWEEPS, *};

    fn wish(reason: Option<&str>) -> Hold {
        Hold { reason: reason.map(str::to_owned), by: "jo@desk, 2026-01-05 10:00 UTC".to_owned() }
    }

    fn host() -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::below(folder.path(), Path::new(""));
        fs::create_dir_all(place.path("/etc/raysweep")).unwrap();
        fs::create_dir_all(place.path(SWEEPS)).unwrap();
        fs::write(place.path(SETTINGS), "").unwrap();
        (folder, place)
    }

    fn held(place: &Place, reason: Option<&str>) -> Done {
        let mut done = Done::default();
        hold(&wish(reason), false, place, &mut done).unwrap();
        done
    }

    fn released(place: &Place, check: bool) -> Done {
        let mut done = Done::default();
        release(check, place, &mut done).unwrap();
        done
    }

    #[test]
    fn a_hold_says_why_who_and_when_and_is_set_once() {
        let (_folder, place) = host();
        let text = || fs::read_to_string(place.path(HOLD)).unwrap();
        let first = held(&place, Some("disk swap"));
        assert_eq!(text(), "disk swap (jo@desk, 2026-01-05 10:00 UTC)\n");
        assert_eq!((first.changes.len(), first.changes[0].how), (1, How::Created));
        for same in [Some("disk swap"), None] {
            let again = held(&place, same);
            assert_eq!(again.changes, []);
            assert_eq!(again.notes, ["held already: disk swap (jo@desk, 2026-01-05 10:00 UTC)"]);
        }
        let other = held(&place, Some("disk"));
        assert_eq!(other.changes[0].how, How::Changed);
        assert!(text().starts_with("disk ("), "{}", text());
        assert!(!place.path(NEW).exists());
    }

    #[test]
    fn a_release_takes_it_away_and_a_check_changes_nothing() {
        let (_folder, place) = host();
        let mut done = Done::default();
        hold(&wish(None), true, &place, &mut done).unwrap();
        assert_eq!((done.changes.len(), place.path(HOLD).exists()), (1, false));
        fs::write(place.path(HOLD), "by hand\n").unwrap();
        assert_eq!(held(&place, None).changes, [], "somebody has made it by hand");
        assert_eq!((released(&place, true).changes.len(), place.path(HOLD).exists()), (1, true));
        let done = released(&place, false);
        assert_eq!((done.notes, place.path(HOLD).exists()), (vec!["was held: by hand".to_owned()], false));
        assert_eq!(released(&place, false), Done::default(), "a second time there is nothing to do");
    }

    #[test]
    fn a_host_without_its_part_is_not_held() {
        let (_folder, place) = host();
        unlink_if_there(&place.path(SETTINGS)).unwrap();
        let failed = hold(&wish(None), false, &place, &mut Done::default()).unwrap_err();
        assert!(failed.as_before && failed.why.contains("nothing sweeps this host"), "{failed:?}");
        assert!(!place.path(HOLD).exists());
    }

    #[test]
    fn a_sweep_that_runs_is_told_of_and_its_lock_is_not_touched() {
        for (locked, settings) in [(SWEEPS, ""), ("/run/other/lock", "runtime_dir: /run/other\n")] {
            let (_folder, place) = host();
            fs::create_dir_all(place.path(locked)).unwrap();
            fs::write(place.path(SETTINGS), settings).unwrap();
            assert_eq!(held(&place, None).notes.len(), 1, "{locked}");
            let folder = File::open(place.path(locked)).unwrap();
            flock(&folder, FlockOperation::NonBlockingLockExclusive).unwrap();
            let done = held(&place, None);
            let told = done.notes.get(1).map(String::as_str);
            assert_eq!(
                told,
                Some("a sweep is at work there now, and ends before its next batch"),
                "{locked}"
            );
            drop(folder);
            assert_eq!(held(&place, None).notes.len(), 1, "{locked}");
        }
    }
}
