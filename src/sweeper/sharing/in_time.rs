//! A look that may hang in the kernel, for as long as somebody else's disk does not answer.

use std::{
    io,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// Looks in a thread of its own, and waits for it no longer than this. One that hangs cannot be ended; it
/// ends with the process, or is left to the kernel as that is.
pub(super) fn in_time<T: Send + 'static>(
    time: Duration,
    look: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (answer, answered) = channel();
    thread::Builder::new().spawn(move || answer.send(look()))?;
    match answered.recv_timeout(time) {
        Ok(answer) => answer,
        Err(RecvTimeoutError::Timeout) => {
            let error = format!("its file system does not answer within {} s", time.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, error))
        }
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("nothing was found out")),
    }
}
