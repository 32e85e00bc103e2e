#![doc = include_str!("../ARCHITECTURE.md")]

pub mod cli;
pub mod config;
pub mod domain;
pub mod fleet;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod responder;
pub mod sweeper;
