//! Where a worker's sessions and leftovers lie, from what its raylets and its environment tell.

use std::path::{Component, Path, PathBuf};

use super::{Raylet, TempRoot};
use crate::domain::report::told;

/// What is a temporary folder where nothing else is named.
const DEFAULT: &str = "/tmp";

/// What the environment of a worker names as its temporary folders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TempVariables {
    pub(super) ray_tmpdir: Option<PathBuf>,
    pub(super) tmpdir: Option<PathBuf>,
}

impl TempVariables {
    /// From `NAME=value` entries. The first of a name counts, as for getenv.
    pub(super) fn of<'a>(entries: impl IntoIterator<Item = &'a str>) -> Self {
        let mut variables = Self::default();
        for entry in entries {
            match entry.split_once('=') {
                Some(("RAY_TMPDIR", path)) => variables.ray_tmpdir.get_or_insert_with(|| path.into()),
                Some(("TMPDIR", path)) => variables.tmpdir.get_or_insert_with(|| path.into()),
                _ => continue,
            };
        }
        variables
    }

    fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        self.ray_tmpdir.iter().chain(&self.tmpdir)
    }
}

/// The temp roots of a container. Leftovers lie in what the environment calls a temporary folder and
/// in `/tmp`. A folder that only a raylet's `--temp_dir` names holds sessions and nothing else of
/// Ray's: beside it, in `/data` of `/data/ray`, `tmp*` may be anybody's.
///
/// `own` is what root has started the container with, and comes first. The raylets' variables, in their
/// order, are a process's word, as their arguments are.
pub(super) fn of_container(
    own: &TempVariables,
    raylets: &[Raylet],
    variables: &[TempVariables],
) -> Result<Vec<TempRoot>, String> {
    let by_root = own.folders().cloned().chain([PathBuf::from(DEFAULT)]).map(|folder| (folder, None));
    let by_raylets = raylets.iter().zip(variables).flat_map(|(raylet, variables)| {
        variables.folders().map(|folder| (folder.clone(), Some(raylet.user_id)))
    });
    let mut roots: Vec<TempRoot> = vec![];
    for (path, owner) in by_root.chain(by_raylets) {
        let known = roots.iter().any(|known| known.path == path);
        // What is no folder for temporary files is none because a variable says so.
        if usable(&path) && !known {
            roots.push(TempRoot { path, sessions: "ray".into(), leftovers: true, owner });
        }
    }
    for root in of_raylets(raylets)? {
        let known = roots.iter().any(|known| known.path.join(&known.sessions) == root.path);
        if !known {
            roots.push(root);
        }
    }
    Ok(roots)
}

/// The folders in which the raylets' own sessions lie, and others beside them.
pub(super) fn of_raylets(raylets: &[Raylet]) -> Result<Vec<TempRoot>, String> {
    let mut roots = vec![];
    for raylet in raylets {
        let beside = raylet.session_dir.as_deref().and_then(Path::parent);
        for folder in raylet.temp_dir.as_deref().into_iter().chain(beside) {
            if !usable(folder) {
                let folder = folder.display();
                let reason = format!("its raylet {} names {folder} as its temporary folder", raylet.id.pid);
                return Err(told(&reason));
            }
            if roots.iter().all(|known: &TempRoot| known.path != folder) {
                let (path, owner) = (folder.to_owned(), Some(raylet.user_id));
                roots.push(TempRoot { path, sessions: PathBuf::new(), leftovers: false, owner });
            }
        }
    }
    Ok(roots)
}

