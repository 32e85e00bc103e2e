//! `deploy` and `undeploy`: many hosts side by side, each of them to its own end.
//!
//! Here it is decided what a host is to get, and told how it went. What is done there is done there, by
//! `host_part`.

pub mod examine;
mod known_hosts;
mod prepare;
mod probe;
mod remote;

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub use known_hosts::{Fingerprint, PublicKey};
pub use prepare::{Job, PrepareError, Wish, entries, examination, prepare};
pub use remote::Password;

use self::{
    known_hosts::Pinned,
    probe::{Facts, Program},
    remote::{Ended, Remote, Root},
};
use super::order::{Answer, Done};
use crate::{config::responder::ResponderConfig, domain::host::HostName};

/// How the hosts are gone through.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whom to log in as, if not as the configuration says.
    pub user: Option<String>,
    /// What sudo asks for.
    pub password: Option<Password>,
    /// So many hosts at once.
    pub parallel: usize,
    /// After so many that failed no other one is begun.
    pub max_failures: Option<usize>,
    /// How long any one command on a host may take.
    pub deadline: Duration,
}

/// Why a host is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It does not answer.
    Unreachable(String),
    /// It, or this machine, will not have it; nothing was changed.
    Refused(String),
    /// It went wrong.
    Failed(String),
    /// It was broken off by the operator.
    Interrupted,
    /// Nothing was begun.
    NotBegun,
}

impl Trouble {
    fn local(error: &io::Error) -> Self {
        Self::Failed(format!("ssh cannot be run here: {error}"))
    }

    /// The state of a host that has it.
    fn state(&self) -> State {
        match self {
            Self::Unreachable(_) => State::Unreachable,
            Self::Refused(_) => State::Refused,
            Self::Failed(_) => State::Failed,
            Self::Interrupted => State::Interrupted,
            Self::NotBegun => State::NotBegun,
        }
    }

    pub(super) fn why(self) -> Option<String> {
        match self {
            Self::Unreachable(why) | Self::Refused(why) | Self::Failed(why) => Some(why),
            Self::Interrupted => {
                Some("broken off; what was begun there ends by itself: run it again".to_owned())
            }
            Self::NotBegun => None,
        }
    }
}

/// How it stands with a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was changed.
    Changed,
    /// There was nothing to do.
    Unchanged,
    /// There is something to do; it was only looked at.
    WouldChange,
    /// It does not answer.
    Unreachable,
    /// It was refused, and nothing was changed.
    Refused,
    /// It went wrong.
    Failed,
    /// The operator broke it off.
    Interrupted,
    /// Nothing was begun.
    NotBegun,
}

impl State {
    /// The word as tables and JSON write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::WouldChange => "would change",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::NotBegun => "not begun",
        }
    }

    /// Whether the host is, or would be, as it should be.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Changed | Self::Unchanged | Self::WouldChange)
    }
}

/// A host's line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The host.
    pub host: HostName,
    /// How it stands with it.
    pub state: State,
    /// Why it is not as it should be.
    pub why: Option<String>,
    /// What was done there.
    #[serde(flatten)]
    pub done: Done,
}

/// Told how far it has come, for whoever watches.
pub trait Watch {
    /// Something is begun on a host.
    fn step(&self, host: &HostName, what: &'static str);
    /// A host's part of this is over.
    fn ended(&self, host: &HostName, state: State);
}

/// A host that was looked at.
#[derive(Debug)]
pub struct Looked {
    job: Job,
    found: Result<Found, Trouble>,
}

#[derive(Debug)]
struct Found {
    remote: Remote,
    root: Root,
    /// Whether the very program that runs here lies there already.
    has_program: bool,
    pin: Option<Pin>,
}

/// A key that the responder does not know yet.
#[derive(Debug)]
struct Pin {
    name: String,
    key: PublicKey,
    is_ca: bool,
}

impl Looked {
    /// The host.
    pub fn host(&self) -> &HostName {
        &self.job.entry.name
    }

    /// The fingerprint that somebody has to have seen before the responder may trust it. A CA was named by
    /// the configuration: it needs no second word.
    pub fn to_confirm(&self) -> Option<Fingerprint> {
        let pin = self.found.as_ref().ok()?.pin.as_ref()?;
        (!pin.is_ca).then(|| pin.key.fingerprint())
    }

