//! How it went, as a table for people or as JSON for programs.

use std::{collections::BTreeMap, fmt::Write};

use crate::{
    cli::{
        exit::Exit,
        failed,
        text::{self, plain, size},
    },
    domain::{
        evidence::EvidenceKind,
        report::{Kept, Report, Verdict, WorkerReport},
    },
    fleet::run::Row,
};

/// So many reasons for what was kept are shown in the table.
const REASONS: usize = 3;
/// So many things that were kept, signs of work and errors are shown of a host below it.
const SHOWN: usize = 3;

pub(super) fn print(rows: &[Row], json: bool) -> Exit {
    if json {
        return match lines(rows) {
            Ok(lines) => text::say(&lines),
            Err(error) => failed(Exit::Failure, &error),
        };
    }
    let width = text::terminal_width().unwrap_or(u16::MAX);
    text::say(&(table(rows, width) + &total(rows) + &below(rows)))
}

/// One line of JSON for each.
fn lines(rows: &[Row]) -> serde_json::Result<String> {
    rows.iter().try_fold(String::new(), |text, row| Ok(text + &serde_json::to_string(row)? + "\n"))
}

fn table(rows: &[Row], width: u16) -> String {
    let cells = rows.iter().map(|row| {
        let report = row.report.as_ref();
        vec![
            plain(&row.host),
            row.end.as_str().to_owned(),
            freed(row),
            row.secs.map_or_else(|| "-".to_owned(), |secs| format!("{secs:.1} s")),
            report.map_or_else(String::new, verdicts),
            report.map_or_else(String::new, kept),
        ]
    });
    text::table(&["host", "outcome", "freed", "time", "verdicts", "kept"], cells, &[2, 3], width)
}

fn freed(row: &Row) -> String {
    match (row.freed_bytes(), row.would_free_bytes()) {
        (0, 0) => "-".to_owned(),
        (0, would) => format!("would {}", size(would)),
        (freed, _) => size(freed),
    }
}

/// `3 cleaned, 1 active`.
fn verdicts(report: &Report) -> String {
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for worker in &report.workers {
        *counts.entry(worker.verdict).or_default() += 1;
    }
    let counts: Vec<_> =
        counts.iter().map(|(verdict, count)| format!("{count} {}", verdict.as_str())).collect();
    counts.join(", ")
}

/// `12 GB in_use, 1 GB too_young`: the largest first.
fn kept(report: &Report) -> String {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for Kept { why, bytes, .. } in report.workers.iter().flat_map(|worker| &worker.kept) {
        let sum = sums.entry(why.as_str()).or_default();
        *sum = sum.saturating_add(*bytes);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(why, bytes)| (u64::MAX - bytes, *why));
    let more = sums.len().saturating_sub(REASONS);
    let shown = sums.iter().take(REASONS).map(|(why, bytes)| format!("{} {why}", size(*bytes)));
    let more = (more > 0).then(|| format!("{more} more"));
    shown.chain(more).collect::<Vec<_>>().join(", ")
}

fn total(rows: &[Row]) -> String {
    let sum = |of: fn(&Row) -> u64| rows.iter().map(of).fold(0, u64::saturating_add);
    let (freed, would) = (sum(Row::freed_bytes), sum(Row::would_free_bytes));
    let would = if would == 0 { String::new() } else { format!(", {} would be", size(would)) };
    format!("\n{} freed on {} hosts{would}\n", size(freed), rows.len())
}

/// Whoever asked first is told of in the attempt; whoever was joined to it should know that it is not his alone.
const JOINED: &str = "an attempt waited there already, and this wish was joined to it";

/// What the table has no room for: why it ended so, what was kept and for what reason, what went wrong.
fn below(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let host = plain(&row.host);
        let reason = row.reason.iter().map(|reason| plain(reason));
        let told = row.report.iter().flat_map(report_lines);
        let joined = row.joined.then(|| JOINED.to_owned());
        for line in joined.into_iter().chain(reason).chain(told) {
            let _ = write!(text, "\n{host}: {line}");
        }
    }
    if text.is_empty() { text } else { text + "\n" }
}

/// In the report's own words, the largest first.
fn report_lines(report: &Report) -> Vec<String> {
    let workers = || report.workers.iter();
    let evidence = workers().flat_map(|worker| worker.evidence.iter().map(move |sign| (worker, sign)));
    let signs = evidence.filter(|(_, sign)| sign.kind != EvidenceKind::NoJob).map(|(worker, sign)| {
        let (kind, pid, detail) = (sign.kind.as_str(), of_process(sign.pid), plain(&sign.detail));
        format!("{}: because  {kind}{pid}: {detail}", plain(&worker.name))
    });
    let mut all: Vec<_> =
        workers().flat_map(|worker| worker.kept.iter().map(move |kept| (worker, kept))).collect();
    all.sort_by_key(|(_, kept)| u64::MAX - kept.bytes);
    let kept = all.iter().map(|(worker, kept)| kept_line(worker, kept));
    let errors = workers().flat_map(|worker| {
        worker.errors.iter().map(|error| format!("{}: error    {}", plain(&worker.name), plain(error)))
    });
    let pruned = report.prune.iter().flat_map(|prune| &prune.errors);
    let pruned = pruned.map(|error| format!("prune: error    {}", plain(error)));
    [bounded(signs, "signs"), bounded(kept, "things kept"), bounded(errors.chain(pruned), "errors")].concat()
}

fn kept_line(worker: &WorkerReport, kept: &Kept) -> String {
    let Kept { class, path, bytes, why, detail, pid } = kept;
    format!(
        "{}: kept     {} ({}, {}): {}{}: {}",
        plain(&worker.name),
        plain(path),
        class.as_str(),
        size(*bytes),
        why.as_str(),
        of_process(*pid),
        plain(detail)
    )
}

fn bounded(lines: impl Iterator<Item = String>, what: &str) -> Vec<String> {
    let mut lines: Vec<_> = lines.collect();
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    if more > 0 {
        lines.push(format!("{more} more {what}: --json has them"));
    }
    lines
}

fn of_process(pid: Option<i32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
