use proptest::prelude::*;

use super::*;
use crate::domain::alert::Alert;

mod lowered;
mod many;
mod policies;

pub(in crate::domain) const TIMING: Timing = Timing {
    recheck: Duration::from_mins(5),
    decay: Duration::from_mins(4),
    backoff_first: Duration::from_secs(30),
    backoff_most: Duration::from_mins(10),
    escalate_after: Duration::from_hours(1),
    expiry: Duration::from_mins(45),
};

pub(in crate::domain) fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + secs).unwrap()
}

fn alert(number: u8, status: AlertStatus) -> Alert {
    Alert {
        fingerprint: format!("{number:016x}").parse().unwrap(),
        status,
        labels: [("alertname".to_owned(), format!("alert-{number}"))].into(),
        starts_at: at(-60),
        ends_at: None,
    }
}

fn opened(urgency: Urgency) -> Incident {
    let mut incident = Incident::open("ray-80".parse().unwrap(), Past::default(), at(0));
    assert_eq!(received(&mut incident, &alert(1, AlertStatus::Firing), urgency, at(0)), Receipt::Joined);
    incident
}

/// Receives one alert alone.
fn received(incident: &mut Incident, alert: &Alert, urgency: Urgency, now: Timestamp) -> Receipt {
    let Received { receipts, dropped } = incident.receive(&[(alert, urgency)], now);
    assert_eq!((receipts.len(), dropped.len()), (1, 0));
    receipts[0]
}

fn due_after(outcome: Outcome) -> i64 {
    let mut incident = opened(Urgency::Warning);
    incident.begin();
    incident.finish(outcome, &TIMING, 0.0, at(10));
    let State::Waiting { due_at } = incident.state else { panic!("{incident:?}") };
    due_at.duration_since(at(10)).as_secs()
}

#[test]
fn a_new_incident_is_due_at_once_and_the_same_alert_again_changes_nothing() {
    let mut incident = opened(Urgency::Warning);
    assert_eq!(incident.state, State::Waiting { due_at: at(0) });
    incident.begin();
    incident.finish(Outcome::Freed, &TIMING, 0.0, at(5));
    let before = incident.state;
    assert_eq!(
        received(&mut incident, &alert(1, AlertStatus::Firing), Urgency::Warning, at(6)),
        Receipt::Refreshed
    );
    assert_eq!(incident.state, before);
}

#[test]
fn each_outcome_has_its_own_wait() {
    assert_eq!(due_after(Outcome::Freed), 240);
    for outcome in [
        Outcome::Active,
        Outcome::NothingToFree,
        Outcome::Held,
        Outcome::Busy,
        Outcome::Unknown,
        Outcome::Failed,
    ] {
        assert_eq!(due_after(outcome), 300, "{outcome:?}");
    }
    for outcome in [Outcome::Unreachable, Outcome::Refused] {
        assert_eq!(due_after(outcome), 30, "{outcome:?}");
    }
}

#[test]
fn backoff_doubles_up_to_its_bound_and_jitter_takes_at_most_half() {
    let secs = |failures, jitter| backoff(&TIMING, failures, jitter).as_secs();
    assert_eq!([1, 2, 3, 5, 6, 100].map(|n| secs(n, 0.0)), [30, 60, 120, 480, 600, 600]);
    assert_eq!(secs(1, 1.0), 15);
    assert_eq!(secs(100, 0.5), 450);
}

#[test]
fn an_incident_closes_when_its_last_firing_alert_leaves() {
    let mut incident = opened(Urgency::Warning);
    received(&mut incident, &alert(2, AlertStatus::Firing), Urgency::Critical, at(1));
    assert_eq!(
        received(&mut incident, &alert(1, AlertStatus::Resolved), Urgency::Warning, at(2)),
        Receipt::Left
    );
    assert!(!incident.is_closed());
    received(&mut incident, &alert(2, AlertStatus::Resolved), Urgency::Critical, at(3));
    assert_eq!(incident.state, State::Closed { at: at(3), reason: Closed::Resolved });
}

