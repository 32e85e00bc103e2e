//! A host's `sweep.yml` as the inventory has it: the defaults, under the keys of the whole fleet, under
//! those of the one host.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::{
    check,
    load::{self, Problem},
    responder::{HostEntry, ResponderConfig},
    sweep::SweepSettings,
};

/// Keys of a `sweep.yml` that are not as in the layer below. What they may be is checked as a whole, with
/// the layers below.
pub type Overlay = Map<String, Value>;

impl ResponderConfig {
    /// What a host is to do, by the inventory.
    pub fn settings_of(&self, host: &HostEntry) -> Result<SweepSettings, Vec<Problem>> {
        settings("sweep", [self.deploy.sweep.as_ref(), host.sweep.as_ref()])
    }
}

/// The settings that layers make, the last one on top; or what is wrong with them, by keys that begin
/// with `key`.
pub(super) fn settings<'a>(
    key: &str,
    layers: impl IntoIterator<Item = Option<&'a Overlay>>,
) -> Result<SweepSettings, Vec<Problem>> {
    let mut merged = Map::new();
    for layer in layers.into_iter().flatten() {
        lay(&mut merged, layer);
    }
    let beneath = |problem: Problem| Problem {
        key: [key, &problem.key].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("."),
        message: problem.message,
    };
    let settings: SweepSettings =
        load::read(Value::Object(merged)).map_err(|(_, problem)| vec![beneath(problem)])?;
    let problems = check::settings(&settings);
    if problems.is_empty() { Ok(settings) } else { Err(problems.into_iter().map(beneath).collect()) }
}

/// Sections are merged key by key; everything else is replaced, lists as a whole.
fn lay(merged: &mut Overlay, layer: &Overlay) {
    for (key, value) in layer {
        match (merged.get_mut(key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => lay(below, above),
            _ => {
                merged.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Settings as `sweep.yml` has them: sections by indentation, values as JSON, which YAML reads.
pub fn yaml(settings: &SweepSettings) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    if let Value::Object(table) = serde_json::to_value(settings)? {
        write_table(&table, 0, &mut text);
    }
    Ok(text)
}

fn write_table(table: &Overlay, depth: usize, text: &mut String) {
    for (key, value) in table {
        let indent = "  ".repeat(depth);
        match value {
            // What is not there is not said.
            Value::Null => {}
            Value::Object(section) => {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{indent}{key}:");
                write_table(section, depth + 1, text);
            }
            other => {
                let _ = writeln!(text, "{indent}{key}: {other}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, path::Path};

    use expect_test::expect;
    use serde_json::json;

    use super::*;
    use crate::{
        config::{load::Overrides, units::Span},
        domain::attempt::Mode,
    };

    fn overlay(value: Value) -> Overlay {
        let Value::Object(table) = value else { panic!("{value}") };
        table
    }

    #[test]
    fn a_hosts_keys_lie_over_the_fleets_and_these_over_the_defaults() {
        let fleet = overlay(json!({ "mode": "enforce", "ages": { "no_job": "20m", "logs": "48h" } }));
        let host = overlay(json!({ "ages": { "no_job": "30m" } }));
        let made = settings("sweep", [Some(&fleet), Some(&host)]).unwrap();
        assert_eq!(made.mode, Mode::Enforce);
        assert_eq!(made.ages.no_job, Span::mins(30));
        assert_eq!(made.ages.logs, Span::hours(48));
        assert_eq!(made.ages.in_job, SweepSettings::default().ages.in_job);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key_in_the_inventory() {
        let said = |value| {
            let problems = settings("hosts[1].sweep", [Some(&overlay(value))]).unwrap_err();
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        expect![[r#"hosts[1].sweep.mode: "force" is not one of observe, enforce"#]]
            .assert_eq(&said(json!({ "mode": "force" })));
        expect!["hosts[1].sweep.ages.no_job: must be longer than 0s"]
            .assert_eq(&said(json!({ "ages": { "no_job": "0s" } })));
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_settings() {
        let bare = overlay(json!({
            "bare": { "temp_root": "/data/\"tmp\": #x", "user_id": 1000 },
            "activity": { "ignore_programs": [], "ray_api": { "url": "http://10.0.0.84:8265" } },
            "min_tmp_size": "1GiB",
        }));
        for settings in [SweepSettings::default(), settings("", [Some(&bare)]).unwrap()] {
            let text = yaml(&settings).unwrap();
            let overrides = Overrides::Given(HashMap::new());
            let read: SweepSettings = load::parse(Path::new("sweep.yml"), &text, overrides).unwrap();
            assert_eq!(read, settings, "{text}");
        }
    }
}
