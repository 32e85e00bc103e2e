//! A responder without a listener and without SSH, over a real journal and clocks that a test turns.

use std::sync::Mutex;

use axum::body::Bytes;
use jiff::SignedDuration;
use tempfile::TempDir;
use uuid::Uuid;

use super::super::*;
use crate::{
    config::responder::{HostEntry, Ssh as SshSettings},
    domain::{
        alert::{Alert, AlertStatus, Notification},
        attempt::{AttemptId, Trigger},
        host::Directory,
        incident::after,
        policy::Urgency,
    },
    responder::{
        clock::Source,
        intake::{Intake, Queue},
        journal::{Keep, sqlite::SqliteJournal},
        lanes,
    },
};

pub(super) const PERIOD: Duration = Duration::from_mins(10);
pub(super) const CRITICAL_PERIOD: Duration = Duration::from_mins(2);
pub(super) const TIMING: Timing = Timing {
    recheck: Duration::from_mins(5),
    decay: Duration::from_mins(5),
    backoff_first: Duration::from_secs(30),
    backoff_most: Duration::from_mins(10),
    escalate_after: Duration::from_hours(1),
    expiry: Duration::from_hours(48),
};
pub(super) const BOUNDS: lanes::Bounds = lanes::Bounds {
    most: 16,
    // Nobody is slow here: that goes by time that no test turns.
    connect_timeout: Duration::from_hours(1),
    attempt_deadline: Duration::from_mins(11),
};
/// Longer than any report of a test but of those that fill it.
pub(super) const REPORTS_BYTES: u64 = 64 * 1024;
pub(super) const HOSTS: [&str; 2] = ["ray-80", "ray-81"];

/// Clocks that are turned by hand.
#[derive(Debug)]
pub(super) struct Turned(Mutex<(Duration, Timestamp)>);

impl Turned {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new((
            Duration::from_secs(1000),
            Timestamp::from_second(1_700_000_000).unwrap(),
        ))))
    }

    /// Time passes.
    pub(super) fn pass(&self, span: Duration) {
        let mut clocks = self.0.lock().unwrap();
        *clocks = (clocks.0 + span, after(clocks.1, span));
    }

    /// Somebody sets the clock.
    pub(super) fn set(&self, secs: i64) {
        self.set_by(SignedDuration::from_secs(secs));
    }

    pub(super) fn set_by(&self, span: SignedDuration) {
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
pub(super) struct Stage {
    folder: TempDir,
    pub(super) clocks: Arc<Turned>,
    pub(super) dispatcher: Arc<Dispatcher<SqliteJournal>>,
    pub(super) intake: Arc<Intake<SqliteJournal>>,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("rs").tempdir().unwrap();
        let clocks = Turned::new();
        let (dispatcher, intake) = responder(&folder, &clocks).await;
        Self { folder, clocks, dispatcher, intake }
    }

    /// Another process on the same journal; what ran in this one is cut short.
    pub(super) async fn restart(&mut self) {
        self.dispatcher.journal.close().await;
        // The lock goes with the last handle.
        let (folder, clocks) = (&self.folder, &self.clocks);
        let elsewhere = tempfile::tempdir().unwrap();
        let (dispatcher, intake) = responder(&elsewhere, clocks).await;
        (self.dispatcher, self.intake) = (dispatcher, intake);
        (self.dispatcher, self.intake) = responder(folder, clocks).await;
    }

    pub(super) async fn send(&self, host: &str, urgency: Urgency, status: AlertStatus) {
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

    /// A person asks for an attempt.
    pub(super) async fn ask(&self, host: &str) -> AttemptId {
        let (id, host) = (AttemptId::now(), host.parse().unwrap());
        let replay = Some(Uuid::nil());
        let asked = Asked {
            id,
            host,
            incident: None,
            replay,
            trigger: Trigger::Manual,
            dry_run: false,
            asked_by: None,
        };
        let mut work = self.dispatcher.journal.begin().await.unwrap();
        work.queue_attempt(&asked, self.dispatcher.clock.now()).await.unwrap();
        work.commit().await.unwrap();
        id
    }

    /// An attempt that ended with a report of so many bytes.
    pub(super) async fn report(&self, host: &str, bytes: usize) {
        let id = self.ask(host).await;
        let asked = Asked {
            id,
            host: host.parse().unwrap(),
            incident: None,
            replay: None,
            trigger: Trigger::Manual,
            dry_run: false,
            asked_by: None,
        };
        let now = self.dispatcher.clock.now();
        let mut work = self.dispatcher.journal.begin().await.unwrap();
        let fence = work.start_attempt(&asked, now, now).await.unwrap();
        let report = Some(format!("\"{}\"", "x".repeat(bytes - 2)));
        let ended = Ended { report, ..without_report(Outcome::Freed, "a test") };
        assert!(work.end_attempt(id, fence, &ended, now).await.unwrap());
        work.commit().await.unwrap();
    }

    /// Everything that begins now.
    pub(super) async fn begin(&self) -> Vec<(Claim, Permit)> {
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

    pub(super) async fn end(&self, claim: &Claim, outcome: Outcome) -> bool {
        self.end_by(&self.dispatcher, claim, outcome).await
    }

    pub(super) async fn end_by(
        &self,
        dispatcher: &Dispatcher<SqliteJournal>,
        claim: &Claim,
        outcome: Outcome,
    ) -> bool {
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
    let settings = SshSettings::default();
    let targets: BTreeMap<HostName, Target> = HOSTS
        .iter()
        .map(|name| (name.parse().unwrap(), Target::new(&HostEntry::at(name, name), &settings).unwrap()))
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
        reports_bytes: REPORTS_BYTES,
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

pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}
