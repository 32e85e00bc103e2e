//! What the benchmarks of the responder and of its page have in common: parts of the sweep's benchmark, and of
//! the tests' harness. Neither of the two needs all of each.

#![allow(dead_code, unused_imports, unused_macros)]

#[path = "disk.rs"]
pub(crate) mod disk;
#[path = "../sweep/environment.rs"]
pub(crate) mod environment;
#[path = "../sweep/figures.rs"]
pub(crate) mod figures;
#[path = "../../tests/it/responder/harness.rs"]
pub(crate) mod harness;
#[path = "../sweep/machine.rs"]
pub(crate) mod machine;
#[path = "../../tests/it/responder/stand_in.rs"]
pub(crate) mod stand_in;
#[path = "../../tests/e2e/world.rs"]
pub(crate) mod world;