/// Absolute, no longer than a path that can be opened, without ways up, and none of the folders in which the
/// system's own `tmp` lies.
fn usable(folder: &Path) -> bool {
    const LONGEST: usize = 4095;
    folder.is_absolute()
        && folder.as_os_str().len() <= LONGEST
        && folder.components().skip(1).all(|part| matches!(part, Component::Normal(_)))
        && !["/", "/usr", "/var"].iter().any(|system| folder == Path::new(system))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweeper::ProcessId;

    fn raylet(temp_dir: &str) -> Raylet {
        Raylet {
            id: ProcessId { pid: 7, start_ticks: 1 },
            user_id: 0,
            group_id: 0,
            temp_dir: Some(temp_dir.into()),
            session_dir: Some(format!("{temp_dir}/session_2026-01-05_12-00-00_1_1").into()),
            node_id: None,
            gcs_address: None,
            python: None,
        }
    }

    fn roots(temp_dirs: &[&str], environment: &[&str]) -> Result<Vec<(String, String, bool)>, String> {
        let raylets: Vec<Raylet> = temp_dirs.iter().map(|folder| raylet(folder)).collect();
        let own = TempVariables::of(environment.iter().copied());
        Ok(of_container(&own, &raylets, &[])?
            .into_iter()
            .map(|root| (text(&root.path), text(&root.sessions), root.leftovers))
            .collect())
    }

    /// Where something may go, and whose it has to be, as a raylet of user 1000 names it.
    fn owners(own: &[&str], raylet_says: &[&str], temp_dir: &str) -> Vec<(PathBuf, Option<u32>)> {
        let raylet = Raylet { user_id: 1000, ..raylet(temp_dir) };
        let [own, its] = [own, raylet_says].map(|entries| TempVariables::of(entries.iter().copied()));
        let roots = of_container(&own, &[raylet], &[its]).unwrap();
        roots.into_iter().map(|root| (root.path.join(root.sessions), root.owner)).collect()
    }

    #[test]
    fn what_only_a_process_names_has_to_be_its_users_own() {
        let named = |path: &str, owner| (PathBuf::from(path), owner);
        let (tmp, claimed) = (named("/tmp/ray", None), named("/data", Some(1000)));
        assert_eq!(owners(&[], &[], "/tmp/ray"), [named("/tmp/ray", None)]);
        assert_eq!(owners(&[], &[], "/data"), [tmp.clone(), claimed.clone()]);
        assert_eq!(owners(&[], &["TMPDIR=/data"], "/tmp/ray"), [tmp.clone(), named("/data/ray", Some(1000))]);
        assert_eq!(
            owners(&["TMPDIR=/data"], &["TMPDIR=/data"], "/data/ray"),
            [named("/data/ray", None), tmp.clone()]
        );
    }

    fn text(path: &Path) -> String {
        path.display().to_string()
    }

    fn root(path: &str, sessions: &str, leftovers: bool) -> (String, String, bool) {
        (path.to_owned(), sessions.to_owned(), leftovers)
    }

    #[test]
    fn the_folder_above_ray_is_the_root_where_it_is_a_temporary_one() {
        assert_eq!(roots(&["/tmp/ray"], &[]).unwrap(), [root("/tmp", "ray", true)]);
        assert_eq!(roots(&[], &[]).unwrap(), [root("/tmp", "ray", true)]);
    }

    #[test]
    fn the_raylets_own_arguments_name_the_sessions_and_the_environment_the_leftovers() {
        assert_eq!(
            roots(&["/data/x"], &["TMPDIR=/scratch", "PATH=/bin"]).unwrap(),
            [root("/scratch", "ray", true), root("/tmp", "ray", true), root("/data/x", "", false)]
        );
        assert_eq!(
            roots(&["/fast/ray"], &["RAY_TMPDIR=/fast"]).unwrap(),
            [root("/fast", "ray", true), root("/tmp", "ray", true)]
        );
    }

    #[test]
    fn a_folder_named_ray_does_not_make_its_neighbours_leftovers() {
        assert_eq!(
            roots(&["/data/ray"], &[]).unwrap(),
            [root("/tmp", "ray", true), root("/data/ray", "", false)]
        );
    }

    /// What is said of it goes to the host's log each minute.
    #[test]
    fn a_folder_that_no_path_can_name_is_refused_in_one_short_line() {
        let longest = |length: usize| format!("/{}", "x".repeat(length - 1));
        assert!(roots(&[&longest(4095)], &[]).is_ok());
        for folder in [longest(4096), longest(100_000), "x\nsshd: a forged line".to_owned()] {
            let reason = roots(&[&folder], &[]).unwrap_err();
            assert!(reason.len() < 600 && !reason.contains('\n'), "{reason:?}");
        }
        let variable = format!("TMPDIR={}", longest(4096));
        assert_eq!(roots(&[], &[&variable]).unwrap(), [root("/tmp", "ray", true)]);
    }

    #[test]
    fn a_raylet_that_names_no_folder_of_its_own_is_refused() {
        for folder in ["/", "/var", "relative", "/tmp/../etc"] {
            assert!(roots(&[folder], &[]).is_err(), "{folder}");
        }
        assert_eq!(roots(&[], &["TMPDIR=/", "RAY_TMPDIR=var"]).unwrap(), [root("/tmp", "ray", true)]);
    }
}
