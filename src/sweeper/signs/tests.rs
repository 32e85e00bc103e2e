use std::{
    fmt::Write,
    fs::{self, File},
    os::unix::{fs::MetadataExt, net::UnixListener},
};

use super::*;
use crate::sweeper::processes::fixture::{Deep, Served};

fn id_of(path: &Path) -> FileId {
    let metadata = fs::metadata(path).unwrap();
    FileId { dev: metadata.dev(), ino: metadata.ino() }
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap()
}

/// Of this process alone: a test may run where the machine's first process hides from it.
fn own_signs() -> Signs {
    Signs::of(own_pid()).unwrap()
}

impl Signs {
    /// Of one process: that of a machine whose first process hides from a test can be read all the same.
    pub(crate) fn of(pid: i32) -> io::Result<Self> {
        Self::read_of(Path::new("/proc"), || Ok(vec![pid]))
    }
}

#[test]
fn an_open_file_a_bound_socket_and_a_lock_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session_of_this_test");
    let file = File::create(&path).unwrap();
    file.lock().unwrap();
    let _listener = UnixListener::bind(folder.path().join("bound-here")).unwrap();
    let signs = own_signs();
    assert!(signs.files.contains_key(&id_of(&path)));
    assert!(signs.bound(b"bound-here", None).is_some());
    assert_eq!(signs.mentioned_by("session_of_this_test"), Some(own_pid()));
    let locks = fs::read_to_string("/proc/locks").unwrap();
    assert!(locks.lines().filter_map(parse::lock).flatten().any(|(_, id)| id == id_of(&path)), "{locks}");
}

/// Any user of any container may stand in such a place; it must not keep what is others' from being freed.
#[test]
fn a_path_that_is_too_long_to_be_said_is_told_by_its_file_and_its_namespace() {
    let deep = Deep::new();
    let pid = i32::try_from(deep.sleeper.id()).unwrap();
    let stdin = format!("/proc/{pid}/fd/0");
    assert_eq!(fs::read_link(&stdin).unwrap_err().raw_os_error(), Some(36), "ENAMETOOLONG");
    let signs = Signs::of(pid).unwrap();
    assert!(signs.files.contains_key(&id_of(Path::new(&stdin))));
    let own = id_of(Path::new("/proc/self/ns/mnt"));
    assert_eq!(signs.nameless_in([own]), Some(pid));
    assert_eq!(signs.nameless_in([FileId { dev: 0, ino: 0 }]), None, "elsewhere it is no sign");
    assert_eq!(own_signs().nameless_in([own]), None);
}

/// What is too long keeps what is its own worker's. What it has open is seen all the same.
#[test]
fn arguments_that_are_too_long_are_told_by_their_namespace_and_everything_else_is_read() {
    let root = fake_proc();
    let folder = root.path().join("42");
    fs::write(folder.join("cmdline"), [&vec![0; 3 << 20][..], b"x"].concat()).unwrap();
    let signs = Signs::read_from(root.path()).unwrap();
    assert_eq!(signs.nameless_in([id_of(&folder.join("ns/mnt"))]), Some(42));
    assert_eq!(signs.nameless_in([id_of(&folder.join("ns/net"))]), None);
    assert!(signs.files.contains_key(&id_of(&folder.join("a folder"))));
    assert_eq!(signs.arguments, []);
}

/// A process has as many mappings as it likes, and their names are long.
#[test]
fn maps_of_any_length_are_read_and_names_are_held_as_far_as_there_is_room() {
    let root = fake_proc();
    let folder = root.path().join("42");
    let names: Vec<String> = (0..40_000).map(|number| format!("/{}/{number}", "x".repeat(1100))).collect();
    let mut maps = String::new();
    for (number, name) in names.iter().enumerate() {
        writeln!(maps, "00400000-00452000 r-xp 00000000 fe:01 {}   {name}", number + 1).unwrap();
    }
    fs::write(folder.join("maps"), maps).unwrap();
    let signs = Signs::read_from(root.path()).unwrap();
    assert_eq!(signs.nameless_in([id_of(&folder.join("ns/mnt"))]), Some(42));
    let held: usize = signs.names.keys().map(String::len).sum();
    assert!((1 << 20..=32 << 20).contains(&held), "{held} bytes");
    for ino in 1..=40_000 {
        assert!(signs.files.contains_key(&FileId { dev: rustix::fs::makedev(0xfe, 1), ino }), "{ino}");
    }
}

