//! Docker's socket with somebody in between, who can hold an answer back or go deaf.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use crate::world;

/// What happens before the beginning of a request is let through; `false` keeps it for ever.
type Asked = Box<dyn FnMut(&str) -> bool + Send>;
/// What happens before a part of an answer is.
type Answered = Box<dyn FnMut(&str) + Send>;

struct Rules {
    asked: Mutex<Asked>,
    answered: Mutex<Answered>,
}

/// The socket that the sweep is told of.
pub(crate) struct Proxy {
    pub(crate) socket: PathBuf,
}

impl Proxy {
    pub(crate) fn start(
        name: &str,
        asked: impl FnMut(&str) -> bool + Send + 'static,
        answered: impl FnMut(&str) + Send + 'static,
    ) -> Self {
        let socket = world::dir().join(format!("{name}.sock"));
        let listener = UnixListener::bind(&socket).unwrap();
        let rules =
            Arc::new(Rules { asked: Mutex::new(Box::new(asked)), answered: Mutex::new(Box::new(answered)) });
        // It ends with the process of the tests, as the world does.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let rules = Arc::clone(&rules);
                thread::spawn(move || pass_on(&client, &rules));
            }
        });
        Self { socket }
    }
}

fn pass_on(client: &UnixStream, rules: &Rules) {
    let Ok(docker) = UnixStream::connect(world::dir().join("docker.sock")) else { return };
    thread::scope(|scope| {
        scope.spawn(|| {
            copy(&docker, client, |answer| {
                (rules.answered.lock().unwrap())(answer);
                true
            });
        });
        copy(client, &docker, |request| (rules.asked.lock().unwrap())(request));
    });
}

/// Until one end is closed, or the rule keeps what came for ever: held open and never answered, so that
/// whoever has asked has to give up by himself.
fn copy(mut from: &UnixStream, mut to: &UnixStream, mut rule: impl FnMut(&str) -> bool) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !rule(&String::from_utf8_lossy(&buffer[..length])) {
            loop {
                thread::park();
            }
        }
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
