//! System calls, counted by strace, for each file that goes.

use std::fs;

use crate::{
    figures::{Glance, Section, Table, grouped},
    files::{self, SPILLED},
    plan::{Contender, Disk, Layout, Plan},
    programs::{timed, words},
    removal::{checked, command},
    stage::Worker,
    world,
};

/// `docker exec` works in another process than the one that is called.
const COUNTED: [Contender; 4] = [Contender::Rm, Contender::Find, Contender::Rmz, Contender::Raysweep];
/// The calls that are made most often are shown by name.
const SHOWN: usize = 4;

pub(crate) fn section(plan: &Plan) -> Section {
    let files = (plan.files / 10).max(1);
    let mut table = Table::new(["layout", "who", "calls", "a file", "the most of them"]);
    let mut glance = vec![];
    let worker = Worker::up(Disk::Overlay);
    for layout in &plan.layouts {
        let counted = COUNTED.into_iter().filter(|contender| plan.contenders.contains(contender));
        let counts: Vec<_> = counted.map(|who| (who, count(who, &worker, *layout, files))).collect();
        for (who, counts) in &counts {
            let a_file = counts.all as f64 / files as f64;
            println!("calls, {layout}: {who} {a_file:.2} a file");
            let all = grouped(counts.all);
            table.row([
                layout.to_string(),
                format!("`{who}`"),
                all,
                format!("{a_file:.2}"),
                counts.most.join(", "),
            ]);
        }
        glance.extend(at_a_glance(*layout, files, &counts));
    }
    let about = format!(
        "`strace -f -c` on one removal of {} files on overlay each: everything that the program and its children call, \
         starting and discovering in it.",
        grouped(files)
    );
    Section { title: "System calls", about, table: table.text, glance }
}

fn at_a_glance(layout: Layout, files: usize, counts: &[(Contender, Counts)]) -> Option<Glance> {
    let a_file = |who| {
        let (_, counts) = counts.iter().find(|(contender, _)| *contender == who)?;
        Some(counts.all as f64 / files as f64)
    };
    let (ours, rm) = (a_file(Contender::Raysweep)?, a_file(Contender::Rm)?);
    Some(Glance {
        what: format!("system calls for each removed file, {layout}"),
        raysweep: format!("{ours:.2}"),
        beside: format!("`rm -rf` {rm:.2}"),
        ratio: format!("{:.2}×", rm / ours),
    })
}

struct Counts {
    all: usize,
    /// The most frequent ones, with how often.
    most: Vec<String>,
}

fn count(contender: Contender, worker: &Worker, layout: Layout, files: usize) -> Counts {
    let folder = worker.temp_root().join(SPILLED);
    files::make(&folder, layout, files);
    let counts = world::dir().join("calls").display().to_string();
    let mut all = words(&["strace", "-f", "-c", "-S", "calls", "-o", &counts]);
    all.extend(command(contender, worker));
    let ran = timed(&all);
    assert!(!folder.exists(), "{contender} left {}", folder.display());
    if contender == Contender::Raysweep {
        checked(&ran, files);
    }
    parse(&fs::read_to_string(&counts).unwrap())
}

/// `% time, seconds, usecs/call, calls, [errors,] syscall`, the most frequent first, and a last line
/// for all of them.
fn parse(table: &str) -> Counts {
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rows: Vec<(String, usize)> =
        lines.filter_map(|cells| Some(((*cells.last()?).to_owned(), cells.get(3)?.parse().ok()?))).collect();
    let all =
        rows.iter().find(|(name, _)| name == "total").unwrap_or_else(|| panic!("no total in\n{table}")).1;
    let calls = rows.iter().filter(|(name, _)| name != "total").take(SHOWN);
    Counts { all, most: calls.map(|(name, calls)| format!("{name} {}", grouped(*calls))).collect() }
}