#[test]
fn a_mapped_file_whose_name_has_no_end_is_known_by_its_inode() {
    let root = fake_proc();
    let folder = root.path().join("42");
    let name = "x".repeat(100_000);
    let maps = format!(
        "00400000-00452000 r-xp 00000000 fe:01 77   /{name}\n00452000-00453000 r-xp 00000000 fe:01 78   /y\n"
    );
    fs::write(folder.join("maps"), maps).unwrap();
    let signs = Signs::read_from(root.path()).unwrap();
    for ino in [77, 78] {
        assert!(signs.files.contains_key(&FileId { dev: rustix::fs::makedev(0xfe, 1), ino }), "{ino}");
    }
    assert_eq!(signs.nameless_in([id_of(&folder.join("ns/mnt"))]), Some(42));
}

/// Any user may mount such a thing and go there; what it is can be told of none of its files, and none of
/// them lies under a temp root.
#[test]
fn who_stands_in_a_file_system_that_answers_nobody_else_is_named_and_hinders_nobody() {
    let Some(served) = Served::new(65534) else { return };
    let pid = served.user.as_raw_nonzero().get();
    let refused = fs::metadata(format!("/proc/{pid}/exe")).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    let signs = Signs::of(pid).unwrap();
    assert_eq!(signs.mentioned_by(served.folder.join("sleep").to_str().unwrap()), Some(pid));
    assert!(signs.files.contains_key(&id_of(Path::new(&format!("/proc/{pid}/root")))));
    assert_eq!(signs.too_long, BTreeMap::new());
}

/// A process that waits with nothing of these variables open.
struct Started(std::process::Child);

