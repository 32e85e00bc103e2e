//! A dispatcher that takes over from another: what goes on, and what the new configuration says.

use super::*;

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
        timing: TIMING,
        period: PERIOD,
        critical_period: CRITICAL_PERIOD,
        connect_timeout: Duration::from_secs(1),
        output_bytes: 1024,
        attempt_deadline: BOUNDS.attempt_deadline,
        bounds: BOUNDS,
        starts_a_minute: before.starts.a_minute(),
        silences: None,
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
        assert!(stage.begin().await.is_empty());
        stage.clocks.pass(Duration::from_secs(59));
        // Nothing is forgotten, and nothing counts twice.
        stage.reload(|_| {}).await;
        assert!(stage.begin().await.is_empty());
        stage.clocks.pass(Duration::from_secs(2));
        assert_eq!(stage.begin().await.len(), 1);
    });
}
