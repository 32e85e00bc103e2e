//! Hostile text, cut to what may be stored and shown.

use std::collections::BTreeMap;

use crate::domain::alert::PLACE_LABELS;

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

/// What every alert of an incident has, and what is known of the incident already.
const KNOWN: [&str; 3] = ["alertname", "host", "severity"];
/// The word for what was left out.
const MORE: &str = "…";
/// So much is stored for each alert of an incident: there may be a thousand.
const ABOUT_BYTES: usize = 1024;
/// Room for the word about what was left out.
const MORE_BYTES: usize = 32;

/// What tells an alert from the others of its incident: its labels but for what all of them have, those first
/// that name a worker or a volume, as a JSON object of no more than a KiB. Of what came from here all is taken
/// again.
pub fn about(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_first = |key: &str| PLACE_LABELS.contains(&key);
    let first = PLACE_LABELS.into_iter().filter_map(|key| labels.get_key_value(key));
    let others = labels.iter().filter(|(key, _)| !is_first(key) && !KNOWN.contains(&key.as_str()));
    let mut kept = BTreeMap::new();
    let mut room = ABOUT_BYTES - MORE_BYTES - 1;
    let mut left_out = 0;
    for (key, value) in first.chain(others) {
        let (key, value) = (cut(key, VALUE_BYTES / 4), cut(value, VALUE_BYTES));
        let takes = written(&key) + written(&value);
        // For what was left out before there is room of its own.
        let (is_more, fits) = (key == MORE, takes <= if key == MORE { MORE_BYTES } else { room });
        if fits {
            room -= if is_more { 0 } else { takes };
            kept.insert(key, value);
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        kept.insert(MORE.to_owned(), format!("{left_out} more"));
    }
    kept
}

/// A text without control characters of at most so many bytes; of a longer one the begin.
fn cut(text: &str, most_bytes: usize) -> String {
    // Of what is longer nothing more is looked at: it may be a thousand times as long.
    let begin = &text[..text.floor_char_boundary(most_bytes + 1)];
    let shown = begin.replace(char::is_control, "\u{fffd}");
    if begin.len() == text.len() && shown.len() <= most_bytes {
        return shown;
    }
    let end = shown.floor_char_boundary(most_bytes - MORE.len());
    format!("{}{MORE}", &shown[..end])
}

/// How many bytes a text takes in a JSON object, with its quotes and what stands behind it.
fn written(text: &str) -> usize {
    text.len() + text.matches(['"', '\\']).count() + 3
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

    fn of(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_alert_is_about_what_its_labels_say_beside_its_name_and_its_host() {
        let labels = of(&[
            ("alertname", "RayWorkerLargeTmpDirectory"),
            ("host", "ray-80"),
            ("severity", "warning"),
            ("worker", "ray-worker-1"),
            ("team", "ml"),
        ]);
        assert_eq!(about(&labels), of(&[("team", "ml"), ("worker", "ray-worker-1")]));
    }

    #[test]
    fn whatever_labels_come_what_an_alert_is_about_stays_small_and_names_worker_and_volume() {
        for hostile in ["x", "\"", "\\", "\u{1}", "ä", "\u{1f4a3}", "…"] {
            let value = hostile.repeat(4096);
            let mut labels: BTreeMap<_, _> =
                (0..500).map(|n| (format!("a{n}{value:.100}"), value.clone())).collect();
            let known =
                of(&[("worker", "w-1"), ("device", "/dev/sda1"), ("mountpoint", "/data"), ("…", &value)]);
            labels.extend(known);
            let about = about(&labels);
            let stored = serde_json::to_string(&about).unwrap();
            assert!(stored.len() <= ABOUT_BYTES, "{hostile:?}: {}", stored.len());
            assert!(stored.len() > ABOUT_BYTES / 2, "the room is used: {stored}");
            let [worker, device, mountpoint] =
                ["worker", "device", "mountpoint"].map(|key| about[key].as_str());
            assert_eq!((worker, device, mountpoint), ("w-1", "/dev/sda1", "/data"));
            let left_out = labels.len() - (about.len() - 1);
            assert_eq!(about["…"], format!("{left_out} more"));
            assert_eq!(super::about(&about), about, "read again");
        }
    }
}
