//! What is not as it should be, and how that looks to a person.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use similar::TextDiff;

use super::{place::Place, wanted::Thing};
use crate::fleet::order::{Change, How};

/// A file that is longer is no text that anybody would read as a difference.
const TEXT_BYTES: usize = 64 * 1024;

/// The bits of a mode that are set here.
const MODE: u32 = 0o7777;

/// How a thing differs from what lies in its place; `None` where it does not.
pub(super) fn of(thing: &Thing, place: &Place) -> io::Result<Option<Change>> {
    let found = match fs::symlink_metadata(thing.path()) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let how = if found.is_some() { How::Changed } else { How::Created };
    let diff = match thing {
        Thing::Folder { mode, .. } => of_folder(*mode, found.as_ref(), place)?,
        Thing::File { path, bytes, mode, uid, gid } => {
            let name = place.shown(path);
            of_file(&name, path, bytes, (*mode, *uid, *gid), found.as_ref())?
        }
        Thing::Link { path, to } => of_link(path, to, found.as_ref())?,
    };
    Ok(diff.map(|diff| Change { what: place.shown(thing.path()), how, diff }))
}

/// What stands is somebody's choice, unless others than root could change what is in it.
fn of_folder(mode: u32, found: Option<&Metadata>, place: &Place) -> io::Result<Option<String>> {
    let Some(found) = found else { return Ok(Some(String::new())) };
    if !found.is_dir() {
        return Err(io::Error::other("is no folder"));
    }
    let is_safe = found.uid() == place.uid && found.mode() & 0o022 == 0;
    Ok((!is_safe).then(|| {
        format!(
            "mode {:o} → {mode:o}, owner {}:{} → {}:{}\n",
            found.mode() & MODE,
            found.uid(),
            found.gid(),
            place.uid,
            place.gid
        )
    }))
}

fn of_file(
    name: &str,
    path: &Path,
    bytes: &[u8],
    (mode, uid, gid): (u32, u32, u32),
    found: Option<&Metadata>,
) -> io::Result<Option<String>> {
    let Some(found) = found else { return Ok(Some(between(name, b"", bytes))) };
    if found.is_dir() {
        return Err(io::Error::other("is a folder"));
    }
    if !found.is_file() {
        return Ok(Some(format!("is no plain file\n{}", between(name, b"", bytes))));
    }
    let before = fs::read(path)?;
    let is_as = (found.mode() & MODE, found.uid(), found.gid());
    let mut diff = String::new();
    if is_as != (mode, uid, gid) {
        let (was, owner, group) = is_as;
        diff = format!("mode {was:o} → {mode:o}, owner {owner}:{group} → {uid}:{gid}\n");
    }
    if before != bytes {
        diff.push_str(&between(name, &before, bytes));
    }
    Ok((!diff.is_empty()).then_some(diff))
}

fn of_link(path: &Path, to: &Path, found: Option<&Metadata>) -> io::Result<Option<String>> {
    let to = to.display();
    match found {
        None => Ok(Some(format!("→ {to}\n"))),
        Some(found) if found.is_dir() => Err(io::Error::other("is a folder")),
        Some(found) if found.is_symlink() => {
            let before = fs::read_link(path)?;
            let before = before.display().to_string();
            Ok((before != to.to_string()).then(|| format!("→ {before} becomes → {to}\n")))
        }
        Some(_) => Ok(Some(format!("a file becomes → {to}\n"))),
    }
}

/// The difference as lines, or what can be said of bytes.
pub(super) fn between(name: &str, before: &[u8], after: &[u8]) -> String {
    let text = |bytes| std::str::from_utf8(bytes).ok().filter(|text| text.len() <= TEXT_BYTES);
    match (text(before), text(after)) {
        (Some(before), Some(after)) => {
            let from = if before.is_empty() { "/dev/null" } else { name };
            let to = if after.is_empty() { "/dev/null" } else { name };
            TextDiff::from_lines(before, after).unified_diff().header(from, to).to_string()
        }
        _ if before.is_empty() => format!("{}\n", about(after)),
        _ => format!("{} becomes {}\n", about(before), about(after)),
    }
}

fn about(bytes: &[u8]) -> String {
    format!("{} bytes, SHA-256 {}", bytes.len(), crate::fleet::sha256(bytes))
}
