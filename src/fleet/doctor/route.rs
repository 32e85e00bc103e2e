//! Where Alertmanager's own configuration leads an alert. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use regex_automata::meta::Regex;
use serde_json::Value;

use crate::config::{
    load::{self, Overrides},
    units::Span,
};

/// What an Alertmanager puts in place of an address that could hold a secret; from 0.26 on, of every webhook's.
const HIDDEN: &str = "<secret>";

/// An Alertmanager's configuration, so far as it leads alerts somewhere.
#[derive(Debug)]
pub(super) struct Routes {
    config: Value,
}

/// Where a webhook goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Webhook {
    /// To this address.
    Shown(String),
    /// Alertmanager does not say.
    Hidden,
}

/// A receiver that an alert is led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receiver {
    pub(super) name: String,
    webhooks: Vec<Webhook>,
    /// Whether it tells anybody by something else than a webhook.
    tells_others: bool,
    /// Whether the way to it asks for this very alert, by its name.
    pub(super) is_asked_for: bool,
    /// How long after a notification it is told again at the latest, while an alert fires.
    pub(super) again_after: Span,
    /// What a webhook of its is told less of than it could be, as its configuration says it.
    pub(super) kept_back: Vec<String>,
}

impl Receiver {
    /// The address of the raysweep that it leads to, beside whomever else it tells.
    pub(super) fn raysweep(&self) -> Option<&str> {
        self.webhooks.iter().find_map(Webhook::raysweep)
    }

    /// Whether it leads to somebody, and Alertmanager does not say to whom.
    pub(super) fn is_hidden(&self) -> bool {
        self.webhooks.contains(&Webhook::Hidden)
    }

    /// Its one webhook, where it tells nobody else.
    pub(super) fn alone(&self) -> Option<&Webhook> {
        match self.webhooks.as_slice() {
            [webhook] if !self.tells_others => Some(webhook),
            _ => None,
        }
    }
}

impl Webhook {
    fn new(webhook: &Value) -> Self {
        match webhook["url"].as_str() {
            Some(url) if url != HIDDEN => Self::Shown(url.to_owned()),
            // An address in a file is not told either.
            _ => Self::Hidden,
        }
    }

    /// Its address, where it may be a raysweep's, whichever one.
    pub(super) fn raysweep(&self) -> Option<&str> {
        match self {
            Self::Shown(url) if url.trim_end_matches('/').ends_with("/webhook") => Some(url),
            Self::Shown(_) | Self::Hidden => None,
        }
    }
}

impl Routes {
    /// From the text that `/api/v2/status` shows.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let config =
            load::parse(Path::new("Alertmanager's configuration"), text, Overrides::Given(HashMap::new()))
                .map_err(|error| error.to_string())?;
        Ok(Self { config })
    }

    /// Every receiver that an alert with these labels is led to, in order.
    pub(super) fn receivers(&self, labels: &BTreeMap<&str, &str>) -> Result<Vec<Receiver>, String> {
        let mut led = vec![];
        walk(&self.config["route"], Way::default(), labels, &mut led)?;
        Ok(led.into_iter().filter_map(|way| self.receiver(way)).collect())
    }

    fn receiver(
        &self,
        Way { receiver, is_asked_for, repeat_interval, group_interval }: Way<'_>,
    ) -> Option<Receiver> {
        let name = receiver?;
        let receivers = self.config["receivers"].as_array().into_iter().flatten();
        let integrations = receivers
            .filter(|receiver| receiver["name"] == name)
            .flat_map(|receiver| receiver.as_object().into_iter().flatten())
            .filter(|(key, _)| key.ends_with("_configs"))
            .flat_map(|(key, configs)| configs.as_array().into_iter().flatten().map(move |one| (key, one)));
        let (webhooks, others): (Vec<_>, Vec<_>) =
            integrations.partition(|(key, _)| key.as_str() == "webhook_configs");
        Some(Receiver {
            name: name.to_owned(),
            // Whether it is time again is looked at each time that the group's interval is over.
            again_after: Span(repeat_interval.0.saturating_add(group_interval.0)),
            kept_back: webhooks.iter().flat_map(|(_, webhook)| kept_back(webhook)).collect(),
            webhooks: webhooks.into_iter().map(|(_, webhook)| Webhook::new(webhook)).collect(),
            tells_others: !others.is_empty(),
            is_asked_for,
        })
    }
}

