//! The lines of `/proc/PID/maps`, `/proc/locks` and `/proc/PID/net/unix`.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use super::BoundSocket;
use crate::sweeper::{FileId, candidates::is_session};

/// A mapped file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Map<'a> {
    pub(crate) id: FileId,
    /// The name of its entry in `map_files`.
    pub(crate) range: String,
    /// Its path; empty where the kernel shows none.
    pub(crate) name: &'a str,
}

/// `55d0-55e0 r--p 00000000 fe:01 1234   /usr/bin/x`. The inner `None` is memory without a file, the
/// outer one is no line of maps at all.
// Two questions, two answers: a line that cannot be read must not pass for one without a file.
#[allow(clippy::option_option)]
pub(crate) fn map(line: &str) -> Option<Option<Map<'_>>> {
    let (addresses, rest) = line.split_once(' ')?;
    let mut fields = rest.splitn(4, ' ');
    let (_permissions, _offset) = (fields.next()?, fields.next()?);
    let device = device(fields.next()?)?;
    let (ino, name) = match fields.next()?.split_once(' ') {
        Some((ino, name)) => (ino, name.trim_start_matches(' ')),
        None => (line.rsplit(' ').next()?, ""),
    };
    let ino = ino.parse().ok()?;
    if ino == 0 {
        return Some(None);
    }
    // Maps pad addresses to eight digits, `map_files` does not.
    let (start, end) = addresses.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    let range = format!("{:x}-{:x}", address(start)?, address(end)?);
    Some(Some(Map { id: FileId { dev: device, ino }, range, name }))
}

/// `1: POSIX  ADVISORY  WRITE 1234 fe:01:5678 0 EOF`, also with `->` where one waits for another. The
/// inner `None` is a lock without a file, the outer one is no line of locks at all.
#[allow(clippy::option_option)]
pub(crate) fn lock(line: &str) -> Option<Option<(i32, FileId)>> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let place =
        fields.iter().skip(1).position(|field| field.matches(':').count() == 2 || *field == NO_FILE)? + 1;
    if fields[place] == NO_FILE {
        return Some(None);
    }
    let (dev, ino) = fields[place].rsplit_once(':')?;
    // A lock of an open file description has no process: -1.
    let pid = fields[place - 1].parse().ok()?;
    Some(Some((pid, FileId { dev: device(dev)?, ino: ino.parse().ok()? })))
}

/// What stands in place of a file that has no inode any more.
const NO_FILE: &str = "<none>:0";

/// The sockets of a listing that are bound.
#[cfg(any(test, fuzzing))]
pub(crate) fn bound_sockets(listing: &[u8]) -> impl Iterator<Item = BoundSocket> {
    listing.split(|byte| *byte == b'\n').skip(1).filter_map(bound_socket)
}

/// The path that a socket is bound to. A name may hold line breaks: a line that does not look like the
/// others is the rest of one, and what session it lies in stands in a line before it.
pub(crate) fn bound_socket(line: &[u8]) -> Option<BoundSocket> {
    let Some(after) = after_the_fields(line) else {
        return (!line.is_empty()).then(|| BoundSocket { name: last_component(line), sessions: vec![] });
    };
    // A path that begins with '@' may be an abstract name, in no file system, and may be a relative path.
    // One that is empty here begins with a line break; that of a socket which is not bound is not there.
    let path = after.strip_prefix(b" ")?;
    let folders = || path.rsplit(|byte| *byte == b'/').skip(1).map(OsStr::from_bytes);
    let by_link = folders().any(|folder| folder == "session_latest");
    let sessions = folders().filter(|folder| !by_link && is_session(folder));
    Some(BoundSocket {
        name: last_component(path),
        sessions: sessions.map(|session| session.as_bytes().to_vec()).collect(),
    })
}

fn last_component(path: &[u8]) -> Vec<u8> {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec()
}

/// The name under which a listing shows a socket of this name: of one that holds line breaks it is the
/// last line with something in it. `None` where that line shows as a socket that is not bound.
pub(crate) fn listed_name(name: &[u8]) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = name.split(|byte| *byte == b'\n').collect();
    match lines.iter().rposition(|line| !line.is_empty()) {
        None => Some(vec![]),
        // The first line stands behind the fields of its socket.
        Some(0) => Some(lines[0].to_vec()),
        Some(at) => bound_socket(lines[at]).map(|socket| socket.name),
    }
}

/// What follows the seven fields before the path: a space and the path. Nothing does where the socket is
/// not bound.
fn after_the_fields(line: &[u8]) -> Option<&[u8]> {
    let mut rest = line;
    for number in 0..7 {
        let start = rest.iter().position(|byte| *byte != b' ')?;
        rest = &rest[start..];
        let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        let looks_right = match number {
            0 => rest[..end].last() == Some(&b':'),
            _ => rest[..end].iter().all(u8::is_ascii_hexdigit),
        };
        if !looks_right {
            return None;
        }
        rest = &rest[end..];
    }
    Some(rest)
}

