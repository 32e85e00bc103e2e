//! What Prometheus is told of the responder. Series are bounded by inventory and policies; no label
//! from outside becomes one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

use super::{
    journal::{OpenHost, Tried},
    ssh::SshError,
};
use crate::domain::{
    alert::AlertStatus,
    attempt::Outcome,
    decision::Ignored,
    host::HostName,
    incident::{Closed, Escalation},
    policy::Policies,
    report::Holds,
};

mod classic;

/// What the text of `Metrics::encoded` is, as a Content-Type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A label set of one label.
macro_rules! label {
    ($($type:ident { $($name:ident),+ })+) => { $(
        /// The labels of a series.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub struct $type { $(
            #[allow(missing_docs)]
            pub $name: String,
        )+ }

        impl $type {
            /// The labels of one series.
            pub fn new($($name: impl ToString),+) -> Self {
                Self { $($name: $name.to_string()),+ }
            }
        }
    )+ };
}

label! {
    ByHost { host }
    ByHostOutcome { host, outcome }
    ByReason { reason }
    ByResult { result }
    ByOperation { operation }
    ByAlert { alert, status }
    ByState { state }
    ByHostReason { host, reason }
    ByHostKind { host, kind }
}

/// Every metric of the responder.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The inventory: no other host has series.
    hosts: Mutex<BTreeSet<HostName>>,
    /// Notifications by what became of them.
    pub notifications: Family<ByResult, Counter>,
    /// Alerts that belong to a host, by name and status.
    pub alerts: Family<ByAlert, Counter>,
    /// Alerts about which nothing was done.
    pub alerts_ignored: Family<ByReason, Counter>,
    /// Alerts that the sender cut off.
    pub alerts_truncated: Counter,
    /// Incidents opened.
    pub incidents_opened: Counter,
    /// Incidents closed.
    pub incidents_closed: Family<ByReason, Counter>,
    /// Whether a host has an open incident.
    pub incident_open: Family<ByHost, Gauge>,
    /// Whether a host's open incident waits for a person.
    pub incident_escalated: Family<ByHost, Gauge>,
    /// Escalations.
    pub escalations: Family<ByReason, Counter>,
    /// Attempts that ended.
    pub attempts: Family<ByHostOutcome, Counter>,
    /// Attempts without a report.
    pub attempt_failures: Family<ByReason, Counter>,
    /// Attempts under way.
    pub attempts_running: Gauge,
    /// Attempts that were due and were put off.
    pub attempts_deferred: Family<ByReason, Counter>,
    /// Open incidents by where they stand.
    pub incidents: Family<ByState, Gauge>,
    /// Why a host's open incident waits for a person; only of those that do.
    pub escalation: Family<ByHostReason, Gauge>,
    /// What was tried on a host that waits for a person: attempts by outcome.
    pub incident_attempts: Family<ByHostOutcome, Gauge>,
    /// What holds the space there: bytes that were kept, by rule.
    pub incident_kept: Family<ByHostReason, Gauge>,
    /// Who is at work there: signs by kind.
    pub incident_signs: Family<ByHostKind, Gauge>,
    /// Questions to Alertmanager by what became of them.
    pub alertmanager_requests: Family<ByResult, Counter>,
    /// Bytes freed.
    pub freed: Family<ByHost, Counter>,
    /// From a notification's arrival to its being on disk.
    pub accept_duration: Histogram,
    /// From an attempt's being due to its begin.
    pub attempt_wait: Histogram,
    /// From an attempt's begin to its connection.
    pub connect_duration: Histogram,
    /// From an attempt's connection to its report.
    pub sweep_duration: Histogram,
    /// From an attempt's begin to its end.
    pub attempt_duration: Histogram,
    /// From an alert's start to space being freed.
    pub alert_to_freed: Histogram,
    /// From an alert's start to its incident's end.
    pub alert_to_resolved: Histogram,
    /// Times that the journal failed.
    pub journal_errors: Family<ByOperation, Counter>,
    /// Connections that were closed on their peers.
    pub connections_cut: Family<ByReason, Counter>,
    /// Whether the last reload of the configuration succeeded.
    pub config_reloaded: Gauge,
    /// When the configuration that is used was read.
    pub config_reloaded_at: Gauge<f64, AtomicU64>,
    /// When the responder began.
    pub start_time: Gauge<f64, AtomicU64>,
}

