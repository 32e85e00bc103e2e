//! `raysweep replay`: a payload explained, or sent once more.

use std::{
    fmt::Write,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Args;

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
        client::Replayed,
        replay::{self, Explained},
    },
    responder::alertmanager,
};

/// Explain what an Alertmanager payload would lead to, or send it to a responder once more
///
/// Without --url nothing is sent: each alert is shown with its host, its policy, what would happen and
/// why. With --url the responder makes one attempt on each host, whatever its incidents say.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  raysweep replay payload.json\n  \
    raysweep replay --url http://127.0.0.1:9095 --bearer-token-file /etc/raysweep/token payload.json")]
pub(crate) struct Replay {
    /// The payload; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Explain only, even with --url
    #[arg(long)]
    dry_run: bool,
    /// Print the explanation as JSON
    #[arg(long)]
    json: bool,
    /// Send it to the responder that listens there
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
        let Self { file, dry_run, json, url, identity, config_file } = self;
        let payload = match read(&file) {
            Ok(payload) => payload,
            Err(error) => return failed(Exit::Failure, &format!("{}: {error}", file.display())),
        };
        let notification = match alertmanager::parse(&payload) {
            Ok(notification) => notification,
            Err(error) => return failed(Exit::Refused, &format!("{}: {error}", file.display())),
        };
        match url.filter(|_| !dry_run) {
            Some(url) => send(&url, &identity, &payload),
            None => explain(&notification, &config_file, json),
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
    let config = match config::load_responder(config_file) {
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
