//! What is to be done about one alert: the same rule for the responder and for `replay`.

use super::{
    alert::Alert,
    host::{Directory, HostName},
    policy::{Policies, Urgency},
};

/// The labels that may name the host, the most telling first.
pub const HOST_LABELS: [&str; 4] = ["host", "node", "nodename", "instance"];

/// What an alert leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The alert belongs to the incident of this host.
    Act {
        /// The inventory entry that its labels name.
        host: HostName,
        /// How pressing its policy is.
        urgency: Urgency,
    },
    /// Nothing is to be done; the alert is recorded and counted.
    Ignore(Ignored),
}

/// Why nothing is to be done about an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ignored {
    /// No policy has its name.
    UnknownAlert,
    /// No host label is present.
    NoHostLabel,
    /// The host labels name no inventory entry.
    UnknownHost,
    /// The host labels name different inventory entries.
    AmbiguousHost,
    /// Its host's incident has as many alerts as are kept of one, each of which matters more.
    TooMany,
}

impl Ignored {
    /// Every reason, for metrics that start at zero.
    pub const ALL: [Self; 5] =
        [Self::UnknownAlert, Self::NoHostLabel, Self::UnknownHost, Self::AmbiguousHost, Self::TooMany];

    /// The reason as log, journal and metrics write it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnknownAlert => "unknown_alert",
            Self::NoHostLabel => "no_host_label",
            Self::UnknownHost => "unknown_host",
            Self::AmbiguousHost => "ambiguous_host",
            Self::TooMany => "too_many_alerts",
        }
    }
}

/// Decides about one alert by its name and its host labels alone.
pub fn decide(alert: &Alert, policies: &Policies, directory: &Directory) -> Decision {
    let Some(urgency) = policies.urgency(alert.name()) else {
        return Decision::Ignore(Ignored::UnknownAlert);
    };
    match host_of(alert, directory) {
        Ok(host) => Decision::Act { host: host.clone(), urgency },
        Err(ignored) => Decision::Ignore(ignored),
    }
}

/// The first label present names the host. The others may be unknown (each exporter has an
/// `instance` of its own), but none may name another entry: sweeping the wrong host helps nobody.
fn host_of<'d>(alert: &Alert, directory: &'d Directory) -> Result<&'d HostName, Ignored> {
    let mut values =
        HOST_LABELS.iter().filter_map(|label| alert.labels.get(*label)).filter(|v| !v.is_empty());
    let first = values.next().ok_or(Ignored::NoHostLabel)?;
    let first = directory.find(first);
    let mut others = values.filter_map(|value| directory.find(value));
    match first {
        Some(host) if others.all(|other| other == host) => Ok(host),
        Some(_) => Err(Ignored::AmbiguousHost),
        None => Err(Ignored::UnknownHost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::AlertStatus;

    fn directory() -> Directory {
        Directory::new(
            ["ray-80", "ray-81"].map(|name| (name.parse().unwrap(), vec![format!("10.0.0.{}", &name[4..])])),
        )
        .unwrap()
    }

    fn decided(labels: &[(&str, &str)]) -> Decision {
        let alert = Alert {
            fingerprint: "00ff00ff00ff00ff".parse().unwrap(),
            status: AlertStatus::Firing,
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            starts_at: jiff::Timestamp::UNIX_EPOCH,
            ends_at: None,
        };
        decide(&alert, &Policies::default(), &directory())
    }

    const LARGE: (&str, &str) = ("alertname", "RayWorkerLargeTmpDirectory");

    #[test]
    fn the_first_host_label_present_names_the_host() {
        let act = Decision::Act { host: "ray-80".parse().unwrap(), urgency: Urgency::Warning };
        assert_eq!(decided(&[LARGE, ("host", "ray-80"), ("instance", "cadvisor-3:8080")]), act);
        assert_eq!(decided(&[LARGE, ("instance", "10.0.0.80:9100")]), act);
        assert_eq!(decided(&[LARGE, ("host", ""), ("nodename", "ray-80")]), act);
    }

    #[test]
    fn labels_that_name_two_hosts_lead_to_nothing() {
        let ignored = Decision::Ignore(Ignored::AmbiguousHost);
        assert_eq!(decided(&[LARGE, ("host", "ray-80"), ("instance", "10.0.0.81:9100")]), ignored);
    }

    #[test]
    fn a_first_label_outside_the_inventory_is_not_mended_by_a_later_one() {
        let ignored = Decision::Ignore(Ignored::UnknownHost);
        assert_eq!(decided(&[LARGE, ("host", "ray-99"), ("instance", "10.0.0.81:9100")]), ignored);
    }

    #[test]
    fn hostile_labels_select_nothing() {
        let long = "x".repeat(64 * 1024);
        for value in ["-oProxyCommand=x", "a@b", "$(id)", "../..", "ray-80\n", "ray-80;id", &long] {
            assert_eq!(
                decided(&[LARGE, ("host", value)]),
                Decision::Ignore(Ignored::UnknownHost),
                "{value:.40}"
            );
        }
    }

    #[test]
    fn an_alert_without_a_policy_or_a_host_is_ignored_with_the_reason() {
        assert_eq!(decided(&[("host", "ray-80")]), Decision::Ignore(Ignored::UnknownAlert));
        assert_eq!(decided(&[("alertname", "Watchdog")]), Decision::Ignore(Ignored::UnknownAlert));
        assert_eq!(decided(&[LARGE]), Decision::Ignore(Ignored::NoHostLabel));
        // As journals and dashboards know it.
        let [unknown_alert, no_label, others @ ..] = Ignored::ALL.map(Ignored::reason);
        assert_eq!([unknown_alert, no_label], ["unknown_alert", "no_host_label"]);
        assert_eq!(others, ["unknown_host", "ambiguous_host", "too_many_alerts"]);
    }
}
