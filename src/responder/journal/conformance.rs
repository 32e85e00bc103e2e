//! What has to hold for every store behind the [`Journal`] trait. A store's own tests make an empty one
//! and run [`suite`]; what only that store can show stands beside it.

use std::{collections::BTreeMap, future::Future, time::Duration};

use jiff::SignedDuration;

use super::*;
use crate::domain::{
    alert::AlertStatus,
    incident::{Closed, Escalated, Escalation, Lowered, State},
    policy::Urgency,
};

mod history;
mod reports;
mod steps;

use steps::{TIMING, alert, asked, at, due, due_by, ended, finished, host, opened, saved, saved_at, started};

/// Runs everything, each part over a store of its own.
pub(super) async fn suite<J: Journal, F: Future<Output = J>>(empty: impl Fn() -> F) {
    an_incident_comes_back_as_it_was_stored(empty().await).await;
    what_was_not_committed_is_not_there(empty().await).await;
    what_is_done_apart_is_seen_to_its_end(empty().await).await;
    at_most_one_incident_is_open_and_one_attempt_runs_on_a_host(empty().await).await;
    only_the_claim_itself_ends_an_attempt_and_only_once(empty().await).await;
    what_is_due_comes_in_its_order_and_of_its_lanes(empty().await).await;
    a_host_that_is_left_alone_has_nothing_due(empty().await).await;
    a_persons_attempts_come_one_a_host_and_the_oldest_first(empty().await).await;
    what_waits_on_a_host_is_known_by_what_it_was_asked_for(empty().await).await;
    time_has_its_own_events_and_the_next_is_known(empty().await).await;
    what_was_put_off_is_asked_no_later_than_it_comes(empty().await).await;
    the_past_of_a_host_counts_for_a_day(empty().await).await;
    only_what_spent_a_period_is_remembered_for_it(empty().await).await;
    a_clock_that_was_set_moves_what_is_recent(empty().await).await;
    what_is_too_old_is_forgotten_and_nothing_else(empty().await).await;
    never_is_much_forgotten_at_once(empty().await).await;
    what_people_see_is_what_was_stored(empty().await).await;
    an_alert_that_makes_room_is_gone_and_its_incident_stays(empty().await).await;
    of_ignored_alerts_the_last_seen_are_kept(empty().await).await;
    reports::suite(&empty).await;
    of_closed_incidents_the_alerts_of_the_last_are_kept(empty().await).await;
    history::suite(empty).await;
}

async fn an_incident_comes_back_as_it_was_stored(journal: impl Journal) {
    let mut stored = opened(&journal, "a", Urgency::Critical, at(0)).await;
    stored.incident.begin();
    stored.incident.finish(Outcome::Unreachable, &TIMING, 0.5, at(9));
    stored.incident.escalated = Some(Escalated { at: at(9), reason: Escalation::Flapping });
    let told = Escalated { at: at(5), reason: Escalation::CriticalFailed };
    stored.incident.lowered = Some(Lowered { told, at: at(8) });
    saved(&journal, &stored).await;
    let mut work = journal.begin().await.unwrap();
    assert_eq!(work.incident(stored.id).await.unwrap().as_ref(), Some(&stored));
    assert_eq!(work.open_incident(&host("a")).await.unwrap().as_ref(), Some(&stored));
    assert_eq!(work.open_incident(&host("b")).await.unwrap(), None);
    let member = stored.incident.members.get_mut(&alert(1).fingerprint).unwrap();
    (member.urgency, member.status) = (Urgency::Warning, AlertStatus::Resolved);
    work.save_member(stored.id, &alert(1).fingerprint, member).await.unwrap();
    stored.incident.close(Closed::Operator, at(10));
    work.save_incident(&stored, &TIMING, at(0)).await.unwrap();
    assert_eq!(work.incident(stored.id).await.unwrap().as_ref(), Some(&stored));
    assert_eq!(work.open_incidents().await.unwrap(), []);
}

