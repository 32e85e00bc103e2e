//! Alertmanager: whether it is there, and where it leads alerts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Check, State,
    route::{Receiver, Routes, Webhook},
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
    /// The receivers that a test alert would reach, all of them a raysweep and nobody else; or why it is not sent.
    pub(super) test: Result<Vec<String>, NotLed>,
    /// The receivers of which only an alert that arrives can show that they lead here.
    unproven: Vec<String>,
}

/// Why a test alert is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotLed {
    /// Another link is broken, which says it.
    Skipped(&'static str),
    /// No other link says it.
    Broken { why: String, advice: &'static str },
}

impl Judged {
    fn without_routes(checks: Vec<Check>, test: NotLed) -> Self {
        Self { checks, test: Err(test), unproven: vec![] }
    }

    /// A test alert has come to the responder that was asked: where it went, the others go as well.
    pub(super) fn test_has_arrived(&mut self) {
        let Ok(tested) = &self.test else { return };
        let is_proven = !self.unproven.is_empty() && self.unproven.iter().all(|name| tested.contains(name));
        let route = self.checks.iter_mut().find(|check| check.check == "route");
        if let Some(route) = route.filter(|_| is_proven) {
            let receivers = self.unproven.join(", ");
            *route = Check::ok(
                "route",
                format!("the alerts lead to {receivers}, and there the test alert came from"),
            );
        }
    }
}

/// The labels that Prometheus puts beside an alert's own are known where it was asked.
pub(super) fn judge(
    alertmanager: Option<&Alertmanager>,
    config: &ResponderConfig,
    responder: &str,
    external_labels: Option<&BTreeMap<String, String>>,
) -> Judged {
    const NAME_IT: &str = "name it with --alertmanager.url, or alertmanager.url in raysweep.yml";
    let Some(Alertmanager { base, status }) = alertmanager else {
        let why = "nobody said where Alertmanager is";
        let checks = vec![
            Check::not_asked("alertmanager", "nobody said where it is", NAME_IT),
            Check::skipped("route", why),
        ];
        return Judged::without_routes(checks, NotLed::Broken { why: why.to_owned(), advice: NAME_IT });
    };
    let status = match status {
        Ok(status) => status,
        Err(why) => {
            let because = "Alertmanager does not answer";
            let advice = "start it where it runs, or name it with --alertmanager.url; where it wants to know who \
                          asks, alertmanager.username or alertmanager.bearer_token_file";
            let checks = vec![Check::broken("alertmanager", why, advice), Check::skipped("route", because)];
            return Judged::without_routes(checks, NotLed::Skipped(because));
        }
    };
    let version = status["versionInfo"]["version"].as_str().unwrap_or("an unknown version");
    let found = Check::ok("alertmanager", format!("{base}, {version}"));
    let routes = match Routes::parse(status["config"]["original"].as_str().unwrap_or_default()) {
        Ok(routes) => routes,
        Err(why) => {
            let unread = format!("its configuration cannot be read: {why}");
            let route = Check::warn("route", unread, "look at it by hand");
            let why = "its routes cannot be read, and nobody is to be woken".to_owned();
            let test = NotLed::Broken { why, advice: "look at Alertmanager's configuration by hand" };
            return Judged::without_routes(vec![found, route], test);
        }
    };
    let asked = Asked { routes: &routes, config, responder, external_labels };
    let (route, unproven) = asked.route();
    let test = asked.test().map_err(|why| {
        if route.state == State::Broken {
            NotLed::Skipped("the routes do not lead to raysweep")
        } else {
            NotLed::Broken { why, advice: PASTE }
        }
    });
    Judged { checks: vec![found, route], test, unproven }
}

/// What is asked of the routes.
struct Asked<'a> {
    routes: &'a Routes,
    config: &'a ResponderConfig,
    responder: &'a str,
    external_labels: Option<&'a BTreeMap<String, String>>,
}

impl<'a> Asked<'a> {
    fn led(&self, own: &[(&'a str, &'a str)]) -> Result<Vec<Receiver>, String> {
        let external = self.external_labels.into_iter().flatten();
        let external = external.map(|(name, value)| (name.as_str(), value.as_str()));
        self.routes.receivers(&external.chain(own.iter().copied()).collect())
    }

