//! The configuration that the responder runs with.

use askama::Template;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Frame;

/// What of the configuration stands on one page, once it is escaped: an inventory may be long.
const PART_BYTES: usize = 80_000;

/// What an address may say: which part, from 1.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    pub(super) part: Option<usize>,
}

/// The configuration's page.
#[derive(Debug, Template)]
#[template(path = "config.html")]
pub(super) struct ConfigPage {
    frame: Frame,
    text: String,
    part: usize,
    of: usize,
    back: Option<usize>,
    on: Option<usize>,
}

impl ConfigPage {
    pub(super) fn new(frame: Frame, text: &str, wish: &Wish) -> Self {
        let parts = parts(text, PART_BYTES);
        let of = parts.len().max(1);
        let part = wish.part.unwrap_or(1).clamp(1, of);
        Self {
            frame,
            text: parts.get(part - 1).copied().unwrap_or_default().to_owned(),
            part,
            of,
            back: (part > 1).then(|| part - 1),
            on: (part < of).then_some(part + 1),
        }
    }
}

/// Whole lines together, and of a line that is too long for one part as much as it takes.
fn parts(mut text: &str, most: usize) -> Vec<&str> {
    let mut parts = vec![];
    while !text.is_empty() {
        let fits = start(text, most);
        let end = fits.rfind('\n').filter(|_| fits.len() < text.len()).map_or(fits.len(), |at| at + 1);
        let (part, rest) = text.split_at(end);
        parts.push(part);
        text = rest;
    }
    parts
}

/// As much of a text as weighs no more once it is escaped.
fn start(text: &str, most: usize) -> &str {
    let mut weight = 0;
    let too_much = text.char_indices().find(|(_, c)| {
        weight += if matches!(c, '<' | '>' | '&' | '"' | '\'') { "&#34;".len() } else { c.len_utf8() };
        weight > most
    });
    too_much.map_or(text, |(at, _)| &text[..at])
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

    #[test]
    fn a_long_text_stands_in_parts_of_whole_lines_and_nothing_of_it_is_lost() {
        assert_eq!(parts("", 10), [""; 0]);
        assert_eq!(parts("a\nb\n", 10), ["a\nb\n"]);
        assert_eq!(parts("aaaa\nbbbb\ncc", 10), ["aaaa\nbbbb\n", "cc"]);
        assert_eq!(parts("aaaa\nbbbb\ncc", 8), ["aaaa\n", "bbbb\ncc"]);
        assert_eq!(parts("\"a\"\nb", 12), ["\"a\"\n", "b"]);
        assert_eq!(parts("ääääää", 5), ["ää", "ää", "ää"]);
        for text in ["\"".repeat(100), "\n".repeat(100), "ä<\n".repeat(100)] {
            assert_eq!(parts(&text, 7).concat(), text);
        }
    }
}
