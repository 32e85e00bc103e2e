//! `raysweep status`: the open incidents.

use clap::Args;

use super::{
    connection::Connection,
    exit::Exit,
    failed,
    text::{self, plain, size, time},
};
use crate::fleet::client::Incident;

/// So many are shown: the most that a responder tells of at once.
const ROWS: u32 = 1000;

/// Show the incidents that a responder has open
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  raysweep status --url http://127.0.0.1:9095")]
pub(crate) struct Status {
    #[command(flatten)]
    connection: Connection,
}

impl Status {
    pub(crate) fn run(self) -> Exit {
        let Self { connection } = self;
        match connection.client().and_then(|client| Ok(client.open_incidents(ROWS)?)) {
            Ok(incidents) if incidents.is_empty() => text::say("no host is in trouble\n"),
            Ok(incidents) => text::say(&table(&incidents)),
            Err(error) => failed(Exit::from(&error), &error),
        }
    }
}

fn table(incidents: &[Incident]) -> String {
    let rows = incidents.iter().map(|incident| {
        vec![
            plain(&incident.host),
            plain(incident.urgency.as_deref().unwrap_or("-")),
            plain(&incident.state),
            time(incident.opened_at),
            incident.attempts.to_string(),
            plain(incident.last_outcome.as_deref().unwrap_or("-")),
            incident.due_at.map_or_else(|| "-".to_owned(), time),
            plain(incident.escalation.as_deref().unwrap_or("")),
        ]
    });
    let header =
        ["host", "urgency", "state", "since (UTC)", "attempts", "last outcome", "next (UTC)", "told"];
    let table = text::table(&header, rows, &[4], text::terminal_width().unwrap_or(u16::MAX));
    incidents.iter().filter_map(told).fold(table, |text, line| text + "\n" + &line + "\n")
}

/// For a person who was told: what was tried, and what holds the space. Of an incident that is over nobody needs
/// anything.
pub(super) fn told(incident: &Incident) -> Option<String> {
    let reason = incident.escalation.as_deref()?;
    let tried: Vec<_> = incident.tried.iter().map(|(outcome, times)| format!("{times} {outcome}")).collect();
    let holds = incident.holds.clone().unwrap_or_default();
    let kept = holds.kept_bytes.iter().map(|(why, bytes)| format!("{} {why}", size(*bytes)));
    let signs = holds.signs.iter().map(|(kind, count)| format!("{count} {kind}"));
    let held: Vec<_> = kept.chain(signs).collect();
    let or = |all: Vec<String>, none: &str| if all.is_empty() { none.to_owned() } else { all.join(", ") };
    let needs = if incident.closed_at.is_none() { "needs" } else { "needed" };
    Some(plain(&format!(
        "{} {needs} a person ({reason}): tried {}; held by {}",
        incident.host,
        or(tried, "nothing that has ended"),
        or(held, "nothing that a sweep reports"),
    )))
}
