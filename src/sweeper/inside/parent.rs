//! The parent's side: one call, one answer, one deadline over all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    os::{fd::OwnedFd, unix::net::UnixStream, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    Deleted, DiskSpace, Inside, InsideError, List, Looking, Restored, Tree, Usage, Whereabouts,
    enter::Target,
    protocol::{Answer, Line, Lines, MOST_ANSWER_BYTES, Request},
};
use crate::{
    domain::attempt::AttemptId,
    sweeper::{
        FileId,
        discover::{Runtime, Worker},
        processes::proc::Stat,
    },
};

/// What a child gets to give back what is detached. Renames take no longer than that unless the disk
/// does not answer at all.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// So many requests are on their way at once. A child that gives way waits its turn for each that it has
/// not got yet, and a small leftover costs less than that wait.
const ASKED_AT_ONCE: usize = 64;
/// They hold no more than this together, or there is one of them: what is more than a socket holds would
/// wait for a child that waits for us to take its answers.
const ASKED_BYTES: usize = 32 << 10;

impl Inside {
    /// Starts a child and enters the worker's mount namespace at one of its temp roots. Every later
    /// call is bounded by `deadline` from now.
    pub(crate) fn enter(worker: &Worker, temp_root: &Path, deadline: Duration) -> Result<Self, InsideError> {
        let target = Target {
            init: worker.init,
            mount_namespace: worker.mount_namespace,
            cgroup: worker.cgroup.clone(),
            temp_root: temp_root.to_owned(),
            upper_layer: worker.upper_layer.clone(),
            bare: worker.runtime == Runtime::Bare,
            time: deadline,
        };
        let mut link = Link::start(&mut child_command(), deadline)
            .map_err(|error| InsideError::Gone(format!("it could not be started: {error}")))?;
        match link.call(&Request::Enter(target))? {
            Answer::Entered(devices) => {
                let ends = link.until;
                Ok(Self { link, devices, in_use: BTreeMap::new(), looking: Looking::ALL, ends })
            }
            other => Err(link.unexpected(&other)),
        }
    }

    /// From now on looks and deletes end by then, where that is before the end of the whole time: what is
    /// under way is told as far as it got, and everything else is still answered.
    pub(crate) fn end_by(&mut self, at: Instant) -> Result<(), InsideError> {
        let left = at.saturating_duration_since(Instant::now());
        match self.link.call(&Request::EndWithin { left })? {
            Answer::Bounded => {
                self.ends = at.min(self.link.until);
                Ok(())
            }
            other => Err(self.link.unexpected(&other)),
        }
    }

    /// Whether nothing is deleted any more because its time is over.
    pub(crate) fn is_over(&self) -> bool {
        let now = Instant::now();
        now >= self.ends || self.link.until.saturating_duration_since(now) <= GRACE
    }

    /// From now on all looks together take one in so many parts of what is left of the time, and any one of
    /// them one in so many parts of that.
    pub(crate) fn bound_looks(&mut self, parts: u32, for_one: u32) {
        let left = self.ends.saturating_duration_since(Instant::now());
        self.looking = Looking::part(left, parts, for_one);
    }

    /// From now on looks may take all of the time.
    pub(crate) fn unbound_looks(&mut self) {
        self.looking = Looking::ALL;
    }

    /// From now on looks end by then.
    pub(crate) fn end_looks_at(&mut self, at: Instant) {
        self.looking = Looking { leave: self.ends.saturating_duration_since(at), most: Duration::MAX };
    }

    /// How much lies under the temp root.
    pub(crate) fn usage(&mut self) -> Result<Usage, InsideError> {
        match self.link.call(&Request::Usage { looking: self.looking })? {
            Answer::Usage(usage) => Ok(usage),
            other => Err(self.link.unexpected(&other)),
        }
    }

    /// What statvfs says now.
    pub(crate) fn disk(&mut self) -> Result<DiskSpace, InsideError> {
        match self.link.call(&Request::Disk)? {
            Answer::Disk(disk) => Ok(disk),
            other => Err(self.link.unexpected(&other)),
        }
    }

    /// Where the temp root lies, and where the sessions lie that are looked for in it, at this path.
    pub(crate) fn whereabouts(&mut self, sessions: &Path) -> Result<Whereabouts, InsideError> {
        match self.link.call(&Request::Whereabouts { sessions: sessions.to_owned() })? {
            Answer::Whereabouts(whereabouts) => Ok(whereabouts),
            other => Err(self.link.unexpected(&other)),
        }
    }

