//! What only the file can show.

use std::{os::unix::fs::FileExt, sync::Mutex};

use sqlx::{AssertSqlSafe, Executor};
use tempfile::TempDir;

use super::*;
use crate::{
    domain::incident::{Incident, Past, Timing},
    responder::journal::conformance,
};

mod history;

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

async fn close(journal: SqliteJournal) {
    journal.close().await;
}

/// Changes the file behind a journal that is closed.
async fn change(folder: &TempDir, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(folder.path().join(FILE)).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    connection.execute(statement).await.unwrap();
    connection.close().await.unwrap();
}

#[test]
fn it_is_a_journal() {
    run(async {
        let folders = Mutex::new(vec![]);
        conformance::suite(|| async {
            let folder = folder();
            let journal = SqliteJournal::open(folder.path()).await.unwrap();
            folders.lock().unwrap().push(folder);
            journal
        })
        .await;
    });
}

#[test]
fn what_is_stored_is_there_after_it_was_closed_and_only_one_has_it_open() {
    run(async {
        let folder = folder();
        let journal = SqliteJournal::open(folder.path()).await.unwrap();
        let mut work = journal.begin().await.unwrap();
        let timing = Timing {
            recheck: Duration::from_secs(1),
            decay: Duration::from_secs(1),
            backoff_first: Duration::from_secs(1),
            backoff_most: Duration::from_secs(1),
            escalate_after: Duration::from_secs(1),
            expiry: Duration::from_secs(1),
        };
        let incident = Incident::open("a".parse().unwrap(), Past::default(), Timestamp::UNIX_EPOCH);
        work.insert_incident(&incident, &timing, Timestamp::UNIX_EPOCH).await.unwrap();
        work.commit().await.unwrap();
        let second = SqliteJournal::open(folder.path()).await.unwrap_err();
        assert!(matches!(second, JournalError::Locked(_)), "{second}");
        close(journal).await;
        let again = SqliteJournal::open(folder.path()).await.unwrap();
        assert_eq!(again.incidents(None, 10).await.unwrap().len(), 1);
        close(again.clone()).await;
        let closed = again.begin().await.unwrap_err();
        assert!(closed.to_string().contains("it is closed"), "{closed}");
    });
}

