//! Whose a temp root is: whether anybody but the workers that were judged can reach it.
//!
//! A `/tmp` that is a bind mount of the host's own, or a volume that another container has as well, may
//! hold what a stranger holds by nothing but its name. Nobody judges strangers, so nothing of that kind
//! goes there; dead sessions are told by every process of the host and still do.

mod hosts;
mod in_time;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use globset::GlobSet;
use rustix::{
    fs::{Mode, OFlags, ResolveFlags, open, openat2},
    io::Errno,
};

use self::in_time::in_time;
use super::{
    FileId,
    candidates::shown,
    discover::{Worker, membership::container_id_in},
    mountinfo::Mount,
    processes::{Process, Snapshot},
};

/// Folders of the host that are everybody's, whoever bind-mounts them.
const EVERYBODYS: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// How long it may take to find where a folder lies. A disk that is only slow answers in a part of that.
const ANSWERING: Duration = Duration::from_secs(5);

/// Where a folder lies: its file system, and its path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// `major:minor`, as mountinfo writes it.
    device: String,
    path: PathBuf,
    id: FileId,
    /// What the host calls it, where the host has it as a folder of its own.
    on_host: BTreeSet<PathBuf>,
}

impl Place {
    /// Where a worker's folder lies; `None` if there is no such folder. The way to it may lead through a file
    /// system that does not answer.
    pub(crate) fn of(worker: &Worker, folder: &Path) -> io::Result<Option<Self>> {
        let (pid, folder) = (worker.init.pid, folder.to_owned());
        in_time(ANSWERING, move || Self::look(pid, &folder))
    }

