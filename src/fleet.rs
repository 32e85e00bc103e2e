//! The operator's side.