#[test]
fn an_alert_that_left_may_come_back_while_another_holds_the_incident_open() {
    let mut incident = opened(Urgency::Warning);
    received(&mut incident, &alert(2, AlertStatus::Firing), Urgency::Warning, at(1));
    received(&mut incident, &alert(1, AlertStatus::Resolved), Urgency::Warning, at(2));
    assert_eq!(
        received(&mut incident, &alert(1, AlertStatus::Firing), Urgency::Warning, at(3)),
        Receipt::Reopened
    );
}

#[test]
fn a_critical_alert_that_joins_makes_the_incident_due_at_once() {
    let mut incident = opened(Urgency::Warning);
    incident.begin();
    incident.finish(Outcome::Active, &TIMING, 0.0, at(5));
    received(&mut incident, &alert(2, AlertStatus::Firing), Urgency::Warning, at(6));
    assert_eq!(incident.state, State::Waiting { due_at: at(305) });
    received(&mut incident, &alert(3, AlertStatus::Firing), Urgency::Critical, at(7));
    assert_eq!(incident.state, State::Waiting { due_at: at(7) });
}

#[test]
fn an_incident_that_resolves_in_mid_attempt_stays_closed_when_the_attempt_ends() {
    let mut incident = opened(Urgency::Warning);
    incident.begin();
    received(&mut incident, &alert(1, AlertStatus::Resolved), Urgency::Warning, at(5));
    incident.finish(Outcome::Freed, &TIMING, 0.0, at(6));
    assert_eq!(incident.state, State::Closed { at: at(5), reason: Closed::Resolved });
    assert_eq!((incident.attempts, incident.last_outcome), (1, Some(Outcome::Freed)));
}

#[test]
fn only_a_critical_incident_is_escalated_at_once_and_any_is_when_it_lasts() {
    for (urgency, outcome, expected) in [
        (Urgency::Critical, Outcome::Active, Some(Escalation::CriticalActive)),
        (Urgency::Critical, Outcome::NothingToFree, Some(Escalation::CriticalNothingToFree)),
        (Urgency::Critical, Outcome::WouldFree, Some(Escalation::CriticalObserved)),
        (Urgency::Critical, Outcome::Freed, None),
        (Urgency::Critical, Outcome::Failed, None),
        (Urgency::Warning, Outcome::Active, None),
    ] {
        let mut incident = opened(urgency);
        incident.begin();
        incident.finish(outcome, &TIMING, 0.0, at(5));
        assert_eq!(incident.escalated.map(|e| e.reason), expected, "{urgency:?} {outcome:?}");
    }
    let mut incident = opened(Urgency::Warning);
    received(&mut incident, &alert(1, AlertStatus::Firing), Urgency::Warning, at(3000));
    incident.pass_time(&TIMING, at(3599));
    assert_eq!(incident.escalated, None);
    incident.pass_time(&TIMING, at(3600));
    assert_eq!(incident.escalated, Some(Escalated { at: at(3600), reason: Escalation::Overdue }));
}

/// What was freed of one worker, or a worker that fails each time, hides what the others came to.
#[test]
fn what_helps_twice_in_a_row_and_ends_nothing_reaches_a_person() {
    let after = |urgency, outcomes: &[Outcome]| {
        let mut incident = opened(urgency);
        for (outcome, end) in outcomes.iter().zip(1..) {
            incident.begin();
            incident.finish(*outcome, &TIMING, 0.0, at(300 * end));
        }
        incident.escalated.map(|escalated| escalated.reason)
    };
    let (freed, failed) = (Outcome::Freed, Outcome::Failed);
    let critical = |outcomes: &[Outcome]| after(Urgency::Critical, outcomes);
    assert_eq!(critical(&[freed, freed]), Some(Escalation::CriticalFreedTooLittle));
    assert_eq!(critical(&[failed, failed]), Some(Escalation::CriticalFailed));
    for outcomes in [[freed, failed, freed], [failed, freed, failed], [freed, Outcome::Busy, freed]] {
        assert_eq!(critical(&outcomes), None, "{outcomes:?}");
    }
    assert_eq!(after(Urgency::Warning, &[freed, freed]), None);
    assert_eq!(after(Urgency::Warning, &[failed, failed]), None);
}

