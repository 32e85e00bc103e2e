//! Hostile text, cut to what may be stored and shown.

use std::collections::BTreeMap;

const LABELS: usize = 64;
const NAME_BYTES: usize = 128;
const VALUE_BYTES: usize = 256;

/// A text of at most so many bytes, and a word about what was cut off.
pub fn text(text: &str, most_bytes: usize) -> String {
    if text.len() <= most_bytes {
        return text.to_owned();
    }
    let end = (0..=most_bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}… ({} bytes more)", &text[..end], text.len() - end)
}

/// An alert's name, short enough for a log line.
pub fn name(name: &str) -> String {
    text(name, NAME_BYTES)
}

/// Labels as a JSON object of at most some 60 KiB, whatever came: a quote takes two bytes in it, and a
/// control character, which would take six, is replaced.
pub fn labels(labels: &BTreeMap<String, String>) -> String {
    let shown = |text: &str| text.replace(char::is_control, "\u{fffd}");
    let kept = labels
        .iter()
        .take(LABELS)
        .map(|(key, value)| (name(&shown(key)), text(&shown(value), VALUE_BYTES).into()));
    let mut object: serde_json::Map<_, _> = kept.collect();
    if labels.len() > LABELS {
        object.insert("…".to_owned(), format!("{} labels more", labels.len() - LABELS).into());
    }
    serde_json::Value::Object(object).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_says_so() {
        assert_eq!(text("short", 5), "short");
        assert_eq!(text("aäöü", 4), "aä… (4 bytes more)");
        assert_eq!(text("ä", 1), "… (2 bytes more)");
    }

    #[test]
    fn labels_of_any_size_stay_small() {
        let many = (0..10_000).map(|n| (format!("{n}{}", "k".repeat(9000)), "v".repeat(64 * 1024))).collect();
        let stored = labels(&many);
        assert!(stored.len() < 32 * 1024, "{}", stored.len());
        assert!(stored.contains("9936 labels more"));
        for hostile in ['"', '\u{1}', '\n', 'ä'] {
            let value = hostile.to_string().repeat(64 * 1024);
            let many = (0..100).map(|n| (format!("{n}{value}"), value.clone())).collect();
            let stored = labels(&many);
            assert!(stored.len() < 64 * 1024, "{hostile:?}: {}", stored.len());
        }
    }
}
