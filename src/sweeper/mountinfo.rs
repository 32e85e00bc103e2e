//! The lines of `/proc/PID/mountinfo`.

use std::{ffi::OsString, fs, io, os::unix::ffi::OsStringExt, path::PathBuf};

/// One mount of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) id: u64,
    /// The mount that it lies on.
    pub(crate) parent: u64,
    /// `major:minor` of its file system.
    pub(crate) device: String,
    /// The folder of the file system that is mounted.
    pub(crate) root: PathBuf,
    /// Where it is mounted.
    pub(crate) point: PathBuf,
    pub(crate) read_only: bool,
    /// The kind of file system.
    pub(crate) kind: String,
    /// The file system's own options, as bytes: paths in them are escaped once more.
    options: Vec<u8>,
}

impl Mount {
    /// Every mount of a process's namespace. A line that cannot be read could be any mount: an error.
    pub(crate) fn all_of(pid: i32) -> io::Result<Vec<Self>> {
        let table = fs::read(format!("/proc/{pid}/mountinfo"))?;
        let lines = table.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| {
                Self::parse(line).ok_or_else(|| {
                    let line = String::from_utf8_lossy(line);
                    io::Error::new(io::ErrorKind::InvalidData, format!("not a line of mountinfo: {line:?}"))
                })
            })
            .collect()
    }

    /// `36 35 98:0 /mnt1 /mnt/parent rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let text = |field: &[u8]| std::str::from_utf8(field).ok().map(str::to_owned);
        let mut fields = line.split(|byte| *byte == b' ');
        let id = text(fields.next()?)?.parse().ok()?;
        let parent = text(fields.next()?)?.parse().ok()?;
        let device = text(fields.next()?)?;
        let root = unescaped(fields.next()?);
        let point = unescaped(fields.next()?);
        let read_only = fields.next()?.split(|byte| *byte == b',').any(|option| option == b"ro");
        let mut fields = fields.skip_while(|field| field != b"-").skip(1);
        let kind = text(fields.next()?)?;
        let options = fields.nth(1)?.to_vec();
        Some(Self { id, parent, device, root, point, read_only, kind, options })
    }

    /// What it is made of and where it lies: the folder that is mounted, the place, and the file system's own
    /// options, among which are the layers of an overlay.
    pub(crate) fn names(&self) -> [PathBuf; 3] {
        [self.root.clone(), self.point.clone(), unescaped(&self.options)]
    }

    /// The value of an option that is a path.
    pub(crate) fn path_option(&self, name: &str) -> Option<PathBuf> {
        self.options
            .split(|byte| *byte == b',')
            .find_map(|option| option.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
            .map(unescaped)
    }
}

/// A space, a tab, a line feed and a backslash are written as three octal digits.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = (*first == b'\\')
            .then(|| after.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        let taken = if octal.is_some() { 3 } else { 0 };
        bytes.push(octal.unwrap_or(*first));
        rest = &after[taken..];
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_line_is_read_field_by_field() {
        let line = br"36 35 98:0 /a\040b /mnt/\134x ro,noatime shared:1 master:2 - ext4 /dev/vda rw,errors=x";
        let mount = Mount::parse(line).unwrap();
        assert_eq!((mount.id, mount.parent), (36, 35));
        assert_eq!((mount.device.as_str(), mount.kind.as_str()), ("98:0", "ext4"));
        assert_eq!(mount.root, Path::new("/a b"));
        assert_eq!(mount.point, Path::new("/mnt/\\x"));
        assert!(mount.read_only);
        assert!(!Mount::parse(b"36 35 98:0 / /x rw,noatime - ext4 /dev/vda ro").unwrap().read_only);
    }

    #[test]
    fn a_line_that_is_cut_is_no_line() {
        let line = b"36 35 98:0 / /mnt rw master:1 - ext4 /dev/vda rw";
        assert!(Mount::parse(line).is_some());
        for end in 0..line.len() - 2 {
            assert_eq!(Mount::parse(&line[..end]), None, "{end}");
        }
    }

    #[test]
    fn our_own_mounts_can_be_read() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(Mount::all_of(own).unwrap().iter().any(|mount| mount.point == Path::new("/")));
    }
}
