//! The JSON API of a running responder, the document that shows it, and the commands that ask it.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

use super::{
    super::cli::raysweep,
    harness::{CRITICAL, LARGE, Responder, agent, alert, payload, wait_for},
    stand_in::{StandIns, most_memory},
};

const DOCUMENT: &str = "docs/api.md";
const ROUTES: &str = "src/responder/http.rs";
/// When every alert of a test began to fire.
const FIRING_SINCE: &str = "2026-01-05T10:00:00Z";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What a host reports that has a task at work and a leftover beside it.
fn report() -> String {
    json!({
        "schema": 1, "attempt": "ATTEMPT", "host": "ray-80", "version": "0.1.0", "trigger": "alert",
        "mode": "enforce", "dry_run": false, "started_at": FIRING_SINCE, "finished_at": "2026-01-05T10:00:05Z",
        "outcome": "active", "freed_bytes": 0,
        "disks": [{ "mount": "8:1", "size_bytes": 500_000_000_000_u64, "avail_before_bytes": 4_000_000_000_u64,
            "avail_after_bytes": 4_000_000_000_u64 }],
        "workers": [{
            "name": "ray-worker-1", "runtime": "docker", "state": "active", "verdict": "active",
            "tmp_before_bytes": 9_000_000_000_u64, "tmp_after_bytes": 9_000_000_000_u64, "freed_bytes": 0,
            "evidence": [{ "kind": "ray_task", "pid": 4711, "detail": "ray::train runs" }], "removed": [],
            "kept": [{ "class": "tmp", "path": "/tmp/tmpab12", "bytes": 8_000_000_000_u64,
                "why": "worker_active", "detail": "the worker is at work" }],
        }],
        "backstop": { "interval_secs": 3600, "scheduled_since": "2026-01-02T10:00:05Z",
            "last": { "finished_at": "2026-01-05T09:07:05Z", "outcome": "freed" } },
    })
    .to_string()
}

/// A fleet in which one host is at work under a critical alert, one cannot be reached, and one is quiet.
struct Told {
    responder: Responder,
    fleet: StandIns,
    /// What was sent, and what was answered.
    sent: String,
    acknowledged: Value,
}

impl Told {
    fn new() -> Self {
        let fleet = StandIns::new(["ray-80", "down-81", "ray-82"]);
        fs::write(fleet.path("report-ray-80"), report()).unwrap();
        let responder = fleet.serve(
            // However long a test takes, no other attempt begins.
            "timing: { period: 1h, critical_period: 1h, backoff_first: 1h, backoff_most: 1h }",
        );
        let sent = payload(&[
            alert(CRITICAL, "firing", &[("host", "ray-80"), ("worker", "ray-worker-1")]),
            alert(LARGE, "firing", &[("host", "down-81")]),
            alert("Watchdog", "firing", &[]),
        ]);
        let (status, acknowledged) = responder.post("/webhook", sent.as_bytes(), None);
        assert_eq!(status, 200, "{acknowledged}");
        for host in ["ray-80", "down-81"] {
            responder.ended_attempt(host);
        }
        Self { responder, fleet, sent, acknowledged }
    }

    fn asked(&self, path: &str) -> Value {
        let (status, text) = self.responder.get(path);
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    fn attempt(&self, host: &str) -> String {
        self.responder.attempts(host)[0]["id"].as_str().unwrap().to_owned()
    }

    fn incident(&self, host: &str) -> String {
        self.responder.incident(host)["id"].to_string()
    }

    fn notification(&self) -> &str {
        self.acknowledged["notification"].as_str().unwrap()
    }

    /// Runs a command that asks this responder; its exit code and what it said.
    fn command(&self, words: &[&str]) -> (Option<i32>, String) {
        let url = format!("http://{}", self.responder.address);
        let mut command = raysweep();
        command.current_dir(self.fleet.path(".")).args(words).args(["--url", &url]);
        let output = command.output().unwrap();
        let all = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(all).unwrap())
    }
}

