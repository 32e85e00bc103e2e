//! A dispatcher that takes over from another: what goes on, and what the new configuration says.

use super::{stage::BOUNDS, *};
use crate::responder::journal::sqlite::SqliteJournal;

impl Stage {
    /// The same process under another configuration; the dispatcher of before.
    pub(super) async fn reload(
        &mut self,
        apply: impl FnOnce(&mut Changed),
    ) -> Arc<Dispatcher<SqliteJournal>> {
        let before = Arc::clone(&self.dispatcher);
        let mut changed = changed(&before);
        apply(&mut changed);
        self.dispatcher = Arc::new(before.successor(changed));
        self.dispatcher.take_over(&before).await.unwrap();
        before
    }
}

/// What a reload would say of a dispatcher, were nothing changed.
fn changed(before: &Dispatcher<SqliteJournal>) -> Changed {
    Changed {
        targets: before.targets.clone(),
        policies: before.policies.clone(),
        timing: TIMING,
        period: PERIOD,
        critical_period: CRITICAL_PERIOD,
        connect_timeout: Duration::from_secs(1),
        output_bytes: 1024,
        attempt_deadline: BOUNDS.attempt_deadline,
        bounds: BOUNDS,
        starts_a_minute: before.starts.a_minute(),
        silences: None,
        reports_bytes: 0,
        history: PAST,
    }
}

#[test]
fn an_attempt_under_way_keeps_its_place_and_its_claim_over_a_reload() {
    run(async {
        let mut stage = Stage::new().await;
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        let (claim, permit) = stage.begin().await.pop().unwrap();
        let before = stage.reload(|changed| changed.bounds.most = 1).await;
        // There is one place now, and it is taken.
        stage.send("ray-81", Urgency::Warning, AlertStatus::Firing).await;
        assert!(stage.begin().await.is_empty());
        // Its lease is over, and the successor knows that somebody is at it.
        stage.clocks.pass(Duration::from_mins(20));
        assert!(stage.begin().await.is_empty());
        let attempts = stage.dispatcher.journal.attempts(None, 10).await.unwrap();
        assert_eq!((attempts.len(), attempts[0].outcome.as_deref()), (1, None));
        // Who began it writes its end down, and the place is the next one's.
        assert!(stage.end_by(&before, &claim, Outcome::Active).await);
        drop(permit);
        let begun = stage.begin().await;
        assert_eq!((begun.len(), begun[0].0.asked.host.as_str()), (1, "ray-81"));
    });
}

#[test]
fn a_longer_period_counts_what_was_spent_before_the_start_by_the_shorter_one() {
    run(async {
        let mut stage = Stage::new().await;
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        let (claim, permit) = stage.begin().await.pop().unwrap();
        assert!(stage.end(&claim, Outcome::Active).await);
        drop(permit);
        stage.clocks.pass(PAST + PERIOD);
        stage.restart().await;
        stage.reload(|changed| changed.period = PAST * 3 / 2).await;
        assert!(stage.begin().await.is_empty(), "its period is not over");
        stage.clocks.pass(PAST / 2);
        assert_eq!(stage.begin().await.len(), 1);
    });
}

#[test]
fn what_an_attempt_spent_or_gave_back_counts_by_the_periods_of_after_a_reload() {
    run(async {
        let mut stage = Stage::new().await;
        for host in HOSTS {
            stage.send(host, Urgency::Warning, AlertStatus::Firing).await;
        }
        let begun = stage.begin().await;
        assert_eq!(begun.len(), 2);
        let before = stage.reload(|changed| changed.period = PERIOD * 2).await;
        for (claim, permit) in begun {
            // What was busy spent nothing, whoever had let it in.
            let spent = claim.asked.host.as_str() == "ray-80";
            let outcome = if spent { Outcome::Active } else { Outcome::Busy };
            assert!(stage.end_by(&before, &claim, outcome).await);
            drop(permit);
        }
        stage.clocks.pass(PERIOD);
        let begun = stage.begin().await;
        assert_eq!((begun.len(), begun[0].0.asked.host.as_str()), (1, "ray-81"));
        stage.clocks.pass(Duration::from_secs(599));
        assert!(stage.begin().await.is_empty());
        stage.clocks.pass(Duration::from_secs(2));
        let begun = stage.begin().await;
        assert_eq!((begun.len(), begun[0].0.asked.host.as_str()), (1, "ray-80"));
    });
}