    /// The names in a folder under the temp root that begin with one of these, or all of them where there
    /// are none; `""` is the root itself. No symlink is followed. A list of more than `most` is cut.
    pub(crate) fn list(&mut self, folder: &Path, begins: &[&str], most: usize) -> Result<List, InsideError> {
        let mut entries = vec![];
        let begins = begins.iter().map(|&begin| begin.to_owned()).collect();
        let mut answer = self.link.call(&Request::List { folder: folder.to_owned(), begins, most })?;
        loop {
            match answer {
                Answer::Entries(part) => entries.extend(part),
                Answer::Listed { is_cut } => return Ok(List { entries, is_cut }),
                other => return Err(self.link.unexpected(&other)),
            }
            answer = self.link.receive()?;
        }
    }

    /// Tells the child which files are in use now; every later look compares with them.
    pub(crate) fn remember(&mut self, in_use: &BTreeSet<FileId>) -> Result<(), InsideError> {
        // Only what can lie under this root crosses over, as inode numbers. Of two devices that show
        // the same number, the root's own is the one to name.
        let own = self.devices.devices.first();
        let mut by_ino = BTreeMap::new();
        for id in in_use.iter().filter(|id| self.devices.any || self.devices.devices.contains(&id.dev)) {
            let named = by_ino.entry(id.ino).or_insert(*id);
            if Some(&id.dev) == own {
                *named = *id;
            }
        }
        match self.link.call(&Request::Remember { in_use: by_ino.keys().copied().collect() })? {
            Answer::Remembered => {
                self.in_use = by_ino;
                Ok(())
            }
            other => Err(self.link.unexpected(&other)),
        }
    }

    /// What a tree holds, and which of its files are among those in use. Fails until it was said which
    /// ones are.
    pub(crate) fn look(&mut self, path: &Path) -> Result<Tree, InsideError> {
        self.look_at(path, true)
    }

    /// As [`Self::look`], at an entry itself without what lies in it.
    pub(crate) fn look_at_top(&mut self, path: &Path) -> Result<Tree, InsideError> {
        self.look_at(path, false)
    }

    fn look_at(&mut self, path: &Path, whole: bool) -> Result<Tree, InsideError> {
        let looking = self.looking;
        match self.link.call(&Request::Look { path: path.to_owned(), whole, looking })? {
            Answer::Tree(mut tree) => {
                self.name(&mut tree);
                Ok(*tree)
            }
            other => Err(self.link.unexpected(&other)),
        }
    }

    /// Names what is in use as the caller does: another device may have shown the same file.
    fn name(&self, tree: &mut Tree) {
        for id in &mut tree.in_use {
            *id = self.in_use.get(&id.ino).copied().unwrap_or(*id);
        }
    }

