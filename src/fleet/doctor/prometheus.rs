//! Prometheus: its clock, what it scrapes, the rules that it has loaded, and whom it tells.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::{Check, clock_check, rules, site::Site, skew};
use crate::config::responder::HostEntry;

/// The job that the shipped rules take for the responder's.
const RESPONDER_JOB: &str = "raysweep";
/// The job that they take for node_exporter's.
pub(super) const NODE_JOB: &str = "node";

/// Everything that the rules need of hosts, by name and host. One question for the whole fleet.
const METRICS: &str = "group by (__name__, host) \
     ({__name__=~\"ray_worker_.+|raysweep_.+|node_filesystem_(avail|size)_bytes|node_textfile_mtime_seconds\",host!=\"\"})";

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
    time: Result<(Timestamp, Timestamp, Timestamp), String>,
    told: Option<Told>,
}

#[derive(Debug)]
struct Told {
    version: String,
    rules: Result<Value, String>,
    alertmanagers: Result<Value, String>,
    targets: Result<Vec<Target>, String>,
    /// The names of what there is, by the label of its host.
    metrics: Result<BTreeMap<String, BTreeSet<String>>, String>,
}

impl Prometheus {
    pub(super) fn ask(site: &Site) -> Self {
        let asked_at = Timestamp::now();
        let time = site.json("/api/v1/query", &[("query", "time()")]).and_then(|answer| {
            let seconds = answer["data"]["result"][1].as_str().and_then(|text| text.parse::<f64>().ok());
            let time =
                seconds.and_then(timestamp).ok_or_else(|| format!("{} does not say the time", site.base))?;
            Ok((time, asked_at, Timestamp::now()))
        });
        let told = time.is_ok().then(|| Told::ask(site));
        Self { base: site.base.clone(), time, told }
    }

    /// Why nothing is known of what it has.
    pub(super) fn silent(&self) -> Option<&str> {
        self.told.is_none().then_some("Prometheus does not answer")
    }

    /// What it scrapes of a host.
    pub(super) fn targets_of(&self, host: &HostEntry) -> Result<Vec<&Target>, String> {
        let told = self.told.as_ref().ok_or("Prometheus does not answer")?;
        let is_its = |target: &&Target| {
            target.host.as_deref().is_some_and(|label| names_of(host).any(|name| name == label))
        };
        Ok(told.targets.as_ref().map_err(Clone::clone)?.iter().filter(is_its).collect())
    }

