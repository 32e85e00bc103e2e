use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use super::*;

const STAT: &str = "S 1 1 1 0 -1 4194560 9 0 0 0 150 50 20 10 20 0 1 0 9876 1 1";

/// A /proc in a folder: the same names, with files where the kernel has links to namespaces.
struct FakeProc(tempfile::TempDir);

impl FakeProc {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn process(&self, pid: i32, comm: &str, fields: &str) -> PathBuf {
        let folder = self.0.path().join(pid.to_string());
        fs::create_dir_all(folder.join("ns")).unwrap();
        fs::create_dir_all(folder.join("fd")).unwrap();
        fs::create_dir_all(folder.join("task")).unwrap();
        for (name, content) in [
            ("stat", format!("{pid} ({comm}) {fields}").as_str()),
            ("cmdline", "python\0train.py\0"),
            ("status", "Name:\tx\nUid:\t1000\t0\t0\t0\nGid:\t100\t0\t0\t0\nNSpid:\t42\t7\n"),
            ("cgroup", "0::/docker/abc\n"),
            ("ns/mnt", ""),
            ("ns/pid", ""),
            ("ns/user", ""),
        ] {
            fs::write(folder.join(name), content).unwrap();
        }
        symlink("/usr/bin/python3.11", folder.join("exe")).unwrap();
        symlink("/dev/null", folder.join("fd/0")).unwrap();
        symlink("/tmp/ray/session_1/logs/agent-7.out", folder.join("fd/7")).unwrap();
        folder
    }

    fn read(&self) -> Snapshot {
        Snapshot::read_from(self.0.path(), open_files).unwrap()
    }
}

#[test]
fn a_process_is_read_whole() {
    let fake = FakeProc::new();
    fake.process(42, "a) S 1 (b", STAT);
    let snapshot = fake.read();
    let [process] = snapshot.processes.as_slice() else { panic!("{snapshot:?}") };
    assert_eq!(process.id, ProcessId { pid: 42, start_ticks: 9876 });
    assert_eq!(process.arguments, ["python", "train.py"]);
    assert_eq!(process.program(), "python3.11");
    assert_eq!(process.inner_pid, 7);
    assert_eq!((process.user_id, process.group_id), (1000, 100));
    assert_eq!((process.cpu_ticks, process.children_cpu_ticks), (200, 30));
    assert_eq!(process.stdin.as_deref(), Some(Path::new("/dev/null")));
    assert_eq!(process.open, [PathBuf::from("/tmp/ray/session_1/logs/agent-7.out")]);
    assert!(!process.says_too_much);
}

#[test]
fn a_process_that_vanishes_in_mid_read_is_not_there() {
    let fake = FakeProc::new();
    for missing in ["stat", "cmdline", "exe", "ns/mnt", "cgroup", "status"] {
        let folder = fake.process(42, "x", STAT);
        fs::rename(folder.join(missing), fake.0.path().join("gone")).unwrap();
        let snapshot = fake.read();
        assert!(snapshot.processes.is_empty() && snapshot.unreadable.is_empty(), "{missing}: {snapshot:?}");
        fs::rename(&folder, fake.0.path().join(format!("was-{}", missing.replace('/', "-")))).unwrap();
    }
}

#[test]
fn a_process_that_makes_no_sense_is_unreadable() {
    let fake = FakeProc::new();
    let folder = fake.process(42, "x", STAT);
    fs::write(folder.join("status"), "nothing").unwrap();
    // A folder where a file should be: an error that is neither ENOENT nor ESRCH.
    let other = fake.process(43, "x", STAT);
    fs::rename(other.join("cgroup"), fake.0.path().join("gone")).unwrap();
    fs::create_dir(other.join("cgroup")).unwrap();
    let mut pids: Vec<i32> = fake.read().unreadable.iter().map(|(pid, _)| *pid).collect();
    pids.sort_unstable();
    assert_eq!(pids, [42, 43]);
    assert!(fake.read().processes.is_empty());
}

#[test]
fn what_may_not_be_read_is_unreadable_for_those_whom_permissions_bind() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let fake = FakeProc::new();
    let folder = fake.process(42, "x", STAT);
    fs::set_permissions(folder.join("fd"), fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(fake.read().unreadable.len(), 1);
}

