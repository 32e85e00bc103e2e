//! What runs workers beside the Docker of the end-to-end tests: Docker on cgroup v1 and v2, Podman, no
//! runtime at all, one of which nobody tells; and the prune, on the real runtimes.
//!
//! The runtimes are real, and so are namespaces, layers and sockets; Ray is a stand-in that has a
//! raylet's program name and arguments, except in one test on Podman. Runs inside a world, started by `tests/runtimes/run.sh`.

// A test's harness may panic: that is how a test fails.
#![allow(clippy::unwrap_used)]

mod bare;
mod containers;
mod layers;
mod mounts;
mod podman;
mod podman_ray;
mod prune;
mod stand_in;
mod unknown;
// The end-to-end tests use more of these than the tests here do.
#[allow(dead_code)]
#[path = "../e2e/sweeping.rs"]
mod sweeping;
#[allow(dead_code)]
#[path = "../e2e/world.rs"]
mod world;
