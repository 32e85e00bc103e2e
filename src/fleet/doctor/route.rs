//! Where Alertmanager's own configuration leads an alert. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use regex_automata::meta::Regex;
use serde_json::Value;

use crate::config::load::{self, Overrides};

/// What an Alertmanager puts in place of an address that could hold a secret.
const HIDDEN: &str = "<secret>";

/// An Alertmanager's configuration, so far as it leads alerts somewhere.
#[derive(Debug)]
pub(super) struct Routes {
    config: Value,
}

/// A receiver that an alert is led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receiver {
    pub(super) name: String,
    /// Where its webhooks go.
    pub(super) urls: Vec<String>,
}

impl Receiver {
    /// Whether one of its webhooks may be a raysweep's, whichever one.
    pub(super) fn is_raysweep(&self) -> bool {
        self.urls.iter().any(|url| url == HIDDEN || url.trim_end_matches('/').ends_with("/webhook"))
    }

    /// The raysweep that it leads to, where Alertmanager says.
    pub(super) fn shown(&self) -> Option<&str> {
        self.urls.iter().map(String::as_str).find(|url| *url != HIDDEN)
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
        let mut names = vec![];
        walk(&self.config["route"], None, labels, &mut names)?;
        Ok(names.into_iter().map(|name| self.receiver(name)).collect())
    }

    fn receiver(&self, name: &str) -> Receiver {
        let receivers = self.config["receivers"].as_array().into_iter().flatten();
        let webhooks = receivers
            .filter(|receiver| receiver["name"] == name)
            .flat_map(|receiver| receiver["webhook_configs"].as_array().into_iter().flatten());
        let urls = webhooks.filter_map(|webhook| Some(webhook["url"].as_str()?.to_owned())).collect();
        Receiver { name: name.to_owned(), urls }
    }
}

/// As Alertmanager walks it: the first child that matches takes the alert, and the next ones as well where
/// it says `continue`; where none does, the node's own receiver has it.
fn walk<'a>(
    route: &'a Value,
    inherited: Option<&'a str>,
    labels: &BTreeMap<&str, &str>,
    names: &mut Vec<&'a str>,
) -> Result<(), String> {
    let receiver = route["receiver"].as_str().or(inherited);
    let before = names.len();
    for child in route["routes"].as_array().into_iter().flatten() {
        if !matches(child, labels)? {
            continue;
        }
        walk(child, receiver, labels, names)?;
        if child["continue"] != true {
            break;
        }
    }
    if names.len() == before {
        names.extend(receiver);
    }
    Ok(())
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
        assert!(receivers[0].is_raysweep() && !receivers[1].is_raysweep());
        assert_eq!(receivers[0].shown(), Some("http://127.0.0.1:9095/webhook"));
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
        let hidden = Receiver { name: String::new(), urls: vec![HIDDEN.to_owned()] };
        assert!(hidden.is_raysweep() && hidden.shown().is_none());
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
