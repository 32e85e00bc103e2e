//! A notification that a person sends once more.

use super::*;

#[tokio::test]
async fn a_replay_asks_for_one_attempt_on_each_host_that_fires_and_says_what_is_done_about_each_alert() {
    let stage = Stage::new().await;
    let alerts = [
        firing(1),
        alert(2, CRITICAL, "ray-80", AlertStatus::Firing),
        alert(3, WARNING, "ray-81", AlertStatus::Resolved),
        alert(4, WARNING, "ray-99", AlertStatus::Firing),
    ];
    let Replayed { replay, alerts } = stage.intake.replay(&notification(alerts), "bob").await.unwrap();
    let said: Vec<_> = alerts
        .iter()
        .map(|alert| (alert.host.as_ref().map(HostName::as_str), alert.attempt, alert.ignored))
        .collect();
    let asked = alerts[0].attempt;
    assert!(asked.is_some());
    assert_eq!(said[..2], [(Some("ray-80"), asked, None); 2]);
    assert_eq!(said[2..], [(Some("ray-81"), None, Some("resolved")), (None, None, Some("unknown_host"))]);

    let queued = stage.intake.journal.attempts(None, 10).await.unwrap();
    let queued: Vec<_> = queued.iter().map(|view| (view.id.clone(), &*view.host, &*view.trigger)).collect();
    assert_eq!(queued, [(asked.unwrap().to_string(), "ray-80", "manual")]);
    let of_replay = stage.intake.journal.attempts(None, 1).await.unwrap().pop().unwrap();
    assert_eq!((of_replay.replay, of_replay.asked_by), (Some(replay.to_string()), Some("bob".to_owned())));
    assert_eq!(stage.incidents("ray-80").await, []);
}