impl Started {
    fn with(variables: &[(&str, &str)]) -> Self {
        let mut command = std::process::Command::new("sleep");
        Self(command.arg("600").env_clear().envs(variables.iter().copied()).spawn().unwrap())
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    fn signs(&self) -> Signs {
        Signs::of(self.pid()).unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Credentials, a certificate, packages: closed files that whatever this process starts opens again.
#[test]
fn what_the_variables_of_a_process_name_is_named_and_what_they_name_is_not_everything_around_it() {
    let started = Started::with(&[
        ("GOOGLE_APPLICATION_CREDENTIALS", "/tmp/tmp.AbC/key.json"),
        ("PYTHONPATH", "/opt/lib:/tmp/ray/session_1/runtime_resources/py_modules_files/x"),
        ("CACHE", "file=pip-cache"),
        ("TMPDIR", "/tmp"),
        ("PWD", "/tmp/ray"),
    ]);
    let signs = started.signs();
    for name in ["tmp.AbC", "session_1", "session_1/runtime_resources", "pip-cache"] {
        assert_eq!(signs.mentioned_by(name), Some(started.pid()), "{name}");
    }
    for name in ["tmpabc", "ray_tmp_1", "pip-1", "session_2", "session_1/sockets"] {
        assert_eq!(signs.mentioned_by(name), None, "{name}");
    }
}

/// A container's user starts what they like: it must not keep what is others' from being freed.
#[test]
fn more_variables_than_are_read_keep_what_is_in_their_own_namespace_alone() {
    let long = "x".repeat(120 << 10);
    let names: Vec<String> = (0..10).map(|number| format!("LONG_{number}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), long.as_str())).collect();
    let own = id_of(Path::new("/proc/self/ns/mnt"));
    let started = Started::with(&many);
    let signs = started.signs();
    assert_eq!(signs.nameless_in([own]), Some(started.pid()));
    assert!(signs.files.contains_key(&id_of(&started_folder(&started))), "the rest is read all the same");
    assert_eq!(Started::with(&many[..5]).signs().nameless_in([own]), None);
}

fn started_folder(started: &Started) -> std::path::PathBuf {
    format!("/proc/{}/cwd", started.pid()).into()
}

#[test]
fn the_signs_of_the_host_hold_those_of_this_process() {
    // Where the machine's first process hides from a test there are none at all.
    let Ok(signs) = Signs::read() else { return };
    assert!(signs.files.contains_key(&id_of(&std::env::current_exe().unwrap())));
}

#[test]
fn a_closed_file_is_no_longer_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("closed");
    drop(File::create(&path).unwrap());
    let signs = own_signs();
    assert!(!signs.files.contains_key(&id_of(&path)));
    assert_eq!(signs.mentioned_by(folder.path().to_str().unwrap()), None);
}

#[test]
fn program_folder_and_root_are_seen() {
    let signs = own_signs();
    for path in [std::env::current_exe().unwrap(), std::env::current_dir().unwrap(), "/".into()] {
        assert!(signs.files.contains_key(&id_of(&path)), "{}", path.display());
    }
}

/// A /proc in a folder, with one process that has nothing open.
fn fake_proc() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("locks"), "").unwrap();
    fake_process(&root.path().join("42"));
    root
}

fn fake_process(folder: &Path) {
    for name in ["ns", "fd", "net", "map_files", "a folder"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    fs::write(folder.join("stat"), "42 (x) S 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 5 0").unwrap();
    fs::write(folder.join("cmdline"), "python\0--session=session_1\0").unwrap();
    for name in ["ns/net", "ns/mnt", "net/unix", "maps", "environ", "mountinfo"] {
        fs::write(folder.join(name), "").unwrap();
    }
    for link in ["cwd", "root", "exe"] {
        std::os::unix::fs::symlink(folder.join("a folder"), folder.join(link)).unwrap();
    }
}

#[test]
fn each_link_of_a_process_is_a_sign_of_its_own() {
    for link in ["cwd", "root", "exe"] {
        let root = fake_proc();
        let folder = root.path().join("42");
        let used = folder.join("net");
        fs::rename(folder.join(link), folder.join("was")).unwrap();
        std::os::unix::fs::symlink(&used, folder.join(link)).unwrap();
        let signs = Signs::read_from(root.path()).unwrap();
        assert_eq!(signs.files.get(&id_of(&used)), Some(&42), "{link}");
    }
}

#[test]
fn a_file_that_is_mapped_with_its_descriptor_closed_is_seen_both_ways() {
    let root = fake_proc();
    let folder = root.path().join("42");
    fs::write(folder.join("maps"), "00400000-00452000 r-xp 00000000 fe:01 77   /tmp/mapped\n").unwrap();
    let target = folder.join("net");
    std::os::unix::fs::symlink(&target, folder.join("map_files/400000-452000")).unwrap();
    let signs = Signs::read_from(root.path()).unwrap();
    assert!(signs.files.contains_key(&FileId { dev: rustix::fs::makedev(0xfe, 1), ino: 77 }));
    assert!(signs.files.contains_key(&id_of(&target)));
    assert_eq!(signs.mentioned_by("/tmp/mapped"), Some(42));
}

#[test]
fn the_maps_of_a_process_whose_first_thread_has_ended_are_those_of_the_whole_process() {
    let root = fake_proc();
    let folder = root.path().join("42");
    let thread = folder.join("task/43");
    fs::create_dir_all(folder.join("task")).unwrap();
    fs::rename(fake_proc().path().join("42"), &thread).unwrap();
    let ended = "42 (x) Z 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 5 0";
    fs::write(folder.join("stat"), ended).unwrap();
    fs::write(thread.join("maps"), "00400000-00452000 r-xp 00000000 fe:01 77   /tmp/mapped\n").unwrap();
    for link in ["cwd", "root", "exe"] {
        fs::rename(thread.join(link), thread.join("was")).unwrap();
        std::os::unix::fs::symlink(thread.join("fd"), thread.join(link)).unwrap();
    }
    let target = folder.join("net");
    std::os::unix::fs::symlink(&target, folder.join("map_files/400000-452000")).unwrap();
    let signs = Signs::read_from(root.path()).unwrap();
    assert_eq!(signs.files.get(&id_of(&target)), Some(&42));
}

#[test]
fn a_lock_that_makes_no_sense_could_be_on_any_file() {
    let root = fake_proc();
    fs::write(root.path().join("locks"), "1: FLOCK  ADVISORY  WRITE 42 fe:01:77 0 EOF\n").unwrap();
    let locked = FileId { dev: rustix::fs::makedev(0xfe, 1), ino: 77 };
    assert_eq!(Signs::read_from(root.path()).unwrap().files.get(&locked), Some(&42));
    fs::write(root.path().join("locks"), "1: FLOCK  ADVISORY  WRITE\n").unwrap();
    assert!(Signs::read_from(root.path()).is_err());
}

#[test]
fn what_cannot_be_read_is_an_error_and_what_vanished_is_not() {
    let root = fake_proc();
    let folder = root.path().join("42");
    fs::write(folder.join("maps"), "no line of maps\n").unwrap();
    assert!(Signs::read_from(root.path()).is_err());

    let root = fake_proc();
    let folder = root.path().join("42");
    fs::rename(folder.join("maps"), folder.join("gone")).unwrap();
    let signs = Signs::read_from(root.path()).unwrap();
    // It ended in mid-read: what was seen before stands.
    assert_eq!(signs.mentioned_by("session_1"), Some(42));

    let root = fake_proc();
    let folder = root.path().join("42");
    fs::rename(folder.join("net/unix"), folder.join("gone")).unwrap();
    fs::create_dir(folder.join("net/unix")).unwrap();
    assert!(Signs::read_from(root.path()).is_err(), "a folder where the sockets should be");
}

/// Such as one that stands in a folder of /proc about a network interface that was removed.
#[test]
fn a_process_that_lives_has_the_rest_of_its_signs_and_keeps_what_is_in_its_namespace() {
    let planted = |flags: u32| {
        let root = fake_proc();
        let folder = root.path().join("42");
        fs::rename(folder.join("cwd"), folder.join("was")).unwrap();
        std::os::unix::fs::symlink(folder.join("nowhere"), folder.join("cwd")).unwrap();
        std::os::unix::fs::symlink(folder.join("net"), folder.join("fd/3")).unwrap();
        fs::create_dir_all(folder.join("task/42")).unwrap();
        let stat = format!("42 (x) S 1 1 1 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 1 0 5 0");
        fs::write(folder.join("task/42/stat"), stat).unwrap();
        root
    };
    let told = |root: &tempfile::TempDir| {
        let folder = root.path().join("42");
        let signs = Signs::read_from(root.path()).unwrap();
        assert_eq!(signs.files.get(&id_of(&folder.join("net"))), Some(&42), "it is held open");
        signs.nameless_in([id_of(&folder.join("ns/mnt"))])
    };
    assert_eq!(told(&planted(4_194_560)), Some(42));
    assert_eq!(told(&planted(4_194_564)), None, "it is about to end");
}

#[test]
fn who_was_started_while_the_others_were_read_is_read_as_well() {
    let root = fake_proc();
    let folder = |pid: i32| root.path().join(pid.to_string());
    let mut lists = vec![vec![43, 44], vec![43, 44], vec![42, 44], vec![42]];
    let signs = Signs::read_of(root.path(), || {
        let list = lists.pop().unwrap();
        for pid in list.iter().filter(|pid| !folder(**pid).exists()) {
            fake_process(&folder(*pid));
            fs::write(folder(*pid).join("cmdline"), format!("python\0/tmp/tmp-{pid}\0")).unwrap();
        }
        Ok(list)
    });
    let signs = signs.unwrap();
    assert_eq!(signs.mentioned_by("session_1"), Some(42));
    assert_eq!(signs.mentioned_by("tmp-44"), Some(44));
    assert_eq!(signs.mentioned_by("tmp-43"), Some(43), "by that time");
}

#[test]
fn whoever_starts_others_all_the_time_does_not_keep_a_reading_from_its_end() {
    let root = fake_proc();
    let mut pid = 42;
    let signs = Signs::read_of(root.path(), || {
        pid += 1;
        Ok(vec![42, pid])
    });
    assert_eq!(signs.unwrap().mentioned_by("session_1"), Some(42));
}

#[test]
fn what_a_mount_is_made_of_and_what_it_lies_on_is_named() {
    let root = fake_proc();
    let folder = root.path().join("42");
    let table = "36 35 8:1 /tmp/tmp_ws /workspace rw shared:1 - ext4 /dev/vda rw\n\
                 37 35 8:2 / /tmp/tmp\\040data rw - xfs /dev/vdb rw\n\
                 38 35 0:60 / /merged rw - overlay overlay rw,lowerdir=/lower,upperdir=/tmp/ray_tmp_1/upper\n\
                 39 35 0:61 / /dev/shm rw - tmpfs tmpfs rw\n";
    fs::write(folder.join("mountinfo"), table).unwrap();
    let signs = Signs::read_from(root.path()).unwrap();
    for name in ["tmp_ws", "tmp data", "ray_tmp_1"] {
        assert_eq!(signs.mentioned_by(name), Some(42), "{name}");
    }
    assert_eq!(signs.mentioned_by("tmpfs"), None, "a kind of file system is no name");

    fs::write(folder.join("mountinfo"), "36 35\n").unwrap();
    assert!(Signs::read_from(root.path()).is_err(), "it could be any mount");
}

#[test]
fn the_file_behind_a_loop_device_is_named() {
    let devices = tempfile::tempdir().unwrap();
    for (device, file) in [("loop0", Some("/tmp/tmp_disk.img\n")), ("loop1", None), ("vda", None)] {
        fs::create_dir_all(devices.path().join(device).join("loop")).unwrap();
        if let Some(file) = file {
            fs::write(devices.path().join(device).join("loop/backing_file"), file).unwrap();
        }
    }
    let mut signs = Signs::default();
    signs.backing_files(devices.path()).unwrap();
    assert!(signs.mentioned_by("tmp_disk.img").is_some());
    assert_eq!(signs.names.len(), 1);
    signs.backing_files(&devices.path().join("missing")).unwrap();
}
