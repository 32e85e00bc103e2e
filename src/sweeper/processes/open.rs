//! What a process has open that tells what it is.
//!
//! It may have hundreds of thousands of files open, each under a name of 4 KiB: of each kind one is held.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::proc::{self, Unread};

/// How the logs are called, in a folder `logs`, by which one process of Ray's is told from another.
pub(crate) const LOGS: [&str; 9] = [
    "python-core-driver-",
    "java-core-driver-",
    "cpp-core-driver-",
    "python-core-worker-",
    "dashboard_agent",
    "agent-",
    "runtime_env_agent",
    "io_worker-",
    "worker-",
];

/// What the descriptors name of these kinds, and what the first of them does.
pub(super) type OpenFiles = Result<(Vec<PathBuf>, Option<PathBuf>), Unread>;

/// A descriptor that is closed meanwhile is not in it.
pub(super) fn open_files(folder: &Path) -> OpenFiles {
    let mut open = BTreeMap::new();
    let mut stdin = None;
    for descriptor in proc::numbers(folder)? {
        match proc::link(&folder.join(descriptor.to_string())) {
            Ok(Some(path)) => {
                if descriptor == 0 {
                    stdin = Some(path.clone());
                }
                if let Some(kind) = kind_of(&path) {
                    open.entry(kind).or_insert(path);
                }
            }
            Ok(None) | Err(Unread::Vanished) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((open.into_values().collect(), stdin))
}

// What `open_files` answers, for whoever needs none.
#[allow(clippy::unnecessary_wraps)]
pub(super) fn no_files(_folder: &Path) -> OpenFiles {
    Ok((vec![], None))
}

/// Of which kind it is; what is of none tells nothing.
fn kind_of(path: &Path) -> Option<&'static str> {
    if is_gpu(path) {
        return Some("gpu");
    }
    let name = path.file_name()?.to_str()?;
    let is_log = path.parent()?.ends_with("logs");
    LOGS.into_iter().find(|log| is_log && name.starts_with(log))
}

/// `/dev/nvidia0` and so on; `/dev/nvidiactl` is held by whoever once asked.
pub(crate) fn is_gpu(path: &Path) -> bool {
    let number = path.to_str().and_then(|path| path.strip_prefix("/dev/nvidia"));
    number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
}
