//! The operator's side: what is asked from a desk about a fleet.

pub mod access;
pub mod client;
pub mod deploy;
pub mod doctor;
pub mod host_part;
pub mod order;
pub mod replay;
pub mod run;

/// The SHA-256 of bytes, as sha256sum writes it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"))
}