async fn what_was_not_committed_is_not_there(journal: impl Journal) {
    let mut work = journal.begin().await.unwrap();
    let incident = Incident::open(host("a"), Past::default(), at(0));
    work.insert_incident(&incident, &TIMING, at(0)).await.unwrap();
    drop(work);
    assert_eq!(journal.incidents(None, 10).await.unwrap().len(), 0);
    assert!(journal.begin().await.unwrap().open_incidents().await.unwrap().is_empty());
}

async fn what_is_done_apart_is_seen_to_its_end(journal: impl Journal) {
    let (done, told) = tokio::sync::oneshot::channel();
    let left = journal.apart(async move |apart| {
        let stored = opened(&apart, "a", Urgency::Warning, at(0)).await;
        // Nobody else has to end what was left open.
        drop(apart.begin().await.unwrap());
        done.send(stored).unwrap();
    });
    drop(left);
    let stored = told.await.unwrap();
    let mut work = journal.begin().await.unwrap();
    assert_eq!(work.open_incident(&host("a")).await.unwrap(), Some(stored));
    drop(work);
    let open = journal.apart(async |apart| apart.incidents(None, 10).await.unwrap().len());
    assert_eq!(open.await.unwrap(), 1);
}

async fn at_most_one_incident_is_open_and_one_attempt_runs_on_a_host(journal: impl Journal) {
    let mut stored = opened(&journal, "a", Urgency::Warning, at(0)).await;
    let mut work = journal.begin().await.unwrap();
    let second = Incident::open(host("a"), Past::default(), at(1));
    assert!(work.insert_incident(&second, &TIMING, at(1)).await.is_err());
    drop(work);
    let first = asked("a", Some(stored.id));
    let fence = started(&journal, &first, 1).await;
    let mut work = journal.begin().await.unwrap();
    assert!(work.start_attempt(&asked("a", None), at(2), at(60)).await.is_err());
    drop(work);
    assert!(finished(&journal, &first, fence, Outcome::Freed, 3).await);
    started(&journal, &asked("a", None), 4).await;
    stored.incident.close(Closed::Resolved, at(5));
    saved(&journal, &stored).await;
    opened(&journal, "a", Urgency::Warning, at(6)).await;
}

async fn only_the_claim_itself_ends_an_attempt_and_only_once(journal: impl Journal) {
    let (first, second) = (asked("a", None), asked("a", None));
    let fence = started(&journal, &first, 0).await;
    assert!(!finished(&journal, &first, Fence(fence.0 + 1), Outcome::Freed, 1).await, "another's claim");
    let mut work = journal.begin().await.unwrap();
    let running = work.running_attempts().await.unwrap();
    assert_eq!(running, [Running { asked: first.clone(), fence, lease_until: at(60) }]);
    work.connected(first.id, Fence(fence.0 + 1), at(1)).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(journal.attempts(None, 1).await.unwrap()[0].connected_at, None);
    assert!(finished(&journal, &first, fence, Outcome::Freed, 2).await);
    assert!(!finished(&journal, &first, fence, Outcome::Failed, 3).await, "a second end");
    assert_eq!(journal.attempts(None, 1).await.unwrap()[0].outcome.as_deref(), Some("freed"));
    assert!(started(&journal, &second, 4).await > fence);
    let mut work = journal.begin().await.unwrap();
    assert_eq!(work.starts_since(at(0)).await.unwrap(), 2);
    assert_eq!(work.starts_since(at(4)).await.unwrap(), 1);
}

