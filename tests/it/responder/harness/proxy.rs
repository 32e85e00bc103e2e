//! A proxy before an sshd, which at a stage of the connection stops passing bytes on and keeps it open.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// How far a connection gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is accepted, and no byte comes.
    Accepted,
    /// The server's version comes, and nothing after it.
    Banner,
    /// The server's half of the key exchange comes, and no answer to the client's.
    KeyExchange,
    /// Keys are exchanged, and no answer to the login comes.
    Login,
    /// It works until the test says otherwise.
    Open,
}

/// Types of packets that are readable on the wire; see RFC 4253.
const KEXINIT: u8 = 20;
const NEWKEYS: u8 = 21;

impl Stage {
    /// How many of the server's bytes pass, once that can be told from the first of them.
    fn passes(self, seen: &[u8]) -> Option<usize> {
        let version = seen.iter().position(|byte| *byte == b'\n')? + 1;
        let last = match self {
            Self::Accepted => return Some(0),
            Self::Banner => return Some(version),
            Self::KeyExchange => KEXINIT,
            Self::Login => NEWKEYS,
            Self::Open => return None,
        };
        let mut at = version;
        // A packet: its length without these four bytes, the length of its padding, its type.
        while let Some(&[a, b, c, d, _, kind]) = seen.get(at..at + 6) {
            at += 4 + usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap();
            if kind == last {
                return Some(at);
            }
        }
        None
    }
}

/// The proxy. What it holds open is closed with either side.
pub(crate) struct Proxy {
    pub(super) port: u16,
    stuck: Arc<AtomicBool>,
}

impl Proxy {
    /// Listens on the same address as an sshd.
    pub(super) fn before(address: &str, sshd: u16, stage: Stage) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let stuck = Arc::new(AtomicBool::new(stage == Stage::Accepted));
        let (all_stuck, sshd) = (Arc::clone(&stuck), (address.to_owned(), sshd));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect((sshd.0.as_str(), sshd.1)) else { continue };
                relay(client, server, stage, &all_stuck);
            }
        });
        Self { port, stuck }
    }

    pub(super) fn get_stuck(&self) {
        self.stuck.store(true, Ordering::SeqCst);
    }
}

/// Passes bytes on in both directions, each in a thread of its own.
fn relay(client: TcpStream, server: TcpStream, stage: Stage, stuck: &Arc<AtomicBool>) {
    let (stuck_up, stuck_down) = (Arc::clone(stuck), Arc::clone(stuck));
    let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || pass(&from, &to, |_| !stuck_up.load(Ordering::SeqCst)));
    thread::spawn(move || {
        let (mut seen, mut passed) = (vec![], 0);
        pass(&server, &client, |bytes| {
            if stage == Stage::Open || stuck_down.load(Ordering::SeqCst) {
                return !stuck_down.load(Ordering::SeqCst);
            }
            seen.extend_from_slice(bytes);
            let end = stage.passes(&seen).unwrap_or(seen.len()).min(seen.len());
            let _ = (&client).write_all(&seen[passed..end]);
            passed = end;
            if stage.passes(&seen) == Some(passed) {
                stuck_down.store(true, Ordering::SeqCst);
            }
            // What may pass has been passed on.
            false
        });
    });
}

/// Reads one side to its end, and passes on what `may` pass.
fn pass(mut from: &TcpStream, mut to: &TcpStream, mut may: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if may(&buffer[..length]) && to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
