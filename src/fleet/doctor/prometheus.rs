//! Prometheus: its clock, what it scrapes, the rules that it has loaded, and whom it tells.

mod links;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use jiff::Timestamp;
use serde_json::Value;

pub(super) use self::links::{judge, not_yet_scraped};
use super::{Check, blocking, site::Site};
use crate::{
    config::{
        load::{self, Overrides},
        responder::HostEntry,
    },
    fleet::access::Access,
};

/// The job that the shipped rules take for the responder's.
const RESPONDER_JOB: &str = "raysweep";
/// The job that they take for node_exporter's.
pub(super) const NODE_JOB: &str = "node";

/// Everything that the rules need of hosts, by name and host. One question for the whole fleet.
const METRICS: &str = "group by (__name__, host) \
     ({__name__=~\"ray_worker_.+|raysweep_.+|node_filesystem_(avail|size)_bytes|node_textfile_mtime_seconds\",host!=\"\"})";

/// When the figures that were scraped last had been written, by each host's own clock.
const WRITTEN: &str = "node_textfile_mtime_seconds{file=~\"(.*/)?raysweep[.]prom\",host!=\"\"}";

/// All that a host's `host` label may say.
fn names_of(entry: &HostEntry) -> impl Iterator<Item = &str> {
    [entry.name.as_str(), entry.address.as_str()].into_iter().chain(entry.aliases.iter().map(String::as_str))
}

/// Something that is scraped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) job: String,
    pub(super) instance: String,
    host: Option<String>,
    /// `up`, `down`, or `unknown` before the first time.
    pub(super) health: String,
    pub(super) trouble: String,
}

impl Target {
    pub(super) fn is_up(&self) -> bool {
        self.health == "up"
    }

    pub(super) fn is_down(&self) -> bool {
        self.health == "down"
    }
}

/// What Prometheus said.
#[derive(Debug)]
pub(super) struct Prometheus {
    base: String,
    /// Its clock, and when it was asked and had answered by ours.
    time: Result<(Timestamp, Timestamp, Timestamp), Silence>,
    told: Option<Told>,
}

/// Why it has said nothing.
#[derive(Debug)]
enum Silence {
    /// It was not asked: what we would show it cannot be read.
    Unasked(String),
    /// It does not answer.
    NoAnswer(String),
}

impl Silence {
    fn because(&self) -> &'static str {
        match self {
            Self::Unasked(_) => "Prometheus was not asked",
            Self::NoAnswer(_) => "Prometheus does not answer",
        }
    }

    fn check(&self) -> Check {
        let (why, advice) = match self {
            Self::Unasked(why) => {
                (why, "it is doctor's alone: make it readable for who walks the chain, or name another file")
            }
            Self::NoAnswer(why) => (why, "start it where it runs, or name it with --prometheus.url"),
        };
        Check::broken("prometheus", why, advice)
    }
}

#[derive(Debug)]
struct Told {
    version: String,
    rules: Result<Value, String>,
    alertmanagers: Result<Value, String>,
    targets: Result<Vec<Target>, String>,
    /// The names of what there is, by the label of its host.
    metrics: Result<BTreeMap<String, BTreeSet<String>>, String>,
    /// When the figures of each host had been written that it has, by the label of its host.
    written: BTreeMap<String, Timestamp>,
    /// What every alert has beside its own labels, once it is sent.
    external_labels: Result<BTreeMap<String, String>, String>,
}

/// Asks it, where anybody said where it is.
pub(super) async fn seen(place: Option<(String, Result<Access, String>)>) -> Option<Prometheus> {
    let (url, access) = place?;
    match access {
        Ok(access) => {
            let asked = blocking(Some(Site::new(&url, access)), Prometheus::ask).await;
            asked.map(|(_, prometheus)| prometheus)
        }
        Err(why) => Some(Prometheus { base: url, time: Err(Silence::Unasked(why)), told: None }),
    }
}

impl Prometheus {
    fn ask(site: &Site) -> Self {
        let asked_at = Timestamp::now();
        let time = site.json("/api/v1/query", &[("query", "time()")]).and_then(|answer| {
            let seconds = answer["data"]["result"][1].as_str().and_then(|text| text.parse::<f64>().ok());
            let time =
                seconds.and_then(timestamp).ok_or_else(|| format!("{} does not say the time", site.base))?;
            Ok((time, asked_at, Timestamp::now()))
        });
        let told = time.is_ok().then(|| Told::ask(site));
        Self { base: site.base.clone(), time: time.map_err(Silence::NoAnswer), told }
    }

