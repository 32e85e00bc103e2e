//! The end-to-end tests on real parts; they run inside a world.

#[test]
fn the_harness_runs() {}
