//! Text that is never shown.

use std::fmt;

use serde::{Deserialize, Deserializer, de::Error};

/// A key, a certificate or a password's hash. Neither a log nor an error message shows it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// Serde's own message for a wrong type would show what stands there.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("must be a text: put it into quotes")),
        }
    }
}
