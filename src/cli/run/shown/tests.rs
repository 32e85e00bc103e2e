use expect_test::expect;

use super::*;
use crate::{
    domain::{
        attempt::{Mode, Outcome, Trigger},
        evidence::{Evidence, WorkerState},
        report::{Class, KeptBecause, SCHEMA},
    },
    fleet::run::End,
};

fn kept_thing(bytes: u64, why: KeptBecause, detail: &str) -> Kept {
    let path = format!("/tmp/tmp{bytes}");
    Kept { class: Class::Tmp, path, bytes, why, detail: detail.to_owned(), pid: Some(42) }
}

fn worker(name: &str, verdict: Verdict, kept: Vec<Kept>) -> WorkerReport {
    WorkerReport {
        name: name.to_owned(),
        runtime: "docker".to_owned(),
        state: Some(WorkerState::Active),
        verdict,
        note: None,
        tmp_before_bytes: 0,
        tmp_after_bytes: 0,
        freed_bytes: 0,
        evidence: vec![],
        removed: vec![],
        kept,
        errors: vec![],
        cut: 0,
    }
}

fn report() -> Report {
    let things = [5, 4, 3, 2].map(|gigabytes| {
        kept_thing(gigabytes * 1_000_000_000, KeptBecause::InUse, "open by python\u{1b}[2J")
    });
    let mut busy = worker("w2", Verdict::Active, things.into());
    busy.evidence = vec![
        Evidence::of_process(EvidenceKind::RayTask, 42, "ray::train"),
        Evidence::new(EvidenceKind::NoJob, "Ray says that no job is alive"),
    ];
    let others = [KeptBecause::TooYoung, KeptBecause::JobAlive, KeptBecause::Mount];
    let others = others.into_iter().zip(1..).map(|(why, bytes)| kept_thing(bytes, why, "so"));
    Report {
        schema: SCHEMA,
        attempt: "01890000-0000-7000-8000-000000000000".parse().unwrap(),
        host: "ray-80".to_owned(),
        version: "0.1.0".to_owned(),
        trigger: Trigger::Manual,
        mode: Mode::Enforce,
        dry_run: false,
        started_at: jiff::Timestamp::UNIX_EPOCH,
        finished_at: jiff::Timestamp::UNIX_EPOCH,
        outcome: Outcome::Freed,
        reason: None,
        freed_bytes: 35_000_000_000,
        disks: vec![],
        workers: vec![
            worker("w1", Verdict::Cleaned, vec![]),
            busy,
            worker("w3", Verdict::Cleaned, others.collect()),
        ],
        prune: None,
        backstop: None,
    }
}

fn row(host: &str, end: End, reason: Option<&str>, report: Option<Report>) -> Row {
    let secs = report.is_some().then_some(6.04);
    Row { host: host.to_owned(), attempt: None, end, reason: reason.map(str::to_owned), secs, report }
}

fn rows() -> Vec<Row> {
    let looked = Report { dry_run: true, workers: vec![], ..report() };
    vec![
        row("ray-80", End::Ended(Outcome::Freed), None, Some(report())),
        row("ray-81", End::Ended(Outcome::WouldFree), None, Some(looked)),
        row("ray-82", End::Ended(Outcome::Held), Some("disk swap (jo@desk)"), None),
        row("ray-83", End::NotBegun, None, None),
    ]
}

#[test]
fn the_table_tells_what_was_freed_and_why_the_rest_was_kept() {
    expect![[r#"
          host     outcome              freed    time   verdicts              kept
        ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
          ray-80   freed              35.0 GB   6.0 s   2 cleaned, 1 active   14.0 GB in_use, 3 B mount, 2 B job_alive, 1 more
          ray-81   would_free   would 35.0 GB   6.0 s
          ray-82   held                     -       -
          ray-83   not_begun                -       -

        35.0 GB freed on 4 hosts, 35.0 GB would be
    "#]]
    .assert_eq(&(table(&rows(), 200) + &total(&rows())));
}

#[test]
fn below_it_each_host_speaks_in_its_own_words() {
    expect![[r#"

        ray-80: w2: because  ray_task (pid 42): ray::train
        ray-80: w2: kept     /tmp/tmp5000000000 (tmp, 5.0 GB): in_use (pid 42): open by python\u{1b}[2J
        ray-80: w2: kept     /tmp/tmp4000000000 (tmp, 4.0 GB): in_use (pid 42): open by python\u{1b}[2J
        ray-80: w2: kept     /tmp/tmp3000000000 (tmp, 3.0 GB): in_use (pid 42): open by python\u{1b}[2J
        ray-80: 4 more things kept: --json has them
        ray-82: disk swap (jo@desk)
    "#]]
    .assert_eq(&below(&rows()));
}
