//! The responder's `known_hosts`: what is in it for a host, and what is added after a person has said yes.
//! Pure, but for the two functions that read and write the file.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};

use crate::config::responder::{HostEntry, Ssh};

/// A public key, as OpenSSH writes it: its type, then its bytes in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: String,
    bytes: String,
}

/// What identifies a key to a person: `SHA256:…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(pub String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PublicKey {
    /// From the first two words of a line; a comment behind them is nobody's business.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (kind, bytes) = (words.next()?, words.next()?);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '@' | '_');
        let decoded = STANDARD.decode(bytes).ok()?;
        // The type stands in the bytes once more, behind its length.
        let named = decoded.get(4..4 + kind.len())?;
        (kind.chars().all(plain) && named == kind.as_bytes())
            .then(|| Self { kind: kind.to_owned(), bytes: bytes.to_owned() })
    }

    /// As ssh shows it.
    pub fn fingerprint(&self) -> Fingerprint {
        let bytes = STANDARD.decode(&self.bytes).unwrap_or_default();
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        Fingerprint(format!("SHA256:{}", STANDARD_NO_PAD.encode(digest)))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.bytes)
    }
}

/// What the file says of a host's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pinned {
    /// This very key, or the CA that answers for it.
    Yes,
    /// Nothing.
    No,
    /// Another key of the same type, or that this one is revoked.
    Otherwise,
}

/// What `known_hosts` calls a host.
pub(super) fn name_of(entry: &HostEntry, ssh: &Ssh) -> String {
    match entry.port.unwrap_or(ssh.port) {
        22 => entry.address.clone(),
        port => format!("[{}]:{port}", entry.address),
    }
}

/// What the lines that deploy adds end with: whatever else is in the file is somebody's own.
const OURS: &str = "raysweep-deploy";

/// The line that pins a key, or with `ca` the CA that signs keys.
pub(super) fn line(name: &str, key: &PublicKey, ca: bool) -> String {
    let marker = if ca { "@cert-authority " } else { "" };
    format!("{marker}{name} {key} {OURS}\n")
}

/// The file without the lines that deploy has added under this name, if there are any.
pub(super) fn without_ours(text: &str, name: &str) -> Option<String> {
    let is_ours = |line: &&str| {
        let line = line.trim_end();
        let words: Vec<_> = line.strip_prefix("@cert-authority ").unwrap_or(line).split(' ').collect();
        matches!(words[..], [names, _, _, OURS] if names == name)
    };
    let (ours, rest): (Vec<&str>, Vec<&str>) = text.split_inclusive('\n').partition(is_ours);
    (!ours.is_empty()).then(|| rest.concat())
}

/// Whether a line speaks of this name.
pub(super) fn is_named(text: &str, name: &str) -> bool {
    let names = |line: &str| {
        let mut words = line.split_ascii_whitespace().filter(|word| !word.starts_with('@'));
        words.next().is_some_and(|names| names.split(',').any(|one| one == name))
    };
    text.lines().any(names)
}

/// What `known_hosts` calls the hosts of `[user@]host[:port],…`.
pub(super) fn names_of_jump(jump: &str) -> Vec<String> {
    let name = |one: &str| {
        let place = one.rsplit_once('@').map_or(one, |(_, place)| place);
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None if place.matches(':').count() == 1 => {
                place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)))
            }
            None => (place, None),
        };
        match port {
            None | Some("22") => host.to_owned(),
            Some(port) => format!("[{host}]:{port}"),
        }
    };
    jump.split(',').map(name).collect()
}

/// What a file says of a key. Names are compared as they are written: hashed ones and patterns are
/// somebody's own, and decide nothing here.
pub(super) fn pinned(text: &str, name: &str, key: &PublicKey, ca: bool) -> Pinned {
    let mut found = Pinned::No;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let (marker, rest) = match line.strip_prefix('@') {
            Some(rest) => rest.split_once(' ').unwrap_or((rest, "")),
            None => ("", line),
        };
        let Some((names, there)) = rest.trim_start().split_once(' ') else { continue };
        let Some(there) = PublicKey::parse(there) else { continue };
        if marker == "revoked" && there == *key {
            return Pinned::Otherwise;
        }
        if !names.split(',').any(|one| one == name) || (marker == "cert-authority") != ca {
            continue;
        }
        if there == *key {
            found = Pinned::Yes;
        } else if !ca && marker.is_empty() && there.kind == key.kind && found == Pinned::No {
            found = Pinned::Otherwise;
        }
    }
    found
}

/// The file's text; one that is not there says nothing.
pub(super) fn read(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other,
    }
}

