//! The most memory that the responder ever had, over a large fleet all of which is in trouble at once.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    contenders::serve,
    figures::{Section, Table, digits, grouped},
    harness::{LARGE, alert, payload},
    plan::Plan,
    stand_in::{StandIns, most_memory},
};

const PAYLOADS: usize = 100;
const MOST_MIB: f64 = 128.0;
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longer than this no host waits while others are swept.
const STUCK: Duration = Duration::from_secs(60);

pub(crate) fn section(plan: &Plan) -> Section {
    let mut table = Table::new(["when", "after s", "peak MiB"]);
    let names: Vec<_> = (0..plan.hosts).map(|number| format!("h-{number}")).collect();
    let fleet = StandIns::new(&names);
    // Everything else as shipped: by the fleet's minute the last of them would begin after hours.
    let responder = serve(&fleet, "limits: { starts_a_minute: 1000000 }");
    let begun = Instant::now();
    let mut row = |when: &str| {
        let (after, peak) = (begun.elapsed().as_secs_f64(), mib(most_memory(responder.process.id())));
        println!("memory, {when}: {peak:.1} MiB after {after:.1} s");
        assert!(peak < MOST_MIB, "{peak:.1} MiB");
        table.row([when.to_owned(), digits(after), format!("{peak:.1}")]);
    };
    for part in names.chunks(plan.hosts.div_ceil(PAYLOADS)) {
        let alerts: Vec<_> = part.iter().map(|host| alert(LARGE, "firing", &[("host", host)])).collect();
        assert_eq!(responder.send(payload(&alerts)), 200);
    }
    row("all of them accepted");
    let accepted = format!(r#"raysweep_alerts_total{{alert="{LARGE}",status="firing"}}"#);
    assert_eq!(responder.metric(&accepted), plan.hosts as u64);
    all_swept(&fleet, plan.hosts);
    row("all of them swept");
    assert_eq!(responder.metric("raysweep_incidents_opened_total"), plan.hosts as u64);
    row("and scraped");
    responder.stop();
    let about = format!(
        "An inventory of {hosts} hosts behind a stand-in for ssh, an alert for each of them in {PAYLOADS} notifications, \
         settings as shipped but for `limits.starts_a_minute`; `VmHWM` of `raysweep serve`, as the kernel keeps it. \
         The bound is {MOST_MIB} MiB.",
        hosts = grouped(plan.hosts),
    );
    Section { title: "Memory", about, table: table.text, glance: vec![] }
}

/// Waits for as long as it goes on.
fn all_swept(fleet: &StandIns, hosts: usize) {
    let swept = || fleet.noted().iter().filter(|(_, what, _)| what == "end").count();
    let (mut before, mut since) = (0, Instant::now());
    while before < hosts {
        thread::sleep(LOOK_EVERY);
        let now = swept();
        if now > before {
            (before, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < STUCK, "{before} of {hosts} hosts were swept");
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}
