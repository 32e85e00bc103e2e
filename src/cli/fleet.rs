//! What `deploy` and `undeploy` have in common: whom they go to, how, and what is shown of it.

mod password;
pub(super) mod progress;
mod shown;

use std::{
    fmt::Write as _,
    io::{self, BufRead, IsTerminal, Write},
    path::PathBuf,
};

use clap::Args;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use tokio_util::sync::CancellationToken;

use super::{exit::Exit, failed, text::plain};
use crate::{
    config::{
        self,
        responder::{DEFAULT_PATH, ResponderConfig},
        units::Span,
    },
    fleet::deploy::{self, Fleet, Job, Looked, Options, Password, Row, State, Wish},
};
use progress::Progress;

/// Whom it is about.
#[derive(Debug, Args)]
pub(super) struct Hosts {
    /// The hosts, by their names in the inventory
    #[arg(value_name = "HOST", required_unless_present = "all")]
    names: Vec<String>,
    /// All hosts of the inventory
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Show what would be changed, and change nothing
    #[arg(long)]
    check: bool,
    /// Print what was done as one line of JSON
    #[arg(long)]
    json: bool,
    /// The configuration with the inventory
    #[arg(long = "config.file", value_name = "FILE", default_value = DEFAULT_PATH)]
    config_file: PathBuf,
}

/// Who somebody is on the hosts.
#[derive(Debug, Args)]
pub(super) struct Login {
    /// Whom to log in as, instead of deploy.user or what your ssh configuration says
    #[arg(long, value_name = "NAME", value_parser = account)]
    pub(super) user: Option<String>,
    /// Ask once for the password that sudo wants
    #[arg(long)]
    pub(super) ask_sudo_pass: bool,
}

impl Login {
    /// Whom to log in as, and what sudo is told; asks for that where it is wanted.
    pub(super) fn asked(self) -> io::Result<(Option<String>, Option<Password>)> {
        let Self { user, ask_sudo_pass } = self;
        let password = ask_sudo_pass.then(|| password::ask("sudo password: ")).transpose()?;
        Ok((user, password.map(Password::new)))
    }
}

/// How the hosts are reached and gone through.
#[derive(Debug, Args)]
#[command(next_help_heading = "Passage")]
pub(super) struct Passage {
    #[command(flatten)]
    login: Login,
    /// So many hosts at once
    #[arg(long, value_name = "HOSTS", default_value = "8", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,
    /// Begin no other host after so many have failed
    #[arg(long, value_name = "HOSTS", value_parser = clap::value_parser!(u16).range(1..))]
    max_failures: Option<u16>,
    /// How long one command on a host may take
    #[arg(long, value_name = "DURATION", default_value = "3m")]
    timeout: Span,
}

/// What ssh takes for an account's name and for nothing else.
fn account(text: &str) -> Result<String, &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if starts_well && text.chars().all(fits) { Ok(text.to_owned()) } else { Err("this is no account's name") }
}

/// One run over hosts.
pub(super) struct Run {
    pub(super) hosts: Hosts,
    pub(super) wish: Wish,
    pub(super) accept_host_key: Vec<String>,
    pub(super) passage: Passage,
}

impl Run {
    /// Loads the inventory, goes to the hosts, and says how it went.
    pub(super) fn carry_out(self) -> Exit {
        let Self { hosts, wish, accept_host_key, passage } = self;
        let Hosts { names, all: _, check, json, config_file } = hosts;
        let config = match config::load_inventory(&config_file) {
            Ok(config) => config,
            Err(error) => return failed(Exit::Config, &error),
        };
        let jobs = match deploy::prepare(&config, &names, wish, check) {
            Ok(jobs) => jobs,
            Err(error) => return failed(Exit::Config, &format!("{}: {error}", config_file.display())),
        };
        let options = match passage.options() {
            Ok(options) => options,
            Err(error) => return failed(Exit::Failure, &format!("the password cannot be read: {error}")),
        };
        let rows = match go(&config, options, jobs, &accept_host_key, check) {
            Ok(rows) => rows,
            Err(error) => return failed(Exit::Failure, &error),
        };
        match shown::print(&rows, check, json) {
            Exit::Success => exit(&rows),
            other => other,
        }
    }
}

impl Passage {
    fn options(self) -> io::Result<Options> {
        let Self { login, parallel, max_failures, timeout } = self;
        let (user, password) = login.asked()?;
        Ok(Options {
            user,
            password,
            parallel: parallel.into(),
            max_failures: max_failures.map(usize::from),
            deadline: timeout.0,
        })
    }
}

