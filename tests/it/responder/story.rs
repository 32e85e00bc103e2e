//! The log of an incident, from its first alert to its end, in both formats.

use serde_json::Value;

use super::harness::{Fleet, Launch, Responder, firing, resolved, wait_for};

const STORY: [&str; 6] =
    ["alert accepted", "attempt started", "connected", "verdict", "attempt ended", "incident closed"];

/// An incident that opens, is swept and closes.
fn lived(format: &str) -> (Responder, String, Fleet) {
    let fleet = Fleet::of_one();
    let responder = fleet.serve_as("", &Launch::with_flags(["--log.format", format]));
    responder.send(firing("ray-80"));
    let attempt = responder.ended_attempt("ray-80")["id"].as_str().unwrap().to_owned();
    responder.send(resolved("ray-80"));
    wait_for("the end of the story", || responder.log().contains("incident closed").then_some(()));
    (responder, attempt, fleet)
}

#[test]
fn one_key_finds_all_that_an_incident_and_an_attempt_went_through_in_json() {
    let (responder, attempt, _fleet) = lived("json");
    let log = responder.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |key: &str, value: &Value| -> Vec<String> {
        let about = lines.iter().filter(|line| line[key] == *value);
        about.map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    };
    let mut story = told("incident", &1.into());
    // The resolution comes between the attempt's end and the incident's.
    assert_eq!(story.remove(5), "alert accepted", "{log}");
    assert_eq!(story, STORY, "{log}");
    assert_eq!(told("attempt", &attempt.into()), STORY[1..5], "{log}");
    for line in &lines {
        for key in ["timestamp", "level", "message", "target"] {
            assert!(line[key].is_string(), "{line}");
        }
        assert!(line["incident"] != 1 || line["host"] == "ray-80", "{line}");
    }
}

#[test]
fn one_word_finds_all_that_an_incident_and_an_attempt_went_through_in_text() {
    let (responder, attempt, _fleet) = lived("text");
    let log = responder.log();
    let told = |word: &str| -> Vec<&str> {
        let about = log.lines().filter(|line| line.contains(word));
        about.map(|line| *STORY.iter().find(|message| line.contains(*message)).unwrap()).collect()
    };
    let mut story = told("incident=1 ");
    assert_eq!(story.remove(5), "alert accepted", "{log}");
    assert_eq!(story, STORY, "{log}");
    assert_eq!(told(&format!("attempt={attempt} ")), STORY[1..5], "{log}");
}
