use clap::CommandFactory;

use super::*;

#[test]
fn verify_cli() {
    Cli::command().debug_assert();
}

#[test]
fn every_subcommand_shows_an_example() {
    for command in Cli::command().get_subcommands_mut() {
        let help = command.render_long_help().to_string();
        let name = command.get_name();
        assert!(help.contains("Example") && help.contains(&format!("raysweep {name}")), "{help}");
    }
}
