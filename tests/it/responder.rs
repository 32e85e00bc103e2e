//! The responder as a process, against a real SSH server on loopback.

mod faults;
mod harness;
mod hosts;
mod intake;
mod life;
mod limits;
mod pki;
mod real_alertmanager;
mod reload;
mod scraping;
mod slow;
mod story;
mod straight_path;
mod systemd;
mod tls;
mod users;
