//! From a file and the environment to a value, or to an error that names the file, the key and what
//! would be right.
//!
//! config-rs finds and merges; it would also convert (5.7 to 6, `true` to 1, "007" to 7). So what it
//! merged is read by serde_json's deserializer, which takes each value for what it is.

mod message;

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
};

use config::{Config, Environment, File, FileFormat, Source, Value, ValueKind};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {source}; create it, or name another with --config.file", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The web configuration file cannot be read.
    #[error("{path}: cannot be read: {source}; create it, or name another with --web.config.file", path = path.display())]
    Web {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The HTTP client configuration file cannot be read.
    #[error("{path}: cannot be read: {source}; create it, or name another with --http.config.file", path = path.display())]
    HttpClient {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not YAML.
    #[error("{path}: is not YAML: {message}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// Keys have no such name or no such value.
    #[error("{}", lines(path, problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong, a line each.
        problems: Vec<Problem>,
    },
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, as `ssh.port` or `hosts[2].name`; empty where it is about the whole file.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, message } = self;
        if key.is_empty() { f.write_str(message) } else { write!(f, "{key}: {message}") }
    }
}

fn lines(path: &Path, problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(|problem| format!("{}: {problem}", path.display())).collect();
    lines.join("\n")
}

/// What may override a file's keys.
#[derive(Debug, Clone)]
pub enum Overrides {
    /// Variables of this process, `<PREFIX>__SECTION__KEY`.
    OfProcess(&'static str),
    /// These variables and no others, already without a prefix: `SECTION__KEY`.
    Given(HashMap<String, String>),
}

impl Overrides {
    fn source(self) -> Environment {
        let environment = Environment::default().separator("__");
        match self {
            Self::OfProcess(prefix) => environment.prefix(prefix).prefix_separator("__"),
            Self::Given(variables) => environment.source(Some(variables)),
        }
    }
}

/// Reads a YAML file, lets variables override it, and checks its shape.
pub fn load<T: DeserializeOwned>(path: &Path, overrides: Overrides) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse(path, &text, overrides)
}

/// As `load`, from the file's text.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str, overrides: Overrides) -> Result<T, ConfigError> {
    let invalid = |problem| ConfigError::Invalid { path: path.to_owned(), problems: vec![problem] };
    let syntax = |error| ConfigError::Syntax { path: path.to_owned(), message: message::syntax(&error) };
    let file = File::from_str(text, FileFormat::Yaml);
    if let Some(key) = file.collect().map_err(syntax)?.into_keys().find(|key| !is_plain(key)) {
        let message = "is no key: write `section:`, and the keys of the section indented below it".to_owned();
        return Err(invalid(Problem { key: key.escape_debug().to_string(), message }));
    }
    let merged = Config::builder()
        .add_source(file)
        .add_source(overrides.source())
        .build()
        .and_then(|config| config.collect())
        .map_err(syntax)?;
    let mut from_variables = vec![];
    let merged = plain(merged, "", &mut from_variables).map_err(invalid)?;
    read(merged).map_err(|(path, mut problem)| {
        if from_variables.contains(&path) {
            problem.message.push_str(" (a variable of the environment sets it)");
        }
        invalid(problem)
    })
}

/// The value that merged keys stand for, or where they stand for none, and why.
pub(super) fn read<T: DeserializeOwned>(merged: Json) -> Result<T, (String, Problem)> {
    serde_path_to_error::deserialize(merged).map_err(|error| {
        let path = error.path().to_string();
        let problem = message::shape(&path, &error.into_inner());
        (path, problem)
    })
}

/// What config-rs takes for one key at the top of a file. Of any other it makes a path: of `ssh.port`
/// two keys, of `hosts[4000000000]` a list as long.
fn is_plain(key: &str) -> bool {
    key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// What config-rs says a variable's value comes from.
const FROM_ENVIRONMENT: &str = "the environment";

/// The same values without config-rs' readiness to convert. A variable is read as YAML, as if it
/// stood in the file: `2222` is a number there, `10m` a text.
fn plain(
    table: impl IntoIterator<Item = (String, Value)>,
    parent: &str,
    from_variables: &mut Vec<String>,
) -> Result<Json, Problem> {
    let entries = table.into_iter().map(|(key, value)| {
        let path = if parent.is_empty() { key.clone() } else { format!("{parent}.{key}") };
        Ok((key, plain_value(value, &path, from_variables)?))
    });
    entries.collect::<Result<_, _>>().map(Json::Object)
}

fn plain_value(value: Value, path: &str, from_variables: &mut Vec<String>) -> Result<Json, Problem> {
    let from_environment = value.origin() == Some(FROM_ENVIRONMENT);
    Ok(match value.kind {
        ValueKind::Nil => Json::Null,
        ValueKind::Boolean(value) => value.into(),
        ValueKind::I64(value) => value.into(),
        ValueKind::U64(value) => value.into(),
        ValueKind::Float(value) => value.into(),
        // YAML gives no wider numbers than these; as texts they fit nowhere and are named.
        ValueKind::I128(value) => value.to_string().into(),
        ValueKind::U128(value) => value.to_string().into(),
        ValueKind::String(text) if from_environment => {
            from_variables.push(path.to_owned());
            as_in_the_file(&text, path)?
        }
        ValueKind::String(text) => text.into(),
        ValueKind::Array(values) => {
            let values = values.into_iter().enumerate();
            let values =
                values.map(|(at, value)| plain_value(value, &format!("{path}[{at}]"), from_variables));
            Json::Array(values.collect::<Result<_, _>>()?)
        }
        ValueKind::Table(table) => plain(table, path, from_variables)?,
    })
}

fn as_in_the_file(text: &str, path: &str) -> Result<Json, Problem> {
    const KEY: &str = "value";
    let wrapped = File::from_str(&format!("{KEY}: {text}"), FileFormat::Yaml);
    let wrong = || Problem {
        key: path.to_owned(),
        message: format!("the variable's value {text:?} is not YAML: quote it as in a file"),
    };
    let mut table =
        Config::builder().add_source(wrapped).build().and_then(|c| c.collect()).map_err(|_| wrong())?;
    match table.remove(KEY) {
        Some(value) if table.is_empty() => plain_value(value, path, &mut vec![]),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests;
