//! The end-to-end tests on real parts: Docker, Ray, Prometheus, Alertmanager, sshd.
//!
//! They run one after the other inside one world (`deploy/demo/world.sh`), started by
//! `tests/e2e/run.sh`, and share the containers of one stage. Outside of a world they fail.

// A test's harness may panic: that is how a test fails.
#![allow(clippy::unwrap_used)]

mod fleet;
mod jobs;
mod leftovers;
mod measuring;
mod modes;
mod mounts;
#[path = "../queries/mod.rs"]
mod queries;
mod ray;
mod sessions;
mod stage;
mod survival;
mod sweeping;
mod whole_way;
mod work;
mod world;
