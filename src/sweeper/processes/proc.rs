//! One file or folder of /proc at a time, and what its failures mean.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, StatxFlags, makedev, statx},
    io::Errno,
};

use crate::sweeper::FileId;

/// More than any status, list of cgroups or environment is; what is longer is not read in part.
const MOST_BYTES: u64 = 8 << 20;
/// What `execve` lets through where nobody has asked for more. A process can make any part of its memory its
/// arguments, memory that it never touched among it: what costs it nothing must not cost us.
const MOST_ARGUMENT_BYTES: u64 = 2 << 20;
/// Each is a text of its own, also an empty one.
const MOST_ARGUMENTS: usize = 20_000;
/// What of a line is read. The kernel's own fields stand in front of what a process can choose.
const MOST_LINE_BYTES: usize = 64 << 10;

/// Why something in /proc was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The process, the file descriptor or the mapping ended meanwhile: there is nothing to judge.
    Vanished,
    /// It is there and could not be read: it might be anything.
    Failed(io::Error),
}

impl Unread {
    // The signature that `map_err` asks for.
    #[allow(clippy::needless_pass_by_value)]
    fn of(path: &Path, error: io::Error) -> Self {
        if matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::SRCH)) {
            return Self::Vanished;
        }
        Self::Failed(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    /// Something that can be read and makes no sense.
    pub(crate) fn odd(path: &Path, what: &str) -> Self {
        Self::Failed(io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display())))
    }
}

/// What has vanished is nothing; what failed is an error.
pub(crate) fn unless_vanished<T>(result: Result<T, Unread>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Unread::Vanished) => Ok(None),
        Err(Unread::Failed(error)) => Err(error),
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, Unread> {
    bytes_within(path, MOST_BYTES)?.ok_or_else(|| Unread::odd(path, "too long to be read"))
}

/// `None` where it holds more than so many.
pub(crate) fn bytes_within(path: &Path, most: u64) -> Result<Option<Vec<u8>>, Unread> {
    let mut content = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut content))
        .map_err(|error| Unread::of(path, error))?;
    Ok((content.len() as u64 <= most).then_some(content))
}

/// The arguments of a process; `None` where they are more than are held of any one process.
pub(crate) fn cmdline(folder: &Path) -> Result<Option<Vec<String>>, Unread> {
    let cmdline = bytes_within(&folder.join("cmdline"), MOST_ARGUMENT_BYTES)?;
    Ok(cmdline
        .filter(|cmdline| count(own_part(cmdline)) <= MOST_ARGUMENTS)
        .map(|cmdline| arguments(&cmdline)))
}

/// Gives each line of a file, without its break: a list of any length takes the memory of one line. Of
/// one that is very long only the beginning is given, and `false`.
pub(crate) fn lines(
    path: &Path,
    mut each: impl FnMut(&[u8], bool) -> Result<(), Unread>,
) -> Result<(), Unread> {
    let failed = |error| Unread::of(path, error);
    let file = fs::File::open(path).map_err(failed)?;
    let mut file = BufReader::with_capacity(MOST_LINE_BYTES, file);
    let mut line = vec![];
    loop {
        line.clear();
        let length =
            file.by_ref().take(MOST_LINE_BYTES as u64).read_until(b'\n', &mut line).map_err(failed)?;
        if length == 0 {
            return Ok(());
        }
        let ends = line.pop_if(|last| *last == b'\n').is_some();
        let is_whole = ends || length < MOST_LINE_BYTES;
        each(&line, is_whole)?;
        if !is_whole {
            file.skip_until(b'\n').map_err(failed)?;
        }
    }
}

/// Titles, paths and names are whatever a process says: what is not UTF-8 is replaced.
pub(crate) fn text(path: &Path) -> Result<String, Unread> {
    bytes(path).map(|content| String::from_utf8_lossy(&content).into_owned())
}

