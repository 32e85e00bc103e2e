//! A question for a password at the terminal, which is as it was afterwards, however the question ends.

use std::{fs::File, io};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

/// Asks. Whoever interrupts the question, at the terminal or by a signal, has not answered it.
pub(super) fn ask(question: &'static str) -> io::Result<String> {
    let _terminal = Terminal::remember();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // rpassword raises the signal while the terminal is still without echo: heard here, it ends no
        // process before the terminal was put back.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (sender, answer) = oneshot::channel();
        // A thread of its own: nobody can end a read, and the program does not wait for this one.
        std::thread::spawn(move || sender.send(rpassword::prompt_password(question)));
        tokio::select! {
            answer = answer => answer.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into())),
            _ = interrupt.recv() => Err(interrupted()),
            _ = terminate.recv() => Err(interrupted()),
        }
    })
}

fn interrupted() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, "interrupted")
}

/// How the terminal was; put back when it is dropped.
struct Terminal(Option<(File, Termios)>);

impl Terminal {
    fn remember() -> Self {
        let terminal = File::options().read(true).write(true).open("/dev/tty").ok();
        Self(terminal.and_then(|terminal| {
            let before = tcgetattr(&terminal).ok()?;
            Some((terminal, before))
        }))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some((terminal, before)) = &self.0 {
            let _ = tcsetattr(terminal, OptionalActions::Now, before);
        }
    }
}
