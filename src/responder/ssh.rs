//! From an inventory entry to a report, over an SSH master process of our own.
//!
//! The openssh crate speaks to the master; it does not start it, because its own way of starting
//! one has no `--` before the destination, adds host keys and leaves the process behind when a
//! connection is given up. No text from outside the configuration reaches a command line.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{io::AsyncWriteExt, time::timeout};

use crate::domain::{attempt::SweepRequest, report::Report};

mod answer;
mod failure;
mod master;

pub use crate::config::ssh_target::{Target, TargetError};
pub use failure::SshError;
use master::{Master, end_left_over};

/// The one command that the host's key may run; what is wanted goes to its standard input.
const COMMAND: &str = "sweep";
/// How often the control socket is looked for while the master connects.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// `sun_path` holds 108 bytes; ssh adds 17 while it makes the socket, and 18 are ours.
const FOLDER_BYTES: usize = 108 - 17 - 18;

/// Connects to hosts.
#[derive(Debug, Clone)]
pub struct Ssh {
    folder: PathBuf,
    connect_timeout: Duration,
    output_bytes: u64,
}

/// Why connections cannot be made at all.
#[derive(Debug, thiserror::Error)]
pub enum SshSetupError {
    /// The folder for control sockets cannot be made or read.
    #[error("{path}: {source}", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A socket's path would not fit.
    #[error("{path} is too long a path for ssh's control sockets: use one of at most {FOLDER_BYTES} bytes", path = .0.display())]
    TooLong(PathBuf),
}

impl Ssh {
    /// Prepares a folder of our own for control sockets, and ends the masters that a killed
    /// responder left in it. The caller holds the lock that makes the folder ours alone.
    pub async fn prepare(
        folder: PathBuf,
        connect_timeout: Duration,
        output_bytes: u64,
    ) -> Result<Self, SshSetupError> {
        if folder.as_os_str().len() > FOLDER_BYTES {
            return Err(SshSetupError::TooLong(folder));
        }
        let failed = |source| SshSetupError::Folder { path: folder.clone(), source };
        tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).await.map_err(failed)?;
        let mut entries = tokio::fs::read_dir(&folder).await.map_err(failed)?;
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            end_left_over(&entry.path()).await;
        }
        Ok(Self { folder, connect_timeout, output_bytes })
    }

    /// The same folder under other bounds. Connections that stand keep theirs.
    #[must_use]
    pub fn with_bounds(&self, connect_timeout: Duration, output_bytes: u64) -> Self {
        Self { folder: self.folder.clone(), connect_timeout, output_bytes }
    }

    /// Connects to a host. The connection ends with the value that is returned.
    pub async fn connect(&self, target: &Target) -> Result<Connection, SshError> {
        let mut master =
            Master::start(target, &self.folder, self.connect_timeout).map_err(SshError::Local)?;
        let socket = master.socket().to_owned();
        let session = openssh::Session::resume_mux(socket.clone().into(), None);
        let ended = tokio::select! {
            () = listens(&session, &socket) => {
                return Ok(Connection { session, output_bytes: self.output_bytes, _master: master });
            }
            ended = timeout(self.connect_timeout, master.ended()) => ended,
        };
        let said = ended.map_err(|_| SshError::ConnectTimeout)?.map_err(SshError::Local)?;
        Err(SshError::of_master(&said))
    }
}

/// An open connection to a host. Dropping it kills the master, whatever it was doing.
#[derive(Debug)]
pub struct Connection {
    session: openssh::Session,
    output_bytes: u64,
    _master: Master,
}

impl Connection {
    /// Asks for a sweep and waits for its report.
    pub async fn sweep(self, request: &SweepRequest) -> Result<Report, SshError> {
        let mut child = self
            .session
            .raw_command(COMMAND)
            .stdin(openssh::Stdio::piped())
            .stdout(openssh::Stdio::piped())
            .stderr(openssh::Stdio::piped())
            .spawn()
            .await
            .map_err(|_| SshError::ConnectionLost)?;
        let body = serde_json::to_vec(request).map_err(|error| SshError::Local(error.into()))?;
        if let Some(mut stdin) = child.stdin().take() {
            // A host that does not read has its reason, which its output or exit code tells.
            let _ = stdin.write_all(&body).await;
        }
        let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
        answer::report(stdout, stderr, child.wait(), request.attempt, self.output_bytes).await
    }
}

/// Returns once the master takes commands: it makes the socket after the host has let us in.
async fn listens(session: &openssh::Session, socket: &Path) {
    while !socket.exists() || session.check().await.is_err() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
