//! What nobody uses any more goes, what is young or in use stays, and the figures are true.

use raysweep::domain::{
    attempt::Outcome,
    evidence::WorkerState,
    report::{Class, KeptBecause, Verdict},
};

use crate::{
    ray::pid_of,
    stage::{NEIGHBOUR, PLAIN, SHARED, at_rest, disk_usage, docker, exists, plant, sh, wait_until_older},
    sweeping::{Settings, Swept},
    world::{run, wait_until},
};

#[test]
fn old_leftovers_of_the_three_kinds_go_and_young_ones_stay() {
    at_rest();
    let old: Vec<(Class, String)> = [
        (Class::RayTmp, "ray_tmp_*", 200_000_000, 2),
        (Class::Pip, "pip-*", 100_000_000, 1),
        (Class::Tmp, "tmp*", 100_000_000, 3),
    ]
    .into_iter()
    .flat_map(|(class, kind, bytes, count)| {
        plant(PLAIN, kind, bytes, count).into_iter().map(move |p| (class, p))
    })
    .collect();
    let paths: Vec<&str> = old.iter().map(|(_, path)| path.as_str()).collect();
    wait_until_older(PLAIN, &paths, 20);
    let young = plant(PLAIN, "ray_tmp_*", 10_000_000, 1);
    let sizes: Vec<u64> = paths.iter().map(|path| disk_usage(PLAIN, path)).collect();

    let swept = Settings { no_job: "20s", ..Settings::default() }.sweep(PLAIN);

    let worker = swept.worker(PLAIN);
    assert_eq!(worker.state, Some(WorkerState::NoJob), "{}", swept.shown());
    assert_eq!(worker.verdict, Verdict::Cleaned, "{}", swept.shown());
    assert_eq!(swept.report.outcome, Outcome::Freed);
    for ((class, path), size) in old.iter().zip(&sizes) {
        let removed = swept.removed(PLAIN, path);
        assert_eq!((removed.class, removed.bytes), (*class, *size), "{path}: {}", swept.shown());
        assert!(!exists(PLAIN, path), "{path} still stands: {}", swept.shown());
    }
    assert_eq!(swept.kept(PLAIN, &young[0]).why, KeptBecause::TooYoung, "{}", swept.shown());
    assert!(exists(PLAIN, &young[0]));
    assert_eq!(worker.freed_bytes, sizes.iter().sum::<u64>(), "{}", swept.shown());
    assert_eq!(swept.report.freed_bytes, worker.freed_bytes + pruned(&swept), "{}", swept.shown());
    let disk = &swept.report.disks[0];
    assert!(disk.temp_roots[0].starts_with(&format!("{PLAIN}:/tmp")), "{}", swept.shown());
    let more = disk.avail_after_bytes.saturating_sub(disk.avail_before_bytes);
    // The disk is everybody's: Ray writes its logs meanwhile.
    assert!(more > worker.freed_bytes * 95 / 100, "{more} more available: {}", swept.shown());
}

/// A process that is no work by itself, as `sleep` is, may hold what it was given.
#[test]
fn what_a_process_holds_open_stays_in_a_worker_at_rest() {
    at_rest();
    let held = plant(PLAIN, "tmp*", 20_000_000, 1).remove(0);
    let free = plant(PLAIN, "tmp*", 20_000_000, 1).remove(0);
    let command = format!("exec 9<{held}/data.bin; exec sleep 300");
    docker(&["exec", "-d", PLAIN, "sh", "-c", &command]).unwrap();
    wait_until(20, "the process to hold the file", || said_by_top(PLAIN, "sleep 300"));
    let holder = pid_of(PLAIN, "sleep 300");
    wait_until_older(PLAIN, &[&held, &free], 3);

    let swept = Settings::default().sweep(PLAIN);
    let stood = exists(PLAIN, &format!("{held}/data.bin"));
    run(&["kill", &holder.to_string()], "").unwrap();

    assert_eq!(swept.worker(PLAIN).state, Some(WorkerState::NoJob), "{}", swept.shown());
    let kept = swept.kept(PLAIN, &held);
    assert_eq!((kept.why, kept.pid), (KeptBecause::InUse, Some(holder)), "{}", swept.shown());
    assert!(stood, "{held} is gone: {}", swept.shown());
    swept.removed(PLAIN, &free);
    assert!(!exists(PLAIN, &free), "{free} still stands: {}", swept.shown());
}

/// Through a volume a process that has nothing to do with Ray may need a file by its name alone.
#[test]
fn the_leftovers_of_a_volume_that_another_container_has_too_stay_and_the_report_says_why() {
    at_rest();
    let held = plant(SHARED, "tmp*", 20_000_000, 1).remove(0);
    let by_name = plant(SHARED, "tmp*", 20_000_000, 1).remove(0);
    let file = held.replace("/tmp/", "/shared/") + "/data.bin";
    docker(&["exec", "-d", NEIGHBOUR, "tail", "-f", &file]).unwrap();
    wait_until(20, "the neighbour to hold the file", || said_by_top(NEIGHBOUR, "tail -f"));
    let holder = pid_of(NEIGHBOUR, "tail -f");
    wait_until_older(SHARED, &[&held, &by_name], 3);

    let swept = Settings::default().sweep(SHARED);
    run(&["kill", &holder.to_string()], "").unwrap();

    for path in [&held, &by_name] {
        assert!(exists(SHARED, path), "{path} is gone: {}", swept.shown());
        let kept = swept.kept(SHARED, path);
        assert!(matches!(kept.why, KeptBecause::Shared | KeptBecause::InUse), "{kept:?}");
    }
    let note = swept.worker(SHARED).note.as_deref().unwrap_or_else(|| panic!("no note: {}", swept.shown()));
    assert!(note.contains("not its alone"), "{note}");
    assert_eq!(swept.worker(SHARED).freed_bytes, 0, "{}", swept.shown());
}

fn said_by_top(container: &str, command: &str) -> bool {
    docker(&["top", container, "-eo", "pid,args"]).unwrap().contains(command)
}

/// A file that a process of the worker itself has open keeps its whole tree, in a worker at rest.
#[test]
fn what_ray_itself_has_open_stays() {
    at_rest();
    let before =
        sh(PLAIN, "ls /tmp/ray/session_latest/sockets /tmp/ray/session_latest/logs | wc -l").unwrap();
    let swept = Settings { logs: "2s", ..Settings::default() }.sweep(PLAIN);
    assert!(swept.worker(PLAIN).errors.is_empty(), "{}", swept.shown());
    let after = sh(PLAIN, "ls /tmp/ray/session_latest/sockets /tmp/ray/session_latest/logs | wc -l").unwrap();
    let gone = swept.worker(PLAIN).removed.len();
    println!("{before} names in the live session before, {after} after, {gone} removed");
    for name in ["raylet", "plasma_store"] {
        assert!(exists(PLAIN, &format!("/tmp/ray/session_latest/sockets/{name}")), "{}", swept.shown());
    }
    let open =
        sh(PLAIN, "ls /tmp/ray/session_latest/logs/raylet.out /tmp/ray/session_latest/logs/raylet.err");
    assert!(open.is_ok(), "the raylet's logs are gone: {}", swept.shown());
}

fn pruned(swept: &Swept) -> u64 {
    swept.report.prune.as_ref().map_or(0, |prune| prune.freed_bytes)
}
