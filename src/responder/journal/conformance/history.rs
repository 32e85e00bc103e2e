//! What has to hold of what people ask a store.

use super::*;
use crate::domain::{
    attempt::Mode,
    backstop::Stood,
    report::{Disk, Measured, Seen},
};

/// Runs everything, each part over a store of its own.
pub(super) async fn suite<J: Journal, F: Future<Output = J>>(empty: impl Fn() -> F) {
    attempts_are_found_by_all_that_can_be_asked(empty().await).await;
    of_reports_no_more_are_told_at_once_than_may_be(empty().await).await;
    incidents_are_found_by_all_that_can_be_asked(empty().await).await;
    of_alerts_no_more_are_told_at_once_than_may_be(empty().await).await;
    of_an_alert_is_told_what_it_is_about(empty().await).await;
    an_incident_is_told_with_all_that_belongs_to_it(empty().await).await;
    a_host_stands_where_its_attempts_and_its_incident_left_it(empty().await).await;
    what_a_host_measured_stands_until_it_measures_again(empty().await).await;
    what_a_host_told_of_its_backstop_last_is_what_is_known_of_it(empty().await).await;
    a_notification_is_there_as_it_was_received(empty().await).await;
}

/// An attempt that was asked for, began and ended at an instant.
async fn over<J: Journal>(journal: &J, asked: &Asked, outcome: Outcome, now: i64) {
    let fence = started(journal, asked, now).await;
    assert!(finished(journal, asked, fence, outcome, now).await);
}

