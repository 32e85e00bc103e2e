//! How the page says things: times as distances, sizes in SI units, words instead of colours alone.

use bytesize::ByteSize;
use jiff::Timestamp;

use crate::domain::report::Disk;

/// How something stands, for the eye; its word says the same.
pub(super) type Tone = &'static str;

pub(super) const GOOD: Tone = "good";
pub(super) const WATCH: Tone = "watch";
pub(super) const BAD: Tone = "bad";
pub(super) const PLAIN: Tone = "";

/// A word of the journal's as a person reads it: `nothing_to_free` is `nothing to free`. A sentence is
/// somebody's own, and may hold a path.
pub(super) fn words(word: &str) -> String {
    if word.contains(' ') { word.to_owned() } else { word.replace('_', " ") }
}

/// So much of a path or a name is shown, and of a sentence.
pub(super) const PATH: usize = 160;
pub(super) const SENTENCE: usize = 300;

/// A text of so many characters at most; of a longer one the begin and, since that tells as much of a path, the
/// end.
pub(super) fn brief(text: &str, most: usize) -> String {
    if text.len() <= most || text.chars().count() <= most {
        return text.to_owned();
    }
    let tail = most / 3;
    let head = most.saturating_sub(tail + 1);
    let begin = text.char_indices().nth(head).map_or(text, |(at, _)| &text[..at]);
    let end = tail.checked_sub(1).and_then(|before| text.char_indices().rev().nth(before));
    format!("{begin}…{}", end.map_or("", |(at, _)| &text[at..]))
}

/// Which disk it is, where the host tells: a device number is known by heart to nobody.
pub(super) fn temp_roots(disk: &Disk) -> Option<String> {
    disk.some_roots().map(|roots| brief(&roots, SENTENCE))
}

/// How an outcome stands.
pub(super) fn tone_of(outcome: &str) -> Tone {
    match outcome {
        "freed" => GOOD,
        "active" | "held" => WATCH,
        "refused" | "unreachable" | "unknown" | "failed" => BAD,
        _ => PLAIN,
    }
}

/// To the second, in UTC.
pub(super) fn instant(at: Timestamp) -> String {
    at.strftime("%F %T").to_string()
}

/// `12 min ago`; what a clock ahead of ours says is now.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", lasted(at, now))
}

/// `in 12 min`, or `now`.
pub(super) fn until(at: Timestamp, now: Timestamp) -> String {
    if at <= now { "now".to_owned() } else { format!("in {}", lasted(now, at)) }
}

/// From one instant to another, in two units at most.
pub(super) fn lasted(from: Timestamp, to: Timestamp) -> String {
    let secs = to.duration_since(from).as_secs().max(0);
    let (minutes, hours, days) = (secs / 60, secs / 3600, secs / 86400);
    match secs {
        0..100 => format!("{secs} s"),
        100..6000 => format!("{minutes} min"),
        6000..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// SI units, as sizes are written in the settings.
pub(super) fn size(bytes: u64) -> String {
    ByteSize(bytes).display().si().to_string()
}

/// A size that the journal keeps as a signed number.
pub(super) fn stored_size(bytes: i64) -> String {
    size(u64::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_keeps_its_begin_and_its_end() {
        assert_eq!(brief("/tmp/a", 6), "/tmp/a");
        assert_eq!(brief("äöüäöü", 6), "äöüäöü");
        assert_eq!(brief("0123456789", 9), "01234…789");
        assert_eq!(brief("äöüäöüäöüä", 9), "äöüäö…öüä");
        for most in 1..20 {
            assert_eq!(brief(&"ä".repeat(1000), most).chars().count(), most);
        }
    }

    #[test]
    fn a_distance_is_told_in_the_units_that_matter() {
        let from = Timestamp::from_second(1_700_000_000).unwrap();
        for (secs, expected) in [
            (-5, "0 s"),
            (0, "0 s"),
            (99, "99 s"),
            (100, "1 min"),
            (5999, "99 min"),
            (6000, "1 h 40 min"),
            (172_799, "47 h 59 min"),
            (172_800, "2 d 0 h"),
            (900_000, "10 d 10 h"),
        ] {
            let to = Timestamp::from_second(1_700_000_000 + secs).unwrap();
            assert_eq!(lasted(from, to), expected, "{secs}");
        }
        assert_eq!(until(from, from), "now");
    }
}
