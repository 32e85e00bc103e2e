//! The matrix: what raysweep does to real work on real Ray, scenario by scenario.
//!
//! Each row is something that is at work, or has been, in a real container; one sweep comes in between,
//! with ages so short that age alone protects nobody; then the work is let go on and has to finish. The
//! row says what still stood, what was freed, and what the rule of the old system says of the same
//! moment. Runs inside a world, started by `tests/matrix/run.sh`, once for each version of Ray.

// A test's harness may panic: that is how a test fails.
#![allow(clippy::unwrap_used)]

mod at_rest;
mod in_jobs;
mod round;
mod stage;
mod table;
mod work;
// The end-to-end tests use more of it than the matrix does.
#[allow(dead_code)]
#[path = "../e2e/world.rs"]
mod world;

#[test]
fn nothing_at_work_is_interrupted_and_what_may_go_goes() {
    stage::bring_up();
    let mut rows = at_rest::rows();
    rows.extend(in_jobs::rows());
    rows.extend(in_jobs::rows_without_a_gcs());
    table::print(&rows);
    table::check(&rows);
}