/// What a link of /proc names, in the process's own namespace. `None` where it leads to a path that is
/// longer than the kernel says of one: whoever changes folder often enough stands in such a place, and
/// everything else of that process can be read all the same.
pub(crate) fn link(path: &Path) -> Result<Option<PathBuf>, Unread> {
    match fs::read_link(path) {
        Ok(name) => Ok(Some(name)),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NAMETOOLONG) => Ok(None),
        Err(error) => Err(Unread::of(path, error)),
    }
}

/// Whether a descriptor's name is that of a socket, a pipe or an object of the kernel's own, which make
/// up most descriptors.
pub(crate) fn is_in_no_file_system(name: &Path) -> bool {
    let name = name.as_os_str().as_encoded_bytes();
    ["socket:[", "pipe:[", "anon_inode:"].iter().any(|kind| name.starts_with(kind.as_bytes()))
}

/// The file behind a link of /proc. Its server is not asked (`DONT_SYNC`): a descriptor on a dead
/// FUSE or network file system must neither hang a sweep nor stop it, and a file's identity does not change.
pub(crate) fn file_id(path: &Path) -> Result<FileId, Unread> {
    ask(path, StatxFlags::INO).map_err(|error| Unread::of(path, error.into()))
}

fn ask(path: &Path, wanted: StatxFlags) -> rustix::io::Result<FileId> {
    statx(CWD, path, AtFlags::STATX_DONT_SYNC, wanted)
        .map(|found| FileId { dev: makedev(found.stx_dev_major, found.stx_dev_minor), ino: found.stx_ino })
}

/// As [`file_id`]; `None` of a file whose file system answers nobody but the user who serves it, not even
/// root: FUSE without `allow_other`, as `sshfs` and what starts itself from an image mount it. It still says
/// its device to whoever asks for nothing else, and no temp root lies on such a one. What says not even that
/// could be any file.
pub(crate) fn file_id_unless_private(path: &Path) -> Result<Option<FileId>, Unread> {
    let asked = match ask(path, StatxFlags::INO) {
        Err(Errno::ACCESS) => ask(path, StatxFlags::empty()).map(|_| None),
        asked => asked.map(Some),
    };
    asked.map_err(|error| Unread::of(path, error.into()))
}

/// The names in a folder of /proc that are numbers. One that cannot be read to its end is not read in part.
pub(crate) fn numbers(path: &Path) -> Result<Vec<i32>, Unread> {
    fs::read_dir(path)
        .map_err(|error| Unread::of(path, error))?
        .filter_map(|entry| match entry {
            Ok(entry) => entry.file_name().to_str()?.parse().ok().map(Ok),
            Err(error) => Some(Err(Unread::of(path, error))),
        })
        .collect()
}

/// The names in a folder of /proc. One that cannot be read to its end is not read in part.
pub(crate) fn names(path: &Path) -> Result<Vec<String>, Unread> {
    fs::read_dir(path)
        .map_err(|error| Unread::of(path, error))?
        .map(|entry| match entry {
            Ok(entry) => Ok(entry.file_name().to_string_lossy().into_owned()),
            Err(error) => Err(Unread::of(path, error)),
        })
        .collect()
}

