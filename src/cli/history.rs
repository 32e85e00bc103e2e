//! `raysweep history`: what was done.

mod local;

use clap::Args;

use super::{
    connection::Connection,
    exit::Exit,
    failed,
    text::{self, plain, size, time},
};
use crate::fleet::client::Attempt;

/// Show the newest attempts of a responder, and how they ended
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  raysweep history --host ray-80 --limit 20\n  raysweep history --local --follow --worker ray-worker-1"
)]
pub(crate) struct History {
    /// Only this host's
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// So many of them
    #[arg(long, value_name = "ROWS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    log: local::HostLog,
}

impl History {
    pub(crate) fn run(self) -> Exit {
        let Self { host, limit, connection, log } = self;
        if log.local {
            return log.run(limit as usize);
        }
        let attempts = connection.client().and_then(|client| Ok(client.attempts(host.as_deref(), limit)?));
        match attempts {
            Ok(attempts) if attempts.is_empty() => text::say("no attempt is known\n"),
            Ok(attempts) => text::say(&table(&attempts)),
            Err(error) => failed(Exit::from(&error), &error),
        }
    }
}

fn table(attempts: &[Attempt]) -> String {
    let rows = attempts.iter().map(|attempt| {
        let seconds = attempt
            .started_at
            .zip(attempt.finished_at)
            .map(|(started, finished)| finished.duration_since(started).as_secs_f64());
        vec![
            plain(&attempt.host),
            attempt.started_at.map_or_else(|| "-".to_owned(), time),
            plain(&attempt.trigger),
            plain(attempt.outcome.as_deref().unwrap_or("-")),
            attempt.freed_bytes.and_then(|bytes| u64::try_from(bytes).ok()).map_or_else(String::new, size),
            seconds.map_or_else(String::new, |seconds| format!("{seconds:.1}")),
            plain(attempt.reason.as_deref().unwrap_or("")),
            plain(&attempt.id),
        ]
    });
    let header = ["host", "started (UTC)", "trigger", "outcome", "freed", "seconds", "reason", "attempt"];
    text::table(&header, rows, &[4, 5], text::terminal_width().unwrap_or(u16::MAX))
}
