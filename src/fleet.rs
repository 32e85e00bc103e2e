//! The operator's side: what is asked from a desk about a fleet.

pub mod access;
pub mod client;
pub mod replay;