#[test]
fn trouble_that_comes_and_goes_counts_for_its_host_and_reaches_a_person() {
    let minutes = |minutes| Duration::from_mins(minutes);
    // As long as it was open, and never for less than a recheck.
    assert_eq!(counted(at(0), at(1200), &TIMING), minutes(20));
    assert_eq!(counted(at(0), at(1), &TIMING), minutes(5));
    assert_eq!(counted(at(9), at(0), &TIMING), minutes(5));

    let past = Past { trouble: minutes(50), failures_in_row: 3 };
    let mut incident = Incident::open("ray-80".parse().unwrap(), past, at(0));
    received(&mut incident, &alert(1, AlertStatus::Firing), Urgency::Warning, at(0));
    assert_eq!(incident.time_event_at(&TIMING), Some(at(600)));
    incident.pass_time(&TIMING, at(599));
    assert_eq!(incident.escalated, None);
    incident.pass_time(&TIMING, at(600));
    assert_eq!(incident.escalated, Some(Escalated { at: at(600), reason: Escalation::Flapping }));
    // What could not be reached before the incident opened is not tried hotly after it.
    incident.begin();
    incident.finish(Outcome::Unreachable, &TIMING, 0.0, at(601));
    assert_eq!(incident.state, State::Waiting { due_at: at(601 + 240) });
}

#[test]
fn who_was_told_that_it_takes_long_is_told_once_more_where_it_becomes_critical() {
    let mut incident = opened(Urgency::Warning);
    received(&mut incident, &alert(1, AlertStatus::Firing), Urgency::Warning, at(3000));
    incident.pass_time(&TIMING, at(3600));
    received(&mut incident, &alert(2, AlertStatus::Firing), Urgency::Critical, at(3601));
    incident.begin();
    incident.finish(Outcome::Active, &TIMING, 0.0, at(3602));
    let critical = Some(Escalated { at: at(3602), reason: Escalation::CriticalActive });
    assert_eq!(incident.escalated, critical);
    // Never a third time, nor for a reason that is no more pressing.
    incident.begin();
    incident.finish(Outcome::NothingToFree, &TIMING, 0.0, at(3900));
    incident.pass_time(&TIMING, at(3901));
    assert_eq!(incident.escalated, critical);
}

#[test]
fn a_person_is_told_while_an_attempt_is_still_under_way() {
    let mut incident = opened(Urgency::Warning);
    incident.begin();
    assert_eq!(incident.time_event_at(&TIMING), Some(at(3600)));
    incident.pass_time(&TIMING, at(3600));
    assert_eq!(incident.escalated, Some(Escalated { at: at(3600), reason: Escalation::Overdue }));
    assert_eq!((incident.state, incident.time_event_at(&TIMING)), (State::Sweeping, None));
}

#[test]
fn an_incident_expires_when_none_of_its_alerts_is_seen_again() {
    let mut incident = opened(Urgency::Warning);
    received(&mut incident, &alert(2, AlertStatus::Firing), Urgency::Warning, at(100));
    incident.pass_time(&TIMING, at(2799));
    assert!(!incident.is_closed());
    incident.pass_time(&TIMING, at(2800));
    assert_eq!(incident.state, State::Closed { at: at(2800), reason: Closed::Expired });
}

#[test]
fn what_the_limiter_puts_off_is_due_later_and_never_sooner() {
    let mut incident = opened(Urgency::Warning);
    incident.defer(at(90));
    incident.defer(at(60));
    assert_eq!(incident.due_at(), Some(at(90)));
    incident.begin();
    incident.defer(at(120));
    assert_eq!((incident.state, incident.due_at()), (State::Sweeping, None));
}

#[test]
fn an_alert_that_has_left_tells_since_when_and_stands_for_none_that_fires() {
    let mut incident = opened(Urgency::Warning);
    let [mut firing, resolved] = [AlertStatus::Firing, AlertStatus::Resolved].map(|status| alert(2, status));
    firing.starts_at = at(-90);
    let first = alert(1, AlertStatus::Firing).fingerprint;
    received(&mut incident, &firing, Urgency::Warning, at(1));
    assert!(!incident.firing_all(|fingerprint| *fingerprint == first));
    received(&mut incident, &resolved, Urgency::Warning, at(2));
    assert!(incident.firing_all(|fingerprint| *fingerprint == first));
    assert_eq!(incident.firing_since(), Some(at(-90)));
}

