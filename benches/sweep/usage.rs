//! The size of a worker's `/tmp`: `raysweep measure` beside what people ask for it.

use crate::{
    figures::{Glance, Rounds, Section, Table, digits, grouped, times},
    files::{self, SPILLED, settle},
    plan::{Disk, Layout, Plan},
    programs::{self, inside, timed},
    stage::Worker,
};

const OURS: &str = "raysweep measure";
const ALL: [&str; 4] = [OURS, "du -s", "diskus", "pdu"];

struct Entry {
    who: &'static str,
    cold: Rounds,
    warm: Rounds,
}

pub(crate) fn section(plan: &Plan) -> Section {
    let mut table = Table::new([
        "`/tmp` on",
        "layout",
        "who",
        "cold, median s",
        "range s",
        "× `du -s`",
        "warm, median s",
        "range s",
        "× `du -s`",
    ]);
    let mut glance = vec![];
    for disk in &plan.disks {
        for layout in &plan.layouts {
            let worker = Worker::up(*disk);
            files::make(&worker.temp_root().join(SPILLED), *layout, plan.files);
            let entries = rounds(plan, &worker, *disk, *layout);
            rows(&mut table, *disk, *layout, &entries);
            glance.push(at_a_glance(plan, *disk, *layout, &entries));
        }
    }
    let about = format!(
        "{files} files, laid as above, in a worker's `/tmp`; everybody in turn (rounds: {rounds}). *Cold*: nothing of it in memory; \
         *warm*: right after that. `du`, `diskus` and `pdu` run in the worker's mount namespace, by `nsenter`. What \
         raysweep takes is the whole `raysweep measure`, from start to exit: reading /proc, discovery through \
         Docker's API, the walk, writing all figures; what it remembers of earlier runs to look less often is \
         thrown away before each, so that it walks. Its figure has to agree with that of `du` to a part in a thousand.",
        files = grouped(plan.files),
        rounds = plan.rounds,
    );
    Section { title: "Usage", about, table: table.text, glance }
}

fn rounds(plan: &Plan, worker: &Worker, disk: Disk, layout: Layout) -> Vec<Entry> {
    let mut entries: Vec<Entry> =
        ALL.map(|who| Entry { who, cold: Rounds::default(), warm: Rounds::default() }).into();
    for round in 0..plan.rounds {
        entries.rotate_left(usize::from(round > 0));
        for entry in &mut entries {
            settle();
            let cold = timed(&command(entry.who, worker)).seconds;
            let warm = timed(&command(entry.who, worker)).seconds;
            let (who, number) = (entry.who, round + 1);
            println!(
                "usage {disk} {layout}, round {number}: {who} {} s, {} s warm",
                digits(cold),
                digits(warm)
            );
            entry.cold.push(cold);
            entry.warm.push(warm);
        }
    }
    entries.sort_by_key(|entry| ALL.iter().position(|who| *who == entry.who));
    agrees(worker);
    entries
}

fn command(who: &str, worker: &Worker) -> Vec<String> {
    match who {
        OURS => programs::measure(),
        "du -s" => inside(worker, &["du", "-s", "/tmp"]),
        "diskus" => inside(worker, &["/usr/local/bin/diskus", "/tmp"]),
        _ => inside(worker, &["/usr/local/bin/pdu", "--max-depth=1", "/tmp"]),
    }
}

/// A walk that sees less is no faster walk.
fn agrees(worker: &Worker) {
    let said = timed(&programs::measure()).stdout;
    let line = format!("ray_worker_tmp_used_bytes{{worker=\"{}\"}} ", worker.name);
    let ours = said.lines().find_map(|text| text.strip_prefix(&line));
    let ours: u64 = ours.unwrap_or_else(|| panic!("no figure in:\n{said}")).parse().unwrap();
    let du = timed(&inside(worker, &["du", "-s", "--block-size=1", "/tmp"])).stdout;
    let du: u64 = du.split_whitespace().next().unwrap().parse().unwrap();
    assert!(ours.abs_diff(du) <= du / 1000, "raysweep sees {ours} bytes and du {du}");
}

fn rows(table: &mut Table, disk: Disk, layout: Layout, entries: &[Entry]) {
    let du = entries.iter().find(|entry| entry.who == "du -s").unwrap();
    for Entry { who, cold, warm } in entries {
        let who = if *who == OURS { format!("**{who}**") } else { format!("`{who}`") };
        let (times_cold, times_warm) =
            (times(du.cold.median(), cold.median()), times(du.warm.median(), warm.median()));
        table.row([
            disk.to_string(),
            layout.to_string(),
            who,
            cold.to_string(),
            cold.range(),
            times_cold,
            warm.to_string(),
            warm.range(),
            times_warm,
        ]);
    }
}

fn at_a_glance(plan: &Plan, disk: Disk, layout: Layout, entries: &[Entry]) -> Glance {
    let cold = |who: &str| entries.iter().find(|entry| entry.who == who).unwrap().cold.median();
    Glance {
        what: format!("size of {} files, {disk}, {layout}, cold", grouped(plan.files)),
        raysweep: format!("{} s", digits(cold(OURS))),
        beside: format!("`du -s` {} s", digits(cold("du -s"))),
        ratio: times(cold("du -s"), cold(OURS)),
    }
}
