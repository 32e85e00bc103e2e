//! Whoever works on a host for us gives way to what works there; whoever holds the clock does not.

use std::{
    fs,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use ioprio::{Class, Pid, Target, get_priority};
use tempfile::TempDir;

/// A subcommand that hangs, because the container runtime that it asks does not answer.
struct Hanging {
    child: Child,
    _runtime: UnixListener,
    _folder: TempDir,
}

impl Hanging {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let runtime = UnixListener::bind(at("runtime.sock")).unwrap();
        let settings = format!(
            "runtime_dir: {0}\nlog_dir: {0}\ncontainers: {{ socket: {0}/runtime.sock, timeout: 10m }}\n",
            folder.path().display()
        );
        fs::write(at("sweep.yml"), settings).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_raysweep"))
            .args(arguments)
            .arg("--config.file")
            .arg(at("sweep.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It has connected: whatever it starts with is behind it.
        runtime.set_nonblocking(true).unwrap();
        let until = Instant::now() + Duration::from_mins(1);
        while let Err(error) = runtime.accept() {
            assert!(Instant::now() < until, "it does not ask the runtime: {error}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, _runtime: runtime, _folder: folder }
    }

    fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The threads of a process: each one's niceness and whether the disk serves it last.
fn threads(pid: i32) -> Vec<(i32, bool)> {
    fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .map(|thread| {
            let folder: PathBuf = thread.unwrap().path();
            let id = folder.file_name().unwrap().to_str().unwrap().parse().unwrap();
            let of_disk = get_priority(Target::Process(Pid::from_raw(id))).unwrap().class();
            (field(&folder, 19), of_disk == Some(Class::Idle))
        })
        .collect()
}

/// A field of `stat`, as `man 5 proc` counts them.
fn field(folder: &Path, number: usize) -> i32 {
    let stat = fs::read_to_string(folder.join("stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(number - 3).unwrap().parse().unwrap()
}

fn children(pid: i32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

/// Whether every thread is nicer than this one, and served last by the disk.
fn all_give_way(pid: i32) -> bool {
    threads(pid).iter().all(|(nice, disk)| *nice >= nicer() && *disk)
}

fn nicer() -> i32 {
    (field(Path::new("/proc/thread-self"), 19) + 10).min(19)
}

/// What a container makes us hold may end us, and no job on the host.
fn assert_bounded(pid: i32) {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    let limits = read("limits");
    let data = limits.lines().find_map(|line| line.strip_prefix("Max data size")).unwrap();
    assert_eq!(data.split_whitespace().next(), Some("1073741824"));
    assert_eq!(read("oom_score_adj").trim(), "1000");
}

#[test]
fn whoever_reads_what_containers_say_holds_so_much_of_it_and_no_more() {
    let sweep = Hanging::start(&["sweep", "--dry-run"]);
    let [sweeping] = children(sweep.pid())[..] else { panic!("not one child") };
    assert_bounded(sweeping);
    let measure = Hanging::start(&["measure"]);
    assert_bounded(measure.pid());
}

#[test]
fn a_sweep_gives_way_and_who_holds_its_clock_does_not() {
    let sweep = Hanging::start(&["sweep", "--dry-run"]);
    let [sweeping] = children(sweep.pid())[..] else { panic!("not one child") };
    assert!(all_give_way(sweeping), "{:?}", threads(sweeping));
    let own = threads(sweep.pid());
    assert!(own.iter().all(|(nice, disk)| *nice < nicer() && !disk), "{own:?}");
}

#[test]
fn measure_gives_way() {
    let measure = Hanging::start(&["measure"]);
    assert!(all_give_way(measure.pid()), "{:?}", threads(measure.pid()));
}
