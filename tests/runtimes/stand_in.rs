//! Stand-ins for Ray's programs, what Ray leaves behind, and an image of both.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use raysweep::domain::report::WorkerReport;

use crate::{
    sweeping::{Settings, Swept},
    world::{self, repository, run, wait_until},
};

/// The session that the stand-in raylets speak of.
const LIVE: &str = "session_2026-01-05_12-00-00_442748_1";
const DEAD: &str = "session_2020-01-01_00-00-00_000001_7";
/// Of each thing that is planted.
pub(crate) const BYTES: usize = 1_000_000;

/// The program, compiled once; a static one, for it runs where there is nothing else.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = world::dir().join("stand-in");
        let source = repository("tests/runtimes/stand_in.c");
        run(&["cc", "-static", "-o", text(&program), text(&source)], "").unwrap();
        program
    })
}

/// A folder with the root file system of an image: a raylet, a Python and a sleep.
pub(crate) fn image_root(name: &str) -> PathBuf {
    let root = world::dir().join(name);
    for file in ["opt/raylet", "usr/bin/python3", "bin/sleep"] {
        fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
        fs::copy(program(), root.join(file)).unwrap();
    }
    fs::create_dir_all(root.join("tmp")).unwrap();
    root
}

/// The root file system packed, as runtimes import it.
pub(crate) fn packed(root: &Path) -> PathBuf {
    let tar = root.with_extension("tar");
    run(&["tar", "-C", text(root), "-cf", text(&tar), "."], "").unwrap();
    tar
}

/// A raylet's command line, the program first. Its session lies below `temp_dir`.
pub(crate) fn raylet(program: &str, temp_dir: &str) -> Vec<String> {
    vec![
        program.to_owned(),
        format!("--raylet_socket_name={temp_dir}/{LIVE}/sockets/raylet"),
        format!("--session_dir={temp_dir}/{LIVE}"),
        format!("--temp_dir={temp_dir}"),
        "--gcs-address=10.0.0.80:6379".to_owned(),
        "--python_worker_command=/usr/bin/python3 setup_worker.py".to_owned(),
    ]
}

/// What lies under a temp root: a live and a dead session, and a leftover.
pub(crate) struct Planted {
    pub(crate) live: PathBuf,
    pub(crate) dead: PathBuf,
    pub(crate) leftover: PathBuf,
}

/// Plants them under temp roots, as the host names those, and waits until they are old enough to go.
pub(crate) fn plant<const N: usize>(temp_roots: [&Path; N]) -> [Planted; N] {
    let planted = temp_roots.map(put);
    wait_until_old(planted.iter().map(|each| each.leftover.as_path()).chain(temp_roots));
    planted
}

/// Plants them and does not wait.
pub(crate) fn put(temp_root: &Path) -> Planted {
    let planted = Planted {
        live: temp_root.join("ray").join(LIVE).join("runtime_resources/blob"),
        dead: temp_root.join("ray").join(DEAD).join("runtime_resources/blob"),
        leftover: temp_root.join("tmpleftover/blob"),
    };
    for file in [&planted.live, &planted.dead, &planted.leftover] {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, vec![7; BYTES]).unwrap();
    }
    planted
}

impl Planted {
    /// Which of them still stand: the live session, the dead one, the leftover.
    pub(crate) fn standing(&self) -> (bool, bool, bool) {
        (self.live.exists(), self.dead.exists(), self.leftover.exists())
    }
}

/// All of it stands but the dead session.
pub(crate) const DEAD_GONE: (bool, bool, bool) = (true, false, true);
/// Only the live session stands.
pub(crate) const LIVE_ALONE: (bool, bool, bool) = (true, false, false);
pub(crate) const ALL: (bool, bool, bool) = (true, true, true);

/// Waits until all of these have changed longer ago than what may go must have. It takes that time to
/// pass: a file's ctime and btime cannot be set back.
pub(crate) fn wait_until_old<'a>(files: impl IntoIterator<Item = &'a Path>) {
    const AGE: Duration = Duration::from_millis(2500);
    let newest = files.into_iter().map(changed).max().unwrap();
    wait_until(30, "what was planted to be old enough", || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        now.saturating_sub(newest) > AGE
    });
}

/// When it changed last, since the epoch.
fn changed(file: &Path) -> Duration {
    let metadata = fs::symlink_metadata(file).unwrap();
    Duration::new(metadata.ctime().try_into().unwrap(), metadata.ctime_nsec().try_into().unwrap())
}

/// Settings as the end-to-end tests have them; with a window so short that nothing but the deleting
/// takes time.
pub(crate) fn settings() -> Settings {
    Settings { sampling_window: "200ms", ..Settings::default() }
}

/// The file system that a process sees, for planting and for looking.
pub(crate) fn seen_by(pid: &str, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root{path}"))
}

/// Sweeps all of the host for an alert; it got to its end.
pub(crate) fn sweep_all(settings: &Settings) -> Swept {
    let swept = settings.sweep_with(&["--trigger", "alert"]);
    assert!(swept.report.reason.is_none(), "{}", swept.shown());
    swept
}

/// The report on the one worker or refusal whose name begins so.
pub(crate) fn beginning<'a>(swept: &'a Swept, begins: &str) -> &'a WorkerReport {
    let found: Vec<_> =
        swept.report.workers.iter().filter(|worker| worker.name.starts_with(begins)).collect();
    assert_eq!(found.len(), 1, "{begins}: {}", swept.shown());
    found[0]
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