async fn attempts_are_found_by_all_that_can_be_asked(journal: impl Journal) {
    let stored = opened(&journal, "a", Urgency::Warning, at(0)).await;
    let all = [
        Asked { trigger: Trigger::Alert, ..asked("a", Some(stored.id)) },
        Asked { trigger: Trigger::Manual, ..asked("a", None) },
        Asked { trigger: Trigger::Manual, ..asked("b", None) },
        Asked { trigger: Trigger::Cron, ..asked("b", None) },
    ];
    let outcomes = [Outcome::Active, Outcome::Freed, Outcome::Freed, Outcome::Unreachable];
    for ((asked, outcome), now) in all.iter().zip(outcomes).zip(10..) {
        over(&journal, asked, outcome, now).await;
    }
    let found = async |change: fn(&mut AttemptQuery)| {
        let mut query = AttemptQuery { limit: 10, ..AttemptQuery::default() };
        change(&mut query);
        let found = journal.find_attempts(&query).await.unwrap();
        let place =
            |view: &AttemptView| all.iter().position(|asked| asked.id.to_string() == view.id).unwrap();
        found.iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(found(|_| {}).await, [3, 2, 1, 0]);
    assert_eq!(found(|query| query.limit = 2).await, [3, 2]);
    assert_eq!(found(|query| query.host = Some("a".to_owned())).await, [1, 0]);
    assert_eq!(found(|query| query.host = Some("c".to_owned())).await, [0; 0]);
    assert_eq!(found(|query| query.trigger = Some(Trigger::Manual)).await, [2, 1]);
    assert_eq!(found(|query| query.outcomes = vec![Outcome::Freed]).await, [2, 1]);
    assert_eq!(found(|query| query.outcomes = vec![Outcome::Active, Outcome::Unreachable]).await, [3, 0]);
    assert_eq!(found(|query| query.since = Some(at(11))).await, [3, 2, 1]);
    assert_eq!(found(|query| query.until = Some(at(11))).await, [0]);
    let of_incident = AttemptQuery { incident: Some(stored.id), limit: 9, ..AttemptQuery::default() };
    assert_eq!(journal.find_attempts(&of_incident).await.unwrap().len(), 1);
    let before = |asked: &Asked| AttemptQuery { before: Some(asked.id), limit: 1, ..AttemptQuery::default() };
    let next = journal.find_attempts(&before(&all[3])).await.unwrap();
    assert_eq!((next.len(), &next[0].id), (1, &all[2].id.to_string()));
    assert!(journal.find_attempts(&before(&all[0])).await.unwrap().is_empty());
    assert!(journal.find_attempts(&before(&asked("a", None))).await.unwrap().is_empty(), "a stranger's");
    // One by its identity, with its report.
    let one = journal.attempt(all[2].id).await.unwrap().unwrap();
    assert_eq!((one.host.as_str(), one.report.unwrap().get()), ("b", "{}"));
    assert!(journal.attempt(AttemptId::now()).await.unwrap().is_none());
}

async fn of_reports_no_more_are_told_at_once_than_may_be(journal: impl Journal) {
    // Five of them are what may be told.
    let long = format!("[\"{}\"]", "x".repeat(REPORTS_BYTES_MOST / 5 - 4));
    for now in 0..6 {
        let asked = asked("a", None);
        let fence = started(&journal, &asked, now).await;
        let mut work = journal.begin().await.unwrap();
        let ended = Ended { report: Some(long.clone()), ..ended(Outcome::Freed) };
        assert!(work.end_attempt(asked.id, fence, &ended, at(now)).await.unwrap());
        work.commit().await.unwrap();
    }
    let told = async |limit, reports| {
        let found =
            journal.find_attempts(&AttemptQuery { limit, reports, ..AttemptQuery::default() }).await?;
        Ok::<_, JournalError>(found.into_iter().filter_map(|view| view.report).count())
    };
    assert_eq!(told(5, true).await.unwrap(), 5);
    assert!(matches!(told(6, true).await, Err(JournalError::TooMuch)));
    assert_eq!(told(6, false).await.unwrap(), 0);
}

async fn incidents_are_found_by_all_that_can_be_asked(journal: impl Journal) {
    let mut ids = vec![];
    for (name, now) in [("a", 0), ("b", 1), ("a", 2)] {
        let mut stored = opened(&journal, name, Urgency::Warning, at(now)).await;
        ids.push(stored.id);
        if now < 2 {
            stored.incident.close(Closed::Resolved, at(now));
            saved(&journal, &stored).await;
        }
    }
    let found = async |change: &dyn Fn(&mut IncidentQuery)| {
        let mut query = IncidentQuery { limit: 10, ..IncidentQuery::default() };
        change(&mut query);
        journal.find_incidents(&query).await.unwrap().iter().map(|view| view.id).collect::<Vec<_>>()
    };
    assert_eq!(found(&|_| {}).await, [ids[2], ids[1], ids[0]]);
    assert_eq!(found(&|query| query.host = Some("a".to_owned())).await, [ids[2], ids[0]]);
    assert_eq!(found(&|query| query.open = true).await, [ids[2]]);
    assert_eq!(found(&|query| query.before = Some(ids[2])).await, [ids[1], ids[0]]);
    let before = |query: &mut IncidentQuery| {
        (query.host, query.before, query.limit) = (Some("a".to_owned()), Some(ids[2]), 1);
    };
    assert_eq!(found(&before).await, [ids[0]]);
    for (alerts, expected) in [(true, 1), (false, 0)] {
        let query = IncidentQuery { limit: 1, alerts, ..IncidentQuery::default() };
        assert_eq!(journal.find_incidents(&query).await.unwrap()[0].alerts.len(), expected);
    }
}

async fn of_alerts_no_more_are_told_at_once_than_may_be(journal: impl Journal) {
    // Two of them are what may be told.
    for name in ["a", "b", "c"] {
        let stored = opened(&journal, name, Urgency::Warning, at(0)).await;
        let member = &stored.incident.members[&alert(1).fingerprint];
        let mut work = journal.begin().await.unwrap();
        for number in 2..=u32::try_from(ALERTS_MOST / 2).unwrap() {
            work.record_alert(stored.id, &alert(number), member, Uuid::nil()).await.unwrap();
        }
        work.commit().await.unwrap();
    }
    let told = async |limit, alerts| {
        let query = IncidentQuery { limit, alerts, ..IncidentQuery::default() };
        let found = journal.find_incidents(&query).await?;
        Ok::<_, JournalError>(found.into_iter().map(|view| view.alerts.len()).sum::<usize>())
    };
    assert_eq!(told(2, true).await.unwrap(), ALERTS_MOST);
    assert!(matches!(told(3, true).await, Err(JournalError::TooManyAlerts)));
    assert_eq!(told(3, false).await.unwrap(), 0);
}

async fn of_an_alert_is_told_what_it_is_about(journal: impl Journal) {
    let stored = opened(&journal, "a", Urgency::Warning, at(0)).await;
    let member = &stored.incident.members[&alert(1).fingerprint];
    let long = "x".repeat(64 * 1024);
    let labels =
        [("alertname", "A"), ("host", "a"), ("severity", "warning"), ("worker", "w-1"), ("path", &long)];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut work = journal.begin().await.unwrap();
    let alert = Alert { labels: labels.into(), ..alert(2) };
    work.record_alert(stored.id, &alert, member, Uuid::nil()).await.unwrap();
    work.commit().await.unwrap();
    let told = journal.incidents(None, 1).await.unwrap().remove(0).alerts;
    assert!(told[0].labels.is_empty(), "{told:?}");
    let labels = &told[1].labels;
    assert_eq!((labels.len(), labels["worker"].as_str()), (2, "w-1"));
    assert!(labels["path"].starts_with("xxx") && labels["path"].len() < 1024, "{labels:?}");
}

async fn an_incident_is_told_with_all_that_belongs_to_it(journal: impl Journal) {
    let mut stored = opened(&journal, "a", Urgency::Critical, at(0)).await;
    let attempt = asked("a", Some(stored.id));
    over(&journal, &attempt, Outcome::Active, 5).await;
    over(&journal, &asked("a", None), Outcome::Freed, 6).await;
    let (first, last) = (Uuid::now_v7(), Uuid::now_v7());
    let gone = Alert { status: AlertStatus::Resolved, ..alert(1) };
    let told = Escalated { at: at(5), reason: Escalation::CriticalActive };
    stored.incident.lowered = Some(Lowered { told, at: at(6) });
    stored.incident.escalated = Some(Escalated { at: at(8), reason: Escalation::Overdue });
    stored.incident.receive(&[(&alert(2), Urgency::Warning)], at(7));
    let mut work = journal.begin().await.unwrap();
    let member = |stored: &Stored, number| stored.incident.members[&alert(number).fingerprint].clone();
    work.record_alert(stored.id, &alert(2), &member(&stored, 2), first).await.unwrap();
    stored.incident.receive(&[(&gone, Urgency::Critical), (&alert(2), Urgency::Warning)], at(8));
    work.record_alert(stored.id, &gone, &member(&stored, 1), last).await.unwrap();
    work.record_alert(stored.id, &alert(2), &member(&stored, 2), last).await.unwrap();
    stored.incident.close(Closed::Operator, at(9));
    work.save_incident(&stored, &TIMING, at(0)).await.unwrap();
    work.record_closer(stored.id, "user amy from 10.0.0.7").await.unwrap();
    work.commit().await.unwrap();

    let IncidentWhole { incident, history, notifications, timeline } =
        journal.incident(stored.id, 10).await.unwrap().unwrap();
    assert_eq!((incident.id, incident.alerts.len(), history.len()), (stored.id, 2, 1));
    assert_eq!(incident.closed_by.as_deref(), Some("user amy from 10.0.0.7"));
    assert_eq!((&history[0].id, history[0].report.is_some()), (&attempt.id.to_string(), false));
    let (first, last) = (first.to_string(), last.to_string());
    // What `opened` stored came with none that is known.
    assert_eq!(notifications, [Uuid::nil().to_string(), first.clone(), last.clone()]);
    let second = &incident.alerts[1];
    assert_eq!((&second.first_notification, &second.last_notification), (&Some(first), &Some(last)));
    let told: Vec<_> = timeline.iter().map(|event| (event.at, event.event)).collect();
    assert_eq!(
        told,
        [
            (at(0), "opened"),
            (at(0), "alert_joined"),
            (at(5), "attempt_started"),
            (at(5), "attempt_ended"),
            (at(5), "escalated"),
            (at(6), "lowered"),
            (at(7), "alert_joined"),
            (at(8), "alert_left"),
            (at(8), "escalated"),
            (at(9), "closed"),
        ]
    );
    let of_all = timeline.iter().filter(|event| event.attempt.is_none());
    let reasons: Vec<_> = of_all.filter_map(|event| event.reason.as_deref()).collect();
    assert_eq!(reasons, ["critical_active", "critical_active", "overdue", "operator"]);
    assert!(told.iter().all(|(_, word)| Event::WORDS.contains(word)));
    assert_eq!(journal.incident(stored.id, 0).await.unwrap().unwrap().history.len(), 0);
    assert!(journal.incident(IncidentId(stored.id.0 + 1), 10).await.unwrap().is_none());
}

async fn a_host_stands_where_its_attempts_and_its_incident_left_it(journal: impl Journal) {
    let stored = opened(&journal, "a", Urgency::Warning, at(0)).await;
    let first = asked("a", Some(stored.id));
    over(&journal, &first, Outcome::Freed, 5).await;
    over(&journal, &asked("b", None), Outcome::Unreachable, 6).await;
    let running = asked("b", None);
    started(&journal, &running, 7).await;
    let mut deferred = stored.clone();
    deferred.incident.defer(at(50));
    let mut work = journal.begin().await.unwrap();
    work.save_incident(&deferred, &TIMING, at(8)).await.unwrap();
    work.record_deferral(stored.id, at(50), "period").await.unwrap();
    work.queue_attempt(&asked("c", None), at(8)).await.unwrap();
    work.commit().await.unwrap();

    let names = ["c", "a", "b", "d"].map(host);
    let views = journal.hosts(&names, at(9)).await.unwrap();
    assert_eq!(views.iter().map(|view| view.name.as_str()).collect::<Vec<_>>(), ["c", "a", "b", "d"]);
    let next = |view: &HostView| view.next_attempt.as_ref().map(|next| (next.at, next.waits_for.clone()));
    let [c, a, b, d] = &views[..] else { panic!("{views:?}") };
    assert_eq!(
        (next(c), c.lane.as_str(), c.last_attempt.is_some()),
        (Some((at(8), "place".into())), "new", false)
    );
    assert_eq!((next(a), a.lane.as_str()), (Some((at(50), "period".into())), "proven"));
    assert_eq!(a.incident.as_ref().unwrap().id, stored.id);
    let last = a.last_attempt.as_ref().unwrap();
    assert_eq!((&last.id, last.freed_bytes, last.report.is_some()), (&first.id.to_string(), Some(3), false));
    assert_eq!((next(b), b.lane.as_str(), b.failures_in_row), (None, "failing", 1));
    assert_eq!(b.running.as_ref().map(|view| &view.id), Some(&running.id.to_string()));
    assert_eq!(b.last_attempt.as_ref().unwrap().outcome.as_deref(), Some("unreachable"));
    assert_eq!((next(d), d.incident.is_some(), d.last_report.is_some()), (None, false, false));
    // What is queued there waits for the end of what runs.
    let mut work = journal.begin().await.unwrap();
    work.queue_attempt(&asked("b", None), at(8)).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(next(&journal.hosts(&names[2..3], at(9)).await.unwrap()[0]).unwrap().1, "attempt");
    // A clock that is set moves both together: it still waits for the same.
    let mut work = journal.begin().await.unwrap();
    work.shift(SignedDuration::from_secs(-30), at(0)).await.unwrap();
    work.commit().await.unwrap();
    let moved = journal.hosts(&names[1..2], at(9)).await.unwrap();
    assert_eq!(next(&moved[0]), Some((at(20), "period".into())));
}

async fn what_a_host_measured_stands_until_it_measures_again(journal: impl Journal) {
    let disk = |avail_after_bytes| Disk {
        mount: "8:1".to_owned(),
        temp_roots: vec!["ray-worker-1:/tmp".to_owned()],
        size_bytes: 100,
        avail_before_bytes: 1,
        avail_after_bytes,
    };
    let reports = async |mode, measured: Option<Measured>, now| {
        let attempt = asked("a", None);
        let fence = started(&journal, &attempt, now).await;
        let seen = Seen { mode, version: format!("0.{now}"), measured, backstop: None };
        let ended = Ended { seen: Some(seen), ..ended(Outcome::Freed) };
        let mut work = journal.begin().await.unwrap();
        // Who has lost its claim has nothing to say.
        let lost = Seen { mode, version: "lost".to_owned(), measured: None, backstop: None };
        let lost = Ended { seen: Some(lost), ..ended.clone() };
        assert!(!work.end_attempt(attempt.id, Fence(fence.0 + 1), &lost, at(now)).await.unwrap());
        assert!(work.end_attempt(attempt.id, fence, &ended, at(now)).await.unwrap());
        work.commit().await.unwrap();
        let view = journal.hosts(&[host("a")], at(now)).await.unwrap().pop().unwrap();
        view.last_report.unwrap()
    };
    let measured = |bytes| Some(Measured { disks: vec![disk(bytes)], tmp_bytes: bytes });
    let first = reports(Mode::Enforce, measured(7), 1).await;
    assert_eq!((first.mode.as_str(), first.version.as_str()), ("enforce", "0.1"));
    assert_eq!((first.reported_at, first.measured_at), (at(1), Some(at(1))));
    assert_eq!((&first.disks, first.tmp_bytes), (&vec![disk(7)], Some(7)));
    assert_eq!(first.holds, super::ended(Outcome::Freed).holds);
    // On hold: its mode is known anew, and nothing else.
    let held = reports(Mode::Observe, None, 2).await;
    assert_eq!((held.mode.as_str(), held.reported_at, held.measured_at), ("observe", at(2), Some(at(1))));
    assert_eq!((&held.disks, held.tmp_bytes, &held.holds), (&first.disks, Some(7), &first.holds));
    let again = reports(Mode::Observe, measured(3), 3).await;
    assert_eq!((again.measured_at, again.tmp_bytes, again.disks), (Some(at(3)), Some(3), vec![disk(3)]));
}

async fn what_a_host_told_of_its_backstop_last_is_what_is_known_of_it(journal: impl Journal) {
    let reports = async |backstop: Option<Stood>, now| {
        let attempt = asked("a", None);
        let fence = started(&journal, &attempt, now).await;
        let seen = Seen { mode: Mode::Enforce, version: "0.1".to_owned(), measured: None, backstop };
        let ended = Ended { seen: Some(seen), ..ended(Outcome::Held) };
        let mut work = journal.begin().await.unwrap();
        assert!(work.end_attempt(attempt.id, fence, &ended, at(now)).await.unwrap());
        work.commit().await.unwrap();
        told(&journal, now).await
    };
    let stood = |scheduled_secs, last| Some(Stood { interval_secs: 60, scheduled_secs, last, note: None });
    // By the responder's clock, whatever the host's says; one that is on hold tells as well as any.
    let first = reports(stood(Some(900), Some((30, Outcome::Busy))), 5000).await.unwrap();
    assert_eq!((first.finished_at, first.outcome.as_deref()), (Some(at(4970)), Some("busy")));
    assert_eq!((first.scheduled_since, first.interval_secs), (Some(at(4100)), 60));
    assert_eq!((first.overdue, &first.note), (false, &None));
    // How it stood then, however long ago that is.
    assert_eq!(told(&journal, 500_000).await, Some(first));
    let late = reports(stood(Some(9000), Some((1021, Outcome::Freed))), 6000).await.unwrap();
    assert_eq!((late.finished_at, late.overdue), (Some(at(4979)), true));
    let noted = Stood { interval_secs: 60, scheduled_secs: None, last: None, note: Some("why".to_owned()) };
    let noted = reports(Some(noted), 6500).await.unwrap();
    assert_eq!((noted.finished_at, noted.outcome, noted.overdue), (None, None, false));
    assert_eq!(noted.note.as_deref(), Some("why"));
    // Set again, the clock moves what was told with the report.
    reports(stood(Some(900), Some((30, Outcome::Busy))), 7000).await.unwrap();
    let mut work = journal.begin().await.unwrap();
    work.shift(SignedDuration::from_secs(-500), at(0)).await.unwrap();
    work.commit().await.unwrap();
    let moved = told(&journal, 7000).await.unwrap();
    assert_eq!((moved.finished_at, moved.scheduled_since), (Some(at(6470)), Some(at(5600))));
    // One of an older version tells nothing, and nothing is known any more.
    assert_eq!(reports(None, 8000).await, None);
}

/// What is known of the backstop of host a.
async fn told(journal: &impl Journal, now: i64) -> Option<BackstopView> {
    journal.hosts(&[host("a")], at(now)).await.unwrap().pop().unwrap().last_report.unwrap().backstop
}

async fn a_notification_is_there_as_it_was_received(journal: impl Journal) {
    let ids: Vec<_> = (0..3).map(|_| Uuid::now_v7()).collect();
    let bodies: [&[u8]; 3] = [b"{ \"alerts\" : [] }\n", b"\xff\x00", b""];
    let all: Vec<_> = ids.iter().copied().zip(bodies).collect();
    let keep = Keep { notifications: 10, bytes: 1000 };
    let mut work = journal.begin().await.unwrap();
    work.record_notifications(&all, at(1), keep).await.unwrap();
    work.record_notifications(&[], at(1), keep).await.unwrap();
    work.record_notifications(&all[..1], at(1), Keep { notifications: 0, ..keep }).await.unwrap();
    drop(work);
    assert_eq!(journal.notification(ids[0]).await.unwrap(), None, "it was not committed");
    let mut work = journal.begin().await.unwrap();
    work.record_notifications(&all, at(1), keep).await.unwrap();
    work.commit().await.unwrap();
    for (id, body) in &all[..2] {
        let found = journal.notification(*id).await.unwrap().unwrap();
        assert_eq!((found.id, found.received_at, found.body), (*id, at(1), body.to_vec()));
    }
    assert_eq!(journal.notification(ids[2]).await.unwrap(), None, "nothing was received");
    // However few are kept, the last one is among them.
    let few = Keep { notifications: 3, ..keep };
    for _ in 0..3 {
        let last = Uuid::now_v7();
        let mut work = journal.begin().await.unwrap();
        work.record_notifications(&[(last, b"{}")], at(2), few).await.unwrap();
        work.commit().await.unwrap();
        assert!(journal.notification(last).await.unwrap().is_some());
    }
    // Nobody keeps any more, so none is kept.
    let mut work = journal.begin().await.unwrap();
    work.record_notifications(&[(Uuid::now_v7(), b"{}")], at(2), Keep { notifications: 0, ..keep })
        .await
        .unwrap();
    work.commit().await.unwrap();
    assert_eq!(journal.notification(ids[1]).await.unwrap(), None);
}