    fn look(pid: i32, folder: &Path) -> io::Result<Option<Self>> {
        let path_only = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(format!("/proc/{pid}/root"), path_only, Mode::empty())?;
        let rules = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let found = match openat2(&root, folder, path_only, Mode::empty(), rules) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mount = mount_of(&found)?;
        let mounts = Mount::all_of(pid)?;
        let mount = mounts.iter().find(|known| known.id == mount).ok_or(io::ErrorKind::NotFound)?;
        let real = fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
        let below = real.strip_prefix(&mount.point).map_err(io::Error::other)?;
        let metadata = fs::metadata(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
        let path = mount.root.join(below);
        Ok(Some(Self {
            on_host: hosts::names(&mount.device, &path, &mounts, &Mount::all_of(1)?),
            device: mount.device.clone(),
            path,
            id: FileId { dev: metadata.dev(), ino: metadata.ino() },
        }))
    }

    /// That it is a folder of the host's, in words, unless root names it among those that are a worker's
    /// alone: a program of the host may work in it by name, and nobody judges that one either.
    pub(crate) fn of_the_host(&self, own: &GlobSet) -> Option<String> {
        let name = self.on_host.first()?;
        let is_named = self.on_host.iter().any(|name| own.is_match(name));
        (!is_named).then(|| {
            format!(
                "it is the host's folder {}, where the host's programs may work as well \
                 (if none does, name it in containers.own_temp_roots)",
                shown(name)
            )
        })
    }

    /// Whether this is the folder that was found here.
    pub(crate) fn is(&self, found: FileId) -> bool {
        self.id == found
    }

    /// A stranger that can reach this folder, in words; `None` if there is none.
    pub(crate) fn stranger(
        &self,
        members: &[&Worker],
        processes: &Snapshot,
        neighbours: &Neighbours,
    ) -> Option<String> {
        for folder in EVERYBODYS {
            let is_it = fs::metadata(folder)
                .is_ok_and(|found| (FileId { dev: found.dev(), ino: found.ino() }) == self.id);
            if is_it
                && !members
                    .iter()
                    .all(|member| processes.is_host(|host| host.mount == member.mount_namespace))
            {
                return Some(format!("it is the host's own {folder}"));
            }
        }
        for (namespace, Neighbour { who, mounts }) in &neighbours.others {
            let judged = members.iter().any(|member| member.mount_namespace == *namespace);
            let is_meant = |mount: &Mount| {
                self.is_reached_by(mount) && !view::is_of_the_host(mount, mounts, &neighbours.host)
            };
            if !judged && mounts.iter().any(is_meant) {
                return Some(format!("{who}, which is not of this worker, has it mounted too"));
            }
        }
        None
    }

    /// Who only reads holds names as well. But who reads all of a disk, as monitoring does, does not
    /// mean this folder.
    fn is_reached_by(&self, mount: &Mount) -> bool {
        let is_meant = mount.root.starts_with(&self.path);
        let is_written = !mount.read_only && self.path.starts_with(&mount.root);
        mount.device == self.device && (is_meant || is_written)
    }
}

/// What everybody but the host has mounted, by mount namespace, and what the host has.
#[derive(Debug)]
pub(crate) struct Neighbours {
    others: BTreeMap<FileId, Neighbour>,
    host: Vec<Mount>,
}

/// One mount namespace.
#[derive(Debug)]
struct Neighbour {
    /// A process of it, in words.
    who: String,
    mounts: Vec<Mount>,
}

impl Neighbours {
    /// Reads the mounts of every namespace that these processes live in.
    pub(crate) fn read(processes: &Snapshot) -> io::Result<Self> {
        let mut pids: BTreeMap<FileId, Vec<i32>> = BTreeMap::new();
        for process in &processes.processes {
            let mount = process.namespaces.mount;
            // The host reaches every volume by some path; as temporary folders it has its own.
            if !processes.is_host(|host| host.mount == mount) {
                pids.entry(mount).or_default().push(process.id.pid);
            }
        }
        let host = Mount::all_of(1)?;
        let mut others = BTreeMap::new();
        for (namespace, pids) in pids {
            let Some((pid, mounts)) = mounts_of_any(&pids, Mount::all_of)? else { continue };
            // A service with mounts of its own is the host all the same.
            if root_mount(&mounts) != root_mount(&host) {
                let who = processes.find(pid).map_or_else(|| format!("process {pid}"), in_words);
                others.insert(namespace, Neighbour { who, mounts });
            }
        }
        Ok(Self { others, host })
    }
}

/// Whom a person has to look for: the program, and the container where a cgroup tells it.
fn in_words(process: &Process) -> String {
    let (pid, program) = (process.id.pid, shown(Path::new(process.program())));
    let program: String = program.chars().take(64).collect();
    match container_id_in(&process.cgroup) {
        Some(id) => format!("process {pid} ({program}) of container {id:.12}"),
        None => format!("process {pid} ({program})"),
    }
}

/// The mounts that these processes share, from the first that still lives; `None` where all have ended.
/// A namespace ends with the last of its processes, and not with the first.
fn mounts_of_any(
    pids: &[i32],
    read: impl Fn(i32) -> io::Result<Vec<Mount>>,
) -> io::Result<Option<(i32, Vec<Mount>)>> {
    for pid in pids {
        match read(*pid) {
            Ok(mounts) => return Ok(Some((*pid, mounts))),
            // A zombie has no mounts any more, and says that the question is invalid.
            Err(error)
                if matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::NOENT | Errno::SRCH | Errno::INVAL)
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// What is mounted on `/`, the last of them on top.
fn root_mount(mounts: &[Mount]) -> Option<(String, PathBuf)> {
    let root = mounts.iter().rev().find(|mount| mount.point == Path::new("/"))?;
    Some((root.device.clone(), root.root.clone()))
}

/// The number of the mount that an open file lies in.
fn mount_of(file: impl AsFd) -> io::Result<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_fd().as_raw_fd()))?;
    let number = info.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    number.and_then(|number| number.trim().parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::sweep::Containers,
        sweeper::{
            inside::tests::harness::{World, worker_of},
            processes::fixture::{Served, namespaces, process, snapshot, worker},
        },
    };

    fn place(device: &str, path: &str) -> Place {
        let id = FileId { dev: 0, ino: 0 };
        Place { device: device.to_owned(), path: path.into(), id, on_host: BTreeSet::new() }
    }

