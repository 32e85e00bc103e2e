//! `raysweep pages FOLDER`: man pages and shell completions, for whoever makes a package. Made by the very
//! program that is shipped, from what its command line is, so that none of them can tell of another one.

mod man;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, exit::Exit, failed};

/// The first argument under which the binary does it. No subcommand: whoever frees disks never needs it.
pub const ARGUMENT: &str = "pages";

/// The shells that Debian has a place for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Writes them into the folder that is named, which is made if it is not there.
pub fn main() -> ExitCode {
    let exit = match env::args_os().skip(2).map(PathBuf::from).collect::<Vec<_>>().as_slice() {
        [folder] => write(folder).map_or_else(
            |error| failed(Exit::Failure, &format!("{}: {error}", folder.display())),
            |()| Exit::Success,
        ),
        _ => failed(Exit::Usage, &"pages: name one folder to write to"),
    };
    exit.into()
}

fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    man::write(Cli::command(), folder)?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut Cli::command(), "raysweep", folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_each_subcommand_and_a_file_for_each_shell() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let mut expected: Vec<_> = Cli::command()
            .get_subcommands()
            .map(|command| format!("raysweep-{}.1", command.get_name()))
            .collect();
        expected.extend(["_raysweep", "raysweep.1", "raysweep.bash", "raysweep.fish"].map(str::to_owned));
        expected.sort();
        let mut written: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        written.sort();
        assert_eq!(written, expected);
    }
}
