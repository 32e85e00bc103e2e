//! Serde's words for what is wrong, turned into what would be right.

use std::fmt::Write;

use super::Problem;

/// How many edits a wrong key may be away from a known one to be taken for a slip.
const SLIP: usize = 2;

/// What a YAML parser complains of, with the place where it stopped.
pub(super) fn syntax(error: &config::ConfigError) -> String {
    match error {
        config::ConfigError::FileParse { cause, .. } => match cause.to_string() {
            other if other.ends_with("expected a map") => {
                "it must hold keys with values, such as `ssh:`".to_owned()
            }
            said => said,
        },
        other => other.to_string(),
    }
}

/// What has the wrong name or the wrong type.
pub(super) fn shape(path: &str, error: &serde_json::Error) -> Problem {
    let said = error.to_string();
    let path = if path == "." { "" } else { path };
    if let Some((key, known)) = unknown(&said, "unknown field ") {
        // The path ends in the unknown key itself; it is the section that has the known ones.
        let section = path.strip_suffix(key).unwrap_or(path).trim_end_matches('.');
        return Problem { key: section.to_owned(), message: unknown_key(key, &known) };
    }
    let message = if let Some((value, known)) = unknown(&said, "unknown variant ") {
        format!("{value:?} is not one of {}", known.join(", "))
    } else if let Some(rest) = said.strip_prefix("missing field ") {
        format!("the key {rest} is missing")
    } else {
        match said.as_str() {
            "invalid socket address syntax" => {
                "write an IP address and a port, such as 127.0.0.1:9095".to_owned()
            }
            _ => mistyped(&said).unwrap_or(said),
        }
    };
    Problem { key: path.to_owned(), message }
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    let mut message = format!("unknown key `{key}`; known keys: {}", known.join(", "));
    let nearest = known.iter().map(|known| (distance(key, known), *known)).min();
    if let Some((_, nearest)) = nearest.filter(|(distance, _)| *distance <= SLIP) {
        let _ = write!(message, "; did you mean `{nearest}`?");
    }
    message
}

/// ``unknown field `x`, expected one of `a`, `b` `` → `x` and [`a`, `b`].
fn unknown<'t>(said: &'t str, prefix: &str) -> Option<(&'t str, Vec<&'t str>)> {
    let (name, expected) = said.strip_prefix(prefix)?.strip_prefix('`')?.split_once('`')?;
    Some((name, expected.split('`').skip(1).step_by(2).collect()))
}

/// ``invalid type: integer `5`, expected a string`` → what is there, and what to write.
fn mistyped(said: &str) -> Option<String> {
    let (found, expected) = said
        .strip_prefix("invalid type: ")
        .or_else(|| said.strip_prefix("invalid value: "))?
        .split_once(", expected ")?;
    Some(format!("found {}, wanted {}", found_in_words(found), wanted_in_words(expected)))
}

fn found_in_words(found: &str) -> String {
    let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
    match kind {
        "string" => format!("the text {value}"),
        "integer" => format!("the number {}", value.trim_matches('`')),
        "floating" => format!("the number {}", value.trim_start_matches("point ").trim_matches('`')),
        "boolean" => value.trim_matches('`').to_owned(),
        "null" => "nothing".to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "a section".to_owned(),
        _ => found.to_owned(),
    }
}

fn wanted_in_words(expected: &str) -> &str {
    match expected {
        "a string" | "path string" => "a text (a number or a word like true is one in quotes)",
        "u16" => "a whole number from 0 to 65535, without quotes",
        "u32" | "u64" => "a whole number that is not negative, without quotes",
        "f64" => "a number, without quotes",
        "a sequence" => "a list: lines that start with `- `",
        other if other.starts_with("struct ") => "a section: keys indented below it",
        other => other,
    }
}

/// The number of letters to insert, delete, replace or swap with a neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