fn go(
    config: &ResponderConfig,
    options: Options,
    jobs: Vec<Job>,
    accepted: &[String],
    check: bool,
) -> io::Result<Vec<Row>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(stopped(stop.clone()));
        let progress = Progress::new(jobs.iter().map(Job::host));
        let fleet = Fleet::new(config, options, &progress, stop.clone())?;
        let mut looked = fleet.look(jobs).await;
        if !check {
            progress.aside(confirm(&mut looked, accepted, &stop)).await;
        }
        Ok(fleet.carry_out(looked).await)
    })
}

/// Ctrl-C ends what is under way here. What was begun on a host ends there by itself.
async fn stopped(stop: CancellationToken) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    stop.cancel();
}

/// Shows the host keys that nobody has taken for a host's own yet, and asks; where nobody can be asked,
/// only those are taken that were named on the command line.
async fn confirm(looked: &mut [Looked], accepted: &[String], stop: &CancellationToken) {
    let is_new =
        |looked: &Looked| looked.to_confirm().filter(|fingerprint| !accepted.contains(&fingerprint.0));
    let keys: Vec<_> =
        looked.iter().filter_map(|looked| Some((looked.host().clone(), is_new(looked)?))).collect();
    if keys.is_empty() {
        return;
    }
    let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
    let mut text = String::from("Host keys that the responder does not know yet, as your ssh knows them:\n");
    for (host, fingerprint) in &keys {
        let _ = writeln!(text, "  {host}  {}", plain(&fingerprint.0));
    }
    // Whoever cannot be shown them cannot have said yes.
    let shown = io::stderr().write_all(text.as_bytes()).is_ok();
    if shown && can_ask && ask("Shall it know them? [y/N] ", stop).await {
        return;
    }
    for looked in looked.iter_mut() {
        if let Some(fingerprint) = is_new(looked) {
            looked.refuse(format!(
                "the responder does not know its host key: look at it, then --accept-host-key {fingerprint}"
            ));
        }
    }
}

/// A question at the terminal. Ctrl-C is no.
async fn ask(question: &str, stop: &CancellationToken) -> bool {
    let _ = io::stderr().write_all(question.as_bytes());
    let (sender, receiver) = oneshot::channel();
    // A thread of its own: nobody can end a read, and the program does not wait for this one.
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = io::stdin().lock().read_line(&mut line);
        let _ = sender.send(line);
    });
    tokio::select! {
        line = receiver => matches!(line.unwrap_or_default().trim(), "y" | "Y" | "yes"),
        () = stop.cancelled() => false,
    }
}

/// Good if all hosts are; else what they have in common.
fn exit(rows: &[Row]) -> Exit {
    let bad: Vec<_> = rows.iter().filter(|row| !row.is_good()).map(|row| row.state).collect();
    let all = |state| bad.iter().all(|other| *other == state);
    if bad.is_empty() {
        let would_change = rows.iter().any(|row| row.state == State::WouldChange);
        if would_change { Exit::Differs } else { Exit::Success }
    } else if all(State::Unreachable) {
        Exit::Unreachable
    } else if all(State::Refused) {
        Exit::Refused
    } else {
        Exit::Failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{deploy::Verified, order::Done};

    fn row(state: State, verified: Option<Verified>) -> Row {
        Row { host: "ray-80".parse().unwrap(), state, why: None, verified, done: Done::default() }
    }

    /// What deploy/gitlab-ci.yml takes for a host's fault is what ends here, and nothing else is.
    #[test]
    fn whatever_becomes_of_a_host_among_others_has_one_of_these_exit_codes() {
        for (states, expected) in [
            (vec![State::Unchanged, State::Changed], Exit::Success),
            (vec![State::Unchanged, State::WouldChange], Exit::Differs),
            (vec![State::WouldChange, State::Unreachable], Exit::Unreachable),
            (vec![State::WouldChange, State::Refused], Exit::Refused),
            (vec![State::Unreachable, State::Refused], Exit::Failure),
            (vec![State::Unchanged, State::Failed], Exit::Failure),
            (vec![State::Failed, State::NotBegun], Exit::Failure),
            (vec![State::Interrupted], Exit::Failure),
        ] {
            let rows: Vec<_> = states.iter().map(|state| row(*state, None)).collect();
            assert_eq!(exit(&rows), expected, "{states:?}");
        }
        assert_eq!(exit(&[row(State::Changed, Some(Verified::No))]), Exit::Failure);
    }
}
