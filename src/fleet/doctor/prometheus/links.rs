//! What is to be said of Prometheus. Pure.

use super::{Prometheus, RESPONDER_JOB, Target, Told};
use crate::fleet::doctor::{Check, clock_check, rules, skew};

/// What is to be said of it, but for what it has of each host.
pub(in crate::fleet::doctor) fn judge(
    prometheus: Option<&Prometheus>,
    responder_answers: bool,
) -> Vec<Check> {
    const AFTER: [&str; 4] = ["prometheus_clock", "rules", "responder_target", "alerting"];
    let without = |check, because: &str| {
        let after = AFTER.map(|link| Check::skipped(link, because));
        std::iter::once(check).chain(after).collect()
    };
    let Some(Prometheus { base, time, told }) = prometheus else {
        let advice = "name it with --prometheus.url, or prometheus.url in raysweep.yml";
        let check = Check::not_asked("prometheus", "nobody said where it is", advice);
        return without(check, "nobody said where Prometheus is");
    };
    let (time, told) = match (time, told) {
        (Ok(time), Some(told)) => (time, told),
        (Err(silence), _) => return without(silence.check(), silence.because()),
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

pub(super) fn responder_target(told: &Told, responder_answers: bool) -> Check {
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
        None => match its.iter().find(|target| !target.is_up()) {
            Some(target) => not_yet_scraped(LINK, target),
            None => Check::ok(LINK, format!("{} is scraped", its[0].instance)),
        },
    }
}

/// It is not known yet whether it can be reached.
pub(in crate::fleet::doctor) fn not_yet_scraped(link: &'static str, target: &Target) -> Check {
    Check::warn(link, format!("{} was not scraped yet", target.instance), "ask again in a minute")
}

pub(super) fn alerting(told: &Told) -> Check {
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