/// Where to read a process: its own folder or, when its first thread has ended and others run on,
/// that of a thread that runs. `None` where nothing of it runs: a zombie is not work.
pub(crate) fn living_folder(proc_root: &Path, pid: i32) -> Result<Option<(PathBuf, Stat)>, Unread> {
    let folder = proc_root.join(pid.to_string());
    let stat = Stat::read(&folder)?;
    if stat.kernel_thread {
        return Ok(None);
    }
    if !stat.ended {
        return Ok(Some((folder, stat)));
    }
    let tasks = folder.join("task");
    for task in numbers(&tasks)? {
        let thread = tasks.join(task.to_string());
        match Stat::read(&thread) {
            Ok(found) if !found.ended => return Ok(Some((thread, stat))),
            Ok(_) | Err(Unread::Vanished) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Whether any thread of a process neither has ended nor is about to: who is about to end has given up its
/// folder and its files before it counts as ended.
pub(crate) fn lives(proc_root: &Path, pid: i32) -> Result<bool, Unread> {
    let tasks = proc_root.join(pid.to_string()).join("task");
    for task in numbers(&tasks)? {
        match Stat::read(&tasks.join(task.to_string())) {
            Ok(found) if !found.ended && !found.is_ending() => return Ok(true),
            Ok(_) | Err(Unread::Vanished) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// The fields of `/proc/PID/stat` that are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) parent: i32,
    /// Whether it is a zombie or already dead.
    pub(crate) ended: bool,
    pub(crate) kernel_thread: bool,
    /// The kernel's own marks.
    pub(crate) flags: u64,
    /// Whether its group is the one that its terminal listens to.
    pub(crate) in_foreground: bool,
    pub(crate) cpu_ticks: u64,
    pub(crate) children_cpu_ticks: u64,
    pub(crate) start_ticks: u64,
}

impl Stat {
    pub(crate) fn read(folder: &Path) -> Result<Self, Unread> {
        let path = folder.join("stat");
        Self::parse(&text(&path)?).ok_or_else(|| Unread::odd(&path, "not the fields of a process"))
    }

    /// Whether it is on its way to its end.
    fn is_ending(&self) -> bool {
        const PF_EXITING: u64 = 0x4;
        self.flags & PF_EXITING != 0
    }

    /// A program's name may hold spaces, brackets and line breaks: the fields begin after the last ')'.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        const PF_KTHREAD: u64 = 0x0020_0000;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        // `man 5 proc` counts from 1 and the state, the first field here, is its third.
        let field = |number: usize| fields.get(number - 3).copied();
        let ticks = |number| field(number)?.parse::<u64>().ok();
        // Signed in the kernel's own format; negative where a clock went wrong.
        let children = |number| field(number)?.parse::<i64>().ok().map(|n| u64::try_from(n).unwrap_or(0));
        let group = |number| field(number)?.parse::<i32>().ok();
        // Without a terminal the second is negative; where it lies out of our sight both may be 0.
        let (own, foreground) = (group(5)?, group(8)?);
        Some(Self {
            parent: field(4)?.parse().ok()?,
            ended: matches!(field(3)?, "Z" | "X" | "x"),
            kernel_thread: ticks(9)? & PF_KTHREAD != 0,
            flags: ticks(9)?,
            in_foreground: own > 0 && own == foreground,
            cpu_ticks: ticks(14)?.saturating_add(ticks(15)?),
            children_cpu_ticks: children(16)?.saturating_add(children(17)?),
            start_ticks: ticks(22)?,
        })
    }
}

/// Without the NULs at its end.
fn own_part(cmdline: &[u8]) -> &[u8] {
    let end = cmdline.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &cmdline[..end]
}

/// How many arguments it holds.
fn count(own_part: &[u8]) -> usize {
    own_part.split(|byte| *byte == 0).count()
}

/// The arguments of a process. A title that was set over them ends in NULs or spaces.
pub(crate) fn arguments(cmdline: &[u8]) -> Vec<String> {
    let own = own_part(cmdline);
    if own.is_empty() {
        return vec![];
    }
    let mut arguments: Vec<String> =
        own.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect();
    if let [title] = arguments.as_mut_slice() {
        title.truncate(title.trim_end().len());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_named_like_the_fields_that_follow_it() {
        let line = "42 (a) R 1 (\n) b) S 7 1 1 0 -1 4194560 9 0 0 0 150 50 20 10 20 0 1 0 9876 1 1";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(
            stat,
            Stat {
                parent: 7,
                ended: false,
                kernel_thread: false,
                flags: 4_194_560,
                in_foreground: false,
                cpu_ticks: 200,
                children_cpu_ticks: 30,
                start_ticks: 9876
            }
        );
    }

    #[test]
    fn zombies_and_kernel_threads_are_told_apart() {
        let of = |state: &str, flags: &str| {
            Stat::parse(&format!("2 (x) {state} 0 0 0 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 1 0 5 0")).unwrap()
        };
        assert!(of("Z", "4194560").ended);
        assert!(!of("D", "4194560").ended);
        assert!(of("S", "2129984").kernel_thread);
        assert!(!of("S", "4194560").kernel_thread);
        assert!(of("R", "4194564").is_ending() && !of("R", "4194560").is_ending());
    }

    #[test]
    fn in_the_foreground_is_whose_group_the_terminal_listens_to() {
        let of = |groups: &str| {
            let line = format!("2 (x) S 1 {groups} 4194560 0 0 0 0 0 0 0 0 20 0 1 0 5 0");
            Stat::parse(&line).unwrap().in_foreground
        };
        assert!(of("70 70 34816 70"));
        assert!(!of("70 70 34816 71"), "another one is at work there");
        assert!(!of("70 70 0 -1"), "it has no terminal");
        assert!(!of("0 0 34816 0"), "both lie in a namespace that is not ours to see");
    }

    #[test]
    fn a_stat_that_is_cut_is_no_stat() {
        assert_eq!(Stat::parse("42 (a) S 7 1 1"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn what_is_too_long_is_not_read_in_part() {
        assert!(matches!(bytes(Path::new("/dev/zero")), Err(Unread::Failed(_))));
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MOST_BYTES).unwrap();
        assert_eq!(bytes(file.path()).unwrap().len() as u64, MOST_BYTES);
    }

    #[test]
    fn of_arguments_so_many_are_read_and_of_more_none() {
        let folder = tempfile::tempdir().unwrap();
        let read = |bytes: &[u8]| {
            fs::write(folder.path().join("cmdline"), bytes).unwrap();
            cmdline(folder.path()).unwrap().map(|arguments| arguments.len())
        };
        let most = usize::try_from(MOST_ARGUMENT_BYTES).unwrap();
        assert_eq!(read(&b"x\0".repeat(MOST_ARGUMENTS)), Some(MOST_ARGUMENTS));
        assert_eq!(read(&b"x\0".repeat(MOST_ARGUMENTS + 1)), None);
        assert_eq!(read(&vec![b'x'; most]), Some(1));
        assert_eq!(read(&vec![b'x'; most + 1]), None);
        assert_eq!(read(&vec![0; most]), Some(0), "memory that was never touched");
        assert_eq!(read(&[&vec![0; most - 1][..], b"x"].concat()), None, "millions of empty ones");
    }

    #[test]
    fn a_list_of_any_length_is_read_line_by_line_and_of_a_line_its_beginning() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &[u8]| {
            fs::write(file.path(), text).unwrap();
            let mut read = vec![];
            lines(file.path(), |line, is_whole| {
                read.push((line.len(), is_whole));
                Ok(())
            })
            .unwrap();
            read
        };
        let most = MOST_LINE_BYTES;
        assert_eq!(read(b""), []);
        assert_eq!(read(b"ab\n\nc"), [(2, true), (0, true), (1, true)]);
        let long = [&vec![b'x'; 3 * most][..], b"\nab\n"].concat();
        assert_eq!(read(&long), [(most, false), (2, true)]);
        let just = [&vec![b'x'; most - 1][..], b"\nab"].concat();
        assert_eq!(read(&just), [(most - 1, true), (2, true)]);
        let missing = lines(Path::new("/proc/self/none"), |_, _| Ok(()));
        assert!(matches!(missing, Err(Unread::Vanished)));
    }

    #[test]
    fn a_title_is_one_argument_without_what_was_left_behind_it() {
        assert_eq!(arguments(b"ray::IDLE\0\0\0\0"), ["ray::IDLE"]);
        assert_eq!(arguments(b"ray::train   \0"), ["ray::train"]);
        assert_eq!(arguments(b"sh\0-c\0 a b \0"), ["sh", "-c", " a b "]);
        assert_eq!(arguments(b"sh\0\0x\0"), ["sh", "", "x"]);
        assert!(arguments(b"").is_empty());
        assert!(arguments(b"\0\0").is_empty());
    }
}
