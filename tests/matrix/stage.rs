//! The containers: one cluster whose jobs come and go, and one with its temporary folder elsewhere
//! that never has a job.

use std::{thread, time::Instant};

use crate::world::{self, image, lib, run, wait_until};

pub(crate) use crate::world::{docker, exists, sh};

pub(crate) const HEAD: &str = "ray-head";
/// The head of the second cluster; its `/tmp` is the volume that [`SHARED`] has too.
pub(crate) const HEAD_ELSEWHERE: &str = "ray-elsewhere";
/// A worker whose sessions lie in `/scratch/ray`.
pub(crate) const ELSEWHERE: &str = "ray-worker-elsewhere";
/// The worker of the first cluster that shares its `/tmp`.
pub(crate) const SHARED: &str = "ray-worker-10";
/// A container that outlives its Ray.
pub(crate) const DIED: &str = "ray-worker-died";
/// The workers of the first cluster.
pub(crate) const WORKERS: [&str; 10] = [
    "ray-worker-1",
    "ray-worker-2",
    "ray-worker-3",
    "ray-worker-4",
    "ray-worker-5",
    "ray-worker-6",
    "ray-worker-7",
    "ray-worker-8",
    "ray-worker-9",
    SHARED,
];

/// What a node may take. A head of Ray 2.60 was killed at 1.5 GB as it started.
const MEMORY: &str = "3g";
const GCS: &str = "127.0.0.1:6379";
const START_SECONDS: &str = "170";
/// So many nodes start side by side. Each takes ten seconds of a core, and Ray gives one up that takes
/// half a minute: a whole cluster at once is more than two cores can start.
const START_AT_ONCE: usize = 3;

pub(crate) fn bring_up() {
    let begun = Instant::now();
    lib(["dockerd_up"]).unwrap();
    lib(["ray_image_load"]).unwrap();
    let mut starts: Vec<Box<dyn FnOnce() + Send>> = vec![
        Box::new(|| head(HEAD, &[], &[])),
        Box::new(|| head(HEAD_ELSEWHERE, &["-v", "matrix-shared:/tmp"], &["--temp-dir", "/scratch/ray"])),
        Box::new(outliving),
        Box::new(|| worker(ELSEWHERE, HEAD_ELSEWHERE, &[])),
    ];
    for name in WORKERS {
        let volume: &[&str] = if name == SHARED { &["-v", "matrix-shared:/tmp"] } else { &[] };
        starts.push(Box::new(move || worker(name, HEAD, volume)));
    }
    let nodes = starts.len();
    let mut starts = starts.into_iter();
    loop {
        // The first of these are the heads, which everybody else asks for.
        let batch: Vec<_> = starts.by_ref().take(START_AT_ONCE).collect();
        if batch.is_empty() {
            break;
        }
        thread::scope(|scope| batch.into_iter().for_each(|start| drop(scope.spawn(start))));
    }
    println!("{nodes} nodes of Ray {} stand after {} s", version(), begun.elapsed().as_secs());
}

fn head(name: &str, docker_arguments: &[&str], ray_arguments: &[&str]) {
    let mut words = vec!["ray_container", name, MEMORY];
    words.extend(docker_arguments);
    words.extend(["--", "--head", "--port", "6379", "--num-cpus", "0", "--include-dashboard=false"]);
    words.extend(ray_arguments);
    lib(words).unwrap();
    node_ready(name, name);
}

fn worker(name: &str, head: &str, docker_arguments: &[&str]) {
    let address = format!("{}:6379", address(head));
    let mut words = vec!["ray_container", name, MEMORY];
    words.extend(docker_arguments);
    words.extend(["--", "--address", &address, "--num-cpus", "1"]);
    lib(words).unwrap();
    node_ready(head, name);
}

