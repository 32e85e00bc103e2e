//! The page's first byte over a long history beside the same page over an empty journal.
//!
//! Two responders with the same inventory run side by side and are asked in turn, so that whatever else
//! the machine does falls on both. Started by `benches/page.sh`; a run of the whole plan is kept in
//! docs/performance-page.md.

// A measurement may panic: then there is no figure. Figures need no more than a float's 52 bits.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

mod asking;
mod history;
mod plan;
#[path = "../responder/shared.rs"]
mod shared;

use std::{fs, process::ExitCode};

use asking::{Asked, Connection, rounds};
use plan::Plan;
use shared::{
    disk, environment,
    figures::{self, Table, grouped},
    harness, machine, stand_in, world,
};

/// What a page may weigh, without style and script; the tests in a browser weigh those too.
const MOST_BYTES: usize = 90_000;

fn main() -> ExitCode {
    let plan = match Plan::from_environment() {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("bench-page: {error}");
            return ExitCode::from(64);
        }
    };
    let machine = machine::named(&disk::named());
    println!("{machine}\n\n{plan}\n");
    let table = measured(&plan);
    println!("\n{table}");
    if plan.is_kept() {
        keep(&machine, &plan, &table);
    }
    ExitCode::SUCCESS
}

fn measured(plan: &Plan) -> String {
    let (empty, full) = (history::none(plan), history::full(plan));
    let mut table = Table::new([
        "page",
        "empty: first byte ms, median of medians",
        "range",
        "with history: first byte ms",
        "range",
        "times as long",
        "bytes, empty",
        "bytes, with history",
    ]);
    for path in ["/", "/?sort=disk&page=11", "/?show=trouble", "/hosts/h-500", "/status"] {
        let mut connections = [&empty, &full].map(|stage| Connection::to(&stage.responder.address));
        let [Asked { ms: before, bytes: light }, Asked { ms: after, bytes: heavy }] =
            rounds(plan, &mut connections, path);
        let ratio = after.median() / before.median();
        println!(
            "{path}: {:.2} ms beside {:.2} ms, {ratio:.2}×, {heavy} bytes",
            after.median(),
            before.median()
        );
        assert!(heavy < MOST_BYTES, "{path}: {heavy} bytes");
        table.row([
            format!("`{path}`"),
            format!("{:.2}", before.median()),
            spread(before.ends()),
            format!("{:.2}", after.median()),
            spread(after.ends()),
            format!("{ratio:.2}×"),
            grouped(light),
            grouped(heavy),
        ]);
    }
    table.text
}

fn spread((least, most): (f64, f64)) -> String {
    format!("{least:.2}–{most:.2}")
}

fn keep(machine: &str, plan: &Plan, table: &str) {
    let Plan { hosts, attempts, rounds, requests, .. } = plan;
    let document = format!(
        "# Performance of the page\n\n\
         Written by `make bench-page`: ratios hold within one run on one machine; trust them more than\n\
         milliseconds.\n\n{machine}\n\nThe plan of this run:\n\n```text\n{plan}\n```\n\n\
         Two `raysweep serve` with settings as shipped and the same inventory of {hosts} hosts run side by side: one over\n\
         an empty journal, one over {attempts} attempts of the last 80 days, each with a report of some 2 kB, half of them\n\
         of {closed} closed incidents; one host in twenty has an open one. From the last byte sent of a request to the first\n\
         one received of its answer, over a connection that stays open; a round is {requests} requests to each after one\n\
         warm-up, in turn, and the median of the rounds' medians counts (rounds: {rounds}). Bytes are the page's own,\n\
         uncompressed.\n\n{table}",
        hosts = grouped(*hosts),
        attempts = grouped(*attempts),
        closed = grouped(attempts / history::ATTEMPTS_AN_INCIDENT / 2),
    );
    fs::write(world::repository("docs/performance-page.md"), document).unwrap();
    println!("kept in docs/performance-page.md");
}