    /// Why nothing is known of what it has.
    pub(super) fn silent(&self) -> Option<&'static str> {
        self.time.as_ref().err().map(Silence::because)
    }

    fn told(&self) -> Result<&Told, String> {
        self.told.as_ref().ok_or_else(|| self.silent().unwrap_or_default().to_owned())
    }

    /// What it puts beside the labels of each alert that it sends, where it says.
    pub(super) fn external_labels(&self) -> Option<&BTreeMap<String, String>> {
        self.told.as_ref()?.external_labels.as_ref().ok()
    }

    /// What it scrapes of a host.
    pub(super) fn targets_of(&self, host: &HostEntry) -> Result<Vec<&Target>, String> {
        let told = self.told()?;
        let is_its = |target: &&Target| {
            target.host.as_deref().is_some_and(|label| names_of(host).any(|name| name == label))
        };
        Ok(told.targets.as_ref().map_err(Clone::clone)?.iter().filter(is_its).collect())
    }

    /// The names of what it has of a host.
    pub(super) fn metrics_of(&self, host: &HostEntry) -> Result<BTreeSet<&str>, String> {
        let metrics = self.told()?.metrics.as_ref().map_err(Clone::clone)?;
        let its = names_of(host).filter_map(|name| metrics.get(name)).flatten();
        Ok(its.map(String::as_str).collect())
    }

    /// When the figures had been written that it has of a host, by the host's clock.
    pub(super) fn written_of(&self, host: &HostEntry) -> Option<Timestamp> {
        let written = &self.told.as_ref()?.written;
        names_of(host).filter_map(|name| written.get(name)).max().copied()
    }
}

impl Told {
    fn ask(site: &Site) -> Self {
        let info = site.json("/api/v1/status/buildinfo", &[]).unwrap_or_default();
        Self {
            version: info["data"]["version"].as_str().unwrap_or("an unknown version").to_owned(),
            rules: site.json("/api/v1/rules", &[]),
            alertmanagers: site.json("/api/v1/alertmanagers", &[]),
            targets: site.json("/api/v1/targets", &[("state", "active")]).map(|answer| targets(&answer)),
            metrics: site.json("/api/v1/query", &[("query", METRICS)]).map(|answer| metrics(&answer)),
            written: written(&site.json("/api/v1/query", &[("query", WRITTEN)]).unwrap_or_default()),
            external_labels: site
                .json("/api/v1/status/config", &[])
                .and_then(|answer| external_labels(answer["data"]["yaml"].as_str().unwrap_or_default())),
        }
    }
}

fn targets(answer: &Value) -> Vec<Target> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let active = answer["data"]["activeTargets"].as_array().into_iter().flatten();
    active
        .map(|target| Target {
            job: text(&target["labels"]["job"]),
            instance: text(&target["labels"]["instance"]),
            host: target["labels"]["host"].as_str().map(str::to_owned),
            health: text(&target["health"]),
            trouble: text(&target["lastError"]),
        })
        .collect()
}

fn metrics(answer: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut metrics = BTreeMap::<_, BTreeSet<_>>::new();
    for one in answer["data"]["result"].as_array().into_iter().flatten() {
        if let (Some(host), Some(name)) = (one["metric"]["host"].as_str(), one["metric"]["__name__"].as_str())
        {
            metrics.entry(host.to_owned()).or_default().insert(name.to_owned());
        }
    }
    metrics
}

