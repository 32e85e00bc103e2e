//! Into a worker's mount namespace, and to its temp root.
//!
//! Runs in the child while it has one thread. Nothing here trusts a pid: what was looked at is
//! compared after the pidfd is open, which from then on means one process, and again right before
//! the namespace is entered.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, Mode, OFlags, ResolveFlags, fstatfs, open, openat2, statat},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
    thread::{ThreadNameSpaceType, move_into_thread_name_spaces},
};
use serde::{Deserialize, Serialize};

use super::{
    InsideError,
    folder::{self, reason},
    layer::{BTRFS, Layer},
    wire,
};
use crate::sweeper::{FileId, ProcessId};

/// Whom to enter: what the parent saw of the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) init: ProcessId,
    pub(super) mount_namespace: FileId,
    pub(super) cgroup: String,
    #[serde(with = "wire")]
    pub(super) temp_root: PathBuf,
    /// Where the runtime says that the container's own layer lies.
    #[serde(with = "wire")]
    pub(super) upper_layer: Option<PathBuf>,
    /// Whether it is the bare host, whoever's mount namespace we run in ourselves.
    pub(super) bare: bool,
    /// For so long the parent may ask; then the child ends by itself.
    pub(super) time: Duration,
}

/// Which of the files in use can lie under this temp root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Devices {
    /// The devices under which they show. Older kernels show what is open through an overlay under
    /// the device and inode of the layer that holds it.
    pub(super) devices: Vec<u64>,
    /// Compare inode numbers alone: btrfs shows different devices to stat and in maps.
    pub(super) any: bool,
}

/// A temp root, entered.
#[derive(Debug)]
pub(super) struct Root {
    /// The worker's first process (a pidfd): readable once it has ended.
    pub(super) init: OwnedFd,
    pub(super) fd: OwnedFd,
    /// What it was asked for as.
    pub(super) path: PathBuf,
    pub(super) layer: Layer,
    pub(super) devices: Devices,
}

/// File systems on which a delete ends in bounded time and stays on this host. A list of what is
/// known to be local, since the list of network file systems never ends.
const LOCAL: [(u32, &str); 8] = [
    (0xEF53, "ext4"),
    (0x5846_5342, "xfs"),
    (BTRFS, "btrfs"),
    (0x794C_7630, "overlay"),
    (0x0102_1994, "tmpfs"),
    (0xF2F5_2010, "f2fs"),
    (0x2FC1_2FC1, "zfs"),
    (0xCA45_1A4E, "bcachefs"),
];

