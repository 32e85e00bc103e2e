//! Files that hold a secret, a token or a password: one rule for all who read them.

use std::{fs::File, io::Read, path::Path};

/// A longer file is no secret.
const MOST_BYTES: u64 = 64 * 1024;

/// Why there is no secret; what is said of its file.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The system does not give it, or it is no text.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// It is something else.
    #[error("is longer than {MOST_BYTES} bytes: it is no secret")]
    TooLong,
    /// It holds nothing: shown, it would be nobody's; asked for, it would be everybody's.
    #[error("is empty: put the secret into it")]
    Empty,
}

/// Whether a file with this mode is open to everybody: what it holds is no secret.
pub fn is_open(mode: u32) -> bool {
    mode & 0o007 != 0
}

/// The secret in a file, without the line break at its end. Blocks as long as the disk does.
pub fn read(path: &Path) -> Result<String, SecretError> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(SecretError::TooLong);
    }
    match text.trim() {
        "" => Err(SecretError::Empty),
        secret => Ok(secret.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_what_its_file_holds_and_never_nothing_and_never_without_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read_of = |bytes: &[u8]| {
            std::fs::write(file.path(), bytes).unwrap();
            read(file.path()).map_err(|error| error.to_string())
        };
        assert_eq!(read_of(b"s3cret\n"), Ok("s3cret".to_owned()));
        assert_eq!(read_of(b" \n").unwrap_err(), "is empty: put the secret into it");
        assert_eq!(read_of(&vec![b'a'; 70_000]).unwrap_err(), "is longer than 65536 bytes: it is no secret");
        assert!(read_of(b"\xff").unwrap_err().starts_with("cannot be read: "));
        assert!(matches!(read(Path::new("/dev/zero")), Err(SecretError::TooLong)));
        assert!(matches!(read(Path::new("/nonexistent")), Err(SecretError::Read(_))));
    }
}
