//! The rules that are shipped, and how those that a Prometheus has loaded differ from them. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use serde_json::Value;

use crate::config::{
    load::{self, Overrides},
    units::Span,
};

const SHIPPED: [(&str, &str); 2] = [
    ("ray-worker.rules.yml", include_str!("../../../rules/ray-worker.rules.yml")),
    ("raysweep.rules.yml", include_str!("../../../rules/raysweep.rules.yml")),
];

/// A rule, so far as two of them are the same.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) name: String,
    /// As Prometheus prints it, without spaces and comments.
    expr: String,
    /// How long an alert waits.
    waits_secs: f64,
    labels: BTreeMap<String, String>,
    /// What went wrong at its last evaluation.
    trouble: Option<String>,
}

/// How what is loaded differs from what is shipped, by the rules' names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) missing: Vec<String>,
    /// With what is another.
    pub(super) different: Vec<String>,
    /// With what Prometheus says of them.
    pub(super) failing: Vec<String>,
}

/// The shipped rules.
pub(super) fn shipped() -> Result<Vec<Rule>, String> {
    let mut rules = vec![];
    for (file, text) in SHIPPED {
        let parsed: Value = load::parse(Path::new(file), text, Overrides::Given(HashMap::new()))
            .map_err(|error| error.to_string())?;
        for rule in list(&parsed, "groups").iter().flat_map(|group| list(group, "rules")) {
            let name = rule["alert"].as_str().or(rule["record"].as_str()).unwrap_or_default();
            let waits = rule["for"].as_str().and_then(|text| text.parse::<Span>().ok());
            rules.push(Rule {
                name: name.to_owned(),
                expr: normal(rule["expr"].as_str().unwrap_or_default()),
                waits_secs: waits.map_or(0.0, |span| span.0.as_secs_f64()),
                labels: labels(&rule["labels"]),
                trouble: None,
            });
        }
    }
    Ok(rules)
}

/// The rules that Prometheus says it has loaded, from the answer of `/api/v1/rules`.
pub(super) fn loaded(answer: &Value) -> Vec<Rule> {
    let groups = list(&answer["data"], "groups");
    let rules = groups.iter().flat_map(|group| list(group, "rules"));
    rules
        .map(|rule| Rule {
            name: rule["name"].as_str().unwrap_or_default().to_owned(),
            expr: normal(rule["query"].as_str().unwrap_or_default()),
            waits_secs: rule["duration"].as_f64().unwrap_or(0.0),
            labels: labels(&rule["labels"]),
            trouble: rule["lastError"].as_str().filter(|error| !error.is_empty()).map(str::to_owned),
        })
        .collect()
}

/// What of the shipped rules is not there as it is shipped. More rules than these are nobody's business.
pub(super) fn difference(shipped: &[Rule], loaded: &[Rule]) -> Difference {
    let mut difference = Difference::default();
    for rule in shipped {
        let same = |other: &&Rule| (&other.name, &other.expr) == (&rule.name, &rule.expr);
        let named = loaded.iter().filter(|other| other.name == rule.name);
        // Whatever it asks: whoever made it his own is told of by nobody else that it never fires.
        if let Some(trouble) = named.clone().find_map(|other| other.trouble.as_ref()) {
            let failing = format!("{}: {trouble}", rule.name);
            if !difference.failing.contains(&failing) {
                difference.failing.push(failing);
            }
            continue;
        }
        let is_same = |other: &Rule| Rule { trouble: None, ..other.clone() } == *rule;
        if loaded.iter().any(is_same) {
            continue;
        }
        // Of several with one name the one with the same expression is meant, where there is one.
        match named.clone().find(same).or(named.clone().next()) {
            Some(other) => difference.different.push(format!("{} ({})", rule.name, parts(rule, other))),
            None => difference.missing.push(rule.name.clone()),
        }
    }
    difference
}

