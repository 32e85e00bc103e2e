//! The hold: while its file exists nothing is deleted by anyone.

use std::{fs, io, path::Path};

use crate::domain::hold;

/// Why the host is on hold, in the words of whoever set it; `None` where there is no hold. A file that
/// cannot be looked at counts as one.
pub(crate) fn reason(file: &Path) -> Option<String> {
    match fs::read_to_string(file) {
        Ok(text) => Some(hold::reason(&text).unwrap_or_else(|| format!("{} exists", file.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("{}: {error}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_its_file_and_what_cannot_be_read_is_a_hold() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hold");
        assert_eq!(reason(&file), None);
        fs::write(&file, "disk swap, back at noon\nmore").unwrap();
        assert_eq!(reason(&file).as_deref(), Some("disk swap, back at noon"));
        assert!(reason(folder.path()).is_some(), "a folder in its place");
        assert!(reason(&file.join("x")).is_some(), "a path through a file");
    }
}
