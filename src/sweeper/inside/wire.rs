//! Paths on the wire: as text where they are text, and as bytes where they are not, since a name on
//! Linux is any bytes.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Wire {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<&Path> for Wire {
    fn from(path: &Path) -> Self {
        path.to_str().map_or_else(
            || Self::Bytes(path.as_os_str().as_bytes().to_vec()),
            |text| Self::Text(text.to_owned()),
        )
    }
}

impl From<Wire> for PathBuf {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Text(text) => text.into(),
            Wire::Bytes(bytes) => OsString::from_vec(bytes).into(),
        }
    }
}

/// What can be sent as something that holds paths.
pub(super) trait Paths: Sized {
    type Wire: Serialize + for<'de> Deserialize<'de>;
    fn wire(&self) -> Self::Wire;
    fn from_wire(wire: Self::Wire) -> Self;
}

impl Paths for PathBuf {
    type Wire = Wire;

    fn wire(&self) -> Wire {
        self.as_path().into()
    }

    fn from_wire(wire: Wire) -> Self {
        wire.into()
    }
}

impl<T: Paths> Paths for Vec<T> {
    type Wire = Vec<T::Wire>;

    fn wire(&self) -> Self::Wire {
        self.iter().map(Paths::wire).collect()
    }

    fn from_wire(wire: Self::Wire) -> Self {
        wire.into_iter().map(T::from_wire).collect()
    }
}

impl<T: Paths> Paths for Option<T> {
    type Wire = Option<T::Wire>;

    fn wire(&self) -> Self::Wire {
        self.as_ref().map(Paths::wire)
    }

    fn from_wire(wire: Self::Wire) -> Self {
        wire.map(T::from_wire)
    }
}

pub(super) fn serialize<P: Paths, S: Serializer>(paths: &P, serializer: S) -> Result<S::Ok, S::Error> {
    paths.wire().serialize(serializer)
}

pub(super) fn deserialize<'de, P: Paths, D: Deserializer<'de>>(deserializer: D) -> Result<P, D::Error> {
    P::Wire::deserialize(deserializer).map(P::from_wire)
}
