//! What is told of alerts: to the dispatcher, to Prometheus, and in the log.

use axum::body::Bytes;
use std::{
    fs::{File, read_to_string},
    path::PathBuf,
};

use futures_util::FutureExt;
use serde_json::Value;
use tracing::{
    Dispatch, Level,
    subscriber::{DefaultGuard, NoSubscriber},
};

use super::*;
use crate::domain::{attempt::Outcome, incident::after};

impl Stage {
    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Keeps what this thread logs, and what others do for it.
    fn listen(&self) -> (DefaultGuard, Dispatch) {
        // Of a single subscriber tracing would ask whichever thread is the first to come to a line, and those
        // of other tests have none.
        let another = Dispatch::new(NoSubscriber::default());
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(Level::DEBUG)
            .with_writer(Arc::new(File::create(self.log()).unwrap()));
        (tracing::subscriber::set_default(subscriber.finish()), another)
    }

    /// The log's lines of the intake with this message, each with its level and its fields.
    fn logged(&self, message: &str) -> Vec<(String, Value)> {
        let text = read_to_string(self.log()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let ours = lines.filter(|line| line["target"] == "raysweep::responder::intake");
        let these = ours.filter(|line| line["fields"]["message"].as_str().unwrap().contains(message));
        these.map(|line| (line["level"].as_str().unwrap().to_owned(), line["fields"].clone())).collect()
    }

    /// The alerts of which these warnings tell.
    fn warned(&self, message: &str) -> Vec<Option<u64>> {
        self.logged(message).iter().map(|(_, fields)| fields["alerts"].as_u64()).collect()
    }

    /// The open incident waits for an hour more.
    async fn put_off(&self, host: &str) {
        let mut work = self.intake.journal.begin().await.unwrap();
        let mut stored = work.open_incident(&host.parse().unwrap()).await.unwrap().unwrap();
        stored.incident.defer(after(self.intake.clock.now(), Duration::from_hours(1)));
        work.save_incident(&stored, &TIMING, self.intake.clock.now()).await.unwrap();
        work.commit().await.unwrap();
    }
}

#[tokio::test]
async fn the_dispatcher_is_woken_where_something_is_due_sooner_than_before_and_only_there() {
    let stage = Stage::new().await;
    let woken = || stage.intake.wake.notified().now_or_never().is_some();
    stage.accept([firing(1)]).await;
    assert!(woken(), "a new incident");
    stage.accept([firing(1), firing(2)]).await;
    stage.accept([resolved(2), resolved(9)]).await;
    stage.accept([alert(3, WARNING, "ray-99", AlertStatus::Firing)]).await;
    stage.accept([]).await;
    assert!(!woken(), "due when it was");
    stage.put_off("ray-80").await;
    stage.accept([firing(4)]).await;
    assert!(!woken(), "no more pressing than before");
    stage.accept([alert(5, CRITICAL, "ray-80", AlertStatus::Firing)]).await;
    assert!(woken(), "critical now");
    stage.accept([1, 4, 5].map(resolved)).await;
    assert!(!woken(), "over");
}

#[tokio::test]
async fn what_is_critical_no_more_is_told_once_and_wakes_whoever_keeps_the_time() {
    let stage = Stage::new().await;
    let _listens = stage.listen();
    let critical = |status| alert(5, CRITICAL, "ray-80", status);
    stage.accept([firing(1), critical(AlertStatus::Firing)]).await;
    let mut work = stage.intake.journal.begin().await.unwrap();
    let mut stored = work.open_incident(&"ray-80".parse().unwrap()).await.unwrap().unwrap();
    stored.incident.finish(Outcome::Active, &TIMING, 0.0, stage.intake.clock.now());
    work.save_incident(&stored, &TIMING, stage.intake.clock.now()).await.unwrap();
    work.commit().await.unwrap();
    let woken = || stage.intake.wake.notified().now_or_never().is_some();
    woken();
    stage.accept([critical(AlertStatus::Resolved)]).await;
    assert!(woken(), "whether it takes too long is for time to say");
    stage.accept([firing(1)]).await;
    assert!(!woken(), "that was known");
    let told = stage.logged("no longer critical");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0].1["host"], &told[0].1["reason"]), (&"ray-80".into(), &"critical_active".into()));
    let whole = stage.intake.journal.incident(stored.id, 0).await.unwrap().unwrap();
    let story: Vec<_> = whole.timeline.iter().map(|event| event.event).collect();
    let expected = ["opened", "alert_joined", "alert_joined", "escalated", "alert_left", "lowered"];
    assert_eq!(story, expected);
}

