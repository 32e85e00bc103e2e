//! What other policies make of an incident.

use super::*;
use crate::domain::policy::Policies;

fn policies<const N: usize>(all: [(u8, Urgency); N]) -> Policies {
    Policies::new(all.map(|(number, urgency)| (format!("alert-{number}"), urgency)))
}

/// With two warnings, and looked at a moment ago: due in five minutes.
fn waiting() -> Incident {
    let mut incident = opened(Urgency::Warning);
    received(&mut incident, &alert(2, AlertStatus::Firing), Urgency::Warning, at(1));
    incident.begin();
    incident.finish(Outcome::Active, &TIMING, 0.0, at(5));
    incident
}

fn fingerprint(number: u8) -> Fingerprint {
    alert(number, AlertStatus::Firing).fingerprint
}

#[test]
fn an_alert_that_lost_its_policy_leaves_and_the_last_one_closes_its_incident() {
    let mut incident = waiting();
    assert_eq!(incident.follow(&policies([(2, Urgency::Warning)]), at(6)), [fingerprint(1)]);
    let statuses: Vec<_> = incident.members.values().map(|member| member.status).collect();
    assert_eq!(statuses, [AlertStatus::Resolved, AlertStatus::Firing]);
    assert_eq!(incident.due_at(), Some(at(305)), "when it was");
    // What is as it was is not stored again, and moves nothing.
    let before = incident.clone();
    assert_eq!(incident.follow(&policies([(2, Urgency::Warning)]), at(7)), []);
    assert_eq!(incident, before);
    // One that has left holds nothing open, whatever policy it has.
    assert_eq!(incident.follow(&policies([(1, Urgency::Critical)]), at(8)), []);
    assert_eq!(incident.state, State::Closed { at: at(8), reason: Closed::NoPolicy });
}

#[test]
fn an_incident_that_becomes_more_pressing_is_due_at_once_and_one_that_becomes_less_so_is_not() {
    let (mild, pressing) = ([(1, Urgency::Warning), (2, Urgency::Warning)], Urgency::Critical);
    let mut incident = waiting();
    assert_eq!(incident.follow(&policies([mild[0], (2, pressing)]), at(6)), [fingerprint(2)]);
    assert_eq!((incident.state, incident.urgency()), (State::Waiting { due_at: at(6) }, Some(pressing)));
    incident.begin();
    incident.finish(Outcome::Held, &TIMING, 0.0, at(7));
    assert_eq!(incident.follow(&policies(mild), at(8)), [fingerprint(2)]);
    assert_eq!(
        (incident.state, incident.urgency()),
        (State::Waiting { due_at: at(307) }, Some(Urgency::Warning))
    );
}
