//! What can come to the webhook.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::names;
use crate::{
    domain::{
        alert::{AlertStatus, Notification},
        decision::{Decision, HOST_LABELS, decide},
        host::Directory,
        policy::Policies,
    },
    responder::alertmanager::parse,
};

/// So many cuts of one body are tried.
const CUTS: usize = 32;
const ALIAS: &str = "10.0.0.80";
const HOST: &str = "ray-80";

/// What is read says the same when it is written again, as Alertmanager would.
pub(super) fn any_body(data: &[u8]) {
    let Ok(notification) = parse(data) else { return };
    for alert in &notification.alerts {
        assert!(alert.ends_at.is_none() || alert.status == AlertStatus::Resolved);
        assert!((1..=64).contains(&alert.fingerprint.as_str().len()));
    }
    held_to_the_inventory(&notification);
    let written = written(&notification);
    assert_eq!(parse(&written).expect("what we wrote can be read"), notification);
    let step = written.len() / CUTS + 1;
    for end in (usize::from(data[0]) % step..written.len()).step_by(step) {
        assert!(parse(&written[..end]).is_err(), "cut at {end}");
    }
}

/// Labels of any text come through as they are, and none of them is a host but by its very name.
pub(super) fn labels(data: &[u8]) {
    let texts: Vec<String> = names(data).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let mut labels = BTreeMap::from([("alertname".to_owned(), "RayWorkerDiskCritical".to_owned())]);
    for pair in texts.chunks_exact(2) {
        labels.insert(pair[0].clone(), pair[1].clone());
    }
    for (label, text) in HOST_LABELS.iter().zip(&texts) {
        labels.insert((*label).to_owned(), text.clone());
    }
    let body =
        json!({ "alerts": [{ "status": "firing", "labels": labels, "startsAt": "2026-01-05T10:00:00Z" }] });
    let notification = parse(body.to_string().as_bytes()).expect("it is a notification");
    assert_eq!(notification.alerts[0].labels, labels);
    held_to_the_inventory(&notification);
}

fn held_to_the_inventory(notification: &Notification) {
    let host = HOST.parse().expect("it is a host's name");
    let directory = Directory::new([(host, vec![ALIAS.to_owned()])]).expect("there is one host");
    for alert in &notification.alerts {
        let Decision::Act { host, .. } = decide(alert, &Policies::default(), &directory) else { continue };
        assert_eq!(host.as_str(), HOST);
        let named =
            HOST_LABELS.iter().filter_map(|label| alert.labels.get(*label)).find(|text| !text.is_empty());
        let named = named.expect("a label names the host");
        let ports = |name: &str| {
            let rest = named.strip_prefix(name).or_else(|| named.strip_prefix(&format!("[{name}]")));
            rest.is_some_and(|rest| {
                rest.strip_prefix(':').unwrap_or(rest).bytes().all(|b| b.is_ascii_digit())
            })
        };
        assert!(ports(HOST) || ports(ALIAS), "{named:?}");
    }
}

fn written(notification: &Notification) -> Vec<u8> {
    let Notification { truncated_alerts, alerts } = notification;
    let alerts: Vec<Value> = alerts
        .iter()
        .map(|alert| {
            json!({
                "status": alert.status, "labels": alert.labels,
                "startsAt": alert.starts_at, "endsAt": alert.ends_at, "fingerprint": alert.fingerprint,
            })
        })
        .collect();
    json!({ "truncatedAlerts": truncated_alerts, "alerts": alerts }).to_string().into_bytes()
}
