//! Removal of a dead session's data: everybody takes the same files away, made anew for each.

use crate::{
    figures::{Glance, Rounds, Section, Table, digits, grouped, times},
    files::{self, SPILLED},
    plan::{Contender, Disk, Layout, Plan},
    programs::{self, Ran, WINDOW, inside, report, timed, words},
    stage::Worker,
};

/// One contender's figures in one place.
struct Entry {
    contender: Contender,
    seconds: Rounds,
    /// What raysweep says of itself.
    own_seconds: Rounds,
}

pub(crate) fn section(plan: &Plan) -> Section {
    let mut table =
        Table::new(["`/tmp` on", "layout", "who", "median s", "range s", "times as fast as `rm -rf`"]);
    let mut glance = vec![];
    for disk in &plan.disks {
        let worker = Worker::up(*disk);
        for layout in &plan.layouts {
            let entries = rounds(plan, &worker, *disk, *layout);
            rows(&mut table, *disk, *layout, &entries);
            glance.extend(glances(plan, *disk, *layout, &entries));
        }
    }
    let about = format!(
        "{files} files of 64 bytes (one block each), the data of a dead session: `tree` is {leaves} folders of \
         {folder} files, three levels down; `flat` is one folder. Before each run they are made anew, `sync`ed, and \
         dropped from memory; who comes first changes from round to round (rounds: {rounds}). `rm`, `find` and `rmz` \
         run in the worker's mount namespace, by `nsenter`. What raysweep takes is all of \
         `raysweep sweep --trigger alert --worker …` with settings as shipped, from start to exit: the lock, discovery \
         through Docker's API, all signs of use read twice, two looks at every file, the size of `/tmp` before and \
         after, detaching, deleting, the report and its line in the log; and {window} s of it are the sampling window, \
         which is waited for whatever there is to remove, and in which the size is taken: whoever is deleted after it \
         is in memory by then. *Beside the window* is from the report's `started_at` to its `finished_at` without \
         those {window} s. A run counts only if the files are gone, and for raysweep if its report names the folder \
         and the number of files.",
        files = grouped(plan.files),
        leaves = grouped(plan.leaves()),
        folder = files::IN_A_FOLDER,
        rounds = plan.rounds,
        window = WINDOW.as_secs(),
    );
    Section { title: "Removal", about, table: table.text, glance }
}

fn rounds(plan: &Plan, worker: &Worker, disk: Disk, layout: Layout) -> Vec<Entry> {
    let blank = |contender: &Contender| Entry {
        contender: *contender,
        seconds: Rounds::default(),
        own_seconds: Rounds::default(),
    };
    let mut entries: Vec<Entry> = plan.contenders.iter().map(blank).collect();
    for round in 0..plan.rounds {
        // Whoever comes first in one round comes last in the next.
        entries.rotate_left(usize::from(round > 0));
        for entry in &mut entries {
            let contender = entry.contender;
            let ran = run(contender, worker, layout, plan.files);
            println!("removal {disk} {layout}, round {}: {contender} {} s", round + 1, digits(ran.seconds));
            entry.seconds.push(ran.seconds);
            if contender == Contender::Raysweep {
                entry.own_seconds.push(checked(&ran, plan.files));
            }
        }
    }
    entries.sort_by_key(|entry| Contender::ALL.iter().position(|contender| *contender == entry.contender));
    entries
}

fn run(contender: Contender, worker: &Worker, layout: Layout, files: usize) -> Ran {
    let folder = worker.temp_root().join(SPILLED);
    files::make(&folder, layout, files);
    let command = command(contender, worker);
    files::settle();
    let ran = timed(&command);
    assert!(!folder.exists(), "{contender} left {}", folder.display());
    ran
}

pub(crate) fn command(contender: Contender, worker: &Worker) -> Vec<String> {
    let path = format!("/tmp/{SPILLED}");
    match contender {
        Contender::Rm => inside(worker, &["rm", "-rf", &path]),
        Contender::DockerRm => words(&["docker", "exec", &worker.name, "rm", "-rf", &path]),
        Contender::Find => inside(worker, &["find", &path, "-delete"]),
        Contender::Rmz => inside(worker, &["/usr/local/bin/rmz", &path]),
        Contender::Raysweep => programs::sweep(worker),
    }
}

/// The files are gone by raysweep's own doing, all of them; gives its own time.
pub(crate) fn checked(ran: &Ran, files: usize) -> f64 {
    let report = report(ran);
    let path = format!("/tmp/{SPILLED}");
    let removed =
        report.workers.iter().flat_map(|worker| &worker.removed).find(|removed| removed.path == path);
    assert_eq!(removed.map(|removed| removed.files), Some(files as u64), "{}", ran.stdout);
    programs::own_seconds(&report)
}

fn median(entries: &[Entry], contender: Contender) -> Option<f64> {
    entries.iter().find(|entry| entry.contender == contender).map(|entry| entry.seconds.median())
}

fn rows(table: &mut Table, disk: Disk, layout: Layout, entries: &[Entry]) {
    let rm = median(entries, Contender::Rm);
    let mut row = |who: String, seconds: &Rounds| {
        let ratio = rm.map_or("–".to_owned(), |rm| times(rm, seconds.median()));
        table.row([disk.to_string(), layout.to_string(), who, seconds.to_string(), seconds.range(), ratio]);
    };
    for entry in entries {
        let is_ours = entry.contender == Contender::Raysweep;
        let who = if is_ours { "**raysweep**".to_owned() } else { format!("`{}`", entry.contender) };
        row(who, &entry.seconds);
        if is_ours {
            row("**raysweep**, beside the window".to_owned(), &entry.own_seconds);
        }
    }
}

fn glances(plan: &Plan, disk: Disk, layout: Layout, entries: &[Entry]) -> Vec<Glance> {
    let Some(ours) = entries.iter().find(|entry| entry.contender == Contender::Raysweep) else {
        return vec![];
    };
    let ours = ours.own_seconds.median();
    let what = format!("removal of {} files, {disk}, {layout}", grouped(plan.files));
    [Contender::Rm, Contender::Rmz]
        .into_iter()
        .filter_map(|peer| {
            let seconds = median(entries, peer)?;
            Some(Glance {
                what: what.clone(),
                raysweep: format!("{} s beside the window", digits(ours)),
                beside: format!("`{peer}` {} s", digits(seconds)),
                ratio: times(seconds, ours),
            })
        })
        .collect()
}
