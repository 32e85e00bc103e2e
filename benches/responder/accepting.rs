//! Notifications accepted: how many a second, and how long one waits for its answer.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use crate::{
    contenders::{Measured, raysweep, webhook, webhook_version},
    figures::{Rounds, Section, Table},
    load::Answered,
    payload::HOSTS,
    plan::Plan,
};

/// Who answers, with what was measured of it.
struct Entry {
    who: &'static str,
    answer: fn(usize, Duration) -> Measured,
    a_second: Rounds,
    done: Rounds,
    p50_ms: Rounds,
    p99_ms: Rounds,
}

impl Entry {
    fn new(who: &'static str, answer: fn(usize, Duration) -> Measured) -> Self {
        let [a_second, done, p50_ms, p99_ms] = [(); 4].map(|()| Rounds::default());
        Self { who, answer, a_second, done, p50_ms, p99_ms }
    }
}

pub(crate) fn section(plan: &Plan) -> Section {
    let mut table = Table::new([
        "connections",
        "who",
        "answers a second, median",
        "range",
        "p50 ms",
        "p99 ms",
        "times as many",
        "done a second",
        "times as many",
    ]);
    let span = Duration::from_secs(plan.seconds as u64);
    for connections in &plan.connections {
        let mut entries = [Entry::new("raysweep", raysweep), Entry::new("webhook", webhook)];
        for round in 0..plan.rounds {
            // Who comes first changes from round to round.
            entries.rotate_left(round % 2);
            for entry in &mut entries {
                let (answered, done) = (entry.answer)(*connections, span);
                let Answered { count, a_second, p50_ms, p99_ms } = answered;
                println!(
                    "accepting, {connections} connections, round {}: {} {a_second:.0}/s ({done:.0}/s done), p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms ({count} answers)",
                    round + 1,
                    entry.who
                );
                entry.a_second.push(a_second);
                entry.done.push(done);
                entry.p50_ms.push(p50_ms);
                entry.p99_ms.push(p99_ms);
            }
        }
        rows(&mut table, *connections, entries);
    }
    let about = format!(
        "`raysweep serve` with settings as shipped and an inventory of {HOSTS} hosts, beside {version}, whose hook runs \
         `/bin/true`. raysweep has each notification in its journal, flushed to the disk, before it answers 200, and \
         sweeps hosts meanwhile (behind a stand-in for ssh); webhook reads the payload, starts its command, answers 200 \
         without waiting for it, and keeps nothing. Each connection sends a notification, waits for the answer and sends \
         the next, for {seconds} s a run after one that warms up, over a connection that stays open; the sender is on the \
         same machine and does as little as it can. The notification is one that Alertmanager sent \
         (`alertmanager/payloads/firing-single.json`), each time with another host, start and fingerprint. Everybody in \
         turn, who comes first changes (rounds: {rounds}). *Done*: what an answer promises has happened: it is on disk, \
         or its command has ended, for which webhook lets nobody wait. A run counts only if every answer is 200; for raysweep if it \
         has counted as many notifications as were answered, and if after `kill -9` its next start has each alert of \
         them. Where webhook may open no more files (at most {files} here) it starts no command and answers 200 all the \
         same: what it has not started is not done.",
        version = webhook_version(),
        seconds = plan.seconds,
        rounds = plan.rounds,
        files = getrlimit(Resource::Nofile).maximum.map_or("any number".to_owned(), |most| most.to_string()),
    );
    Section { title: "Notifications accepted", about, table: table.text, glance: vec![] }
}

/// From the least to the most, without fractions.
fn whole(rounds: &Rounds) -> String {
    let (least, most) = rounds.ends();
    format!("{least:.0}–{most:.0}")
}

fn rows(table: &mut Table, connections: usize, mut entries: [Entry; 2]) {
    entries.sort_by_key(|entry| entry.who);
    let (beside, done_beside) = (entries[1].a_second.median(), entries[1].done.median());
    for Entry { who, answer: _, a_second, done, p50_ms, p99_ms } in entries {
        let shown = if who == "raysweep" { format!("**{who}**") } else { format!("`{who}`") };
        table.row([
            connections.to_string(),
            shown,
            format!("{:.0}", a_second.median()),
            whole(&a_second),
            format!("{:.2}", p50_ms.median()),
            format!("{:.2}", p99_ms.median()),
            format!("{:.2}×", a_second.median() / beside),
            format!("{:.0}", done.median()),
            format!("{:.2}×", done.median() / done_beside),
        ]);
    }
}
