//! What a process can choose: the names of the folders that are mounted and mounted on.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use super::names;
use crate::sweeper::mountinfo::Mount;

/// So many cuts of one line are tried.
const CUTS: usize = 16;

/// A line is read or refused; one that is cut before its file system's kind is never read.
pub(super) fn any_line(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        let separated = line.windows(3).any(|window| window == b" - ");
        assert!(Mount::parse(line).is_none() || separated, "{}", line.escape_ascii());
    }
}

/// Folders come back as they are called, whatever they are called.
pub(super) fn lines_of_the_kernel(data: &[u8]) {
    let names: Vec<&[u8]> = names(data).collect();
    for (number, pair) in names.windows(2).enumerate() {
        let [root, point] = [pair[0], pair[1]].map(|name| [b"/", name].concat());
        let [escaped_root, escaped_point] = [&root, &point].map(|name| escaped(name));
        let mut line = format!("{number} 1 254:{number} ").into_bytes();
        line.extend([&escaped_root[..], b" ", &escaped_point, b" ro,relatime shared:1 master:2 - "].concat());
        line.extend(
            [b"overlay overlay rw,lowerdir=/l,upperdir=", &escaped_point[..], b",workdir=/w"].concat(),
        );
        let mount = Mount::parse(&line).unwrap_or_else(|| panic!("{}", line.escape_ascii()));
        assert_eq!((mount.id, mount.device), (number as u64, format!("254:{number}")));
        assert_eq!(mount.root, path(&root));
        assert_eq!(mount.point, path(&point));
        assert!(mount.read_only && mount.kind == "overlay", "{}", line.escape_ascii());
        for end in (number % 7..line.len()).step_by(line.len() / CUTS + 1) {
            if let Some(cut) = Mount::parse(&line[..end]) {
                assert_eq!((cut.root, cut.point), (mount.root.clone(), mount.point.clone()));
            }
        }
    }
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// As the kernel writes a name.
fn escaped(name: &[u8]) -> Vec<u8> {
    let escape = |byte: &u8| match byte {
        b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
        byte => vec![*byte],
    };
    name.iter().flat_map(escape).collect()
}
