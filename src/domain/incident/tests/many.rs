//! Alerts that come together, and more of them than are kept.

use super::*;

fn numbered(number: usize, status: AlertStatus) -> Alert {
    Alert { fingerprint: format!("{number:016x}").parse().unwrap(), ..alert(0, status) }
}

fn all(alerts: &[Alert], urgency: Urgency) -> Vec<(&Alert, Urgency)> {
    alerts.iter().map(|alert| (alert, urgency)).collect()
}

#[test]
fn an_alert_that_resolves_beside_one_that_begins_to_fire_is_no_end_in_either_order() {
    let both = [alert(1, AlertStatus::Resolved), alert(2, AlertStatus::Firing)];
    for order in [[0, 1], [1, 0]] {
        let mut incident = opened(Urgency::Warning);
        let together = order.map(|n| (&both[n], Urgency::Warning));
        let received = incident.receive(&together, at(5));
        assert_eq!(received.receipts, order.map(|n| [Receipt::Left, Receipt::Joined][n]));
        assert!(!incident.is_closed());
    }
}

#[test]
fn of_an_alert_that_comes_twice_together_the_last_status_counts() {
    let (firing, resolved) = (alert(2, AlertStatus::Firing), alert(2, AlertStatus::Resolved));
    let mut incident = opened(Urgency::Warning);
    let together = [&firing, &resolved, &firing, &resolved].map(|alert| (alert, Urgency::Critical));
    let received = incident.receive(&together, at(5));
    assert_eq!(received.receipts, [Receipt::Joined, Receipt::Left, Receipt::Reopened, Receipt::Left]);
    assert_eq!((incident.urgency(), incident.is_closed()), (Some(Urgency::Warning), false));
}

/// With work that grows with the square of their number this takes minutes.
#[test]
fn very_many_alerts_come_and_go_together() {
    let [firing, resolved] = [AlertStatus::Firing, AlertStatus::Resolved]
        .map(|status| (10..100_000).map(|number| numbered(number, status)).collect::<Vec<_>>());
    let (warning, critical) = firing.split_at(firing.len() / 2);
    let mut together = all(warning, Urgency::Warning);
    together.extend(all(critical, Urgency::Critical));
    let mut incident = opened(Urgency::Warning);
    let received = incident.receive(&together, at(5));
    assert_eq!(incident.members.len(), MEMBERS_MOST);
    assert!(incident.members.values().all(|member| member.urgency == Urgency::Critical));
    let crowded = received.receipts.iter().filter(|receipt| **receipt == Receipt::Crowded).count();
    assert_eq!(crowded, firing.len() - MEMBERS_MOST);

    together.extend(all(&resolved, Urgency::Critical));
    incident.receive(&together, at(6));
    assert_eq!(incident.state, State::Closed { at: at(6), reason: Closed::Resolved });
}

#[test]
fn what_is_kept_of_too_many_alerts_is_what_matters_most() {
    let mut incident = opened(Urgency::Warning);
    let many: Vec<_> = (2..=MEMBERS_MOST).map(|number| numbered(number, AlertStatus::Firing)).collect();
    incident.receive(&all(&many, Urgency::Warning), at(1));
    let left = alert(5, AlertStatus::Resolved);
    assert_eq!(received(&mut incident, &left, Urgency::Warning, at(2)), Receipt::Left);

    let mut next = |number, urgency, now| {
        let new = numbered(number, AlertStatus::Firing);
        let Received { receipts, dropped } = incident.receive(&[(&new, urgency)], at(now));
        assert_eq!(incident.members.len(), MEMBERS_MOST);
        (receipts[0], dropped.into_iter().collect::<Vec<_>>())
    };
    // One that has left makes room for one that fires, which makes none for the next of its like.
    let first = MEMBERS_MOST + 1;
    assert_eq!(next(first, Urgency::Warning, 3), (Receipt::Joined, vec![left.fingerprint]));
    assert_eq!(next(first + 1, Urgency::Warning, 4), (Receipt::Crowded, vec![]));
    // But for one that is more pressing: whoever came last goes.
    let last = numbered(first, AlertStatus::Firing).fingerprint;
    assert_eq!(next(first + 2, Urgency::Critical, 5), (Receipt::Joined, vec![last]));
    assert_eq!(next(1, Urgency::Warning, 6), (Receipt::Refreshed, vec![]));
    assert_eq!(next(first + 2, Urgency::Critical, 7), (Receipt::Refreshed, vec![]));
}
