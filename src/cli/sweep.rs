//! `raysweep sweep`: what cron calls, what the responder calls over SSH, what a person calls.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process, thread,
};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::{exit::Exit, failed, table};
use crate::{
    config::{
        self, ConfigError,
        sweep::{DEFAULT_PATH, SweepSettings},
    },
    domain::{
        attempt::{AttemptId, SweepRequest, Trigger},
        report::Report,
    },
    sweeper::{self, gate},
};

/// On a host: free what Ray left behind, and say why the rest stays
#[derive(Debug, Args)]
#[command(after_help = "Nothing switches the evidence off: there is no force.\n\n\
    Example:\n  raysweep sweep --dry-run --worker ray-worker-1")]
// Each is a flag by itself.
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Sweep {
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the report as one line of JSON
    #[arg(long)]
    json: bool,
    /// Only the worker of this name
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    /// Who asks; a sweep for an alert looks at workers below min_tmp_size too
    #[arg(long, value_name = "TRIGGER", default_value = Trigger::Manual.as_str(), value_parser = trigger())]
    trigger: Trigger,
    /// Wait this host's part of `jitter` first, as its cron job does: not all hosts begin at once
    #[arg(long)]
    jitter: bool,
    /// Read the request as JSON from standard input (the one command that `raysweep gate` may run); implies --json
    #[arg(long, value_name = "-", value_parser = ["-"], conflicts_with_all = ["dry_run", "json", "worker", "trigger", "jitter"])]
    request: Option<String>,
    /// End when standard input does: whoever wants this sweep has gone
    #[arg(long, hide = true, conflicts_with = "request")]
    attached: bool,
    /// This host's settings
    #[arg(long = "config.file", value_name = "FILE", default_value = DEFAULT_PATH)]
    config_file: PathBuf,
}

fn trigger() -> impl TypedValueParser<Value = Trigger> {
    const ALL: [Trigger; 3] = [Trigger::Alert, Trigger::Cron, Trigger::Manual];
    PossibleValuesParser::new(ALL.map(Trigger::as_str)).map(|text| {
        // The parser before this one lets nothing else through.
        ALL.into_iter().find(|trigger| trigger.as_str() == text).unwrap_or(Trigger::Manual)
    })
}

impl Sweep {
    pub(crate) fn run(self) -> Exit {
        let Self { dry_run, json, worker, trigger, jitter, request, attached, config_file } = self;
        if !rustix::process::geteuid().is_root() {
            return failed(Exit::NeedsRoot, &"a sweep reads every process of the host: run it as root");
        }
        let settings = match settings(&config_file, jitter) {
            Ok(settings) => settings,
            Err(error) => return failed(Exit::Config, &error),
        };
        let json = json || request.is_some();
        let request = match request {
            None => SweepRequest::new(AttemptId::now(), trigger, dry_run),
            Some(_) => match gate::read_request(io::stdin()) {
                Ok(request) => request,
                Err(error) => return failed(Exit::Refused, &error),
            },
        };
        if attached {
            thread::spawn(end_with_input);
        }
        let report = sweeper::supervise::run(&request, worker.as_deref(), &settings);
        let exit = Exit::from(report.outcome);
        match print(&report, json) {
            Ok(()) => exit,
            // What was done is done, and the host's log has it; whoever listened has gone.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit,
            Err(error) => failed(Exit::Failure, &format!("the report cannot be printed: {error}")),
        }
    }
}

/// Ends the sweep with whoever asked for it. Its child dies with us, and that one's children give names back.
fn end_with_input() {
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    process::exit(i32::from(Exit::Interrupted as u8));
}

/// The settings as they stand once the wait is over: what root has changed meanwhile counts.
fn settings(file: &Path, jitter: bool) -> Result<SweepSettings, ConfigError> {
    let settings = config::load_sweep(file)?;
    if !jitter {
        return Ok(settings);
    }
    sweeper::backstop::wait(&settings);
    config::load_sweep(file)
}

/// One line of JSON for programs, a table for a person at a terminal, plain lines for a file.
fn print(report: &Report, json: bool) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    if json {
        let mut line = serde_json::to_vec(report)?;
        line.push(b'\n');
        stdout.write_all(&line)?;
    } else {
        stdout.write_all(table::for_stdout(report).as_bytes())?;
    }
    stdout.flush()
}