/// The same with every identity and instant of this run in place of which a fixed one stands.
fn fixed(value: &mut Value, known: &mut BTreeMap<String, String>) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(|one| fixed(one, known)),
        Value::Object(all) => all.values_mut().for_each(|one| fixed(one, known)),
        Value::String(text) => {
            if uuid::Uuid::parse_str(text).is_ok() {
                let number = known.len() + 1;
                let same = known.entry(text.clone());
                text.clone_from(same.or_insert_with(|| format!("01980000-0000-7000-8000-{number:012}")));
            } else if text.parse::<jiff::Timestamp>().is_ok() && !text.starts_with("2026-01-05T10:00:0") {
                "2026-01-05T10:00:30.123456Z".clone_into(text);
            }
        }
        _ => {}
    }
}

/// An answer as the document shows it: JSON, or its status before it where that is not 200.
fn shown(status: u16, mut answer: Value, known: &mut BTreeMap<String, String>) -> String {
    fixed(&mut answer, known);
    if matches!(status, 200 | 202) {
        format!("```json\n{}\n```\n", serde_json::to_string_pretty(&answer).unwrap())
    } else {
        format!("```text\n{status} {answer}\n```\n")
    }
}

/// `UPDATE_EXPECT=1 cargo test --test it responder::api` writes the examples anew.
#[test]
fn every_example_of_the_document_is_what_a_responder_answers() {
    const BEGIN: &str = "<!-- example: ";
    let told = Told::new();
    let (attempt, incident) = (told.attempt("ray-80"), told.incident("ray-80"));
    let mut known = BTreeMap::new();
    // The same identities whatever the document shows first.
    for id in [told.notification(), &attempt, &told.attempt("down-81")] {
        fixed(&mut id.into(), &mut known);
    }
    let document = read(DOCUMENT);
    let mut parts = document.split(BEGIN);
    let mut written = parts.next().unwrap().to_owned();
    let mut examples = 0;
    for part in parts {
        let (what, rest) = part.split_once(" -->\n").unwrap();
        let rest =
            rest.strip_prefix("```").and_then(|rest| Some(rest.split_once("\n```\n")?.1)).unwrap_or(rest);
        let (method, path) = what.split_once(' ').unwrap();
        let asked = path.replace("{attempt}", &attempt).replace("{incident}", &incident);
        let asked = asked.replace("{notification}", told.notification());
        let (status, answer) = match (method, path) {
            ("POST", "/webhook") => (200, told.acknowledged.clone()),
            ("POST", path) => told.responder.post(path, told.sent.as_bytes(), None),
            ("GET", _) => {
                let (status, text) = told.responder.get(&asked);
                (status, serde_json::from_str(&text).unwrap())
            }
            ("DELETE", _) => {
                let mut response = agent().delete(told.responder.url(&asked)).call().unwrap();
                let text = response.body_mut().read_to_string().unwrap();
                (response.status().as_u16(), serde_json::from_str(&text).unwrap())
            }
            _ => panic!("{what}"),
        };
        let _ = write!(written, "{BEGIN}{what} -->\n{}{rest}", shown(status, answer, &mut known));
        examples += 1;
    }
    assert!(examples > 10, "only {examples} examples");
    expect_test::expect_file!["../../../docs/api.md"].assert_eq(&written);
}

#[test]
fn every_route_and_every_key_of_its_query_stands_in_the_document() {
    let told = Told::new();
    let (routes, document) = (read(ROUTES), read(DOCUMENT));
    let mut looked_at = (0, 0);
    for route in routes.split(".route(\"").skip(1) {
        let (path, rest) = route.split_once('"').unwrap();
        let handlers = rest.lines().next().unwrap();
        for (handler, method) in [(" get(", "GET"), (" post(", "POST"), (".put(", "PUT")] {
            if !handlers.contains(handler) {
                continue;
            }
            let heading = format!("`{method} {path}`");
            let (_, section) =
                document.split_once(&heading).unwrap_or_else(|| panic!("{DOCUMENT}: no {heading}"));
            looked_at.0 += 1;
            if method != "GET" || !path.starts_with("/api/") || path.contains('{') {
                continue;
            }
            let section = section.split("\n## ").next().unwrap();
            let (status, text) = told.responder.get(&format!("{path}?nonsense=1"));
            assert!(status == 400 && text.contains("nonsense"), "{path}: {text}");
            let keys = text.split("expected").nth(1).unwrap_or_default().split('`').skip(1).step_by(2);
            for key in keys {
                assert!(section.contains(&format!("`{key}`")), "{DOCUMENT}: {path} has {key}");
                looked_at.1 += 1;
            }
        }
    }
    assert!(looked_at.0 > 10 && looked_at.1 > 12, "{looked_at:?}");
}