async fn what_is_due_comes_in_its_order_and_of_its_lanes(journal: impl Journal) {
    for (name, outcome) in [
        ("proven", Some(Outcome::Busy)),
        ("failing", Some(Outcome::Unknown)),
        ("new-1", None),
        ("new-2", None),
    ] {
        let attempt = asked(name, None);
        if let Some(outcome) = outcome {
            let fence = started(&journal, &attempt, 0).await;
            finished(&journal, &attempt, fence, outcome, 1).await;
        }
    }
    let soon = 1000;
    opened(&journal, "new-1", Urgency::Warning, at(10)).await;
    opened(&journal, "new-2", Urgency::Warning, at(20)).await;
    opened(&journal, "failing", Urgency::Warning, at(30)).await;
    opened(&journal, "proven", Urgency::Warning, at(40)).await;
    opened(&journal, "critical", Urgency::Critical, at(50)).await;
    assert_eq!(
        due(&journal, 45, &Lane::ALL).await,
        ["proven", "new-2", "new-1"],
        "the failing one has to wait"
    );
    assert_eq!(due(&journal, soon, &[Lane::Proven]).await, ["proven"]);
    assert_eq!(due(&journal, soon, &[Lane::Failing]).await, ["failing"]);
    assert_eq!(due(&journal, soon, &[]).await, [""; 0]);
    let all = due(&journal, soon, &Lane::ALL).await;
    assert_eq!(all[..2], ["critical", "proven"], "{all:?}");
    let place = |name| all.iter().position(|other| other == name);
    assert!(place("new-2") < place("new-1"), "{all:?}");
    assert_eq!(all.last().unwrap(), "failing");
    let proven_first = due_by(&journal, soon, &Lane::ALL, Order::Proven).await;
    assert_eq!(proven_first, ["proven", "critical", "new-2", "new-1", "failing"]);
    // However pressing, who failed last time does not stand before who did not.
    let pressing = alert(2);
    let mut failing = journal.begin().await.unwrap().open_incident(&host("failing")).await.unwrap().unwrap();
    failing.incident.receive(&[(&pressing, Urgency::Critical)], at(51));
    saved(&journal, &failing).await;
    for order in [Order::Standing, Order::Proven] {
        assert_eq!(due_by(&journal, soon, &Lane::ALL, order).await.last().unwrap(), "failing", "{order:?}");
    }
    let by_wait = due_by(&journal, soon, &Lane::ALL, Order::Wait).await;
    assert_eq!(by_wait, ["new-1", "new-2", "proven", "critical", "failing"]);
    started(&journal, &asked("proven", None), soon).await;
    assert_eq!(due(&journal, soon, &[Lane::Proven]).await, [""; 0], "an attempt runs there");
}

async fn a_host_that_is_left_alone_has_nothing_due(journal: impl Journal) {
    let attempt = asked("a", None);
    let fence = started(&journal, &attempt, 0).await;
    finished(&journal, &attempt, fence, Outcome::Unknown, 0).await;
    opened(&journal, "a", Urgency::Critical, at(1)).await;
    let mut work = journal.begin().await.unwrap();
    work.queue_attempt(&asked("a", None), at(2)).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(due(&journal, 299, &Lane::ALL).await, [""; 0]);
    assert_eq!(due(&journal, 300, &Lane::ALL).await, ["a"]);
    let mut work = journal.begin().await.unwrap();
    assert_eq!(work.queued_attempts(at(299), &Lane::ALL, 10).await.unwrap(), []);
    let (_, _, since) = work.queued_attempts(at(300), &Lane::ALL, 10).await.unwrap().pop().unwrap();
    assert_eq!(since, at(300), "not since it was asked for");
    drop(work);
    assert_eq!(journal.next_event_at(at(100)).await.unwrap(), Some(at(300)));
    assert_eq!(journal.incidents(None, 1).await.unwrap()[0].due_at, Some(at(300)));
}

async fn a_persons_attempts_come_one_a_host_and_the_oldest_first(journal: impl Journal) {
    let all = [asked("b", None), asked("a", None), asked("b", None)];
    let mut work = journal.begin().await.unwrap();
    for (n, asked) in (0..).zip(&all) {
        work.queue_attempt(asked, at(n)).await.unwrap();
    }
    let queued = work.queued_attempts(at(9), &Lane::ALL, 10).await.unwrap();
    assert_eq!(queued, [(all[0].clone(), Lane::New, at(0)), (all[1].clone(), Lane::New, at(1))]);
    assert_eq!(work.queued_attempts(at(9), &[Lane::Proven], 10).await.unwrap(), []);
    assert_eq!(work.queued_attempts(at(9), &Lane::ALL, 1).await.unwrap().len(), 1);
    work.start_attempt(&all[0], at(9), at(60)).await.unwrap();
    let queued = work.queued_attempts(at(9), &Lane::ALL, 10).await.unwrap();
    assert_eq!(queued, [(all[1].clone(), Lane::New, at(1))], "the host of the first is not free");
    work.refuse_attempt(all[1].id, &ended(Outcome::Refused), at(9)).await.unwrap();
    // What has begun is not refused.
    work.refuse_attempt(all[0].id, &ended(Outcome::Refused), at(9)).await.unwrap();
    assert_eq!(work.queued_attempts(at(9), &Lane::ALL, 10).await.unwrap(), []);
    assert_eq!(work.running_attempts().await.unwrap().len(), 1);
    work.commit().await.unwrap();
}

