//! The end of the child, whatever it is doing: when its parent has gone, or when its time is over.
//!
//! A tree of millions is looked at or deleted for minutes. A parent that was killed has given the lock
//! back, and the next sweep may be here already: a child that went on deleting would delete under it.
//! So a thread of its own waits for the end, and all long work asks before each step.

use std::{
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

/// One for the process, as its end is.
static BEGUN: AtomicBool = AtomicBool::new(false);

/// Whether the child is to end: it does nothing more but give names back.
pub(super) fn has_begun() -> bool {
    BEGUN.load(Ordering::Relaxed)
}

/// Ends a long piece of work in its middle.
pub(super) fn check() -> Result<(), Errno> {
    if has_begun() { Err(Errno::CANCELED) } else { Ok(()) }
}

/// Waits on a thread for the parent's end or for the end of the time, whichever comes first. A parent
/// that hangs in the kernel even after a kill keeps its end of the socket open.
pub(super) fn watch(socket: UnixStream, time: Duration) {
    let until = Instant::now() + time;
    thread::spawn(move || {
        while !has_ended(&socket, until) {}
        BEGUN.store(true, Ordering::Relaxed);
        // Whoever waits for the next request learns it too.
        let _ = socket.shutdown(Shutdown::Read);
    });
}

fn has_ended(socket: &UnixStream, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    let Ok(timeout) = Timespec::try_from(left) else { return true };
    let mut ended = [PollFd::new(socket, PollFlags::RDHUP)];
    match poll(&mut ended, Some(&timeout)) {
        Err(Errno::INTR) => false,
        // The time is over, the parent has gone, or nobody can tell.
        Ok(_) | Err(_) => true,
    }
}