#[test]
fn whatever_is_wrong_with_a_request_is_told_in_one_shape() {
    let told = Told::new();
    let gone = uuid::Uuid::now_v7();
    for (path, status, says) in [
        ("/nothing".to_owned(), 404, "/nothing"),
        ("/api/v1/nothing".to_owned(), 404, "/api/v1/nothing"),
        ("/webhook".to_owned(), 405, "GET"),
        ("/api/v1/replay".to_owned(), 405, "GET"),
        (format!("/api/v1/attempts/{gone}"), 404, "no attempt"),
        ("/api/v1/attempts/%0aforged".to_owned(), 404, r"\u{a}forged"),
        ("/api/v1/incidents/999".to_owned(), 404, "no incident 999"),
        (format!("/api/v1/notifications/{gone}"), 404, "no notification"),
        ("/api/v1/hosts/ray-99".to_owned(), 404, "ray-99"),
        ("/api/v1/hosts?limit=3".to_owned(), 400, "limit"),
        ("/api/v1/attempts?colour=red".to_owned(), 400, "colour"),
        ("/api/v1/attempts?limit=many".to_owned(), 400, "limit"),
        ("/api/v1/attempts?limit=0".to_owned(), 400, "1 to 1000"),
        ("/api/v1/attempts?limit=51".to_owned(), 400, "1 to 50 with reports"),
        ("/api/v1/attempts?limit=1001&reports=false".to_owned(), 400, "1 to 1000"),
        ("/api/v1/incidents?limit=1001".to_owned(), 400, "1 to 1000"),
        ("/api/v1/incidents?open=perhaps".to_owned(), 400, "open"),
        ("/api/v1/attempts?outcome=freed,gone".to_owned(), 400, "no outcome gone"),
        ("/api/v1/attempts?since=yesterday".to_owned(), 400, "since"),
        (format!("/api/v1/attempts?before={gone}"), 400, "before"),
    ] {
        let (found, text) = told.responder.get(&path);
        assert_eq!(found, status, "{path}: {text}");
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"));
        let error = answer["error"].as_str().unwrap_or_else(|| panic!("{path}: {text}"));
        assert!(error.contains(says) && answer.as_object().unwrap().len() == 1, "{path}: {text}");
        assert_eq!(told.responder.content_type(&path), "application/json", "{path}");
    }
    for path in ["/webhook", "/api/v1/run", "/api/v1/replay", "/api/v1/incidents/1/close", "/-/reload"] {
        // As a browser sends it for a page of somebody's.
        let asked = agent().post(told.responder.url(path)).header("origin", "http://elsewhere.example");
        assert_eq!(asked.send(r#"{"all":true}"#).unwrap().status(), 403, "{path}");
    }
    let response = agent().get(told.responder.url("/webhook")).call().unwrap();
    assert_eq!(response.headers()["allow"], "POST");
}

/// An attempt's report of some length, in many small parts.
fn long_report(bytes: usize) -> String {
    let evidence = r#"{"kind":"ray_task","pid":4711,"detail":"ray::train runs"}"#;
    format!(r#"{{"workers":[{{"evidence":[{}]}}]}}"#, vec![evidence; bytes / evidence.len()].join(","))
}

/// As many sweeps would have left it; what ended long ago would be forgotten.
fn with_long_reports(told: &Told, attempts: usize, bytes: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite://{}", told.fleet.path("data/journal.db").display());
        let mut journal = SqliteConnection::connect(&url).await.unwrap();
        let report = long_report(bytes);
        for at in 0..attempts {
            let row = sqlx::query(
                "INSERT INTO attempts (id, host, trigger, queued_at, started_at, finished_at, outcome, report)
                 VALUES (?, 'ray-82', 'cron', ?2, ?2, 4102444800000000, 'freed', ?3)",
            );
            let at = i64::try_from(at).unwrap();
            let row = row.bind(uuid::Uuid::now_v7().to_string()).bind(at).bind(&report);
            row.execute(&mut journal).await.unwrap();
        }
    });
}

#[test]
fn whole_reports_are_told_a_page_at_a_time_and_cost_no_more_than_they_are_long() {
    let told = Told::new();
    with_long_reports(&told, 120, 160 * 1024);
    let before = most_memory(told.responder.process.id());
    let (mut path, mut pages) = ("/api/v1/attempts?host=ray-82&limit=50".to_owned(), vec![]);
    loop {
        let page = told.asked(&path)["attempts"].as_array().unwrap().clone();
        let Some(last) = page.last() else { break };
        assert!(page.iter().all(|attempt| attempt["report"]["workers"][0]["evidence"].is_array()));
        path = format!("/api/v1/attempts?host=ray-82&limit=50&before={}", last["id"].as_str().unwrap());
        pages.push(page.len());
    }
    assert_eq!(pages, [50, 50, 20]);
    let grown = (most_memory(told.responder.process.id()) - before) / (1024 * 1024);
    println!("figure: pages of 7.8 MiB of reports have cost {grown} MiB");
    assert!(grown < 64, "{grown} MiB");
    // What is longer than may be is refused, with what would be right; one alone never is.
    with_long_reports(&told, 10, 2 * 1024 * 1024);
    let newest = "/api/v1/attempts?host=ray-82&since=1970-01-01T00:00:00Z&until=1970-01-01T00:00:00.00001Z";
    let (status, text) = told.responder.get(&format!("{newest}&limit=50"));
    assert!(status == 400 && text.contains("16 MiB") && text.contains("reports=false"), "{status} {text}");
    assert_eq!(told.asked(&format!("{newest}&limit=1"))["attempts"].as_array().unwrap().len(), 1);
    // Whoever asks for no reports has all of them, and so has the command.
    let brief = told.asked("/api/v1/attempts?limit=1000&reports=false");
    assert_eq!(brief["attempts"].as_array().unwrap().len(), 132);
    let (code, said) = told.command(&["history", "--limit", "1000", "--json"]);
    assert_eq!((code, said.lines().count()), (Some(0), 132), "{said}");
}

#[test]
fn beyond_the_bound_the_oldest_report_is_dropped_and_whoever_asks_for_it_is_told() {
    let fleet = StandIns::new(["ray-80"]);
    let mut long: Value = serde_json::from_str(&report()).unwrap();
    long["workers"][0]["evidence"][0]["detail"] = "x".repeat(40_000).into();
    fs::write(fleet.path("report-ray-80"), long.to_string()).unwrap();
    let responder = fleet.serve("journal: { reports_bytes: 64KiB }\nssh: { output_bytes: 65536 }");
    for _ in 0..2 {
        let (status, wished) = responder.post("/api/v1/run", br#"{"all":true}"#, None);
        assert_eq!(status, 202, "{wished}");
        wait_for("its end", || {
            let newest = &responder.attempts("ray-80")[0];
            (newest["id"] == wished["hosts"][0]["attempt"] && newest["outcome"] == "active").then_some(())
        });
    }
    // It is looked at each minute, and at once by whoever takes over.
    assert_eq!(responder.reload().0, 200);
    let oldest = wait_for("the oldest report to go", || {
        let oldest = responder.attempts("ray-80").pop().unwrap();
        oldest["report"].is_null().then_some(oldest)
    });
    assert!(oldest["report_dropped_bytes"].as_u64().is_some_and(|bytes| bytes > 40_000), "{oldest}");
    assert_eq!((&oldest["outcome"], &oldest["freed_bytes"]), (&"active".into(), &0.into()));
    let newest = &responder.attempts("ray-80")[0];
    assert!(newest["report"].is_object() && newest["report_dropped_bytes"].is_null(), "{newest}");
    assert!(responder.log().contains("dropped the oldest reports"), "{}", responder.log());
    let url = format!("http://{}", responder.address);
    let id = oldest["id"].as_str().unwrap();
    let output = raysweep().args(["history", id, "--url", &url]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("was dropped, to keep all reports within"), "{said}");
    let (status, page) = responder.get(&format!("/attempts/{id}"));
    assert!(status == 200 && page.contains("journal.reports_bytes"), "{page}");
}

#[test]
fn a_notification_is_answered_to_the_byte_and_every_line_of_the_log_about_it_names_it() {
    let told = Told::new();
    let path = format!("/api/v1/notifications/{}", told.notification());
    assert_eq!(told.responder.get(&path), (200, told.sent.clone()));
    let alerts = &told.responder.incident("ray-80")["alerts"];
    assert_eq!(alerts[0]["first_notification"], told.notification());
    let log = told.responder.log();
    let about = log.lines().filter(|line| line.contains("alert accepted") || line.contains("alerts ignored"));
    assert_eq!(about.clone().count(), 3, "{log}");
    assert!(about.clone().all(|line| line.contains(told.notification())), "{log}");
    // The same again: the alert came with the first, and was last in the second.
    let (_, again) = told.responder.post("/webhook", told.sent.as_bytes(), None);
    let alerts = &told.responder.incident("ray-80")["alerts"];
    assert_eq!(alerts[0]["first_notification"], told.notification());
    assert_eq!(alerts[0]["last_notification"], again["notification"]);
}

#[test]
fn hosts_are_told_with_what_they_wait_for_and_what_holds_their_space() {
    let told = Told::new();
    let hosts = told.asked("/api/v1/hosts");
    let host =
        |name: &str| hosts["hosts"].as_array().unwrap().iter().find(|host| host["name"] == name).unwrap();
    let busy = host("ray-80");
    assert_eq!(
        (&busy["lane"], &busy["last_attempt"]["outcome"]),
        (&"proven".into(), &"active".into()),
        "{busy}"
    );
    assert_eq!(
        (&busy["incident"]["escalation"], &busy["running"]),
        (&"critical_active".into(), &Value::Null)
    );
    let report = &busy["last_report"];
    assert_eq!((&report["mode"], &report["tmp_bytes"]), (&"enforce".into(), &9_000_000_000_u64.into()));
    assert_eq!(report["disks"][0]["size_bytes"], 500_000_000_000_u64);
    assert_eq!(report["holds"]["signs"]["ray_task"], 1);
    let backstop = &report["backstop"];
    assert_eq!((&backstop["outcome"], &backstop["overdue"]), (&"freed".into(), &false.into()));
    // By the host's clock it was 53 minutes before the report.
    let at = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let before = at(&report["reported_at"]).duration_since(at(&backstop["finished_at"]));
    assert_eq!(before, jiff::SignedDuration::from_mins(53));
    let waits = |host: &Value| host["next_attempt"]["waits_for"].clone();
    // With a period of an hour the recheck, 5 min, is not what it waits for.
    assert_eq!((waits(busy), waits(host("down-81"))), ("period".into(), "backoff".into()));
    assert_eq!(host("down-81")["lane"], "failing");
    let quiet = host("ray-82");
    assert_eq!(
        (&quiet["lane"], &quiet["incident"], waits(quiet)),
        (&"new".into(), &Value::Null, Value::Null)
    );
    let whole = told.asked("/api/v1/hosts/ray-80");
    assert_eq!((&whole["name"], &whole["attempts"][0]["host"]), (&"ray-80".into(), &"ray-80".into()));
}

#[test]
fn history_shows_what_fits_its_filters_and_as_json_what_the_api_has() {
    let told = Told::new();
    let lines = |words: &[&str]| {
        let (code, said) = told.command(&[&["history", "--json"], words].concat());
        assert_eq!(code, Some(0), "{said}");
        said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let brief = told.asked("/api/v1/attempts?reports=false");
    assert_eq!(Value::from(lines(&[])), brief["attempts"]);
    for (words, hosts) in [
        (&["--host", "ray-80"][..], &["ray-80"][..]),
        (&["--outcome", "active"], &["ray-80"]),
        (&["--outcome", "freed"], &[]),
        (&["--outcome", "active", "--outcome", "unreachable", "--host", "ray-80"], &["ray-80"]),
        (&["--trigger", "manual"], &[]),
        (&["--since", "1h", "--trigger", "alert", "--host", "ray-80"], &["ray-80"]),
        (&["--until", "1h"], &[]),
        (&["--since", "2026-01-05"], &["down-81", "ray-80"]),
    ] {
        let mut found: Vec<_> = lines(words).iter().map(|line| line["host"].clone()).collect();
        found.sort_by_key(Value::to_string);
        assert_eq!(found, hosts, "{words:?}");
    }
    let id = told.attempt("ray-80");
    assert_eq!(lines(&[&id]), [told.asked(&format!("/api/v1/attempts/{id}"))]);
    let incident = told.incident("ray-80");
    assert_eq!(lines(&["--incident", &incident]), [told.asked(&format!("/api/v1/incidents/{incident}"))]);
    for wrong in [&["--since", "soon"][..], &["--outcome", "lost"], &["not-an-id"], &[&id, "--host", "a"]] {
        assert_eq!(told.command(&[&["history"], wrong].concat()).0, Some(2), "{wrong:?}");
    }
    let (code, said) = told.command(&["history", &uuid::Uuid::now_v7().to_string()]);
    assert!(code == Some(6) && said.contains("there is no attempt"), "{said}");
}

#[test]
fn an_attempt_is_shown_with_its_evidence_and_an_incident_with_its_story() {
    let told = Told::new();
    let (code, said) = told.command(&["history", &told.attempt("ray-80")]);
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "  host       ray-80\n",
        "  trigger    alert, for incident ",
        "  outcome    active\n",
        "disk 8:1: 4.0 GB of 500.0 GB available before, 4.0 GB after\n",
        "ray-worker-1: active, state active, runtime docker, 9.0 GB before, 9.0 GB after, 0 B freed\n",
        "ray-worker-1: because  ray_task (pid 4711): ray::train runs\n",
        "ray-worker-1: kept     /tmp/tmpab12 (tmp, 8.0 GB): worker_active: the worker is at work\n",
    ] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    let (_, said) = told.command(&["history", &told.attempt("down-81")]);
    assert!(said.contains("  outcome    unreachable\n") && said.ends_with("no report came back\n"), "{said}");

    let incident = told.incident("ray-80");
    let (code, said) = told.command(&["history", "--incident", &incident]);
    assert_eq!(code, Some(0), "{said}");
    let mut rest = said.as_str();
    for part in [
        format!("incident {incident} of ray-80: waiting, critical, 1 attempts, next attempt "),
        "ray-80 needs a person (critical_active): tried 1 active; held by 8.0 GB worker_active, 1 ray_task"
            .to_owned(),
        CRITICAL.to_owned(),
        "worker=ray-worker-1".to_owned(),
        told.notification().to_owned(),
        "opened".to_owned(),
        "alert_joined".to_owned(),
        "attempt_started".to_owned(),
        "attempt_ended".to_owned(),
        "escalated".to_owned(),
        format!("raysweep replay {incident} --dry-run\n"),
    ] {
        rest = rest.split_once(&part).unwrap_or_else(|| panic!("no {part:?} in its place in\n{said}")).1;
    }
}

#[test]
fn what_was_received_is_explained_by_todays_configuration_or_sent_once_more() {
    let told = Told::new();
    let config = told.fleet.path("raysweep.yml");
    let config = config.to_str().unwrap();
    let incident = told.incident("ray-80");
    let dry = |id: &str| told.command(&["replay", id, "--dry-run", "--config.file", config]);
    let (code, said) = dry(told.notification());
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("down-81") && said.contains("Watchdog") && said.contains("unknown_alert"),
        "{said}"
    );
    // Of an incident nobody else's alerts.
    let (code, said) = dry(&incident);
    assert!(code == Some(0) && said.contains("ray-80") && !said.contains("down-81"), "{said}");
    // Today's, and not that of then.
    let other = told.fleet.path("other.yml");
    fs::write(&other, "hosts: [{ name: ray-99, address: ray-99 }]").unwrap();
    let other = other.to_str().unwrap();
    let (_, said) = told.command(&["replay", &incident, "--dry-run", "--config.file", other]);
    assert!(said.contains("names no host of the inventory"), "{said}");
    assert_eq!(told.responder.rows("attempts").len(), 2, "explaining asks for nothing");

    let (code, said) = told.command(&["replay", &incident]);
    assert!(code == Some(0) && said.contains("ray-80") && !said.contains("down-81"), "{said}");
    let attempts = told.responder.attempts("ray-80");
    assert_eq!((attempts.len(), &attempts[0]["trigger"]), (2, &"manual".into()));
    assert_eq!(told.responder.attempts("down-81").len(), 1);

    // A file that is there comes before an identity.
    fs::write(told.fleet.path(&incident), payload(&[])).unwrap();
    let (code, said) = told.command(&["replay", &incident, "--dry-run", "--config.file", config]);
    assert!(code == Some(0) && !said.contains("ray-80"), "{said}");
    let (code, said) = dry(&uuid::Uuid::now_v7().to_string());
    assert!(code == Some(6) && said.contains("no notification (any more)"), "{said}");
}

#[test]
fn where_no_notifications_are_kept_a_replay_of_an_incident_says_so() {
    let fleet = StandIns::new(["ray-80"]);
    let responder = fleet.serve("journal: { notifications: 0 }");
    let sent = payload(&[alert(LARGE, "firing", &[("host", "ray-80")])]);
    let (_, acknowledged) = responder.post("/webhook", sent.as_bytes(), None);
    let told = Told { responder, fleet, sent, acknowledged };
    let incident = told.incident("ray-80");
    let (code, said) = told.command(&["replay", &incident]);
    assert!(code == Some(1) && said.contains("is not kept any more"), "{said}");
    // As a journal of before notifications were kept has it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite://{}", told.fleet.path("data/journal.db").display());
        let mut journal = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query("UPDATE alerts SET first_notification = NULL").execute(&mut journal).await.unwrap();
    });
    let (code, said) = told.command(&["replay", &incident]);
    assert!(code == Some(1) && said.contains("before notifications were kept"), "{said}");
}

