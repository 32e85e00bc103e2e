//! The responder's door measured beside another's: notifications accepted, and memory for a large fleet.
//!
//! raysweep answers once a notification is on disk; adnanh/webhook, which many use for this, starts a
//! command and keeps nothing. Both are measured in the same run, in turn, with the same requests, and a
//! run only counts when what had to happen has happened. Started by `benches/responder.sh`; a run of
//! the whole plan is kept in docs/performance-responder.md.

// A measurement may panic: then there is no figure. Figures need no more than a float's 52 bits.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

mod accepting;
mod contenders;
mod kept;
mod load;
mod memory;
mod payload;
mod plan;
mod shared;

use std::process::ExitCode;

use plan::{Part, Plan};
use shared::{disk, environment, figures, harness, machine, stand_in, world};

fn main() -> ExitCode {
    let checked = Plan::from_environment().and_then(|plan| disk::is_real().map(|()| plan));
    let plan = match checked {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("bench-responder: {error}");
            return ExitCode::from(64);
        }
    };
    let machine = machine::named(&disk::named());
    println!("{machine}\n\n{plan}\n");
    let mut sections = vec![];
    for part in &plan.parts {
        let section = match part {
            Part::Accepting => accepting::section(&plan),
            Part::Memory => memory::section(&plan),
        };
        println!("\n{section}");
        sections.push(section);
    }
    if plan.is_kept() {
        kept::write(&machine, &plan, &sections);
    }
    ExitCode::SUCCESS
}
