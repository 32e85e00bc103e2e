//! How long a page's first byte takes over a connection that stays open.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{figures::Rounds, plan::Plan};

/// What has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(30);
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// What was measured of one page of one responder.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The median of each round.
    pub(crate) ms: Rounds,
    /// Of the page itself.
    pub(crate) bytes: usize,
}

pub(crate) struct Connection {
    stream: TcpStream,
    address: String,
}

impl Connection {
    pub(crate) fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, address: address.to_owned() }
    }

    /// Asks for a page: how long its first byte took, and how long the page is.
    fn ask(&mut self, path: &str) -> (f64, usize) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/html\r\n\r\n", self.address);
        self.stream.write_all(request.as_bytes()).unwrap();
        let sent = Instant::now();
        let mut answer = vec![0; 1 << 16];
        let mut got = self.stream.read(&mut answer).unwrap();
        let first = sent.elapsed().as_secs_f64() * 1000.0;
        answer.truncate(got);
        let (head, length) = loop {
            if let Some(found) = measured_head(&answer) {
                break found;
            }
            got = self.more(&mut answer, got);
        };
        while got < head + length {
            got = self.more(&mut answer, got);
        }
        (first, length)
    }

    fn more(&mut self, answer: &mut Vec<u8>, got: usize) -> usize {
        let mut part = vec![0; 1 << 16];
        let more = self.stream.read(&mut part).unwrap();
        assert!(more > 0, "the answer ended after {got} bytes");
        answer.extend_from_slice(&part[..more]);
        got + more
    }
}

/// How long head and page are, once the whole head is there; the page has to be one.
fn measured_head(answer: &[u8]) -> Option<(usize, usize)> {
    let head = answer.windows(END_OF_HEAD.len()).position(|part| part == END_OF_HEAD)? + END_OF_HEAD.len();
    let text = String::from_utf8_lossy(&answer[..head]).to_lowercase();
    assert!(text.starts_with("http/1.1 200 "), "{text}");
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    Some((head, length.trim().parse().unwrap()))
}

/// Asks each in turn for a page, round after round.
pub(crate) fn rounds<const N: usize>(
    plan: &Plan,
    connections: &mut [Connection; N],
    path: &str,
) -> [Asked; N] {
    let mut asked: [Asked; N] = std::array::from_fn(|_| Asked::default());
    for _ in 0..plan.rounds {
        let mut round: [Rounds; N] = std::array::from_fn(|_| Rounds::default());
        for request in 0..=plan.requests {
            for ((connection, round), asked) in connections.iter_mut().zip(&mut round).zip(&mut asked) {
                let (ms, bytes) = connection.ask(path);
                asked.bytes = bytes;
                // The first one warms up.
                if request > 0 {
                    round.push(ms);
                }
            }
        }
        for (asked, round) in asked.iter_mut().zip(round) {
            asked.ms.push(round.median());
        }
    }
    asked
}
