//! The machine, named, so that its figures can be judged.

use std::{fs, path::Path};

use crate::world::{self, run};

/// A line for each thing that makes a difference; `beside` says what else does.
pub(crate) fn named(beside: &str) -> String {
    let repository = world::repository("").display().to_string();
    let git = |arguments: &[&str]| {
        let mut words = vec!["git", "-c", "safe.directory=*", "-C", &repository];
        words.extend(arguments);
        said(&words)
    };
    let changed =
        if git(&["status", "--porcelain", "--untracked-files=no"]).is_empty() { "" } else { ", changed" };
    format!(
        "- {date}, raysweep {version}, commit {commit}{changed}\n\
         - {cpu}, {cores} cores, {memory} of memory, load average {load} before\n\
         - Linux {kernel}; {beside}",
        date = jiff::Timestamp::now().strftime("%F"),
        version = env!("CARGO_PKG_VERSION"),
        commit = git(&["rev-parse", "--short", "HEAD"]),
        cpu = field("/proc/cpuinfo", "model name"),
        cores = std::thread::available_parallelism().map_or(0, usize::from),
        memory = gibibytes(&field("/proc/meminfo", "MemTotal")),
        load = fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or_default(),
        kernel = rustix::system::uname().release().to_string_lossy(),
    )
}

/// What a command says.
pub(crate) fn said(words: &[&str]) -> String {
    run(words, "").unwrap_or_else(|_| "unknown".to_owned())
}

/// The kind of file system that a folder is on.
pub(crate) fn file_system(folder: &Path) -> String {
    said(&["stat", "--file-system", "--format=%T", &folder.display().to_string()])
}

/// `NAME : value` of a file in /proc.
fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    line.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}

fn gibibytes(kib: &str) -> String {
    let kib: f64 = kib.trim_end_matches(" kB").parse().unwrap_or(f64::NAN);
    format!("{:.0} GiB", kib / 1024.0 / 1024.0)
}
