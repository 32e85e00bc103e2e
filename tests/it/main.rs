//! The integration tests: one binary, one harness.

// A test says by its panic where it stopped.
#![allow(clippy::unwrap_used)]

mod cli;
mod config;
mod documents;
mod house;
mod pipeline;
#[path = "../queries/mod.rs"]
mod queries;
mod reference;
mod responder;