    /// The operator does not take its key for its own.
    pub fn refuse(&mut self, why: impl Into<String>) {
        self.found = Err(Trouble::Refused(why.into()));
    }
}

/// A fleet that is gone through.
pub struct Fleet<'a> {
    config: &'a ResponderConfig,
    options: Options,
    program: Program,
    watch: &'a dyn Watch,
    stop: CancellationToken,
    failures: AtomicUsize,
}

impl<'a> Fleet<'a> {
    /// With the program that runs.
    pub fn new(
        config: &'a ResponderConfig,
        options: Options,
        watch: &'a dyn Watch,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let program = Program::of_this_process()?;
        Ok(Self { config, options, program, watch, stop, failures: AtomicUsize::new(0) })
    }

    /// Looks at every host, and changes nothing.
    pub async fn look(&self, jobs: Vec<Job>) -> Vec<Looked> {
        let each = stream::iter(jobs).map(|job| async move {
            let found = self.unless_over(self.look_at(&job)).await;
            if let Err(trouble) = &found {
                self.watch.ended(&job.entry.name, trouble.state());
            }
            Looked { job, found }
        });
        each.buffered(self.options.parallel).collect().await
    }

    /// Does on each host what is to be done there, and pins the keys of those where it succeeded.
    pub async fn carry_out(&self, looked: Vec<Looked>) -> Vec<Row> {
        let each = stream::iter(looked).map(|looked| async move {
            let Looked { job, found } = looked;
            let is_over = found.is_err();
            let (ended, pin) = match found {
                Ok(mut found) => {
                    let pin = found.pin.take();
                    (self.unless_over(self.change(&job, &found)).await, pin)
                }
                Err(trouble) => (Err(trouble), None),
            };
            let row = self.row(&job, ended, pin.as_ref());
            if !is_over {
                self.watch.ended(&row.host, row.state);
            }
            (row, pin.filter(|_| !job.order.check))
        });
        let mut rows: Vec<_> = each.buffered(self.options.parallel).collect().await;
        self.pin(&mut rows);
        rows.into_iter().map(|(row, _)| row).collect()
    }

    /// What is begun after too many failures, or after the operator's word, is not begun at all.
    async fn unless_over<T>(&self, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let too_many =
            self.options.max_failures.is_some_and(|most| self.failures.load(Ordering::Relaxed) >= most);
        if too_many || self.stop.is_cancelled() {
            return Err(Trouble::NotBegun);
        }
        let ended = tokio::select! {
            ended = work => ended,
            () = self.stop.cancelled() => Err(Trouble::Interrupted),
        };
        if ended.is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        ended
    }

    async fn look_at(&self, job: &Job) -> Result<Found, Trouble> {
        let host = &job.entry.name;
        self.watch.step(host, "connecting");
        let user = self.options.user.as_deref();
        let remote = Remote::new(&job.entry, self.config, user, self.options.deadline);
        let mut facts = Facts::of(remote.probe(None).await?)?;
        let password = self.options.password.as_ref();
        if password.is_some() && facts.asks_for_password() {
            facts = Facts::of(remote.probe(password).await?)?;
        }
        facts.fits(&self.program)?;
        let root = facts.root(password)?;
        let has_program = facts.program.as_ref() == Some(&self.program.digest);
        let pin = if job.pins() { self.to_pin(job, &facts)? } else { None };
        Ok(Found { remote, root, has_program, pin })
    }

    fn to_pin(&self, job: &Job, facts: &Facts) -> Result<Option<Pin>, Trouble> {
        let ssh = &self.config.ssh;
        let name = known_hosts::name_of(&job.entry, ssh);
        let (key, is_ca) = match &job.host_ca {
            Some(ca) => (ca, true),
            None => (facts.host_key()?, false),
        };
        let path = &ssh.known_hosts_file;
        let text = known_hosts::read(path)
            .map_err(|error| Trouble::Failed(format!("{}: {error}", path.display())))?;
        match known_hosts::pinned(&text, &name, key, is_ca) {
            Pinned::Yes => Ok(None),
            Pinned::No => {
                if !job.order.check {
                    known_hosts::can_add(path).map_err(Trouble::Refused)?;
                }
                Ok(Some(Pin { name, key: key.clone(), is_ca }))
            }
            Pinned::Otherwise => Err(Trouble::Refused(format!(
                "it shows {}, and {} has another key for {name}: if the host is a new one, take that line out",
                key.fingerprint(),
                path.display()
            ))),
        }
    }

