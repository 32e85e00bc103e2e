//! The dispatcher over a real journal and clocks that a test turns, without SSH: what is claimed, when.

use std::sync::Mutex;

use axum::body::Bytes;
use jiff::SignedDuration;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    config::responder::{HostEntry, Ssh as SshSettings},
    domain::{
        alert::{Alert, AlertStatus, Notification},
        host::Directory,
        incident::{PAST, after},
        policy::{Policies, Urgency},
    },
    responder::{
        clock::Source,
        intake::{Intake, Queue},
        journal::{Asked, AttemptView, Keep, sqlite::SqliteJournal},
        lanes,
        metrics::ByReason,
        ssh::SshError,
    },
};

mod around;
mod looks;
mod reload;
mod silenced;
mod waits;

const PERIOD: Duration = Duration::from_mins(10);
const CRITICAL_PERIOD: Duration = Duration::from_mins(2);
const TIMING: Timing = Timing {
    recheck: Duration::from_mins(5),
    decay: Duration::from_mins(5),
    backoff_first: Duration::from_secs(30),
    backoff_most: Duration::from_mins(10),
    escalate_after: Duration::from_hours(1),
    expiry: Duration::from_hours(48),
};
const BOUNDS: lanes::Bounds = lanes::Bounds {
    most: 16,
    // Nobody is slow here: that goes by time that no test turns.
    connect_timeout: Duration::from_hours(1),
    attempt_deadline: Duration::from_mins(11),
};
const HOSTS: [&str; 2] = ["ray-80", "ray-81"];

/// Clocks that are turned by hand.
#[derive(Debug)]
struct Turned(Mutex<(Duration, Timestamp)>);

impl Turned {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new((
            Duration::from_secs(1000),
            Timestamp::from_second(1_700_000_000).unwrap(),
        ))))
    }

    /// Time passes.
    fn pass(&self, span: Duration) {
        let mut clocks = self.0.lock().unwrap();
        *clocks = (clocks.0 + span, after(clocks.1, span));
    }

    /// Somebody sets the clock.
    fn set(&self, secs: i64) {
        self.set_by(SignedDuration::from_secs(secs));
    }

    fn set_by(&self, span: SignedDuration) {
        let mut clocks = self.0.lock().unwrap();
        clocks.1 = clocks.1.checked_add(span).unwrap();
    }
}

impl Source for Turned {
    fn boot(&self) -> String {
        "this one".to_owned()
    }

    fn uptime(&self) -> Duration {
        self.0.lock().unwrap().0
    }

    fn shown(&self) -> Timestamp {
        self.0.lock().unwrap().1
    }
}

/// A responder without a listener and without SSH.
struct Stage {
    folder: TempDir,
    clocks: Arc<Turned>,
    dispatcher: Arc<Dispatcher<SqliteJournal>>,
    intake: Arc<Intake<SqliteJournal>>,
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("rs").tempdir().unwrap();
        let clocks = Turned::new();
        let (dispatcher, intake) = responder(&folder, &clocks).await;
        Self { folder, clocks, dispatcher, intake }
    }

    /// Another process on the same journal; what ran in this one is cut short.
    async fn restart(&mut self) {
        self.dispatcher.journal.close().await;
        // The lock goes with the last handle.
        let (folder, clocks) = (&self.folder, &self.clocks);
        let elsewhere = tempfile::tempdir().unwrap();
        let (dispatcher, intake) = responder(&elsewhere, clocks).await;
        (self.dispatcher, self.intake) = (dispatcher, intake);
        (self.dispatcher, self.intake) = responder(folder, clocks).await;
    }

    async fn send(&self, host: &str, urgency: Urgency, status: AlertStatus) {
        let name = match urgency {
            Urgency::Warning => "RayWorkerLargeTmpDirectory",
            Urgency::Critical => "RayWorkerDiskCritical",
        };
        let labels = [("alertname", name), ("host", host)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let alert = Alert {
            fingerprint: format!("{:016x}", name.len() * 100 + host.len()).parse().unwrap(),
            status,
            labels: labels.into(),
            starts_at: Timestamp::UNIX_EPOCH,
            ends_at: None,
        };
        let notification = Notification { truncated_alerts: 0, alerts: vec![alert] };
        self.intake.accept(notification, Bytes::new()).await.unwrap();
    }

    /// Everything that begins now.
    async fn begin(&self) -> Vec<(Claim, Permit)> {
        let mut begun = vec![];
        self.dispatcher.follow_clock().await.unwrap();
        loop {
            let claimed = self.dispatcher.claim().await.unwrap();
            let looked_at = claimed.looked_at;
            for claim in self.dispatcher.tell(claimed) {
                let permit = self.dispatcher.lanes.enter(claim.asked.id, claim.lane, Instant::now());
                begun.push((claim, permit));
            }
            if looked_at == 0 {
                return begun;
            }
        }
    }

    async fn end(&self, claim: &Claim, outcome: Outcome) -> bool {
        self.end_by(&self.dispatcher, claim, outcome).await
    }

    async fn end_by(&self, dispatcher: &Dispatcher<SqliteJournal>, claim: &Claim, outcome: Outcome) -> bool {
        if !outcome.spends() {
            dispatcher.limiter.give_back(&claim.spend);
        }
        let mut work = dispatcher.journal.begin().await.unwrap();
        let ended = without_report(outcome, "a test");
        let told = dispatcher.end(&mut work, &claim.asked, claim.fence, &ended).await.unwrap();
        work.commit().await.unwrap();
        if let Some(Some(escalated)) = &told {
            dispatcher.escalated(escalated);
        }
        told.is_some()
    }
}