async fn what_waits_on_a_host_is_known_by_what_it_was_asked_for(journal: impl Journal) {
    let dry = Asked { dry_run: true, ..asked("a", None) };
    let all = [asked("a", None), asked("b", None), dry, asked("a", None)];
    let mut work = journal.begin().await.unwrap();
    for (n, asked) in (0..).zip(&all) {
        work.queue_attempt(asked, at(n)).await.unwrap();
    }
    let of = |host: &str, of: &Asked| (self::host(host), of.id);
    let waiting = work.waiting_attempts(false).await.unwrap();
    assert_eq!(waiting, [of("a", &all[0]), of("b", &all[1])].into(), "the first of each");
    assert_eq!(work.waiting_attempts(true).await.unwrap(), [of("a", &all[2])].into());
    work.start_attempt(&all[0], at(9), at(60)).await.unwrap();
    work.refuse_attempt(all[1].id, &ended(Outcome::Refused), at(9)).await.unwrap();
    assert_eq!(work.waiting_attempts(false).await.unwrap(), [of("a", &all[3])].into());
}

async fn time_has_its_own_events_and_the_next_is_known(journal: impl Journal) {
    assert_eq!(journal.next_event_at(at(0)).await.unwrap(), None);
    let mut stored = opened(&journal, "a", Urgency::Warning, at(10)).await;
    assert_eq!(journal.next_event_at(at(0)).await.unwrap(), Some(at(10)));
    // A person is told while an attempt runs, too; and what is due there waits for its end.
    stored.incident.begin();
    saved(&journal, &stored).await;
    let attempt = asked("a", Some(stored.id));
    let fence = started(&journal, &attempt, 10).await;
    assert_eq!(journal.next_event_at(at(0)).await.unwrap(), Some(at(3610)));
    let mut work = journal.begin().await.unwrap();
    assert_eq!(work.timed_incidents(at(3609), 10).await.unwrap(), []);
    assert_eq!(work.timed_incidents(at(3610), 10).await.unwrap(), [stored.clone()]);
    drop(work);
    assert!(finished(&journal, &attempt, fence, Outcome::Active, 20).await);
    stored.incident.finish(Outcome::Active, &TIMING, 0.0, at(20));
    saved(&journal, &stored).await;
    assert_eq!(journal.next_event_at(at(20)).await.unwrap(), Some(at(320)));
    // What could be done by now is done already, or waits for something else than time.
    assert_eq!(journal.next_event_at(at(320)).await.unwrap(), Some(at(3610)));
    stored.incident.close(Closed::Resolved, at(330));
    saved(&journal, &stored).await;
    assert_eq!(journal.next_event_at(at(0)).await.unwrap(), None);
}

async fn what_was_put_off_is_asked_no_later_than_it_comes(journal: impl Journal) {
    let timed = async |now| journal.begin().await.unwrap().timed_incidents(now, 10).await.unwrap();
    let mut stored = opened(&journal, "a", Urgency::Warning, at(0)).await;
    stored.incident.escalated = Some(Escalated { at: at(5), reason: Escalation::Overdue });
    saved(&journal, &stored).await;
    assert_eq!(timed(at(7199)).await, []);
    // Received again, it ends an hour later. Until it is asked, a journal may leave that unwritten.
    stored.incident.receive(&[(&alert(1), Urgency::Warning)], at(3600));
    saved_at(&journal, &stored, at(3600)).await;
    assert_eq!(timed(at(7199)).await, []);
    // Whoever has asked has an answer that lasts.
    saved_at(&journal, &stored, at(7200)).await;
    assert_eq!(timed(at(10_799)).await, []);
    assert_eq!(timed(at(10_800)).await.len(), 1);
    // What comes sooner is asked sooner.
    stored.incident.escalated = None;
    saved_at(&journal, &stored, at(7201)).await;
    assert_eq!(timed(at(7201)).await.len(), 1);
    stored.incident.close(Closed::Resolved, at(7202));
    saved_at(&journal, &stored, at(7202)).await;
    assert_eq!(timed(at(20_000)).await, []);
}

