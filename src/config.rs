//! Files and environment become values here; every default has its one place here.
//!
//! Two files, two owners: `raysweep.yml` belongs to the operator and configures the responder and
//! the fleet commands; `sweep.yml` belongs to a host's root and alone decides what a sweep may do.

pub mod load;
pub mod responder;
pub mod sweep;
pub mod units;

pub use load::{ConfigError, load};