async fn responder(
    folder: &TempDir,
    clocks: &Arc<Turned>,
) -> (Arc<Dispatcher<SqliteJournal>>, Arc<Intake<SqliteJournal>>) {
    let entry = |name: &&str| HostEntry {
        name: name.parse().unwrap(),
        address: (*name).to_owned(),
        aliases: vec![],
        user: None,
        port: None,
        identity_file: None,
        jump: None,
        sweep: None,
    };
    let settings = SshSettings::default();
    let targets: BTreeMap<HostName, Target> = HOSTS
        .iter()
        .map(|name| (name.parse().unwrap(), Target::new(&entry(name), &settings).unwrap()))
        .collect();
    let policies = Policies::default();
    let inventory: Vec<_> = targets.keys().cloned().collect();
    let metrics = Arc::new(Metrics::new(&inventory, &policies));
    let directory = Directory::new(inventory.into_iter().map(|host| (host, vec![]))).unwrap();
    let journal = SqliteJournal::open(folder.path()).await.unwrap();
    let clock = Arc::new(Clock::over(Arc::clone(clocks) as Arc<dyn Source>));
    let wake = Arc::new(Notify::new());
    let deadline = Duration::from_mins(11);
    let dispatcher = Arc::new(Dispatcher {
        journal: journal.clone(),
        clock: Arc::clone(&clock),
        ssh: Ssh::prepare(folder.path().join("ssh"), Duration::from_secs(1), 1024).await.unwrap(),
        targets,
        policies: policies.clone(),
        limiter: Limiter::new(PERIOD, CRITICAL_PERIOD),
        starts: Arc::new(Starts::new(1000)),
        lanes: Lanes::new(BOUNDS),
        silences: None,
        timing: TIMING,
        period: PERIOD,
        attempt_deadline: deadline,
        history: PAST,
        starts_are_scarce: AtomicBool::default(),
        metrics: Arc::clone(&metrics),
        wake: Arc::clone(&wake),
    });
    dispatcher.recover().await.unwrap();
    let queue = Queue::default();
    let keep = Keep { notifications: 0, bytes: 0 };
    let intake = Intake { journal, clock, policies, directory, timing: TIMING, metrics, wake, queue, keep };
    (dispatcher, Arc::new(intake))
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

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
        let mut work = stage.dispatcher.journal.begin().await.unwrap();
        let asked = Asked {
            id: crate::domain::attempt::AttemptId::now(),
            host: "ray-80".parse().unwrap(),
            incident: None,
            replay: Some(uuid::Uuid::nil()),
            trigger: crate::domain::attempt::Trigger::Manual,
            dry_run: false,
            asked_by: None,
        };
        work.queue_attempt(&asked, stage.dispatcher.clock.now()).await.unwrap();
        work.commit().await.unwrap();
        assert!(stage.begin().await.is_empty());
        stage.clocks.pass(Duration::from_secs(299));
        assert!(stage.begin().await.is_empty());
        // What we gave up tells nothing of the host: it is as proven, or as new, as it was.
        stage.clocks.pass(Duration::from_secs(1));
        let again = stage.begin().await;
        assert_eq!(again.len(), 1);
        assert_eq!((again[0].0.asked.id, again[0].0.lane), (asked.id, Lane::New));
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
            stage.clocks.pass(PERIOD);
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