#[test]
fn reasons_are_written_as_journals_and_dashboards_know_them() {
    let closed = ["resolved", "expired", "operator", "removed", "no_policy"];
    assert_eq!(Closed::ALL.map(Closed::as_str), closed);
    let escalations = [
        "critical_active",
        "critical_nothing_to_free",
        "critical_observed",
        "critical_freed_too_little",
        "critical_failed",
        "overdue",
        "flapping",
    ];
    assert_eq!(Escalation::ALL.map(Escalation::as_str), escalations);
    assert!(Escalation::ALL.iter().all(|each| each.is_critical() == each.as_str().starts_with("critical_")));
    assert_eq!(IncidentId(7).to_string(), "7");
}

#[derive(Debug, Clone)]
enum Event {
    Receive(u8, bool, bool),
    Begin,
    Finish(usize, f64),
    Defer(i64),
    PassTime,
}

fn events() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let event = prop_oneof![
        4 => (0..4u8, any::<bool>(), any::<bool>()).prop_map(|(n, f, c)| Event::Receive(n, f, c)),
        2 => Just(Event::Begin),
        2 => (0..Outcome::ALL.len(), 0.0..1.0).prop_map(|(o, j)| Event::Finish(o, j)),
        1 => (0..2000i64).prop_map(Event::Defer),
        1 => Just(Event::PassTime),
    ];
    prop::collection::vec((0..1500i64, event), 1..60)
}

proptest! {
    #[test]
    fn whatever_happens_an_open_incident_fires_and_a_closed_one_stays_closed(events in events()) {
        let mut incident = opened(Urgency::Warning);
        let mut now = 0;
        for (pause, event) in events {
            now += pause;
            let before = incident.clone();
            match event {
                Event::Receive(number, firing, critical) => {
                    let status = if firing { AlertStatus::Firing } else { AlertStatus::Resolved };
                    let urgency = if critical { Urgency::Critical } else { Urgency::Warning };
                    let receipt = received(&mut incident, &alert(number, status), urgency, at(now));
                    // Only greater urgency moves the next attempt, and never to a later instant.
                    if let (State::Waiting { due_at: was }, State::Waiting { due_at: is }) = (before.state, incident.state) {
                        prop_assert!(is <= was);
                        prop_assert!(is == was || incident.urgency() > before.urgency());
                    }
                    prop_assert!(receipt != Receipt::Joined || incident.members.len() == before.members.len() + 1);
                }
                Event::Begin => incident.begin(),
                Event::Finish(outcome, jitter) => {
                    incident.finish(Outcome::ALL[outcome], &TIMING, jitter, at(now));
                    // Never hot, and never later than the longest wait.
                    if let State::Waiting { due_at } = incident.state {
                        let wait = due_at.duration_since(at(now)).as_secs_f64();
                        prop_assert!((15.0..=600.0).contains(&wait), "{wait}");
                    }
                }
                Event::Defer(by) => incident.defer(at(now + by)),
                Event::PassTime => incident.pass_time(&TIMING, at(now)),
            }
            if before.is_closed() {
                prop_assert_eq!(incident.state, before.state);
            }
            prop_assert_eq!(incident.is_closed() || incident.is_firing(), true);
            // An open incident always has an end or a person in sight.
            let watched = incident.time_event_at(&TIMING).is_some();
            prop_assert_eq!(watched, match incident.state {
                State::Waiting { .. } => true,
                State::Sweeping => incident.escalated.is_none(),
                State::Closed { .. } => false,
            });
            // A person is told once, and once more where it becomes critical; until it is that no more.
            let is_critical = incident.urgency() == Some(Urgency::Critical);
            match (before.escalated, incident.escalated) {
                (Some(told), Some(again)) if told != again => {
                    prop_assert!(!told.reason.is_critical() && again.reason.is_critical(), "{told:?} {again:?}");
                }
                (Some(told), None) => {
                    prop_assert!(told.reason.is_critical() && !is_critical, "{told:?}");
                    prop_assert_eq!(incident.lowered, Some(Lowered { told, at: at(now) }));
                }
                _ => prop_assert!(before.lowered == incident.lowered),
            }
            // Nobody is told of a critical alert where none fires.
            let is_told = incident.escalated.is_some_and(|told| told.reason.is_critical());
            prop_assert!(!is_told || is_critical || incident.is_closed(), "{incident:?}");
        }
    }
}