    fn line(device: &str, root: &str, options: &str) -> Mount {
        Mount::parse(format!("36 35 {device} {root} /x {options} master:1 - ext4 /dev/vda rw").as_bytes())
            .unwrap()
    }

    #[test]
    fn a_volume_is_shared_with_whoever_was_given_it_or_can_write_to_it() {
        let volume = place("8:1", "/var/lib/docker/volumes/v/_data");
        for (device, root, options, reached) in [
            ("8:1", "/var/lib/docker/volumes/v/_data", "rw,relatime", true),
            ("8:1", "/", "rw", true),
            ("8:1", "/var/lib/docker/volumes/v/_data/ray", "rw", true),
            ("8:1", "/", "ro,relatime", false),
            ("8:1", "/var/lib/docker/volumes/v/_data", "ro,relatime", true),
            ("8:1", "/var/lib/docker/volumes/v/_data/ray", "ro", true),
            ("8:1", "/var/lib/docker/volumes/other/_data", "rw", false),
            ("8:2", "/", "rw", false),
        ] {
            assert_eq!(
                volume.is_reached_by(&line(device, root, options)),
                reached,
                "{device} {root} {options}"
            );
        }
    }

    #[test]
    fn whoever_has_the_volume_and_was_not_judged_is_a_stranger() {
        let volume = place("8:1", "/volumes/v/_data");
        let worker = worker(&process(10, 1, "/x", &["x"]));
        let has = |number, root: &str| {
            let mounts = vec![line("0:50", "/", "rw"), line("8:1", root, "rw")];
            let neighbour = Neighbour { who: in_words(&process(20, 1, "/bin/rsync", &["rsync"])), mounts };
            Neighbours { others: [(namespaces(number).mount, neighbour)].into(), host: vec![] }
        };
        let stranger = |members: &[&Worker], neighbours: &Neighbours| {
            volume.stranger(members, &snapshot([]), neighbours)
        };
        let why = stranger(&[&worker], &has(2, "/volumes/v/_data")).unwrap();
        assert!(why.contains("process 20 (rsync) of container 2e1163d20a8a, which"), "{why}");
        assert_eq!(stranger(&[&worker], &has(2, "/volumes/other/_data")), None);
        assert_eq!(stranger(&[&worker], &has(1, "/volumes/v/_data")), None, "it was judged itself");
        assert!(stranger(&[], &has(1, "/volumes/v/_data")).is_some());
    }

    #[test]
    fn the_hosts_own_temporary_folder_is_not_a_containers_alone() {
        let Some(world) = World::start("true") else { return };
        let worker = worker_of(world.pid);
        let stranger = |folder: &Path| {
            let place = Place::of(&worker, folder).unwrap().unwrap();
            let processes = Snapshot::read().unwrap();
            place.stranger(&[&worker], &processes, &Neighbours::read(&processes).unwrap())
        };
        let why = stranger(Path::new("/tmp")).unwrap();
        assert!(why.contains("the host's own /tmp"), "{why}");
    }

    #[test]
    fn a_folder_of_the_hosts_is_the_workers_only_by_roots_word() {
        let names = |names: &[&str]| names.iter().map(PathBuf::from).collect();
        let bound = Place { on_host: names(&["/data/ray-1", "/srv/ray-1"]), ..place("8:32", "/ray-1") };
        let root_says = |patterns: &[&str]| {
            let own_temp_roots = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
            let containers = Containers { own_temp_roots, ..Containers::default() };
            bound.of_the_host(&containers.own_temp_roots().unwrap())
        };
        for others in [&[][..], &["/data/ray-2"], &["/data"], &["/*"], &["/data/ray-1/*"]] {
            let why = root_says(others).unwrap();
            assert!(why.contains("the host's folder /data/ray-1,"), "{others:?}: {why}");
        }
        for own in [["/data/ray-*"], ["/srv/ray-1"]] {
            assert_eq!(root_says(&own), None, "{own:?}");
        }
        let nobodys = place("8:32", "/ray-1").of_the_host(&GlobSet::empty());
        assert_eq!(nobodys, None, "the host has no such folder");
    }

