//! From a file and the environment to a value, or to an error that names the file, the key and what
//! would be right.

use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat};
use serde::de::DeserializeOwned;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not YAML.
    #[error("{path}: {message}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// A key has no such name or no such value.
    #[error("{path}: {key}: {message}", path = path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, as `ssh.port` or `hosts[2].name`.
        key: String,
        /// What is wrong, and what would be right.
        message: String,
    },
}

/// Reads a YAML file, lets `<PREFIX>__SECTION__KEY` variables override it, and checks its shape.
pub fn load<T: DeserializeOwned>(path: &Path, env_prefix: &str) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let syntax = |error: config::ConfigError| ConfigError::Syntax {
        path: path.to_owned(),
        message: error.to_string(),
    };
    let raw = Config::builder()
        .add_source(File::from_str(&text, FileFormat::Yaml))
        .add_source(Environment::with_prefix(env_prefix).prefix_separator("__").separator("__"))
        .build()
        .map_err(syntax)?;
    serde_path_to_error::deserialize(raw).map_err(|error| ConfigError::Value {
        path: path.to_owned(),
        key: error.path().to_string(),
        message: error.into_inner().to_string(),
    })
}
