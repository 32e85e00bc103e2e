//! What a host can send: anything.

use serde::Deserialize;

use crate::domain::{
    attempt::AttemptId,
    report::{Report, SCHEMA},
};

/// The attempt that an output names, so that the fuzzer need not guess it.
#[derive(Deserialize)]
struct Named {
    attempt: AttemptId,
}

/// So many cuts of one report are tried.
const CUTS: usize = 64;

/// A report that is read comes back the same from what it is written as, and none that is cut is read.
pub(super) fn any_output(data: &[u8]) {
    let last = data.strip_suffix(b"\n").and_then(|whole| whole.rsplit(|byte| *byte == b'\n').next());
    let named = last.and_then(|line| serde_json::from_slice::<Named>(line).ok());
    let expected = named.map_or_else(nobody, |named| named.attempt);
    let Ok(report) = Report::from_line(data, expected) else { return };
    assert!(data.ends_with(b"\n") && report.schema == SCHEMA && report.attempt == expected);
    assert!(Report::from_line(data, nobody()).is_err() || expected == nobody());
    let mut line = serde_json::to_vec(&report).expect("a report can be written");
    assert!(!line.contains(&b'\n'), "one line");
    line.push(b'\n');
    assert_eq!(Report::from_line(&line, expected).expect("what was written can be read"), report);
    let step = line.len() / CUTS + 1;
    let first = usize::from(data[0]) % step;
    for end in (first..line.len()).step_by(step).chain([line.len() - 1]) {
        assert!(Report::from_line(&line[..end], expected).is_err(), "cut at {end}");
    }
}

/// An attempt that nobody makes.
fn nobody() -> AttemptId {
    "00000000-0000-7000-8000-000000000000".parse().expect("it is a UUID")
}