#[test]
fn what_began_before_a_reload_counts_for_the_fleets_minute_after_it() {
    run(async {
        let mut stage = Stage::new().await;
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        assert_eq!(stage.begin().await.len(), 1);
        stage.reload(|changed| changed.starts_a_minute = 1).await;
        stage.send("ray-81", Urgency::Warning, AlertStatus::Firing).await;
        // However often it is looked at, it is told once.
        for _ in 0..2 {
            assert!(stage.begin().await.is_empty());
            let deferred = &stage.dispatcher.metrics.attempts_deferred;
            assert_eq!(deferred.get_or_create(&ByReason::new(FLEET)).get(), 1);
        }
        stage.clocks.pass(Duration::from_secs(59));
        // Nothing is forgotten, and nothing counts twice.
        stage.reload(|_| {}).await;
        assert!(stage.begin().await.is_empty());
        stage.clocks.pass(Duration::from_secs(2));
        assert_eq!(stage.begin().await.len(), 1);
    });
}

#[test]
fn a_policy_that_was_taken_out_starts_nothing_more_and_one_that_changed_counts_as_it_is() {
    run(async {
        let mut stage = Stage::new().await;
        for host in HOSTS {
            stage.send(host, Urgency::Warning, AlertStatus::Firing).await;
        }
        stage.send("ray-81", Urgency::Critical, AlertStatus::Firing).await;
        let begun = stage.begin().await;
        for (claim, _permit) in &begun {
            assert!(stage.end(claim, Outcome::Held).await);
        }
        drop(begun);
        stage.clocks.pass(Duration::from_secs(1));
        let only = |name: &str, urgency| Policies::new([(name.to_owned(), urgency)]);
        stage.reload(|changed| changed.policies = only("RayWorkerDiskCritical", Urgency::Warning)).await;
        let shown = async |stage: &Stage| {
            let incidents = stage.dispatcher.journal.incidents(None, 10).await.unwrap();
            let shown = incidents.into_iter().map(|view| (view.host, (view.close_reason, view.urgency)));
            shown.collect::<BTreeMap<_, _>>()
        };
        let text = |text: &str| Some(text.to_owned());
        let after = shown(&stage).await;
        assert_eq!(after["ray-80"].0, text("no_policy"));
        assert_eq!(after["ray-81"], (None, text("warning")));

        // More pressing, it is looked at sooner than it would have been.
        stage.reload(|changed| changed.policies = only("RayWorkerDiskCritical", Urgency::Critical)).await;
        assert_eq!(shown(&stage).await["ray-81"], (None, text("critical")));
        let begun = stage.begin().await;
        assert_eq!(begun.iter().map(|(claim, _)| claim.asked.host.as_str()).collect::<Vec<_>>(), ["ray-81"]);
        drop(begun);
        // The alert without a policy does not hold it open.
        stage.send("ray-81", Urgency::Critical, AlertStatus::Resolved).await;
        assert_eq!(shown(&stage).await["ray-81"].0, text("resolved"));
    });
}

#[test]
fn what_the_intake_of_before_opens_at_the_last_moment_is_closed_with_its_reason() {
    run(async {
        let mut stage = Stage::new().await;
        stage
            .reload(|changed| {
                changed.targets.retain(|host, _| host.as_str() == "ray-80");
                changed.policies = Policies::new([("RayWorkerDiskCritical".to_owned(), Urgency::Critical)]);
            })
            .await;
        for (host, urgency) in [("ray-80", Urgency::Warning), ("ray-81", Urgency::Critical)] {
            stage.send(host, urgency, AlertStatus::Firing).await;
        }
        assert!(stage.begin().await.is_empty());
        let incidents = stage.dispatcher.journal.incidents(None, 10).await.unwrap();
        let reasons: BTreeMap<_, _> =
            incidents.iter().map(|view| (view.host.as_str(), view.close_reason.as_deref())).collect();
        assert_eq!(reasons, [("ray-80", Some("no_policy")), ("ray-81", Some("removed"))].into());
    });
}
