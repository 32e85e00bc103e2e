//! The man pages: what `--help` says, in the sections that a man page has for it.

use std::{fs::File, io, path::Path};

use clap::Command;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

/// Writes a page for the program and one for each subcommand.
pub(super) fn write(command: Command, folder: &Path) -> io::Result<()> {
    let mut command = command;
    // From here on a subcommand has the program's common options, and calls itself raysweep-serve.
    command.build();
    page(&command, &command, folder)?;
    command.get_subcommands().try_for_each(|subcommand| page(&command, subcommand, folder))
}

fn page(program: &Command, command: &Command, folder: &Path) -> io::Result<()> {
    let version = program.get_version().unwrap_or_default();
    let man = Man::new(command.clone())
        .source(format!("{} {version}", program.get_name()))
        .manual("Disk of Ray hosts");
    let mut file = File::create(folder.join(man.get_filename()))?;
    man.render_title(&mut file)?;
    man.render_name_section(&mut file)?;
    man.render_synopsis_section(&mut file)?;
    man.render_description_section(&mut file)?;
    man.render_options_section(&mut file)?;
    let is_program = command.get_name() == program.get_name();
    if is_program {
        man.render_subcommands_section(&mut file)?;
    }
    for section in sections(&command.get_after_help().map(ToString::to_string).unwrap_or_default()) {
        section.roff().to_writer(&mut file)?;
    }
    if is_program { Ok(()) } else { see_also(program).to_writer(&mut file) }
}

fn see_also(program: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]).text([bold(program.get_name()), roman("(1)")]);
    roff
}

/// What stands at the end of a help text.
#[derive(Debug, PartialEq, Eq)]
struct Section<'a> {
    title: &'static str,
    /// Line by line, as it stands; otherwise words that flow.
    verbatim: bool,
    lines: Vec<&'a str>,
}

/// The paragraphs of a help text's end.
fn sections(text: &str) -> Vec<Section<'_>> {
    let paragraphs = text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty());
    paragraphs
        .map(|paragraph| {
            let (first, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
            let (title, shown) = match first {
                "Exit codes:" => ("EXIT STATUS", rest),
                "Example:" => ("EXAMPLES", rest),
                // It says more than that: where it belongs.
                first if first.starts_with("Example") => ("EXAMPLES", paragraph),
                _ => return Section { title: "NOTES", verbatim: false, lines: paragraph.lines().collect() },
            };
            Section { title, verbatim: true, lines: shown.lines().map(str::trim_start).collect() }
        })
        .collect()
}

impl Section<'_> {
    fn roff(&self) -> Roff {
        let mut roff = Roff::new();
        roff.control("SH", [self.title]);
        if self.verbatim {
            roff.control("nf", []);
        }
        for line in &self.lines {
            roff.text([roman(*line)]);
        }
        if self.verbatim {
            roff.control("fi", []);
        }
        roff
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_end_of_a_help_text_is_put_into_sections() {
        let text =
            "It gives\nway.\n\nExit codes:\n  0  done\n  1  not\n\nExample, in a file:\n  raysweep gate";
        let section =
            |title, verbatim, lines: &[&'static str]| Section { title, verbatim, lines: lines.to_vec() };
        assert_eq!(
            sections(text),
            [
                section("NOTES", false, &["It gives", "way."]),
                section("EXIT STATUS", true, &["0  done", "1  not"]),
                section("EXAMPLES", true, &["Example, in a file:", "raysweep gate"]),
            ]
        );
        assert_eq!(sections(""), []);
    }

    #[test]
    fn what_has_to_stand_as_it_is_does() {
        let text = "Example:\n  raysweep deploy --all\n  .hidden";
        let roff: String = sections(text).iter().map(|section| section.roff().to_roff()).collect();
        expect![[r#"
            .SH EXAMPLES
            .nf
            raysweep deploy \-\-all
            \&.hidden
            .fi
        "#]]
        .assert_eq(&roff);
    }
}