/// Where an alert is led, so far, and how often.
#[derive(Debug, Clone, Copy)]
struct Way<'a> {
    receiver: Option<&'a str>,
    is_asked_for: bool,
    repeat_interval: Span,
    group_interval: Span,
}

impl Default for Way<'_> {
    /// As Alertmanager has it where nobody says.
    fn default() -> Self {
        Self {
            receiver: None,
            is_asked_for: false,
            repeat_interval: Span::mins(4 * 60),
            group_interval: Span::mins(5),
        }
    }
}

/// Keys of a webhook by which it hears of less.
fn kept_back(webhook: &Value) -> Vec<String> {
    let resolved = (webhook["send_resolved"] == false).then(|| "send_resolved: false".to_owned());
    let most = webhook["max_alerts"].as_u64().filter(|most| *most > 0);
    resolved.into_iter().chain(most.map(|most| format!("max_alerts: {most}"))).collect()
}

/// As Alertmanager walks it: the first child that matches takes the alert, and the next ones as well where
/// it says `continue`; where none does, the node's own receiver has it.
fn walk<'a>(
    route: &'a Value,
    above: Way<'a>,
    labels: &BTreeMap<&str, &str>,
    led: &mut Vec<Way<'a>>,
) -> Result<(), String> {
    let span = |key: &str, above| route[key].as_str().and_then(|text| text.parse().ok()).unwrap_or(above);
    let way = Way {
        receiver: route["receiver"].as_str().or(above.receiver),
        is_asked_for: above.is_asked_for || asks_for(route, labels),
        repeat_interval: span("repeat_interval", above.repeat_interval),
        group_interval: span("group_interval", above.group_interval),
    };
    let before = led.len();
    for child in route["routes"].as_array().into_iter().flatten() {
        if !matches(child, labels)? {
            continue;
        }
        walk(child, way, labels, led)?;
        if child["continue"] != true {
            break;
        }
    }
    if led.len() == before {
        led.push(way);
    }
    Ok(())
}

/// Whether a route that takes an alert names it: as the one that it takes, or as one of several.
fn asks_for(route: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    const NAME: &str = "alertname";
    let alert = labels.get(NAME).copied().unwrap_or_default();
    let names = |is: Is, value: &str| match is {
        Is::Equal => value == alert,
        Is::Like => value.split('|').any(|one| one == alert),
        Is::NotEqual | Is::NotLike => false,
    };
    let matchers = route["matchers"].as_array().into_iter().flatten();
    let mut matchers = matchers.filter_map(|matcher| parse_matcher(matcher.as_str()?));
    matchers.any(|(name, is, value)| name == NAME && names(is, &value))
        || route["match"][NAME].as_str().is_some_and(|value| names(Is::Equal, value))
        || route["match_re"][NAME].as_str().is_some_and(|value| names(Is::Like, value))
}

