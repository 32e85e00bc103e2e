//! How the responder itself stands, and the configuration that it runs with.

use askama::Template;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{
    Frame,
    attempt::Fact,
    words::{ago, instant, lasted, words},
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
    pub(super) fn new(frame: Frame, known: Known, ignored: &[IgnoredView], now: Timestamp) -> Self {
        let facts = facts(&known, now);
        let ignored = ignored.iter().map(|one| IgnoredShown::new(one, now)).collect();
        Self { frame, reasons: known.reasons, facts, ignored }
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
            name: ignored.name.clone(),
            reason: words(&ignored.reason),
            labels: if cut.len() < labels.len() { cut + "…" } else { labels },
            seen: ago(ignored.last_seen, now),
            times: ignored.times,
        }
    }
}

/// The configuration's page.
#[derive(Debug, Template)]
#[template(path = "config.html")]
pub(super) struct ConfigPage {
    pub(super) frame: Frame,
    pub(super) text: String,
}

/// A configuration as it may be shown to whoever is let in. What is secret in it stands in files; what an
/// address holds before its `@` is the one exception.
pub fn shown(config: &impl Serialize) -> String {
    let Ok(mut config) = serde_json::to_value(config) else { return String::new() };
    mask(&mut config);
    serde_json::to_string_pretty(&config).unwrap_or_default()
}

fn mask(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(masked) = without_user(text) {
                *text = masked;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(mask),
        Value::Object(values) => values.values_mut().for_each(mask),
        _ => {}
    }
}

/// `http://jo:secret@host/path` → `http://***@host/path`.
fn without_user(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (_, host) = authority.rsplit_once('@')?;
    Some(format!("{scheme}://***@{host}{}", &rest[authority.len()..]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_address_holds_before_its_at_is_masked_wherever_it_stands() {
        let config = json!({
            "alertmanager": { "url": "https://jo:se@cret@am.example:9093/x?y=a@b" },
            "hosts": [{ "address": "10.0.0.80" }, "http://token@h"],
            "mail": "jo@example.org",
        });
        let text = shown(&config);
        for (expected, is_there) in [
            ("https://***@am.example:9093/x?y=a@b", true),
            ("http://***@h", true),
            ("10.0.0.80", true),
            ("jo@example.org", true),
            ("cret", false),
            ("token", false),
        ] {
            assert_eq!(text.contains(expected), is_there, "{expected}: {text}");
        }
    }
}
