//! The integration tests: one binary, one harness.

#[test]
fn the_harness_runs() {}