async fn the_past_of_a_host_counts_for_a_day(journal: impl Journal) {
    for (opened_at, closed_at) in [(0, 600), (1000, 1001)] {
        let mut stored = opened(&journal, "a", Urgency::Warning, at(opened_at)).await;
        stored.incident.close(Closed::Expired, at(closed_at));
        saved(&journal, &stored).await;
    }
    let mut work = journal.begin().await.unwrap();
    let day = 24 * 3600;
    for (name, now, minutes) in
        [("a", 2000, 15), ("a", day + 600, 15), ("a", day + 601, 5), ("a", day + 1002, 0), ("b", 2000, 0)]
    {
        let past = work.past(&host(name), &TIMING, at(now)).await.unwrap();
        assert_eq!(past.trouble, Duration::from_mins(minutes), "{name} {now}");
    }
    let standing = Standing { failures_in_row: 4, ..Standing::default() };
    work.save_standing(&host("a"), &standing).await.unwrap();
    assert_eq!(work.standing(&host("a")).await.unwrap(), standing);
    assert_eq!(work.past(&host("a"), &TIMING, at(0)).await.unwrap().failures_in_row, 4);
}

async fn only_what_spent_a_period_is_remembered_for_it(journal: impl Journal) {
    for (now, outcome) in [
        (0, Outcome::Freed),
        (10, Outcome::Active),
        (20, Outcome::Held),
        (30, Outcome::Unreachable),
        (31, Outcome::Refused),
    ] {
        let attempt = asked("a", None);
        let fence = started(&journal, &attempt, now).await;
        finished(&journal, &attempt, fence, outcome, now).await;
    }
    // Who only asked what would go has spent nothing.
    let dry_run = Asked { dry_run: true, ..asked("a", None) };
    let mut work = journal.begin().await.unwrap();
    work.queue_attempt(&dry_run, at(32)).await.unwrap();
    assert!(work.queued_attempts(at(3600), &Lane::ALL, 9).await.unwrap()[0].0.dry_run, "it is not forgotten");
    work.commit().await.unwrap();
    let fence = started(&journal, &dry_run, 35).await;
    finished(&journal, &dry_run, fence, Outcome::WouldFree, 35).await;
    // One that runs may have done anything.
    started(&journal, &asked("b", None), 40).await;
    let mut latest = BTreeMap::new();
    for (host, at) in journal.last_spends(at(10)).await.unwrap() {
        let latest = latest.entry(host).or_insert(at);
        *latest = at.max(*latest);
    }
    assert_eq!(latest, [(host("a"), at(10)), (host("b"), at(40))].into());
    assert_eq!(
        journal.last_spends(at(11)).await.unwrap(),
        [(host("b"), at(40))],
        "what goes on is not too old"
    );
}

