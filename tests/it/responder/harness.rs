//! A fleet on loopback: a real sshd a host, each with its own key, and the real responder.

// Named by path: the benchmark takes this file in by a path of its own, and a module's folder then is not
// the one beside it.
#[path = "harness/fleet.rs"]
mod fleet;
#[path = "harness/host.rs"]
mod host;
#[path = "harness/payloads.rs"]
mod payloads;
#[path = "harness/process.rs"]
mod process;
#[path = "harness/proxy.rs"]
mod proxy;
#[path = "harness/waiting.rs"]
mod waiting;

pub(crate) use fleet::Fleet;
pub(crate) use host::{Behaviour, free_port};
pub(crate) use payloads::{CRITICAL, LARGE, alert, firing, payload, resolved};
pub(crate) use process::{LOOPBACK, Launch, Responder, agent, processes_with, serve_command};
pub(crate) use proxy::Stage;
pub(crate) use waiting::{PATIENCE, soon, wait_for};
