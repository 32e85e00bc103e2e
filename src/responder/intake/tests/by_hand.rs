//! Hosts that a person wants swept now.

use futures_util::FutureExt;

use super::*;
use crate::domain::{incident::IncidentId, standing::Lane};

#[tokio::test]
async fn a_wish_asks_for_one_attempt_on_each_host_of_the_inventory_and_tells_once_of_each_other_name() {
    let stage = Stage::new().await;
    // An alert would mean ray-81 by its name with a port. A person has named no host with it.
    let named = ["ray-81", "ray-99", "ray-80", "ray-81:9100", "ray-81", "ray-99"].map(str::to_owned);
    let Wished { hosts } = stage.intake.sweep_now(&named, false, "amy").await.unwrap();
    let said: Vec<_> = hosts.iter().map(|host| (&*host.host, host.error.as_deref())).collect();
    assert_eq!(said[..2], [("ray-81", None), ("ray-99", Some("\"ray-99\" is no host of the inventory"))]);
    let with_port = Some("\"ray-81:9100\" is no host of the inventory");
    assert_eq!(said[2..], [("ray-80", None), ("ray-81:9100", with_port)]);

    let queued = stage.intake.journal.attempts(None, 10).await.unwrap();
    assert!(
        queued.iter().all(|view| (view.incident, &view.replay, &*view.trigger) == (None, &None, "manual")
            && view.asked_by.as_deref() == Some("amy"))
    );
    let queued: BTreeSet<_> = queued.into_iter().map(|view| (view.host, view.id)).collect();
    let asked = hosts.into_iter().filter_map(|host| Some((host.host, host.attempt?.to_string())));
    assert_eq!(queued, asked.collect());
    assert_eq!(queued.len(), 2);
    assert!(stage.intake.wake.notified().now_or_never().is_some(), "the dispatcher sleeps on");
}

#[tokio::test]
async fn whoever_asks_for_what_waits_already_joins_it_and_adds_nothing() {
    let stage = Stage::new().await;
    let names = ["ray-80", "ray-81"].map(str::to_owned);
    let asks = async |dry_run| stage.intake.sweep_now(&names, dry_run, "amy").await.unwrap().hosts;
    let first = asks(false).await;
    assert!(first.iter().all(|host| !host.joined));
    for _ in 0..20 {
        for (first, again) in first.iter().zip(asks(false).await) {
            assert_eq!((again.attempt, again.joined), (first.attempt, true));
        }
    }
    // One that deletes nothing is not the other, whoever was first.
    let dry = asks(true).await;
    assert!(dry.iter().all(|host| !host.joined));
    assert_eq!(asks(true).await[0].attempt, dry[0].attempt);
    // A replay asks for what a run does.
    let Replayed { alerts, .. } = stage.intake.replay(&notification([firing(1)]), "bob").await.unwrap();
    assert_eq!(alerts[0].attempt, first[0].attempt);
    assert_eq!(stage.intake.journal.attempts(None, 100).await.unwrap().len(), 4);
    // What has begun was asked for before: it may have looked already.
    let mut work = stage.intake.journal.begin().await.unwrap();
    let now = stage.intake.clock.now();
    let (begun, ..) = work.queued_attempts(now, &Lane::ALL, 1).await.unwrap().pop().unwrap();
    work.start_attempt(&begun, now, now).await.unwrap();
    work.commit().await.unwrap();
    let after: Vec<_> = asks(begun.dry_run).await;
    let same_host = after.iter().find(|host| host.host == begun.host.as_str()).unwrap();
    assert!(!same_host.joined && same_host.attempt != Some(begun.id));
}

#[tokio::test]
async fn a_person_closes_an_incident_once_and_an_alert_that_comes_again_opens_another() {
    let stage = Stage::new().await;
    stage.accept([firing(1), firing(2)]).await;
    let id = stage.intake.journal.incidents(Some("ray-80"), 1).await.unwrap()[0].id;
    let closed = stage.intake.close(id, "user amy from 10.0.0.7").await.unwrap().unwrap();
    assert_eq!((closed.host.as_str(), closed.close_reason, closed.already), ("ray-80", "operator", false));
    // Whoever is second changes nothing.
    let again = stage.intake.close(id, "user bob from 10.0.0.8").await.unwrap().unwrap();
    assert_eq!(again, ClosedByHand { already: true, ..closed });
    let views = stage.intake.journal.incidents(Some("ray-80"), 9).await.unwrap();
    assert_eq!((views.len(), views[0].closed_by.as_deref()), (1, Some("user amy from 10.0.0.7")));
    let reason = ByReason::new(Closed::Operator.as_str());
    assert_eq!(stage.intake.metrics.incidents_closed.get_or_create(&reason).get(), 1);
    assert_eq!(stage.intake.close(IncidentId(id.0 + 1), "x").await.unwrap(), None);

    // A resolution is no trouble; what fires again is.
    stage.accept([resolved(1)]).await;
    assert_eq!(stage.incidents("ray-80").await, [(2, Some("operator".to_owned()))]);
    stage.accept([firing(2)]).await;
    assert_eq!(stage.incidents("ray-80").await, [(1, None), (2, Some("operator".to_owned()))]);
    assert_eq!(stage.intake.metrics.incidents_opened.get(), 2);
}
