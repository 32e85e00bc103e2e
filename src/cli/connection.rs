//! How a running responder is asked: flags that several subcommands share.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{exit::Exit, failed};
use crate::{
    config::{ConfigError, http_client::HttpClient},
    fleet::{
        access::{Access, AccessError},
        client::{Client, ClientError, DEFAULT_URL},
    },
};

/// Where the responder is, and who we are to it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Responder")]
pub(crate) struct Connection {
    /// Where the responder listens
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
    url: String,
    #[command(flatten)]
    identity: Identity,
}

/// Who we are to a responder.
#[derive(Debug, Args)]
pub(crate) struct Identity {
    /// The file with the bearer token that the responder wants
    #[arg(long, value_name = "FILE", conflicts_with = "http_config_file")]
    bearer_token_file: Option<PathBuf>,
    /// A user or a token, a certificate to show and the authority to trust, in the format of Prometheus'
    /// HTTP clients
    #[arg(long = "http.config.file", value_name = "FILE")]
    http_config_file: Option<PathBuf>,
}

/// Why a responder was not asked, or did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Connection {
    /// A client for it.
    pub(crate) fn client(&self) -> Result<Client, AskError> {
        self.identity.client(&self.url)
    }

    /// Where it is and who we are to it: with nothing said, whoever may read the responder's own token is
    /// one that it lets in, where it listens by default. Who may not read it is nobody.
    pub(crate) fn place(self, own_token_file: Option<&Path>) -> Result<(String, Access), AskError> {
        let Self { url, identity } = self;
        let access = match own_token_file {
            Some(file) if identity.is_nobody() && url == DEFAULT_URL => {
                or_nobody(Access::with_token(file), "the responder")
            }
            _ => identity.access()?,
        };
        Ok((url, access))
    }
}

/// Who we are, or nobody where a secret that is not ours cannot be read; that is said.
pub(crate) fn or_nobody(access: Result<Access, AccessError>, whom: &str) -> Access {
    access.unwrap_or_else(|error| {
        failed(Exit::Failure, &format!("{error}: {whom} is asked without it"));
        Access::default()
    })
}

impl Identity {
    /// A client for the responder at `url`.
    pub(crate) fn client(&self, url: &str) -> Result<Client, AskError> {
        Ok(Client::new(url, self.access()?))
    }

    fn is_nobody(&self) -> bool {
        self.bearer_token_file.is_none() && self.http_config_file.is_none()
    }

    fn access(&self) -> Result<Access, AskError> {
        Ok(match (&self.bearer_token_file, &self.http_config_file) {
            (Some(file), _) => Access::with_token(file)?,
            (None, Some(file)) => Access::configured(&HttpClient::read(file)?)?,
            (None, None) => Access::default(),
        })
    }
}

impl From<&AskError> for Exit {
    fn from(error: &AskError) -> Self {
        match error {
            AskError::Config(_) => Self::Config,
            AskError::Client(ClientError::Unreachable { .. }) => Self::Unreachable,
            // 400: the payload is none; 401: the token is not right.
            AskError::Client(
                ClientError::Unauthorized { .. } | ClientError::Status { status: 400..=499, .. },
            ) => Self::Refused,
            AskError::Access(_)
            | AskError::Client(
                ClientError::Status { .. } | ClientError::TooLong { .. } | ClientError::Shape { .. },
            ) => Self::Failure,
        }
    }
}
