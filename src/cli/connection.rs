//! How a running responder is asked: flags that several subcommands share.

use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use crate::fleet::client::{Client, ClientError, DEFAULT_URL};

/// Where the responder is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Responder")]
pub(crate) struct Connection {
    /// Where the responder listens
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
    url: String,
    /// The file with the bearer token that the responder wants
    #[arg(long, value_name = "FILE")]
    bearer_token_file: Option<PathBuf>,
}

impl Connection {
    /// A client for it.
    pub(crate) fn client(&self) -> Result<Client, ClientError> {
        Client::new(&self.url, self.bearer_token_file.as_deref())
    }
}

impl From<&ClientError> for Exit {
    fn from(error: &ClientError) -> Self {
        match error {
            ClientError::Unreachable { .. } => Self::Unreachable,
            // 400: the payload is none; 401: the token is not right.
            ClientError::Unauthorized { .. } | ClientError::Status { status: 400..=499, .. } => Self::Refused,
            ClientError::Token { .. }
            | ClientError::Status { .. }
            | ClientError::TooLong { .. }
            | ClientError::Shape { .. } => Self::Failure,
        }
    }
}
