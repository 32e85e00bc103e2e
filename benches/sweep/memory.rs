//! The most memory that any process of a sweep ever had.

use std::{
    collections::BTreeMap,
    fs,
    process::Child,
    time::{Duration, Instant},
};

use crate::{
    figures::{Glance, Section, Table, grouped},
    files::{self, SPILLED},
    plan::{Disk, Plan},
    programs::{self, finished, report, start},
    removal::checked,
    stage::Worker,
};

/// The peak is kept by the kernel and only grows: a look is late by no more than this at a process's end.
const LOOK_EVERY: Duration = Duration::from_millis(2);
const MOST_MIB: f64 = 64.0;

pub(crate) fn section(plan: &Plan) -> Section {
    let mut table = Table::new(["what is swept", "processes", "largest peak MiB", "all peaks together MiB"]);
    let mut largest = 0.0_f64;
    let mut row = |what: String, peaks: &BTreeMap<u32, f64>| {
        let most = peaks.values().copied().fold(0.0, f64::max);
        largest = largest.max(most);
        let all = peaks.values().sum::<f64>();
        println!("memory, {what}: {most:.1} MiB");
        table.row([what, peaks.len().to_string(), format!("{most:.1}"), format!("{all:.1}")]);
    };
    let worker = Worker::up(Disk::Overlay);
    for layout in &plan.layouts {
        files::make(&worker.temp_root().join(SPILLED), *layout, plan.files);
        row(format!("{} files, {layout}", grouped(plan.files)), &dead_session(&worker, plan.files));
    }
    let leftovers = (plan.files / 50).max(1);
    files::make_leftovers(&worker.temp_root(), leftovers);
    row(
        format!("{} leftovers directly under `/tmp`", grouped(leftovers)),
        &small_leftovers(&worker, leftovers),
    );
    let about = "The peak resident memory (`VmHWM`) of every process of one sweep on overlay, as the kernel keeps it, read \
         from outside until the process ends. The processes: whoever is called, the child that sweeps, one child for \
         each temp root in the worker's namespace, one that writes the log."
        .to_owned();
    let glance = Glance {
        what: format!("peak memory of a sweep over {} files", grouped(plan.files)),
        raysweep: format!("{largest:.1} MiB"),
        beside: format!("bound {MOST_MIB} MiB"),
        ratio: format!("{:.1}×", MOST_MIB / largest),
    };
    Section { title: "Memory", about, table: table.text, glance: vec![glance] }
}

fn dead_session(worker: &Worker, files: usize) -> BTreeMap<u32, f64> {
    let command = programs::sweep(worker);
    let (child, peaks, took) = watched(&command);
    checked(&finished(&command, took, &child.wait_with_output().unwrap()), files);
    peaks
}

fn small_leftovers(worker: &Worker, count: usize) -> BTreeMap<u32, f64> {
    let command = programs::sweep(worker);
    let (child, peaks, took) = watched(&command);
    let ran = finished(&command, took, &child.wait_with_output().unwrap());
    let left = fs::read_dir(worker.temp_root()).unwrap().count();
    // The session's folder is still there.
    assert_eq!(left, 1, "of {count} leftovers {} are left: {}", left - 1, ran.stdout);
    assert!(report(&ran).freed_bytes > 0, "{}", ran.stdout);
    peaks
}

/// Runs it to its end and gives the peak of each of its processes, in MiB. The report is smaller than
/// the pipe that it waits in.
fn watched(command: &[String]) -> (Child, BTreeMap<u32, f64>, Duration) {
    let begun = Instant::now();
    let mut child = start(command);
    let mut peaks = BTreeMap::new();
    while child.try_wait().unwrap().is_none() {
        // The child itself is `timeout`.
        for pid in descendants(child.id()) {
            if let Some(peak) = peak_mib(pid) {
                peaks.insert(pid, peak);
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
    assert!(!peaks.is_empty(), "no process of {command:?} was seen");
    (child, peaks, begun.elapsed())
}

/// The processes below one, whoever of its threads started them.
fn descendants(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|pids| pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>())
        .collect();
    children.into_iter().flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

fn peak_mib(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))?;
    Some(kib.parse::<f64>().ok()? / 1024.0)
}
