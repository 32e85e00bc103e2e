//! The responder as a process, against a real SSH server on loopback.

mod faults;
mod harness;
mod hosts;
mod intake;
mod life;
mod limits;
mod scraping;
mod straight_path;
