//! A host as `doctor` sees it by the operator's own ssh: how far it lets us in, and what its part tells.
//!
//! Nothing is changed there. Where another program lies in place than the one that runs here, that one is
//! brought along as for a deploy, answers, and is taken away again.

use std::io;

use jiff::Timestamp;

use super::{
    Options, Trouble,
    known_hosts::{self, Fingerprint, Pinned},
    prepare,
    probe::{Facts, Program},
    remote::{Remote, Root},
    ssh::{Ended, last_words},
};
use crate::{
    config::responder::{HostEntry, ResponderConfig},
    fleet::order::{
        Answer, Order, Task,
        health::{Examination, Health},
    },
};

/// Looks at hosts.
pub struct Examiner<'a> {
    config: &'a ResponderConfig,
    options: &'a Options,
    program: Program,
}

/// How far a host let us in, and what was seen there. What comes after the first trouble is not known.
#[derive(Debug)]
pub struct Examined {
    /// Whether the operator's ssh gets there.
    pub login: Result<(), Trouble>,
    /// What the responder's `known_hosts` says of the host's key.
    pub host_key: Option<HostKey>,
    /// Whether root is reached.
    pub root: Option<Result<(), Trouble>>,
    /// The program that lies there.
    pub program: Option<There>,
    /// What its part tells, and when it was asked and had answered.
    pub seen: Option<Result<Seen, Trouble>>,
}

/// What a host's part told.
#[derive(Debug)]
pub struct Seen {
    /// The facts.
    pub health: Health,
    /// By our clock.
    pub asked_at: Timestamp,
    /// By our clock.
    pub answered_at: Timestamp,
}

/// What the responder knows of a host's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKey {
    /// This very one, or its CA.
    Known(Fingerprint),
    /// Nothing.
    Unknown(Fingerprint),
    /// Another one.
    Another(Fingerprint),
    /// It cannot be told, and why.
    Untold(String),
}

impl HostKey {
    /// That of the key which the host shows.
    pub(in crate::fleet) fn fingerprint(&self) -> Option<&Fingerprint> {
        match self {
            Self::Known(fingerprint) | Self::Unknown(fingerprint) | Self::Another(fingerprint) => {
                Some(fingerprint)
            }
            Self::Untold(_) => None,
        }
    }
}

/// The program that lies in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    /// The very one that runs here.
    This,
    /// Another one.
    Another,
    /// None.
    Nothing,
}

impl<'a> Examiner<'a> {
    /// With the program that runs.
    pub fn new(config: &'a ResponderConfig, options: &'a Options) -> io::Result<Self> {
        Ok(Self { config, options, program: Program::of_this_process()? })
    }

    /// Looks at one host.
    pub async fn examine(&self, entry: &HostEntry, examination: &Examination) -> Examined {
        let user = self.options.user.as_deref();
        let remote = Remote::new(entry, self.config, user, self.options.deadline);
        let facts = match self.facts(&remote).await {
            Ok(facts) => facts,
            Err(trouble) => return Examined::without_login(trouble),
        };
        let host_key = Some(self.host_key(entry, &facts));
        let there = match &facts.program {
            Some(digest) if *digest == self.program.digest => There::This,
            Some(_) => There::Another,
            None => There::Nothing,
        };
        let (root, trouble) = match facts.root(self.options.password.as_ref()) {
            Ok(root) => (Some(root), None),
            Err(trouble) => (None, Some(trouble)),
        };
        let seen = match &root {
            Some(root) => Some(self.seen(&remote, root, &facts, there, examination).await),
            None => None,
        };
        let root = Some(trouble.map_or(Ok(()), Err));
        Examined { login: Ok(()), host_key, root, program: Some(there), seen }
    }

    async fn facts(&self, remote: &Remote) -> Result<Facts, Trouble> {
        let facts = Facts::of(remote.probe(None).await?)?;
        let password = self.options.password.as_ref();
        if password.is_some() && facts.asks_for_password() {
            return Facts::of(remote.probe(password).await?);
        }
        Ok(facts)
    }

    fn host_key(&self, entry: &HostEntry, facts: &Facts) -> HostKey {
        let (ssh, path) = (&self.config.ssh, &self.config.ssh.known_hosts_file);
        let shown = match facts.host_key() {
            Ok(key) => key,
            Err(trouble) => return HostKey::Untold(trouble.why().unwrap_or_default()),
        };
        let text = match known_hosts::read(path) {
            Ok(text) => text,
            Err(error) => return HostKey::Untold(format!("{}: {error}", path.display())),
        };
        let ca = self.config.deploy.host_ca_file.as_deref().and_then(|file| prepare::public_key(file).ok());
        let name = known_hosts::name_of(entry, ssh);
        let by_ca = ca.is_some_and(|ca| known_hosts::pinned(&text, &name, &ca, true) == Pinned::Yes);
        let fingerprint = shown.fingerprint();
        match known_hosts::pinned(&text, &name, shown, false) {
            Pinned::Yes => HostKey::Known(fingerprint),
            Pinned::No if by_ca => HostKey::Known(fingerprint),
            Pinned::No => HostKey::Unknown(fingerprint),
            Pinned::Otherwise => HostKey::Another(fingerprint),
        }
    }

    async fn seen(
        &self,
        remote: &Remote,
        root: &Root,
        facts: &Facts,
        there: There,
        examination: &Examination,
    ) -> Result<Seen, Trouble> {
        facts.fits(&self.program)?;
        let digest = &self.program.digest;
        let brought = there != There::This;
        if brought {
            let ended = remote.bring(root, &self.program.bytes, digest).await?;
            if ended.code != Some(0) {
                let said = last_words(&ended.stderr);
                return Err(Trouble::Failed(format!("the program cannot be copied there to look: {said}")));
            }
        }
        // A check, so that nothing of an earlier run is ended by us.
        let order = Order { check: true, task: Task::Examine(examination.clone()) };
        let order = serde_json::to_vec(&order).map_err(|error| Trouble::Failed(error.to_string()))?;
        let asked_at = Timestamp::now();
        let ended = remote.order(root, brought.then_some(digest.as_str()), &order).await;
        let answered_at = Timestamp::now();
        let seen = ended.and_then(|ended| Ok(Seen { health: health(&ended)?, asked_at, answered_at }));
        if brought && seen.is_err() {
            // It may not have come to run at all, and then it has not taken itself away.
            let _ = remote.discard(root, digest).await;
        }
        seen
    }
}

impl Examined {
    fn without_login(trouble: Trouble) -> Self {
        Self { login: Err(trouble), host_key: None, root: None, program: None, seen: None }
    }
}

fn health(ended: &Ended) -> Result<Health, Trouble> {
    match serde_json::from_slice(&ended.stdout) {
        Ok(Answer::Examined(health)) => Ok(*health),
        Ok(Answer::Failed(failed)) => Err(Trouble::Failed(failed.why)),
        Ok(Answer::Done(_)) | Err(_) => {
            let said = last_words(&ended.stderr);
            Err(Trouble::Failed(format!("the program gives no answer there: {said}")))
        }
    }
}
