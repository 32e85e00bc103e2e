//! Alertmanager: whether it is there, and where it leads alerts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Check,
    route::{Receiver, Routes},
    site::Site,
    test_alert,
};
use crate::config::responder::ResponderConfig;

const PASTE: &str =
    "paste the routes and the receiver of alertmanager/raysweep.yml at the top of yours, and reload it";

/// What Alertmanager said.
#[derive(Debug)]
pub(super) struct Alertmanager {
    base: String,
    status: Result<Value, String>,
}

impl Alertmanager {
    pub(super) fn ask(site: &Site) -> Self {
        Self { base: site.base.clone(), status: site.json("/api/v2/status", &[]) }
    }
}

/// What is to be said of it.
pub(super) struct Judged {
    pub(super) checks: Vec<Check>,
    /// Whether a test alert would reach a raysweep and nobody else, or why not.
    pub(super) test_is_led: Result<(), String>,
}

pub(super) fn judge(
    alertmanager: Option<&Alertmanager>,
    config: &ResponderConfig,
    responder: &str,
) -> Judged {
    let without_route = |check, because: &str| Judged {
        checks: vec![check, Check::skipped("route", because)],
        test_is_led: Err(because.to_owned()),
    };
    let Some(Alertmanager { base, status }) = alertmanager else {
        let advice = "name it with --alertmanager.url, or alertmanager.url in raysweep.yml";
        return without_route(
            Check::not_asked("alertmanager", "nobody said where it is", advice),
            "nobody said where Alertmanager is",
        );
    };
    let status = match status {
        Ok(status) => status,
        Err(why) => {
            let advice = "start it where it runs, or name it with --alertmanager.url";
            return without_route(Check::broken("alertmanager", why, advice), "Alertmanager does not answer");
        }
    };
    let version = status["versionInfo"]["version"].as_str().unwrap_or("an unknown version");
    let found = Check::ok("alertmanager", format!("{base}, {version}"));
    match Routes::parse(status["config"]["original"].as_str().unwrap_or_default()) {
        Ok(routes) => {
            let route = route(&routes, config, responder);
            Judged { checks: vec![found, route], test_is_led: test_is_led(&routes) }
        }
        Err(why) => {
            let route = Check::warn(
                "route",
                format!("its configuration cannot be read: {why}"),
                "look at it by hand",
            );
            Judged {
                checks: vec![found, route],
                test_is_led: Err("Alertmanager's routes cannot be read".to_owned()),
            }
        }
    }
}

/// Whether each alert of a policy reaches a raysweep, and whether that one is the one that was asked.
fn route(routes: &Routes, config: &ResponderConfig, responder: &str) -> Check {
    let host = config.hosts.first().map_or("", |entry| entry.name.as_str());
    let (mut astray, mut elsewhere) = (vec![], None);
    for policy in &config.policies {
        let labels = BTreeMap::from([
            ("alertname", policy.alert.as_str()),
            ("host", host),
            ("severity", policy.urgency.as_str()),
        ]);
        let receivers = match routes.receivers(&labels) {
            Ok(receivers) => receivers,
            Err(why) => {
                return Check::warn("route", format!("it cannot be read: {why}"), "look at it by hand");
            }
        };
        match receivers.iter().find(|receiver| receiver.is_raysweep()) {
            None => astray.push(format!("{} leads to {}", policy.alert, names(&receivers))),
            Some(receiver) => {
                elsewhere = elsewhere
                    .or(receiver.shown().filter(|url| port(url) != port(responder)).map(str::to_owned));
            }
        }
    }
    if !astray.is_empty() {
        return Check::broken("route", astray.join("; "), PASTE);
    }
    match elsewhere {
        Some(url) => Check::warn(
            "route",
            format!("it leads to {url}, and the responder that was asked is {responder}"),
            "if they are the same, --send-test-alert shows it; else put the receiver's url right, or --url",
        ),
        None => Check::ok("route", format!("{} alerts lead to raysweep", config.policies.len())),
    }
}

fn names(receivers: &[Receiver]) -> String {
    let names: Vec<_> = receivers.iter().map(|receiver| receiver.name.as_str()).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

/// The names of one server are many, so its port is what tells it from another one.
fn port(url: &str) -> Option<u16> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    let after_address = authority.rsplit_once(']').map_or(authority, |(_, after)| after);
    match after_address.rsplit_once(':') {
        Some((_, port)) => port.parse().ok(),
        None => Some(if scheme == "https" { 443 } else { 80 }),
    }
}

/// Nobody is to be woken by a test.
fn test_is_led(routes: &Routes) -> Result<(), String> {
    let labels = BTreeMap::from([("alertname", test_alert::NAME), ("severity", "none")]);
    let receivers = routes.receivers(&labels)?;
    let leads = !receivers.is_empty() && receivers.iter().all(Receiver::is_raysweep);
    if leads {
        Ok(())
    } else {
        Err(format!(
            "{} would lead to {}, and not to raysweep alone: {PASTE}",
            test_alert::NAME,
            names(&receivers)
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fleet::doctor::State;

    const SHIPPED: &str = include_str!("../../../alertmanager/raysweep.yml");

    fn judged(config: &str, responder: &str) -> Judged {
        let status = json!({ "versionInfo": { "version": "0.25.0" }, "config": { "original": config } });
        let alertmanager = Alertmanager { base: "http://a".to_owned(), status: Ok(status) };
        judge(Some(&alertmanager), &ResponderConfig::default(), responder)
    }

    #[test]
    fn the_shipped_route_leads_here_and_another_one_does_not() {
        let shipped = judged(SHIPPED, "http://localhost:9095");
        assert_eq!(shipped.checks[1].state, State::Ok, "{:?}", shipped.checks);
        shipped.test_is_led.unwrap();
        let elsewhere = judged(SHIPPED, "http://localhost:9195");
        assert_eq!(elsewhere.checks[1].state, State::Warn);
        let astray = judged(&SHIPPED.replace("RayWorkerDiskCritical\"", "Other\""), "http://localhost:9095");
        assert_eq!(astray.checks[1].state, State::Broken);
        assert_eq!(astray.checks[1].seen, "RayWorkerDiskCritical leads to people");
        let people = judged(&SHIPPED.replace("RaySweepDoctorTest", "Other"), "http://localhost:9095");
        assert!(people.test_is_led.unwrap_err().contains("would lead to people"));
    }

    #[test]
    fn an_address_is_told_from_another_by_its_port() {
        for (url, expected) in [
            ("http://a:9095/webhook", Some(9095)),
            ("http://[::1]:9095", Some(9095)),
            ("https://[::1]/x:1", Some(443)),
            ("http://a/webhook", Some(80)),
            ("a", None),
        ] {
            assert_eq!(port(url), expected, "{url}");
        }
    }
}
