//! `raysweep pages FOLDER`: man pages and shell completions, for whoever makes a package. Made by the very
//! program that is shipped, from what its command line is, so that none of them can tell of another one.

mod man;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::CommandFactory;
use clap_complete::{Generator, Shell};

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
        let mut script = vec![];
        clap_complete::generate(shell, &mut Cli::command(), "raysweep", &mut script);
        if shell == Shell::Fish {
            script = for_fish(&String::from_utf8_lossy(&script)).into_bytes();
        }
        fs::write(folder.join(shell.file_name("raysweep")), script)?;
    }
    Ok(())
}

/// fish's argparse takes no option with a dot in its name, and with one in its list it takes none at all:
/// nothing would be completed.
fn for_fish(script: &str) -> String {
    let lines = script.lines().map(|line| match line.split_once(r"string join \n ") {
        Some((before, options)) => {
            let taken: Vec<_> = options.split(' ').filter(|option| !option.contains('.')).collect();
            format!(r"{before}string join \n {}", taken.join(" "))
        }
        None => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
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

    #[test]
    fn fish_is_told_of_no_option_that_its_argparse_would_choke_on() {
        let script = "function f\n    string join \\n log.level= h/help V/version\nend\n";
        assert_eq!(for_fish(script), "function f\n    string join \\n h/help V/version\nend\n");
    }
}
