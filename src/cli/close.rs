//! `raysweep close`: nothing more is done for an incident.

use clap::Args;

use super::{
    connection::Connection,
    exit::Exit,
    failed,
    text::{self, plain},
};
use crate::fleet::client::ClosedIncident;

/// Close an incident: nothing more is tried for it
///
/// For one that stands on a mistake, such as an alert with another host's name. What is under way for it goes on to
/// its end. An alert of it that is received again, firing, opens a new incident: to have it quiet for longer, silence
/// the alert in Alertmanager.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  raysweep close 12")]
pub(crate) struct Close {
    /// The incident, by the number that the page and `history --json` have
    #[arg(value_name = "INCIDENT")]
    incident: i64,
    #[command(flatten)]
    connection: Connection,
}

impl Close {
    pub(crate) fn run(self) -> Exit {
        let Self { incident, connection } = self;
        match connection.client().and_then(|client| Ok(client.close(incident)?)) {
            Ok(closed) => text::say(&told(incident, &closed)),
            Err(error) => failed(Exit::from(&error), &error),
        }
    }
}

fn told(incident: i64, ClosedIncident { host, close_reason, already }: &ClosedIncident) -> String {
    let (host, reason) = (plain(host), plain(close_reason));
    if *already {
        return format!("incident {incident} of {host} had closed before ({reason})\n");
    }
    format!(
        "incident {incident} of {host} is closed; an alert that is received again, firing, opens a new one\n"
    )
}
