//! The words of raysweep and the rules over them.
//!
//! Everything here is pure: no I/O, no clock, no configuration. The wings speak in these terms and
//! share nothing else.

pub mod alert;
pub mod attempt;
pub mod backstop;
pub mod decision;
pub mod evidence;
pub mod hold;
pub mod host;
pub mod incident;
pub mod line;
pub mod policy;
pub mod report;
pub mod standing;
