//! The files that logrotate has put aside, packed or not.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use jiff::Timestamp;

use super::{
    REPORTS,
    following::{Lines, id},
};
use crate::domain::report::Report;

/// What a file that gzip has packed begins with, and its name ends with.
const GZIP: ([u8; 2], &str) = ([0x1f, 0x8b], ".gz");

/// A file of the past, of which the first report has been read: by that one they are in order.
pub(super) struct Past {
    first: Report,
    lines: Lines<Box<dyn BufRead>>,
}

/// All of them but `present`, the oldest first, and how many lines before their first reports were none.
pub(super) fn files(folder: &Path, present: Option<(u64, u64)>) -> io::Result<(Vec<Past>, u64)> {
    let names: BTreeSet<OsString> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    let (mut files, mut unreadable) = (vec![], 0);
    for name in names.iter().filter(|name| is_rotated(name, &names)) {
        let file = match File::open(folder.join(name)) {
            // Rotated on, or packed, since the folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        if Some(id(&file.metadata()?)) == present {
            continue;
        }
        let of_file = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", name.display()));
        let mut lines = Lines::of(unpacked(file).map_err(of_file)?);
        let (first, skipped) = lines.report().map_err(of_file)?;
        unreadable += skipped;
        files.extend(first.map(|first| Past { first, lines }));
    }
    files.sort_by_key(|Past { first, .. }| -> Timestamp { first.finished_at });
    Ok((files, unreadable))
}

/// While a file is packed it is there twice, and the packed one is not whole.
fn is_rotated(name: &OsString, names: &BTreeSet<OsString>) -> bool {
    let Some(text) = name.to_str().filter(|text| *text != REPORTS && text.starts_with(REPORTS)) else {
        return false;
    };
    text.strip_suffix(GZIP.1).is_none_or(|unpacked| !names.contains(&OsString::from(unpacked)))
}

/// By what it begins with: a name is only what somebody has called it.
fn unpacked(mut file: File) -> io::Result<Box<dyn BufRead>> {
    let mut begin = [0; 2];
    let is_packed = file.by_ref().take(2).read(&mut begin)? == 2 && begin == GZIP.0;
    file.rewind()?;
    let file = BufReader::new(file);
    Ok(if is_packed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) })
}

impl Past {
    /// Hands on all of its reports; counts the lines that were none.
    pub(super) fn read(&mut self, take: &mut dyn FnMut(Report)) -> io::Result<u64> {
        take(self.first.clone());
        self.lines.reports(take)
    }
}