async fn a_clock_that_was_set_moves_what_is_recent(journal: impl Journal) {
    let mut old = opened(&journal, "a", Urgency::Warning, at(0)).await;
    old.incident.close(Closed::Resolved, at(10));
    saved(&journal, &old).await;
    let mut open = opened(&journal, "b", Urgency::Warning, at(50)).await;
    let told = Escalated { at: at(51), reason: Escalation::CriticalActive };
    open.incident.lowered = Some(Lowered { told, at: at(52) });
    saved(&journal, &open).await;
    let attempt = asked("b", Some(open.id));
    started(&journal, &attempt, 60).await;
    let failed = asked("c", None);
    let fence = started(&journal, &failed, 70).await;
    finished(&journal, &failed, fence, Outcome::Unreachable, 70).await;
    let mut work = journal.begin().await.unwrap();
    assert_eq!(work.anchor().await.unwrap(), None);
    let anchor = Anchor { boot: "b".to_owned(), uptime: Duration::from_secs(5), at: at(80) };
    work.save_anchor(&anchor).await.unwrap();
    let hour = SignedDuration::from_hours(-1);
    work.shift(hour, at(20)).await.unwrap();
    assert_eq!(work.anchor().await.unwrap(), Some(anchor));
    let moved = work.incident(open.id).await.unwrap().unwrap().incident;
    assert_eq!(moved.opened_at, at(50) + hour);
    let told = Escalated { at: at(51) + hour, ..told };
    assert_eq!(moved.lowered, Some(Lowered { told, at: at(52) + hour }));
    assert_eq!(moved.state, State::Waiting { due_at: at(50) + hour });
    let member = moved.members.values().next().unwrap();
    assert_eq!(
        (member.last_seen, member.starts_at),
        (at(50) + hour, at(-60)),
        "Prometheus' clock is another"
    );
    assert_eq!(work.incident(old.id).await.unwrap().unwrap(), old);
    assert_eq!(work.running_attempts().await.unwrap()[0].lease_until, at(120) + hour);
    assert_eq!(work.standing(&host("c")).await.unwrap().not_before, Some(at(100) + hour));
    work.commit().await.unwrap();
    let spends = journal.last_spends(at(0)).await.unwrap();
    assert_eq!(spends, [(host("b"), at(60) + hour)]);
    // Within half an hour of the moved time the person's hour is as far away as it was.
    assert_eq!(journal.next_event_at(at(0)).await.unwrap(), Some(at(50 + 3600) + hour));
}

async fn what_is_too_old_is_forgotten_and_nothing_else(journal: impl Journal) {
    for (name, now) in [("a", 0), ("b", 100)] {
        let mut stored = opened(&journal, name, Urgency::Warning, at(now)).await;
        let attempt = asked(name, Some(stored.id));
        let fence = started(&journal, &attempt, now).await;
        finished(&journal, &attempt, fence, Outcome::Freed, now).await;
        let manual = asked(name, None);
        let fence = started(&journal, &manual, now).await;
        finished(&journal, &manual, fence, Outcome::Freed, now).await;
        stored.incident.close(Closed::Resolved, at(now));
        saved(&journal, &stored).await;
    }
    // Open, queued or running, however old; but what was tried long ago, also for what is still open.
    let open = opened(&journal, "c", Urgency::Warning, at(-1000)).await;
    let first = asked("c", Some(open.id));
    let fence = started(&journal, &first, -1000).await;
    finished(&journal, &first, fence, Outcome::Active, -1000).await;
    started(&journal, &asked("c", Some(open.id)), -1000).await;
    let mut work = journal.begin().await.unwrap();
    work.queue_attempt(&asked("d", None), at(-1000)).await.unwrap();
    for (number, now) in [(1, 0), (2, 100)] {
        work.record_ignored(&alert(number), Ignored::UnknownHost, at(now)).await.unwrap();
    }
    work.commit().await.unwrap();
    assert!(journal.forget(at(50)).await.unwrap() > 0);
    assert_eq!(journal.forget(at(50)).await.unwrap(), 0);
    let hosts = |attempts: Vec<AttemptView>| {
        let mut hosts: Vec<_> = attempts.into_iter().map(|attempt| attempt.host).collect();
        hosts.sort();
        hosts
    };
    assert_eq!(hosts(journal.attempts(None, 100).await.unwrap()), ["b", "b", "c", "d"]);
    let incidents = journal.incidents(None, 100).await.unwrap();
    assert_eq!(incidents.iter().map(|view| view.host.as_str()).collect::<Vec<_>>(), ["c", "b"]);
    assert_eq!(incidents[1].alerts.len(), 1);
    assert_eq!(journal.ignored(100).await.unwrap().len(), 1);
}