#[test]
fn a_person_closes_an_incident_and_who_did_is_known() {
    let told = Told::new();
    let incident = told.incident("ray-80");
    let by_get = told.responder.get(&format!("/api/v1/incidents/{incident}/close"));
    assert_eq!(by_get.0, 405, "{by_get:?}");
    let (code, said) = told.command(&["close", &incident]);
    let expected = format!(
        "incident {incident} of ray-80 is closed; an alert that is received again, firing, opens a new one\n"
    );
    assert_eq!((code, said), (Some(0), expected));
    let whole = told.asked(&format!("/api/v1/incidents/{incident}"));
    assert_eq!((&whole["close_reason"], &whole["closed_by"]), (&"operator".into(), &"127.0.0.1".into()));
    assert!(told.responder.log().contains("close accepted"));
    let (code, said) = told.command(&["close", &incident]);
    let expected = format!("incident {incident} of ray-80 had closed before (operator)\n");
    assert_eq!((code, said), (Some(0), expected));
    for none in ["999", "x"] {
        let (status, answer) = told.responder.post(&format!("/api/v1/incidents/{none}/close"), b"", None);
        assert_eq!((status, &answer["error"]), (404, &format!("there is no incident {none}").into()));
    }
    // It still fires, and says so.
    told.responder.post("/webhook", told.sent.as_bytes(), None);
    assert_ne!(told.incident("ray-80"), incident);
}
