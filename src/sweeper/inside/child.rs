//! The child: one process, in one worker's mount namespace, at one temp root.
//!
//! It decides nothing. It ends when its input ends, and then gives back what is still detached. The
//! end of input is the better sign of a dead parent than PDEATHSIG: that one comes as a signal, which
//! would end the child with entries detached, and it follows the thread that started the child.

use std::{
    collections::{BTreeSet, HashSet},
    io,
    ops::ControlFlow,
    os::{fd::AsFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{ExitCode, abort},
    time::{Duration, Instant},
};

use rustix::stdio::stdin;

use super::{
    Entry, InsideError,
    detach::{detach, restore},
    ending,
    enter::{Root, enter},
    look,
    parent::GRACE,
    protocol::{Answer, Line, Lines, MOST_REQUEST_BYTES, Request, write_line},
    remove,
    whereabouts::whereabouts,
};
use crate::sweeper::modesty;

/// Entries of a list in one line.
const ENTRIES_A_LINE: usize = 1000;

/// The child's own main.
pub(super) fn main() -> ExitCode {
    let Ok(socket) = stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
        return ExitCode::FAILURE;
    };
    end_on_panic(&socket);
    modesty::give_way();
    // A tree of many million hard links would take more than that.
    modesty::bound_memory();
    match serve(&socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// A panic ends the child at once. Unwinding through half a removal helps nobody, and a symbolised
/// backtrace would read the container's files.
fn end_on_panic(socket: &UnixStream) {
    let socket = socket.try_clone();
    std::panic::set_hook(Box::new(move |panic| {
        if let Ok(socket) = &socket {
            let _ = write_line(socket, &Answer::Failed(InsideError::Gone(panic.to_string())));
        }
        abort();
    }));
}

/// The parent's own limit comes first; this one is for a parent that cannot keep it.
const LONGER_THAN_THE_PARENT: Duration = Duration::from_secs(15);

/// Answers until the input ends.
pub(super) fn serve(socket: &UnixStream) -> io::Result<()> {
    let mut lines = Lines::default();
    let (root, ends) = match lines.next(socket, MOST_REQUEST_BYTES, || Ok(()))? {
        Line::Message(Request::Enter(target)) => match enter(&target) {
            Ok(root) => {
                let time = target.time + LONGER_THAN_THE_PARENT;
                ending::watch(socket.try_clone()?, root.init.try_clone()?, time);
                (root, Instant::now() + target.time)
            }
            Err(error) => return write_line(socket, &Answer::Failed(error)),
        },
        Line::Message(_) | Line::End => return Err(io::ErrorKind::InvalidData.into()),
    };
    write_line(socket, &Answer::Entered(root.devices.clone()))?;
    let mut hands = Hands { root, ends, turn_ends: ends, in_use: None, detached: BTreeSet::new() };
    let ended = loop {
        match lines.next(socket, MOST_REQUEST_BYTES, || Ok(())) {
            // The parent asks many things at once: what it has asked before it went is not done any more.
            Ok(Line::Message(_)) if ending::has_begun() => break Ok(()),
            Ok(Line::Message(request)) => {
                let answered = hands.answer(request, socket).or_else(|error| match error {
                    Failure::Asked(error) => write_line(socket, &Answer::Failed(error)),
                    Failure::Wire(error) => Err(error),
                });
                if answered.is_err() {
                    break answered;
                }
            }
            Ok(Line::End) => break Ok(()),
            // Nothing after a line that is no request can be trusted to be one.
            Err(error) => break Err(error),
        }
    };
    hands.restore_all();
    if ending::is_of_the_worker() {
        let gone = InsideError::NotTheWorker("its first process has ended".to_owned());
        return write_line(socket, &Answer::Failed(gone));
    }
    ended
}

/// Why a request was not answered with what was asked for.
enum Failure {
    Asked(InsideError),
    Wire(io::Error),
}

impl From<InsideError> for Failure {
    fn from(error: InsideError) -> Self {
        Self::Asked(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Wire(error)
    }
}

struct Hands {
    root: Root,
    /// When the whole time is over.
    ends: Instant,
    /// When looks and deletes end: then or before.
    turn_ends: Instant,
    /// The inode numbers of the files in use, once they are known.
    in_use: Option<HashSet<u64>>,
    /// What this child has detached and neither restored nor begun to delete.
    detached: BTreeSet<PathBuf>,
}

impl Hands {
    fn answer(&mut self, request: Request, socket: &UnixStream) -> Result<(), Failure> {
        let Root { fd, layer, .. } = &self.root;
        let answer = match request {
            Request::Enter(_) => {
                return Err(InsideError::System("already entered".to_owned()).into());
            }
            Request::Usage { looking } => {
                Answer::Usage(look::usage(fd, layer, looking.until(self.turn_ends))?)
            }
            Request::Disk => Answer::Disk(look::disk(fd)?),
            Request::Whereabouts { sessions } => Answer::Whereabouts(whereabouts(&self.root, &sessions)?),
            Request::List { folder, begins, most } => {
                let is_cut = self.list(&folder, &begins, most, socket)?;
                Answer::Listed { is_cut }
            }
            Request::EndWithin { left } => {
                self.turn_ends = Instant::now().checked_add(left).map_or(self.ends, |at| at.min(self.ends));
                Answer::Bounded
            }
            Request::Remember { in_use } => {
                self.in_use = Some(in_use.into_iter().collect());
                Answer::Remembered
            }
            Request::Look { path, whole, looking } => {
                // To know of nothing in use is not to know that nothing is.
                let in_use = self.in_use.as_ref().ok_or_else(|| {
                    InsideError::System("it was not said which files are in use".to_owned())
                })?;
                let until = looking.until(self.turn_ends);
                Answer::Tree(Box::new(look::look(fd, layer, &path, whole.then_some(until), in_use)?))
            }
            Request::Detach { path, id, attempt } => {
                let detached = detach(&self.root, &path, id, attempt)?;
                self.detached.insert(detached.clone());
                Answer::Detached(detached)
            }
            Request::Restore { detached } => {
                let restored = restore(fd, &detached)?;
                self.detached.remove(&detached);
                Answer::Restored(restored)
            }
            Request::Delete { detached, id, owner } => {
                // No delete goes on beyond it: the parent still has to hear what has gone.
                let until = self.ends.checked_sub(GRACE).unwrap_or_else(Instant::now).min(self.turn_ends);
                let deleted = remove::delete(fd, &detached, id, remove::Terms { until, owner })?;
                // It is gone, it has its own name back, or it is half gone and its name says so.
                self.detached.remove(&detached);
                Answer::Deleted(deleted)
            }
        };
        Ok(write_line(socket, &answer)?)
    }

    /// Sends the list in parts, and says whether it is cut.
    fn list(
        &self,
        folder: &Path,
        begins: &[String],
        most: usize,
        socket: &UnixStream,
    ) -> Result<bool, Failure> {
        let mut part: Vec<Entry> = Vec::with_capacity(ENTRIES_A_LINE);
        let mut left = most;
        let mut wire = Ok(());
        let is_cut = look::list(&self.root.fd, folder, begins, |entry| {
            if left == 0 || wire.is_err() {
                return ControlFlow::Break(());
            }
            left -= 1;
            part.push(entry);
            if part.len() == ENTRIES_A_LINE {
                wire = write_line(socket, &Answer::Entries(std::mem::take(&mut part)));
            }
            ControlFlow::Continue(())
        })?;
        wire?;
        write_line(socket, &Answer::Entries(part))?;
        Ok(is_cut)
    }

    /// Nobody is left to tell how it went; the next sweep finds what could not be restored.
    fn restore_all(&mut self) {
        for detached in std::mem::take(&mut self.detached) {
            let _ = restore(&self.root.fd, &detached);
        }
    }
}
