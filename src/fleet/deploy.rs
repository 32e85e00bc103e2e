//! `deploy` and `undeploy`: many hosts side by side, each of them to its own end.
//!
//! Here it is decided what a host is to get, and told how it went. What is done there is done there, by
//! `host_part`.

pub mod examine;
mod known_hosts;
mod outcome;
mod pins;
mod prepare;
mod probe;
pub(super) mod remote;
pub(super) mod ssh;
pub(super) mod verify;

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

pub use known_hosts::{Fingerprint, PublicKey};
pub use outcome::{Row, State, Trouble, Verified};
pub use prepare::{Job, PrepareError, Wish, entries, examination, prepare};
pub use remote::Password;

use self::{
    pins::{Pin, Worked},
    probe::{Facts, Program},
    remote::{Remote, Root},
    ssh::{Ended, last_words},
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

/// Told how far it has come, for whoever watches.
pub trait Watch {
    /// Something is begun on a host.
    fn step(&self, host: &HostName, what: &'static str);
    /// A host's part of this is over, and how.
    fn ended(&self, host: &HostName, how: &'static str);
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
                self.watch.ended(&job.entry.name, trouble.state().as_str());
            }
            Looked { job, found }
        });
        each.buffered(self.options.parallel).collect().await
    }

    /// Does on each host what is to be done there, tells the responder of the keys, and tries its way to
    /// those that have their part.
    pub async fn carry_out(&self, looked: Vec<Looked>) -> Vec<Row> {
        let each = stream::iter(looked).map(|looked| self.work(looked));
        let mut worked: Vec<_> = each.buffered(self.options.parallel).collect().await;
        self.pin(&mut worked);
        self.unpin(&mut worked);
        let each = stream::iter(worked).map(|worked| self.end(worked));
        each.buffered(self.options.parallel).collect().await
    }

    async fn work(&self, looked: Looked) -> Worked {
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
        Worked { job, row, pin, is_over }
    }

    async fn end(&self, worked: Worked) -> Row {
        let Worked { job, mut row, is_over, .. } = worked;
        if job.verifies && matches!(row.state, State::Changed | State::Unchanged) {
            self.watch.step(&row.host, "logging in as the responder");
            let (verified, why) = tokio::select! {
                verified = verify::as_responder(&job.entry, &self.config.ssh, self.options.deadline) => verified,
                () = self.stop.cancelled() => (Verified::No, Some("the responder's way was not gone to its end".to_owned())),
            };
            row.verified = Some(verified);
            match verified {
                Verified::No => row.why = why,
                Verified::Yes | Verified::KeyNotHere => row.done.notes.extend(why),
            }
        }
        if !is_over {
            self.watch.ended(&row.host, row.state.as_str());
        }
        row
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
            let said = last_words(&brought.stderr);
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
            Err(trouble) => return trouble.row(host),
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
        Row { host, state, why: None, verified: None, done }
    }
}

/// What the host's part answered, or what came instead.
fn answer(ended: Ended) -> Result<Done, Trouble> {
    match serde_json::from_slice(&ended.stdout) {
        Ok(Answer::Done(done)) if done.by_hand.is_empty() => Ok(done),
        Ok(Answer::Done(done)) => Err(Trouble::ByHand(Box::new(done))),
        Ok(Answer::Failed(failed)) if failed.as_before => {
            Err(Trouble::Failed(format!("{}; the host is as it was", failed.why)))
        }
        Ok(Answer::Failed(failed)) => Err(Trouble::Failed(failed.why)),
        Ok(Answer::Examined(_)) | Err(_) => {
            let said = last_words(&ended.stderr);
            Err(Trouble::Failed(format!("the program gives no answer there: {said}; run it again")))
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