async fn never_is_much_forgotten_at_once(journal: impl Journal) {
    const MANY: u32 = 1200;
    let mut stored = opened(&journal, "a", Urgency::Warning, at(0)).await;
    let member = stored.incident.members[&alert(1).fingerprint].clone();
    let mut work = journal.begin().await.unwrap();
    for number in 1..=MANY {
        let attempt = asked("a", Some(stored.id));
        let fence = work.start_attempt(&attempt, at(0), at(60)).await.unwrap();
        assert!(work.end_attempt(attempt.id, fence, &ended(Outcome::Active), at(1)).await.unwrap());
        work.record_alert(stored.id, &alert(number), &member, Uuid::nil()).await.unwrap();
    }
    stored.incident.close(Closed::Resolved, at(2));
    work.save_incident(&stored, &TIMING, at(0)).await.unwrap();
    work.commit().await.unwrap();
    let left = async || {
        let alerts = journal.incidents(None, 1).await.unwrap().first().map_or(0, |view| view.alerts.len());
        (journal.attempts(None, MANY).await.unwrap().len(), alerts)
    };
    let mut before = left().await;
    assert_eq!(before, (1200, 1200));
    while journal.forget(at(50)).await.unwrap() > 0 {
        let now = left().await;
        assert!(before.0 - now.0 <= 600 && before.1 - now.1 <= 600, "{now:?} of {before:?} are left");
        before = now;
    }
    assert_eq!((before, journal.incidents(None, 1).await.unwrap().len()), ((0, 0), 0));
}

async fn what_people_see_is_what_was_stored(journal: impl Journal) {
    let mut stored = opened(&journal, "a", Urgency::Critical, at(0)).await;
    for (now, outcome) in [(1, Outcome::Active), (2, Outcome::Active), (3, Outcome::Unreachable)] {
        let attempt = asked("a", Some(stored.id));
        let fence = started(&journal, &attempt, now).await;
        finished(&journal, &attempt, fence, outcome, now).await;
    }
    let quiet = journal.open_hosts().await.unwrap();
    assert_eq!((quiet.len(), &quiet[0].escalation, quiet[0].tried.tried.len()), (1, &None, 0));
    stored.incident.escalated = Some(Escalated { at: at(4), reason: Escalation::CriticalActive });
    saved(&journal, &stored).await;
    let tried: BTreeMap<_, _> = [("active".to_owned(), 2), ("unreachable".to_owned(), 1)].into();
    let open = journal.open_hosts().await.unwrap().pop().unwrap();
    let tried = Tried { tried, holds: ended(Outcome::Active).holds };
    assert_eq!(
        (open.host, open.escalation.as_deref(), &open.tried),
        (host("a"), Some("critical_active"), &tried)
    );
    let view = journal.incidents(Some("a"), 10).await.unwrap().pop().unwrap();
    assert_eq!(view.tried, tried);
    assert_eq!(journal.begin().await.unwrap().tried(stored.id).await.unwrap(), tried);
    assert_eq!(journal.incidents(Some("b"), 10).await.unwrap().len(), 0);
    // However many have come and gone since.
    for now in 10..20 {
        let mut gone = opened(&journal, "b", Urgency::Warning, at(now)).await;
        gone.incident.close(Closed::Resolved, at(now));
        saved(&journal, &gone).await;
    }
    assert_eq!(journal.incidents(None, 10).await.unwrap().iter().filter(|view| view.host == "a").count(), 0);
    let still_open = |host: Option<&str>| IncidentQuery {
        host: host.map(str::to_owned),
        open: true,
        limit: 10,
        ..IncidentQuery::default()
    };
    let open = journal.find_incidents(&still_open(None)).await.unwrap();
    assert_eq!(open.iter().map(|view| (view.host.as_str(), view.id)).collect::<Vec<_>>(), [("a", stored.id)]);
    assert_eq!(open[0].tried, tried);
    assert_eq!(journal.find_incidents(&still_open(Some("a"))).await.unwrap().len(), 1);
    assert_eq!(journal.find_incidents(&still_open(Some("b"))).await.unwrap().len(), 0);
    let newest = journal.attempts(Some("a"), 1).await.unwrap().pop().unwrap();
    assert_eq!((newest.outcome.as_deref(), newest.reason.as_deref()), (Some("unreachable"), Some("because")));
    assert_eq!((newest.freed_bytes, newest.finished_at), (Some(3), Some(at(3))));
    assert_eq!(newest.report.as_ref().unwrap().get(), "{}");
    let brief = AttemptQuery { host: Some("a".to_owned()), limit: 1, ..AttemptQuery::default() };
    let brief = journal.find_attempts(&brief).await.unwrap().pop().unwrap();
    assert_eq!((brief.id, brief.finished_at), (newest.id, newest.finished_at));
    assert!(brief.report.is_none());
    journal.probe(at(5)).await.unwrap();
}

