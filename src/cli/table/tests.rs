use expect_test::expect;

use super::*;
use crate::domain::{
    attempt::{Outcome, Trigger},
    evidence::{EvidenceKind, WorkerState},
    report::{Class, Disk, KeptBecause},
};

fn report() -> Report {
    Report {
        trigger: Trigger::Alert,
        started_at: "2026-01-05T10:00:00Z".parse().unwrap(),
        finished_at: "2026-01-05T10:00:07.25Z".parse().unwrap(),
        outcome: Outcome::Freed,
        freed_bytes: 35_000_000_000,
        disks: vec![Disk {
            mount: "259:1".to_owned(),
            temp_roots: (1..=4).map(|n| format!("ray-worker-{n}:/tmp/\u{1b}[2J")).collect(),
            size_bytes: 200_000_000_000,
            avail_before_bytes: 1_000_000_000,
            avail_after_bytes: 36_000_000_000,
        }],
        workers: vec![idle_worker(), busy_worker(), broken_worker()],
        prune: Some(PruneReport {
            mode: "safe".to_owned(),
            freed_bytes: 2_100_000_000,
            removed: 3,
            busy: vec!["images: a prune operation is already running".to_owned()],
            errors: vec![],
        }),
        ..Report::blank()
    }
}

fn idle_worker() -> WorkerReport {
    WorkerReport {
        state: Some(WorkerState::NoJob),
        verdict: Verdict::Cleaned,
        tmp_before_bytes: 35_070_000_000,
        tmp_after_bytes: 70_000_000,
        freed_bytes: 35_000_000_000,
        evidence: vec![Evidence::new(EvidenceKind::NoJob, "Ray at 10.0.0.84:6379 says that no job is alive")],
        removed: vec![Removed {
            class: Class::RayTmp,
            path: "/tmp/ray_tmp_8f3a".to_owned(),
            bytes: 35_000_000_000,
            files: 81_234,
        }],
        kept: vec![Kept {
            class: Class::Tmp,
            path: "/tmp/tmp1x\u{1b}[2J\u{202e}".to_owned(),
            bytes: 4096,
            why: KeptBecause::TooYoung,
            detail: "changed 2m ago; goes after 10m".to_owned(),
            pid: None,
        }],
        cut: 12,
        ..WorkerReport::blank("ray-worker-1", "docker")
    }
}

fn busy_worker() -> WorkerReport {
    WorkerReport {
        note: Some("its temp root is shared with ray-worker-4".to_owned()),
        state: Some(WorkerState::Active),
        verdict: Verdict::Active,
        tmp_before_bytes: 9_000_000_000,
        tmp_after_bytes: 9_000_000_000,
        evidence: vec![Evidence::of_process(EvidenceKind::RayTask, 4711, "ray::train")],
        kept: vec![Kept {
            class: Class::Tmp,
            path: "/tmp/tmpabc".to_owned(),
            bytes: 9_000_000_000,
            why: KeptBecause::InUse,
            detail: "open".to_owned(),
            pid: Some(4711),
        }],
        ..WorkerReport::blank("ray-worker-2", "docker")
    }
}

fn broken_worker() -> WorkerReport {
    WorkerReport {
        errors: vec!["the temp root is refused: /tmp lies on nfs".to_owned()],
        ..WorkerReport::blank("ray-worker-3", "docker")
    }
}

