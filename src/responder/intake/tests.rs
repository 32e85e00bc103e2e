//! Intake over a real journal: what of a notification is on disk, and what of too much.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use sqlx::{Connection, Executor, SqliteConnection};
use tempfile::TempDir;

use super::*;
use crate::{
    domain::incident::MEMBERS_MOST,
    responder::journal::{IncidentQuery, sqlite::SqliteJournal},
};

mod by_hand;
mod replayed;
mod told;

const TIMING: Timing = Timing {
    recheck: Duration::from_mins(5),
    decay: Duration::from_mins(5),
    backoff_first: Duration::from_secs(30),
    backoff_most: Duration::from_mins(10),
    escalate_after: Duration::from_hours(1),
    expiry: Duration::from_hours(2),
};
const KEEP: Keep = Keep { notifications: 100, bytes: 100_000 };
const WARNING: &str = "RayWorkerLargeTmpDirectory";
const CRITICAL: &str = "RayWorkerDiskCritical";

struct Stage {
    folder: TempDir,
    intake: Arc<Intake<SqliteJournal>>,
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let policies = Policies::default();
        let hosts: [HostName; 2] = ["ray-80", "ray-81"].map(|name| name.parse().unwrap());
        let intake = Intake {
            journal: SqliteJournal::open(folder.path()).await.unwrap(),
            clock: Arc::new(Clock::start()),
            metrics: Arc::new(Metrics::new(&hosts, &policies)),
            policies,
            directory: Directory::new(hosts.map(|host| (host, vec![]))).unwrap(),
            timing: TIMING,
            wake: Arc::new(Notify::new()),
            queue: Queue::default(),
            keep: KEEP,
        };
        Self { folder, intake: Arc::new(intake) }
    }

    async fn accept(&self, alerts: impl IntoIterator<Item = Alert>) -> Accepted {
        self.intake.accept(notification(alerts), Bytes::new()).await.unwrap().accepted
    }

    /// Of each of a host's incidents, the newest first: its alerts, and why it closed.
    async fn incidents(&self, host: &str) -> Vec<(usize, Option<String>)> {
        let views = self.intake.journal.incidents(Some(host), 100).await.unwrap();
        views.into_iter().map(|view| (view.alerts.len(), view.close_reason)).collect()
    }

    fn too_many(&self) -> u64 {
        let reason = ByReason::new(Ignored::TooMany.reason());
        self.intake.metrics.alerts_ignored.get_or_create(&reason).get()
    }
}

fn alert(number: usize, name: &str, host: &str, status: AlertStatus) -> Alert {
    let labels = [("alertname", name), ("host", host)].map(|(key, value)| (key.to_owned(), value.to_owned()));
    Alert {
        fingerprint: format!("{number:016x}").parse().unwrap(),
        status,
        labels: labels.into(),
        starts_at: Timestamp::UNIX_EPOCH,
        ends_at: None,
    }
}

fn notification(alerts: impl IntoIterator<Item = Alert>) -> Notification {
    Notification { truncated_alerts: 0, alerts: alerts.into_iter().collect() }
}

fn firing(number: usize) -> Alert {
    alert(number, WARNING, "ray-80", AlertStatus::Firing)
}

fn resolved(number: usize) -> Alert {
    alert(number, WARNING, "ray-80", AlertStatus::Resolved)
}

#[tokio::test]
async fn an_alert_that_resolves_beside_one_that_fires_leaves_its_incident_open() {
    let stage = Stage::new().await;
    stage.accept([firing(1)]).await;
    let other = alert(9, WARNING, "ray-81", AlertStatus::Resolved);
    let accepted = stage.accept([resolved(1), other, firing(2)]).await;
    assert_eq!(accepted, Accepted { accepted: 3, ignored: 0 });
    assert_eq!(stage.incidents("ray-80").await, [(2, None)]);
    assert_eq!(stage.incidents("ray-81").await, []);
    stage.accept([resolved(2)]).await;
    assert_eq!(stage.incidents("ray-80").await, [(2, Some("resolved".to_owned()))]);
}

#[tokio::test]
async fn alerts_that_come_and_go_in_one_notification_make_one_incident() {
    let stage = Stage::new().await;
    let alerts = (1..=MEMBERS_MOST).flat_map(|number| [firing(number), resolved(number)]);
    let accepted = stage.accept(alerts).await;
    assert_eq!(accepted, Accepted { accepted: 2 * MEMBERS_MOST as u64, ignored: 0 });
    assert_eq!(stage.incidents("ray-80").await, [(MEMBERS_MOST, Some("resolved".to_owned()))]);
    assert_eq!(stage.intake.metrics.incidents_opened.get(), 1);
}

