//! Connections that each send one notification after the other, and how long each answer took.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::payload;

/// What is not answered by then is no answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was answered, each answer with 200.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) count: u64,
    pub(crate) a_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Sends for so long over so many connections that stay open. `next` numbers the notifications.
pub(crate) fn send(url: &str, connections: usize, span: Duration, next: &AtomicU64) -> Answered {
    let ready = Barrier::new(connections);
    let (latencies, took) = thread::scope(|scope| {
        let senders: Vec<_> =
            (0..connections).map(|_| scope.spawn(|| sender(url, span, next, &ready))).collect();
        let mut latencies = vec![];
        let mut took = Duration::ZERO;
        for sender in senders {
            let (own, ended) = sender.join().unwrap();
            latencies.extend(own);
            took = took.max(ended);
        }
        (latencies, took)
    });
    summed_up(latencies, took)
}

fn sender(url: &str, span: Duration, next: &AtomicU64, ready: &Barrier) -> (Vec<Duration>, Duration) {
    let mut connection = Connection::open(url);
    let mut latencies = vec![];
    ready.wait();
    let begun = Instant::now();
    while begun.elapsed() < span {
        let body = payload::notification(next.fetch_add(1, Ordering::Relaxed));
        let sent = Instant::now();
        let (status, said) = connection.post(&body);
        latencies.push(sent.elapsed());
        assert_eq!(status, 200, "{said}");
    }
    (latencies, begun.elapsed())
}

/// A connection that stays open. It does as little as can be done: the machine's time is for those who are
/// measured.
struct Connection {
    stream: TcpStream,
    head: String,
    answer: Vec<u8>,
}

impl Connection {
    fn open(url: &str) -> Self {
        let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n");
        Self { stream, head, answer: vec![] }
    }

    /// Sends a notification; the answer's status and body.
    fn post(&mut self, body: &str) -> (u16, String) {
        let request = format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len());
        self.stream.write_all(request.as_bytes()).unwrap();
        self.answer.clear();
        let mut part = [0; 4096];
        loop {
            let count = self.stream.read(&mut part).unwrap();
            assert!(count > 0, "closed before its answer: {:?}", String::from_utf8_lossy(&self.answer));
            self.answer.extend_from_slice(&part[..count]);
            if let Some(answer) = whole(std::str::from_utf8(&self.answer).unwrap()) {
                return answer;
            }
        }
    }
}

/// The status and body of an answer that says how long it is, once all of it is there.
fn whole(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.expect("an answer that says how long it is").1.parse().unwrap();
    (body.len() >= length).then(|| (status, body.to_owned()))
}

fn summed_up(mut latencies: Vec<Duration>, took: Duration) -> Answered {
    latencies.sort();
    let percentile = |percent: usize| {
        let rank = (latencies.len() * percent).div_ceil(100).max(1);
        latencies[rank - 1].as_secs_f64() * 1000.0
    };
    Answered {
        count: latencies.len() as u64,
        a_second: latencies.len() as f64 / took.as_secs_f64(),
        p50_ms: percentile(50),
        p99_ms: percentile(99),
    }
}
