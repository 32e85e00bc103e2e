//! The second look, over what is detached: only what it has cleared is deleted.

use std::path::PathBuf;

use super::{Broken, because, passing};
use crate::{
    domain::report::{Class, KeptBecause},
    sweeper::{
        candidates::{Candidate, Keep, kept_by_mount, kept_by_owner, kept_by_revival, kept_by_use},
        inside::{InsideError, Kind, Tree},
        signs::Signs,
    },
};

/// A candidate off its name, waiting for the second look.
pub(super) struct Detached {
    pub(super) candidate: Candidate,
    pub(super) path: PathBuf,
    pub(super) tree: Tree,
}

impl Detached {
    /// Whether only the worker's rest lets it go, and not that it is dead.
    pub(super) fn goes_by_rest(&self) -> bool {
        let class = self.candidate.class;
        let is_leftover = matches!(class, Class::RayTmp | Class::Pip | Class::Tmp | Class::CheckpointTmp);
        is_leftover && !self.candidate.is_begun()
    }
}

/// What is detached, sorted by what becomes of it.
#[derive(Default)]
pub(super) struct Again {
    pub(super) may_go: Vec<Detached>,
    pub(super) stays: Vec<(Detached, Keep)>,
    /// What could not be looked at again, and why the looks ended there.
    pub(super) unknown: Vec<Detached>,
    pub(super) ended: Option<Broken>,
}

impl Again {
    /// `looks` are the answers for what is detached, in its order.
    pub(super) fn of(
        detached: Vec<Detached>,
        looks: Vec<Result<Tree, InsideError>>,
        signs: &Signs,
        owner: Option<u32>,
    ) -> Self {
        let mut again = Self::default();
        let mut looks = looks.into_iter();
        for each in detached {
            let none = || Err(InsideError::Gone("it was not looked at again".to_owned()));
            match second_look(&each, looks.next().unwrap_or_else(none), signs, owner) {
                Ok(None) => again.may_go.push(each),
                Ok(Some(keep)) => again.stays.push((each, keep)),
                Err(ended) => {
                    again.unknown.push(each);
                    again.ended.get_or_insert(ended);
                }
            }
        }
        again
    }
}

/// What has come into use between the first look and the detaching keeps the candidate.
fn second_look(
    each: &Detached,
    looked: Result<Tree, InsideError>,
    signs: &Signs,
    owner: Option<u32>,
) -> Result<Option<Keep>, Broken> {
    let tree = match looked {
        Ok(tree) => tree,
        Err(error) => return Ok(Some(Keep::new(because(&error), passing(error)?.to_string()))),
    };
    if changed(&each.tree, &tree) {
        return Ok(Some(Keep::new(KeptBecause::InUse, "it changed during the sweep")));
    }
    Ok(kept_by_mount(&tree)
        .or_else(|| kept_by_owner(&tree, owner))
        .or_else(|| kept_by_revival(&each.candidate, signs))
        .or_else(|| kept_by_use(&each.candidate.path, &tree, signs)))
}

/// Whether somebody has written to it between two looks. Detaching changes the ctime of what is
/// detached, which is in the newest change of a file and not in that of a folder; when it was written to
/// holds for both. A file may be overwritten with as much as it held.
pub(super) fn changed(before: &Tree, after: &Tree) -> bool {
    let later = after.kind == Kind::Folder && after.newest > before.newest;
    later || after.written != before.written || after.files > before.files || after.bytes > before.bytes
}
