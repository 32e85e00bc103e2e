//! raysweep measured beside what people use instead: removal, usage, verdicts, memory, system calls.
//!
//! Everything that is compared is measured in the same run, in turn, on the same files made anew, and
//! only counts when what had to happen has happened. Runs inside a world, started by `benches/run.sh`;
//! a run of the whole plan is kept in docs/performance.md and in the README.

// A measurement may panic: then there is no figure. Figures need no more than a float's 52 bits.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

mod calls;
mod environment;
mod figures;
mod files;
mod kept;
mod machine;
mod memory;
mod plan;
mod programs;
mod removal;
mod stage;
mod usage;
mod verdicts;
// The end-to-end tests use more of it than the benchmark does.
#[allow(dead_code)]
#[path = "../../tests/e2e/world.rs"]
mod world;

use std::{
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    time::Instant,
};

use figures::Section;
use plan::{Part, Plan};

fn main() -> ExitCode {
    let plan = match Plan::from_environment() {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("bench-sweep: {error}");
            return ExitCode::from(64);
        }
    };
    let machine = machine::named(&stage::named());
    println!("{machine}\n\n{plan}\n");
    stage::docker_up();
    let mut sections = vec![];
    let mut failed = vec![];
    for part in &plan.parts {
        let begun = Instant::now();
        // One part that cannot be measured takes no other part's figures with it.
        match panic::catch_unwind(AssertUnwindSafe(|| measure(*part, &plan))) {
            Ok(section) => {
                println!("\n{section}\n({part} took {} s)\n", begun.elapsed().as_secs());
                sections.push(section);
            }
            Err(_) => failed.push(part.to_string()),
        }
    }
    if !failed.is_empty() {
        eprintln!("bench-sweep: not measured: {}", failed.join(", "));
        return ExitCode::FAILURE;
    }
    println!("{}", figures::at_a_glance(&sections));
    if plan.is_kept() {
        kept::write(&machine, &plan, &sections);
    }
    ExitCode::SUCCESS
}

fn measure(part: Part, plan: &Plan) -> Section {
    match part {
        Part::Removal => removal::section(plan),
        Part::Usage => usage::section(plan),
        Part::Verdicts => verdicts::section(plan),
        Part::Memory => memory::section(plan),
        Part::Calls => calls::section(plan),
    }
}
