//! What is asked of a long history: by which way it is found, and that pages neither lose a row nor tell
//! one twice.

use proptest::prelude::*;

use super::*;
use crate::{
    domain::attempt::Trigger,
    responder::journal::{Asked, Ended, Keep},
};

/// A journal with 1,000 hosts, 10,000 attempts, an incident and an alert for each tenth, and notifications.
const FILL: &str = "
    WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 999)
    INSERT INTO hosts (host, lane, last_outcome, failures_in_row) SELECT 'h' || n, 'proven', 'freed', 0 FROM n;
    WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 999)
    INSERT INTO incidents (id, host, state, opened_at, accepted_at, due_at, closed_at, attempts, failures_in_row)
    SELECT n + 1, 'h' || n, IIF(n < 500, 'closed', 'waiting'), n, n, n, IIF(n < 500, n, NULL), 0, 0 FROM n;
    INSERT INTO alerts (incident, fingerprint, name, urgency, status, starts_at, received_at, last_seen, labels)
    SELECT id, 'ff', 'A', 'warning', 'firing', 0, id, id, '{}' FROM incidents;
    WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 9999)
    INSERT INTO attempts (id, host, incident, trigger, queued_at, started_at, finished_at, outcome, report)
    SELECT printf('01890a5d-ac96-774b-bcce-%012x', n), 'h' || (n % 1000), n % 1000 + 1, 'alert', n, n, n + 1,
        IIF(n % 100, 'freed', 'active'), '{}' FROM n;";

/// The steps by which a statement is answered.
async fn plan(journal: &SqliteJournal, statement: &str) -> Vec<String> {
    let asked = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let plan = sqlx::query(asked).fetch_all(&journal.readers).await.unwrap();
    plan.iter().map(|row| row.get("detail")).collect()
}

async fn filled(folder: &TempDir) -> SqliteJournal {
    close(SqliteJournal::open(folder.path()).await.unwrap()).await;
    change(folder, FILL).await;
    SqliteJournal::open(folder.path()).await.unwrap()
}

fn asking(change: impl FnOnce(&mut AttemptQuery)) -> AttemptQuery {
    let mut query = AttemptQuery { limit: 50, ..AttemptQuery::default() };
    change(&mut query);
    query
}

