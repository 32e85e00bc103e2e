//! What goes from a folder that has several names, for the sake of each.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// One of the names of a temp root: `/tmp` and what a symlink of that name leads to, what `TMPDIR` and what
/// `--temp_dir` say, or what another worker calls the same volume.
#[derive(Debug, Clone)]
pub(super) struct Naming {
    /// Index of the worker that calls it so.
    pub(super) worker: usize,
    /// Where its sessions lie in it, unless they lie in a root of their own.
    pub(super) sessions: Option<PathBuf>,
    /// Whether by this name `tmp*` and the like in it are leftovers.
    pub(super) leftovers: bool,
    /// Whose it has to be to go for the sake of this name.
    pub(super) owner: Option<u32>,
}

/// What is looked for in it at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pass<'a> {
    pub(super) sessions: Option<&'a Path>,
    pub(super) leftovers: bool,
    pub(super) owner: Option<u32>,
}

/// Whether leftovers may go from it: each worker that has it calls it a folder for temporary files by some
/// name.
pub(super) fn has_leftovers(namings: &[Naming]) -> bool {
    let all: BTreeSet<usize> = namings.iter().map(|naming| naming.worker).collect();
    let by: BTreeSet<usize> =
        namings.iter().filter(|naming| naming.leftovers).map(|naming| naming.worker).collect();
    all == by
}

impl Pass<'_> {
    /// Whether it looks for all that this one would let go.
    fn covers(&self, other: &Self) -> bool {
        let is_asked = self.sessions == other.sessions && (self.leftovers || !other.leftovers);
        is_asked && (self.owner.is_none() || self.owner == other.owner)
    }
}

/// Each way in which it is named, in their order, but for what another one lets go anyway.
pub(super) fn passes(namings: &[Naming]) -> Vec<Pass<'_>> {
    let has_leftovers = has_leftovers(namings);
    let mut passes = vec![];
    for naming in namings {
        let pass = Pass {
            sessions: naming.sessions.as_deref(),
            leftovers: has_leftovers && naming.leftovers,
            owner: naming.owner,
        };
        if !passes.iter().any(|earlier: &Pass<'_>| earlier.covers(&pass)) {
            passes.push(pass);
        }
    }
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(worker: usize, sessions: &str, leftovers: bool, owner: Option<u32>) -> Naming {
        Naming { worker, sessions: Some(sessions.into()), leftovers, owner }
    }

    fn pass(sessions: &str, leftovers: bool, owner: Option<u32>) -> Pass<'_> {
        Pass { sessions: Some(Path::new(sessions)), leftovers, owner }
    }

    /// `ray start --temp-dir=/tmp`.
    #[test]
    fn a_folder_that_its_raylet_names_once_more_loses_what_each_name_lets_go() {
        let both = [naming(0, "ray", true, None), naming(0, "", false, Some(7))];
        assert_eq!(passes(&both), [pass("ray", true, None), pass("", false, Some(7))]);
    }

    #[test]
    fn what_is_called_the_same_twice_is_looked_at_once() {
        let root_says = naming(0, "ray", true, None);
        for again in
            [naming(0, "ray", true, None), naming(0, "ray", true, Some(7)), naming(0, "ray", false, Some(7))]
        {
            assert_eq!(passes(&[root_says.clone(), again]), [pass("ray", true, None)]);
        }
        let users =
            [naming(0, "", false, Some(7)), naming(0, "", false, Some(8)), naming(0, "", false, None)];
        assert_eq!(passes(&users), [Some(7), Some(8), None].map(|owner| pass("", false, owner)));
    }

    #[test]
    fn in_a_volume_leftovers_go_only_where_all_who_have_it_call_it_temporary() {
        let other = [naming(0, "ray", true, None), naming(1, "", false, Some(7))];
        assert_eq!(passes(&other), [pass("ray", false, None), pass("", false, Some(7))]);
        assert!(!has_leftovers(&other));
        let both =
            [naming(0, "ray", true, None), naming(1, "", false, Some(7)), naming(1, "ray", true, None)];
        assert!(has_leftovers(&both));
    }
}