#[test]
fn zombies_and_kernel_threads_are_left_out() {
    let fake = FakeProc::new();
    fake.process(42, "x", &STAT.replacen('S', "Z", 1));
    fake.process(43, "kworker/0:1", &STAT.replacen("4194560", "2129984", 1));
    let snapshot = fake.read();
    assert!(snapshot.processes.is_empty() && snapshot.unreadable.is_empty(), "{snapshot:?}");
}

#[test]
fn a_process_whose_first_thread_has_ended_runs_on_in_another() {
    let fake = FakeProc::new();
    let folder = fake.process(42, "x", &STAT.replacen('S', "Z", 1));
    let thread = fake.process(4242, "x", STAT);
    fs::rename(thread, folder.join("task/43")).unwrap();
    let snapshot = fake.read();
    assert_eq!(snapshot.processes.len(), 1);
    assert_eq!(snapshot.processes[0].id.pid, 42);
    assert_eq!(snapshot.processes[0].arguments, ["python", "train.py"]);
}

/// A child of ours is what has our program, our pid namespace and the argument; whoever lacks one of
/// them, as all in containers lack the namespace, is somebody else.
#[test]
fn only_a_child_of_our_own_is_left_out() {
    let (program, namespace) = ("exe", "ns/pid");
    let own = |folder: &Path, names: &[&str], fake: &FakeProc| {
        for name in names {
            let _ = fs::rename(folder.join(name), fake.0.path().join("was"));
            symlink(fake.0.path().join("self").join(name), folder.join(name)).unwrap();
        }
    };
    for (argument, same, seen) in [
        (inside::ARGUMENT, vec![program, namespace], false),
        (inside::ARGUMENT, vec![program], true),
        (inside::ARGUMENT, vec![namespace], true),
        ("sweep", vec![program, namespace], true),
    ] {
        let fake = FakeProc::new();
        let ourselves = fake.process(41, "raysweep", STAT);
        fs::rename(ourselves, fake.0.path().join("self")).unwrap();
        fs::rename(fake.0.path().join("self/exe"), fake.0.path().join("was")).unwrap();
        fs::write(fake.0.path().join("self/exe"), "").unwrap();
        let folder = fake.process(42, "x", STAT);
        fs::write(folder.join("cmdline"), format!("raysweep\0{argument}\0")).unwrap();
        own(&folder, &same, &fake);
        assert_eq!(fake.read().find(42).is_some(), seen, "{argument} {same:?}");
    }
}

#[test]
fn a_flag_is_an_argument_of_its_own_with_a_value() {
    let arguments = ["x", "--temp_dir_of=/no", "--temp_dir", "--temp_dir=/tmp/ray", "--temp_dir=/later"];
    let process = fixture::process(1, 0, "/usr/bin/x", &arguments);
    assert_eq!(process.flag("--temp_dir"), Some("/tmp/ray"));
    assert_eq!(process.flag("--session_dir"), None);
}

#[test]
fn a_process_all_of_whose_threads_have_ended_is_none() {
    let fake = FakeProc::new();
    let ended = STAT.replacen('S', "Z", 1);
    let folder = fake.process(42, "x", &ended);
    fs::rename(fake.process(4242, "x", &ended), folder.join("task/43")).unwrap();
    assert!(fake.read().processes.is_empty());
}

#[test]
fn our_own_namespaces_are_the_hosts() {
    let fake = FakeProc::new();
    let ourselves = fake.process(41, "raysweep", STAT);
    let own = Namespaces::read(&ourselves).unwrap();
    fs::rename(ourselves, fake.0.path().join("self")).unwrap();
    assert!(fake.read().is_host(|host| *host == own));
}

#[test]
fn this_very_process_is_found_on_this_machine() {
    let snapshot = Snapshot::read().unwrap();
    let pid = i32::try_from(std::process::id()).unwrap();
    let process = snapshot.find(pid).expect("the test's own process");
    assert_eq!(process.exe, Some(std::env::current_exe().unwrap()));
    assert_eq!(process.arguments.len(), std::env::args().count());
    assert!(process.id.start_ticks > 0);
    let same = Snapshot::read_without_files().unwrap();
    assert!(same.find(pid).expect("it again").open.is_empty());
}

#[test]
fn a_process_in_a_place_too_deep_to_be_said_can_be_read_all_the_same() {
    let deep = fixture::Deep::new();
    let pid = i32::try_from(deep.sleeper.id()).unwrap();
    let snapshot = Snapshot::read().unwrap();
    assert!(!snapshot.unreadable.iter().any(|(unread, _)| *unread == pid), "{:?}", snapshot.unreadable);
    let process = snapshot.find(pid).expect("the process");
    assert_eq!((process.program(), &process.stdin), ("sleep", &None));
}