#[tokio::test]
async fn of_each_alert_is_told_what_it_meant_to_its_incident() {
    let stage = Stage::new().await;
    let _listens = stage.listen();
    stage.accept([firing(1), firing(2)]).await;
    stage.accept([firing(3), firing(1)]).await;
    stage.accept([resolved(2), firing(2), resolved(9)]).await;
    let told = stage.logged("alert accepted");
    let told: Vec<_> =
        told.iter().map(|(level, fields)| (level.as_str(), fields["receipt"].as_str().unwrap())).collect();
    // That nothing has changed interests nobody who does not look for it.
    let (news, none) = ("INFO", ("DEBUG", "refreshed"));
    assert_eq!(told[..4], [(news, "opened"), (news, "joined"), (news, "joined"), none]);
    assert_eq!(told[4..], [(news, "left"), (news, "reopened"), (news, "unrelated")]);
    let counted = |status| stage.intake.metrics.alerts.get_or_create(&ByAlert::new(WARNING, status)).get();
    assert_eq!((counted("firing"), counted("resolved")), (5, 2));
}

#[tokio::test]
async fn the_end_of_an_incident_is_told_once_with_its_reason() {
    let stage = Stage::new().await;
    let _listens = stage.listen();
    let closed = || {
        let reason = ByReason::new(Closed::Resolved.as_str());
        (stage.intake.metrics.incidents_closed.get_or_create(&reason).get(), stage.logged("incident closed"))
    };
    stage.accept([firing(1)]).await;
    assert_eq!(closed(), (0, vec![]));
    stage.accept([resolved(1)]).await;
    stage.accept([resolved(1)]).await;
    let (count, logged) = closed();
    assert_eq!((count, logged.len()), (1, 1));
    let (_, fields) = &logged[0];
    assert_eq!((&fields["host"], &fields["reason"]), (&"ray-80".into(), &"resolved".into()));
    assert_eq!((&fields["attempts"], &fields["last_outcome"]), (&0.into(), &"none".into()));
    assert!(fields["secs_since_firing"].as_f64().unwrap() > 1e9, "since 1970, by what was sent: {fields}");
}

#[tokio::test]
async fn only_what_was_cut_off_or_crowded_out_is_warned_of() {
    let stage = Stage::new().await;
    let _listens = stage.listen();
    let truncated = || stage.intake.metrics.alerts_truncated.get();
    stage.accept([firing(1)]).await;
    assert_eq!(
        (truncated(), stage.warned("cut alerts off"), stage.warned("alerts ignored")),
        (0, vec![], vec![])
    );
    let cut = Notification { truncated_alerts: 2, ..notification([firing(1)]) };
    stage.intake.accept(cut, Bytes::new()).await.unwrap();
    assert_eq!((truncated(), stage.warned("cut alerts off")), (2, vec![Some(2)]));
    stage.accept((2..=MEMBERS_MOST + 3).map(firing)).await;
    assert_eq!((stage.too_many(), stage.warned("alerts ignored")), (3, vec![Some(3)]));
}

#[tokio::test]
async fn alerts_that_are_ignored_are_told_together_by_their_reason() {
    let stage = Stage::new().await;
    let _listens = stage.listen();
    let strange = (1..=1000).map(|number| alert(number, WARNING, "ray-99", AlertStatus::Firing));
    let unknown = [2001, 2002].map(|number| alert(number, "Watchdog", "ray-80", AlertStatus::Firing));
    assert_eq!(stage.accept(strange.chain(unknown)).await.ignored, 1002);
    let told = |level: &str, message: &str| {
        let lines = stage.logged(message).into_iter().filter(|(at, _)| at == level);
        lines.map(|(_, fields)| fields).collect::<Vec<_>>()
    };
    let together: Vec<_> = told("INFO", "alerts ignored")
        .iter()
        .map(|fields| ["reason", "alerts", "example"].map(|key| fields[key].clone()))
        .collect();
    let expected: [[Value; 3]; 2] = [
        ["unknown_alert".into(), 2.into(), "Watchdog".into()],
        ["unknown_host".into(), 1000.into(), WARNING.into()],
    ];
    assert_eq!(together, expected);
    let each = told("DEBUG", "alert ignored");
    assert_eq!((each.len(), &each[0]["alert"]), (1002, &WARNING.into()));
}

#[test]
fn seconds_are_never_negative_and_shown_to_the_hundredth() {
    let at = |millis| Timestamp::from_millisecond(millis).unwrap();
    assert_eq!(secs_between(at(500), at(2000)).to_string(), "1.5");
    assert_eq!(secs_between(at(2000), at(500)).to_string(), "0");
    assert_eq!([0.004, 0.126, 12.344].map(|secs| rounded(secs).to_string()), ["0", "0.13", "12.34"]);
}
