//! The prune, on a real Docker.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use raysweep::domain::report::PruneReport;

use crate::{
    containers::{Container, IMAGE, docker, docker_ready},
    stand_in::{self, BYTES, packed, sweep_all, text},
    sweeping::Settings,
    world::{self, run, wait_until},
};

/// How long ago a container must have finished here.
const MIN_AGE: Duration = Duration::from_secs(20);

fn settings(mode: &str) -> Settings {
    settings_for(mode, MIN_AGE)
}

fn settings_for(mode: &str, min_age: Duration) -> Settings {
    let lines = format!("prune: {{mode: {mode}, min_age: {}s}}\n", min_age.as_secs());
    Settings { more: lines, ..stand_in::settings() }
}

/// Prunes whatever images are older than a moment, which all of them are by then.
fn prune_at_once() -> PruneReport {
    let made = Instant::now();
    wait_until(10, "the last image to be older than a moment", || made.elapsed() > Duration::from_secs(3));
    prune(&settings_for("safe", Duration::from_secs(1)))
}

fn prune(settings: &Settings) -> PruneReport {
    let swept = sweep_all(settings);
    let prune = swept.report.prune.clone().unwrap_or_else(|| panic!("no prune: {}", swept.shown()));
    assert!(prune.errors.is_empty(), "{}", swept.shown());
    assert!(swept.report.freed_bytes >= prune.freed_bytes, "{}", swept.shown());
    prune
}

/// An image of `BYTES` whose tag another one has taken; its id.
fn dangling_image() -> String {
    docker_ready();
    let root = stand_in::image_root("dangling");
    let mut ids = ["first", "second"].map(|content| {
        fs::write(root.join("content"), content.repeat(BYTES / content.len())).unwrap();
        docker(&["import", text(&packed(&root)), "retagged"])
    });
    docker(&["rmi", "retagged"]);
    std::mem::take(&mut ids[0])
}

fn is_there(image: &str) -> bool {
    docker(&["images", "--all", "--quiet", "--no-trunc"]).lines().any(|id| id == image)
}

/// What Docker counts for images, build cache and containers.
fn used_bytes() -> u64 {
    let socket = world::dir().join("docker.sock");
    let said =
        run(&["curl", "-sS", "-m", "30", "--unix-socket", text(&socket), "http://d/v1.41/system/df"], "")
            .unwrap();
    let df: serde_json::Value = serde_json::from_str(&said).unwrap();
    // Cache that is a layer of an image as well is counted as that.
    let sum = |list: &str, size: &str| -> u64 {
        let own = df[list].as_array().into_iter().flatten().filter(|each| each["Shared"] != true);
        own.filter_map(|each| each[size].as_u64()).sum()
    };
    df["LayersSize"].as_u64().unwrap_or(0) + sum("BuildCache", "Size") + sum("Containers", "SizeRw")
}

/// A process that ends with the test.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Builds with `BuildKit`, which fetches the folder to build from by itself. Leaves cache behind, and
/// an image without a name.
fn build() {
    docker_ready();
    let (folder, port) = (world::dir().join("context"), "8099");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("content"), "built".repeat(BYTES / 5)).unwrap();
    fs::write(folder.join("Dockerfile"), "FROM scratch\nCOPY content /\n").unwrap();
    let tar = packed(&folder);
    let serve =
        ["-m", "http.server", "--bind", "127.0.0.1", "--directory", text(tar.parent().unwrap()), port];
    let server = Command::new("python3").args(serve).stderr(Stdio::null()).stdout(Stdio::null()).spawn();
    let _server = Beside(server.unwrap());
    let context = format!("http://127.0.0.1:{port}/context.tar");
    wait_until(30, "the server of the build's context", || {
        run(&["curl", "-sfI", "-m", "5", &context], "").is_ok()
    });
    let socket = world::dir().join("docker.sock");
    let url = format!("http://d/v1.41/build?version=2&remote={context}");
    run(&["curl", "-sSf", "-m", "60", "--unix-socket", text(&socket), "-X", "POST", &url], "").unwrap();
}

fn build_cache() -> String {
    docker(&["system", "df", "--format", "{{.Type}} {{.TotalCount}}"])
        .lines()
        .find_map(|line| line.strip_prefix("Build Cache "))
        .unwrap()
        .to_owned()
}

