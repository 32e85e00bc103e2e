//! Alerts that join an incident, leave it and come back.

use std::{cmp::Reverse, collections::BTreeSet};

use jiff::Timestamp;

use super::{Closed, Incident, State};
use crate::domain::{
    alert::{Alert, AlertStatus, Fingerprint},
    policy::Urgency,
};

/// So many alerts of an incident are kept. A host has some dozens, and whoever sends ever new ones must
/// fill neither memory nor journal.
pub const MEMBERS_MOST: usize = 1000;

/// One alert of an incident, by its last received status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The alert's name, one of the policies'.
    pub name: String,
    /// How pressing its policy is.
    pub urgency: Urgency,
    /// Its last received status.
    pub status: AlertStatus,
    /// When it began to fire, by Prometheus' clock.
    pub starts_at: Timestamp,
    /// When it ended, by Prometheus' clock; `None` while it fires.
    pub ends_at: Option<Timestamp>,
    /// When it was first received for this incident.
    pub received_at: Timestamp,
    /// When it was last received.
    pub last_seen: Timestamp,
}

/// What a received alert meant to the incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// A firing alert that the incident did not have.
    Joined,
    /// An alert that had left fires again.
    Reopened,
    /// The same as before.
    Refreshed,
    /// An alert resolved.
    Left,
    /// A resolution of an alert that the incident never had.
    Unrelated,
    /// A firing alert for which there is no room: each of those that are kept matters more.
    Crowded,
}

/// What alerts that came together meant to the incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// What each of them meant, in their order.
    pub receipts: Vec<Receipt>,
    /// Alerts that the incident had and that made room for others.
    pub dropped: BTreeSet<Fingerprint>,
}

impl Incident {
    /// Takes in alerts of this host that came together. The last received status of each counts, in order
    /// of receipt; whether the incident has become more or less pressing, and whether it is over, is told by
    /// all of them: an alert that resolves beside one that begins to fire is no end.
    pub fn receive(&mut self, alerts: &[(&Alert, Urgency)], now: Timestamp) -> Received {
        if self.is_closed() {
            let receipts = vec![Receipt::Unrelated; alerts.len()];
            return Received { receipts, dropped: BTreeSet::new() };
        }
        let before = self.urgency();
        let receipts = alerts.iter().map(|(alert, urgency)| self.note(alert, *urgency, now)).collect();
        // An incident that becomes critical is looked at sooner; the limiter still has its say. The
        // same alert again moves nothing: it makes no second attempt.
        if let (State::Waiting { due_at }, true) = (self.state, self.urgency() > before) {
            self.state = State::Waiting { due_at: due_at.min(now) };
        }
        if !self.is_firing() {
            self.close(Closed::Resolved, now);
        }
        self.lower(now);
        self.make_room(alerts, receipts)
    }

    fn note(&mut self, alert: &Alert, urgency: Urgency, now: Timestamp) -> Receipt {
        let Some(member) = self.members.get_mut(&alert.fingerprint) else {
            if alert.status == AlertStatus::Resolved {
                return Receipt::Unrelated;
            }
            self.members.insert(
                alert.fingerprint.clone(),
                Member {
                    name: alert.name().to_owned(),
                    urgency,
                    status: alert.status,
                    starts_at: alert.starts_at,
                    ends_at: None,
                    received_at: now,
                    last_seen: now,
                },
            );
            return Receipt::Joined;
        };
        let before = member.status;
        member.status = alert.status;
        member.urgency = urgency;
        member.last_seen = now;
        member.ends_at = alert.ends_at;
        // A repeated alert keeps its first start: "seconds since firing" counts from there.
        member.starts_at = member.starts_at.min(alert.starts_at);
        match (before, alert.status) {
            (AlertStatus::Firing, AlertStatus::Resolved) => Receipt::Left,
            (AlertStatus::Resolved, AlertStatus::Firing) => Receipt::Reopened,
            _ => Receipt::Refreshed,
        }
    }

    /// Keeps what matters most: what fires before what has left, the more pressing first, and who was
    /// there before who came.
    fn make_room(&mut self, alerts: &[(&Alert, Urgency)], mut receipts: Vec<Receipt>) -> Received {
        let surplus = self.members.len().saturating_sub(MEMBERS_MOST);
        if surplus == 0 {
            return Received { receipts, dropped: BTreeSet::new() };
        }
        let mut by_weight: Vec<_> = self.members.iter().collect();
        by_weight.sort_by_key(|(_, member)| {
            let fires = member.status == AlertStatus::Firing;
            (fires, member.urgency, Reverse(member.received_at), Reverse(member.starts_at))
        });
        let mut dropped: BTreeSet<_> =
            by_weight.into_iter().take(surplus).map(|(fingerprint, _)| fingerprint.clone()).collect();
        self.members.retain(|fingerprint, _| !dropped.contains(fingerprint));
        for ((alert, _), receipt) in alerts.iter().zip(&mut receipts) {
            if *receipt == Receipt::Joined {
                // It never was there.
                dropped.remove(&alert.fingerprint);
            }
            if alert.status == AlertStatus::Firing && !self.members.contains_key(&alert.fingerprint) {
                *receipt = Receipt::Crowded;
            }
        }
        Received { receipts, dropped }
    }
}
