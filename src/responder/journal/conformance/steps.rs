//! What the parts of the suite are made of: rows, and one unit of work for each thing that is done.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use uuid::Uuid;

use super::super::*;
use crate::domain::{
    alert::{Alert, AlertStatus},
    policy::Urgency,
};

pub(super) const TIMING: Timing = Timing {
    recheck: Duration::from_mins(5),
    decay: Duration::from_mins(5),
    backoff_first: Duration::from_secs(30),
    backoff_most: Duration::from_mins(10),
    escalate_after: Duration::from_hours(1),
    expiry: Duration::from_hours(2),
};

pub(super) fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + secs).unwrap()
}

pub(super) fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

pub(super) fn alert(number: u32) -> Alert {
    Alert {
        fingerprint: format!("{number:016x}").parse().unwrap(),
        status: AlertStatus::Firing,
        labels: [("alertname".to_owned(), "A".to_owned())].into(),
        starts_at: at(-60),
        ends_at: None,
    }
}

pub(super) fn ended(outcome: Outcome) -> Ended {
    let holds = Holds { kept_bytes: [("too_young".to_owned(), 7)].into(), signs: BTreeMap::new() };
    Ended {
        outcome,
        reason: Some("because".to_owned()),
        freed_bytes: 3,
        report: Some("{}".to_owned()),
        holds: Some(holds),
        seen: None,
    }
}

pub(super) fn asked(name: &str, incident: Option<IncidentId>) -> Asked {
    let replay = incident.is_none().then(Uuid::nil);
    Asked {
        id: AttemptId::now(),
        host: host(name),
        incident,
        replay,
        trigger: Trigger::Alert,
        dry_run: false,
        asked_by: None,
    }
}

/// Opens an incident with one firing alert and stores it.
pub(super) async fn opened<J: Journal>(journal: &J, name: &str, urgency: Urgency, now: Timestamp) -> Stored {
    let mut work = journal.begin().await.unwrap();
    let past = work.past(&host(name), &TIMING, now).await.unwrap();
    let mut incident = Incident::open(host(name), past, now);
    let id = work.insert_incident(&incident, &TIMING, now).await.unwrap();
    incident.receive(&[(&alert(1), urgency)], now);
    work.record_alert(id, &alert(1), &incident.members[&alert(1).fingerprint], Uuid::nil()).await.unwrap();
    let stored = Stored { id, incident };
    work.save_incident(&stored, &TIMING, now).await.unwrap();
    work.commit().await.unwrap();
    stored
}

pub(super) async fn saved<J: Journal>(journal: &J, stored: &Stored) {
    saved_at(journal, stored, Timestamp::MAX).await;
}

pub(super) async fn saved_at<J: Journal>(journal: &J, stored: &Stored, now: Timestamp) {
    let mut work = journal.begin().await.unwrap();
    work.save_incident(stored, &TIMING, now).await.unwrap();
    work.commit().await.unwrap();
}

/// Starts an attempt; its fence.
pub(super) async fn started<J: Journal>(journal: &J, asked: &Asked, now: i64) -> Fence {
    let mut work = journal.begin().await.unwrap();
    let fence = work.start_attempt(asked, at(now), at(now + 60)).await.unwrap();
    work.commit().await.unwrap();
    fence
}

pub(super) async fn finished<J: Journal>(
    journal: &J,
    asked: &Asked,
    fence: Fence,
    outcome: Outcome,
    now: i64,
) -> bool {
    let mut work = journal.begin().await.unwrap();
    let ours = work.end_attempt(asked.id, fence, &ended(outcome), at(now)).await.unwrap();
    let mut standing = work.standing(&asked.host).await.unwrap();
    standing.finish(outcome, &TIMING, 0.0, at(now));
    work.save_standing(&asked.host, &standing).await.unwrap();
    work.commit().await.unwrap();
    ours
}

pub(super) async fn due<J: Journal>(journal: &J, now: i64, lanes: &[Lane]) -> Vec<String> {
    due_by(journal, now, lanes, Order::Standing).await
}

pub(super) async fn due_by<J: Journal>(journal: &J, now: i64, lanes: &[Lane], order: Order) -> Vec<String> {
    let mut work = journal.begin().await.unwrap();
    let due = work.due_incidents(at(now), lanes, order, 100).await.unwrap();
    due.into_iter().map(|(stored, _)| stored.incident.host.to_string()).collect()
}