#[test]
fn a_journal_of_the_first_version_is_brought_to_this_one_with_what_it_holds() {
    run(async {
        let folder = folder();
        change(&folder, include_str!("../migrations/0001_journal.sql")).await;
        change(
            &folder,
            "INSERT INTO incidents (host, state, opened_at, accepted_at, due_at, next_event_at, attempts, failures_in_row)
             VALUES ('a', 'waiting', 1, 1, 2, 2, 0, 0);
             INSERT INTO attempts (id, host, trigger, queued_at, started_at) VALUES
             ('01890a5d-ac96-774b-bcce-b302099a8057', 'a', 'alert', 1, 1);
             INSERT INTO alerts VALUES (1, 'ff', 'A', 'warning', 'firing', 1, NULL, 1, 1,
              '{\"alertname\":\"A\",\"host\":\"a\",\"worker\":\"w\"}');
             INSERT INTO attempts (id, host, trigger, queued_at, started_at, finished_at, outcome, report) VALUES
             ('0', 'b', 'alert', 1, 1, 2, 'freed', '{\"mode\":\"observe\",\"version\":\"0.0.9\",\"disks\":[],\"workers\":[{}]}'),
             ('1', 'b', 'alert', 3, 3, 4, 'freed', '{\"mode\":\"enforce\",\"version\":\"0.1.0\",\"disks\":
              [{\"mount\":\"8:1\",\"size_bytes\":9,\"avail_before_bytes\":1,\"avail_after_bytes\":2}],
              \"workers\":[{\"tmp_after_bytes\":5},{\"tmp_after_bytes\":2}]}'),
             ('2', 'c', 'alert', 3, 3, 4, 'freed', 'none that can be read');",
        )
        .await;
        // As the first version's own program left it.
        let first = MIGRATIONS.iter().next().unwrap();
        let checksum: String =
            first.checksum.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let table = format!(
            "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
             installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL,
             checksum BLOB NOT NULL, execution_time BIGINT NOT NULL);
             INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (1, 'journal', TRUE, x'{checksum}', 0);"
        );
        change(&folder, Box::leak(table.into_boxed_str())).await;
        let journal = SqliteJournal::open(folder.path()).await.unwrap();
        let mut work = journal.begin().await.unwrap();
        let stored = work.open_incident(&"a".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(stored.incident.trouble_before, Duration::ZERO);
        let running = work.running_attempts().await.unwrap();
        assert_eq!(
            (running.len(), running[0].lease_until),
            (1, Timestamp::MIN),
            "whoever claimed it has gone"
        );
        drop(work);
        // What hosts reported last is known at once, and what notifications brought its alerts is not.
        let hosts = ["b", "c"].map(|name| name.parse().unwrap());
        let hosts = journal.hosts(&hosts, Timestamp::UNIX_EPOCH).await.unwrap();
        let last = hosts[0].last_report.as_ref().unwrap();
        assert_eq!(
            (last.attempt.as_str(), last.mode.as_str(), last.version.as_str()),
            ("1", "enforce", "0.1.0")
        );
        assert_eq!((last.disks[0].avail_after_bytes, last.tmp_bytes), (2, Some(7)));
        assert!(last.backstop.is_none(), "no version told of it");
        assert!(hosts[1].last_report.is_none());
        // Also what was reported then counts for what all reports may hold.
        assert_eq!(journal.drop_reports(0).await.unwrap(), 3);
        assert_eq!(journal.tally.held(), tally::Held::default());
        let whole = journal.incident(stored.id, 1).await.unwrap().unwrap();
        assert_eq!((whole.incident.alerts.len(), whole.notifications.len()), (1, 0));
        assert_eq!(whole.incident.alerts[0].labels, [("worker".to_owned(), "w".to_owned())].into());
    });
}

#[test]
fn a_journal_of_a_later_version_is_refused_and_left_as_it_is() {
    run(async {
        let folder = folder();
        close(SqliteJournal::open(folder.path()).await.unwrap()).await;
        change(
            &folder,
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (99, 'of tomorrow', TRUE, x'00', 0)",
        )
        .await;
        let before = std::fs::read(folder.path().join(FILE)).unwrap();
        let refused = SqliteJournal::open(folder.path()).await.unwrap_err();
        let newest = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap();
        assert!(matches!(refused, JournalError::Newer { found: 99, known } if known == newest), "{refused}");
        assert!(refused.to_string().contains("newer raysweep"), "{refused}");
        assert_eq!(std::fs::read(folder.path().join(FILE)).unwrap(), before);
    });
}

#[test]
fn a_file_that_is_damaged_or_none_of_ours_is_refused() {
    run(async {
        let garbage = folder();
        std::fs::write(
            garbage.path().join(FILE),
            "no journal at all, but long enough to be looked at".repeat(100),
        )
        .unwrap();
        let refused = SqliteJournal::open(garbage.path()).await.unwrap_err();
        assert!(matches!(refused, JournalError::Corrupt(_)), "{refused}");

        // An index that does not tell the truth would let two attempts onto one host.
        let folder = folder();
        close(SqliteJournal::open(folder.path()).await.unwrap()).await;
        change(
            &folder,
            "INSERT INTO attempts (id, host, trigger, queued_at) VALUES ('x', 'a', 'alert', 1);
             PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = REPLACE(sql, 'started_at IS NOT NULL', 'started_at IS NULL')
             WHERE name = 'one_running_attempt_a_host'",
        )
        .await;
        let refused = SqliteJournal::open(folder.path()).await.unwrap_err();
        assert!(matches!(refused, JournalError::Corrupt(_)), "{refused}");
    });
}

#[test]
fn a_page_that_went_bad_is_found_at_the_start() {
    run(async {
        let folder = folder();
        close(SqliteJournal::open(folder.path()).await.unwrap()).await;
        let file = File::options().read(true).write(true).open(folder.path().join(FILE)).unwrap();
        let pages = file.metadata().unwrap().len() / 4096;
        // Every page but the first, which holds the schema.
        for page in 1..pages {
            file.write_all_at(&[0x5a; 64], page * 4096).unwrap();
        }
        let refused = SqliteJournal::open(folder.path()).await.unwrap_err();
        assert!(matches!(refused, JournalError::Corrupt(_)), "{refused}");
    });
}

#[test]
fn the_longer_a_journal_is_the_longer_its_check_may_take() {
    run(async {
        let folder = folder();
        close(SqliteJournal::open(folder.path()).await.unwrap()).await;
        let path = folder.path().join(FILE);
        let alone = place::size(folder.path());
        assert_eq!(alone, path.metadata().unwrap().len());
        // What stands in the log alone is read as well.
        std::fs::write(folder.path().join(format!("{FILE}-wal")), [0; 1000]).unwrap();
        assert_eq!(place::size(folder.path()), alone + 1000);
        assert_eq!(check_time(alone), Duration::from_mins(5));
        let long = 50 << 30;
        // As fast as the slowest disks read.
        assert!(check_time(long) > Duration::from_secs(long / 5_000_000));
        // It stays a bound.
        assert!(check_time(long) < Duration::from_hours(4));
    });
}

#[test]
fn after_a_failed_flush_nothing_more_is_taken_in() {
    run(async {
        let folder = folder();
        let journal = SqliteJournal::open(folder.path()).await.unwrap();
        let waiting = journal.clone();
        let told = tokio::spawn(async move { waiting.failed().await });
        journal.latch.note(&JournalError::Corrupt("no flush".to_owned()));
        drop(journal.begin().await.unwrap());
        journal.latch.note(&JournalError::Flush("the disk".to_owned()));
        assert!(told.await.unwrap().is_fatal());
        assert!(journal.begin().await.unwrap_err().is_fatal());
        assert!(journal.probe(Timestamp::UNIX_EPOCH).await.unwrap_err().is_fatal());
        assert!(journal.forget(Timestamp::UNIX_EPOCH).await.unwrap_err().is_fatal());
    });
}

#[test]
fn what_is_asked_for_every_attempt_does_not_read_what_is_long_over() {
    run(async {
        let folder = folder();
        let journal = SqliteJournal::open(folder.path()).await.unwrap();
        let [alerts, incidents, ignored] = FORGET;
        let [closed_alerts, closed_incidents] = work::KEEP_CLOSED;
        for (statement, index) in [
            (due::QUEUED, "attempts USING INDEX queued_attempts"),
            (work::START, "attempts USING COVERING INDEX attempts_by_fence (host=?)"),
            (views::OUTCOMES, "attempts USING COVERING INDEX attempts_by_outcome (incident=?"),
            (views::LAST_HOLDS, "attempts USING INDEX attempts_by_incident (incident=?)"),
            (reports::ENDED, "attempts USING INDEX attempts_by_end (finished_at<?)"),
            (alerts, "incidents USING COVERING INDEX incidents_by_end (closed_at<?)"),
            (incidents, "incidents USING COVERING INDEX incidents_by_end (closed_at<?)"),
            (work::PAST_OF, "incidents USING INDEX incidents_by_host (host=? AND closed_at>?)"),
            (closed_alerts, "incidents USING COVERING INDEX incidents_by_host (host=? AND closed_at>?)"),
            (closed_incidents, "incidents USING COVERING INDEX incidents_by_host (host=? AND closed_at>?)"),
            (ignored, "ignored_alerts USING COVERING INDEX ignored_by_last_seen (last_seen<?)"),
        ] {
            let asked = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let plan = sqlx::query(asked).fetch_all(&journal.readers).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
            assert!(plan.iter().any(|step| step.contains(index)), "{statement}: {plan:#?}");
            let sorts = |step: &&String| step.contains("TEMP B-TREE");
            assert!(statement == due::QUEUED || !plan.iter().any(|step| sorts(&step)), "{plan:#?}");
        }
    });
}
