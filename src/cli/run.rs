//! `raysweep run`: hosts swept now, because a person wants it.

mod shown;

use std::{io, path::PathBuf, sync::Arc};

use clap::Args;
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use super::{
    connection::{AskError, Connection},
    exit::Exit,
    failed,
    fleet::{Login, progress::Progress},
};
use crate::{
    config::{
        self,
        responder::{DEFAULT_PATH, ResponderConfig},
        units::Span,
    },
    domain::host::HostName,
    fleet::{
        client::{Client, ClientError, WishedHost},
        deploy,
        run::{Direct, End, Options, Row, Through},
    },
};

/// Sweep hosts now, side by side, and show what was freed and why the rest was kept
///
/// The responder does it where one listens: its limits hold for the number of hosts at once, its history has
/// the attempts, and no incident is touched. Where nobody listens at its address, or with --direct, it goes
/// over your own SSH login, and root is reached by sudo. What a host may delete is its own setting.
#[derive(Debug, Args)]
#[command(
    after_help = "Ctrl-C: through the responder the attempts go on there; directly, sweeps under way are told\n\
    to end, and give back what they have detached. A second one waits for nothing.\n\n\
    Example:\n  raysweep run ray-80 ray-81\n  raysweep run --all --dry-run"
)]
pub(crate) struct Run {
    /// The hosts, by their names in the inventory
    #[arg(value_name = "HOST", required_unless_present = "all")]
    names: Vec<String>,
    /// All hosts of the inventory
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Say what would be removed, and remove nothing
    #[expect(clippy::struct_field_names, reason = "it is the flag's name")]
    #[arg(long)]
    dry_run: bool,
    /// Print one line of JSON for each host, with its whole report
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
    /// Give up waiting once no attempt has begun or ended for so long
    #[arg(long, value_name = "DURATION", default_value = "15m", help_heading = "Responder")]
    wait: Span,
    #[command(flatten)]
    way: Way,
}

/// So many hosts are swept at once directly.
const PARALLEL: u16 = 16;

/// How hosts are reached without a responder.
#[derive(Debug, Args)]
#[command(next_help_heading = "Directly")]
struct Way {
    /// Ask no responder: go over your own SSH login
    #[arg(long)]
    direct: bool,
    #[command(flatten)]
    login: Login,
    /// So many hosts at once, 16 unless it is said
    #[arg(long, value_name = "HOSTS", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: Option<u16>,
    /// The configuration with the inventory
    #[arg(long = "config.file", value_name = "FILE", default_value = DEFAULT_PATH)]
    config_file: PathBuf,
}

impl Run {
    pub(crate) fn run(self) -> Exit {
        let Self { names, all: _, dry_run, json, connection, wait, way } = self;
        if let Some(flag) = way.flag_without_direct() {
            let why = "through the responder its own account, key and limits hold";
            let error = format!("{flag} is for --direct: {why}; say --direct as well, or leave {flag} out");
            return failed(Exit::Usage, &error);
        }
        let swept = if way.direct {
            way.sweep(&names, dry_run)
        } else {
            match ask(&connection, &names, dry_run) {
                Ok((client, hosts)) => wait_for(client, hosts, wait),
                Err(AskError::Client(error @ ClientError::Unreachable { nobody: true, .. })) => {
                    failed(Exit::Unreachable, &format!("{error}: going directly, over your own ssh"));
                    way.sweep(&names, dry_run)
                }
                Err(error) => return failed(Exit::from(&error), &error),
            }
        };
        match swept {
            Ok(Swept { rows, is_stopped }) => match shown::print(&rows, json) {
                Exit::Success => exit(&rows, is_stopped),
                other => other,
            },
            Err(exit) => exit,
        }
    }
}

/// What came of it.
struct Swept {
    rows: Vec<Row>,
    is_stopped: bool,
}

fn ask(
    connection: &Connection,
    names: &[String],
    dry_run: bool,
) -> Result<(Client, Vec<WishedHost>), AskError> {
    let client = connection.client()?;
    let hosts = client.run(names, dry_run)?.hosts;
    Ok((client, hosts))
}

/// Waits for what the responder does.
fn wait_for(client: Client, hosts: Vec<WishedHost>, patience: Span) -> Result<Swept, Exit> {
    let known: Vec<HostName> = hosts.iter().filter_map(|host| host.host.parse().ok()).collect();
    let progress = Progress::new(known.iter());
    let swept = until_told(async |stop, now| {
        let through =
            Through { client: Arc::new(client), watch: &progress, stop: stop.clone(), patience: patience.0 };
        tokio::select! {
            rows = through.wait(hosts) => rows,
            () = now.cancelled() => vec![],
        }
    });
    drop(progress);
    let swept = swept.map_err(|error| failed(Exit::Failure, &error))?;
    if swept.is_stopped {
        let goes_on = swept.rows.iter().filter(|row| row.end == End::GoesOn);
        let ids = goes_on.filter_map(|row| Some(format!("  {}  {}", row.host, row.attempt.as_deref()?)));
        let ids: Vec<_> = ids.collect();
        if !ids.is_empty() {
            let attempts = ids.join("\n");
            failed(Exit::Interrupted, &format!("these attempts go on at the responder:\n{attempts}"));
        }
    }
    Ok(swept)
}