    /// Whether each alert of a policy reaches a raysweep, and whether that one is the one that was asked; and
    /// the receivers of which that cannot be told.
    fn route(&self) -> (Check, Vec<String>) {
        const LINK: &str = "route";
        let host = self.config.hosts.first().map_or("", |entry| entry.name.as_str());
        let (mut astray, mut hidden, mut elsewhere) = (vec![], BTreeSet::new(), BTreeMap::new());
        let mut rare = BTreeMap::new();
        for policy in &self.config.policies {
            let (alert, severity) = (policy.alert.as_str(), policy.urgency.as_str());
            let receivers = match self.led(&[("alertname", alert), ("host", host), ("severity", severity)]) {
                Ok(receivers) => receivers,
                Err(why) => {
                    let seen = format!("it cannot be read: {why}");
                    return (Check::warn(LINK, seen, "look at it by hand"), vec![]);
                }
            };
            let shown = receivers.iter().find_map(|receiver| Some((&receiver.name, receiver.raysweep()?)));
            let ours = receivers
                .iter()
                .find(|receiver| receiver.raysweep().is_some())
                .or_else(|| receivers.iter().find(|receiver| receiver.is_hidden() && receiver.is_asked_for));
            rare.extend(
                ours.and_then(|receiver| Some((receiver.name.clone(), self.told_too_little(receiver)?))),
            );
            match shown {
                Some((name, url)) if port(url) != port(self.responder) => {
                    elsewhere.insert(name.clone(), url.to_owned());
                }
                Some(_) => {}
                None => match receivers.iter().find(|receiver| receiver.is_hidden()) {
                    Some(receiver) => {
                        hidden.insert(receiver.name.clone());
                    }
                    None => astray.push(format!("{alert} leads to {}", names(&receivers))),
                },
            }
        }
        if !astray.is_empty() {
            return (Check::broken(LINK, self.by_what_labels(&astray.join("; ")), PASTE), vec![]);
        }
        if let Some((_, (seen, advice))) = rare.into_iter().next() {
            return (Check::warn(LINK, seen, advice), vec![]);
        }
        let unproven = elsewhere.keys().cloned().chain(hidden.iter().cloned()).collect();
        if let Some(url) = elsewhere.values().next() {
            let url = without_user(url);
            let seen = format!("it leads to {url}, and the responder that was asked is {}", self.responder);
            let advice = "if they are the same, --send-test-alert shows it; else put the receiver's url right, or --url";
            return (Check::warn(LINK, seen, advice), unproven);
        }
        if !hidden.is_empty() {
            let receivers = Vec::from_iter(hidden).join(", ");
            let seen = format!("the alerts lead to {receivers}, and Alertmanager does not say where that is");
            let advice = "--send-test-alert shows it, where RaySweepDoctorTest has a route to that receiver";
            return (Check::warn(LINK, seen, advice), unproven);
        }
        let many = self.config.policies.len();
        (Check::ok(LINK, self.by_what_labels(&format!("{many} alerts lead to raysweep"))), vec![])
    }

    /// Where a receiver hears of an alert too seldom, or not of its end. An incident that nobody tells of any
    /// more is taken for over; one notification may fail.
    fn told_too_little(&self, receiver: &Receiver) -> Option<(String, &'static str)> {
        let Receiver { name, again_after, kept_back, .. } = receiver;
        let expiry = self.config.timing.expiry;
        if again_after.0 > expiry.0 / 2 {
            let seen = format!(
                "{name} is told again of an alert that fires after {again_after}, and an incident is over after \
                 {expiry} without a word (timing.expiry): twice has to be within it"
            );
            return Some((
                seen,
                "give the route repeat_interval: 15m and group_interval: 1m, as alertmanager/raysweep.yml has them",
            ));
        }
        let kept_back = kept_back.first()?;
        let seen = format!("{name} has {kept_back}: raysweep does not hear of every alert and of its end");
        Some((seen, "take it out of the receiver's webhook_configs, and reload Alertmanager"))
    }

    /// What was seen, and what it was seen without.
    fn by_what_labels(&self, seen: &str) -> String {
        match self.external_labels {
            Some(_) => seen.to_owned(),
            None => format!("{seen}, by their own labels: Prometheus' external_labels are not known"),
        }
    }

    /// Nobody is to be woken by a test: everybody whom it reaches has to be a raysweep. One that is not the
    /// responder that was asked, and one that is hidden, is taken for one only where the route to it asks for
    /// the test by name: then somebody has meant it.
    fn test(&self) -> Result<Vec<String>, String> {
        let receivers = self.led(&[("alertname", test_alert::NAME), ("severity", "none")])?;
        let is_fine = |receiver: &Receiver| match receiver.alone() {
            Some(Webhook::Hidden) => receiver.is_asked_for,
            Some(webhook) => webhook
                .raysweep()
                .is_some_and(|url| receiver.is_asked_for || port(url) == port(self.responder)),
            None => false,
        };
        if !receivers.is_empty() && receivers.iter().all(is_fine) {
            return Ok(receivers.into_iter().map(|receiver| receiver.name).collect());
        }
        let name = test_alert::NAME;
        let led = names(&receivers);
        Err(match receivers.iter().find(|receiver| receiver.is_hidden() && !receiver.is_asked_for) {
            Some(_) => format!(
                "{name} has no route of its own: it would lead to {led}, and Alertmanager does not say where that is"
            ),
            None => format!("{name} would lead to {led}, and not to raysweep alone"),
        })
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
    let authority = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let after_address = authority.rsplit_once(']').map_or(authority, |(_, after)| after);
    match after_address.rsplit_once(':') {
        Some((_, port)) => port.parse().ok(),
        None => Some(if scheme == "https" { 443 } else { 80 }),
    }
}

/// What stands before an address' `@` is somebody's secret.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://***{}", &rest[user.len()..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHIPPED: &str = include_str!("../../../alertmanager/raysweep.yml");

