//! Races against a delete that runs: what it stands in is swapped, moved away or mounted over.

use crate::{
    play::{Play, Score, rounds},
    stage::{Outside, SESSION, Worker, figure, is_long},
    world,
};

fn least(short: u64, long: u64) -> u64 {
    if is_long() { long } else { short }
}

fn told(what: &str, name: &str, score: &Score) {
    figure(&format!(
        "{what}: {} {name} in {} trees met while they were deleted, {} sweeps, {} s; 0 files outside touched",
        score.of(name),
        score.of("met"),
        score.sweeps,
        score.took.as_secs(),
    ));
    assert!(score.of("met") > 0, "no delete was met: the play shows nothing: {score:?}");
}

#[test]
fn an_ancestor_that_becomes_a_symlink_leads_no_sweep_out() {
    let outside = Outside::new("symlinks");
    let worker = Worker::besieged("symlinks", &outside);
    let score = rounds(&worker, &outside, "symlinks", "swaps", least(5_000, 100_000));
    told("ancestor swapped for a symlink", "swaps", &score);
}

/// The same player against who deletes by whole paths, as the quickest programs do: what the rule is for.
#[test]
fn the_same_player_leads_whoever_deletes_by_path_out() {
    let outside = Outside::new("naive");
    let worker = Worker::besieged("naive", &outside);
    worker.put("naive.py");
    let inside = || worker.sh("find /root/precious -type f | wc -l").unwrap().parse::<usize>().unwrap();
    let (before, own_before) = (outside.files(), inside());
    let mut swaps = 0;
    for _ in 0..5 {
        let top = format!("{SESSION}/.raysweep-{}~first", "0".repeat(36));
        worker.player(&["forest", &top]);
        let played = Play::begin(&worker, "symlinks");
        world::run(&["docker", "exec", "-i", &worker.name, "python3", "/root/naive.py"], &top).unwrap();
        swaps += played.end()["swaps"];
        worker.sh("rm -rf /root/aside* /tmp/ray").unwrap();
    }
    let lost = before - outside.files();
    let own_lost = own_before - inside();
    figure(&format!(
        "the same against a removal by path: {swaps} swaps, {lost} of {before} files of the host's volume and \
         {own_lost} of {own_before} of another folder deleted"
    ));
    assert!(lost + own_lost > 0, "the player harms nobody: the test of the symlinks shows nothing");
}

#[test]
fn a_folder_that_changes_places_with_one_outside_takes_nothing_else_with_it() {
    let outside = Outside::new("exchanges");
    let worker = Worker::besieged("exchanges", &outside);
    let score = rounds(&worker, &outside, "exchanges", "swaps", least(2_000, 100_000));
    told("folder exchanged with one outside (RENAME_EXCHANGE)", "swaps", &score);
}

#[test]
fn a_mount_that_appears_in_a_delete_is_neither_entered_nor_taken_away() {
    let outside = Outside::new("mounts");
    let worker = Worker::besieged("mounts", &outside);
    let score = rounds(&worker, &outside, "mounts", "mounts", least(200, 10_000));
    assert_eq!(score.of("lost"), 0, "a mount was gone before it was unmounted: {score:?}");
    told("bind mount in mid-delete (folders and files)", "mounts", &score);
}
