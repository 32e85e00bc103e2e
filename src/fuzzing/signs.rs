//! What a process can choose: the names of what it maps, locks and binds.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use rustix::fs::makedev;

use super::names;
use crate::sweeper::{
    FileId,
    candidates::is_session,
    signs::{
        Signs,
        parse::{self, Map},
    },
};

/// No name of a mapped file hides it, nor makes another of it.
pub(super) fn maps(data: &[u8]) {
    for line in String::from_utf8_lossy(data).lines() {
        if let Some(Some(map)) = parse::map(line) {
            assert!(line.ends_with(map.name) && map.id.ino != 0, "{line:?}");
        }
    }
    for (name, number) in names(data).zip(1..) {
        // The kernel escapes line breaks, and nothing else.
        let name = format!("/{}", String::from_utf8_lossy(name).replace('\n', "\\012"));
        let fields = format!("0040{number:04x}-7f0000000000 r--p 00000000 fe:01 {number}");
        let id = FileId { dev: makedev(0xfe, 1), ino: number };
        let range = format!("40{number:04x}-7f0000000000");
        let expected = Map { id, range, name: &name };
        assert_eq!(parse::map(&format!("{fields:<72} {name}")), Some(Some(expected)), "{name:?}");
    }
}

/// A line either names its file, or has none, or is no line: a lock is never lost in silence.
pub(super) fn locks(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in text.lines() {
        let names_a_file = line.split_whitespace().any(|field| field.matches(':').count() == 2);
        if parse::lock(line) == Some(None) {
            assert!(!names_a_file || line.contains("<none>:0"), "{line:?}");
        }
    }
    let numbers = data.chunks_exact(8).map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
    for number in numbers {
        let [minor, major, ..] = number.to_le_bytes();
        let pid = i32::try_from(number >> 33).unwrap_or(-1);
        let kind = ["POSIX  ADVISORY ", "FLOCK  ADVISORY ", "OFDLCK ADVISORY ", "LEASE  ACTIVE   "];
        let kind = kind[(number >> 16) as usize % kind.len()];
        let waits = if number & 1 == 0 { "" } else { "-> " };
        let line = format!("7: {waits}{kind} WRITE {pid} {major:02x}:{minor:02x}:{number} 0 EOF");
        let id = FileId { dev: makedev(major.into(), minor.into()), ino: number };
        assert_eq!(parse::lock(&line), Some(Some((pid, id))), "{line}");
    }
}

/// Every bound socket is found by its name, alone and with each session on its way, whatever the names
/// beside it and before it are.
pub(super) fn sockets(data: &[u8]) {
    assert!(parse::bound_sockets(data).all(|socket| !socket.name.contains(&b'\n')));
    let paths: Vec<&[u8]> = names(data).filter(|path| !forges_an_entry(path)).collect();
    let mut listing = b"Num       RefCount Protocol Flags    Type St Inode Path\n".to_vec();
    for path in &paths {
        listing.extend_from_slice(b"0000000000000000: 00000002 00000000 00010000 0001 01 12345 ");
        listing.extend_from_slice(path);
        listing.push(b'\n');
    }
    let sockets = parse::bound_sockets(&listing).map(|socket| (socket, 7)).collect();
    let signs = Signs { sockets, ..Signs::default() };
    for path in paths {
        let mut components = path.rsplit(|byte| *byte == b'/');
        let name = components.next().unwrap_or_default();
        let shown = path.escape_ascii();
        assert!(signs.bound(name, None).is_some(), "{shown}");
        let mut sessions: Vec<_> =
            components.filter(|folder| is_session(OsStr::from_bytes(folder))).collect();
        if sessions.is_empty() {
            // One that lies in no session is nobody's, or everybody's.
            sessions.extend([name, b"session_1"]);
        }
        for session in sessions {
            assert!(signs.bound(name, Some(session)).is_some(), "{shown} in {}", session.escape_ascii());
        }
    }
}

/// A name that is made to look like the listing itself hides from it nobody's files but its own.
fn forges_an_entry(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'\n').skip(1).any(|line| {
        let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
        fields.next().is_some_and(|field| field.ends_with(b":")) && fields.count() > 5
    })
}
