//! The disk that the journal lies on: what is durable costs what it costs there.

use std::{
    env,
    fs::File,
    io::Write,
    time::{Duration, Instant},
};

use crate::{figures::Rounds, machine};

const FLUSHES: usize = 200;
const PAGE: [u8; 4096] = [b'r'; 4096];

/// A file system in memory flushes nothing.
pub(crate) fn is_real() -> Result<(), String> {
    let folder = env::temp_dir();
    match machine::file_system(&folder).as_str() {
        "tmpfs" | "ramfs" => Err(format!("{} is no disk: set TMPDIR", folder.display())),
        _ => Ok(()),
    }
}

pub(crate) fn named() -> String {
    let file_system = machine::file_system(&env::temp_dir());
    let mut file = tempfile::tempfile().unwrap();
    let mut flushes = Rounds::default();
    for _ in 0..FLUSHES {
        flushes.push(flushed(&mut file).as_secs_f64() * 1000.0);
    }
    let (median, range) = (flushes.median(), flushes.range());
    format!("the journal lies on {file_system}, where 4 KiB more are on disk after {median:.2} ms ({range})")
}

fn flushed(file: &mut File) -> Duration {
    let begun = Instant::now();
    file.write_all(&PAGE).unwrap();
    file.sync_data().unwrap();
    begun.elapsed()
}
