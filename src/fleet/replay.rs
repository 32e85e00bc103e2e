//! A notification explained offline: which alert, which host, which policy, what would happen and why.
//!
//! The decision is the responder's own; here it is only put into words.

use serde::Serialize;

use crate::domain::{
    alert::{Alert, AlertStatus, Notification},
    decision::{Decision, HOST_LABELS, Ignored, decide},
    host::Directory,
    policy::Policies,
};

/// Label values are hostile and may be long: so many characters of one are shown.
const SHOWN: usize = 60;

/// What would become of one alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// Its name.
    pub alert: String,
    /// What identifies it.
    pub fingerprint: String,
    /// Its own status.
    pub status: &'static str,
    /// The inventory entry that it names, where it leads to something.
    pub host: Option<String>,
    /// How pressing its policy is, where it leads to something.
    pub urgency: Option<&'static str>,
    /// `sweep`, `resolve`, or the reason why nothing would be done.
    pub decision: &'static str,
    /// Why, in words.
    pub why: String,
}

/// Explains every alert of a notification, in its order.
pub fn explain(notification: &Notification, policies: &Policies, directory: &Directory) -> Vec<Explained> {
    notification.alerts.iter().map(|alert| explain_alert(alert, policies, directory)).collect()
}

fn explain_alert(alert: &Alert, policies: &Policies, directory: &Directory) -> Explained {
    let decision = decide(alert, policies, directory);
    let (host, urgency, name, why) = match &decision {
        Decision::Act { host, urgency } => {
            let (name, what) = match alert.status {
                AlertStatus::Firing => {
                    ("sweep", "joins the host's incident, and the host is swept when it is due")
                }
                AlertStatus::Resolved => {
                    ("resolve", "its incident closes once no other alert of the host fires; nothing is swept")
                }
            };
            let why = format!("{}: {what}", named_by(alert, directory));
            (Some(host.to_string()), Some(urgency.as_str()), name, why)
        }
        Decision::Ignore(ignored) => {
            (None, None, ignored.reason(), because(*ignored, alert, policies, directory))
        }
    };
    Explained {
        alert: shown(alert.name()),
        fingerprint: alert.fingerprint.to_string(),
        status: alert.status.as_str(),
        host,
        urgency,
        decision: name,
        why,
    }
}

fn because(ignored: Ignored, alert: &Alert, policies: &Policies, directory: &Directory) -> String {
    match ignored {
        Ignored::UnknownAlert => {
            let known: Vec<_> = policies.iter().map(|(name, _)| name).collect();
            format!("no policy has this name; there are {}", known.join(", "))
        }
        Ignored::NoHostLabel => format!("it has none of the labels {}", HOST_LABELS.join(", ")),
        Ignored::UnknownHost => {
            format!("{}, and the first label counts", named_by(alert, directory))
        }
        Ignored::AmbiguousHost => {
            format!("{}: sweeping the wrong host helps nobody", named_by(alert, directory))
        }
        // What an incident has is known to the responder alone.
        Ignored::TooMany => "its host's incident has as many alerts as are kept of one".to_owned(),
    }
}

/// What each of its host labels names: `host="ray-80" names ray-80, instance="x:9100" names no host`.
fn named_by(alert: &Alert, directory: &Directory) -> String {
    let present = HOST_LABELS.iter().filter_map(|label| Some((label, alert.labels.get(*label)?)));
    let named = present.filter(|(_, value)| !value.is_empty()).map(|(label, value)| {
        let host = directory.find(value).map_or("no host of the inventory", |host| host.as_str());
        format!("{label}={:?} names {host}", shown(value))
    });
    named.collect::<Vec<_>>().join(", ")
}

fn shown(text: &str) -> String {
    let mut characters = text.chars();
    let start: String = characters.by_ref().take(SHOWN).collect();
    if characters.next().is_some() { format!("{start}…") } else { start }
}

#[cfg(test)]
mod tests;
