//! The whole way of an alert, on real parts: a worker's leftovers push a metric over the line,
//! Prometheus fires, Alertmanager calls the webhook, raysweep goes to the host over SSH and sweeps
//! it, and the alert resolves.
//!
//! It is gone once; each test states one fact of what happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
    time::Instant,
};

use serde_json::{Value, json};

use crate::{
    fleet::{self, BARE, CADVISED, DOWN, ENFORCING, HELD, INVENTORY, OBSERVING, REKEYED, STRANGER},
    queries,
    ray::Job,
    stage::{MOUNTED, PLAIN, at_rest, disk_usage, exists, plant, wait_until_older},
    world::{Failed, wait_until},
};

/// Over half of the world's disk of 4 GiB, and leaving less than a third of it: the shipped lines are
/// crossed as they are shipped.
const PLANTED: [(&str, u64, u32); 3] =
    [("ray_tmp_*", 1_600_000_000, 3), ("pip-*", 600_000_000, 2), ("tmp*", 500_000_000, 1)];

/// What became of it all.
struct Gone {
    planted_bytes: u64,
    leftovers: Vec<String>,
    left: Vec<String>,
    folder_of_the_task: (String, bool),
    task: Result<String, Failed>,
    task_job: String,
    hostile: Vec<(String, String)>,
    incidents: Vec<Value>,
    attempts: Vec<Value>,
    ignored: Vec<Value>,
    metrics: String,
    log: Vec<Value>,
    ssh: Vec<String>,
    /// Selectors of rules and dashboard, and whether Prometheus has series for them.
    selectors: BTreeMap<String, bool>,
    /// What each host's worker holds and may hold, by whom it was read.
    readings: BTreeMap<(String, String), (f64, f64)>,
}

static GONE: OnceLock<Result<Gone, String>> = OnceLock::new();

fn gone() -> &'static Gone {
    let gone = GONE.get_or_init(|| {
        std::panic::catch_unwind(go).map_err(|panic| {
            println!("{}", fleet::state());
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
        })
    });
    gone.as_ref().unwrap_or_else(|reason| panic!("the way was not gone to its end: {reason}"))
}

