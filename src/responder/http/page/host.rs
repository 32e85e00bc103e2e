//! A host's page: how it stands, its incident as a story, its attempts.

use askama::Template;
use jiff::Timestamp;

use super::{
    Frame,
    attempts::AttemptRow,
    incident::IncidentShown,
    room::Part,
    row::{Bar, Row, disk_bar, left},
    words::{PATH, SENTENCE, brief, instant, lasted, temp_roots, until, words},
};
use crate::{
    domain::{incident::IncidentId, report::Disk},
    responder::journal::{HostView, HostWhole, IncidentView, IncidentWhole, LastReport},
};

/// A host's page.
#[derive(Debug, Template)]
#[template(path = "host.html")]
pub(super) struct HostPage {
    frame: Frame,
    row: Row,
    version: Option<String>,
    disks: Vec<DiskShown>,
    more_disks: Option<String>,
    reached: String,
    incident: Option<IncidentShown>,
    attempts: Vec<AttemptRow>,
    more_attempts: Option<String>,
    earlier: Vec<Earlier>,
}

#[derive(Debug)]
struct DiskShown {
    name: String,
    bar: Bar,
    roots: Option<String>,
}

#[derive(Debug)]
struct Earlier {
    id: IncidentId,
    text: String,
}

impl HostPage {
    /// With the newest incident whole, where there is one, and so many entries of each list at most.
    pub(super) fn new(
        frame: Frame,
        host: &HostWhole,
        newest: Option<&IncidentWhole>,
        now: Timestamp,
        most: usize,
    ) -> Self {
        let HostWhole { host: view, incidents, attempts } = host;
        let report = view.last_report.as_ref();
        let disks = Part::first(report.map(by_what_is_left).unwrap_or_default(), most);
        let disk = |disk: &Disk| {
            let bar = disk_bar(disk, report?, now);
            Some(DiskShown { name: brief(&disk.mount, PATH), bar, roots: temp_roots(disk) })
        };
        let (attempts, more_attempts) = AttemptRow::newest(attempts, most);
        Self {
            frame,
            row: Row::new(view, now, SENTENCE),
            version: report.map(|report| brief(&report.version, PATH)),
            more_disks: disks.more(),
            disks: disks.shown.into_iter().filter_map(disk).collect(),
            reached: reached(view, now),
            incident: newest.map(|whole| IncidentShown::new(whole, now, most)),
            attempts,
            more_attempts,
            earlier: incidents.iter().skip(1).map(Earlier::new).collect(),
        }
    }
}

/// The fullest first.
fn by_what_is_left(report: &LastReport) -> Vec<&Disk> {
    let mut disks: Vec<_> = report.disks.iter().collect();
    disks.sort_by(|a, b| left(a).total_cmp(&left(b)));
    disks
}

fn reached(host: &HostView, now: Timestamp) -> String {
    match (host.failures_in_row, host.not_before.filter(|at| *at > now)) {
        (0, None) if host.last_attempt.is_none() => "not tried yet".to_owned(),
        (times, None) => tried(times),
        (times, Some(at)) => format!("{}; left alone, next {}", tried(times), until(at, now)),
    }
}

/// After so many failures in a row.
fn tried(failures_in_row: i64) -> String {
    match failures_in_row {
        0 => "at the last attempt".to_owned(),
        1 => "not at the last attempt".to_owned(),
        times => format!("not at the last {times} attempts"),
    }
}

impl Earlier {
    fn new(incident: &IncidentView) -> Self {
        let lasted = incident.closed_at.map(|at| format!(", for {}", lasted(incident.opened_at, at)));
        let ended = incident.close_reason.as_deref().map(|why| format!(", {}", words(why)));
        let (lasted, ended) = (lasted.unwrap_or_default(), ended.unwrap_or_default());
        let text = format!("{}{lasted}, {} attempts{ended}", instant(incident.opened_at), incident.attempts);
        Self { id: incident.id, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_a_host_was_reached_is_told_in_whole_words_and_never_without_its_being_left_alone() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let soon = Timestamp::from_second(1_700_000_050).unwrap();
        for (failures_in_row, not_before, expected) in [
            (0, None, "not tried yet"),
            (1, None, "not at the last attempt"),
            (2, Some(now), "not at the last 2 attempts"),
            (0, Some(soon), "at the last attempt; left alone, next in 50 s"),
            (1, Some(soon), "not at the last attempt; left alone, next in 50 s"),
            (7, Some(soon), "not at the last 7 attempts; left alone, next in 50 s"),
        ] {
            let host = HostView {
                name: "ray-80".to_owned(),
                lane: "new".to_owned(),
                failures_in_row,
                not_before,
                incident: None,
                running: None,
                last_attempt: None,
                next_attempt: None,
                last_report: None,
            };
            assert_eq!(reached(&host, now), expected);
        }
    }
}
