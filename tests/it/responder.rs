//! The responder as a process, against a real SSH server on loopback, or against a stand-in for ssh where
//! there are thousands of hosts.

mod alertmanagers;
mod clocks;
mod disk;
mod escalation;
mod faults;
mod harness;
mod hosts;
mod intake;
mod kills;
mod life;
mod limits;
mod scraping;
mod stand_in;
mod storm;
mod straight_path;