fn go() -> Gone {
    at_rest();
    fleet::hosts_up().unwrap();
    let leftovers: Vec<String> =
        PLANTED.iter().flat_map(|(kind, bytes, count)| plant(PLAIN, kind, *bytes, *count)).collect();
    let planted_bytes = leftovers.iter().map(|path| disk_usage(PLAIN, path)).sum();
    let paths: Vec<&str> = leftovers.iter().map(String::as_str).collect();
    // They are older than the job by more than the margin: nothing of them can be the job's.
    wait_until_older(PLAIN, &paths, 3);
    let (job, folder) = Job::sleeping(MOUNTED);
    wait_until_older(MOUNTED, &[&folder], 3);
    fleet::responder_up().unwrap();
    let hostile = hostile_labels().into_iter().map(|(what, body)| (what, fleet::post(&body))).collect();
    fleet::measuring_up().unwrap();
    fleet::monitoring_up().unwrap();

    wait_until(90, "the host that observes to be swept", || {
        fleet::listed("attempts").iter().any(|attempt| !attempt["finished_at"].is_null())
    });
    fleet::watch_all().unwrap();

    let began = Instant::now();
    wait_until(90, "an incident of every host", || open_or_closed() == INVENTORY.len());
    wait_until(180, "every incident to close", || fleet::listed("incidents").iter().all(is_closed));
    println!(
        "from the first look at all hosts to the last incident's end: {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let stood = exists(MOUNTED, &format!("{folder}/checkpoint"));
    let task_job = job.id.clone();
    Gone {
        planted_bytes,
        left: leftovers.iter().filter(|path| exists(PLAIN, path)).cloned().collect(),
        leftovers,
        folder_of_the_task: (folder, stood),
        task: job.result(),
        task_job,
        hostile,
        incidents: fleet::listed("incidents"),
        attempts: fleet::listed("attempts"),
        ignored: fleet::listed("ignored"),
        metrics: fleet::get("/metrics").unwrap(),
        log: fleet::log(),
        ssh: fleet::started_ssh(),
        selectors: selectors(),
        readings: readings(PLAIN),
    }
}

/// What the backstop tells is asked for too, so it sweeps once.
fn selectors() -> BTreeMap<String, bool> {
    fleet::swept_by_cron(ENFORCING);
    let asked =
        queries::of_dashboard().into_iter().chain(queries::of_rules(&fleet::prometheus("rules", None)));
    let selectors: BTreeSet<_> = asked.flat_map(|query| queries::selectors(&query)).collect();
    wait_until(60, "what cron's sweep came to in Prometheus", || {
        fleet::has_series("raysweep_last_sweep_timestamp_seconds{trigger=\"cron\"}")
    });
    selectors.into_iter().map(|selector| (selector.clone(), fleet::has_series(&selector))).collect()
}

/// What the rules have chosen for a worker, by host and source.
fn readings(worker: &str) -> BTreeMap<(String, String), (f64, f64)> {
    let chosen = |what: &str| -> BTreeMap<(String, String), f64> {
        let query = format!("host_worker:ray_worker_tmp_{what}_bytes:chosen{{worker=\"{worker}\"}}");
        let found = fleet::prometheus("query", Some(&query));
        let series = found["data"]["result"].as_array().unwrap_or_else(|| panic!("{query}: {found}")).iter();
        series
            .map(|one| {
                let labels = &one["metric"];
                (
                    (text(labels, "host"), text(labels, "source")),
                    one["value"][1].as_str().unwrap().parse().unwrap(),
                )
            })
            .collect()
    };
    let limits = chosen("limit");
    chosen("used").into_iter().map(|(of, used)| (of.clone(), (used, limits[&of]))).collect()
}

fn open_or_closed() -> usize {
    let hosts: BTreeSet<String> =
        fleet::listed("incidents").iter().map(|incident| text(incident, "host")).collect();
    hosts.len()
}

fn is_closed(incident: &Value) -> bool {
    incident["state"] == "closed"
}

/// Labels that nobody may act on, as the bodies of notifications.
fn hostile_labels() -> Vec<(String, String)> {
    let long = "x".repeat(64 * 1024);
    ["-oProxyCommand=touch /tmp/pwned", "a@b", "$(touch /tmp/pwned)", "../..", "alpha;id", &long]
        .into_iter()
        .map(|host| (format!("{host:.40}"), notification(&json!({ "host": host }))))
        .chain([(
            "two hosts".to_owned(),
            notification(&json!({ "host": ENFORCING, "instance": format!("{HELD}:9100") })),
        )])
        .collect()
}

fn notification(labels: &Value) -> String {
    let mut labels = labels.clone();
    labels["alertname"] = "RayWorkerCriticalTmpDirectory".into();
    let fingerprint = format!(
        "{:016x}",
        labels
            .to_string()
            .bytes()
            .fold(7_u64, |hash, byte| { hash.wrapping_mul(31).wrapping_add(u64::from(byte)) })
    );
    let alert = json!({
        "status": "firing", "labels": labels, "annotations": {}, "startsAt": "2026-01-05T12:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": fingerprint,
    });
    json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing",
        "receiver": "raysweep", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "", "alerts": [alert],
    })
    .to_string()
}

impl Gone {
    fn incident(&self, host: &str) -> &Value {
        let mut found = self.incidents.iter().filter(|incident| incident["host"] == host);
        let incident = found.next().unwrap_or_else(|| panic!("no incident of {host}"));
        assert!(found.next().is_none(), "{host} has more than one incident: {:?}", self.incidents);
        incident
    }

    /// The first attempt on a host; lists come newest first.
    fn attempt(&self, host: &str) -> &Value {
        let found = self.attempts.iter().rev().find(|attempt| attempt["host"] == host);
        found.unwrap_or_else(|| panic!("no attempt on {host}"))
    }

    fn metric(&self, series: &str) -> f64 {
        let value = self.metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {series} in\n{}", self.metrics)).parse().unwrap()
    }

    /// How the first attempt on a host ended: the journal says it, and log and metrics say the same.
    fn check_outcome(&self, host: &str, outcome: &str, reason: Option<&str>) {
        let attempt = self.attempt(host);
        assert_eq!(attempt["outcome"], outcome, "{attempt:#}");
        assert_eq!(attempt["trigger"], "alert");
        if let Some(reason) = reason {
            assert_eq!(attempt["reason"], reason, "{attempt:#}");
            let failures = self.metric(&format!("raysweep_attempt_failures_total{{reason=\"{reason}\"}}"));
            assert!(failures >= 1.0, "{reason} is not counted");
        }
        let series = format!("raysweep_attempts_total{{host=\"{host}\",outcome=\"{outcome}\"}}");
        assert!(self.metric(&series) >= 1.0, "{series} is not counted");
        let logged = self.log.iter().any(|line| {
            let line = line.to_string();
            [host, outcome].iter().all(|word| line.contains(&format!("\"{word}\"")))
                && reason.is_none_or(|reason| line.contains(reason))
        });
        assert!(logged, "no line of the log says {outcome} of {host}: {:#?}", self.log);
    }
}

fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_else(|| panic!("no {key} in {row:#}")).to_owned()
}

fn time(row: &Value, key: &str) -> jiff::Timestamp {
    text(row, key).parse().unwrap()
}

#[test]
fn an_alert_fires_by_itself_is_swept_over_ssh_and_resolves() {
    let gone = gone();
    assert!(gone.left.is_empty(), "{:?} of {:?} still stand", gone.left, gone.leftovers);
    gone.check_outcome(ENFORCING, "freed", None);
    let attempt = gone.attempt(ENFORCING);
    let freed = attempt["freed_bytes"].as_u64().unwrap();
    assert!(freed >= gone.planted_bytes, "{freed} bytes freed of {} planted", gone.planted_bytes);
    let incident = gone.incident(ENFORCING);
    assert_eq!(incident["close_reason"], "resolved", "{incident:#}");
    let names: Vec<_> = incident["alerts"].as_array().unwrap().iter().map(|a| text(a, "name")).collect();
    assert!(names.iter().any(|name| name == "RayWorkerLargeTmpDirectory"), "{names:?}");
    let since = time(incident, "firing_since");
    for (what, at) in [
        ("accepted", time(incident, "accepted_at")),
        ("connected", time(attempt, "connected_at")),
        ("swept", time(attempt, "finished_at")),
        ("closed", time(incident, "closed_at")),
    ] {
        let after = at.duration_since(since).as_secs_f64();
        println!("{what} {after:.1} s after the alert began to fire");
        assert!(after >= 0.0, "{what} before it fired");
    }
    println!("{freed} bytes freed of {} planted", gone.planted_bytes);
}

#[test]
fn every_host_has_one_incident_and_all_of_them_close_once_the_space_is_free() {
    for (host, _) in INVENTORY {
        assert_eq!(gone().incident(host)["close_reason"], "resolved", "{host}");
        assert!((gone().metric(&format!("raysweep_incident_open{{host=\"{host}\"}}"))).abs() < 0.5);
    }
}

#[test]
fn the_worker_whose_task_sleeps_loses_nothing_and_the_task_returns() {
    let gone = gone();
    let (folder, stood) = &gone.folder_of_the_task;
    assert!(stood, "{folder} is gone");
    assert_eq!(gone.task.as_ref().unwrap(), &format!("state of {}", gone.task_job));
    let workers = gone.attempt(ENFORCING)["report"]["workers"].as_array().unwrap();
    let busy = workers.iter().find(|worker| worker["name"] == MOUNTED).unwrap();
    assert_eq!((&busy["state"], &busy["verdict"]), (&json!("active"), &json!("active")), "{busy:#}");
}

#[test]
fn a_host_on_hold_is_left_alone_and_the_others_go_on() {
    gone().check_outcome(HELD, "held", None);
}

#[test]
fn a_host_in_observe_mode_says_what_would_go_and_frees_nothing() {
    let gone = gone();
    gone.check_outcome(OBSERVING, "would_free", None);
    let report = &gone.attempt(OBSERVING)["report"];
    assert_eq!(report["mode"], "observe");
    let workers = report["workers"].as_array().unwrap();
    let plain = workers.iter().find(|worker| worker["name"] == PLAIN).unwrap();
    assert_eq!(plain["verdict"], "would_clean", "{plain:#}");
    let freed = gone.metric(&format!("raysweep_freed_bytes_total{{host=\"{OBSERVING}\"}}"));
    assert!(freed.abs() < 0.5, "{freed} bytes are counted as freed on a host that only observes");
}

#[test]
fn a_host_whose_key_has_changed_is_refused() {
    gone().check_outcome(REKEYED, "refused", Some("host_key_changed"));
}

#[test]
fn a_host_without_the_binary_is_refused_with_that_reason() {
    gone().check_outcome(BARE, "refused", Some("no_binary"));
}