/// A node whose first process is a shell, as where Ray is started by hand. A cluster of its own: a
/// session has one name on all nodes, and is alive while any of them is.
fn outliving() {
    let start = format!(
        "ray start --head --port 6379 --node-name {DIED} --num-cpus 1 --disable-usage-stats \
         --include-dashboard=false --object-store-memory 80000000 && exec sleep infinity"
    );
    let words = ["run", "-d", "--pull", "never", "--name", DIED, "--hostname", DIED, "--shm-size", "128m"];
    docker(&[&words[..], &["--memory", MEMORY, &image(), "sh", "-c", &start]].concat()).unwrap();
    node_ready(DIED, DIED);
}

/// Waits until the head's GCS says that the node is alive.
pub(crate) fn node_ready(head: &str, name: &str) {
    let said = lib(["ray_python", head, "node_ready", GCS, name, START_SECONDS]);
    if let Err(failed) = said {
        let log = docker(&["logs", "--tail", "20", name]);
        panic!("{name} does not stand: {failed:?}\n{log:?}");
    }
}

pub(crate) fn address(container: &str) -> String {
    lib(["container_ip", container]).unwrap()
}

/// The version of Ray that this run is about.
pub(crate) fn version() -> String {
    std::env::var("RAY_VERSION").unwrap_or_else(|_| "2.40.0".to_owned())
}

/// Puts a file of `tests/matrix/drivers` into a container.
pub(crate) fn put(container: &str, file: &str, path: &str) {
    let text = std::fs::read_to_string(world::repository("tests/matrix/drivers").join(file)).unwrap();
    let command = format!("mkdir -p $(dirname {path}) && cat >{path}");
    run(&["docker", "exec", "-i", container, "sh", "-c", &command], &text).unwrap();
}

/// Plants leftovers of a kind, `bytes` in all, and gives their paths.
pub(crate) fn plant(container: &str, kind: &str, bytes: u64, count: u32) -> Vec<String> {
    let said = lib(["plant", container, kind, &bytes.to_string(), &count.to_string()]).unwrap();
    said.lines().map(str::to_owned).collect()
}

/// Waits until Ray knows of no job that is alive and no pooled worker is left in these. In Ray 2.60 those
/// that have spilled and restored objects stay when their job has ended.
pub(crate) fn wait_for_rest(workers: &[&str]) {
    wait_for_jobs();
    for worker in workers {
        wait_until(90, &format!("the pooled workers of {worker} to end"), || titles(worker).is_empty());
    }
}

/// Waits until Ray knows of no job that is alive and this worker has nothing of Ray's left but what spills
/// and restores objects, which is told.
pub(crate) fn wait_for_movers_alone(worker: &str) -> Vec<String> {
    wait_for_jobs();
    let are_alone = |titles: &[String]| titles.iter().all(|title| title.starts_with("ray::IDLE_"));
    wait_until(90, &format!("all but what moves objects on {worker} to end"), || are_alone(&titles(worker)));
    titles(worker)
}

fn wait_for_jobs() {
    let program = "from ray._raylet import GcsClient\n\
        jobs = GcsClient(address='127.0.0.1:6379').get_all_job_info(timeout=5)\n\
        print(sum(not job.is_dead for job in jobs.values()))";
    wait_until(90, "every job to end", || {
        run(&["docker", "exec", "-i", HEAD, "python3", "-"], program).is_ok_and(|said| said == "0")
    });
}

/// The `ray::…` titles of a container's workers. Newer versions of Ray title their agents so too, on
/// every node and for as long as it lives.
pub(crate) fn titles(container: &str) -> Vec<String> {
    const AGENTS: [&str; 2] = ["ray::DashboardAgent", "ray::RuntimeEnvAgent"];
    // The class in brackets keeps the search from finding itself.
    let command = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep '^ray[:]:' || true";
    let shown = sh(container, command).unwrap();
    let titles = shown.lines().map(str::trim_end).filter(|title| !AGENTS.contains(title));
    titles.map(str::to_owned).collect()
}