#[tokio::test]
async fn ever_new_alerts_fill_neither_an_incident_nor_the_journal() {
    let stage = Stage::new().await;
    let parts = 8;
    for part in 0..parts {
        let numbers = part * MEMBERS_MOST..(part + 1) * MEMBERS_MOST;
        let Accepted { accepted, ignored } = stage.accept(numbers.map(firing)).await;
        let expected = if part == 0 { (MEMBERS_MOST, 0) } else { (0, MEMBERS_MOST) };
        assert_eq!((accepted, ignored), (expected.0 as u64, expected.1 as u64));
    }
    assert_eq!(stage.incidents("ray-80").await, [(MEMBERS_MOST, None)]);
    assert_eq!(stage.too_many(), ((parts - 1) * MEMBERS_MOST) as u64);
    let ignored = stage.intake.journal.ignored(u32::MAX).await.unwrap();
    assert_eq!(ignored.len(), IGNORED_MOST as usize);
    assert!(ignored.iter().all(|view| view.reason == "too_many_alerts"));

    // One that is more pressing has its place, and the incident still ends with those that it has.
    let critical = |status| alert(usize::MAX, CRITICAL, "ray-80", status);
    assert_eq!(stage.accept([critical(AlertStatus::Firing)]).await.accepted, 1);
    assert_eq!(stage.incidents("ray-80").await, [(MEMBERS_MOST, None)]);
    stage.accept((0..MEMBERS_MOST).map(resolved).chain([critical(AlertStatus::Resolved)])).await;
    assert_eq!(stage.incidents("ray-80").await, [(MEMBERS_MOST, Some("resolved".to_owned()))]);
}

#[tokio::test]
async fn ever_new_incidents_that_open_and_close_do_not_fill_the_journal() {
    let stage = Stage::new().await;
    let kept = async || {
        let query = IncidentQuery { limit: u32::MAX, alerts: true, ..IncidentQuery::default() };
        let incidents = stage.intake.journal.find_incidents(&query).await.unwrap();
        (incidents.len(), incidents.iter().map(|incident| incident.alerts.len()).sum::<usize>())
    };
    let most = CLOSED_MOST as usize;
    // Many alerts at once, in few incidents.
    for round in 0..3 {
        let numbers = || round * most..round * most + 700;
        stage.accept(numbers().map(firing)).await;
        stage.accept(numbers().map(resolved)).await;
    }
    assert_eq!(kept().await, (3, most));
    // And one at a time, in many.
    let rounds = (10_000..10_100 + most).map(|number| stage.accept([firing(number), resolved(number)]));
    join_all(rounds).await;
    assert_eq!(kept().await, (most, most));
    // Another host's are its own, and what is open is whole.
    stage.accept([alert(1, WARNING, "ray-81", AlertStatus::Firing)]).await;
    stage.accept([alert(1, WARNING, "ray-81", AlertStatus::Resolved), firing(1), firing(2)]).await;
    assert_eq!(kept().await, (most + 2, most + 3));
}

#[tokio::test]
async fn ever_new_alerts_of_an_unknown_host_do_not_fill_the_journal() {
    let stage = Stage::new().await;
    let unknown = |number| alert(number, WARNING, "ray-99", AlertStatus::Firing);
    let many = IGNORED_MOST as usize + 10;
    stage.accept((0..many).map(unknown)).await;
    stage.accept([unknown(many)]).await;
    let ignored = stage.intake.journal.ignored(u32::MAX).await.unwrap();
    assert_eq!(ignored.len(), IGNORED_MOST as usize);
    assert_eq!(ignored[0].fingerprint, format!("{many:016x}"));
}

#[tokio::test]
async fn notifications_that_come_at_once_go_to_disk_together_and_each_is_answered() {
    let stage = Stage::new().await;
    // Nobody writes before all of them are there.
    let held = stage.intake.journal.begin().await.unwrap();
    let all = join_all((0..200).map(|number| stage.accept([firing(number)])));
    let (answered, ()) = tokio::join!(all, async { drop(held) });
    assert_eq!(answered, [Accepted { accepted: 1, ignored: 0 }; 200]);
    let incidents = stage.intake.journal.incidents(Some("ray-80"), 10).await.unwrap();
    assert_eq!((incidents.len(), incidents[0].alerts.len()), (1, 200));
    let units: BTreeSet<_> = incidents[0].alerts.iter().map(|alert| alert.received_at).collect();
    assert!(units.len() <= 4, "{} units of work", units.len());
}

#[tokio::test]
async fn a_sender_who_has_gone_is_not_written_for() {
    let stage = Stage::new().await;
    let held = stage.intake.journal.begin().await.unwrap();
    tokio::select! {
        biased;
        _ = stage.accept([firing(1)]) => panic!("answered before anything was written"),
        () = std::future::ready(()) => {}
    }
    drop(held);
    stage.accept([firing(2)]).await;
    assert_eq!(stage.incidents("ray-80").await, [(1, None)]);
}

#[tokio::test]
async fn a_host_whose_rows_are_damaged_stands_in_no_others_way() {
    let stage = Stage::new().await;
    stage.accept([firing(1)]).await;
    let url = format!("sqlite://{}", stage.folder.path().join("journal.db").display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    other.execute("UPDATE alerts SET urgency = 'none that is known'").await.unwrap();
    let on = |host| {
        stage.intake.accept(notification([alert(2, WARNING, host, AlertStatus::Firing)]), Bytes::new())
    };
    let [damaged, whole] = join_all([on("ray-80"), on("ray-81")]).await.try_into().unwrap();
    assert!(matches!(*damaged.unwrap_err(), JournalError::Corrupt(_)));
    assert_eq!(whole.unwrap().accepted, Accepted { accepted: 1, ignored: 0 });
    assert_eq!(stage.incidents("ray-81").await, [(1, None)]);
}