    /// The names of what it has of a host.
    pub(super) fn metrics_of(&self, host: &HostEntry) -> Result<BTreeSet<&str>, String> {
        let told = self.told.as_ref().ok_or("Prometheus does not answer")?;
        let metrics = told.metrics.as_ref().map_err(Clone::clone)?;
        let its = names_of(host).filter_map(|name| metrics.get(name)).flatten();
        Ok(its.map(String::as_str).collect())
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

// To the millisecond, of which a float has enough.
#[allow(clippy::cast_possible_truncation)]
fn timestamp(seconds: f64) -> Option<Timestamp> {
    Timestamp::from_millisecond((seconds * 1000.0) as i64).ok()
}

/// What is to be said of it, but for what it has of each host.
pub(super) fn judge(prometheus: Option<&(Site, Prometheus)>, responder_answers: bool) -> Vec<Check> {
    const AFTER: [&str; 4] = ["prometheus_clock", "rules", "responder_target", "alerting"];
    let without = |check, because: &str| {
        let after = AFTER.map(|link| Check::skipped(link, because));
        std::iter::once(check).chain(after).collect()
    };
    let Some((_, Prometheus { base, time, told })) = prometheus else {
        let advice = "name it with --prometheus.url, or prometheus.url in raysweep.yml";
        let check = Check::not_asked("prometheus", "nobody said where it is", advice);
        return without(check, "nobody said where Prometheus is");
    };
    let (time, told) = match (time, told) {
        (Ok(time), Some(told)) => (time, told),
        (Err(why), _) => {
            let advice = "start it where it runs, or name it with --prometheus.url";
            return without(Check::broken("prometheus", why, advice), "Prometheus does not answer");
        }
        (Ok(_), None) => return vec![],
    };
    let (clock, asked_at, answered_at) = *time;
    let skew = skew(clock, asked_at, answered_at);
    vec![
        Check::ok("prometheus", format!("{base}, {}", told.version)),
        clock_check("prometheus_clock", skew, "the rules take what a host has measured for old or for none"),
        loaded_rules(told),
        responder_target(told, responder_answers),
        alerting(told),
    ]
}

fn loaded_rules(told: &Told) -> Check {
    const LINK: &str = "rules";
    const ADVICE: &str = "put rules/*.rules.yml of this version into Prometheus' rule_files, and reload it";
    let (shipped, loaded) = match (rules::shipped(), &told.rules) {
        (Ok(shipped), Ok(answer)) => (shipped, rules::loaded(answer)),
        (Err(why), _) => return Check::warn(LINK, why, "tell whoever made this program"),
        (_, Err(why)) => return Check::warn(LINK, why, "look at Prometheus' log"),
    };
    let rules::Difference { missing, different, failing } = rules::difference(&shipped, &loaded);
    if missing.len() == shipped.len() {
        return Check::broken(LINK, "none of the shipped rules is loaded", ADVICE);
    }
    if !missing.is_empty() {
        return Check::broken(LINK, format!("not loaded: {}", missing.join(", ")), ADVICE);
    }
    if !failing.is_empty() {
        let advice = "a label of the targets is not as rules/README.md has it, or a rule of yours makes the same series";
        return Check::broken(LINK, format!("cannot be evaluated: {}", failing.join("; ")), advice);
    }
    if !different.is_empty() {
        let seen = format!("other than shipped: {}", different.join(", "));
        return Check::warn(LINK, seen, format!("if that is not meant: {ADVICE}"));
    }
    Check::ok(LINK, format!("{} rules are loaded as they are shipped", shipped.len()))
}

fn responder_target(told: &Told, responder_answers: bool) -> Check {
    const LINK: &str = "responder_target";
    let targets = match &told.targets {
        Ok(targets) => targets,
        Err(why) => return Check::warn(LINK, why, "look at Prometheus' log"),
    };
    let its: Vec<_> = targets.iter().filter(|target| target.job == RESPONDER_JOB).collect();
    if its.is_empty() {
        return Check::broken(
            LINK,
            "Prometheus scrapes no job raysweep",
            "scrape the responder's /metrics in a job of the name raysweep (rules/README.md)",
        );
    }
    match its.iter().find(|target| target.is_down()) {
        Some(_) if !responder_answers => Check::skipped(LINK, "the responder does not answer"),
        Some(down) => Check::broken(
            LINK,
            format!("{} is down: {}", down.instance, down.trouble),
            "let Prometheus reach the responder's /metrics: address, firewall, and its user or certificate",
        ),
        None => Check::ok(LINK, format!("{} is scraped", its[0].instance)),
    }
}

fn alerting(told: &Told) -> Check {
    const LINK: &str = "alerting";
    let answer = match &told.alertmanagers {
        Ok(answer) => answer,
        Err(why) => return Check::warn(LINK, why, "look at Prometheus' log"),
    };
    let active = answer["data"]["activeAlertmanagers"].as_array().into_iter().flatten();
    let urls: Vec<_> = active.filter_map(|one| one["url"].as_str()).collect();
    if urls.is_empty() {
        return Check::broken(
            LINK,
            "Prometheus sends its alerts to nobody",
            "name Alertmanager in Prometheus' alerting.alertmanagers, and reload it",
        );
    }
    Check::ok(LINK, format!("Prometheus sends its alerts to {}", urls.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fleet::doctor::State;

    fn told(targets: Value, alertmanagers: Value) -> Told {
        Told {
            version: String::new(),
            rules: Err("not asked".to_owned()),
            alertmanagers: Ok(json!({ "data": { "activeAlertmanagers": alertmanagers } })),
            targets: Ok(super::targets(&json!({ "data": { "activeTargets": targets } }))),
            metrics: Ok(BTreeMap::new()),
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
}