/// What refused file systems are called; others are named by number.
const FOREIGN: [(u32, &str); 11] = [
    (0x6969, "NFS"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB"),
    (0x517B, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9p"),
    (0x00C3_6400, "Ceph"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x5346_414F, "AFS"),
    (0x9FA0, "proc"),
];

/// Enters the worker's mount namespace, unless it is our own, and opens its temp root.
pub(super) fn enter(target: &Target) -> Result<Root, InsideError> {
    let pid = Pid::from_raw(target.init.pid)
        .filter(|pid| pid.as_raw_nonzero().get() > 0)
        .ok_or_else(|| not_the_worker("its pid is no pid"))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())
        .map_err(|errno| not_the_worker(format!("process {}: {}", target.init.pid, reason(errno))))?;
    check(target)?;
    let own = namespace("thread-self", "mnt")?;
    let layer = find_layer(target)?;
    let proc = open("/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| folder::error("/proc", errno))?;
    check(target)?;
    if own != target.mount_namespace {
        move_into_thread_name_spaces(pidfd.as_fd(), ThreadNameSpaceType::MOUNT)
            .map_err(|errno| not_the_worker(format!("its mount namespace: {}", reason(errno))))?;
    }
    // The process may have moved to another namespace in the last moment.
    let entered = statat(&proc, "thread-self/ns/mnt", AtFlags::empty())
        .map_err(|errno| folder::error("our own mount namespace", errno))?;
    if (FileId { dev: entered.st_dev, ino: entered.st_ino }) != target.mount_namespace {
        return Err(not_the_worker("its mount namespace changed"));
    }
    let fd = open_root(&target.temp_root, target.bare || own == target.mount_namespace)?;
    let devices = accept(&fd, &layer)?;
    Ok(Root { init: pidfd, fd, path: target.temp_root.clone(), layer, devices })
}

fn not_the_worker(detail: impl Into<String>) -> InsideError {
    InsideError::NotTheWorker(detail.into())
}

/// Compares everything that was seen of the worker's process with what it is now.
fn check(target: &Target) -> Result<(), InsideError> {
    let pid = target.init.pid;
    let read = |file: &str| {
        fs::read_to_string(format!("/proc/{pid}/{file}"))
            .map_err(|error| not_the_worker(format!("process {pid}: {error}")))
    };
    if start_ticks(&read("stat")?) != Some(target.init.start_ticks) {
        return Err(not_the_worker(format!("pid {pid} is another process now")));
    }
    if read("cgroup")?.trim_end() != target.cgroup.trim_end() {
        return Err(not_the_worker(format!("process {pid} is in another cgroup now")));
    }
    let process = pid.to_string();
    if namespace(&process, "mnt")? != target.mount_namespace {
        return Err(not_the_worker(format!("process {pid} is in another mount namespace now")));
    }
    if namespace(&process, "user")? != namespace("self", "user")? {
        // There a rename answers EOVERFLOW for owners that it does not map.
        return Err(InsideError::RootRefused(
            "the container has a user namespace of its own (rootless)".to_owned(),
        ));
    }
    Ok(())
}

/// Field 22 of `/proc/PID/stat`. The command's name may hold spaces and parentheses.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The identity of a process's namespace.
fn namespace(process: &str, kind: &str) -> Result<FileId, InsideError> {
    let meta = fs::metadata(format!("/proc/{process}/ns/{kind}"))
        .map_err(|error| not_the_worker(format!("process {process}: {error}")))?;
    Ok(FileId { dev: meta.dev(), ino: meta.ino() })
}

/// Looks from the host's side for the layer that the temp root writes to. Only looks: what changes
/// the tree runs inside.
fn find_layer(target: &Target) -> Result<Layer, InsideError> {
    let pid = target.init.pid;
    let path_only = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(format!("/proc/{pid}/root"), path_only, Mode::empty())
        .map_err(|errno| not_the_worker(format!("the root of process {pid}: {}", reason(errno))))?;
    let temp_root = resolve(&root, &target.temp_root, ResolveFlags::empty())?;
    let path = real_path(&temp_root)?;
    Layer::find(pid, &temp_root, &path, target.upper_layer.as_deref())
        .map_err(|error| InsideError::System(format!("the mounts of process {pid}: {error}")))
}

/// What a descriptor is called where it was opened.
fn real_path(fd: &OwnedFd) -> Result<PathBuf, InsideError> {
    use std::os::fd::AsRawFd;
    fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
        .map_err(|error| InsideError::System(format!("the temp root's path: {error}")))
}

/// Opens an absolute path as the namespace resolves it.
fn resolve(root: impl AsFd, path: &Path, more: ResolveFlags) -> Result<OwnedFd, InsideError> {
    if !path.is_absolute() {
        return Err(InsideError::RootRefused(format!("{} is not absolute", path.display())));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let rules = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | more;
    // A rename elsewhere makes the kernel unsure of `..`; it asks to be asked again.
    let mut tries = 0;
    loop {
        match openat2(&root, path, flags, Mode::empty(), rules) {
            Err(Errno::AGAIN) if tries < 16 => tries += 1,
            Err(Errno::LOOP) => {
                return Err(InsideError::RootRefused(format!("{} is a symlink", path.display())));
            }
            // A variable may name a folder that nobody has made.
            Err(Errno::NOENT) => return Err(InsideError::NotFound),
            Err(errno) => {
                return Err(InsideError::RootRefused(format!("{}: {}", path.display(), reason(errno))));
            }
            Ok(fd) => return Ok(fd),
        }
    }
}

/// Finds a folder as the namespace that was entered resolves its path.
pub(super) fn find(path: &Path) -> Result<OwnedFd, InsideError> {
    resolve(top()?, path, ResolveFlags::empty())
}

/// The namespace's own root.
fn top() -> Result<OwnedFd, InsideError> {
    open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| folder::error("/", errno))
}

/// Opens the temp root.
///
/// In a container a symlink on the way, such as `/tmp -> /var/tmp`, is the image's own business: it
/// is followed, and cannot lead out of the container's root. On the bare host it is refused: there
/// the settings name the real folder, and whoever can place a symlink on the way is not root.
fn open_root(path: &Path, bare: bool) -> Result<OwnedFd, InsideError> {
    let root = top()?;
    let rules = if bare { ResolveFlags::NO_SYMLINKS } else { ResolveFlags::empty() };
    let found = resolve(&root, path, rules)?;
    if folder::facts_of(&found)?.id == folder::facts_of(&root)?.id {
        return Err(InsideError::RootRefused("it is the root folder".to_owned()));
    }
    // What was found is opened for reading through itself, so that it stays what was found.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let own = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(&found, c".", flags | OFlags::NOATIME, Mode::empty(), own)
        .or_else(|_| openat2(&found, c".", flags, Mode::empty(), own))
        .map_err(|errno| InsideError::RootRefused(format!("{}: {}", path.display(), reason(errno))))
}

/// Refuses a temp root that does not lie on a local file system.
fn accept(fd: &OwnedFd, layer: &Layer) -> Result<Devices, InsideError> {
    let kind = fstatfs(fd).map_err(|errno| folder::error("the temp root", errno))?.f_type;
    let kind = u32::try_from(kind & 0xFFFF_FFFF).unwrap_or_default();
    if !LOCAL.iter().any(|(local, _)| *local == kind) {
        let name = FOREIGN.iter().find(|(foreign, _)| *foreign == kind).map(|(_, name)| *name);
        return Err(InsideError::RootRefused(name.map_or_else(
            || format!("a file system of type {kind:#x} is not known to be local"),
            |name| format!("a {name} file system is not local"),
        )));
    }
    let root = folder::facts_of(fd)?.id.dev;
    Ok(match layer {
        Layer::Upper { dev, btrfs, .. } => Devices { devices: vec![root, *dev], any: *btrfs },
        // What the hidden layer's device is cannot be told, so every device may be it.
        Layer::Hidden => Devices { devices: vec![root], any: true },
        Layer::Plain => Devices { devices: vec![root], any: kind == BTRFS },
    })
}