    fn with_labels(config: &str, responder: &str, labels: Option<&BTreeMap<String, String>>) -> Judged {
        let status = json!({ "versionInfo": { "version": "0.25.0" }, "config": { "original": config } });
        let alertmanager = Alertmanager { base: "http://a".to_owned(), status: Ok(status) };
        judge(Some(&alertmanager), &ResponderConfig::default(), responder, labels)
    }

    fn judged(config: &str, responder: &str) -> Judged {
        with_labels(config, responder, Some(&BTreeMap::new()))
    }

    fn why(judged: Judged) -> String {
        match judged.test.unwrap_err() {
            NotLed::Broken { why, .. } => why,
            NotLed::Skipped(because) => format!("skipped: {because}"),
        }
    }

    #[test]
    fn the_shipped_route_leads_here_and_another_one_does_not() {
        let shipped = judged(SHIPPED, "http://localhost:9095");
        assert_eq!(shipped.checks[1].state, State::Ok, "{:?}", shipped.checks);
        assert_eq!(shipped.test.unwrap(), ["raysweep"]);
        let elsewhere = judged(SHIPPED, "http://localhost:9195");
        assert_eq!(elsewhere.checks[1].state, State::Warn);
        let with_user = SHIPPED.replace("http://127.0.0.1:9095/", "http://jo:s3cret@127.0.0.1:9095/");
        assert_eq!(judged(&with_user, "http://localhost:9095").checks[1].state, State::Ok);
        let seen = &judged(&with_user, "http://localhost:9195").checks[1].seen;
        assert!(seen.starts_with("it leads to http://***@127.0.0.1:9095/webhook, and"), "{seen}");
        let astray = judged(&SHIPPED.replace("RayWorkerDiskCritical\"", "Other\""), "http://localhost:9095");
        assert_eq!(astray.checks[1].state, State::Broken);
        assert_eq!(astray.checks[1].seen, "RayWorkerDiskCritical leads to people");
        let people = judged(&SHIPPED.replace("RaySweepDoctorTest", "Other"), "http://localhost:9095");
        assert_eq!(people.checks[1].state, State::Ok, "no other row says that no test can be sent");
        assert_eq!(why(people), "RaySweepDoctorTest would lead to people, and not to raysweep alone");
    }

    /// As Alertmanager shows it from 0.26 on.
    fn hidden(config: &str) -> String {
        config.replace("url: http://127.0.0.1:9095/webhook", "url: <secret>")
    }

    #[test]
    fn where_an_address_is_hidden_only_an_alert_that_arrives_shows_where_it_leads() {
        let mut judged = judged(&hidden(SHIPPED), "http://localhost:9095");
        assert_eq!(judged.checks[1].state, State::Warn);
        assert!(judged.checks[1].seen.ends_with("Alertmanager does not say where that is"));
        assert_eq!(judged.test.as_ref().unwrap(), &["raysweep"], "its route asks for the test by name");
        judged.test_has_arrived();
        assert_eq!(judged.checks[1].state, State::Ok, "{:?}", judged.checks);
    }

    #[test]
    fn a_test_that_arrives_by_another_receiver_proves_nothing_of_this_one() {
        let other = hidden(SHIPPED).replacen("receiver: raysweep", "receiver: other", 1)
            + "\n  - name: other\n    webhook_configs: [{ url: <secret> }]\n";
        let mut judged = judged(&other, "http://localhost:9095");
        assert_eq!(judged.test.as_ref().unwrap(), &["other"]);
        judged.test_has_arrived();
        assert_eq!(judged.checks[1].state, State::Warn);
    }

    #[test]
    fn whoever_has_a_bridge_to_a_pager_and_no_route_to_raysweep_is_not_woken_and_not_told_that_all_is_well() {
        for webhook in ["url: <secret>", "url_file: /etc/prometheus/pager"] {
            let config = format!(
                "route: {{ receiver: pager }}\nreceivers: [{{ name: pager, webhook_configs: [{{ {webhook} }}] }}]"
            );
            let judged = judged(&config, "http://localhost:9095");
            assert_eq!(judged.checks[1].state, State::Warn, "{:?}", judged.checks);
            assert!(
                why(judged).starts_with("RaySweepDoctorTest has no route of its own: it would lead to pager")
            );
        }
        let shown = "route: { receiver: pager }\nreceivers: [{ name: pager, webhook_configs: [{ url: 'http://pager:8080/webhook' }] }]";
        assert!(judged(shown, "http://localhost:9095").test.is_err(), "another port, and nobody meant it");
    }

