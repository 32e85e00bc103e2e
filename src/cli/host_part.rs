//! What the sweeper knows of a host, in the words of the host's part.

use std::path::PathBuf;

use crate::{
    config::sweep::SweepSettings,
    fleet::order::health::TempRoot,
    sweeper::measure::{self, Seen},
};

/// Every temp root of this host, and whether a sweep could look into it.
pub fn look_over(settings: &SweepSettings) -> Result<Vec<TempRoot>, String> {
    let seen = measure::look_over(settings).map_err(|error| error.to_string())?;
    let told = seen.into_iter().map(|Seen { worker, root, trouble }| TempRoot {
        worker,
        path: shown(root),
        trouble,
    });
    Ok(told.collect())
}

fn shown(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}