fn parts(rule: &Rule, other: &Rule) -> String {
    let parts = [
        (rule.expr != other.expr, "expr"),
        // Both were read from a text in whole milliseconds.
        ((rule.waits_secs - other.waits_secs).abs() > 0.0001, "for"),
        (rule.labels != other.labels, "labels"),
    ];
    let named: Vec<_> = parts.iter().filter(|(differs, _)| *differs).map(|(_, part)| *part).collect();
    named.join(", ")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// An expression without spaces and comments, its numbers written in one way: what Prometheus prints of a
/// rule that it has read is no text of ours.
fn normal(expr: &str) -> String {
    let mut normal = String::with_capacity(expr.len());
    let mut rest = expr;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '"' | '\'' | '`' => {
                let end = end_of_string(rest, c);
                normal.push_str(&rest[..end]);
                end
            }
            '#' => rest.find('\n').unwrap_or(rest.len()),
            c if c.is_whitespace() => c.len_utf8(),
            c if c.is_alphanumeric() || matches!(c, '_' | ':' | '.') => {
                let ends = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':' | '.'));
                let end = rest.find(ends).unwrap_or(rest.len());
                normal.push_str(&word(&rest[..end]));
                end
            }
            c => {
                normal.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    normal
}

/// A number as every number is written; anything else as it stands, `5m` too.
fn word(text: &str) -> String {
    let is_number = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    match text.parse::<f64>() {
        Ok(number) if is_number => number.to_string(),
        _ => text.to_owned(),
    }
}

fn end_of_string(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if quote != '`' => is_escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_expression_is_the_same_however_it_is_written() {
        assert_eq!(normal("a >  0.50 # why\n and\n on (host) b[5m]"), "a>0.5andon(host)b[5m]");
        assert_eq!(normal("a > 0.5 and on(host) b[5m]"), normal("a>0.50\nand on (host)  b[5m]"));
        assert_eq!(normal(r#"x{a="b # \" c"}  # d"#), r#"x{a="b # \" c"}"#);
        assert_ne!(normal(r#"x{a="b c"}"#), normal(r#"x{a="bc"}"#));
        assert_ne!(normal("a > 1"), normal("a > 10"));
    }

    fn answer(rules: Value) -> Vec<Rule> {
        loaded(&json!({ "data": { "groups": [{ "rules": rules }] } }))
    }

    #[test]
    fn what_is_shipped_is_read_and_has_no_rule_without_a_name() {
        let rules = shipped().unwrap();
        assert!(rules.len() > 12, "{}", rules.len());
        assert!(rules.iter().all(|rule| !rule.name.is_empty() && !rule.expr.is_empty()));
        let critical = rules.iter().find(|rule| rule.name == "RayWorkerDiskCritical").unwrap();
        assert_eq!((critical.waits_secs, critical.labels["severity"].as_str()), (120.0, "critical"));
        assert_eq!(difference(&rules, &rules), Difference::default());
    }

    #[test]
    fn what_is_not_as_shipped_is_named_with_what_is_another() {
        let rule = |expr: &str, waits: f64, severity: &str| json!({ "name": "A", "query": expr, "duration": waits, "labels": { "severity": severity } });
        let shipped = answer(json!([rule("a > 1", 60.0, "warning")]));
        for (found, expected) in [
            (rule("a > 2", 60.0, "warning"), "A (expr)"),
            (rule("a > 1", 5.0, "warning"), "A (for)"),
            (rule("a > 1", 60.0, "critical"), "A (labels)"),
            (rule("a > 2", 5.0, "critical"), "A (expr, for, labels)"),
        ] {
            assert_eq!(difference(&shipped, &answer(json!([found]))).different, [expected]);
        }
        let found = answer(json!([{ "name": "B", "query": "a > 1" }]));
        assert_eq!(difference(&shipped, &found).missing, ["A"]);
        let mut failing = rule("a > 1", 60.0, "warning");
        failing["lastError"] = "many-to-many".into();
        assert_eq!(difference(&shipped, &answer(json!([failing]))).failing, ["A: many-to-many"]);
        let mut adapted = rule("a > on(host) b", 5.0, "warning");
        adapted["lastError"] = "many-to-many".into();
        let found = difference(&shipped, &answer(json!([adapted])));
        assert_eq!(found.failing, ["A: many-to-many"], "it is not only another one");
        assert_eq!(found.different, [""; 0]);
    }
}
