//! Connections that each send one notification after the other, and how long each answer took.

use std::{
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
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    let mut latencies = vec![];
    ready.wait();
    let begun = Instant::now();
    while begun.elapsed() < span {
        let body = payload::notification(next.fetch_add(1, Ordering::Relaxed));
        let sent = Instant::now();
        let mut answer =
            agent.post(url).header("Content-Type", "application/json").send(body.as_str()).unwrap();
        let said = answer.body_mut().read_to_string().unwrap();
        latencies.push(sent.elapsed());
        assert_eq!(answer.status(), 200, "{said}");
    }
    (latencies, begun.elapsed())
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