    /// What each of these trees holds, as [`Self::look`] says it, in their order.
    pub(crate) fn look_all<'a>(
        &mut self,
        paths: impl Iterator<Item = &'a Path>,
    ) -> Vec<Result<Tree, InsideError>> {
        let looking = self.looking;
        let requests = paths.map(|path| Request::Look { path: path.to_owned(), whole: true, looking });
        let mut trees = self.ask_all(requests, |answer| match answer {
            Answer::Tree(tree) => Ok(*tree),
            other => Err(other),
        });
        for tree in trees.iter_mut().flatten() {
            self.name(tree);
        }
        trees
    }

    /// Renames entries in place to `.raysweep-<attempt>-<name>` and says their new paths. Each must still
    /// have the identity that it is given with.
    pub(crate) fn detach_all<'a>(
        &mut self,
        entries: impl Iterator<Item = (&'a Path, FileId)>,
        attempt: AttemptId,
    ) -> Vec<Result<PathBuf, InsideError>> {
        let requests = entries.map(|(path, id)| Request::Detach { path: path.to_owned(), id, attempt });
        self.ask_all(requests, |answer| match answer {
            Answer::Detached(path) => Ok(path),
            other => Err(other),
        })
    }

    /// Gives detached entries their names back, never over something that has appeared meanwhile.
    pub(crate) fn restore_all<'a>(
        &mut self,
        detached: impl Iterator<Item = &'a Path>,
    ) -> Vec<Result<Restored, InsideError>> {
        self.ask_all(detached.map(|path| Request::Restore { detached: path.to_owned() }), |answer| {
            match answer {
                Answer::Restored(restored) => Ok(restored),
                other => Err(other),
            }
        })
    }

    /// Deletes detached entries, one after another, as far as it gets a little before the deadline. Each
    /// must still have the identity that it is given with. Of what does not belong to this owner, where there
    /// is one, nothing goes.
    pub(crate) fn delete_all<'a>(
        &mut self,
        detached: impl Iterator<Item = (&'a Path, FileId)>,
        owner: Option<u32>,
    ) -> Vec<Result<Deleted, InsideError>> {
        let requests = detached.map(|(path, id)| Request::Delete { detached: path.to_owned(), id, owner });
        self.ask_all(requests, |answer| match answer {
            Answer::Deleted(deleted) => Ok(deleted),
            other => Err(other),
        })
    }

    /// One answer to each request, in their order. Once the child is gone, that is the answer to the rest.
    fn ask_all<T>(
        &mut self,
        requests: impl Iterator<Item = Request>,
        expected: fn(Answer) -> Result<T, Answer>,
    ) -> Vec<Result<T, InsideError>> {
        let answers = self.link.call_all(requests);
        let taken =
            answers.into_iter().map(|answer| expected(answer?).map_err(|other| self.link.unexpected(&other)));
        taken.collect()
    }
}

/// How this binary becomes the child.
#[cfg(not(test))]
fn child_command() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(super::ARGUMENT).env_clear();
    command
}

/// The unit tests' binary has a main of its own; one of its tests is the child there.
#[cfg(test)]
fn child_command() -> Command {
    super::tests::child_command()
}

/// A child and the socket to it.
#[derive(Debug)]
pub(super) struct Link {
    child: Child,
    socket: Option<UnixStream>,
    lines: Lines,
    limit: Duration,
    until: Instant,
}

