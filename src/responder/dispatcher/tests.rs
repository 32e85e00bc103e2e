//! The dispatcher over a real journal and clocks that a test turns, without SSH: what is claimed, when.

use jiff::SignedDuration;
use proptest::prelude::*;

use self::stage::{CRITICAL_PERIOD, HOSTS, PERIOD, Stage, TIMING, run};
use super::*;
use crate::{
    domain::{alert::AlertStatus, policy::Urgency},
    responder::{
        clock::Source,
        journal::AttemptView,
        metrics::{ByHost, ByHostReason, ByReason},
        ssh::SshError,
    },
};

mod around;
mod looks;
mod reload;
mod silenced;
mod stage;
mod waits;

#[test]
fn what_was_cut_short_is_unknown_and_its_host_is_left_alone_whoever_asks() {
    run(async {
        let mut stage = Stage::new().await;
        stage.send("ray-80", Urgency::Critical, AlertStatus::Firing).await;
        let begun = stage.begin().await;
        assert_eq!(begun.len(), 1);
        stage.restart().await;
        // Neither the incident, nor a critical alert that joins, nor a new incident, nor a person.
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        for status in [AlertStatus::Resolved, AlertStatus::Firing] {
            stage.send("ray-80", Urgency::Critical, status).await;
            stage.send("ray-80", Urgency::Warning, status).await;
        }
        let asked = stage.ask("ray-80").await;
        assert!(stage.begin().await.is_empty());
        stage.clocks.pass(Duration::from_secs(299));
        assert!(stage.begin().await.is_empty());
        // What we gave up tells nothing of the host: it is as proven, or as new, as it was.
        stage.clocks.pass(Duration::from_secs(1));
        let again = stage.begin().await;
        assert_eq!(again.len(), 1);
        assert_eq!((again[0].0.asked.id, again[0].0.lane), (asked, Lane::New));
        let attempts = stage.dispatcher.journal.attempts(None, 10).await.unwrap();
        let first = attempts.iter().find(|attempt| attempt.id == begun[0].0.asked.id.to_string()).unwrap();
        assert_eq!(
            (first.outcome.as_deref(), first.reason.as_deref()),
            (Some("unknown"), Some("interrupted"))
        );
    });
}

#[test]
fn a_claim_whose_lease_is_over_is_given_up_and_its_end_comes_too_late() {
    run(async {
        let stage = Stage::new().await;
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        let (claim, permit) = stage.begin().await.pop().unwrap();
        // As long as somebody here is at it, it is not given up, however long it takes.
        stage.clocks.pass(Duration::from_hours(1));
        assert!(stage.begin().await.is_empty());
        assert_eq!(stage.dispatcher.journal.attempts(None, 10).await.unwrap()[0].outcome, None);
        // Its task has gone without a word.
        drop(permit);
        assert!(stage.begin().await.is_empty());
        let given_up = stage.dispatcher.journal.attempts(None, 10).await.unwrap().pop().unwrap();
        assert_eq!(
            (given_up.outcome.as_deref(), given_up.reason.as_deref()),
            (Some("unknown"), Some("lease_over"))
        );
        assert!(!stage.end(&claim, Outcome::Freed).await, "an end of a claim that was given up");
        // And the host is looked at again.
        stage.clocks.pass(TIMING.recheck);
        let again = stage.begin().await;
        assert_eq!(again.len(), 1);
        assert!(again[0].0.fence > claim.fence);
    });
}

#[test]
fn a_host_that_failed_is_not_tried_hotly_by_a_new_incident() {
    run(async {
        let stage = Stage::new().await;
        for failures in 1..=3u64 {
            stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
            let (claim, _permit) = stage.begin().await.pop().unwrap();
            assert!(stage.end(&claim, Outcome::Unreachable).await);
            stage.send("ray-80", Urgency::Warning, AlertStatus::Resolved).await;
            stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
            assert!(stage.begin().await.is_empty(), "after {failures} failures");
            // It doubles over incidents too; jitter takes at most half.
            stage.clocks.pass(Duration::from_secs(14 << (failures - 1)));
            assert!(stage.begin().await.is_empty(), "after {failures} failures");
            stage.clocks.pass(Duration::from_secs(17 << (failures - 1)));
        }
        let begun = stage.begin().await;
        assert_eq!((begun.len(), begun[0].0.lane), (1, Lane::Failing));
    });
}

