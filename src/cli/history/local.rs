//! `raysweep history --local`: the log of the host that it runs on.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::super::{exit::Exit, failed, text::plain};
use crate::{
    config::{self, sweep::DEFAULT_PATH, units::Span},
    domain::{attempt::Outcome, report::Report},
    sweeper::logbook::{Entry, Following},
};

/// How often somebody who follows the log looks.
const LOOK: Duration = Duration::from_millis(250);

/// The host's own log, and what is looked for in it.
#[derive(Debug, Args)]
#[command(next_help_heading = "On a host")]
pub(super) struct HostLog {
    /// Read this host's own log, rotated files too, a line a worker; no responder is asked
    #[arg(long, conflicts_with = "host")]
    pub(super) local: bool,
    /// Go on with each sweep that ends, until Ctrl-C
    #[arg(long, requires = "local")]
    follow: bool,
    /// Only this worker's lines
    #[arg(long, requires = "local", value_name = "NAME")]
    worker: Option<String>,
    /// Only sweeps that ended so
    #[arg(long, requires = "local", value_name = "OUTCOME", value_parser = outcome())]
    outcome: Option<Outcome>,
    /// Only sweeps that ended since: 2h, 2026-01-05 or 2026-01-05T10:00:00Z
    #[arg(long, requires = "local", value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// Only lines that hold this text
    #[arg(long, requires = "local", value_name = "TEXT")]
    grep: Option<String>,
    /// Print a JSON object a line
    #[arg(long, requires = "local")]
    json: bool,
    /// This host's settings, which say where the log lies
    #[arg(long = "config.file", requires = "local", value_name = "FILE", default_value = DEFAULT_PATH)]
    config_file: PathBuf,
}

fn outcome() -> impl TypedValueParser<Value = Outcome> {
    PossibleValuesParser::new(Outcome::ALL.map(Outcome::as_str)).map(|text| {
        // The parser before this one lets nothing else through.
        Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text).unwrap_or(Outcome::Unknown)
    })
}

/// So long ago, or at that time; a date begins in UTC, as the log's times do.
fn since(text: &str) -> Result<Timestamp, String> {
    let ago = text.parse::<Span>().ok().and_then(|span| Timestamp::now().checked_sub(span.0).ok());
    let date = || TimeZone::UTC.to_timestamp(text.parse::<Date>().ok()?.at(0, 0, 0, 0)).ok();
    let time = || text.parse::<Timestamp>().ok();
    ago.or_else(time).or_else(date).ok_or_else(|| {
        format!("{text:?} is no time: write how long ago (2h), a date (2026-01-05) or a time (2026-01-05T10:00:00Z)")
    })
}

impl HostLog {
    /// Prints the last lines that are looked for, no more than `limit`, and then those that come.
    pub(super) fn run(self, limit: usize) -> Exit {
        let settings = match config::load_sweep(&self.config_file) {
            Ok(settings) => settings,
            Err(error) => return failed(Exit::Config, &error),
        };
        match self.print(&settings.log_dir, limit) {
            Ok(()) => Exit::Success,
            // Whoever has read enough is not told any more.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
            Err(error) => failed(Exit::Failure, &told(&settings.log_dir, &error)),
        }
    }

    fn print(&self, folder: &Path, limit: usize) -> io::Result<()> {
        let mut last = VecDeque::new();
        let mut following = Following::begin(folder, &mut |report| {
            for line in self.lines(&report) {
                last.push_back(line);
                if last.len() > limit {
                    last.pop_front();
                }
            }
        })?;
        if following.unreadable() > 0 {
            let lines = following.unreadable();
            tracing::warn!(lines, "some lines of the log are no reports: a full disk may have cut them off");
        }
        if last.is_empty() && !self.follow && !self.json && io::stdout().is_terminal() {
            last.push_back("no such line is in this host's log\n".to_owned());
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(last.make_contiguous().concat().as_bytes())?;
        stdout.flush()?;
        drop(last);
        // Ctrl-C ends the process, between two lines or before any.
        if !self.follow {
            return Ok(());
        }
        loop {
            thread::sleep(LOOK);
            let mut news = String::new();
            following.news(&mut |report| news.extend(self.lines(&report)))?;
            stdout.write_all(news.as_bytes())?;
            stdout.flush()?;
        }
    }

    /// A report's lines that are looked for.
    fn lines(&self, report: &Report) -> Vec<String> {
        let is_sought = self.outcome.is_none_or(|outcome| report.outcome == outcome)
            && self.since.is_none_or(|since| report.finished_at >= since);
        if !is_sought {
            return vec![];
        }
        let mut lines = vec![];
        for entry in Entry::all_of(report) {
            if self.worker.is_some() && entry.worker != self.worker {
                continue;
            }
            let shown = entry.to_string();
            if self.grep.as_ref().is_none_or(|text| shown.contains(text.as_str())) {
                lines.push(if self.json { json(&entry) } else { plain(&shown) } + "\n");
            }
        }
        lines
    }
}

fn json(entry: &Entry) -> String {
    // Nothing in it can fail to be JSON.
    serde_json::to_string(entry).unwrap_or_default()
}

fn told(folder: &Path, error: &io::Error) -> String {
    let folder = folder.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("{folder}: no sweep has left a log here"),
        io::ErrorKind::PermissionDenied => {
            format!("{folder}: {error}; be root, or one of the group that reads logs (adm)")
        }
        _ => format!("{folder}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_so_long_ago_a_date_or_a_time() {
        let second = |text: &str| since(text).map(Timestamp::as_second);
        assert_eq!(second("2026-01-05"), Ok(1_767_571_200));
        assert_eq!(second("2026-01-05T10:00:00Z"), Ok(1_767_607_200));
        assert_eq!(second("2026-01-05T10:00:00+02:00"), Ok(1_767_600_000));
        let then = since("2h").unwrap();
        let ago = Timestamp::now().duration_since(then);
        assert!((7200..7260).contains(&ago.as_secs()), "{ago:?}");
        for text in ["", "yesterday", "10", "2026-13-01"] {
            assert!(since(text).unwrap_err().contains("is no time"), "{text}");
        }
    }
}
