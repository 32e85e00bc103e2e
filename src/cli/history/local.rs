//! `raysweep history --local`: the log of the host that it runs on.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use clap::Args;
use jiff::Timestamp;

use super::super::{exit::Exit, failed, text::plain};
use crate::{
    config::{self, sweep::DEFAULT_PATH},
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
    #[arg(long, conflicts_with_all = ["host", "attempt", "incident", "until", "trigger"])]
    pub(super) local: bool,
    /// Go on with each sweep that ends, until Ctrl-C
    #[arg(long, requires = "local")]
    follow: bool,
    /// Only this worker's lines
    #[arg(long, requires = "local", value_name = "NAME")]
    worker: Option<String>,
    /// Only lines that hold this text
    #[arg(long, requires = "local", value_name = "TEXT")]
    grep: Option<String>,
    /// This host's settings, which say where the log lies
    #[arg(long = "config.file", requires = "local", value_name = "FILE", default_value = DEFAULT_PATH)]
    config_file: PathBuf,
}

/// What is looked for with the flags that a responder's history has as well.
#[derive(Debug)]
pub(super) struct Sought {
    /// Only sweeps that ended so, where there are any.
    pub(super) outcomes: Vec<Outcome>,
    /// Only sweeps that ended since.
    pub(super) since: Option<Timestamp>,
    /// A JSON object a line.
    pub(super) json: bool,
}

impl HostLog {
    /// Prints the last lines that are looked for, no more than `limit`, and then those that come.
    pub(super) fn run(self, limit: usize, sought: &Sought) -> Exit {
        let settings = match config::load_sweep(&self.config_file) {
            Ok(settings) => settings,
            Err(error) => return failed(Exit::Config, &error),
        };
        match self.print(&settings.log_dir, limit, sought) {
            Ok(()) => Exit::Success,
            // Whoever has read enough is not told any more.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
            Err(error) => failed(Exit::Failure, &told(&settings.log_dir, &error)),
        }
    }

    fn print(&self, folder: &Path, limit: usize, sought: &Sought) -> io::Result<()> {
        let mut last = VecDeque::new();
        let mut following = Following::begin(folder, &mut |report| {
            for line in self.lines(&report, sought) {
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
        if last.is_empty() && !self.follow && !sought.json && io::stdout().is_terminal() {
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
            following.news(&mut |report| news.extend(self.lines(&report, sought)))?;
            stdout.write_all(news.as_bytes())?;
            stdout.flush()?;
        }
    }

    /// A report's lines that are looked for.
    fn lines(&self, report: &Report, sought: &Sought) -> Vec<String> {
        let Sought { outcomes, since, json: is_json } = sought;
        let is_sought = (outcomes.is_empty() || outcomes.contains(&report.outcome))
            && since.is_none_or(|since| report.finished_at >= since);
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
                lines.push(if *is_json { json(&entry) } else { plain(&shown) } + "\n");
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
