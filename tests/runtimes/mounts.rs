//! A worker's `/tmp` and where else its mounts show, in Docker.

use std::{fs, os::unix::fs::symlink};

use raysweep::domain::report::KeptBecause;

use crate::{
    containers::{Container, IMAGE, docker},
    stand_in::{self, DEAD_GONE, LIVE_ALONE, plant, raylet, sweep_all, text},
    sweeping::Settings,
    world::{self, RAYSWEEP, run},
};

/// A worker with a stand-in raylet and a mount.
fn worker_with(volume: &str) -> Container {
    Container::of(IMAGE, "ray-worker-1", &["-v", volume], &raylet("/opt/raylet", "/tmp/ray"))
}

/// As node_exporter and cAdvisor are run. The root of every container comes along, to be written.
#[test]
fn who_watches_the_host_from_a_container_keeps_no_worker_from_being_freed() {
    let worker = Container::with_raylet("ray-worker-1");
    let sleep = ["/bin/sleep".to_owned()];
    let exporter = Container::of(IMAGE, "node-exporter", &["-v", "/:/host:ro"], &sleep);
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", exporter.pid)).unwrap();
    let came_along = |line: &&str| line.contains("/merged rw") && line.contains(" /host/");
    assert!(mounts.lines().any(|line| came_along(&line)), "{mounts}");
    let [planted] = plant([&worker.tmp()]);
    let swept = sweep_all(&stand_in::settings());
    assert_eq!(planted.standing(), LIVE_ALONE, "{}", swept.shown());
}

/// Someone on the host may work in it under the host's name for it.
#[test]
fn in_a_folder_of_the_hosts_leftovers_stay_until_root_says_that_it_is_the_workers() {
    let folder = world::dir().join("bound");
    fs::create_dir_all(&folder).unwrap();
    let worker = worker_with(&format!("{}:/tmp", folder.display()));
    let [planted] = plant([&worker.tmp()]);
    let swept = sweep_all(&stand_in::settings());
    assert_eq!(planted.standing(), DEAD_GONE, "{}", swept.shown());
    let kept = swept.kept("ray-worker-1", "/tmp/tmpleftover");
    assert_eq!(kept.why, KeptBecause::Shared, "{}", swept.shown());
    assert!(kept.detail.contains(&format!("the host's folder {}", folder.display())), "{}", kept.detail);

    let own_temp_root = text(&folder).to_owned();
    let swept = sweep_all(&Settings { own_temp_root, ..stand_in::settings() });
    assert_eq!(planted.standing(), LIVE_ALONE, "{}", swept.shown());
}

/// The way out of a small `/tmp` for what Ray spills.
#[test]
fn sessions_that_lie_on_a_volume_or_behind_a_symlink_are_swept_there() {
    // A volume without a name, which goes with its container.
    let on_a_volume = worker_with("/tmp/ray");
    let [planted] = plant([&on_a_volume.tmp()]);
    let swept = sweep_all(&stand_in::settings());
    assert_eq!(planted.standing(), LIVE_ALONE, "{}", swept.shown());
    assert!(swept.worker("ray-worker-1").errors.is_empty(), "{}", swept.shown());
    drop(on_a_volume);

    let behind_a_symlink = Container::with_raylet("ray-worker-1");
    let tmp = behind_a_symlink.tmp();
    fs::create_dir_all(stand_in::seen_by(&behind_a_symlink.pid, "/data/ray")).unwrap();
    // What it names is the container's, and here nobody follows it.
    symlink("../data/ray", tmp.join("ray")).unwrap();
    let [planted] = plant([&tmp]);
    let swept = sweep_all(&stand_in::settings());
    assert_eq!(planted.standing(), LIVE_ALONE, "{}", swept.shown());
    assert!(swept.worker("ray-worker-1").errors.is_empty(), "{}", swept.shown());
}

/// What a worker's environment names as its temporary folder it will want again, whoever's sweep comes by.
#[test]
fn the_temporary_folder_of_a_worker_that_is_set_aside_stays_in_one_that_is_swept() {
    let start = |name: &str, variable: &str| {
        let options = ["-v", "shared-tmp:/tmp", "-e", variable];
        Container::of(IMAGE, name, &options, &raylet("/opt/raylet", "/tmp/ray"))
    };
    let small = start("ray-worker-1", "TMPDIR=/tmp/tmpjob");
    let large = start("ray-worker-2", "TMPDIR=/data");
    let large_data = stand_in::seen_by(&large.pid, "/data");
    for folder in [small.tmp().join("tmpjob"), large_data.clone()] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(large_data.join("kept"), vec![7; 60_000_000]).unwrap();
    let [planted] = plant([&small.tmp()]);
    let settings = Settings { min_tmp_size: "30MB", ..stand_in::settings() };
    let swept = settings.sweep_with(&["--trigger", "cron"]);
    assert_eq!(planted.standing(), LIVE_ALONE, "{}", swept.shown());
    assert!(small.tmp().join("tmpjob").is_dir(), "{}", swept.shown());
    drop((small, large));
    docker(&["volume", "rm", "shared-tmp"]);
}

/// What the alerts are made of has to see what fills the disk, wherever the sweep would look for it.
#[test]
fn sessions_that_lie_on_a_volume_or_behind_a_symlink_are_measured_there() {
    const BYTES: u64 = 30_000_000;
    let on_a_volume = worker_with("/tmp/ray");
    fs::write(on_a_volume.tmp().join("ray/blob"), vec![7; 30_000_000]).unwrap();
    assert!(used("ray-worker-1") >= BYTES);
    drop(on_a_volume);

    let behind_a_symlink = Container::with_raylet("ray-worker-1");
    let data = stand_in::seen_by(&behind_a_symlink.pid, "/data/ray");
    fs::create_dir_all(&data).unwrap();
    symlink("../data/ray", behind_a_symlink.tmp().join("ray")).unwrap();
    fs::write(data.join("blob"), vec![7; 30_000_000]).unwrap();
    let used = used("ray-worker-1");
    assert!((BYTES..2 * BYTES).contains(&used), "{used}");
}

/// What `measure` says of this worker.
fn used(worker: &str) -> u64 {
    let settings = stand_in::settings();
    let file = settings.written();
    let text = run(&[RAYSWEEP, "measure", "--config.file", text(&file)], "").unwrap();
    let begins = format!("ray_worker_tmp_used_bytes{{worker=\"{worker}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&begins));
    value.unwrap_or_else(|| panic!("nothing of {worker} in:\n{text}")).parse().unwrap()
}
