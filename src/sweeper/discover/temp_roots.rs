//! Where a worker's sessions and leftovers lie, from what its raylets and its environment tell.

use std::path::{Component, Path, PathBuf};

use super::{Raylet, TempRoot};

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
pub(super) fn of_container(raylets: &[Raylet], variables: &[TempVariables]) -> Result<Vec<TempRoot>, String> {
    let mut roots: Vec<TempRoot> = vec![];
    for folder in variables.iter().flat_map(TempVariables::folders).chain([&PathBuf::from(DEFAULT)]) {
        let root = TempRoot { path: folder.clone(), sessions: "ray".into(), leftovers: true };
        // What is no folder for temporary files is none because a variable says so.
        if usable(folder) && !roots.contains(&root) {
            roots.push(root);
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
                return Err(format!(
                    "its raylet {} names {} as its temporary folder",
                    raylet.id.pid,
                    folder.display()
                ));
            }
            let root = TempRoot { path: folder.to_owned(), sessions: PathBuf::new(), leftovers: false };
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
    }
    Ok(roots)
}

/// Absolute, without ways up, and none of the folders in which the system's own `tmp` lies.
fn usable(folder: &Path) -> bool {
    folder.is_absolute()
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
        let variables = [TempVariables::of(environment.iter().copied())];
        Ok(of_container(&raylets, &variables)?
            .into_iter()
            .map(|root| (text(&root.path), text(&root.sessions), root.leftovers))
            .collect())
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

    #[test]
    fn a_raylet_that_names_no_folder_of_its_own_is_refused() {
        for folder in ["/", "/var", "relative", "/tmp/../etc"] {
            assert!(roots(&[folder], &[]).is_err(), "{folder}");
        }
        assert_eq!(roots(&[], &["TMPDIR=/", "RAY_TMPDIR=var"]).unwrap(), [root("/tmp", "ray", true)]);
    }
}
