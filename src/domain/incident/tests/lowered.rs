//! What was told of a critical alert is taken back once none fires any more.

use super::*;
use crate::domain::policy::Policies;

/// Two alerts fire, the second of them critical, and a worker is at work.
fn told() -> Incident {
    let mut incident = opened(Urgency::Warning);
    received(&mut incident, &alert(2, AlertStatus::Firing), Urgency::Critical, at(1));
    incident.begin();
    incident.finish(Outcome::Active, &TIMING, 0.0, at(5));
    assert_eq!(incident.escalated, Some(at_work()));
    incident
}

fn at_work() -> Escalated {
    Escalated { at: at(5), reason: Escalation::CriticalActive }
}

#[test]
fn nobody_has_to_look_at_once_where_only_a_warning_goes_on_firing() {
    let mut incident = told();
    received(&mut incident, &alert(1, AlertStatus::Firing), Urgency::Warning, at(6));
    assert_eq!((incident.escalated, incident.lowered), (Some(at_work()), None), "it still fires");
    received(&mut incident, &alert(2, AlertStatus::Resolved), Urgency::Critical, at(900));
    assert_eq!(incident.escalated, None);
    assert_eq!(incident.lowered, Some(Lowered { told: at_work(), at: at(900) }));
    assert!(!incident.is_closed());
    // The warning's own attempts tell nobody; a critical alert that comes back does, and once.
    incident.begin();
    incident.finish(Outcome::Active, &TIMING, 0.0, at(1000));
    assert_eq!(incident.escalated, None);
    received(&mut incident, &alert(2, AlertStatus::Firing), Urgency::Critical, at(1100));
    incident.begin();
    incident.finish(Outcome::NothingToFree, &TIMING, 0.0, at(1101));
    let again = Escalated { at: at(1101), reason: Escalation::CriticalNothingToFree };
    assert_eq!(incident.escalated, Some(again));
    assert_eq!(incident.lowered, Some(Lowered { told: at_work(), at: at(900) }), "that was so");
}

#[test]
fn what_has_taken_too_long_is_told_as_that_once_it_is_no_longer_critical() {
    for (trouble, reason) in [(0, Escalation::Overdue), (50, Escalation::Flapping)] {
        let mut incident = Incident { trouble_before: Duration::from_mins(trouble), ..told() };
        let now = at(if trouble == 0 { 3600 } else { 700 });
        received(&mut incident, &alert(2, AlertStatus::Firing), Urgency::Critical, now);
        incident.pass_time(&TIMING, now);
        assert_eq!(incident.escalated, Some(at_work()), "what is critical comes first");
        for number in [1, 2] {
            let status = if number == 1 { AlertStatus::Firing } else { AlertStatus::Resolved };
            received(&mut incident, &alert(number, status), Urgency::Warning, now);
        }
        assert_eq!(incident.escalated, None);
        // At once: whoever keeps the time is not to wait for anything.
        assert!(incident.time_event_at(&TIMING).is_some_and(|at| at <= now));
        incident.pass_time(&TIMING, now);
        assert_eq!(incident.escalated, Some(Escalated { at: now, reason }));
        // Neither is taken back for what resolves.
        received(&mut incident, &alert(3, AlertStatus::Firing), Urgency::Warning, now);
        received(&mut incident, &alert(1, AlertStatus::Resolved), Urgency::Warning, now);
        assert_eq!(incident.escalated, Some(Escalated { at: now, reason }));
    }
}

#[test]
fn an_incident_that_closes_keeps_what_was_told_last() {
    let mut incident = told();
    let both = [1, 2].map(|number| alert(number, AlertStatus::Resolved));
    incident.receive(&both.each_ref().map(|alert| (alert, Urgency::Warning)), at(9));
    assert!(incident.is_closed());
    assert_eq!((incident.escalated, incident.lowered), (Some(at_work()), None));
    // Nor does what comes after its end change that.
    received(&mut incident, &alert(2, AlertStatus::Resolved), Urgency::Critical, at(10));
    assert_eq!((incident.escalated, incident.lowered), (Some(at_work()), None));
}

#[test]
fn an_alert_that_policies_call_critical_no_more_takes_it_back_as_well() {
    let of =
        |second| Policies::new([("alert-1".to_owned(), Urgency::Warning), ("alert-2".to_owned(), second)]);
    let mut incident = told();
    incident.follow(&of(Urgency::Critical), at(6));
    assert_eq!(incident.escalated, Some(at_work()));
    incident.follow(&of(Urgency::Warning), at(7));
    assert_eq!((incident.escalated, incident.lowered), (None, Some(Lowered { told: at_work(), at: at(7) })));
}
