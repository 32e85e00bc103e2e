//! What did not help reaches a person.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::{
    harness::{CRITICAL, alert, firing, free_port, payload, resolved, wait_for},
    stand_in::StandIns,
};

#[test]
fn a_host_that_stays_active_under_a_critical_alert_raises_the_shipped_alert_in_a_real_prometheus() {
    let fleet = StandIns::new(["h-0"]);
    fleet.reports(
        "h-0",
        "active",
        &json!([
            { "kind": "ray_task", "pid": 4711, "detail": "ray::train" },
            { "kind": "driver", "pid": 4712, "detail": "python train.py" },
        ]),
    );
    let responder = fleet.serve("timing: { period: 200ms, critical_period: 200ms, recheck: 300ms }");
    let prometheus = Prometheus::over(&responder.address);
    responder.send(payload(&[alert(CRITICAL, "firing", &[("host", "h-0")])]));
    let raised = wait_for("the shipped alert", || prometheus.alert("RaySweepIncidentEscalated"));
    assert_eq!(
        (&raised["labels"]["host"], &raised["labels"]["severity"]),
        (&"h-0".into(), &"critical".into())
    );
    assert_eq!(raised["labels"]["reason"], "critical_active");
    let said = wait_for("what was tried and what holds the space", || {
        let raised = prometheus.alert("RaySweepIncidentEscalated")?;
        let said = raised["annotations"]["description"].as_str()?.to_owned();
        ["active", "worker_active", "ray_task", "driver"]
            .iter()
            .all(|word| said.contains(word))
            .then_some(said)
    });
    println!("figure: {said}");
    // It goes on looking, tells nobody twice, and closes when the alert resolves.
    let before = fleet.count("h-0", "begin");
    wait_for("another attempt", || (fleet.count("h-0", "begin") > before).then_some(()));
    assert_eq!(responder.metric(r#"raysweep_escalations_total{reason="critical_active"}"#), 1);
    let incident = responder.incident("h-0");
    assert!(incident["tried"]["active"].as_i64().unwrap() >= 2, "{incident}");
    assert_eq!(incident["holds"]["kept_bytes"]["worker_active"], 1_048_576);
    let told = |line: &str| {
        line.contains("incident escalated") && line.contains("1 ray_task") && line.contains("1 active")
    };
    assert!(responder.log().lines().any(told), "{}", responder.log());
    let status =
        Command::new(env!("CARGO_BIN_EXE_raysweep")).args(["status", "--url", &responder.url("")]).output();
    let status = String::from_utf8(status.unwrap().stdout).unwrap();
    assert!(status.contains("h-0 needs a person (critical_active): tried "), "{status}");
    assert!(status.contains("held by 1.0 MB worker_active, 1 driver, 1 ray_task"), "{status}");
    responder.send(payload(&[alert(CRITICAL, "resolved", &[("host", "h-0")])]));
    assert_eq!(responder.incident("h-0")["close_reason"], "resolved");
    let (_, metrics) = responder.get("/metrics");
    for gone in ["raysweep_incident_escalation{", "raysweep_incident_signs{", "raysweep_incident_kept_bytes{"]
    {
        assert!(!metrics.contains(gone), "{gone} of an incident that is over");
    }
}

#[test]
fn trouble_that_comes_and_goes_reaches_a_person_as_one_that_stays_does() {
    let fleet = StandIns::new(["h-0"]);
    let responder =
        fleet.serve("timing: { period: 1h, critical_period: 1h, recheck: 10m, escalate_after: 30m }");
    for _ in 0..3 {
        responder.send(firing("h-0"));
        assert_eq!(responder.incident("h-0")["escalation"], Value::Null);
        responder.send(resolved("h-0"));
    }
    // Each counts for a recheck: three of them are as much as one that has been open for half an hour.
    responder.send(firing("h-0"));
    wait_for("the fourth to be told at once", || {
        (responder.incident("h-0")["escalation"] == "flapping").then_some(())
    });
    assert_eq!(responder.metric(r#"raysweep_escalations_total{reason="flapping"}"#), 1);
    responder.stop();
    // Nor does a restart forget it.
    let responder =
        fleet.serve("timing: { period: 1h, critical_period: 1h, recheck: 10m, escalate_after: 30m }");
    responder.send(resolved("h-0"));
    responder.send(firing("h-0"));
    wait_for("the fifth to be told at once", || {
        (responder.incident("h-0")["escalation"] == "flapping").then_some(())
    });
}

#[test]
fn a_person_is_told_although_every_place_is_taken_by_what_hangs() {
    let fleet = StandIns::new(["hang-0", "hang-1"]);
    let responder = fleet.serve(
        "timing: { escalate_after: 2s }\nlimits: { attempts_at_once: 1 }\nssh: { connect_timeout: 50s }",
    );
    for host in ["hang-0", "hang-1"] {
        responder.send(firing(host));
    }
    for host in ["hang-0", "hang-1"] {
        wait_for("a person to be told", || {
            (responder.incident(host)["escalation"] == "overdue").then_some(())
        });
    }
    assert_eq!(responder.rows("attempts").len(), 1);
    assert_eq!(responder.metric(r#"raysweep_incidents{state="sweeping"}"#), 1);
    assert_eq!(responder.metric(r#"raysweep_incidents{state="waiting"}"#), 1);
}

/// A real Prometheus with the shipped rules.
pub(super) struct Prometheus {
    port: u16,
    process: std::process::Child,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    pub(super) fn over(responder: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("rs").tempdir().unwrap();
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{}/*.rules.yml']\n\
             scrape_configs:\n- job_name: raysweep\n  static_configs: [{{ targets: ['{responder}'] }}]\n",
            rules.display()
        );
        fs::write(&config, text).unwrap();
        let port = free_port("127.0.0.1");
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .expect("Debian's package prometheus");
        let prometheus = Self { port, process, _folder: folder };
        wait_for("Prometheus", || prometheus.get("/-/ready"));
        prometheus
    }

    fn get(&self, path: &str) -> Option<String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        ureq::get(url).call().ok()?.body_mut().read_to_string().ok()
    }

    /// The rules as it has loaded them.
    pub(super) fn rules(&self) -> Value {
        serde_json::from_str(&self.get("/api/v1/rules").unwrap()).unwrap()
    }

    /// What it answers to a query, or which series a selector finds.
    pub(super) fn asked(&self, what: &str, query: &str) -> Value {
        let key = if what == "series" { "match[]" } else { "query" };
        let url = format!("http://127.0.0.1:{}/api/v1/{what}", self.port);
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.get(&url).query(key, query).call().unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    /// An alert of this name that fires.
    fn alert(&self, name: &str) -> Option<Value> {
        let all: Value = serde_json::from_str(&self.get("/api/v1/alerts")?).unwrap();
        let alerts = all["data"]["alerts"].as_array()?;
        alerts
            .iter()
            .find(|alert| alert["labels"]["alertname"] == name && alert["state"] == "firing")
            .cloned()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
