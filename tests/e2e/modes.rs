//! Mode, dry run, hold, lock and threshold.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use raysweep::domain::{
    attempt::Outcome,
    report::{Report, Verdict},
};

use crate::{
    stage::{PLAIN, at_rest, exists, plant, wait_until_older},
    sweeping::{Settings, Swept},
    world::wait_until,
};

#[test]
fn observing_and_a_dry_run_delete_nothing_and_list_what_enforcing_then_deletes() {
    at_rest();
    let planted = [plant(PLAIN, "ray_tmp_*", 30_000_000, 2), plant(PLAIN, "tmp*", 10_000_000, 1)].concat();
    let paths: Vec<&str> = planted.iter().map(String::as_str).collect();
    wait_until_older(PLAIN, &paths, 3);

    let observed = Settings { mode: "observe", ..Settings::default() }.sweep(PLAIN);
    let dry = Settings::default().sweep_with(&["--dry-run", "--trigger", "alert", "--worker", PLAIN]);
    for swept in [&observed, &dry] {
        assert_eq!(swept.worker(PLAIN).verdict, Verdict::WouldClean, "{}", swept.shown());
        assert_eq!(swept.report.outcome, Outcome::WouldFree, "{}", swept.shown());
        assert!(paths.iter().all(|path| exists(PLAIN, path)), "something is gone: {}", swept.shown());
    }
    let enforced = Settings::default().sweep(PLAIN);

    assert_eq!(enforced.worker(PLAIN).verdict, Verdict::Cleaned, "{}", enforced.shown());
    assert!(paths.iter().all(|path| !exists(PLAIN, path)), "{}", enforced.shown());
    assert_eq!(listed(&observed), listed(&enforced));
    assert_eq!(listed(&dry), listed(&enforced));
    assert_eq!(observed.worker(PLAIN).freed_bytes, enforced.worker(PLAIN).freed_bytes);
    assert_eq!(dry.worker(PLAIN).freed_bytes, enforced.worker(PLAIN).freed_bytes);
}

#[test]
fn while_the_host_is_on_hold_nothing_is_deleted() {
    at_rest();
    let planted = plant(PLAIN, "tmp*", 10_000_000, 1);
    wait_until_older(PLAIN, &[&planted[0]], 3);
    let settings =
        Settings { hold_file: crate::world::dir().join("hold-of-this-test"), ..Settings::default() };
    fs::write(&settings.hold_file, "an experiment runs\n").unwrap();

    let swept = settings.sweep(PLAIN);

    assert_eq!((swept.report.outcome, swept.exit), (Outcome::Held, Some(5)), "{}", swept.shown());
    assert!(exists(PLAIN, &planted[0]), "{}", swept.shown());
}

#[test]
fn of_two_sweeps_at_once_one_runs_and_the_other_says_busy() {
    at_rest();
    let settings = Settings { sampling_window: "5s", ..Settings::default() };
    let first = settings.start(&["--trigger", "alert", "--worker", PLAIN]);
    wait_until(20, "the first sweep to take the lock", || is_locked(&settings.runtime_dir.join("lock")));

    let second = settings.sweep(PLAIN);

    assert_eq!((second.report.outcome, second.exit), (Outcome::Busy, Some(4)), "{}", second.shown());
    let first = Swept::of(first);
    assert_eq!(first.exit, Some(0), "{}", first.shown());
    assert!(first.worker(PLAIN).state.is_some(), "{}", first.shown());
}

/// Whether somebody has locked it, by what the kernel lists: whoever tries the lock has it for a moment, in
/// which a sweep that begins would say `busy`.
fn is_locked(path: &Path) -> bool {
    let Ok(metadata) = fs::metadata(path) else { return false };
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks.lines().filter(|line| line.contains(" FLOCK ")).any(|line| {
        let file = line.split_ascii_whitespace().nth(5).and_then(|file| file.rsplit(':').next());
        file == Some(&metadata.ino().to_string())
    })
}

#[test]
fn cron_leaves_a_worker_alone_that_holds_little_and_an_alert_does_not_ask() {
    at_rest();
    let planted = plant(PLAIN, "tmp*", 10_000_000, 1);
    wait_until_older(PLAIN, &[&planted[0]], 3);
    let settings = Settings { min_tmp_size: "1GB", ..Settings::default() };

    let by_cron = settings.sweep_with(&["--trigger", "cron", "--worker", PLAIN]);
    assert_eq!(by_cron.worker(PLAIN).verdict, Verdict::BelowThreshold, "{}", by_cron.shown());
    assert!(exists(PLAIN, &planted[0]), "{}", by_cron.shown());

    let of_more = Settings { min_tmp_size: "1MB", ..settings.clone() };
    let observed =
        Settings { mode: "observe", ..of_more }.sweep_with(&["--trigger", "cron", "--worker", PLAIN]);
    assert_eq!(observed.worker(PLAIN).verdict, Verdict::WouldClean, "{}", observed.shown());

    let for_an_alert = settings.sweep(PLAIN);
    assert_eq!(for_an_alert.worker(PLAIN).verdict, Verdict::Cleaned, "{}", for_an_alert.shown());
    assert!(!exists(PLAIN, &planted[0]), "{}", for_an_alert.shown());
}

fn listed(swept: &Swept) -> Vec<(String, u64)> {
    let Report { workers, .. } = &swept.report;
    let mut listed: Vec<_> = workers
        .iter()
        .flat_map(|worker| &worker.removed)
        .map(|removed| (removed.path.clone(), removed.bytes))
        .collect();
    listed.sort();
    listed
}
