//! The containers that the tests share: started with the first test, taken away by the world.

use std::sync::OnceLock;

use crate::{
    ray,
    world::{self, Failed, lib},
};

pub(crate) use crate::world::{docker, exists, image, sh};

pub(crate) const HEAD: &str = "ray-head";
/// A worker as most are: its `/tmp` lies in its writable layer.
pub(crate) const PLAIN: &str = "ray-worker-1";
/// A worker with a folder of the host mounted inside a folder that looks like a leftover.
pub(crate) const MOUNTED: &str = "ray-worker-2";
/// A worker whose `/tmp` is a volume that [`NEIGHBOUR`] has as well.
pub(crate) const SHARED: &str = "ray-worker-3";
/// A container that has nothing to do with Ray and sees the volume at `/shared`.
pub(crate) const NEIGHBOUR: &str = "neighbour";
/// What is mounted into [`MOUNTED`], and where.
pub(crate) const MOUNT_POINT: &str = "/tmp/tmpwithmount/data";

static STAGE: OnceLock<Result<(), String>> = OnceLock::new();

/// Brings the stage up once; the reason why it does not stand fails every test that needs it.
pub(crate) fn ready() {
    if let Err(reason) = STAGE.get_or_init(|| bring_up().map_err(|failed| failed.0)) {
        panic!("the stage does not stand: {reason}");
    }
}

/// The stage with nothing at work on it: no job is alive, and the workers hold no leftovers.
pub(crate) fn at_rest() {
    ready();
    ray::wait_for_rest(&[PLAIN, MOUNTED, SHARED]);
    for worker in [PLAIN, MOUNTED, SHARED] {
        clear(worker);
    }
}

fn bring_up() -> Result<(), Failed> {
    lib(["dockerd_up"])?;
    lib(["ray_image_load"])?;
    lib(["ray_head", HEAD])?;
    let mounted = mounted_folder();
    let worker = |name: &str, arguments: String| format!("ray_worker {name} {HEAD} {arguments}");
    lib([
        "in_parallel".to_owned(),
        worker(PLAIN, String::new()),
        worker(MOUNTED, format!("-v {}:{MOUNT_POINT}", mounted.display())),
        worker(SHARED, "-v e2e-shared:/tmp".to_owned()),
    ])?;
    docker(&["run", "-d", "--name", NEIGHBOUR, "-v", "e2e-shared:/shared", &image(), "sleep", "infinity"])?;
    Ok(())
}

/// The host's folder that is mounted into [`MOUNTED`].
pub(crate) fn mounted_folder() -> std::path::PathBuf {
    let folder = world::dir().join("mounted");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Bytes on disk, as `du` counts them.
pub(crate) fn disk_usage(container: &str, path: &str) -> u64 {
    let said = docker(&["exec", container, "du", "-s", "-B1", path]).unwrap();
    said.split_whitespace().next().unwrap().parse().unwrap()
}

/// Plants leftovers of a kind, `bytes` in all, and gives their paths.
pub(crate) fn plant(container: &str, kind: &str, bytes: u64, count: u32) -> Vec<String> {
    let said = lib(["plant", container, kind, &bytes.to_string(), &count.to_string()]).unwrap();
    let paths: Vec<_> = said.lines().map(str::to_owned).collect();
    assert_eq!(paths.len(), count as usize, "planted: {said}");
    paths
}

/// Waits until nothing under the paths has changed for so many seconds. It takes them to pass: a
/// file's ctime and btime cannot be set back.
pub(crate) fn wait_until_older(container: &str, paths: &[&str], seconds: u64) {
    let young = format!("find {} -newermt '-{seconds} seconds' -print -quit", paths.join(" "));
    crate::world::wait_until(seconds + 30, &format!("{paths:?} to be older than {seconds} s"), || {
        sh(container, &young).unwrap().is_empty()
    });
}

fn clear(worker: &str) {
    let point = MOUNT_POINT.split('/').nth(2).unwrap();
    let names = "\\( -name 'tmp*' -o -name 'ray_tmp_*' -o -name 'pip-*' -o -name '.raysweep-*' \\)";
    sh(worker, &format!("find /tmp -mindepth 1 -maxdepth 1 {names} ! -name {point} -exec rm -rf {{}} +"))
        .unwrap();
}