/// Whether lines can be added: better asked before a host is changed.
pub(super) fn can_add(path: &Path) -> Result<(), String> {
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = file.parent().unwrap_or(Path::new("/"));
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).map_err(|error| {
        format!("its key could not be pinned: {} is not yours to write: {error}", folder.display())
    })
}

/// Adds lines.
pub(super) fn add(path: &Path, lines: &[String]) -> io::Result<()> {
    let mut text = read(path)?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.extend(lines.iter().map(String::as_str));
    write(path, &text)
}

/// Writes the file, by a rename: the responder never reads half of it. Mode and owner stay.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    // Through a link, to where the file really lies.
    let path: PathBuf = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().unwrap_or(Path::new("."));
    let before = fs::metadata(&path).ok();
    let mode = before
        .as_ref()
        .map_or_else(|| std::os::unix::fs::PermissionsExt::from_mode(0o644), fs::Metadata::permissions);
    let mut file = tempfile::Builder::new().permissions(mode).tempfile_in(folder)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    if let Some(before) = before {
        use std::os::unix::fs::{MetadataExt, fchown};
        fchown(&file, Some(before.uid()), Some(before.gid()))?;
    }
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJlIGtpbmQgdG8gdGhlIG5leHQgcGVyc29uIGhlcmUh";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJlIGtpbmQgdG8gdGhlIG5leHQgcGVyc29uIGhlcmUi";

    fn key(text: &str) -> PublicKey {
        PublicKey::parse(text).unwrap()
    }

    #[test]
    fn a_key_is_its_two_words_and_nothing_that_only_looks_so() {
        assert_eq!(key(&format!("{KEY} a comment\n")).to_string(), KEY);
        for text in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAA", "a\nb c"] {
            assert_eq!(PublicKey::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_fingerprint_is_the_one_that_ssh_keygen_shows() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pub");
        fs::write(&file, KEY).unwrap();
        let shown = std::process::Command::new("ssh-keygen").args(["-l", "-f"]).arg(&file).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert_eq!(shown.split(' ').nth(1), Some(key(KEY).fingerprint().0.as_str()), "{shown}");
    }

    #[test]
    fn a_key_is_pinned_by_its_own_name_and_another_one_is_no_pin() {
        let name = "[10.0.0.80]:2222";
        for (text, expected) in [
            (String::new(), Pinned::No),
            (format!("# {name} {KEY}"), Pinned::No),
            (format!("{name} {KEY}"), Pinned::Yes),
            (format!("ray-80,{name} {KEY} comment"), Pinned::Yes),
            (format!("10.0.0.80 {KEY}"), Pinned::No),
            (format!("{name} {OTHER}"), Pinned::Otherwise),
            (format!("{name} {OTHER}\n{name} {KEY}"), Pinned::Yes),
            (format!("{name} {KEY}\n@revoked * {KEY}"), Pinned::Otherwise),
            (format!("@cert-authority {name} {KEY}"), Pinned::No),
        ] {
            assert_eq!(pinned(&text, name, &key(KEY), false), expected, "{text}");
        }
        assert_eq!(pinned(&line(name, &key(KEY), true), name, &key(KEY), true), Pinned::Yes);
        assert_eq!(pinned(&line(name, &key(KEY), false), name, &key(KEY), true), Pinned::No);
    }

    #[test]
    fn only_the_lines_that_deploy_has_added_go() {
        let name = "[10.0.0.80]:2222";
        let (ours, ca) = (line(name, &key(KEY), false), line(name, &key(OTHER), true));
        let theirs = format!("{name} {KEY}\n{name},b {KEY} {OURS}\nother {KEY} {OURS}\n# {ours}");
        assert_eq!(without_ours(&format!("{ours}{theirs}{ca}"), name), Some(theirs.clone()));
        assert_eq!(without_ours(&theirs, name), None);
        assert!(is_named(&theirs, name) && is_named(&ca, name) && is_named(&theirs, "b"));
        assert!(!is_named(&theirs, "10.0.0.80") && !is_named(&format!("# {name}"), name));
    }

    #[test]
    fn jump_hosts_are_called_as_ssh_calls_them() {
        for (jump, names) in [
            ("a", &["a"][..]),
            ("jo@a:2222,[fd00::1]:22", &["[a]:2222", "fd00::1"]),
            ("fd00::1,jo@[fd00::2]:2200", &["fd00::1", "[fd00::2]:2200"]),
        ] {
            assert_eq!(names_of_jump(jump), names);
        }
    }

    #[test]
    fn lines_are_added_behind_what_stands_and_the_mode_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        add(&file, &["a\n".to_owned()]).unwrap();
        fs::write(&file, "b").unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        add(&file, &["c\n".to_owned()]).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "b\nc\n");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o640);
    }
}