const QUICK: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
const SLOW: [f64; 12] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 660.0];
const LONG: [f64; 10] = [5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0];

/// What may become of a notification.
pub const NOTIFICATION_RESULTS: [&str; 5] =
    ["accepted", "malformed", "too_large", "unauthorized", "unavailable"];

/// What may fail in the journal.
pub const JOURNAL_OPERATIONS: [&str; 5] = ["accept", "claim", "finish", "forget", "read"];

/// Where an open incident may stand.
const INCIDENT_STATES: [&str; 2] = ["waiting", "sweeping"];

impl Metrics {
    /// Every metric at zero for every host and policy.
    pub fn new<'h>(hosts: impl IntoIterator<Item = &'h HostName>, policies: &Policies) -> Self {
        let mut metrics = Self::registered();
        metrics.start_at_zero(hosts, policies);
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        metrics.registry.register("raysweep_build", "The version that runs", Info::new(version));
        metrics
    }

    #[rustfmt::skip]
    fn registered() -> Self {
        let mut registry = Registry::default();
        macro_rules! register {
            ($name:literal, $help:literal, $metric:expr) => {{
                let metric = $metric;
                registry.register(concat!("raysweep_", $name), $help, metric.clone());
                metric
            }};
            ($name:literal, $help:literal, $unit:ident, $metric:expr) => {{
                let metric = $metric;
                registry.register_with_unit(concat!("raysweep_", $name), $help, Unit::$unit, metric.clone());
                metric
            }};
        }
        Self {
            notifications: register!("notifications", "Notifications by what became of them", Family::default()),
            alerts: register!("alerts", "Alerts received that belong to a host of the inventory", Family::default()),
            alerts_ignored: register!("alerts_ignored", "Alerts about which nothing was done", Family::default()),
            alerts_truncated: register!("alerts_truncated", "Alerts that the sender cut off and will not send again", Counter::default()),
            incidents_opened: register!("incidents_opened", "Incidents opened", Counter::default()),
            incidents_closed: register!("incidents_closed", "Incidents closed", Family::default()),
            incident_open: register!("incident_open", "Whether the host has an open incident", Family::default()),
            incident_escalated: register!("incident_escalated", "Whether the host's open incident waits for a person", Family::default()),
            escalations: register!("escalations", "Incidents handed to a person", Family::default()),
            attempts: register!("attempts", "Attempts that ended", Family::default()),
            attempt_failures: register!("attempt_failures", "Attempts that ended without a report", Family::default()),
            attempts_running: register!("attempts_running", "Attempts under way", Gauge::default()),
            attempts_deferred: register!("attempts_deferred", "Attempts that were due and were put off", Family::default()),
            incidents: register!("incidents", "Open incidents by where they stand", Family::default()),
            escalation: register!("incident_escalation", "Why the host's open incident waits for a person", Family::default()),
            incident_attempts: register!("incident_attempts", "What was tried for an incident that waits for a person", Family::default()),
            incident_kept: register!("incident_kept", "What holds the space of a host that waits for a person, by the rule that keeps it", Bytes, Family::default()),
            incident_signs: register!("incident_signs", "Signs of work on a host that waits for a person", Family::default()),
            alertmanager_requests: register!("alertmanager_requests", "Questions to Alertmanager by what became of them", Family::default()),
            freed: register!("freed", "Bytes that sweeps freed, as the hosts report", Bytes, Family::default()),
            accept_duration: register!("accept_duration", "From a notification's arrival to its being on disk", Seconds, Histogram::new(QUICK)),
            attempt_wait: register!("attempt_wait", "From an attempt's being due to its begin", Seconds, Histogram::new(SLOW)),
            connect_duration: register!("connect_duration", "From an attempt's begin to its connection", Seconds, Histogram::new(SLOW)),
            sweep_duration: register!("sweep_duration", "From an attempt's connection to its report", Seconds, Histogram::new(SLOW)),
            attempt_duration: register!("attempt_duration", "From an attempt's begin to its end", Seconds, Histogram::new(SLOW)),
            alert_to_freed: register!("alert_to_freed", "From an alert's start to space being freed", Seconds, Histogram::new(LONG)),
            alert_to_resolved: register!("alert_to_resolved", "From an alert's start to its incident's end", Seconds, Histogram::new(LONG)),
            journal_errors: register!("journal_errors", "Times that the journal failed", Family::default()),
            connections_cut: register!("http_connections_cut", "Connections that were closed on their peers", Family::default()),
            config_reloaded: register!("config_last_reload_successful", "Whether the last reload of the configuration succeeded", Gauge::default()),
            config_reloaded_at: register!("config_last_reload_success_timestamp", "When the configuration that is used was read, in Unix time", Seconds, Gauge::default()),
            start_time: register!("start_time", "When the responder began, in Unix time", Seconds, Gauge::default()),
            registry,
            hosts: Mutex::default(),
        }
    }

    /// Every series that may come is there. A rate over a counter that appears with its first increment
    /// misses that increment.
    pub fn start_at_zero<'h>(&self, hosts: impl IntoIterator<Item = &'h HostName>, policies: &Policies) {
        for result in NOTIFICATION_RESULTS {
            drop(self.notifications.get_or_create(&ByResult::new(result)));
        }
        for (alert, _) in policies.iter() {
            for status in [AlertStatus::Firing, AlertStatus::Resolved] {
                drop(self.alerts.get_or_create(&ByAlert::new(alert, status.as_str())));
            }
        }
        for host in hosts {
            self.hosts().insert(host.clone());
            drop(self.incident_open.get_or_create(&ByHost::new(host)));
            drop(self.incident_escalated.get_or_create(&ByHost::new(host)));
            drop(self.freed.get_or_create(&ByHost::new(host)));
            for outcome in Outcome::ALL {
                drop(self.attempts.get_or_create(&ByHostOutcome::new(host, outcome.as_str())));
            }
        }
        let by_reason = |family: &Family<ByReason, Counter>, reasons: &[&str]| {
            for reason in reasons {
                drop(family.get_or_create(&ByReason::new(reason)));
            }
        };
        by_reason(&self.attempts_deferred, &super::dispatcher::DEFERRALS);
        for result in super::silences::RESULTS {
            drop(self.alertmanager_requests.get_or_create(&ByResult::new(result)));
        }
        for state in INCIDENT_STATES {
            drop(self.incidents.get_or_create(&ByState::new(state)));
        }
        by_reason(&self.alerts_ignored, &Ignored::ALL.map(Ignored::reason));
        by_reason(&self.incidents_closed, &Closed::ALL.map(Closed::as_str));
        by_reason(&self.escalations, &Escalation::ALL.map(Escalation::as_str));
        by_reason(&self.attempt_failures, &SshError::REASONS);
        by_reason(&self.attempt_failures, &super::dispatcher::INTERRUPTIONS);
        by_reason(&self.connections_cut, &super::http::server::CUT_REASONS);
        for operation in JOURNAL_OPERATIONS {
            drop(self.journal_errors.get_or_create(&ByOperation::new(operation)));
        }
    }

    /// Takes the series of a host away that left the inventory.
    pub fn forget(&self, host: &HostName) {
        let mut hosts = self.hosts();
        hosts.remove(host);
        let labels = ByHost::new(host);
        self.incident_open.remove(&labels);
        self.incident_escalated.remove(&labels);
        self.freed.remove(&labels);
        for outcome in Outcome::ALL {
            self.attempts.remove(&ByHostOutcome::new(host, outcome.as_str()));
        }
        // Made anew with each look at the open incidents, of which it has none.
        self.clear_escalated();
    }

    /// Counts how an attempt on a host ended. One that has outlived its host's entry has no series.
    pub fn attempt_ended(&self, host: &HostName, outcome: Outcome, freed_bytes: u64) {
        // Held to the end: a host that leaves meanwhile takes its series along.
        let hosts = self.hosts();
        if hosts.contains(host) {
            self.attempts.get_or_create(&ByHostOutcome::new(host, outcome.as_str())).inc();
            self.freed.get_or_create(&ByHost::new(host)).inc_by(freed_bytes);
        }
    }

    /// Notes what became of a reload, or of the first reading.
    pub fn reloaded(&self, successful: bool) {
        self.config_reloaded.set(successful.into());
        if successful {
            self.config_reloaded_at.set(jiff::Timestamp::now().as_duration().as_secs_f64());
        }
    }

    /// Which hosts have an open incident now, and what there is to know of those that wait for a person.
    pub fn set_open(&self, open: &[OpenHost]) {
        let hosts = self.hosts();
        let by_host: BTreeMap<_, _> = open.iter().map(|open| (&open.host, open)).collect();
        for host in hosts.iter() {
            let found = by_host.get(host);
            let labels = ByHost::new(host);
            self.incident_open.get_or_create(&labels).set(found.is_some().into());
            let escalated = found.is_some_and(|open| open.escalation.is_some());
            self.incident_escalated.get_or_create(&labels).set(escalated.into());
        }
        for state in INCIDENT_STATES {
            let count = open.iter().filter(|open| open.state == state).count();
            self.incidents.get_or_create(&ByState::new(state)).set(gauged(count));
        }
        self.set_escalated(hosts.iter().filter_map(|host| by_host.get(host).copied()));
    }

    /// Only hosts of the inventory and words of our own become labels: hosts × outcomes, rules and kinds.
    fn set_escalated<'o>(&self, open: impl IntoIterator<Item = &'o OpenHost>) {
        self.clear_escalated();
        for OpenHost { host, escalation, tried: Tried { tried, holds }, .. } in open {
            let Some(reason) = escalation else { continue };
            self.escalation.get_or_create(&ByHostReason::new(host, reason)).set(1);
            for (outcome, count) in tried {
                self.incident_attempts.get_or_create(&ByHostOutcome::new(host, outcome)).set(*count);
            }
            let Some(Holds { kept_bytes, signs }) = holds else { continue };
            for (why, bytes) in kept_bytes {
                self.incident_kept.get_or_create(&ByHostReason::new(host, why)).set(gauged(*bytes));
            }
            for (kind, count) in signs {
                self.incident_signs.get_or_create(&ByHostKind::new(host, kind)).set(gauged(*count));
            }
        }
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeSet<HostName>> {
        // A plain set is whole after every statement, whoever panicked beside it.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clear_escalated(&self) {
        self.escalation.clear();
        self.incident_attempts.clear();
        self.incident_kept.clear();
        self.incident_signs.clear();
    }

    /// Counts a failure of the journal.
    pub fn journal_failed(&self, operation: &str) {
        self.journal_errors.get_or_create(&ByOperation::new(operation)).inc();
    }

    /// How often the journal has failed since the start.
    pub fn journal_failures(&self) -> u64 {
        let count = |operation| self.journal_errors.get_or_create(&ByOperation::new(operation)).get();
        JOURNAL_OPERATIONS.into_iter().map(count).sum()
    }

    /// The text that Prometheus reads.
    pub fn encoded(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(classic::classic(&text))
    }
}

/// A count as a gauge takes it.
fn gauged(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
