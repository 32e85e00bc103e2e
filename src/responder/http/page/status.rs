//! How the responder itself stands.

use askama::Template;
use jiff::Timestamp;

use super::{
    Frame,
    attempt::Fact,
    room::Part,
    words::{PATH, SENTENCE, ago, brief, instant, lasted, words},
};
use crate::responder::journal::IgnoredView;

/// So much of an ignored alert's labels is shown.
const LABELS_MOST: usize = 400;

/// The status page.
#[derive(Debug, Template)]
#[template(path = "status.html")]
pub(super) struct StatusPage {
    frame: Frame,
    reasons: Vec<String>,
    facts: Vec<Fact>,
    ignored: Vec<IgnoredShown>,
    more_ignored: Option<String>,
}

/// What there is to know of a responder.
#[derive(Debug)]
pub(super) struct Known {
    /// Why no notification is taken in.
    pub(super) reasons: Vec<String>,
    pub(super) started_at: Timestamp,
    pub(super) config_read_at: Timestamp,
    /// Whether the last reload was taken.
    pub(super) is_reloaded: bool,
    pub(super) address: String,
    pub(super) hosts: usize,
    pub(super) running: i64,
    pub(super) journal_errors: u64,
}

#[derive(Debug)]
struct IgnoredShown {
    name: String,
    reason: String,
    labels: String,
    seen: String,
    times: i64,
}

impl StatusPage {
    /// With so many entries of each list at most.
    pub(super) fn new(
        frame: Frame,
        known: &Known,
        ignored: &[IgnoredView],
        now: Timestamp,
        most: usize,
    ) -> Self {
        let part = Part::first(ignored.iter().collect(), most);
        Self {
            frame,
            reasons: known.reasons.iter().map(|reason| brief(reason, SENTENCE)).collect(),
            facts: facts(known, now),
            more_ignored: part.more(),
            ignored: part.shown.into_iter().map(|one| IgnoredShown::new(one, now)).collect(),
        }
    }
}

fn facts(known: &Known, now: Timestamp) -> Vec<Fact> {
    let read = format!("{} UTC, {}", instant(known.config_read_at), ago(known.config_read_at, now));
    let reload = if known.is_reloaded {
        "taken".to_owned()
    } else {
        "refused, and the configuration of before is used: the log says why, raysweep check-config as well"
            .to_owned()
    };
    let journal = match known.journal_errors {
        0 => "no error since the start".to_owned(),
        1 => "1 error since the start; the log says which".to_owned(),
        errors => format!("{errors} errors since the start; the log says which"),
    };
    [
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
        (
            "Running",
            format!("for {}, since {} UTC", lasted(known.started_at, now), instant(known.started_at)),
        ),
        ("Listens at", known.address.clone()),
        ("Inventory", format!("{} hosts", known.hosts)),
        ("Attempts under way", known.running.to_string()),
        ("Journal", journal),
        ("Configuration read", read),
        ("Last reload", reload),
    ]
    .into_iter()
    .map(|(name, text)| Fact { name, text })
    .collect()
}

impl IgnoredShown {
    fn new(ignored: &IgnoredView, now: Timestamp) -> Self {
        let labels = ignored.labels.to_string();
        let cut: String = labels.chars().take(LABELS_MOST).collect();
        Self {
            name: brief(&ignored.name, PATH),
            reason: words(&ignored.reason),
            labels: if cut.len() < labels.len() { cut + "…" } else { labels },
            seen: ago(ignored.last_seen, now),
            times: ignored.times,
        }
    }
}
