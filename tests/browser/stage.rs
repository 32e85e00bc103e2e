//! A responder with a history: one host freed, one that needs a person, one that observes, one whose job
//! is alive, one that cannot be reached, one that is new.

use std::fs;

use serde_json::{Value, json};

use crate::{
    harness::{CRITICAL, LARGE, Responder, payload, wait_for},
    reports::{self, minutes_ago},
    stand_in::StandIns,
};

/// The host that needs a person.
pub(crate) const AT_WORK: &str = "ray-81";

pub(crate) struct Stage {
    pub(crate) responder: Responder,
    /// What the responder runs over lives as long as it does.
    _fleet: StandIns,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(&[
            ("ray-80", reports::freed("ray-80")),
            (AT_WORK, reports::at_work(AT_WORK)),
            ("ray-82", reports::observed("ray-82")),
            ("ray-84", reports::held("ray-84")),
        ])
    }

    /// One whose hosts, alerts and notifications say what somebody hostile would have them say.
    pub(crate) fn hostile(texts: &[&str]) -> Self {
        let stage = Self::with(&[(AT_WORK, reports::hostile(AT_WORK, texts))]);
        for (number, text) in texts.iter().enumerate() {
            let labels =
                json!({ "alertname": text, "host": text, "instance": text, "n": number.to_string() });
            assert_eq!(stage.responder.send(payload(&[alert(&labels, 5)])), 200);
            // One about a host that is known, so that it is kept beside an incident.
            let labels = json!({ "alertname": LARGE, "host": AT_WORK, "instance": text, "path": text });
            assert_eq!(stage.responder.send(payload(&[alert(&labels, 5)])), 200);
        }
        stage
    }

    /// One whose hosts say more than a page has room for.
    pub(crate) fn long() -> Self {
        let stage = Self::with(&[(AT_WORK, reports::long(AT_WORK))]);
        for number in 0..300 {
            let path = format!("/tmp/{number}/{}", "x".repeat(200));
            let labels = json!({ "alertname": LARGE, "host": AT_WORK, "path": path });
            assert_eq!(stage.responder.send(payload(&[alert(&labels, 5)])), 200);
        }
        stage
    }

    fn with(reports: &[(&str, Value)]) -> Self {
        let fleet = StandIns::new([""; 0]);
        let hosts = "hosts:\n  - { name: ray-80, address: ray-80 }\n  - { name: ray-81, address: ray-81 }\n  \
            - { name: ray-82, address: ray-82 }\n  - { name: ray-83, address: down-83 }\n  \
            - { name: ray-84, address: ray-84 }\n  - { name: ray-85, address: ray-85 }\n";
        fs::write(fleet.path("hosts"), hosts).unwrap();
        for (host, report) in reports {
            fs::write(fleet.path(&format!("report-{host}")), report.to_string()).unwrap();
        }
        let responder = fleet.serve("timing: { period: 1h, critical_period: 1h, recheck: 1h }");
        let stage = Self { responder, _fleet: fleet };
        stage.tell(&[(CRITICAL, AT_WORK, 52)]);
        stage.tell(&[
            (LARGE, "ray-80", 9),
            (LARGE, "ray-82", 31),
            (LARGE, "ray-83", 17),
            (LARGE, "ray-84", 4),
        ]);
        stage.tell(&[("Watchdog", "ray-80", 600), (LARGE, "ray-99", 3)]);
        stage.settled();
        stage
    }

    /// Sends one notification of firing alerts: which, of which host, for how many minutes.
    pub(crate) fn tell(&self, alerts: &[(&str, &str, i64)]) {
        let each = alerts.iter().map(|(name, host, minutes)| {
            alert(&json!({ "alertname": name, "host": host, "worker": "ray-worker-1" }), *minutes)
        });
        assert_eq!(self.responder.send(payload(&each.collect::<Vec<_>>())), 200);
    }

    /// Waits until whatever was told has led to something.
    fn settled(&self) {
        for host in ["ray-80", AT_WORK, "ray-82", "ray-83", "ray-84"] {
            self.responder.ended_attempt(host);
        }
        wait_for("a person to be told", || {
            (self.responder.incident(AT_WORK)["escalation"] == "critical_active").then_some(())
        });
        let mut gone = alert(&json!({ "alertname": LARGE, "host": "ray-80", "worker": "ray-worker-1" }), 9);
        gone["status"] = json!("resolved");
        gone["endsAt"] = json!(minutes_ago(0));
        assert_eq!(self.responder.send(payload(&[gone])), 200);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.responder.url(path)
    }

    /// The newest attempt on a host.
    pub(crate) fn attempt(&self, host: &str) -> String {
        self.responder.attempts(host)[0]["id"].as_str().unwrap().to_owned()
    }

    /// The address of each kind of page, by what it is called.
    pub(crate) fn pages(&self) -> Vec<(&'static str, String)> {
        let incident = self.responder.incident(AT_WORK);
        let notification = incident["alerts"][0]["first_notification"].as_str().unwrap();
        vec![
            ("fleet", "/".to_owned()),
            ("fleet, none like that", "/?host=nobody".to_owned()),
            ("host", format!("/hosts/{AT_WORK}")),
            ("host, new", "/hosts/ray-85".to_owned()),
            ("incident", format!("/incidents/{}", incident["id"])),
            ("attempt", format!("/attempts/{}", self.attempt(AT_WORK))),
            ("attempt, unreachable", format!("/attempts/{}", self.attempt("ray-83"))),
            ("notification", format!("/notifications/{notification}")),
            ("status", "/status".to_owned()),
            ("configuration", "/config".to_owned()),
        ]
    }
}

fn alert(labels: &Value, minutes: i64) -> Value {
    json!({
        "status": "firing", "labels": labels, "annotations": { "summary": "temp files fill the disk" },
        "startsAt": minutes_ago(minutes), "endsAt": "0001-01-01T00:00:00Z",
    })
}
