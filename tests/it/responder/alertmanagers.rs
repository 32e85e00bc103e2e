//! Real Alertmanagers: silences that are set after the alert was sent, and two that send the same.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    harness::{LARGE, free_port, wait_for},
    stand_in::StandIns,
};

const QUICK: &str = "timing: { period: 200ms, critical_period: 200ms, decay: 300ms, recheck: 300ms }";

/// Debian's Alertmanager, which sends to a responder.
struct Alertmanager {
    port: u16,
    process: Child,
    _folder: TempDir,
}

impl Alertmanager {
    fn start(port: u16, webhook: &str, cluster: &[String]) -> Self {
        let folder = tempfile::Builder::new().prefix("rs").tempdir().unwrap();
        let config = folder.path().join("alertmanager.yml");
        let text = format!(
            "route: {{ receiver: raysweep, group_by: [host], group_wait: 0s, group_interval: 1s, repeat_interval: 1h }}\n\
             receivers:\n- name: raysweep\n  webhook_configs: [{{ url: '{webhook}', max_alerts: 0 }}]\n"
        );
        fs::write(&config, text).unwrap();
        let process = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--cluster.peer-timeout=1s", "--cluster.settle-timeout=1s"])
            .args(cluster)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .expect("Debian's package prometheus-alertmanager");
        let alertmanager = Self { port, process, _folder: folder };
        wait_for("Alertmanager", || alertmanager.get("/-/ready").filter(|(status, _)| *status == 200));
        alertmanager
    }

    fn alone(port: u16, webhook: &str) -> Self {
        Self::start(port, webhook, &["--cluster.listen-address=".to_owned()])
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut response = agent().get(format!("http://127.0.0.1:{}{path}", self.port)).call().ok()?;
        Some((response.status().as_u16(), response.body_mut().read_to_string().ok()?))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let mut response = agent().post(url).send_json(body).unwrap();
        assert_eq!(response.status(), 200, "{body}");
        response.body_mut().read_json().unwrap_or_default()
    }

    /// A firing alert of a host, as Prometheus would send it.
    fn fire(&self, host: &str) {
        let labels = json!({ "alertname": LARGE, "host": host });
        self.post("/api/v2/alerts", &json!([{ "labels": labels, "startsAt": "2026-01-05T10:00:00Z", "endsAt": "2036-01-05T10:00:00Z" }]));
    }

    /// Silences a host; the silence's identity.
    fn silence(&self, host: &str) -> String {
        let silence = json!({
            "matchers": [{ "name": "host", "value": host, "isRegex": false, "isEqual": true }],
            "startsAt": "2026-01-05T10:00:00Z", "endsAt": "2036-01-05T10:00:00Z", "createdBy": "a test", "comment": "hands off",
        });
        self.post("/api/v2/silences", &silence)["silenceID"].as_str().unwrap().to_owned()
    }

    fn expire(&self, silence: &str) {
        let url = format!("http://127.0.0.1:{}/api/v2/silence/{silence}", self.port);
        assert_eq!(agent().delete(url).call().unwrap().status(), 200);
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn agent() -> ureq::Agent {
    let timeout = Some(std::time::Duration::from_secs(30));
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(timeout).build().into()
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

#[test]
fn a_silence_set_after_the_alert_was_sent_puts_attempts_off_until_it_ends() {
    let fleet = StandIns::new(["h-0"]);
    fleet.reports("h-0", "active", &json!([]));
    let port = free_port("127.0.0.1");
    // Whatever alerts are called, they are asked for.
    let policies = ["A|\"b\"\\.c_d-e", "Dísk „voll“ – 🚨", LARGE]
        .map(|alert| json!({ "alert": alert, "urgency": "warning" }));
    let responder = fleet.serve(&format!(
        "{QUICK}\nalertmanager: {{ url: '{}' }}\npolicies: {}",
        url(port),
        json!(policies)
    ));
    let alertmanager = Alertmanager::alone(port, &responder.url("/webhook"));
    alertmanager.fire("h-0");
    wait_for("two attempts", || (fleet.count("h-0", "begin") >= 2).then_some(()));

    let silence = alertmanager.silence("h-0");
    let silenced = r#"raysweep_attempts_deferred_total{reason="silenced"}"#;
    wait_for("an attempt that is put off", || (responder.metric(silenced) >= 1).then_some(()));
    let before = fleet.count("h-0", "begin");
    let times = responder.metric(silenced);
    wait_for("more that are put off", || (responder.metric(silenced) >= times + 5).then_some(()));
    assert_eq!(fleet.count("h-0", "begin"), before, "swept under a silence");
    assert_eq!(responder.incident("h-0")["closed_at"], Value::Null);

    alertmanager.expire(&silence);
    wait_for("the silence's end", || (fleet.count("h-0", "begin") > before).then_some(()));

    // An Alertmanager that does not answer puts nothing off, and the log says so.
    alertmanager.silence("h-0");
    let times = responder.metric(silenced);
    wait_for("the second silence", || (responder.metric(silenced) > times).then_some(()));
    drop(alertmanager);
    let before = fleet.count("h-0", "begin");
    wait_for("attempts without Alertmanager", || (fleet.count("h-0", "begin") > before).then_some(()));
    assert!(responder.log().contains("does not say what is silenced"), "{}", responder.log());
    assert!(responder.metric(r#"raysweep_alertmanager_requests_total{result="failed"}"#) >= 1);

    // A new one that knows nothing of the alert resolves nothing.
    let _alertmanager = Alertmanager::alone(port, &responder.url("/webhook"));
    let before = fleet.count("h-0", "begin");
    wait_for("attempts although it is listed nowhere", || {
        (fleet.count("h-0", "begin") > before).then_some(())
    });
    assert_eq!(responder.incident("h-0")["closed_at"], Value::Null);
}

#[test]
fn two_alertmanagers_that_send_the_same_group_make_one_attempt() {
    for cluster in [true, false] {
        let fleet = StandIns::new(["h-0"]);
        let responder = fleet.serve("");
        let [first, second] = [(), ()].map(|()| free_port("127.0.0.1"));
        let gossip = [(), ()].map(|()| free_port("127.0.0.1"));
        let start = |port, own: u16, peer: u16| {
            let listen = |port| format!("--cluster.listen-address={port}");
            let options = if cluster {
                vec![listen(format!("127.0.0.1:{own}")), format!("--cluster.peer=127.0.0.1:{peer}")]
            } else {
                // They do not hear each other: both send, as they would rather twice than never.
                vec![listen(String::new())]
            };
            Alertmanager::start(port, &responder.url("/webhook"), &options)
        };
        let both = [start(first, gossip[0], gossip[1]), start(second, gossip[1], gossip[0])];
        if cluster {
            let met = |one: &Alertmanager| {
                one.get("/metrics").unwrap().1.contains("\nalertmanager_cluster_members 2\n")
            };
            wait_for("the cluster", || both.iter().all(met).then_some(()));
        }
        for one in &both {
            one.fire("h-0");
        }
        let sent = r#"raysweep_notifications_total{result="accepted"}"#;
        let expected = if cluster { 1 } else { 2 };
        wait_for("the notifications", || (responder.metric(sent) >= expected).then_some(()));
        assert_eq!(responder.ended_attempt("h-0")["outcome"], "freed");
        assert_eq!(responder.attempts("h-0").len(), 1, "cluster: {cluster}");
        assert_eq!(responder.rows("incidents").len(), 1);
        assert_eq!(fleet.count("h-0", "begin"), 1);
    }
}