    #[test]
    fn a_raysweep_that_is_told_too_seldom_or_not_of_the_end_is_said() {
        let seen = |config: &str| {
            let route = judged(config, "http://localhost:9095").checks.remove(1);
            if route.state == State::Warn { route.seen } else { String::new() }
        };
        let seldom = SHIPPED.replace("repeat_interval: 15m", "repeat_interval: 4h");
        assert_eq!(
            seen(&seldom),
            "raysweep is told again of an alert that fires after 4h 1m, and an incident is over after 45m without \
             a word (timing.expiry): twice has to be within it"
        );
        assert!(seen(&hidden(&seldom)).contains("4h 1m"), "where it stands does not matter");
        assert_eq!(seen(&SHIPPED.replace("repeat_interval: 15m", "repeat_interval: 21m")), "");
        let silent = SHIPPED.replace("send_resolved: true", "send_resolved: false");
        assert!(seen(&silent).starts_with("raysweep has send_resolved: false"), "{}", seen(&silent));
        // A pager may be told as seldom as it likes.
        let people = SHIPPED.replace("receiver: people", "receiver: people\n      repeat_interval: 1d");
        assert_eq!(seen(&people), "");
    }

    #[test]
    fn a_receiver_that_tells_anybody_else_gets_no_test() {
        for beside in ["pagerduty_configs: [{ routing_key: <secret> }]", "slack_configs: [{ channel: a }]"] {
            let config = format!("{SHIPPED}\n    {beside}\n");
            let judged = judged(&config, "http://localhost:9095");
            assert_eq!(judged.checks[1].state, State::Ok, "{:?}", judged.checks);
            assert!(why(judged).ends_with("and not to raysweep alone"), "{beside}");
        }
        let second =
            SHIPPED.replace("    webhook_configs:\n", "    webhook_configs:\n      - url: http://pager\n");
        assert!(judged(&second, "http://localhost:9095").test.is_err());
    }

    #[test]
    fn external_labels_are_led_along() {
        let prod = BTreeMap::from([("cluster".to_owned(), "prod".to_owned())]);
        let only_prod =
            SHIPPED.replace("        - alertname=", "        - cluster=\"prod\"\n        - alertname=");
        let state = |config: &str, labels: &BTreeMap<String, String>| {
            with_labels(config, "http://a:9095", Some(labels)).checks[1].state
        };
        assert_eq!(state(&only_prod, &prod), State::Ok);
        assert_eq!(state(&only_prod, &BTreeMap::new()), State::Broken);
        assert!(with_labels(&only_prod, "http://a:9095", Some(&prod)).test.is_ok());
        let caught = SHIPPED.replacen(
            "  routes:\n",
            "  routes:\n    - { receiver: default, matchers: [cluster=prod] }\n",
            1,
        );
        assert_eq!(state(&caught, &prod), State::Broken);
        let unknown = with_labels(SHIPPED, "http://a:9095", None);
        assert!(unknown.checks[1].seen.ends_with("external_labels are not known"), "{:?}", unknown.checks);
    }

    #[test]
    fn a_test_that_cannot_be_sent_is_said_once() {
        let nowhere = judge(None, &ResponderConfig::default(), "http://a:9095", None);
        assert_eq!(why(nowhere), "nobody said where Alertmanager is");
        let silent = Alertmanager { base: "http://a".to_owned(), status: Err("refused".to_owned()) };
        let silent = judge(Some(&silent), &ResponderConfig::default(), "http://a:9095", None);
        assert_eq!(silent.checks[0].state, State::Broken);
        assert_eq!(why(silent), "skipped: Alertmanager does not answer");
        assert!(why(judged("{", "http://a:9095")).contains("cannot be read"));
        let nobody = judged("route: { receiver: a }\nreceivers: [{ name: a }]", "http://a:9095");
        assert_eq!(nobody.checks[1].state, State::Broken);
        assert_eq!(why(nobody), "skipped: the routes do not lead to raysweep");
    }

    #[test]
    fn an_address_is_told_from_another_by_its_port() {
        for (url, expected) in [
            ("http://a:9095/webhook", Some(9095)),
            ("http://[::1]:9095", Some(9095)),
            ("https://[::1]/x:1", Some(443)),
            ("http://a/webhook", Some(80)),
            ("https://jo:s3cret@a/webhook", Some(443)),
            ("http://jo:s3cret@[::1]:9095/webhook", Some(9095)),
            ("a", None),
        ] {
            assert_eq!(port(url), expected, "{url}");
        }
    }
}