impl Link {
    pub(super) fn start(command: &mut Command, limit: Duration) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let child = command
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            // A child that hangs must not keep whoever called us waiting for our output to end.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A ^C or a hangup is for the parent, whose end lets the child restore.
            .process_group(0)
            .spawn()?;
        let until = Instant::now() + limit;
        Ok(Self { child, socket: Some(socket), lines: Lines::default(), limit, until })
    }

    /// The child's process id, for tests that do things to it.
    #[cfg(test)]
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks and waits for the first answer.
    pub(super) fn call(&mut self, request: &Request) -> Result<Answer, InsideError> {
        self.send(&line(request)?)?;
        self.receive()
    }

    /// Asks many things that have one answer each, and gives the answers in their order.
    fn call_all(&mut self, requests: impl Iterator<Item = Request>) -> Vec<Result<Answer, InsideError>> {
        let mut answers = vec![];
        let mut lines = vec![];
        let mut asked = 0;
        for request in requests {
            match line(&request) {
                Ok(line) => {
                    if asked == ASKED_AT_ONCE || asked > 0 && lines.len() + line.len() > ASKED_BYTES {
                        self.exchange(&mut lines, &mut asked, &mut answers);
                    }
                    lines.extend(line);
                    asked += 1;
                }
                Err(error) => {
                    self.exchange(&mut lines, &mut asked, &mut answers);
                    answers.push(Err(error));
                }
            }
        }
        self.exchange(&mut lines, &mut asked, &mut answers);
        answers
    }

    /// Sends what was gathered and takes an answer to each.
    fn exchange(
        &mut self,
        lines: &mut Vec<u8>,
        asked: &mut usize,
        answers: &mut Vec<Result<Answer, InsideError>>,
    ) {
        let mut failed = self.send(lines).err();
        lines.clear();
        for _ in 0..std::mem::take(asked) {
            answers.push(failed.take().map_or_else(|| self.receive(), Err));
        }
    }

    fn send(&mut self, lines: &[u8]) -> Result<(), InsideError> {
        let Some(socket) = &self.socket else { return Err(ended_before()) };
        match send(socket, lines, self.until) {
            // A child that ended may have said why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(self.broken(&error)),
            Ok(()) => Ok(()),
        }
    }

    /// Waits for an answer.
    pub(super) fn receive(&mut self) -> Result<Answer, InsideError> {
        let Some(socket) = &self.socket else { return Err(ended_before()) };
        let (until, stall) = (self.until, stall(self.limit));
        let mut used = self.cpu_used();
        loop {
            let received = self
                .lines
                .next(socket, MOST_ANSWER_BYTES, || socket.set_read_timeout(Some(left(until)?.min(stall))));
            return match received {
                Ok(Line::Message(Answer::Failed(error))) => Err(error),
                Ok(Line::Message(answer)) => Ok(answer),
                Ok(Line::End) => Err(self.broken(&io::ErrorKind::UnexpectedEof.into())),
                Err(error) if is_late(&error) && left(until).is_ok() => {
                    let now = self.cpu_used();
                    if now.is_some() && now != used {
                        used = now;
                        continue;
                    }
                    self.limit = stall;
                    Err(self.broken(&error))
                }
                Err(error) => Err(self.broken(&error)),
            };
        }
    }

    /// CPU of all threads of the child so far.
    fn cpu_used(&self) -> Option<u64> {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        Stat::read(&folder).ok().map(|stat| stat.cpu_ticks)
    }

    /// Whether any thread of the child is in a call that the kernel does not let anybody end.
    fn hangs(&self) -> bool {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.child.id())) else { return false };
        threads.flatten().any(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('D'))
        })
    }

    /// After a broken exchange nothing that the child says can be matched to a question.
    fn broken(&mut self, error: &io::Error) -> InsideError {
        let timed_out = is_late(error);
        // When the time is over the child may just be waiting for us, with entries detached. One that is
        // stuck in the kernel or in a very large tree is killed; the next sweep finds what it left.
        self.end(if timed_out { GRACE } else { Duration::from_secs(1) });
        if timed_out {
            InsideError::Timeout(format!("{:?}", self.limit))
        } else {
            InsideError::Gone(error.to_string())
        }
    }

    pub(super) fn unexpected(&mut self, answer: &Answer) -> InsideError {
        self.broken(&io::Error::new(io::ErrorKind::InvalidData, format!("an unexpected answer: {answer:?}")))
    }

    /// Ends the child: by the end of its input, and if that does not help within the grace, by force.
    /// A process that hangs in the kernel outlives even that; then it is left to init.
    fn end(&mut self, grace: Duration) {
        let Some(socket) = self.socket.take() else { return };
        let _ = socket.shutdown(std::net::Shutdown::Write);
        if !ends_within(&socket, grace) {
            if self.hangs() {
                // A kill would not end it, only keep it from giving names back when it comes to.
                return;
            }
            let _ = self.child.kill();
            if !ends_within(&socket, Duration::from_secs(1)) {
                return;
            }
        }
        let _ = self.child.wait();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end(GRACE);
    }
}

fn ended_before() -> InsideError {
    InsideError::Gone("it has ended before".to_owned())
}

fn line(request: &Request) -> Result<Vec<u8>, InsideError> {
    let mut line =
        serde_json::to_vec(request).map_err(|error| InsideError::System(format!("the request: {error}")))?;
    line.push(b'\n');
    Ok(line)
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// A child that has used no CPU for so long hangs: on a file system that does not answer, or stopped.
/// The other workers must not wait for it until the deadline, and a slow disk must not be taken for one.
fn stall(limit: Duration) -> Duration {
    (limit / 8).clamp(Duration::from_secs(5), Duration::from_secs(60))
}

/// The time that is left, which is never nothing: a socket would take that for no limit.
fn left(until: Instant) -> io::Result<Duration> {
    Some(until.saturating_duration_since(Instant::now()))
        .filter(|left| !left.is_zero())
        .ok_or_else(|| io::ErrorKind::TimedOut.into())
}

fn send(mut socket: &UnixStream, mut line: &[u8], until: Instant) -> io::Result<()> {
    while !line.is_empty() {
        socket.set_write_timeout(Some(left(until)?))?;
        match socket.write(line) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => line = &line[length..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the other end of the socket closes in time. Only the child holds it, so that is its end.
fn ends_within(socket: &UnixStream, grace: Duration) -> bool {
    use std::io::Read;
    let until = Instant::now() + grace;
    let mut rest = [0; 4096];
    let mut socket = socket;
    loop {
        let Ok(()) = left(until).and_then(|left| socket.set_read_timeout(Some(left))) else { return false };
        match socket.read(&mut rest) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}