/// `fe:01` as statx's numbers give it.
fn device(text: &str) -> Option<u64> {
    let (major, minor) = text.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    Some(rustix::fs::makedev(number(major)?, number(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_is_known_by_device_and_inode() {
        let line = "00400000-00452000 r-xp 00000000 103:02 173521      /usr/bin/my dbus (deleted)";
        let map = map(line).unwrap().unwrap();
        assert_eq!(map.id, FileId { dev: rustix::fs::makedev(0x103, 2), ino: 173_521 });
        assert_eq!(map.range, "400000-452000");
        assert_eq!(map.name, "/usr/bin/my dbus (deleted)");
    }

    #[test]
    fn memory_without_a_file_is_no_sign_and_an_odd_line_is_no_line() {
        assert_eq!(map("7ffd-7ffe rw-p 00000000 00:00 0          [stack]"), Some(None));
        assert_eq!(map("7ffd-7ffe rw-p 00000000 00:00 0 "), Some(None));
        assert_eq!(map("7ffd-7ffe rw-p 00000000"), None);
        assert_eq!(map("something else"), None);
    }

    #[test]
    fn a_lock_names_its_file_and_a_blocked_one_does_too() {
        let id = FileId { dev: rustix::fs::makedev(0xfe, 1), ino: 5678 };
        assert_eq!(lock("1: POSIX  ADVISORY  WRITE 1234 fe:01:5678 0 EOF"), Some(Some((1234, id))));
        assert_eq!(lock("1: -> FLOCK  ADVISORY  WRITE 99 fe:01:5678 0 EOF"), Some(Some((99, id))));
        assert_eq!(lock("2: OFDLCK ADVISORY  READ  -1 fe:01:5678 0 EOF"), Some(Some((-1, id))));
    }

    #[test]
    fn a_lock_without_a_file_is_no_sign_and_an_odd_line_is_no_lock() {
        assert_eq!(lock("3: LEASE  ACTIVE    READ  77 <none>:0 0 EOF"), Some(None));
        for line in ["", "1: POSIX", "1: POSIX  ADVISORY  WRITE x fe:01:5678 0 EOF", "fe:01:1 1 fe:01:x"] {
            assert_eq!(lock(line), None, "{line}");
        }
    }

    /// How a listing shows sockets bound to these paths; none at all for an empty one.
    fn listing(paths: &[&str]) -> Vec<u8> {
        let entry = |path: &&str| {
            let space = if path.is_empty() { "" } else { " " };
            format!("00000000ffff: 00000002 00000000 00010000 0001 01 1234{space}{path}\n")
        };
        let entries: String = paths.iter().map(entry).collect();
        format!("Num       RefCount Protocol Flags    Type St Inode Path\n{entries}").into_bytes()
    }

    #[test]
    fn a_bound_socket_is_known_by_its_name_and_the_sessions_on_its_way() {
        let known = |path: &str| {
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            let sockets = bound_sockets(&listing(&[path])).collect::<Vec<_>>().into_iter();
            sockets
                .map(|socket| {
                    (text(socket.name), socket.sessions.into_iter().map(text).collect::<Vec<_>>().join(" "))
                })
                .next()
        };
        for (path, name, sessions) in [
            ("/tmp/ray/session_1/sockets/raylet", "raylet", "session_1"),
            ("/tmp/ray/session_1/data/session_of_mine/s", "s", "session_of_mine session_1"),
            // It lies in no session that it is only named like.
            ("/tmp/ray/session_1/session_of_mine", "session_of_mine", "session_1"),
            ("/tmp/ray/session_1", "session_1", ""),
            ("/tmp/ray/session_latest/raylet", "raylet", ""),
            ("/data/session_9/ray/session_latest/raylet", "raylet", ""),
            ("relative name", "relative name", ""),
            ("@relative", "@relative", ""),
            ("@abstract/raylet", "raylet", ""),
            ("/tmp/", "", ""),
        ] {
            assert_eq!(known(path), Some((name.to_owned(), sessions.to_owned())), "{path}");
        }
        assert_eq!(known(""), None);
    }

    /// The listing shows names as they are, line breaks included.
    #[test]
    fn a_socket_whose_name_has_line_breaks_is_found_by_what_the_listing_shows_of_it() {
        let shown =
            |path: &str| bound_sockets(&listing(&[path])).map(|socket| socket.name).collect::<Vec<_>>();
        for name in ["a\nb", "a\n", "\na", "\n", "a\n\nb", "a\n@b", "a\nb: 1 2 3 4 5 6 c"] {
            let listed = listed_name(name.as_bytes()).unwrap();
            assert!(shown(&format!("/tmp/{name}")).contains(&listed), "{name:?}");
            assert!(shown(name).contains(&listed), "{name:?}, bound by a relative path");
        }
        assert_eq!(listed_name(b"a\nb: 1 2 3 4 5 6"), None, "it shows as one that is not bound");
        let folder = bound_sockets(&listing(&["/tmp/session_1\nsession_2: 1 2 3 4 5 6/s"])).last().unwrap();
        assert_eq!(folder, BoundSocket { name: b"s".to_vec(), sessions: vec![] });
    }
}