#[test]
fn safe_takes_dangling_images_and_build_cache_and_says_what_that_freed() {
    let dangling = dangling_image();
    prune(&settings_for("safe", Duration::from_hours(1)));
    assert!(is_there(&dangling), "somebody may be building it");
    build();
    assert_ne!(build_cache(), "0");
    let stopped = Container::without_raylet("stopped");
    docker(&["stop", "--time", "5", &stopped.name]);
    let before = used_bytes();

    let pruned = prune_at_once();

    assert!(!is_there(&dangling));
    assert_eq!(build_cache(), "0");
    assert_ne!(docker(&["images", "--quiet", IMAGE]), "", "an image that has a name stays");
    assert_ne!(docker(&["ps", "--all", "--quiet", "--filter", "name=stopped"]), "");
    let freed = before - used_bytes();
    let (least, most) = (freed * 9 / 10, freed * 11 / 10);
    assert!((least..=most).contains(&pruned.freed_bytes), "{pruned:?}, and by Docker's own count {freed}");
    assert!(pruned.freed_bytes > BYTES as u64, "{pruned:?}");
    println!("reported {} bytes, Docker's own count fell by {freed}", pruned.freed_bytes);
}

#[test]
fn off_observing_and_a_dry_run_prune_nothing() {
    let dangling = dangling_image();
    let observing = Settings { mode: "observe", ..settings("safe") };
    for (settings, arguments) in
        [(settings("off"), &[][..]), (observing, &[]), (settings("safe"), &["--dry-run"])]
    {
        let swept = settings.sweep_with(&[&["--trigger", "alert"], arguments].concat());
        assert!(swept.report.prune.is_none(), "{}", swept.shown());
        assert!(is_there(&dangling), "{}", swept.shown());
    }
    assert!(prune_at_once().removed > 0);
    assert!(!is_there(&dangling));
}

#[test]
fn system_takes_containers_by_when_they_finished_and_never_a_volume_or_a_network() {
    let sleeping =
        |name: &str, options: &[&str]| Container::of(IMAGE, name, options, &["/bin/sleep".to_owned()]);
    let _old = sleeping("old", &["--volume", "/data"]);
    let _kept = sleeping("kept", &["--label", "raysweep.keep="]);
    let fresh = sleeping("fresh", &[]);
    let _running = sleeping("running", &[]);
    docker(&["create", "--name", "created", "--network", "none", IMAGE, "/bin/sleep"]);
    let _created = Container { name: "created".to_owned(), pid: String::new() };
    docker(&["volume", "create", "dangling"]);
    docker(&["network", "create", "unused"]);
    let data = docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", "dangling"]);
    fs::write(Path::new(&data).join("data"), "dear to somebody").unwrap();
    docker(&["stop", "--time", "5", "old", "kept"]);
    let stopped = Instant::now();
    wait_until(MIN_AGE.as_secs() + 30, "containers to have finished long ago", || {
        stopped.elapsed() > MIN_AGE + Duration::from_secs(1)
    });
    docker(&["stop", "--time", "5", &fresh.name]);

    let pruned = prune(&settings("system"));

    let mut left: Vec<String> =
        docker(&["ps", "--all", "--format", "{{.Names}}"]).lines().map(str::to_owned).collect();
    left.sort();
    assert_eq!(left, ["created", "fresh", "kept", "running"], "{pruned:?}");
    assert_eq!(docker(&["volume", "ls", "--quiet"]).lines().count(), 2, "with the one of the container");
    assert_eq!(fs::read_to_string(Path::new(&data).join("data")).unwrap(), "dear to somebody");
    assert_ne!(docker(&["network", "ls", "--quiet", "--filter", "name=unused"]), "");
    docker(&["network", "rm", "unused"]);
}

#[test]
fn a_prune_that_meets_another_one_says_busy_and_does_not_fail() {
    docker_ready();
    let socket = world::dir().join("docker.sock");
    // One request after the other over one connection, so that there is hardly a moment without.
    let requests = "http://d/v1.41/images/prune?number=[1-1000000]";
    let others: Vec<Beside> = (0..2)
        .map(|_| {
            let words = ["-s", "--unix-socket", text(&socket), "-X", "POST", requests];
            Beside(Command::new("curl").args(words).stdout(Stdio::null()).spawn().unwrap())
        })
        .collect();
    let mut busy = vec![];
    wait_until(90, "a sweep to meet another prune", || {
        busy = prune(&settings("system")).busy;
        !busy.is_empty()
    });
    drop(others);
    assert!(busy.iter().all(|each| each.contains("prune operation is already running")), "{busy:?}");
    println!("busy: {busy:?}");
}
