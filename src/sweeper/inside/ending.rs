//! The end of the child, whatever it is doing: when its parent or the worker has gone, or when its time is
//! over.
//!
//! A tree of millions is looked at or deleted for minutes. A parent that was killed has given the lock
//! back, and the next sweep may be here already: a child that went on deleting would delete under it.
//! And whoever removes a container takes its files away right after its processes: a rename of ours among
//! them would make that fail. So a thread of its own waits for the end, and all long work asks before each
//! step.

use std::{
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    io::Errno,
};

/// One for the process, as its end is.
static BEGUN: AtomicBool = AtomicBool::new(false);
static WORKER_GONE: AtomicBool = AtomicBool::new(false);

/// Whether the child is to end: it does nothing more but give names back.
pub(super) fn has_begun() -> bool {
    BEGUN.load(Ordering::Relaxed)
}

/// Whether it ends because the worker has ended.
pub(super) fn is_of_the_worker() -> bool {
    WORKER_GONE.load(Ordering::Relaxed)
}

/// Ends a long piece of work in its middle.
pub(super) fn check() -> Result<(), Errno> {
    if has_begun() { Err(Errno::CANCELED) } else { Ok(()) }
}

/// Waits on a thread for the parent's end, for that of the worker's first process (a pidfd), or for the end
/// of the time, whichever comes first. A parent that hangs in the kernel even after a kill keeps its end of
/// the socket open.
pub(super) fn watch(socket: UnixStream, worker: OwnedFd, time: Duration) {
    let until = Instant::now() + time;
    thread::spawn(move || {
        while !has_ended(&socket, &worker, until) {}
        BEGUN.store(true, Ordering::Relaxed);
        // Whoever waits for the next request learns it too.
        let _ = socket.shutdown(Shutdown::Read);
    });
}

fn has_ended(socket: &UnixStream, worker: &OwnedFd, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    let Ok(timeout) = Timespec::try_from(left) else { return true };
    let mut ended = [PollFd::new(socket, PollFlags::RDHUP), PollFd::new(worker, PollFlags::IN)];
    if matches!(poll(&mut ended, Some(&timeout)), Err(Errno::INTR)) {
        return false;
    }
    // The time is over, the parent or the worker has gone, or nobody can tell.
    WORKER_GONE.store(!ended[1].revents().is_empty(), Ordering::Relaxed);
    true
}
