//! What deploy remembers of its own work on a host: what it wrote, so that the next one sees what
//! somebody has changed since, and what it took, so that undeploy can give it back.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{old_cron::Taken, place::Place, wanted::Thing};

/// Where it lies.
pub(super) const RECORD: &str = "/var/lib/raysweep-deploy.json";
/// Root's alone: somebody's line of a crontab may hold a secret.
const MODE: u32 = 0o600;

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The digest of `sweep.yml` as a deploy has written it.
    settings_sha256: Option<String>,
    /// What was taken out of crontabs, the newest last.
    pub(super) taken: Vec<Taken>,
}

impl Record {
    /// What an earlier deploy has left; nothing on a host that has seen none.
    pub(super) fn read(place: &Place) -> Result<Self, String> {
        let named = |error: &dyn std::fmt::Display| format!("{RECORD}: {error}: mend it, or take it away");
        match fs::read(place.path(RECORD)) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| named(&error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(named(&error)),
        }
    }

    /// Whether a deploy has written these settings.
    pub(super) fn has_written(&self, settings: &[u8]) -> bool {
        self.settings_sha256.as_ref() == Some(&crate::fleet::sha256(settings))
    }

    /// What is to be remembered once these settings are in place and this is taken as well.
    pub(super) fn after(self, settings: &[u8], taken: impl IntoIterator<Item = Taken>) -> Self {
        let Self { settings_sha256: _, taken: mut all } = self;
        for one in taken {
            // Whoever puts the same line in again and again makes it no longer.
            all.retain(|earlier| *earlier != one);
            all.push(one);
        }
        Self { settings_sha256: Some(crate::fleet::sha256(settings)), taken: all }
    }

    /// As it lies on the host.
    pub(super) fn thing(&self, place: &Place) -> Result<Thing, String> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        Ok(Thing::File { path: place.path(RECORD), bytes, mode: MODE, uid: place.uid, gid: place.gid })
    }
}

/// Whether these settings lie in their place and no deploy has put them there; `wanted` may take the
/// place of what a deploy has written, and of what is the same.
pub(super) fn is_by_hand(record: &Record, path: &Path, wanted: &[u8]) -> io::Result<bool> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if !found.is_file() {
        return Ok(true);
    }
    let there = fs::read(path)?;
    Ok(there != wanted && !record.has_written(&there))
}
