//! A host's page: how it stands, its incident as a story, its attempts.

use askama::Template;
use jiff::Timestamp;

use super::{
    Frame,
    attempts::AttemptRow,
    incident::IncidentShown,
    row::{Bar, Row, disk_bar},
    words::{instant, lasted, until, words},
};
use crate::{
    domain::incident::IncidentId,
    responder::journal::{HostView, HostWhole, IncidentView, IncidentWhole},
};

/// A host's page.
#[derive(Debug, Template)]
#[template(path = "host.html")]
pub(super) struct HostPage {
    frame: Frame,
    row: Row,
    version: Option<String>,
    disks: Vec<DiskShown>,
    reached: String,
    incident: Option<IncidentShown>,
    attempts: Vec<AttemptRow>,
    earlier: Vec<Earlier>,
}

#[derive(Debug)]
struct DiskShown {
    name: String,
    bar: Bar,
}

#[derive(Debug)]
struct Earlier {
    id: IncidentId,
    text: String,
}

impl HostPage {
    /// With the newest incident whole, where there is one.
    pub(super) fn new(
        frame: Frame,
        host: &HostWhole,
        newest: Option<&IncidentWhole>,
        now: Timestamp,
    ) -> Self {
        let HostWhole { host: view, incidents, attempts } = host;
        let report = view.last_report.as_ref();
        let disks = report.map(|report| {
            let each = report.disks.iter();
            each.map(|disk| DiskShown { name: disk.mount.clone(), bar: disk_bar(disk, report, now) })
                .collect()
        });
        Self {
            frame,
            row: Row::new(view, now),
            version: report.map(|report| report.version.clone()),
            disks: disks.unwrap_or_default(),
            reached: reached(view, now),
            incident: newest.map(|whole| IncidentShown::new(whole, now)),
            attempts: attempts.iter().map(AttemptRow::new).collect(),
            earlier: incidents.iter().skip(1).map(Earlier::new).collect(),
        }
    }
}

fn reached(host: &HostView, now: Timestamp) -> String {
    match (host.failures_in_row, host.not_before.filter(|at| *at > now)) {
        (0, _) if host.last_attempt.is_none() => "not tried yet".to_owned(),
        (0, _) => "at the last attempt".to_owned(),
        (1, None) => "not at the last attempt".to_owned(),
        (times, None) => format!("not at the last {times} attempts"),
        (times, Some(at)) => {
            format!("not at the last {times} attempts; left alone, next {}", until(at, now))
        }
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
