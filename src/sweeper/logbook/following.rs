//! The log as it is and as it grows, through whatever rotates it.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek},
    mem,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{REPORTS, past};
use crate::domain::report::Report;

/// No line of ours is longer: every list of a report is bounded.
const LONGEST_LINE: u64 = 64 << 20;

/// A reader of a host's reports.
#[derive(Debug)]
pub struct Following {
    path: PathBuf,
    now: Option<Open>,
    /// The file of before a rotation: whoever had opened it by then may still write his line.
    before: Option<Open>,
    unreadable: u64,
}

impl Following {
    /// Reads everything that is there, the oldest file first, and stands at the end of the present one.
    pub fn begin(folder: &Path, take: &mut dyn FnMut(Report)) -> io::Result<Self> {
        let path = folder.join(REPORTS);
        // It is opened before the others are listed: if it is rotated meanwhile, it is one of them, and is
        // known by its number.
        let now = Open::at(&path)?;
        let (mut rotated, mut unreadable) = past::files(folder, now.as_ref().map(|open| open.id))?;
        for file in &mut rotated {
            unreadable += file.read(take)?;
        }
        let mut following = Self { path, now, before: None, unreadable };
        following.news(take)?;
        Ok(following)
    }

    /// Reads what has been added since. Does not wait.
    pub fn news(&mut self, take: &mut dyn FnMut(Report)) -> io::Result<()> {
        if let Some(mut before) = self.before.take() {
            self.unreadable += before.drain(take)?;
        }
        if let Some(now) = &mut self.now {
            now.begin_again_if_cut()?;
            self.unreadable += now.drain(take)?;
        }
        // Between a rotation and the next sweep there may be no file at all.
        let present = fs::metadata(&self.path).ok().map(|metadata| id(&metadata));
        if present.is_some() && present != self.now.as_ref().map(|now| now.id) {
            self.before = self.now.take();
            self.now = Open::at(&self.path)?;
            if let Some(now) = &mut self.now {
                self.unreadable += now.drain(take)?;
            }
        }
        Ok(())
    }

    /// How many lines were no reports: written in part on a full disk, or by something else.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }
}

/// What tells one file from the next under the same name.
pub(super) fn id(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[derive(Debug)]
struct Open {
    id: (u64, u64),
    lines: Lines<BufReader<File>>,
}

impl Open {
    fn at(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let id = id(&file.metadata()?);
        Ok(Some(Self { id, lines: Lines::of(BufReader::new(file)) }))
    }

    fn drain(&mut self, take: &mut dyn FnMut(Report)) -> io::Result<u64> {
        self.lines.reports(take)
    }

    /// Who rotates by copying cuts the file that we stand in.
    fn begin_again_if_cut(&mut self) -> io::Result<()> {
        let Lines { reader, rest, read } = &mut self.lines;
        if reader.get_ref().metadata()?.len() < *read {
            reader.rewind()?;
            rest.clear();
            *read = 0;
        }
        Ok(())
    }
}

/// Lines of a text that may not be whole yet.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    /// The beginning of a line whose end is not there yet.
    rest: Vec<u8>,
    read: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn of(reader: R) -> Self {
        Self { reader, rest: vec![], read: 0 }
    }

    /// The next line that is whole.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let read = self.reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut self.rest)?;
        self.read += read as u64;
        let is_whole = self.rest.ends_with(b"\n") || self.rest.len() as u64 >= LONGEST_LINE;
        Ok(is_whole.then(|| mem::take(&mut self.rest)))
    }

    /// The next report, after so many lines that were none.
    pub(super) fn report(&mut self) -> io::Result<(Option<Report>, u64)> {
        let mut unreadable = 0;
        while let Some(line) = self.next()? {
            match serde_json::from_slice(&line) {
                Ok(report) => return Ok((Some(report), unreadable)),
                Err(_) => unreadable += u64::from(!line.trim_ascii().is_empty()),
            }
        }
        Ok((None, unreadable))
    }

    /// All that are there; counts the lines that were none.
    pub(super) fn reports(&mut self, take: &mut dyn FnMut(Report)) -> io::Result<u64> {
        let mut unreadable = 0;
        loop {
            let (report, skipped) = self.report()?;
            unreadable += skipped;
            match report {
                Some(report) => take(report),
                None => return Ok(unreadable),
            }
        }
    }
}