async fn an_alert_that_makes_room_is_gone_and_its_incident_stays(journal: impl Journal) {
    let mut stored = opened(&journal, "a", Urgency::Warning, at(0)).await;
    opened(&journal, "b", Urgency::Warning, at(0)).await;
    stored.incident.receive(&[(&alert(2), Urgency::Warning)], at(1));
    let mut work = journal.begin().await.unwrap();
    work.record_alert(stored.id, &alert(2), &stored.incident.members[&alert(2).fingerprint], Uuid::nil())
        .await
        .unwrap();
    work.drop_alert(stored.id, &alert(1).fingerprint).await.unwrap();
    stored.incident.members.remove(&alert(1).fingerprint);
    // One that is not there is gone already.
    work.drop_alert(stored.id, &alert(3).fingerprint).await.unwrap();
    work.commit().await.unwrap();
    let mut work = journal.begin().await.unwrap();
    assert_eq!(work.open_incident(&host("a")).await.unwrap(), Some(stored));
    assert_eq!(work.open_incident(&host("b")).await.unwrap().unwrap().incident.members.len(), 1);
}

async fn of_ignored_alerts_the_last_seen_are_kept(journal: impl Journal) {
    let mut work = journal.begin().await.unwrap();
    for (number, now) in [(1, 0), (2, 10), (3, 20), (1, 30)] {
        work.record_ignored(&alert(number), Ignored::UnknownHost, at(now)).await.unwrap();
    }
    work.keep_ignored(2).await.unwrap();
    work.commit().await.unwrap();
    let kept = journal.ignored(10).await.unwrap();
    let kept: Vec<_> = kept.into_iter().map(|view| (view.fingerprint, view.times)).collect();
    assert_eq!(kept, [(1, 2), (3, 1)].map(|(number, times)| (alert(number).fingerprint.to_string(), times)));
    let mut work = journal.begin().await.unwrap();
    work.keep_ignored(2).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(journal.ignored(10).await.unwrap().len(), 2);
}

async fn of_closed_incidents_the_alerts_of_the_last_are_kept(journal: impl Journal) {
    let closed = async |name: &str, now: i64| {
        let mut stored = opened(&journal, name, Urgency::Warning, at(now)).await;
        let member = stored.incident.members[&alert(1).fingerprint].clone();
        let mut work = journal.begin().await.unwrap();
        work.record_alert(stored.id, &alert(2), &member, Uuid::nil()).await.unwrap();
        work.commit().await.unwrap();
        stored.incident.close(Closed::Resolved, at(now + 1));
        saved(&journal, &stored).await;
        stored.id
    };
    let mut ids = vec![];
    for now in [0, 10, 20, 30, 40] {
        ids.push(closed("a", now).await);
    }
    // Something was tried for the first of them.
    let attempt = asked("a", Some(ids[0]));
    let fence = started(&journal, &attempt, 2).await;
    finished(&journal, &attempt, fence, Outcome::Freed, 3).await;
    let (other, open) = (closed("b", 0).await, opened(&journal, "a", Urgency::Warning, at(50)).await.id);
    let left = async || {
        let views = journal.incidents(None, 10).await.unwrap();
        let mut left: Vec<_> = views.iter().map(|view| (view.id, view.alerts.len())).collect();
        left.sort();
        left
    };
    let keep = async |most| {
        let mut work = journal.begin().await.unwrap();
        work.keep_closed(&host("a"), most).await.unwrap();
        work.commit().await.unwrap();
    };
    keep(10).await;
    assert_eq!(left().await.iter().map(|(_, alerts)| alerts).sum::<usize>(), 13, "there is room");
    for _ in 0..2 {
        keep(3).await;
        let expected = [(ids[0], 0), (ids[2], 0), (ids[3], 1), (ids[4], 2), (other, 2), (open, 1)];
        assert_eq!(left().await, expected);
    }
    let whole = journal.incident(ids[0], 10).await.unwrap().unwrap();
    assert_eq!((whole.history.len(), whole.incident.attempts), (1, 0));
}
