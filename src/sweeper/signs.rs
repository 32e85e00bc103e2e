//! Signs of use: every file that any process on the host has open, mapped, locked, bound, or as its
//! folder, root or program; and every name by which a process or a mount may come back to one.

pub(crate) mod parse;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use super::{
    FileId,
    candidates::may_be_named_in,
    mountinfo::Mount,
    processes::{
        Ourselves,
        proc::{self, Unread, unless_vanished},
        room::{self, Room},
    },
};

/// Everything in use on the host at one moment, by file and by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signs {
    /// By fd, map, cwd, root, exe and lock: the file and one process that uses it.
    pub(crate) files: BTreeMap<FileId, i32>,
    /// Every bound unix socket, in every network namespace, and a process that sees it.
    pub(crate) sockets: BTreeMap<BoundSocket, i32>,
    /// Every process's arguments, joined by spaces, for a look-up by name.
    pub(crate) arguments: Vec<(i32, String)>,
    /// Every path that a process's fds, maps, cwd, root and exe name, what its variables say, and what its
    /// mounts are made of and lie on, for a look-up by name, and one process that names it: thousands of
    /// processes map the same libraries.
    pub(crate) names: BTreeMap<String, i32>,
    /// Mount and pid namespaces in which one of these names or the arguments are too long to be said or cannot be
    /// told, or all of them together too many to be held, and a process that says them. It could name anything
    /// there; elsewhere the file itself tells.
    pub(crate) too_long: BTreeMap<FileId, i32>,
}

/// The path that a unix socket is bound to, as far as it tells sockets apart: names are wrong across
/// namespaces, so its last component stands for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BoundSocket {
    /// The last component; the last line of it, where it has several.
    pub(crate) name: Vec<u8>,
    /// The sessions that the path names: every session's sockets are named alike. Empty where it names
    /// none, or where it is not known which.
    pub(crate) sessions: Vec<Vec<u8>>,
}

impl Signs {
    /// Reads all signs. An error means that something could be in use unseen: then nothing may go.
    pub(crate) fn read() -> io::Result<Self> {
        let mut signs = Self::read_from(Path::new("/proc"))?;
        signs.backing_files(Path::new("/sys/block"))?;
        Ok(signs)
    }

    /// The files behind loop devices, which are held by the kernel as well.
    fn backing_files(&mut self, devices: &Path) -> io::Result<()> {
        let names = unless_vanished(proc::names(devices))?.unwrap_or_default();
        for name in names.iter().filter(|name| name.starts_with("loop")) {
            let path = devices.join(name).join("loop/backing_file");
            if let Some(file) = unless_vanished(proc::text(&path))? {
                self.names.entry(file).or_insert(NOBODY);
            }
        }
        Ok(())
    }

