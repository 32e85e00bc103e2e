//! What is said of how long an attempt waited.

use super::*;
use crate::domain::incident::after;

#[test]
fn an_attempts_wait_counts_from_when_it_could_have_begun() {
    run(async {
        let stage = Stage::new().await;
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        let (claim, _permit) = stage.begin().await.pop().unwrap();
        // What was begun may still run: the host is left alone for a recheck, whoever asks.
        assert!(stage.end(&claim, Outcome::Unknown).await);
        for status in [AlertStatus::Resolved, AlertStatus::Firing] {
            stage.send("ray-80", Urgency::Warning, status).await;
        }
        stage.ask("ray-81").await;
        stage.clocks.pass(PERIOD);
        let waited: BTreeMap<_, _> = stage
            .begin()
            .await
            .into_iter()
            .map(|(claim, _permit)| (claim.asked.host.to_string(), claim.waited))
            .collect();
        let expected = [("ray-80", PERIOD.saturating_sub(TIMING.recheck)), ("ray-81", PERIOD)];
        assert_eq!(waited, expected.map(|(host, wait)| (host.to_owned(), wait)).into());
    });
}

#[test]
fn what_is_put_off_for_its_period_is_due_no_sooner_than_that_allows() {
    run(async {
        let stage = Stage::new().await;
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        let (claim, _permit) = stage.begin().await.pop().unwrap();
        let allowed_at = after(stage.dispatcher.clock.now(), PERIOD);
        assert!(stage.end(&claim, Outcome::Active).await);
        stage.clocks.pass(TIMING.recheck);
        assert!(stage.begin().await.is_empty());
        let incidents = stage.dispatcher.journal.incidents(None, 1).await.unwrap();
        let late = incidents[0].due_at.unwrap().duration_since(allowed_at);
        assert!((0..=1).contains(&late.as_millis()), "{late}");
    });
}
