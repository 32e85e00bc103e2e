//! Journals: an empty one, and one of a fleet that has been swept for 80 days.

use std::env;

use jiff::Timestamp;
use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use crate::{
    harness::{LOOPBACK, Responder, serve_command},
    plan::Plan,
    stand_in::StandIns,
};

pub(crate) const ATTEMPTS_AN_INCIDENT: usize = 4;
const DAY: i64 = 86_400 * 1_000_000;
const DAYS: i64 = 80;

/// A responder, and the folder that it lives in.
pub(crate) struct Stage {
    pub(crate) responder: Responder,
    _fleet: StandIns,
}

/// Over an empty journal.
pub(crate) fn none(plan: &Plan) -> Stage {
    let fleet = fleet(plan);
    Stage { responder: serve(&fleet), _fleet: fleet }
}

/// Over the history of the plan.
pub(crate) fn full(plan: &Plan) -> Stage {
    let fleet = fleet(plan);
    // It makes the journal, and has to be gone while another writes into it.
    serve(&fleet).stop();
    fill(&fleet, plan);
    let responder = serve(&fleet);
    let (_, first) = responder.get("/api/v1/hosts/h-500");
    assert!(first.contains("\"freed\""), "the history is not there: {first}");
    Stage { responder, _fleet: fleet }
}

fn fleet(plan: &Plan) -> StandIns {
    StandIns::new((0..plan.hosts).map(|number| format!("h-{number}")))
}

/// As shipped, without the tests' hand on its disk and its clock.
fn serve(fleet: &StandIns) -> Responder {
    let mut command = serve_command(&fleet.configure(""), &fleet.path("data"), LOOPBACK);
    let path = format!("{}:{}", fleet.path("bin").display(), env::var("PATH").unwrap());
    command.env("PATH", path).env("STAND_IN", fleet.path("")).env("SWEEP_MS", "0");
    Responder::launch(command, fleet.path("responder.log"))
        .unwrap_or_else(|log| panic!("the responder does not serve:\n{log}"))
}

/// Writes the history in one transaction. Nothing of it is due while it is measured.
fn fill(fleet: &StandIns, plan: &Plan) {
    let url = format!("sqlite://{}", fleet.path("data/journal.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut journal = SqliteConnection::connect(&url).await.unwrap();
        let mut transaction = journal.begin().await.unwrap();
        for statement in STATEMENTS {
            let statement = sqlx::query(statement)
                .bind(i64::try_from(plan.hosts).unwrap())
                .bind(i64::try_from(plan.attempts).unwrap())
                .bind(Timestamp::now().as_microsecond())
                .bind(DAYS * DAY)
                .bind(report())
                .bind(i64::try_from(ATTEMPTS_AN_INCIDENT).unwrap());
            statement.execute(&mut *transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
        journal.close().await.unwrap();
    });
}

/// ?1 hosts, ?2 attempts, ?3 now, ?4 for how long, ?5 a report, ?6 attempts an incident.
const STATEMENTS: [&str; 6] = [
    // Incidents that are over: a host has one after the other, and each attempts one after the other.
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2 / ?6 / 2)
     INSERT INTO incidents (host, state, urgency, firing_since, opened_at, accepted_at, attempts, failures_in_row,
         last_outcome, closed_at, close_reason)
     SELECT 'h-' || (i % ?1), 'closed', NULL, at, at, at, ?6, 0, 'freed', at + 1800000000, 'resolved'
     FROM (SELECT i, ?3 - ?4 + ?4 / (?2 / ?6 / 2) * i AS at FROM n)",
    // One host in twenty has an open one that waits.
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 20 FROM n WHERE i + 20 < ?1)
     INSERT INTO incidents (host, state, urgency, firing_since, opened_at, accepted_at, due_at, attempts,
         failures_in_row, last_outcome)
     SELECT 'h-' || i, 'waiting', 'warning', ?3 - 60000000, ?3 - 60000000, ?3 - 60000000, ?3 + 7200000000, 1, 0,
         'active' FROM n",
    "INSERT INTO alerts (incident, fingerprint, name, urgency, status, starts_at, ends_at, received_at, last_seen, labels)
     SELECT id, printf('%016x', id), 'RayWorkerLargeTmpDirectory', 'warning',
         CASE state WHEN 'closed' THEN 'resolved' ELSE 'firing' END, opened_at, closed_at, opened_at, opened_at,
         json_object('host', host) FROM incidents",
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)
     INSERT INTO attempts (id, host, incident, trigger, queued_at, started_at, connected_at, finished_at, outcome,
         freed_bytes, report, fence)
     SELECT printf('01936b2e-7c1a-7000-8000-%012x', i), 'h-' || (i % ?1),
         CASE WHEN i % 2 = 0 THEN 1 + (i / 2) % (?2 / ?6 / 2) END, CASE WHEN i % 2 = 0 THEN 'alert' ELSE 'manual' END,
         at, at + 1000, at + 300000, at + 4000000, 'freed', 186000000000, ?5, i / ?1
     FROM (SELECT i, ?3 - ?4 + ?4 / ?2 * i AS at FROM n)",
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
     INSERT INTO hosts (host, lane, last_outcome, failures_in_row) SELECT 'h-' || i, 'proven', 'freed', 0 FROM n",
    "INSERT INTO last_reports (host, attempt, reported_at, mode, version, measured_at, disks, tmp_bytes, holds,
         backstop)
     SELECT host, id, MAX(finished_at), report ->> '$.mode', report ->> '$.version', finished_at, report -> '$.disks',
         190000000000, NULL, json_object('interval_secs', 3600, 'scheduled_secs', 900000,
         'last', json_array(600, 'freed')) FROM attempts GROUP BY host",
];

/// Some 2 kB, as a report of one worker has them.
fn report() -> String {
    let kept = json!({ "class": "tmp", "path": "/tmp/tmpq3v9x2ab", "bytes": 4_000_000_000_u64, "why": "too_young",
        "detail": "changed 4 min ago, kept for 30 min", "pid": null });
    let removed = json!({ "class": "dead_session", "path": "/tmp/ray/session_2026-11-20_07-12-01_110233_7",
        "bytes": 121_000_000_000_u64, "files": 48_112 });
    json!({
        "schema": 1, "attempt": "01936b2e-7c1a-7000-8000-000000000000", "host": "node", "version": "0.1.0",
        "trigger": "alert", "mode": "enforce", "dry_run": false, "started_at": "2026-01-05T10:00:00Z",
        "finished_at": "2026-01-05T10:00:04Z", "outcome": "freed", "freed_bytes": 186_000_000_000_u64,
        "disks": [{ "mount": "259:1", "size_bytes": 500_000_000_000_u64, "avail_before_bytes": 31_000_000_000_u64,
            "avail_after_bytes": 217_000_000_000_u64 }],
        "workers": [{
            "name": "ray-worker-1", "runtime": "docker", "state": "no_job", "verdict": "cleaned",
            "tmp_before_bytes": 190_000_000_000_u64, "tmp_after_bytes": 4_000_000_000_u64,
            "freed_bytes": 186_000_000_000_u64, "evidence": [], "removed": vec![removed; 8], "kept": vec![kept; 5],
        }],
    })
    .to_string()
}
