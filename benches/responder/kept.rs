//! What was measured, written where people read it: docs/performance-responder.md.

use std::fs;

use crate::{figures::Section, plan::Plan, world::repository};

pub(crate) fn write(machine: &str, plan: &Plan, sections: &[Section]) {
    let sections: Vec<_> = sections.iter().map(ToString::to_string).collect();
    let document = format!(
        "# Performance of the responder\n\n\
         Written by `make bench-responder`: ratios hold within one run on one machine; trust them more than\n\
         milliseconds. What a sweep takes on a host is in [performance.md](performance.md).\n\n\
         {machine}\n\nThe plan of this run:\n\n```text\n{plan}\n```\n\n{sections}",
        sections = sections.join("\n"),
    );
    fs::write(repository("docs/performance-responder.md"), document).unwrap();
    println!("kept in docs/performance-responder.md");
}