#[test]
fn a_host_on_which_nothing_listens_is_unreachable() {
    gone().check_outcome(DOWN, "unreachable", Some("connection_refused"));
}

#[test]
fn an_alert_for_a_host_outside_the_inventory_is_recorded_and_leads_nowhere() {
    let gone = gone();
    let found = gone.ignored.iter().find(|row| row["labels"]["host"] == STRANGER);
    let row = found.unwrap_or_else(|| panic!("{STRANGER} is not recorded: {:#?}", gone.ignored));
    assert_eq!(row["reason"], "unknown_host");
    assert!(gone.attempts.iter().all(|attempt| attempt["host"] != STRANGER));
    assert!(gone.metric("raysweep_alerts_ignored_total{reason=\"unknown_host\"}") >= 1.0);
}

#[test]
fn hostile_labels_are_taken_recorded_and_counted_and_start_no_ssh() {
    let gone = gone();
    for (what, status) in &gone.hostile {
        assert_eq!(status, "200", "{what}");
    }
    let unknown = gone.metric("raysweep_alerts_ignored_total{reason=\"unknown_host\"}");
    assert!(unknown >= 6.0, "{unknown}");
    let ambiguous = gone.metric("raysweep_alerts_ignored_total{reason=\"ambiguous_host\"}");
    assert!((ambiguous - 1.0).abs() < 0.5, "{ambiguous}");
    assert!(gone.ignored.len() >= gone.hostile.len(), "{:#?}", gone.ignored);

    let ours: Vec<_> =
        INVENTORY.iter().map(|(_, address)| format!("-l raysweep -p 22 -- {address}")).collect();
    for arguments in &gone.ssh {
        assert!(ours.iter().any(|own| arguments.ends_with(own)), "ssh {arguments}");
    }
    assert!(gone.ssh.len() >= INVENTORY.len(), "the recorder has seen too little: {:?}", gone.ssh);
    assert_eq!(gone.ssh.len(), gone.attempts.len(), "{:?}\n{:#?}", gone.ssh, gone.attempts);
    assert!(!std::path::Path::new("/tmp/pwned").exists());
}

/// Rules and dashboard ask for nothing that is not there. What an escalated incident shows is asked for in
/// the responder's own tests, since none waits for a person here.
#[test]
fn every_selector_of_rules_and_dashboard_has_series_after_a_real_run() {
    let (elsewhere, here): (Vec<_>, Vec<_>) =
        gone().selectors.iter().partition(|(selector, _)| selector.starts_with("raysweep_incident_"));
    let missing: Vec<_> = here.iter().filter(|(_, found)| !**found).map(|(selector, _)| selector).collect();
    assert!(missing.is_empty(), "no series of {missing:#?}");
    println!("{} selectors have series, {} are not asked for here", here.len(), elsewhere.len());
    assert!(here.len() > 40, "{here:?}");
}

#[test]
fn cadvisor_is_read_where_a_host_has_no_raysweep_and_only_there() {
    let gone = gone();
    let of = |host: &str, source: &str| gone.readings.get(&(host.to_owned(), source.to_owned()));
    let readings = &gone.readings;
    let (used, limit) = of(CADVISED, "cadvisor").unwrap_or_else(|| panic!("{readings:?}"));
    let (_, same) = of(ENFORCING, "raysweep").unwrap_or_else(|| panic!("{readings:?}"));
    assert_eq!(readings.keys().filter(|(host, _)| [CADVISED, ENFORCING].contains(&host.as_str())).count(), 2);
    // To the byte, although one asks Docker and the other the file system.
    assert!((limit - same).abs() < 1.0, "{readings:?}");
    assert!(*used > 0.0 && used < limit, "{readings:?}");
    let fired = gone.ignored.iter().find(|row| row["labels"]["host"] == CADVISED);
    assert_eq!(fired.map(|row| text(&row["labels"], "worker")).as_deref(), Some(PLAIN));
}

#[test]
fn the_webhook_takes_nothing_without_the_token() {
    gone();
    let words = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@-"];
    let body = notification(&json!({ "host": ENFORCING }));
    let status =
        crate::world::run(&[&words[..], &["http://127.0.0.1:9095/webhook"]].concat(), &body).unwrap();
    assert_eq!(status, "401");
    assert_eq!(fleet::listed("incidents").len(), gone().incidents.len());
}
