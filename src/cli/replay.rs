//! `raysweep replay`: a payload explained, or sent once more.

use std::{
    fmt::Write,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Args;

mod kept;

use kept::{Kept, KeptError};

use super::{
    connection::Identity,
    exit::Exit,
    failed,
    text::{self, plain},
};
use crate::{
    config::{
        self,
        responder::{DEFAULT_PATH, Limits},
    },
    domain::alert::Notification,
    fleet::{
        client::{DEFAULT_URL, Replayed},
        replay::{self, Explained},
    },
    responder::alertmanager,
};

/// Explain what an Alertmanager payload would lead to, or send it to a responder once more
///
/// A file is explained: each alert is shown with its host, its policy, what would happen and why. With
/// --url it is sent, and the responder makes one attempt on each host, whatever its incidents say. An
/// incident or a notification is what the responder received; it is sent to it again, or with --dry-run
/// explained by today's configuration. Of an incident it is what opened it, without the alerts of other
/// hosts.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  raysweep replay payload.json\n  \
    raysweep replay 12 --dry-run\n  \
    raysweep replay --url http://127.0.0.1:9095 --bearer-token-file /etc/raysweep/token payload.json")]
pub(crate) struct Replay {
    /// The payload, - for standard input; or the number of an incident, or the identity of a notification.
    /// A file that is there comes first
    #[arg(value_name = "FILE|ID")]
    what: PathBuf,
    /// Explain only, even with --url
    #[arg(long)]
    dry_run: bool,
    /// Print the explanation as JSON
    #[arg(long)]
    json: bool,
    /// Send it to the responder that listens there; an ID is asked for there as well, and without --url
    /// where a responder listens by default
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    identity: Identity,
    /// The configuration with the policies and the inventory to explain by
    #[arg(long = "config.file", value_name = "FILE", default_value = DEFAULT_PATH)]
    config_file: PathBuf,
}

impl Replay {
    pub(crate) fn run(self) -> Exit {
        let Self { what, dry_run, json, url, identity, config_file } = self;
        let (url, read) = match Kept::named(&what) {
            None => {
                (url, read(&what).map_err(|error| (Exit::Failure, format!("{}: {error}", what.display()))))
            }
            Some(kept) => {
                let url = url.unwrap_or_else(|| DEFAULT_URL.to_owned());
                let asked =
                    identity.client(&url).map_err(KeptError::from).and_then(|client| kept.payload(&client));
                (Some(url), asked.map_err(|error| (Exit::from(&error), error.to_string())))
            }
        };
        let payload = match read {
            Ok(payload) => payload,
            Err((exit, error)) => return failed(exit, &error),
        };
        let notification = match alertmanager::parse(&payload) {
            Ok(notification) => notification,
            Err(error) => return failed(Exit::Refused, &format!("{}: {error}", what.display())),
        };
        match url.filter(|_| !dry_run) {
            Some(url) => send(&url, &identity, &payload),
            None => explain(&notification, &config_file, json),
        }
    }
}

impl From<&KeptError> for Exit {
    fn from(error: &KeptError) -> Self {
        match error {
            KeptError::Ask(error) => error.into(),
            KeptError::TooOld(_) | KeptError::Forgotten { .. } | KeptError::Shape(_) => Self::Failure,
        }
    }
}

/// Reads no more than the responder itself takes by default.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let most_bytes = Limits::default().body_bytes;
    let input: Box<dyn Read> =
        if file == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(file)?) };
    let mut payload = vec![];
    input.take(most_bytes + 1).read_to_end(&mut payload)?;
    if payload.len() as u64 > most_bytes {
        return Err(io::Error::other(format!("longer than {most_bytes} bytes")));
    }
    Ok(payload)
}

fn explain(notification: &Notification, config_file: &Path, json: bool) -> Exit {
    let config = match config::load_inventory(config_file) {
        Ok(config) => config,
        Err(error) => return failed(Exit::Config, &error),
    };
    let directory = match config.directory() {
        Ok(directory) => directory,
        Err(error) => return failed(Exit::Config, &error),
    };
    let explained = replay::explain(notification, &config.policies(), &directory);
    if json {
        match serde_json::to_string(&explained) {
            Ok(line) => text::say(&format!("{line}\n")),
            Err(error) => failed(Exit::Failure, &error),
        }
    } else {
        text::say(&explanation(notification, &explained))
    }
}

fn explanation(notification: &Notification, explained: &[Explained]) -> String {
    let rows = explained.iter().map(|alert| {
        let Explained { alert, fingerprint: _, status, host, urgency, decision, why } = alert;
        vec![
            plain(alert),
            (*status).to_owned(),
            host.as_deref().unwrap_or("-").to_owned(),
            urgency.unwrap_or("-").to_owned(),
            (*decision).to_owned(),
            plain(why),
        ]
    });
    let header = ["alert", "status", "host", "urgency", "decision", "why"];
    let mut text = text::table(&header, rows, &[], text::terminal_width().unwrap_or(u16::MAX));
    if notification.truncated_alerts > 0 {
        let _ = writeln!(
            text,
            "{} more alerts were cut off by the sender and are not sent again: raise max_alerts",
            notification.truncated_alerts
        );
    }
    text
}

fn send(url: &str, identity: &Identity, payload: &[u8]) -> Exit {
    match identity.client(url).and_then(|client| Ok(client.replay(payload)?)) {
        Ok(replayed) => text::say(&sent(&replayed)),
        Err(error) => failed(Exit::from(&error), &error),
    }
}

fn sent(replayed: &Replayed) -> String {
    let rows = replayed.alerts.iter().map(|alert| {
        let shown = |text: &Option<String>| plain(text.as_deref().unwrap_or("-"));
        vec![plain(&alert.alert), shown(&alert.host), shown(&alert.attempt), shown(&alert.ignored)]
    });
    let table = text::table(
        &["alert", "host", "attempt", "ignored because"],
        rows,
        &[],
        text::terminal_width().unwrap_or(u16::MAX),
    );
    format!("replay {}\n{table}", plain(&replayed.replay))
}