fn written(answer: &Value) -> BTreeMap<String, Timestamp> {
    let mut written = BTreeMap::new();
    for one in answer["data"]["result"].as_array().into_iter().flatten() {
        let seconds = one["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
        if let (Some(host), Some(at)) = (one["metric"]["host"].as_str(), seconds.and_then(timestamp)) {
            let newest = written.entry(host.to_owned()).or_insert(at);
            *newest = at.max(*newest);
        }
    }
    written
}

fn external_labels(config: &str) -> Result<BTreeMap<String, String>, String> {
    let config: Value =
        load::parse(Path::new("Prometheus' configuration"), config, Overrides::Given(HashMap::new()))
            .map_err(|error| error.to_string())?;
    let labels = config["global"]["external_labels"].as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(labels.map(|(name, value)| (name.clone(), text(value))).collect())
}

// To the millisecond, of which a float has enough.
#[allow(clippy::cast_possible_truncation)]
fn timestamp(seconds: f64) -> Option<Timestamp> {
    Timestamp::from_millisecond((seconds * 1000.0) as i64).ok()
}

#[cfg(test)]
impl Prometheus {
    /// One that has answered so, of what it scrapes, what it has and when that was written.
    pub(super) fn that_answered(scraped: &Value, has: &Value, written_at: &Value) -> Self {
        let at = Timestamp::UNIX_EPOCH;
        let told = Told {
            version: String::new(),
            rules: Err("not asked".to_owned()),
            alertmanagers: Err("not asked".to_owned()),
            targets: Ok(targets(scraped)),
            metrics: Ok(metrics(has)),
            written: written(written_at),
            external_labels: Ok(BTreeMap::new()),
        };
        Self { base: String::new(), time: Ok((at, at, at)), told: Some(told) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        links::{alerting, responder_target},
        *,
    };
    use crate::fleet::doctor::State;

    fn told(targets: Value, alertmanagers: Value) -> Told {
        Told {
            version: String::new(),
            rules: Err("not asked".to_owned()),
            alertmanagers: Ok(json!({ "data": { "activeAlertmanagers": alertmanagers } })),
            targets: Ok(super::targets(&json!({ "data": { "activeTargets": targets } }))),
            metrics: Ok(BTreeMap::new()),
            written: BTreeMap::new(),
            external_labels: Ok(BTreeMap::new()),
        }
    }

    #[test]
    fn the_responder_is_scraped_or_is_not() {
        let target = |health: &str| json!([{ "labels": { "job": "raysweep", "instance": "a:9095" }, "health": health, "lastError": "refused" }]);
        let state = |told: &Told, answers| responder_target(told, answers).state;
        assert_eq!(state(&told(json!([]), json!([])), true), State::Broken);
        assert_eq!(state(&told(target("up"), json!([])), true), State::Ok);
        assert_eq!(state(&told(target("down"), json!([])), true), State::Broken);
        assert_eq!(state(&told(target("down"), json!([])), false), State::Skipped);
        assert_eq!(state(&told(target("unknown"), json!([])), true), State::Warn);
    }

    #[test]
    fn what_cannot_be_shown_is_the_links_own_trouble_and_the_others_hang_on_it() {
        let why = "/etc/raysweep/prometheus-token: cannot be read: Permission denied".to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let unasked = runtime.block_on(seen(Some(("http://p".to_owned(), Err(why.clone()))))).unwrap();
        let checks = judge(Some(&unasked), true);
        assert_eq!((checks[0].state, &checks[0].seen), (State::Broken, &why));
        assert!(checks[1..].iter().all(|check| check.state == State::Skipped));
        assert_eq!(checks[1].seen, "because Prometheus was not asked");
        assert_eq!(unasked.silent(), Some("Prometheus was not asked"));
        assert!(unasked.external_labels().is_none());
    }

    #[test]
    fn what_is_put_beside_each_alerts_labels_stands_in_the_configuration() {
        let config = "global:\n  scrape_interval: 15s\n  external_labels:\n    cluster: prod\n    replica: \"0\"\nscrape_configs: []\n";
        let labels = external_labels(config).unwrap();
        assert_eq!(
            labels,
            [("cluster", "prod"), ("replica", "0")].map(|(a, b)| (a.to_owned(), b.to_owned())).into()
        );
        assert_eq!(external_labels("global:\n  scrape_interval: 15s\n").unwrap(), BTreeMap::new());
        external_labels("{").unwrap_err();
    }

    #[test]
    fn alerts_are_sent_to_somebody_or_to_nobody() {
        assert_eq!(alerting(&told(json!([]), json!([]))).state, State::Broken);
        assert_eq!(alerting(&told(json!([]), json!([{ "url": "http://a" }]))).state, State::Ok);
    }

    #[test]
    fn what_there_is_of_a_host_counts_by_whichever_of_its_names() {
        let one = |host: &str, name: &str| json!({ "metric": { "__name__": name, "host": host } });
        let result = [one("ray-80", "a"), one("10.0.0.80", "b"), one("ray-81", "c")];
        let mut told = told(json!([]), json!([]));
        told.metrics = Ok(metrics(&json!({ "data": { "result": result } })));
        let at = Timestamp::UNIX_EPOCH;
        let prometheus = Prometheus { base: String::new(), time: Ok((at, at, at)), told: Some(told) };
        let host = serde_json::from_value(json!({ "name": "ray-80", "address": "10.0.0.80" })).unwrap();
        assert_eq!(prometheus.metrics_of(&host), Ok(BTreeSet::from(["a", "b"])));
    }

    #[test]
    fn the_newest_figures_of_a_host_count() {
        let one = |host: &str, at: &str| json!({ "metric": { "host": host }, "value": [0, at] });
        let result = [one("ray-80", "1000.25"), one("10.0.0.80", "1e3"), one("ray-81", "2000")];
        let mut told = told(json!([]), json!([]));
        told.written = written(&json!({ "data": { "result": result } }));
        let at = Timestamp::UNIX_EPOCH;
        let prometheus = Prometheus { base: String::new(), time: Ok((at, at, at)), told: Some(told) };
        let host = serde_json::from_value(json!({ "name": "ray-80", "address": "10.0.0.80" })).unwrap();
        assert_eq!(prometheus.written_of(&host), Timestamp::from_millisecond(1_000_250).ok());
    }
}
