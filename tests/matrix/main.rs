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
    // To look at one part alone; without it, all of them run.
    let only = std::env::var("MATRIX_ONLY").unwrap_or_default();
    let wanted = |part: &str| only.is_empty() || only == part;
    let mut rows = vec![];
    if wanted("at_rest") {
        rows.extend(at_rest::rows());
    }
    if wanted("in_jobs") {
        rows.extend(in_jobs::rows());
    }
    if wanted("after_spilling") {
        rows.extend(in_jobs::rows_after_spilling());
    }
    if wanted("detached_actor") {
        rows.extend(in_jobs::rows_of_a_detached_actor());
    }
    if wanted("without_a_gcs") {
        rows.extend(in_jobs::rows_without_a_gcs());
    }
    table::print(&rows);
    table::check(&rows);
}