    fn read_from(proc_root: &Path) -> io::Result<Self> {
        Self::read_of(proc_root, || {
            unless_vanished(proc::numbers(proc_root))?.ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    /// Reads whoever is listed, and then whoever is listed only now: of a process that has started another one
    /// and has ended before it was read, the other one holds what both held.
    fn read_of(proc_root: &Path, mut listed: impl FnMut() -> io::Result<Vec<i32>>) -> io::Result<Self> {
        let ourselves = Ourselves::read(proc_root);
        let mut reading = Reading::default();
        let mut read = BTreeSet::new();
        for time in 1..=LISTED_AT_MOST {
            let news: Vec<i32> = listed()?.into_iter().filter(|pid| !read.contains(pid)).collect();
            if news.is_empty() {
                break;
            }
            reading.is_last = time == LISTED_AT_MOST;
            for pid in news {
                if unless_vanished(reading.process(proc_root, pid, ourselves.as_ref()))?.is_some() {
                    read.insert(pid);
                }
            }
        }
        unless_vanished(reading.locks(&proc_root.join("locks")))?.ok_or(io::ErrorKind::NotFound)?;
        Ok(reading.signs)
    }

    /// A process that has a socket of this name bound, which may lie in this session: one that is bound
    /// in another session is another socket.
    pub(crate) fn bound(&self, name: &[u8], session: Option<&[u8]>) -> Option<i32> {
        let Some(name) = parse::listed_name(name) else {
            // The listing does not show such a name: any socket may be this one.
            return self.sockets.values().next().copied();
        };
        let first = BoundSocket { name: name.clone(), sessions: vec![] };
        self.sockets
            .range(first..)
            .take_while(|(socket, _)| socket.name == name)
            .find(|(BoundSocket { sessions, .. }, _)| {
                session.is_none_or(|ours| sessions.is_empty() || sessions.iter().any(|theirs| theirs == ours))
            })
            .map(|(_, pid)| *pid)
    }

    /// A process that uses something by a name that is too long to be said, in any of these namespaces.
    pub(crate) fn nameless_in(&self, namespaces: impl IntoIterator<Item = FileId>) -> Option<i32> {
        namespaces.into_iter().find_map(|namespace| self.too_long.get(&namespace).copied())
    }

    /// A process whose arguments, variables or open paths contain this name, such as `session_2026-…_123`.
    pub(crate) fn mentioned_by(&self, name: &str) -> Option<i32> {
        let arguments = self.arguments.iter().map(|(pid, text)| (text, pid));
        arguments.chain(&self.names).find(|(text, _)| text.contains(name)).map(|(_, pid)| *pid)
    }
}

/// What one process calls the files that it uses.
#[derive(Debug, Default)]
struct Names {
    said: BTreeSet<String>,
    /// What they may still take.
    left: usize,
    one_is_too_long: bool,
    /// Something of it was not there. That is nothing of a process that has ended.
    one_has_vanished: bool,
}

/// Processes are listed until nobody is new, and no more often than this: somebody may start one after the other
/// all the time.
const LISTED_AT_MOST: usize = 4;

/// More variables than any program is started with; what has more is not read in part.
const MOST_VARIABLES_BYTES: u64 = 1 << 20;

/// Ten times what the kernel lets a namespace mount by default, each with a short path.
const MOST_MOUNTS_BYTES: u64 = 64 << 20;

/// The number of the process where it is the kernel itself, as in the list of locks.
const NOBODY: i32 = -1;

impl Names {
    fn say(&mut self, name: &str) {
        if self.said.contains(name) {
            return;
        }
        match self.left.checked_sub(room::cost(name)) {
            None => self.one_is_too_long = true,
            Some(left) => {
                self.left = left;
                self.said.insert(name.to_owned());
            }
        }
    }

    /// Most texts say nothing of anything that could go.
    fn say_if_it_matters(&mut self, text: &str) {
        if may_be_named_in(text) {
            self.say(text);
        }
    }

    /// Goes on without what is not there: the next kind of sign may be.
    fn without_what_vanished(&mut self, read: Result<(), Unread>) -> Result<(), Unread> {
        match read {
            Err(Unread::Vanished) => {
                self.one_has_vanished = true;
                Ok(())
            }
            read => read,
        }
    }
}

/// A reading under way: what many processes share is read once.
#[derive(Debug, Default)]
struct Reading {
    signs: Signs,
    /// Network namespaces whose sockets are read.
    networks: BTreeSet<FileId>,
    /// Mount namespaces whose mounts are read.
    mounts: BTreeSet<FileId>,
    /// Mapped files, as maps name them, whose identity through the file system is read.
    mapped: BTreeSet<FileId>,
    room: Room,
    /// Whether nobody is read again after this.
    is_last: bool,
}

impl Reading {
    fn process(&mut self, proc_root: &Path, pid: i32, ourselves: Option<&Ourselves>) -> Result<(), Unread> {
        let Some((folder, _)) = proc::living_folder(proc_root, pid)? else { return Ok(()) };
        let arguments = proc::cmdline(&folder)?;
        let own = arguments.as_deref().unwrap_or_default();
        if ourselves.is_some_and(|ourselves| ourselves.is_child_inside(&folder, own)) {
            return Ok(());
        }
        let mounts = proc::file_id(&folder.join("ns/mnt"))?;
        let arguments = arguments.map(|arguments| [arguments.join(" ")]);
        let arguments = arguments.filter(|arguments| self.room.take(mounts, arguments));
        let mut names = Names { left: self.room.left(mounts), ..Names::default() };
        // Each kind of sign stands for itself: a process that ends after the first still had it.
        match arguments {
            Some([arguments]) => self.signs.arguments.push((pid, arguments)),
            None => names.one_is_too_long = true,
        }
        let read = self.files(&folder, pid, &mut names);
        for name in names.said {
            self.name(mounts, name, pid);
        }
        read?;
        if names.one_has_vanished {
            // One of many threads may be about to end before the others: a little later all of them are.
            if !proc::lives(proc_root, pid)? || !self.is_last {
                return Err(Unread::Vanished);
            }
            names.one_is_too_long = true;
        }
        if names.one_is_too_long {
            self.signs.too_long.entry(mounts).or_insert(pid);
            // It may have left the mounts of its container and still name what lies in them.
            let pids = proc::file_id(&folder.join("ns/pid"))?;
            if ourselves.is_some_and(|ourselves| !ourselves.is_in(pids)) {
                self.signs.too_long.entry(pids).or_insert(pid);
            }
        }
        Ok(())
    }

    /// What is said by many takes room once.
    fn name(&mut self, mounts: FileId, name: String, pid: i32) {
        if !self.signs.names.contains_key(&name) && self.room.take(mounts, std::slice::from_ref(&name)) {
            self.signs.names.insert(name, pid);
        }
    }

    fn files(&mut self, folder: &Path, pid: i32, names: &mut Names) -> Result<(), Unread> {
        for link in ["cwd", "root", "exe"] {
            let read = self.link(&folder.join(link), pid, names);
            names.without_what_vanished(read)?;
        }
        let read = self.descriptors(&folder.join("fd"), pid, names);
        names.without_what_vanished(read)?;
        let read = Self::variables(&folder.join("environ"), names);
        names.without_what_vanished(read)?;
        let read = self.maps(folder, pid, names);
        names.without_what_vanished(read)?;
        let read = self.mounts(folder, names);
        names.without_what_vanished(read)?;
        let read = self.sockets(folder, pid);
        names.without_what_vanished(read)
    }

    /// What the variables that a process was started with say: whatever it starts goes by them as well.
    /// One that has written a title over them shows what is left of them.
    fn variables(path: &Path, names: &mut Names) -> Result<(), Unread> {
        let Some(variables) = proc::bytes_within(path, MOST_VARIABLES_BYTES)? else {
            names.one_is_too_long = true;
            return Ok(());
        };
        for variable in variables.split(|byte| *byte == 0) {
            let variable = String::from_utf8_lossy(variable);
            names.say_if_it_matters(variable.split_once('=').map_or(&*variable, |(_, value)| value));
        }
        Ok(())
    }

    /// The folder behind a bind mount and the layers of an overlay are held by the kernel and by no process. And
    /// what is mounted on a folder goes with it, without a word, where only another namespace has the mount.
    fn mounts(&mut self, folder: &Path, names: &mut Names) -> Result<(), Unread> {
        let namespace = proc::file_id(&folder.join("ns/mnt"))?;
        if self.mounts.contains(&namespace) {
            return Ok(());
        }
        let path = folder.join("mountinfo");
        let table = match proc::bytes_within(&path, MOST_MOUNTS_BYTES) {
            // Whoever is about to end has no mounts any more, and says that the question is invalid.
            Err(Unread::Failed(error)) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(Unread::Vanished);
            }
            read => read?,
        };
        self.mounts.insert(namespace);
        let Some(table) = table else {
            names.one_is_too_long = true;
            return Ok(());
        };
        for line in table.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let mount = Mount::parse(line).ok_or_else(|| Unread::odd(&path, "not a line of mountinfo"))?;
            for name in mount.names() {
                names.say_if_it_matters(&name.to_string_lossy());
            }
        }
        Ok(())
    }

    /// What a link of /proc leads to, by file and by name.
    fn link(&mut self, path: &Path, pid: i32, names: &mut Names) -> Result<(), Unread> {
        let name = proc::link(path)?;
        if name.as_deref().is_some_and(proc::is_in_no_file_system) {
            return Ok(());
        }
        if let Some(id) = proc::file_id_unless_private(path)? {
            self.signs.files.entry(id).or_insert(pid);
        }
        match name {
            None => names.one_is_too_long = true,
            Some(name) if name == Path::new("/") => {}
            Some(name) => names.say(&name.to_string_lossy()),
        }
        Ok(())
    }

    fn descriptors(&mut self, folder: &Path, pid: i32, names: &mut Names) -> Result<(), Unread> {
        for descriptor in proc::numbers(folder)? {
            match self.link(&folder.join(descriptor.to_string()), pid, names) {
                // This one was closed meanwhile; the others are still to be read.
                Ok(()) | Err(Unread::Vanished) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Mapped files, with their descriptors closed or not. Maps show the device of the file's super
    /// block, which is not what stat shows on btrfs nor, on older kernels, through overlayfs: so each
    /// is looked up through `map_files` as well, once for all processes that share it.
    fn maps(&mut self, folder: &Path, pid: i32, names: &mut Names) -> Result<(), Unread> {
        // A thread's own folder has no `map_files`; the whole process shares its maps.
        let map_files = match folder.parent() {
            Some(tasks) if tasks.ends_with("task") => tasks.with_file_name("map_files"),
            _ => folder.join("map_files"),
        };
        let path = folder.join("maps");
        proc::lines(&path, |line, is_whole| {
            let line = String::from_utf8_lossy(line);
            let map = parse::map(&line).ok_or_else(|| Unread::odd(&path, "not a line of maps"))?;
            let Some(map) = map else { return Ok(()) };
            self.signs.files.entry(map.id).or_insert(pid);
            names.one_is_too_long |= !is_whole;
            if !map.name.is_empty() {
                names.say(map.name);
            }
            if self.mapped.contains(&map.id) {
                return Ok(());
            }
            match proc::file_id_unless_private(&map_files.join(&map.range)) {
                Ok(id) => {
                    if let Some(id) = id {
                        self.signs.files.entry(id).or_insert(pid);
                    }
                    self.mapped.insert(map.id);
                }
                Err(Unread::Vanished) => {}
                Err(error) => return Err(error),
            }
            Ok(())
        })
    }

    fn sockets(&mut self, folder: &Path, pid: i32) -> Result<(), Unread> {
        let network = proc::file_id(&folder.join("ns/net"))?;
        if self.networks.contains(&network) {
            return Ok(());
        }
        let mut is_first = true;
        proc::lines(&folder.join("net/unix"), |line, _| {
            // The first line says what the others are.
            if !std::mem::replace(&mut is_first, false)
                && let Some(socket) = parse::bound_socket(line)
            {
                self.signs.sockets.entry(socket).or_insert(pid);
            }
            Ok(())
        })?;
        self.networks.insert(network);
        Ok(())
    }

    fn locks(&mut self, path: &Path) -> Result<(), Unread> {
        proc::lines(path, |line, _| {
            let line = String::from_utf8_lossy(line);
            if line.is_empty() {
                return Ok(());
            }
            let odd = || Unread::odd(path, &format!("not a line of locks: {line:?}"));
            if let Some((pid, id)) = parse::lock(&line).ok_or_else(odd)? {
                self.signs.files.entry(id).or_insert(pid);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
