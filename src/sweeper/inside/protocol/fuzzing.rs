//! What holds for any stream between parent and child, and for any path on it.

use std::{ffi::OsString, io::Read, os::unix::ffi::OsStringExt};

use super::{Answer, Line, Lines, Request, write_line};
use crate::sweeper::FileId;

/// Longer than any line that a fuzzer makes up.
const MOST: usize = 1 << 20;

/// What is heard does not depend on how the stream was cut on its way; what is heard can be said again.
pub(crate) fn any_stream(data: &[u8]) {
    let size = data.first().map_or(1, |byte| usize::from(*byte) + 1);
    let at_once = heard(data, usize::MAX);
    assert_eq!(heard(data, size), at_once);
    for message in &at_once {
        assert_eq!(heard(message, 7), std::slice::from_ref(message));
    }
}

/// The requests and answers of a stream that arrives in pieces, as we would write them.
fn heard(stream: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut stream = InPieces { rest: stream, piece };
    let mut lines = Lines::default();
    let mut messages = vec![];
    while let Ok(Line::Message(message)) = lines.next::<Heard>(&mut stream, MOST, || Ok(())) {
        let mut written = vec![];
        write_line(&mut written, &message).expect("it can be written");
        messages.push(written);
    }
    messages
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum Heard {
    Request(Request),
    Answer(Answer),
}

struct InPieces<'a> {
    rest: &'a [u8],
    piece: usize,
}

impl Read for InPieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = self.piece.min(into.len()).min(self.rest.len());
        let (now, later) = self.rest.split_at(length);
        into[..length].copy_from_slice(now);
        self.rest = later;
        Ok(length)
    }
}

/// A path is any bytes, and arrives as these bytes.
pub(crate) fn any_path(data: &[u8]) {
    let path: std::path::PathBuf = OsString::from_vec(data.to_vec()).into();
    let said = Request::Delete { detached: path.clone(), id: FileId { dev: 1, ino: u64::MAX }, owner: None };
    let mut line = vec![];
    write_line(&mut line, &said).expect("it can be written");
    let Ok(Line::Message(Request::Delete { detached, .. })) =
        Lines::default().next(line.as_slice(), usize::MAX, || Ok(()))
    else {
        panic!("{}", line.escape_ascii());
    };
    assert_eq!(detached, path);
}