impl Way {
    /// A flag that would have no effect. Also where nobody listens and it would: what a command line means
    /// does not hang on who is there.
    fn flag_without_direct(&self) -> Option<&'static str> {
        let flags = [
            ("--user", self.login.user.is_some()),
            ("--ask-sudo-pass", self.login.ask_sudo_pass),
            ("--parallel", self.parallel.is_some()),
        ];
        flags.into_iter().find(|(_, is_given)| *is_given && !self.direct).map(|(flag, _)| flag)
    }

    /// Sweeps over ssh. What is wrong before any host is spoken to has been said.
    fn sweep(self, names: &[String], dry_run: bool) -> Result<Swept, Exit> {
        let Self { direct: _, login, parallel, config_file } = self;
        let config = config::load_inventory(&config_file).map_err(|error| failed(Exit::Config, &error))?;
        let (user, password) = login
            .asked()
            .map_err(|error| failed(Exit::Failure, &format!("the password cannot be read: {error}")))?;
        let options = Options { user, password, parallel: parallel.unwrap_or(PARALLEL).into(), dry_run };
        let entries = deploy::entries(&config, names)
            .map_err(|error| failed(Exit::Config, &format!("{}: {error}", config_file.display())))?;
        let names: Vec<_> = entries.iter().map(|entry| entry.name.clone()).collect();
        let progress = Progress::new(names.iter());
        let swept = until_told(async |stop, now| {
            let config: &ResponderConfig = &config;
            let direct = Direct { config, options, watch: &progress, stop: stop.clone(), now: now.clone() };
            direct.sweep(entries).await
        });
        drop(progress);
        swept.map_err(|error| failed(Exit::Failure, &error))
    }
}

/// Runs it until it ends. Ctrl-C cancels the first of the two, another one the second.
fn until_told(
    work: impl AsyncFnOnce(&CancellationToken, &CancellationToken) -> Vec<Row>,
) -> io::Result<Swept> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, now) = (CancellationToken::new(), CancellationToken::new());
    let rows = runtime.block_on(async {
        let signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::spawn(told(signals, stop.clone(), now.clone()));
        io::Result::Ok(work(&stop, &now).await)
    })?;
    // A question to the responder that nobody waits for any more.
    runtime.shutdown_background();
    Ok(Swept { rows, is_stopped: stop.is_cancelled() })
}

async fn told(
    (mut interrupt, mut terminate): (Signal, Signal),
    stop: CancellationToken,
    now: CancellationToken,
) {
    for token in [stop, now] {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        token.cancel();
    }
}

/// Good if all hosts are; else what they have in common.
fn exit(rows: &[Row], is_stopped: bool) -> Exit {
    if is_stopped {
        return Exit::Interrupted;
    }
    let exits = rows.iter().map(|row| match row.end {
        End::Ended(outcome) => Exit::from(outcome),
        End::UnknownHost => Exit::Refused,
        End::Interrupted | End::NotBegun => Exit::Interrupted,
        // Nobody says any more how it ends.
        End::GoesOn => Exit::Unreachable,
    });
    let mut bad: Vec<_> = exits.filter(|exit| *exit != Exit::Success).collect();
    bad.dedup();
    match bad[..] {
        [] => Exit::Success,
        [exit] => exit,
        _ => Exit::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attempt::Outcome;

    #[test]
    fn the_code_is_what_the_bad_ones_have_in_common() {
        let row = |end| Row {
            host: "h".to_owned(),
            attempt: None,
            joined: false,
            end,
            reason: None,
            secs: None,
            report: None,
        };
        let code = |ends: &[End]| exit(&ends.iter().map(|end| row(*end)).collect::<Vec<_>>(), false);
        let (freed, active) = (End::Ended(Outcome::Freed), End::Ended(Outcome::Active));
        let (held, gone) = (End::Ended(Outcome::Held), End::Ended(Outcome::Unreachable));
        assert_eq!(code(&[freed, active]), Exit::Success);
        assert_eq!(code(&[held, freed, held]), Exit::Held);
        assert_eq!(code(&[held, gone, held]), Exit::Failure);
        assert_eq!(code(&[gone, End::GoesOn]), Exit::Unreachable);
        assert_eq!(code(&[End::UnknownHost, freed]), Exit::Refused);
        assert_eq!(exit(&[row(freed)], true), Exit::Interrupted);
    }
}