#[test]
fn whatever_is_asked_of_attempts_an_index_leads_to_it_in_its_order() {
    run(async {
        let folder = folder();
        let journal = filled(&folder).await;
        let place = (5000, "01890a5d-ac96-774b-bcce-000000000000".to_owned());
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        for (query, outcome, way) in [
            (asking(|_| {}), None, "attempts_in_order"),
            (asking(|query| query.host = Some("h1".to_owned())), None, "attempts_of_host (host=?"),
            (asking(|query| query.incident = Some(IncidentId(1))), None, "attempts_of_incident (incident=?"),
            (asking(|query| query.trigger = Some(Trigger::Cron)), None, "attempts_of_trigger (trigger=?"),
            (asking(|_| {}), Some(Outcome::Active), "attempts_of_outcome (outcome=?"),
            (
                asking(|query| {
                    (query.host, query.incident) = (Some("h1".to_owned()), Some(IncidentId(2)));
                    (query.since, query.until) = (Some(early), Some(late));
                }),
                Some(Outcome::Active),
                "attempts_of_incident (incident=?",
            ),
        ] {
            for place in [None, Some(&place)] {
                let statement = attempts::statement(&query, outcome, place);
                let steps = plan(&journal, statement.sql().as_str()).await;
                assert!(steps.iter().any(|step| step.contains(way)), "{way}: {steps:#?}");
                assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{way}: {steps:#?}");
                // In order and from the start: it ends after as many rows as are asked for. All else is sought.
                let whole = steps.iter().any(|step| step.starts_with("SCAN"));
                assert!(!whole || (way == "attempts_in_order" && place.is_none()), "{way}: {steps:#?}");
                // However it begins, a place is sought and not read up to.
                let sought = steps.iter().any(|step| step.contains("queued_at"));
                assert!(place.is_none() || sought, "{way}: {steps:#?}");
            }
        }
    });
}

#[test]
fn whatever_else_is_asked_of_history_no_table_of_it_is_read_through() {
    run(async {
        let folder = folder();
        let journal = filled(&folder).await;
        let incidents = |open, host: Option<&str>, before| {
            let host = host.map(str::to_owned);
            let query = IncidentQuery { host, open, before, limit: 50, alerts: true };
            views::incidents_statement(&query).sql().as_str().to_owned()
        };
        let before = Some(IncidentId(7));
        for statement in [
            hosts::STANDINGS.to_owned(),
            hosts::OPEN.to_owned(),
            hosts::QUEUED.to_owned(),
            attempts::RUNNING.to_owned(),
            attempts::LAST.to_owned(),
            notifications::FIND.to_owned(),
            notifications::DROP_OLDEST.to_owned(),
            notifications::FORGET.to_owned(),
            reports::OLDEST.to_owned(),
            views::ONE.to_owned(),
            views::ALERTS.to_owned(),
            incidents(false, None, before),
            incidents(false, Some("h1"), None),
            incidents(false, Some("h1"), before),
            incidents(true, None, None),
            incidents(true, Some("h1"), before),
        ] {
            let steps = plan(&journal, &statement).await;
            for step in steps.iter().filter(|step| step.starts_with("SCAN")) {
                // A list that was handed in; what is open, queued or running, a row a host; and the oldest
                // notifications and reports up to as many as go, beside an open incident's last one each.
                let bounded = [
                    "VIRTUAL TABLE",
                    "INDEX one_open_incident_a_host",
                    "INDEX queued_attempts",
                    "INDEX one_running_attempt_a_host",
                    "SCAN notifications",
                    "SCAN kept",
                ];
                assert!(bounded.iter().any(|known| step.contains(known)), "{statement}: {steps:#?}");
            }
        }
    });
}

#[test]
fn what_is_asked_at_a_start_or_moved_with_a_clock_reads_no_history() {
    run(async {
        let folder = folder();
        let journal = filled(&folder).await;
        for statement in [recent::STARTS, recent::SPENDS].into_iter().chain(recent::SHIFT) {
            let steps = plan(&journal, statement).await;
            for step in steps.iter().filter(|step| step.starts_with("SCAN")) {
                // What is open, queued or running; a row a host; and what the question itself has found.
                let bounded = [
                    "INDEX one_open_incident_a_host",
                    "INDEX queued_attempts",
                    "INDEX one_running_attempt_a_host",
                    "SCAN hosts",
                    "SCAN last_reports",
                    "SCAN (subquery",
                ];
                assert!(bounded.iter().any(|known| step.contains(known)), "{statement}: {steps:#?}");
            }
        }
    });
}

#[test]
fn a_host_is_told_with_its_last_end_and_what_it_waits_for_among_a_thousand() {
    run(async {
        let folder = folder();
        let journal = filled(&folder).await;
        let names: Vec<HostName> = (0..1000).map(|n| format!("h{n}").parse().unwrap()).collect();
        let now = Timestamp::from_microsecond(700).unwrap();
        let views = journal.hosts(&names, now).await.unwrap();
        assert_eq!(views.len(), 1000);
        for (n, view) in views.iter().enumerate() {
            assert_eq!(view.name, format!("h{n}"));
            let last = view.last_attempt.as_ref().unwrap();
            assert_eq!(last.queued_at.as_microsecond(), 9000 + i64::try_from(n).unwrap());
            assert_eq!(view.incident.is_some(), n >= 500);
            let waits_for = view.next_attempt.as_ref().map(|next| next.waits_for.as_str());
            let expected = (n >= 500).then_some(if n <= 700 { "place" } else { "decay" });
            assert_eq!(waits_for, expected, "{n}");
        }
        assert!(journal.hosts(&[], now).await.unwrap().is_empty());
    });
}

#[test]
fn of_notifications_the_last_are_kept_and_no_more_bytes_than_may_be() {
    run(async {
        let folder = folder();
        let journal = SqliteJournal::open(folder.path()).await.unwrap();
        let keep = Keep { notifications: 20, bytes: 10_000 };
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let store = async |journal: &SqliteJournal, body: &[u8]| {
            let id = Uuid::now_v7();
            let mut work = journal.begin().await.unwrap();
            work.record_notifications(&[(id, body)], now, keep).await.unwrap();
            work.commit().await.unwrap();
            id
        };
        let rows = async |journal: &SqliteJournal| -> (i64, i64) {
            let row = sqlx::query("SELECT COUNT(*), COALESCE(SUM(LENGTH(body)), 0) FROM notifications");
            let row = row.fetch_one(&journal.readers).await.unwrap();
            (row.get(0), row.get(1))
        };
        let body = |length: usize| vec![b'x'; length];
        let mut last = Uuid::nil();
        for _ in 0..50 {
            last = store(&journal, &body(10)).await;
            assert!((1..=20).contains(&rows(&journal).await.0));
        }
        let found = journal.notification(last).await.unwrap().unwrap();
        assert_eq!((found.id, found.received_at, found.body), (last, now, body(10)));
        for _ in 0..50 {
            last = store(&journal, &body(1000)).await;
            let (count, bytes) = rows(&journal).await;
            assert!(count > 5 && bytes <= 10_000, "{count} {bytes}");
        }
        // One that is too long for what may be kept is not, and pushes nothing out.
        let before = rows(&journal).await;
        let long = store(&journal, &body(1001)).await;
        assert_eq!(journal.notification(long).await.unwrap(), None);
        assert_eq!(rows(&journal).await, before);
        // What was not committed counts for nothing, and a later process counts what there is.
        let mut work = journal.begin().await.unwrap();
        work.record_notifications(&[(Uuid::now_v7(), &body(900))], now, keep).await.unwrap();
        drop(work);
        let held = journal.tally.held();
        close(journal).await;
        let journal = SqliteJournal::open(folder.path()).await.unwrap();
        assert_eq!(journal.tally.held(), held);
        assert!(journal.notification(last).await.unwrap().is_some());
        // They go with history.
        assert_eq!(journal.forget(Timestamp::UNIX_EPOCH).await.unwrap(), 0);
        let tomorrow = Timestamp::now() + jiff::SignedDuration::from_hours(24);
        assert_eq!(journal.forget(tomorrow).await.unwrap(), before.0.unsigned_abs());
        assert_eq!((rows(&journal).await, journal.tally.held()), ((0, 0), tally::Held::default()));
    });
}

#[test]
fn what_all_reports_hold_is_known_however_they_come_and_go() {
    const MIB: usize = 1024 * 1024;
    run(async {
        let folder = folder();
        let journal = SqliteJournal::open(folder.path()).await.unwrap();
        let at = |secs: i64| Timestamp::from_second(secs).unwrap();
        let store = async |journal: &SqliteJournal, secs: i64, bytes: usize, is_kept: bool| {
            let asked = Asked {
                id: AttemptId::now(),
                host: "a".parse().unwrap(),
                incident: None,
                replay: None,
                trigger: Trigger::Alert,
                dry_run: false,
                asked_by: None,
            };
            let mut work = journal.begin().await.unwrap();
            let fence = work.start_attempt(&asked, at(secs), at(secs)).await.unwrap();
            let ended = Ended { report: Some("1".repeat(bytes)), ..ended(Outcome::Freed) };
            assert!(work.end_attempt(asked.id, fence, &ended, at(secs)).await.unwrap());
            if is_kept {
                work.commit().await.unwrap();
            }
        };
        let is_true = async |journal: &SqliteJournal| -> u64 {
            let sum = "SELECT COALESCE(SUM(OCTET_LENGTH(report)), 0) FROM attempts";
            let sum: i64 = sqlx::query_scalar(sum).fetch_one(&journal.readers).await.unwrap();
            assert_eq!(journal.tally.held().reports_bytes, sum.unsigned_abs());
            sum.unsigned_abs()
        };
        for secs in 0..4 {
            store(&journal, secs, 7 * MIB, true).await;
        }
        store(&journal, 9, MIB, false).await;
        assert_eq!(is_true(&journal).await, 28 * MIB as u64);
        // However many have to go, no more of them at once than a disk gives up in a moment.
        assert_eq!(journal.drop_reports(0).await.unwrap(), 2);
        assert_eq!(is_true(&journal).await, 14 * MIB as u64);
        // No more than has to go.
        assert_eq!(journal.drop_reports(14 * MIB as u64 - 1).await.unwrap(), 1);
        assert_eq!(is_true(&journal).await, 7 * MIB as u64);
        close(journal).await;
        let journal = SqliteJournal::open(folder.path()).await.unwrap();
        assert_eq!(is_true(&journal).await, 7 * MIB as u64);
        assert_eq!(journal.forget(at(9)).await.unwrap(), 4);
        assert_eq!(is_true(&journal).await, 0);
    });
}

/// An attempt of a made-up history: host, outcome, and when it was asked for. Times are few, so that many
/// are the same.
type Made = (usize, Option<usize>, i64);

fn ended(outcome: Outcome) -> Ended {
    Ended { outcome, reason: None, freed_bytes: 0, report: None, holds: None, seen: None }
}

const HOSTS: [&str; 3] = ["a", "b", "c"];
const OUTCOMES: [Outcome; 3] = [Outcome::Freed, Outcome::Active, Outcome::Unreachable];

async fn written(journal: &SqliteJournal, made: &[Made]) {
    let mut work = journal.begin().await.unwrap();
    for (host, outcome, secs) in made {
        let at = Timestamp::from_second(*secs).unwrap();
        let host: HostName = HOSTS[*host].parse().unwrap();
        let (id, trigger) = (AttemptId::now(), if secs % 2 == 0 { Trigger::Alert } else { Trigger::Manual });
        let asked = Asked { id, host, incident: None, replay: None, trigger, dry_run: false, asked_by: None };
        let Some(outcome) = outcome else {
            work.queue_attempt(&asked, at).await.unwrap();
            continue;
        };
        let fence = work.start_attempt(&asked, at, at).await.unwrap();
        let ended = ended(OUTCOMES[*outcome]);
        assert!(work.end_attempt(id, fence, &ended, at).await.unwrap());
    }
    work.commit().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn pages_of_attempts_lose_none_and_tell_none_twice(
        made in prop::collection::vec((0..3usize, prop::option::of(0..3usize), 0..6i64), 0..30),
        limit in 1..7u32,
        host in prop::option::of(0..3usize),
        trigger in prop::option::of(prop_oneof![Just(Trigger::Alert), Just(Trigger::Manual)]),
        outcomes in prop::collection::vec(0..3usize, 0..3),
        (since, until) in (prop::option::of(0..6i64), prop::option::of(0..6i64)),
    ) {
        run(async {
            let folder = folder();
            let journal = SqliteJournal::open(folder.path()).await.unwrap();
            written(&journal, &made).await;
            let at = |secs: i64| Timestamp::from_second(secs).unwrap();
            let mut query = AttemptQuery {
                host: host.map(|host| HOSTS[host].to_owned()),
                trigger,
                outcomes: outcomes.iter().map(|at| OUTCOMES[*at]).collect(),
                since: since.map(at),
                until: until.map(at),
                limit: 1000,
                ..AttemptQuery::default()
            };
            let all = journal.find_attempts(&AttemptQuery { limit: 1000, ..AttemptQuery::default() }).await.unwrap();
            assert_eq!(all.len(), made.len());
            assert!(all.is_sorted_by_key(|view| std::cmp::Reverse((view.queued_at, view.id.clone()))));
            let fits = |view: &&AttemptView| {
                let outcome = |one: &Outcome| view.outcome.as_deref() == Some(one.as_str());
                query.host.as_ref().is_none_or(|host| view.host == *host)
                    && query.trigger.is_none_or(|trigger| view.trigger == trigger.as_str())
                    && (query.outcomes.is_empty() || query.outcomes.iter().any(outcome))
                    && query.since.is_none_or(|since| view.queued_at >= since)
                    && query.until.is_none_or(|until| view.queued_at < until)
            };
            let expected: Vec<_> = all.iter().filter(fits).map(|view| view.id.clone()).collect();
            query.limit = limit;
            let mut told = vec![];
            // One page more than there can be: the last is empty.
            for _ in 0..=made.len() + 1 {
                let page = journal.find_attempts(&query).await.unwrap();
                assert!(page.len() <= limit as usize);
                let Some(last) = page.last() else { break };
                query.before = Some(last.id.parse().unwrap());
                told.extend(page.into_iter().map(|view| view.id));
            }
            assert_eq!(told, expected);
        });
    }
}
