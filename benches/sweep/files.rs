//! A dead session's data, made anew for every run, as fast as the file system takes it.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
};

use rustix::fs::{Mode, OFlags, open, openat};

use crate::plan::Layout;

/// Files in each folder of a tree.
pub(crate) const IN_A_FOLDER: usize = 500;
/// Less than a block, so that each file takes one.
const CONTENT: [u8; 64] = [b'r'; 64];

/// The session that the files are of, and the folder in it that holds them, under the temp root.
pub(crate) const SESSION: &str = "ray/session_2026-01-01_00-00-00_000000_1";
pub(crate) const SPILLED: &str = "ray/session_2026-01-01_00-00-00_000000_1/ray_spilled_objects_0";

/// Fills the folder, which must not be there yet.
pub(crate) fn make(folder: &Path, layout: Layout, files: usize) {
    assert!(!folder.exists(), "{} is left of the last run", folder.display());
    fs::create_dir_all(folder).unwrap();
    match layout {
        // Two threads in one folder wait for the same lock.
        Layout::Flat => fill(folder, files).unwrap(),
        Layout::Tree => tree(folder, files),
    }
}

fn tree(folder: &Path, files: usize) {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let leaves = files.div_ceil(IN_A_FOLDER);
    thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for leaf in (thread..leaves).step_by(threads) {
                    let path = folder.join(leaf_path(leaf));
                    fs::create_dir_all(&path).unwrap();
                    fill(&path, IN_A_FOLDER.min(files - leaf * IN_A_FOLDER)).unwrap();
                }
            });
        }
    });
}

/// Three levels: ten folders, twenty in each of them, and the rest of the leaves below these.
fn leaf_path(leaf: usize) -> PathBuf {
    format!("{}/{}/{leaf}", leaf % 10, leaf / 10 % 20).into()
}

fn fill(folder: &Path, files: usize) -> io::Result<()> {
    let folder = open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let new = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    for number in 0..files {
        let file = openat(&folder, format!("object-{number:07}"), new, Mode::from(0o644))?;
        fs::File::from(file).write_all(&CONTENT)?;
    }
    Ok(())
}

/// Small folders directly under the temp root, each a leftover of its own with one file in it.
pub(crate) fn make_leftovers(temp_root: &Path, count: usize) {
    for number in 0..count {
        let folder = temp_root.join(format!("tmp{number:07}"));
        fs::create_dir(&folder).unwrap();
        fill(&folder, 1).unwrap();
    }
}

/// Equal footing: what was written is on the disk, and nothing of it is in memory.
pub(crate) fn settle() {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
}
