//! What a look at the journal leaves there, and whose turn the next one is.

use super::*;
use crate::{
    domain::{host::Directory, incident::Escalation, standing::Standing},
    responder::{clock::Anchor, intake::Intake, journal::Order},
};

impl Stage {
    /// Two more hosts, of eight places: two of those are for hosts that failed last time, as all of them did.
    async fn of_four_that_fail(mut self) -> Self {
        let all = [HOSTS[0], HOSTS[1], "ray-82", "ray-83"].map(|name| name.parse::<HostName>().unwrap());
        self.reload(|changed| {
            changed.bounds.most = 8;
            let target = changed.targets[&all[0]].clone();
            changed.targets.extend(all.clone().map(|host| (host, target.clone())));
        })
        .await;
        let directory = Directory::new(all.clone().map(|host| (host, vec![]))).unwrap();
        self.intake = Arc::new(Intake { directory, ..Arc::into_inner(self.intake).unwrap() });
        let mut work = self.dispatcher.journal.begin().await.unwrap();
        for host in &all {
            let failing = Standing { last_outcome: Some(Outcome::Unreachable), ..Standing::default() };
            work.save_standing(host, &failing).await.unwrap();
        }
        work.commit().await.unwrap();
        self
    }

    async fn anchor(&self) -> Option<Anchor> {
        self.dispatcher.journal.begin().await.unwrap().anchor().await.unwrap()
    }
}

#[test]
fn a_person_is_told_once_while_there_is_nothing_else_to_do() {
    run(async {
        let stage = Stage::new().await;
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        let under_way = stage.begin().await;
        assert_eq!(under_way.len(), 1);
        stage.clocks.pass(TIMING.escalate_after);
        for _ in 0..2 {
            assert!(stage.begin().await.is_empty());
        }
        let overdue = Escalation::Overdue.as_str();
        let told = stage.dispatcher.metrics.escalations.get_or_create(&ByReason::new(overdue)).get();
        let open = stage.dispatcher.journal.open_hosts().await.unwrap().pop().unwrap();
        assert_eq!((told, open.escalation.as_deref()), (1, Some(overdue)));
    });
}

#[test]
fn only_a_look_that_begins_something_for_an_incident_ends_its_turn() {
    run(async {
        let stage = Stage::new().await;
        let order = || stage.dispatcher.starts.order();
        assert!(stage.begin().await.is_empty());
        assert_eq!(order(), Order::Standing, "nothing to begin");
        stage.ask("ray-81").await;
        assert_eq!(stage.begin().await.len(), 1);
        assert_eq!(order(), Order::Standing, "a person's");
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        assert_eq!(stage.begin().await.len(), 1);
        assert_eq!(order(), Order::Proven);
    });
}

#[test]
fn what_people_ask_for_waits_for_the_fleets_starts_and_takes_turns_with_incidents() {
    run(async {
        let mut stage = Stage::new().await.of_four_that_fail().await;
        stage.reload(|changed| changed.starts_a_minute = 4).await;
        for host in ["ray-80", "ray-81"] {
            stage.ask(host).await;
        }
        for host in ["ray-82", "ray-83"] {
            stage.send(host, Urgency::Critical, AlertStatus::Firing).await;
        }
        let deferred =
            || stage.dispatcher.metrics.attempts_deferred.get_or_create(&ByReason::new(FLEET)).get();
        let mut begun = vec![];
        for _ in 0..4 {
            let now = stage.begin().await;
            begun.push(now.iter().map(|(claim, _)| claim.asked.incident.is_some()).collect::<Vec<_>>());
            assert!(stage.begin().await.is_empty(), "the fleet has had its start");
            stage.clocks.pass(Duration::from_secs(20));
        }
        assert_eq!(begun, [[false], [true], [false], [true]]);
        assert!(deferred() > 0);
    });
}

#[test]
fn what_a_person_asks_of_a_host_that_is_not_there_is_refused_for_good() {
    run(async {
        let stage = Stage::new().await;
        let before = stage.anchor().await;
        stage.clocks.pass(Duration::from_secs(10));
        stage.ask("ray-99").await;
        assert!(stage.begin().await.is_empty());
        let refused = stage.dispatcher.journal.attempts(None, 10).await.unwrap();
        let shown: Vec<_> =
            refused.iter().map(|view| (view.outcome.as_deref(), view.reason.as_deref())).collect();
        assert_eq!(shown, [(Some("refused"), Some(NOT_IN_INVENTORY))]);
        // Where nothing begins, nobody has to know what the time was; where something does, its end counts.
        assert_eq!(stage.anchor().await, before);
        stage.ask("ray-80").await;
        assert_eq!(stage.begin().await.len(), 1);
        assert_eq!(stage.anchor().await, Some(stage.dispatcher.clock.anchor()));
    });
}

#[test]
fn whoever_is_at_it_no_more_is_believed_to_be_until_the_lease_is_over() {
    run(async {
        let stage = Stage::new().await;
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        // The places are free again; who had them may still be elsewhere.
        assert_eq!(stage.begin().await.len(), 1);
        let lease = stage.dispatcher.attempt_deadline + LEASE_MARGIN;
        stage.clocks.pass(lease.saturating_sub(Duration::from_secs(1)));
        let outcome = async || {
            assert!(stage.begin().await.is_empty());
            stage.dispatcher.journal.attempts(None, 10).await.unwrap().pop().unwrap().outcome
        };
        assert_eq!(outcome().await, None);
        stage.clocks.pass(Duration::from_secs(1));
        assert_eq!(outcome().await.as_deref(), Some("unknown"));
    });
}

#[test]
fn what_is_put_off_leaves_its_place_to_the_next_and_no_more_than_that() {
    run(async {
        let stage = Stage::new().await.of_four_that_fail().await;
        let (dispatcher, clocks) = (&stage.dispatcher, &stage.clocks);
        // Whoever waits longest comes first.
        (0..3).for_each(|_| dispatcher.starts.end_turn());
        assert_eq!(dispatcher.starts.order(), Order::Wait);
        for host in ["ray-80", "ray-81", "ray-82", "ray-83"] {
            stage.send(host, Urgency::Warning, AlertStatus::Firing).await;
            clocks.pass(Duration::from_secs(1));
        }
        // The second has had its turn, whoever gave it.
        dispatcher.limiter.note(&"ray-81".parse().unwrap(), dispatcher.clock.moment().1);
        let claimed = dispatcher.claim().await.unwrap();
        let begun: Vec<_> =
            dispatcher.tell(claimed).into_iter().map(|claim| claim.asked.host.to_string()).collect();
        assert_eq!(begun, ["ray-80", "ray-82"]);
    });
}
