//! A fleet on loopback: a real sshd a host, each with its own key, and the real responder.

mod fleet;
mod host;
mod payloads;
mod process;
mod proxy;
mod waiting;

pub(crate) use fleet::Fleet;
pub(crate) use host::{Behaviour, free_port};
pub(crate) use payloads::{CRITICAL, LARGE, alert, firing, payload, resolved};
pub(crate) use process::{LOOPBACK, Launch, Responder, agent, processes_with, serve_command};
pub(crate) use proxy::Stage;
pub(crate) use waiting::{PATIENCE, soon, wait_for};
