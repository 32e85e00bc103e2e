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

/// `1: POSIX  ADVISORY  WRITE 1234 fe:01:5678 0 EOF`, also with `->` where one waits for another.
pub(crate) fn lock(line: &str) -> Option<(i32, FileId)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let place = fields.iter().skip(1).position(|field| field.matches(':').count() == 2)? + 1;
    let (dev, ino) = fields[place].rsplit_once(':')?;
    // A lock of an open file description has no process: -1.
    let pid = fields.get(place.checked_sub(1)?)?.parse().ok()?;
    Some((pid, FileId { dev: device(dev)?, ino: ino.parse().ok()? }))
}

/// The path that a socket is bound to. A name may hold line breaks: a line that does not look like the
/// others is the rest of one.
pub(crate) fn bound_socket(line: &[u8]) -> Option<BoundSocket> {
    let path = path_of(line).unwrap_or(line);
    // Names that begin with '@' are in no file system.
    if path.starts_with(b"@") {
        return None;
    }
    let mut components = path.rsplit(|byte| *byte == b'/');
    let name = components.next().filter(|name| !name.is_empty())?.to_vec();
    let session = components.find(|component| is_session(OsStr::from_bytes(component)));
    Some(BoundSocket { name, session: session.map(<[u8]>::to_vec) })
}

/// What follows the seven fields before the path. Nothing does where the socket is not bound.
fn path_of(line: &[u8]) -> Option<&[u8]> {
    let mut rest = line;
    for number in 0..7 {
        let start = rest.iter().position(|byte| *byte != b' ')?;
        rest = &rest[start..];
        let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        if number == 0 && rest[..end].last() != Some(&b':') {
            return None;
        }
        rest = &rest[end..];
    }
    Some(rest.strip_prefix(b" ").unwrap_or(rest))
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
        assert_eq!(lock("1: POSIX  ADVISORY  WRITE 1234 fe:01:5678 0 EOF"), Some((1234, id)));
        assert_eq!(lock("1: -> FLOCK  ADVISORY  WRITE 99 fe:01:5678 0 EOF"), Some((99, id)));
        assert_eq!(lock("2: OFDLCK ADVISORY  READ  -1 fe:01:5678 0 EOF"), Some((-1, id)));
        assert_eq!(lock(""), None);
    }

    #[test]
    fn a_bound_socket_is_known_by_its_name_and_its_session() {
        let known = |path: &str| {
            bound_socket(format!("ffff: 00000002 00000000 00010000 0001 01 1234{path}").as_bytes()).map(
                |socket| {
                    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                    (text(socket.name), socket.session.map(text))
                },
            )
        };
        let raylet = Some(("raylet".to_owned(), Some("session_1".to_owned())));
        assert_eq!(known(" /tmp/ray/session_1/sockets/raylet"), raylet);
        assert_eq!(known(" /tmp/ray/session_latest/raylet"), Some(("raylet".to_owned(), None)));
        assert_eq!(known(" relative name"), Some(("relative name".to_owned(), None)));
        assert_eq!(known(" @abstract/raylet"), None);
        assert_eq!(known(""), None);
        assert_eq!(bound_socket(b"rest of a name").unwrap().name, b"rest of a name");
    }
}
