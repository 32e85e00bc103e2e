//! A report for people: which worker, which verdict, and why.
//!
//! Names and paths come from inside a worker, which may call a file anything: what could drive a
//! terminal is escaped.

use std::{
    fmt::Write,
    io::{self, IsTerminal},
};

use super::text::{self, plain, size};
use crate::domain::{
    attempt::Mode,
    evidence::Evidence,
    report::{Kept, PruneReport, Removed, Report, Verdict, WorkerReport},
};

/// As standard output takes it: a table for a person at a terminal, plain lines for a file.
pub(super) fn for_stdout(report: &Report) -> String {
    if io::stdout().is_terminal() { for_terminal(report, text::terminal_width()) } else { for_file(report) }
}

/// A summary, a table of the workers, and below it the reasons for each.
pub(super) fn for_terminal(report: &Report, width: Option<u16>) -> String {
    let mut text = format!("{}\n", summary(report));
    if !report.workers.is_empty() {
        text.push_str(&workers(report, width.unwrap_or(text::WIDTH)));
    }
    for worker in &report.workers {
        let _ = writeln!(text, "\n{}", plain(&worker.name));
        for reason in reasons(worker) {
            let _ = writeln!(text, "  {reason}");
        }
    }
    if let Some(prune) = &report.prune {
        let _ = writeln!(text, "\n{}", pruned(prune));
    }
    text
}

/// The same as plain lines, each with its worker's name: for files, mails and grep.
pub(super) fn for_file(report: &Report) -> String {
    let mut text = format!("{}\n", summary(report));
    for worker in &report.workers {
        let name = plain(&worker.name);
        let state = worker.state.map_or("-", |state| state.as_str());
        let (before, after) = (size(worker.tmp_before_bytes), size(worker.tmp_after_bytes));
        let _ = writeln!(
            text,
            "{name}: {verdict}, state {state}, runtime {runtime}, {before} before, {after} after, {freed} freed",
            verdict = worker.verdict.as_str(),
            runtime = plain(&worker.runtime),
            freed = size(worker.freed_bytes),
        );
        for reason in reasons(worker) {
            let _ = writeln!(text, "{name}: {reason}");
        }
    }
    if let Some(prune) = &report.prune {
        let _ = writeln!(text, "{}", pruned(prune));
    }
    text
}

fn summary(report: &Report) -> String {
    let mut text = format!(
        "{host}: {outcome}, {freed} {verb} in {seconds:.1} s ({mode}{dry_run}, for {trigger}, attempt {attempt})",
        host = plain(&report.host),
        outcome = report.outcome.as_str(),
        freed = size(report.freed_bytes),
        verb = if changes_nothing(report) { "would be freed" } else { "freed" },
        seconds = report.finished_at.duration_since(report.started_at).as_secs_f64(),
        mode = report.mode.as_str(),
        dry_run = if report.dry_run { ", dry run" } else { "" },
        trigger = report.trigger.as_str(),
        attempt = report.attempt,
    );
    if let Some(reason) = &report.reason {
        let _ = write!(text, "\n{}", plain(reason));
    }
    for disk in &report.disks {
        let _ = write!(
            text,
            "\ndisk {}{}: {} of {} available before, {} after",
            plain(&disk.mount),
            disk.some_roots().map(|roots| format!(" ({})", plain(&roots))).unwrap_or_default(),
            size(disk.avail_before_bytes),
            size(disk.size_bytes),
            size(disk.avail_after_bytes),
        );
    }
    text
}

fn changes_nothing(report: &Report) -> bool {
    report.dry_run || report.mode == Mode::Observe
}

fn workers(report: &Report, width: u16) -> String {
    let rows = report.workers.iter().map(|worker| {
        vec![
            plain(&worker.name),
            plain(&worker.runtime),
            worker.state.map_or("-", |state| state.as_str()).to_owned(),
            worker.verdict.as_str().to_owned(),
            format!("{} → {}", size(worker.tmp_before_bytes), size(worker.tmp_after_bytes)),
            size(worker.freed_bytes),
        ]
    });
    let header = ["worker", "runtime", "state", "verdict", "before → after", "freed"];
    text::table(&header, rows, &[4, 5], width)
}

/// Why a worker's verdict is what it is: what was seen, what went, what stayed, what failed.
fn reasons(worker: &WorkerReport) -> impl Iterator<Item = String> {
    let note = worker.note.iter().map(|note| format!("note     {}", plain(note)));
    let evidence = worker.evidence.iter().map(|Evidence { kind, pid, detail }| {
        format!("because  {}{}: {}", kind.as_str(), of_process(*pid), plain(detail))
    });
    let removed = worker.removed.iter().map(|Removed { class, path, bytes, files }| {
        let verb = if worker.verdict == Verdict::WouldClean { "would go" } else { "removed " };
        format!("{verb} {} ({}, {}, {files} files)", plain(path), class.as_str(), size(*bytes))
    });
    let kept = worker.kept.iter().map(|Kept { class, path, bytes, why, detail, pid }| {
        let (class, why) = (class.as_str(), why.as_str());
        let (pid, detail) = (of_process(*pid), plain(detail));
        format!("kept     {} ({class}, {}): {why}{pid}: {detail}", plain(path), size(*bytes))
    });
    let errors = worker.errors.iter().map(|error| format!("error    {}", plain(error)));
    let cut = (worker.cut > 0).then(|| format!("{} more entries are left out", worker.cut));
    note.chain(evidence).chain(removed).chain(kept).chain(errors).chain(cut)
}

fn pruned(prune: &PruneReport) -> String {
    let PruneReport { mode, freed_bytes, removed, busy, errors } = prune;
    let mut text = format!("prune ({}): {} freed, {removed} removed", plain(mode), size(*freed_bytes));
    for other in busy {
        let _ = write!(text, "\nprune: busy: {}", plain(other));
    }
    for error in errors {
        let _ = write!(text, "\nprune: error: {}", plain(error));
    }
    text
}

fn of_process(pid: Option<i32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
