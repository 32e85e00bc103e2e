//! What a caller can choose: the command, and what comes on standard input.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use crate::{domain::attempt::SweepRequest, sweeper::gate};

/// One word is taken; the refusal of any other is one short line of plain text.
pub(super) fn command(data: &[u8]) {
    let taken = gate::check_command(Some(OsStr::from_bytes(data)));
    assert_eq!(taken.is_ok(), data == b"sweep");
    if let Err(refusal) = taken {
        let line = refusal.to_string();
        assert!(line.starts_with("refused: ") && line.len() < 1000, "{line:?}");
        // What is cut is marked by the one sign that is not ASCII.
        assert!(line.chars().all(|c| c == '…' || c == ' ' || c.is_ascii_graphic()), "{line:?}");
    }
}

/// A request that is taken says the same when it is written again, which is what root gets, and no other
/// bytes beside it were taken with it.
pub(super) fn request(data: &[u8]) {
    let Ok(request) = gate::request_in(data) else { return };
    assert!(data.len() as u64 <= SweepRequest::MAX_BYTES);
    let written = serde_json::to_vec(&request).expect("a request can be written");
    assert_eq!(gate::request_in(&written).expect("what we wrote can be read"), request);
    for end in 0..written.len() {
        assert!(gate::request_in(&written[..end]).is_err(), "cut at {end}");
    }
    assert!(gate::request_in(&[data, b"{}"].concat()).is_err());
}