/// Whether a route takes an alert, by all three ways in which that is written.
fn matches(route: &Value, labels: &BTreeMap<&str, &str>) -> Result<bool, String> {
    let of = |name: &str| labels.get(name).copied().unwrap_or_default();
    for matcher in route["matchers"].as_array().into_iter().flatten() {
        let text = matcher.as_str().unwrap_or_default();
        let (name, is, value) = parse_matcher(text).ok_or_else(|| format!("{text:?} is no matcher"))?;
        if !holds(of(name), is, &value)? {
            return Ok(false);
        }
    }
    for (key, is) in [("match", Is::Equal), ("match_re", Is::Like)] {
        for (name, value) in route[key].as_object().into_iter().flatten() {
            if !holds(of(name), is, value.as_str().unwrap_or_default())? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Equal,
    NotEqual,
    Like,
    NotLike,
}

fn holds(label: &str, is: Is, value: &str) -> Result<bool, String> {
    let is_like = || {
        let regex = Regex::new(&format!("^(?:{value})$")).map_err(|error| format!("{value:?}: {error}"))?;
        Ok::<_, String>(regex.is_match(label))
    };
    Ok(match is {
        Is::Equal => label == value,
        Is::NotEqual => label != value,
        Is::Like => is_like()?,
        Is::NotLike => !is_like()?,
    })
}

/// `name="value"`, the quotes being optional.
fn parse_matcher(text: &str) -> Option<(&str, Is, String)> {
    let text = text.trim();
    let at = text.find(['=', '!'])?;
    let (name, rest) = text.split_at(at);
    let (is, value) = [("=~", Is::Like), ("!~", Is::NotLike), ("!=", Is::NotEqual), ("=", Is::Equal)]
        .into_iter()
        .find_map(|(sign, is)| Some((is, rest.strip_prefix(sign)?)))?;
    let value = value.trim();
    let value = if value.starts_with('"') { serde_json::from_str(value).ok()? } else { value.to_owned() };
    Some((name.trim(), is, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(config: &str, labels: &[(&str, &str)]) -> Vec<String> {
        let labels = labels.iter().copied().collect();
        let receivers = Routes::parse(config).unwrap().receivers(&labels).unwrap();
        receivers.into_iter().map(|receiver| receiver.name).collect()
    }

    #[test]
    fn the_shipped_configuration_leads_each_alert_where_its_readme_says() {
        let shipped = include_str!("../../../alertmanager/raysweep.yml");
        let host = ("host", "ray-80");
        let led = |alert| led(shipped, &[("alertname", alert), host]);
        assert_eq!(led("RayWorkerDiskCritical"), ["raysweep", "people"]);
        assert_eq!(led("RaySweepDown"), ["people"]);
        assert_eq!(led(super::super::test_alert::NAME), ["raysweep"], "nobody is woken by a test");
        assert_eq!(led("HostOutOfMemory"), ["default"]);
        let labels = [("alertname", "RayWorkerDiskCritical")].into_iter().collect();
        let receivers = Routes::parse(shipped).unwrap().receivers(&labels).unwrap();
        assert_eq!(receivers[0].raysweep(), Some("http://127.0.0.1:9095/webhook"));
        assert!(receivers[0].alone().is_some() && receivers[0].is_asked_for && !receivers[0].is_hidden());
        assert!(receivers[1].raysweep().is_none() && receivers[1].alone().is_none());
    }

    #[test]
    fn a_route_is_walked_as_alertmanager_walks_it() {
        let config = r#"
            route:
              receiver: top
              routes:
                - { match: { team: a }, receiver: a, routes: [{ match_re: { x: "1|2" }, receiver: a12 }] }
                - { matchers: ['team!="b"', "y=~z.*"], receiver: y, continue: true }
                - { matchers: [y=zoo], routes: [{ matchers: ['w!~".+"'] }] }
        "#;
        assert_eq!(led(config, &[("team", "a")]), ["a"]);
        assert_eq!(led(config, &[("team", "a"), ("x", "2")]), ["a12"]);
        assert_eq!(led(config, &[("team", "a"), ("x", "12")]), ["a"]);
        assert_eq!(led(config, &[("y", "zoo")]), ["y", "top"]);
        assert_eq!(led(config, &[("y", "zoo"), ("w", "1")]), ["y", "top"]);
        assert_eq!(led(config, &[("y", "zebra")]), ["y"]);
        assert_eq!(led(config, &[("team", "b"), ("y", "zebra")]), ["top"]);
    }

    #[test]
    fn a_receiver_is_whatever_it_tells() {
        let receiver = |integrations: &str| {
            let config = format!("route: {{ receiver: r }}\nreceivers: [{{ name: r, {integrations} }}]");
            Routes::parse(&config).unwrap().receivers(&BTreeMap::new()).unwrap().remove(0)
        };
        let shown = receiver("webhook_configs: [{ url: 'http://a:9095/webhook' }], slack_configs: []");
        assert!(shown.raysweep().is_some() && shown.alone().is_some() && !shown.is_hidden());
        let beside = receiver("webhook_configs: [{ url: 'http://a/webhook' }], pagerduty_configs: [{}]");
        assert!(beside.raysweep().is_some() && beside.alone().is_none());
        let two = receiver("webhook_configs: [{ url: 'http://a/webhook' }, { url: 'http://pager' }]");
        assert!(two.raysweep().is_some() && two.alone().is_none());
        for hidden in ["url: <secret>", "url_file: /etc/prometheus/url"] {
            let hidden = receiver(&format!("webhook_configs: [{{ {hidden} }}]"));
            assert!(hidden.raysweep().is_none() && hidden.is_hidden());
            assert_eq!(hidden.alone(), Some(&Webhook::Hidden));
        }
        let other = receiver("webhook_configs: [{ url: 'http://pager/hook' }]");
        assert!(other.raysweep().is_none() && !other.is_hidden());
    }

    #[test]
    fn a_receiver_is_told_again_as_its_route_or_one_above_says() {
        let config = r#"
            route:
              receiver: top
              group_interval: 1m
              routes:
                - { match: { x: a }, repeat_interval: 1h30m, receiver: a, routes: [{ group_interval: 2m }] }
                - { match: { x: b }, repeat_interval: 15m, receiver: b }
            receivers:
              - { name: b, webhook_configs: [{ url: 'http://a/webhook', send_resolved: false, max_alerts: 9 }] }
              - { name: top, webhook_configs: [{ url: 'http://a/webhook', send_resolved: true, max_alerts: 0 }] }
        "#;
        let of = |x| {
            let labels = [("x", x)].into_iter().collect();
            Routes::parse(config).unwrap().receivers(&labels).unwrap().remove(0)
        };
        assert_eq!(["a", "b", "c"].map(|x| of(x).again_after.to_string()), ["1h 32m", "16m", "4h 1m"]);
        assert_eq!(of("b").kept_back, ["send_resolved: false", "max_alerts: 9"]);
        assert_eq!(of("c").kept_back, Vec::<String>::new());
    }

    #[test]
    fn a_way_asks_for_an_alert_where_it_names_it() {
        let is_asked_for = |matchers: &str| {
            let config = format!(
                "route: {{ receiver: a, routes: [{{ {matchers}, routes: [{{ matchers: ['x=\"\"'] }}] }}] }}"
            );
            let labels = [("alertname", "A")].into_iter().collect();
            let led = Routes::parse(&config).unwrap().receivers(&labels).unwrap();
            assert_eq!(led.len(), 1, "{matchers}");
            led[0].is_asked_for
        };
        for named in
            ["matchers: ['alertname=\"A\"']", "match: { alertname: A }", "match_re: { alertname: 'B|A' }"]
        {
            assert!(is_asked_for(named), "{named}");
        }
        for by_chance in ["matchers: ['alertname=~\".*\"']", "matchers: ['y!=\"A\"', 'alertname!=\"B\"']"] {
            assert!(!is_asked_for(by_chance), "{by_chance}");
        }
    }

    #[test]
    fn what_is_no_matcher_is_said() {
        let config = "route: { receiver: top, routes: [{ matchers: ['x=~\"(\"'] }] }";
        assert!(Routes::parse(config).unwrap().receivers(&BTreeMap::new()).is_err());
        let config = "route: { receiver: top, routes: [{ matchers: [x] }] }";
        assert_eq!(
            Routes::parse(config).unwrap().receivers(&BTreeMap::new()).unwrap_err(),
            "\"x\" is no matcher"
        );
        assert!(Routes::parse("{").is_err());
    }
}
