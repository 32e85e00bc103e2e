//! The lock and the clock over a sweep, which runs in a child of its own.
//!
//! A read of /proc can hang in the kernel for as long as somebody else's disk does not answer, and a
//! thread that hangs so cannot be ended: its process stays, with its locks and its end of our caller's
//! pipe. So whoever was called only waits: it holds the lock, gives the child its time, kills it, says
//! what is known, and ends. A child that even a kill does not end holds neither the lock nor the
//! caller's pipe; it dies before it can do anything more.

use std::{
    io,
    os::{fd::AsFd, fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rustix::{
    process::{Signal, getpid, getppid, set_parent_process_death_signal},
    stdio::stdin,
};
use serde::{Deserialize, Serialize};

use super::{
    inside::protocol::{Line, Lines, write_line},
    lock::Lock,
    modesty, record,
    sweep::{self, Swept},
};
use crate::{
    config::sweep::SweepSettings,
    domain::{
        attempt::{Outcome, SweepRequest},
        report::{Report, WorkerReport},
    },
};

/// The hidden first argument under which the binary is this child.
pub const ARGUMENT: &str = "sweeping";

/// What a sweep may take beyond its deadline to end its own children and to say what it did. A caller
/// waits a minute longer than the deadline.
const MARGIN: Duration = Duration::from_secs(20);
/// What the host's log may take.
const KEEPING: Duration = Duration::from_secs(5);
/// Every list in a report is bounded, and every text in it.
const MOST_BYTES: usize = 64 << 20;

/// What the child is for.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    /// Who gives it: a child whose parent is another one by now has come too late.
    parent: i32,
    settings: SweepSettings,
    task: Task,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Task {
    Sweep {
        request: SweepRequest,
        only: Option<String>,
    },
    /// The log may lie on the very disk that does not answer.
    Keep(Box<Report>),
}

/// What the child says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum News {
    /// How far the sweep has come.
    Workers(Vec<WorkerReport>),
    Swept(Box<Report>),
    /// What could not be kept.
    Kept(Vec<String>),
}

/// Sweeps this host within its deadline and a margin, and says what happened. Never fails otherwise: a
/// failure is a report too. `only` limits the sweep to the worker of that name.
pub fn run(request: &SweepRequest, only: Option<&str>, settings: &SweepSettings) -> Report {
    let started_at = Timestamp::now();
    let report = match Lock::take(&settings.lock_dir()) {
        Ok(Some(_lock)) => supervised(request, only, settings, started_at),
        Ok(None) => Swept::ended(Outcome::Busy, "another sweep runs on this host")
            .into_report(request, settings, started_at),
        Err(error) => {
            let folder = settings.lock_dir();
            let folder = folder.display();
            Swept::ended(Outcome::Failed, format!("the lock {folder} cannot be taken: {error}"))
                .into_report(request, settings, started_at)
        }
    };
    keep(&report, settings);
    report
}

fn supervised(
    request: &SweepRequest,
    only: Option<&str>,
    settings: &SweepSettings,
    started_at: Timestamp,
) -> Report {
    let task = Task::Sweep { request: request.clone(), only: only.map(str::to_owned) };
    let until = Instant::now() + settings.deadline.0 + MARGIN;
    let mut workers = vec![];
    let ended = ask(&mut child_command(), settings, task, until, |news| match news {
        News::Swept(report) => Some(report),
        News::Workers(so_far) => {
            workers = so_far;
            None
        }
        News::Kept(_) => None,
    });
    match ended {
        Ok(report) => *report,
        Err(error) => {
            let mut swept = Swept::ended(Outcome::Failed, why(&error, settings));
            swept.workers = workers;
            swept.into_report(request, settings, started_at)
        }
    }
}

fn why(error: &io::Error, settings: &SweepSettings) -> String {
    if is_late(error) {
        let deadline = settings.deadline;
        format!("deadline: the sweep hung and was ended {} s after its {deadline}", MARGIN.as_secs())
    } else {
        format!("the sweep ended without a report: {error}")
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// Best effort: no log must stop a sweep.
fn keep(report: &Report, settings: &SweepSettings) {
    let task = Task::Keep(Box::new(report.clone()));
    let until = Instant::now() + KEEPING;
    let kept = ask(&mut child_command(), settings, task, until, |news| match news {
        News::Kept(lost) => Some(lost),
        News::Workers(_) | News::Swept(_) => None,
    });
    match kept {
        Ok(lost) => lost.iter().for_each(|lost| tracing::warn!("not kept: {lost}")),
        Err(error) => tracing::warn!(%error, "the sweep's log line may not be kept"),
    }
}

fn child_command() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(ARGUMENT).env_clear();
    command
}

/// Starts a child, gives it a task and waits for the news that answers it. When this returns the child
/// has ended, or hangs in the kernel with a kill waiting for it.
fn ask<T>(
    command: &mut Command,
    settings: &SweepSettings,
    task: Task,
    until: Instant,
    mut answer: impl FnMut(News) -> Option<T>,
) -> io::Result<T> {
    let (socket, theirs) = UnixStream::pair()?;
    let spawned = command
        .current_dir("/")
        .stdin(OwnedFd::from(theirs))
        // A child that hangs must not keep whoever called us waiting for our output to end.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    // It holds our copy of the child's end.
    command.stdin(Stdio::null());
    let mut child = Ended(spawned?, &socket);
    socket.set_write_timeout(Some(left(until)?))?;
    let parent = getpid().as_raw_nonzero().get();
    write_line(&socket, &Order { parent, settings: settings.clone(), task })?;
    let mut lines = Lines::default();
    loop {
        match lines.next(&socket, MOST_BYTES, || socket.set_read_timeout(Some(left(until)?)))? {
            Line::Message(news) => {
                if let Some(answer) = answer(news) {
                    child.wait();
                    return Ok(answer);
                }
            }
            Line::End => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The time that is left, which is never nothing: a socket would take that for no limit.
fn left(until: Instant) -> io::Result<Duration> {
    Some(until.saturating_duration_since(Instant::now()))
        .filter(|left| !left.is_zero())
        .ok_or_else(|| io::ErrorKind::TimedOut.into())
}

/// A child that is ended however its task is left.
struct Ended<'a>(Child, &'a UnixStream);

impl Ended<'_> {
    /// Waits a moment for the end. Only the child holds the other end of the socket.
    fn wait(&mut self) {
        let _ = self.1.set_read_timeout(Some(Duration::from_secs(1)));
        if matches!(io::Read::read(&mut self.1, &mut [0]), Ok(0)) {
            let _ = self.0.wait();
        }
    }
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let _ = self.0.kill();
        self.wait();
    }
}

/// The child's own main.
pub fn main() -> ExitCode {
    // Only the child: who holds the clock has to be on time.
    modesty::give_way();
    modesty::bound_memory();
    // Whoever kills the parent ends the sweep: its own children then give names back.
    let bound = set_parent_process_death_signal(Some(Signal::KILL));
    let socket = stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let (Ok(()), Ok(socket)) = (bound, socket) else { return ExitCode::FAILURE };
    match serve(&socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(socket: &UnixStream) -> io::Result<()> {
    let order = match Lines::default().next(socket, MOST_BYTES, || Ok(()))? {
        Line::Message(order) => order,
        Line::End => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    let Order { parent, settings, task } = order;
    if getppid().is_none_or(|pid| pid.as_raw_nonzero().get() != parent) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let news = match task {
        Task::Sweep { request, only } => {
            let tell = |workers: &[WorkerReport]| {
                // Who does not listen any more has killed us.
                let _ = write_line(socket, &News::Workers(workers.to_vec()));
            };
            News::Swept(Box::new(sweep::run(&request, only.as_deref(), &settings, &tell)))
        }
        Task::Keep(report) => News::Kept(record::keep(&report, &settings)),
    };
    write_line(socket, &news)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask_of(program: &str, argument: &str, within: Duration) -> io::Result<()> {
        let report = Swept::ended(Outcome::Failed, "").into_report(
            &request(),
            &SweepSettings::default(),
            Timestamp::now(),
        );
        let task = Task::Keep(Box::new(report));
        let mut command = Command::new(program);
        ask(command.arg(argument), &SweepSettings::default(), task, Instant::now() + within, |_| Some(()))
    }

    fn request() -> SweepRequest {
        use crate::domain::attempt::{AttemptId, Trigger};
        SweepRequest::new(AttemptId::now(), Trigger::Cron, false)
    }

    #[test]
    fn a_child_that_hangs_is_ended_in_time() {
        let began = Instant::now();
        let error = ask_of("sleep", "600", Duration::from_secs(1)).unwrap_err();
        assert!(is_late(&error), "{error}");
        assert!(began.elapsed() < Duration::from_secs(30));
        assert!(why(&error, &SweepSettings::default()).contains("deadline"));
    }

    #[test]
    fn a_child_that_ends_without_an_answer_is_no_wait() {
        let began = Instant::now();
        let error = ask_of("true", "", Duration::from_mins(10)).unwrap_err();
        assert!(!is_late(&error), "{error}");
        assert!(began.elapsed() < Duration::from_mins(1));
    }

    #[test]
    fn an_order_survives_the_wire() {
        let bare = crate::config::sweep::Bare { temp_root: "/tmp".into(), user_id: 7 };
        let settings = SweepSettings { bare: Some(bare), ..SweepSettings::default() };
        for settings in [SweepSettings::default(), settings] {
            let task = Task::Sweep { request: request(), only: Some("a b".to_owned()) };
            let text = serde_json::to_vec(&Order { parent: 1, settings: settings.clone(), task }).unwrap();
            let order: Order = serde_json::from_slice(&text).unwrap();
            assert_eq!(order.settings, settings);
        }
    }
}