#[test]
fn a_restart_moves_nothing_where_nobody_set_the_clock() {
    run(async {
        let mut stage = Stage::new().await;
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        let (claim, _permit) = stage.begin().await.pop().unwrap();
        assert!(stage.end(&claim, Outcome::Active).await);
        let began = |attempts: Vec<AttemptView>| attempts[0].started_at.unwrap();
        let before = began(stage.dispatcher.journal.attempts(None, 1).await.unwrap());
        // As two clocks drift apart; then somebody sets one of them.
        for (millis, moved) in [(60, 0), (-30, 0), (69, 0), (150, 249), (0, 249)] {
            stage.clocks.set_by(SignedDuration::from_millis(millis));
            stage.restart().await;
            let after = began(stage.dispatcher.journal.attempts(None, 1).await.unwrap());
            assert_eq!(after.duration_since(before).as_millis(), moved, "{millis} ms");
        }
    });
}

#[test]
fn trouble_of_this_machine_tells_nothing_of_a_host_and_a_report_does_whatever_its_words() {
    run(async {
        let stage = Stage::new().await;
        let journal = &stage.dispatcher.journal;
        let no_room = SshError::Local(std::io::ErrorKind::StorageFull.into());
        let ours = || without_report(no_room.outcome(), no_room.reason());
        let hosts = || Ended { report: Some("{}".to_owned()), ..without_report(Outcome::Failed, STOPPED) };
        for (ended, lane) in [(ours(), Lane::New), (hosts(), Lane::Proven), (ours(), Lane::Proven)] {
            stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
            let (claim, _permit) = stage.begin().await.pop().unwrap();
            let mut work = journal.begin().await.unwrap();
            stage.dispatcher.end(&mut work, &claim.asked, claim.fence, &ended).await.unwrap().unwrap();
            let standing = work.standing(&claim.asked.host).await.unwrap();
            let stands = (standing.lane(), standing.failures_in_row, standing.not_before);
            assert_eq!(stands, (lane, 0, None), "{ended:?}");
            work.commit().await.unwrap();
            stage.clocks.pass(PERIOD + TICK);
        }
    });
}

#[test]
fn what_becomes_critical_is_told_although_a_person_was_told_that_it_takes_long() {
    run(async {
        let stage = Stage::new().await;
        let told = |reason| stage.dispatcher.metrics.escalations.get_or_create(&ByReason::new(reason)).get();
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        let attempt = async || {
            let (claim, _permit) = stage.begin().await.pop().unwrap();
            assert!(stage.end(&claim, Outcome::Active).await);
        };
        attempt().await;
        stage.clocks.pass(TIMING.escalate_after);
        attempt().await;
        assert_eq!((told("overdue"), told("critical_active")), (1, 0));
        stage.send("ray-80", Urgency::Critical, AlertStatus::Firing).await;
        stage.clocks.pass(CRITICAL_PERIOD);
        attempt().await;
        assert_eq!((told("overdue"), told("critical_active")), (1, 1));
        stage.clocks.pass(TIMING.recheck);
        attempt().await;
        assert_eq!((told("overdue"), told("critical_active")), (1, 1), "told twice");
    });
}

#[test]
fn what_is_critical_no_more_is_told_as_what_it_is_by_journal_and_metrics() {
    run(async {
        let stage = Stage::new().await;
        let metrics = &stage.dispatcher.metrics;
        let raised =
            |reason: &str| metrics.escalation.get(&ByHostReason::new("ray-80", reason)).map(|is| is.get());
        let stands = async || {
            let open = stage.dispatcher.journal.open_hosts().await.unwrap();
            metrics.set_open(&open);
            let is_told = metrics.incident_escalated.get_or_create(&ByHost::new(&open[0].host)).get();
            (open[0].escalation.clone(), is_told)
        };
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        stage.send("ray-80", Urgency::Critical, AlertStatus::Firing).await;
        let (claim, permit) = stage.begin().await.pop().unwrap();
        assert!(stage.end(&claim, Outcome::Active).await);
        drop(permit);
        assert_eq!(stands().await, (Some("critical_active".to_owned()), 1));
        assert_eq!(raised("critical_active"), Some(1));
        stage.send("ray-80", Urgency::Critical, AlertStatus::Resolved).await;
        assert_eq!(stands().await, (None, 0));
        assert_eq!(raised("critical_active"), None);
        // The warning goes on: it is told when that has taken too long, once, and never as critical.
        stage.clocks.pass(TIMING.escalate_after);
        for _ in 0..2 {
            stage.begin().await;
            assert_eq!(stands().await, (Some("overdue".to_owned()), 1));
        }
        assert_eq!((raised("critical_active"), raised("overdue")), (None, Some(1)));
        let told = |reason| metrics.escalations.get_or_create(&ByReason::new(reason)).get();
        assert_eq!((told("critical_active"), told("overdue")), (1, 1));
    });
}

