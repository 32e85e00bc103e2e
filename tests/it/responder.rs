//! The responder as a process, against a real SSH server on loopback, or against a stand-in for ssh where
//! there are thousands of hosts.

mod alertmanagers;
mod answers;
mod api;
mod asking;
mod by_hand;
mod called;
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
mod over_reload;
mod pki;
mod queries;
mod real_alertmanager;
mod reload;
mod scraping;
mod slow;
mod stand_in;
mod storm;
mod story;
mod straight_path;
mod stuck;
mod systemd;
mod tls;
mod trust;
mod users;
mod writer;