#[test]
fn the_table_gives_the_reason_for_every_verdict() {
    expect![[r#"
        ray-80: freed, 35.0 GB freed in 7.2 s (enforce, for alert, attempt 01890000-0000-7000-8000-000000000000)
        disk 259:1 (ray-worker-1:/tmp/\u{1b}[2J, ray-worker-2:/tmp/\u{1b}[2J, ray-worker-3:/tmp/\u{1b}[2J and 1 more): 1.0 GB of 200.0 GB available before, 36.0 GB after
          worker         runtime   state    verdict      before → after     freed
        ───────────────────────────────────────────────────────────────────────────
          ray-worker-1   docker    no_job   cleaned   35.1 GB → 70.0 MB   35.0 GB
          ray-worker-2   docker    active   active      9.0 GB → 9.0 GB       0 B
          ray-worker-3   docker    -        failed            0 B → 0 B       0 B

        ray-worker-1
          because  no_job: Ray at 10.0.0.84:6379 says that no job is alive
          removed  /tmp/ray_tmp_8f3a (ray_tmp, 35.0 GB, 81234 files)
          kept     /tmp/tmp1x\u{1b}[2J\u{202e} (tmp, 4.1 kB): too_young: changed 2m ago; goes after 10m
          12 more entries are left out

        ray-worker-2
          note     its temp root is shared with ray-worker-4
          because  ray_task (pid 4711): ray::train
          kept     /tmp/tmpabc (tmp, 9.0 GB): in_use (pid 4711): open

        ray-worker-3
          error    the temp root is refused: /tmp lies on nfs

        prune (safe): 2.1 GB freed, 3 removed
        prune: busy: images: a prune operation is already running
    "#]].assert_eq(&for_terminal(&report(), Some(100)));
}

#[test]
fn a_narrow_terminal_gets_the_same_in_narrower_columns() {
    let text = for_terminal(&report(), Some(60));
    let table: Vec<_> = text.lines().skip(2).take(12).collect();
    assert!(table.iter().all(|line| line.chars().count() <= 60), "{text}");
}

#[test]
fn a_file_gets_plain_lines_that_each_name_their_worker() {
    expect![[r#"
        ray-80: freed, 35.0 GB freed in 7.2 s (enforce, for alert, attempt 01890000-0000-7000-8000-000000000000)
        disk 259:1 (ray-worker-1:/tmp/\u{1b}[2J, ray-worker-2:/tmp/\u{1b}[2J, ray-worker-3:/tmp/\u{1b}[2J and 1 more): 1.0 GB of 200.0 GB available before, 36.0 GB after
        ray-worker-1: cleaned, state no_job, runtime docker, 35.1 GB before, 70.0 MB after, 35.0 GB freed
        ray-worker-1: because  no_job: Ray at 10.0.0.84:6379 says that no job is alive
        ray-worker-1: removed  /tmp/ray_tmp_8f3a (ray_tmp, 35.0 GB, 81234 files)
        ray-worker-1: kept     /tmp/tmp1x\u{1b}[2J\u{202e} (tmp, 4.1 kB): too_young: changed 2m ago; goes after 10m
        ray-worker-1: 12 more entries are left out
        ray-worker-2: active, state active, runtime docker, 9.0 GB before, 9.0 GB after, 0 B freed
        ray-worker-2: note     its temp root is shared with ray-worker-4
        ray-worker-2: because  ray_task (pid 4711): ray::train
        ray-worker-2: kept     /tmp/tmpabc (tmp, 9.0 GB): in_use (pid 4711): open
        ray-worker-3: failed, state -, runtime docker, 0 B before, 0 B after, 0 B freed
        ray-worker-3: error    the temp root is refused: /tmp lies on nfs
        prune (safe): 2.1 GB freed, 3 removed
        prune: busy: images: a prune operation is already running
    "#]].assert_eq(&for_file(&report()));
}

#[test]
fn a_host_on_hold_says_so_and_why() {
    let held = Report {
        outcome: Outcome::Held,
        reason: Some("/etc/raysweep/hold is there".to_owned()),
        mode: Mode::Observe,
        dry_run: true,
        freed_bytes: 0,
        disks: vec![],
        workers: vec![],
        prune: None,
        ..report()
    };
    expect![[r#"
        ray-80: held, 0 B would be freed in 7.2 s (observe, dry run, for alert, attempt 01890000-0000-7000-8000-000000000000)
        /etc/raysweep/hold is there
    "#]].assert_eq(&for_terminal(&held, None));
}