#[test]
fn a_reload_or_a_stop_does_not_wait_until_there_is_nothing_more_to_begin() {
    run(async {
        let stage = Stage::new().await;
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        let (stop, attempts) = (CancellationToken::new(), TaskTracker::new());
        stop.cancel();
        stage.dispatcher.round(&attempts, &stop, &CancellationToken::new()).await.unwrap();
        assert!(attempts.is_empty());
        assert_eq!(stage.begin().await.len(), 1, "left to whoever comes next");
    });
}

#[test]
fn an_incident_that_nobody_sees_again_expires_and_one_that_is_seen_does_not() {
    run(async {
        let stage = Stage::new().await;
        for host in HOSTS {
            stage.send(host, Urgency::Warning, AlertStatus::Firing).await;
        }
        let begun = stage.begin().await;
        for (claim, _permit) in &begun {
            assert!(stage.end(claim, Outcome::Held).await);
        }
        stage.clocks.pass(TIMING.expiry / 2);
        stage.send("ray-81", Urgency::Warning, AlertStatus::Firing).await;
        stage.clocks.pass(TIMING.expiry / 2);
        stage.begin().await;
        let incidents = stage.dispatcher.journal.incidents(None, 10).await.unwrap();
        let ends: BTreeMap<_, _> =
            incidents.iter().map(|view| (view.host.as_str(), view.close_reason.as_deref())).collect();
        assert_eq!(ends, [("ray-80", Some("expired")), ("ray-81", None)].into());
    });
}

#[derive(Debug, Clone)]
enum Step {
    Send(usize, bool, bool),
    Pass(u64),
    Set(i64),
    End(usize),
    Restart,
    Reload,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..HOSTS.len(), any::<bool>(), any::<bool>()).prop_map(|(h, c, f)| Step::Send(h, c, f)),
        5 => (1..500u64).prop_map(Step::Pass),
        1 => prop_oneof![Just(3600i64), Just(-3600), Just(86_400), Just(-86_400)].prop_map(Step::Set),
        5 => (0..Outcome::ALL.len()).prop_map(Step::End),
        1 => Just(Step::Restart),
        1 => Just(Step::Reload),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_two_attempts_on_a_host_are_never_closer_than_the_period(steps in steps()) {
        run(async {
            let mut stage = Stage::new().await;
            let mut under_way: Vec<(Claim, Permit)> = vec![];
            // When each host's period was last spent, or may have been, by a clock that nobody sets.
            let mut spent = BTreeMap::<HostName, Vec<Duration>>::new();
            let mut critical = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Send(host, pressing, firing) => {
                        let urgency = if pressing { Urgency::Critical } else { Urgency::Warning };
                        let status = if firing { AlertStatus::Firing } else { AlertStatus::Resolved };
                        stage.send(HOSTS[host], urgency, status).await;
                        if urgency == Urgency::Critical {
                            critical.insert(HOSTS[host], firing);
                        }
                    }
                    Step::Pass(secs) => stage.clocks.pass(Duration::from_secs(secs)),
                    Step::Set(secs) => stage.clocks.set(secs),
                    Step::End(outcome) => {
                        let Some((claim, _permit)) = under_way.pop() else { continue };
                        let outcome = Outcome::ALL[outcome];
                        prop_assert!(stage.end(&claim, outcome).await);
                        if !outcome.spends() {
                            spent.get_mut(&claim.asked.host).unwrap().pop();
                        }
                    }
                    Step::Restart => {
                        under_way.clear();
                        stage.restart().await;
                    }
                    Step::Reload => drop(stage.reload(|_| {}).await),
                }
                for (claim, permit) in stage.begin().await {
                    let (host, now) = (claim.asked.host.clone(), stage.clocks.uptime());
                    let busy = under_way.iter().any(|(other, _)| other.asked.host == host);
                    prop_assert!(!busy, "two attempts at once on {host}");
                    let of_critical = critical.get(host.as_str()).is_some_and(|firing| *firing);
                    let period = if of_critical { CRITICAL_PERIOD } else { PERIOD };
                    let spent = spent.entry(host).or_default();
                    if let Some(before) = spent.last() {
                        prop_assert!(now.saturating_sub(*before) >= period, "{:?} apart of {period:?}", now.saturating_sub(*before));
                    }
                    spent.push(now);
                    under_way.push((claim, permit));
                }
            }
            // Whoever still fires is looked at within a period and a wait, whatever the clock was set to.
            for (claim, _permit) in under_way.drain(..) {
                prop_assert!(stage.end(&claim, Outcome::Active).await);
            }
            stage.clocks.pass(PERIOD + TIMING.backoff_most);
            let waiting = stage.dispatcher.journal.open_hosts().await.unwrap().len();
            prop_assert_eq!(stage.begin().await.len(), waiting);
            Ok(())
        })?;
    }
}