    async fn change(&self, job: &Job, found: &Found) -> Result<Done, Trouble> {
        let Found { remote, root, has_program, pin: _ } = found;
        let host = &job.entry.name;
        let digest = &self.program.digest;
        let order = serde_json::to_vec(&job.order).map_err(|error| Trouble::Failed(error.to_string()))?;
        if *has_program {
            self.watch.step(host, job.step());
            return answer(remote.order(root, None, &order).await?);
        }
        self.watch.step(host, "copying");
        let brought = remote.bring(root, &self.program.bytes, digest).await?;
        if brought.code != Some(0) {
            let said = remote::last_words(&brought.stderr);
            return Err(Trouble::Failed(format!(
                "the program cannot be copied: {said}; nothing was changed"
            )));
        }
        self.watch.step(host, job.step());
        let answered = answer(remote.order(root, Some(digest), &order).await?);
        if let Err(Trouble::Failed(_)) = &answered {
            // It may not have come to run at all, and then it has not taken itself away.
            let _ = remote.discard(root, digest).await;
        }
        answered
    }

    fn row(&self, job: &Job, ended: Result<Done, Trouble>, pin: Option<&Pin>) -> Row {
        let host = job.entry.name.clone();
        let mut done = match ended {
            Ok(done) => done,
            Err(trouble) => {
                let state = trouble.state();
                return Row { host, state, why: trouble.why(), done: Done::default() };
            }
        };
        let (check, path) = (job.order.check, self.config.ssh.known_hosts_file.display());
        let state = match (done.changes.is_empty() && pin.is_none(), check) {
            (true, _) => State::Unchanged,
            (false, true) => State::WouldChange,
            (false, false) => State::Changed,
        };
        if let Some(Pin { key, is_ca, .. }) = pin {
            let what = if *is_ca { "the host CA" } else { "its host key" };
            let verb = if check { "would be pinned" } else { "pinned" };
            done.notes.push(format!("{what} {} {verb} in {path}", key.fingerprint()));
        }
        Row { host, state, why: None, done }
    }

    /// Only the keys of hosts that have their part now; one write for all of them.
    fn pin(&self, rows: &mut [(Row, Option<Pin>)]) {
        let path = &self.config.ssh.known_hosts_file;
        let is_pinned = |row: &Row| matches!(row.state, State::Changed | State::Unchanged);
        let pins = rows.iter().filter(|(row, _)| is_pinned(row)).filter_map(|(_, pin)| pin.as_ref());
        let lines: Vec<_> = pins.map(|pin| known_hosts::line(&pin.name, &pin.key, pin.is_ca)).collect();
        if lines.is_empty() {
            return;
        }
        if let Err(error) = known_hosts::add(path, &lines) {
            for (row, _) in rows.iter_mut().filter(|(row, pin)| pin.is_some() && is_pinned(row)) {
                row.state = State::Failed;
                row.why = Some(format!("its key cannot be pinned: {}: {error}", path.display()));
            }
        }
    }
}

/// What the host's part answered, or what came instead.
fn answer(ended: Ended) -> Result<Done, Trouble> {
    match serde_json::from_slice(&ended.stdout) {
        Ok(Answer::Done(done)) => Ok(done),
        Ok(Answer::Failed(failed)) if failed.as_before => {
            Err(Trouble::Failed(format!("{}; the host is as it was", failed.why)))
        }
        Ok(Answer::Failed(failed)) => Err(Trouble::Failed(failed.why)),
        Ok(Answer::Examined(_)) | Err(_) => {
            let said = remote::last_words(&ended.stderr);
            Err(Trouble::Failed(format!("the program gives no answer there: {said}; run it again")))
        }
    }
}

#[cfg(test)]
mod tests;
