//! What goes on around the claims: a clock that is set, what is forgotten, places that are left.

use futures_util::FutureExt;

use super::{stage::REPORTS_BYTES, *};

#[test]
fn what_waits_moves_with_a_clock_that_is_set() {
    run(async {
        let stage = Stage::new().await;
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        let (claim, permit) = stage.begin().await.pop().unwrap();
        assert!(stage.end(&claim, Outcome::Held).await);
        drop(permit);
        let due_at = async || stage.dispatcher.journal.incidents(None, 1).await.unwrap()[0].due_at.unwrap();
        let before = due_at().await;
        stage.clocks.set(86_400);
        assert!(stage.begin().await.is_empty());
        assert_eq!(due_at().await.duration_since(before).as_secs(), 86_400);
        assert_eq!(stage.dispatcher.clock.now(), stage.clocks.shown());
    });
}

#[test]
fn what_ended_too_long_ago_is_forgotten_and_not_looked_for_all_the_time() {
    run(async {
        let stage = Stage::new().await;
        for status in [AlertStatus::Firing, AlertStatus::Resolved] {
            stage.send("ray-80", Urgency::Warning, status).await;
        }
        stage.clocks.pass(PAST + Duration::from_secs(1));
        let kept = async || stage.dispatcher.journal.incidents(None, 10).await.unwrap().len();
        let mut retention = Retention { forgot: Some(Instant::now()), ..Retention::default() };
        stage.dispatcher.forget(&mut retention).await;
        assert_eq!(kept().await, 1, "looked for a moment ago");
        retention.forgot = None;
        for _ in 0..5 {
            stage.dispatcher.forget(&mut retention).await;
        }
        assert_eq!((kept().await, retention.forgot.is_some()), (0, true));
    });
}

#[test]
fn reports_that_take_too_much_room_go_and_are_not_looked_for_all_the_time() {
    run(async {
        let stage = Stage::new().await;
        for _ in 0..3 {
            stage.report("ray-80", usize::try_from(REPORTS_BYTES).unwrap() / 2).await;
        }
        let kept = async || {
            let attempts = stage.dispatcher.journal.attempts(None, 10).await.unwrap();
            attempts.iter().filter(|view| view.report.is_some()).count()
        };
        let mut retention = Retention { dropped: Some(Instant::now()), ..Retention::default() };
        stage.dispatcher.drop_reports(&mut retention).await;
        assert_eq!(kept().await, 3, "looked for a moment ago");
        retention.dropped = None;
        for _ in 0..3 {
            stage.dispatcher.drop_reports(&mut retention).await;
        }
        assert_eq!((kept().await, retention.dropped.is_some()), (2, true));
    });
}

#[test]
fn the_end_of_an_attempt_leaves_its_place_and_tells_the_dispatcher() {
    run(async {
        let stage = Stage::new().await;
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        let (claim, permit) = stage.begin().await.pop().unwrap();
        let Dispatcher { metrics, wake, lanes, .. } = &*stage.dispatcher;
        let woken = || wake.notified().now_or_never().is_some();
        assert!(woken(), "by the intake");
        metrics.attempts_running.inc();
        drop(Over(Some(permit), Arc::clone(metrics), Arc::clone(wake)));
        assert_eq!((metrics.attempts_running.get(), lanes.holds(claim.asked.id)), (0, false));
        assert!(woken());
    });
}
