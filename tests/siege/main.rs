//! The siege: somebody in a container, who may do there what root may, plays against sweeps.
//!
//! What a play may cost is what lies in the candidates themselves. Everything outside of them, in the
//! container and on the host, has to be to the last inode and change time what it was. No Ray is needed:
//! dead sessions go whatever the state, and a player is as good a foreign process as any. Runs inside a
//! world, started by `tests/siege/run.sh`; `SIEGE=long` makes every play a long one, for `make soak`.

// A test's harness may panic: that is how a test fails.
#![allow(clippy::unwrap_used)]

mod claims;
mod comings;
mod kills;
mod play;
mod proxy;
mod races;
mod roots;
mod shapes;
mod shells;
mod stage;
// The end-to-end tests use more of these than the siege does.
#[allow(dead_code)]
#[path = "../e2e/sweeping.rs"]
mod sweeping;
mod words;
#[allow(dead_code)]
#[path = "../e2e/world.rs"]
mod world;
