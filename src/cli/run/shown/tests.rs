use expect_test::expect;

use super::*;
use crate::{
    domain::{
        attempt::{Outcome, Trigger},
        evidence::{Evidence, WorkerState},
        report::{Class, KeptBecause},
    },
    fleet::run::End,
};

fn kept_thing(bytes: u64, why: KeptBecause, detail: &str) -> Kept {
    let path = format!("/tmp/tmp{bytes}");
    Kept { class: Class::Tmp, path, bytes, why, detail: detail.to_owned(), pid: Some(42) }
}

fn worker(name: &str, verdict: Verdict, kept: Vec<Kept>) -> WorkerReport {
    WorkerReport { state: Some(WorkerState::Active), verdict, kept, ..WorkerReport::blank(name, "docker") }
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
    let workers =
        vec![worker("w1", Verdict::Cleaned, vec![]), busy, worker("w3", Verdict::Cleaned, others.collect())];
    Report {
        trigger: Trigger::Manual,
        outcome: Outcome::Freed,
        freed_bytes: 35_000_000_000,
        workers,
        ..Report::blank()
    }
}

fn row(host: &str, end: End, reason: Option<&str>, report: Option<Report>) -> Row {
    let secs = report.is_some().then_some(6.04);
    Row {
        host: host.to_owned(),
        attempt: None,
        joined: false,
        end,
        reason: reason.map(str::to_owned),
        secs,
        report,
    }
}

fn rows() -> Vec<Row> {
    let looked = Report { dry_run: true, workers: vec![], ..report() };
    vec![
        row("ray-80", End::Ended(Outcome::Freed), None, Some(report())),
        row("ray-81", End::Ended(Outcome::WouldFree), None, Some(looked)),
        Row { joined: true, ..row("ray-82", End::Ended(Outcome::Held), Some("disk swap (jo@desk)"), None) },
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
        ray-82: an attempt waited there already, and this wish was joined to it
        ray-82: disk swap (jo@desk)
    "#]]
    .assert_eq(&below(&rows()));
}

#[test]
fn for_programs_a_host_is_an_object_and_says_as_well_whether_it_was_joined() {
    let rows = rows();
    expect![[r#"
        {"host":"ray-82","attempt":null,"joined":true,"outcome":"held","reason":"disk swap (jo@desk)","secs":null,"report":null}
        {"host":"ray-83","attempt":null,"joined":false,"outcome":"not_begun","reason":null,"secs":null,"report":null}
    "#]]
    .assert_eq(&lines(&rows[2..]).unwrap());
}