    #[test]
    fn our_own_temporary_folder_has_a_place() {
        let folder = tempfile::tempdir().unwrap();
        let mounts = Mount::all_of(i32::try_from(std::process::id()).unwrap()).unwrap();
        let file = fs::File::open(folder.path()).unwrap();
        let number = mount_of(&file).unwrap();
        assert!(mounts.iter().any(|mount| mount.id == number));

        let own = worker_of(std::process::id());
        assert!(Place::of(&own, folder.path()).unwrap().is_some());
        assert!(Place::of(&own, &folder.path().join("missing")).unwrap().is_none());
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(Place::of(&own, &folder.path().join("file")).is_err(), "a file is no folder");
    }

    /// Where an NFS server is down or a FUSE daemon hangs, the other workers must not wait for it.
    #[test]
    fn a_file_system_that_does_not_answer_is_waited_for_so_long_and_no_longer() {
        let Some(served) = Served::new(0) else { return };
        let own = worker_of(served.world.pid);
        let folder = served.folder.join("ray");
        assert!(Place::of(&own, &folder).unwrap().is_none(), "it answers");
        rustix::process::kill_process(served.server, rustix::process::Signal::STOP).unwrap();
        let error = Place::of(&own, &served.folder.join("session")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    }

    #[test]
    fn a_process_that_has_ended_does_not_speak_for_the_others_of_its_namespace() {
        let own = i32::try_from(std::process::id()).unwrap();
        let mut zombie = std::process::Command::new("true").spawn().unwrap();
        let ended = i32::try_from(zombie.id()).unwrap();
        let stat = format!("/proc/{ended}/stat");
        while !fs::read_to_string(&stat).unwrap().contains(") Z ") {
            std::thread::yield_now();
        }
        assert!(mounts_of_any(&[ended], Mount::all_of).unwrap().is_none());
        assert_eq!(mounts_of_any(&[ended, i32::MAX, own], Mount::all_of).unwrap().unwrap().0, own);
        zombie.wait().unwrap();
    }

    #[test]
    fn mounts_that_cannot_be_read_could_be_any() {
        let refused = |_| Err(io::ErrorKind::PermissionDenied.into());
        assert!(mounts_of_any(&[1, 2], refused).is_err());
    }

    #[test]
    fn who_has_a_root_of_its_own_is_a_neighbour_and_a_service_of_the_host_is_none() {
        let pivot = r#"mount -t tmpfs tmpfs "$SCRATCH"; cd "$SCRATCH"; mkdir old; pivot_root . old"#;
        let (Some(container), Some(service)) = (World::start(pivot), World::start("true")) else { return };
        let neighbours = Neighbours::read(&Snapshot::read().unwrap()).unwrap();
        let has = |pid| neighbours.others.contains_key(&worker_of(pid).mount_namespace);
        assert!(has(container.pid));
        assert!(!has(service.pid), "its mounts are its own and its root is the host's");
        assert!(!has(std::process::id()));
    }

    #[test]
    fn the_place_of_a_workers_folder_is_what_a_child_enters() {
        let script = r#"cd "$SCRATCH"; mkdir -p lower/tmp upper work m
            mount -t overlay overlay -o "lowerdir=$SCRATCH/lower,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" m
            mkdir m/tmp/own; ln -s tmp m/link"#;
        let Some(world) = World::start(script) else { return };
        for name in ["m/tmp", "m/tmp/own", "m/link"] {
            let folder = world.scratch.join(name);
            let place = Place::of(&worker_of(world.pid), &folder).unwrap().unwrap();
            assert!(place.is(world.enter(folder.to_str().unwrap()).usage().unwrap().root), "{name}");
            assert!(!place.is(FileId { dev: 0, ino: 0 }), "{name}: it is no other folder");
        }
    }
}
