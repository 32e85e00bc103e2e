//! What was measured, written where people read it: docs/performance.md, and a table of it between two
//! marks in the README.

use std::fs;

use crate::{
    figures::{Section, at_a_glance},
    plan::Plan,
    world::repository,
};

const BEGIN: &str = "<!-- performance: begin -->\n";
const END: &str = "<!-- performance: end -->";

pub(crate) fn write(machine: &str, plan: &Plan, sections: &[Section]) {
    let glance = at_a_glance(sections);
    let sections: Vec<_> = sections.iter().map(ToString::to_string).collect();
    let document = format!(
        "# Performance\n\n\
         Written by `make bench-sweep`: ratios hold within one run on one machine; trust them more than seconds.\n\n\
         {machine}\n\n{glance}\nThe plan of this run:\n\n```text\n{plan}\n```\n\n{sections}",
        sections = sections.join("\n"),
    );
    fs::write(repository("docs/performance.md"), document).unwrap();
    let readme = repository("README.md");
    let text = fs::read_to_string(&readme).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the README has the mark at which the figures begin");
    let (_, after) = rest.split_once(END).expect("the README has the mark at which the figures end");
    fs::write(readme, format!("{before}{BEGIN}{machine}\n\n{glance}{END}{after}")).unwrap();
    println!("kept in docs/performance.md and in the README");
}
