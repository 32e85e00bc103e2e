//! What has to hold for any input whatever, one function for each fuzz target.
//!
//! The fuzzers (`fuzz/`, `make fuzz`) feed them what they make up. The unit tests feed them the seeds
//! of `fuzz/seeds`, so that neither the properties nor the seeds rot between two runs. Each builds from
//! the bytes what the kernel or a peer would write, reads it back, and panics where that is not the same.

mod config;
mod gate;
mod mounts;
mod payload;
mod processes;
mod report;
mod signs;
mod web;

use crate::sweeper::inside;

/// `/proc/PID/{stat,status,cmdline,cgroup}`: what a process says of itself never hides what it is.
pub fn processes(data: &[u8]) {
    processes::stat(data);
    processes::status(data);
    processes::arguments(data);
    processes::cgroup(data);
}

/// `/proc/PID/maps`, `/proc/locks` and `/proc/PID/net/unix`: no name hides a file in use.
pub fn signs(data: &[u8]) {
    signs::maps(data);
    signs::locks(data);
    signs::sockets(data);
}

/// `/proc/PID/mountinfo`: no name moves a mount.
pub fn mounts(data: &[u8]) {
    mounts::any_line(data);
    mounts::lines_of_the_kernel(data);
}

/// What a caller with the key may say: one word, and one request.
pub fn gate(data: &[u8]) {
    gate::command(data);
    gate::request(data);
}

/// The line that a sweep prints, as the responder reads it.
pub fn report(data: &[u8]) {
    report::any_output(data);
}

/// What parent and child say to each other.
pub fn wire(data: &[u8]) {
    inside::protocol::fuzzing::any_stream(data);
    inside::protocol::fuzzing::any_path(data);
}

/// What comes to the webhook: anything, and labels that mean harm.
pub fn payload(data: &[u8]) {
    payload::any_body(data);
    payload::labels(data);
}

/// The configuration files: what is read is what is written, and what is told to ssh is one word.
pub fn config(data: &[u8]) {
    config::any_file(data);
    config::variables(data);
}

/// The web configuration file, and what comes over the wire because of it.
pub fn web(data: &[u8]) {
    web::any_file(data);
    web::secrets(data);
    web::certificates(data);
}

/// The parts of an input, where it is taken as several names.
fn names(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == 0).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests;
