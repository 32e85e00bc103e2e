//! What is said of how long an attempt waited.

use super::*;
use crate::{domain::incident::after, responder::journal::Next};

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

/// When the next attempt on `ray-80` is, seconds from now, and what it waits for.
async fn next(stage: &Stage) -> (i64, String) {
    let now = stage.dispatcher.clock.now();
    let mut hosts = stage.dispatcher.journal.hosts(&["ray-80".parse().unwrap()], now).await.unwrap();
    let Next { at, waits_for } = hosts.pop().unwrap().next_attempt.unwrap();
    (at.duration_since(now).as_secs(), waits_for)
}

#[test]
fn whoever_asks_is_told_the_later_of_what_an_incident_waits_for_and_its_hosts_period() {
    run(async {
        for (urgency, outcome, expected) in [
            (Urgency::Warning, Outcome::Active, (540, "period")),
            (Urgency::Warning, Outcome::Freed, (540, "period")),
            (Urgency::Warning, Outcome::Unknown, (540, "period")),
            // The period of a critical alert is over sooner than its recheck.
            (Urgency::Critical, Outcome::Active, (300, "recheck")),
            // What spends nothing waits for no period.
            (Urgency::Warning, Outcome::Held, (300, "recheck")),
        ] {
            let stage = Stage::new().await;
            stage.send("ray-80", urgency, AlertStatus::Firing).await;
            let (claim, _permit) = stage.begin().await.pop().unwrap();
            stage.clocks.pass(Duration::from_mins(1));
            assert!(stage.end(&claim, outcome).await);
            let (secs, waits_for) = next(&stage).await;
            assert_eq!((secs, waits_for.as_str()), expected, "{urgency:?} {outcome:?}");
            // And so it is.
            stage.clocks.pass(Duration::from_secs(u64::try_from(secs).unwrap() - 1));
            assert!(stage.begin().await.is_empty(), "{urgency:?} {outcome:?}");
            stage.clocks.pass(Duration::from_secs(2));
            assert_eq!(stage.begin().await.len(), 1, "{urgency:?} {outcome:?}");
        }
    });
}

#[test]
fn an_incident_that_waits_is_put_off_by_what_a_person_asked_for_meanwhile() {
    run(async {
        let stage = Stage::new().await;
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        let (claim, permit) = stage.begin().await.pop().unwrap();
        assert!(stage.end(&claim, Outcome::Active).await);
        drop(permit);
        stage.clocks.pass(Duration::from_mins(8));
        stage.ask("ray-80").await;
        let (claim, permit) = stage.begin().await.pop().unwrap();
        assert!(stage.end(&claim, Outcome::Active).await);
        drop(permit);
        assert_eq!(next(&stage).await, (600, "period".to_owned()));
        let incidents = stage.dispatcher.journal.incidents(None, 1).await.unwrap();
        assert_eq!(incidents[0].attempts, 1, "a person's attempt is none of the incident's");
        // What becomes critical goes by that period from then on.
        stage.send("ray-80", Urgency::Critical, AlertStatus::Firing).await;
        assert!(stage.begin().await.is_empty());
        assert_eq!(next(&stage).await, (120, "period".to_owned()));
    });
}

#[test]
fn a_host_that_refuses_is_tried_again_when_its_back_off_is_over_and_waits_for_no_period() {
    run(async {
        let stage = Stage::new().await;
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        for most in [30, 60, 120] {
            let (claim, _permit) = stage.begin().await.pop().unwrap();
            assert!(stage.end(&claim, Outcome::Refused).await);
            let (secs, waits_for) = next(&stage).await;
            assert!((most / 2 - 1..=most).contains(&secs), "{secs}");
            assert_eq!(waits_for, "backoff");
            stage.clocks.pass(Duration::from_secs(u64::try_from(secs).unwrap() + 1));
        }
        assert_eq!(stage.begin().await.len(), 1);
    });
}