/// Its files may be many, and their names long: what is held of them does not grow with either.
#[test]
fn of_what_a_process_has_open_one_of_each_kind_that_tells_what_it_is_is_kept() {
    let fake = FakeProc::new();
    let folder = fake.process(42, "x", STAT);
    let log = |name: &str| format!("/tmp/ray/session_1/logs/{name}.log");
    let worker = log("python-core-worker-ff-1");
    let open = [
        "socket:[123]",
        "pipe:[7]",
        "anon_inode:[eventpoll]",
        "/tmp/tmpabc/file",
        "/dev/nvidia0",
        "/dev/nvidia1",
        "/dev/nvidiactl",
        &worker,
        &worker,
        &log("python-core-driver-ff-1"),
        "/tmp/ray/session_1/python-core-driver-ff-1.log",
    ];
    for (descriptor, name) in open.iter().enumerate() {
        symlink(name, folder.join(format!("fd/{}", descriptor + 20))).unwrap();
    }
    for descriptor in 100..200 {
        symlink(log(&format!("worker-{descriptor}")), folder.join(format!("fd/{descriptor}"))).unwrap();
    }
    let open = fake.read().processes.remove(0).open;
    assert_eq!(open.len(), 5, "{open:?}");
    let is_gpu = |path: &PathBuf| path == Path::new("/dev/nvidia0") || path == Path::new("/dev/nvidia1");
    assert!(open.iter().any(is_gpu) && open.contains(&PathBuf::from(worker)), "{open:?}");
}

/// Any process may make any memory its arguments. It might be anything, and is nobody's but its own worker's.
#[test]
fn a_process_with_more_arguments_than_are_read_is_there_and_says_none_of_them() {
    let fake = FakeProc::new();
    let folder = fake.process(42, "x", STAT);
    fs::write(folder.join("cmdline"), [&vec![0; 1_000_000][..], b"x"].concat()).unwrap();
    let snapshot = fake.read();
    assert_eq!(snapshot.unreadable, []);
    let process = snapshot.find(42).unwrap();
    assert!(process.says_too_much && process.arguments.is_empty());
}

/// A thousand forks cost a container little.
#[test]
fn what_all_processes_of_a_namespace_say_is_bounded() {
    let fake = FakeProc::new();
    let most = 20_000 * 2 - 1;
    for pid in 1..=100 {
        // 20,000 empty arguments, each of which takes the room of a text.
        fs::write(fake.process(pid, "x", STAT).join("cmdline"), [&vec![0; most / 2][..], b"x"].concat())
            .unwrap();
    }
    // Namespaces of its own.
    let other = fake.process(200, "x", STAT);
    fs::hard_link(fake.0.path().join("1/ns/mnt"), fake.0.path().join("shared")).unwrap();
    for pid in 2..=100 {
        let own = fake.0.path().join(format!("{pid}/ns/mnt"));
        fs::rename(&own, fake.0.path().join("was")).unwrap();
        fs::hard_link(fake.0.path().join("shared"), &own).unwrap();
    }
    assert!(other.exists());
    let snapshot = fake.read();
    let held: usize = snapshot.processes.iter().map(|process| process.arguments.len()).sum();
    assert_eq!(snapshot.processes.len(), 101);
    assert!(held <= (32 << 20) / 64, "{held} texts");
    assert!(snapshot.processes.iter().any(|process| process.says_too_much));
    assert_eq!(snapshot.find(200).unwrap().arguments, ["python", "train.py"]);
}

#[test]
fn a_reading_without_files_asks_for_none() {
    let fake = FakeProc::new();
    let folder = fake.process(42, "x", STAT);
    // Whoever read it would fail: it is not even a folder.
    fs::rename(folder.join("fd"), fake.0.path().join("gone")).unwrap();
    fs::write(folder.join("fd"), "").unwrap();
    let without = Snapshot::read_from(fake.0.path(), no_files).unwrap();
    assert_eq!((without.processes.len(), without.unreadable.len()), (1, 0));
    assert!(without.processes[0].open.is_empty() && without.processes[0].stdin.is_none());
    assert_eq!(fake.read().unreadable.len(), 1);
}
