//! From an inventory entry to a report, over an SSH master process of our own.
//!
//! The openssh crate speaks to the master; it does not start it, because its own way of starting
//! one has no `--` before the destination, adds host keys and leaves the process behind when a
//! connection is given up. No text from outside the configuration reaches a command line.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::domain::{
    attempt::SweepRequest,
    report::{Report, ReportError},
};

mod failure;
mod target;

pub use failure::SshError;
pub use target::{Target, TargetError};

/// The one command that the host's key may run; what is wanted goes to its standard input.
const COMMAND: &str = "sweep";
/// How often the control socket is looked for while the master connects.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What is kept of what ssh or the host says on standard error: enough to tell why.
const STDERR_BYTES: u64 = 16 * 1024;
/// How long a left-over master may take to answer before it is left to its own timeouts.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);
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
        tokio::fs::create_dir_all(&folder).await.map_err(failed)?;
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
        let folder =
            tempfile::Builder::new().prefix("m").tempdir_in(&self.folder).map_err(SshError::Local)?;
        let config = folder.path().join("config");
        let socket = folder.path().join("ctl");
        tokio::fs::write(&config, target.config(self.connect_timeout)).await.map_err(SshError::Local)?;
        let mut master = master(target, &config, &socket).spawn().map_err(SshError::Local)?;
        let stderr = drain(master.stderr.take());
        let session = openssh::Session::resume_mux(socket.clone().into(), None);
        let ended = tokio::select! {
            () = listens(&session, &socket) => {
                let output_bytes = self.output_bytes;
                return Ok(Connection { session, output_bytes, _master: master, _folder: folder });
            }
            ended = timeout(self.connect_timeout, master.wait()) => ended,
        };
        ended.map_err(|_| SshError::ConnectTimeout)?.map_err(SshError::Local)?;
        Err(SshError::of_master(&stderr.await.unwrap_or_default()))
    }
}

/// An open connection to a host. Dropping it kills the master, whatever it was doing.
#[derive(Debug)]
pub struct Connection {
    session: openssh::Session,
    output_bytes: u64,
    // Dropped in this order: first the process, then the folder with its socket.
    _master: Child,
    _folder: TempDir,
}

impl Connection {
    /// Asks for a sweep and waits for its report. The report tells how it ended; the exit code is
    /// asked only where there is none.
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
        let stdout = child.stdout().take();
        let stderr = drain(child.stderr().take());
        let output = read_bounded(stdout, self.output_bytes).await?;
        match Report::from_line(&output, request.attempt) {
            Ok(report) => Ok(report),
            Err(ReportError::Incomplete(_)) => {
                let ended =
                    timeout(EXIT_TIMEOUT, child.wait()).await.unwrap_or(Err(openssh::Error::Disconnected));
                Err(SshError::of_command(ended, &stderr.await.unwrap_or_default()))
            }
            Err(error) => Err(SshError::BadReport(error)),
        }
    }
}

/// The master: its configuration is ours alone, a jump host's connection included.
fn master(target: &Target, config: &Path, socket: &Path) -> Command {
    let mut command = Command::new("ssh");
    command.arg("-F").arg(config).args(["-M", "-N", "-T", "-S"]).arg(socket);
    command.args(target.arguments());
    command.env_remove("SSH_AUTH_SOCK").env_remove("SSH_ASKPASS").env("LC_ALL", "C");
    // ssh goes through a jump host by our account's shell, and a service's runs nothing.
    command.env("SHELL", "/bin/sh");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Returns once the master takes commands: it makes the socket after the host has let us in.
async fn listens(session: &openssh::Session, socket: &Path) {
    while !socket.exists() || session.check().await.is_err() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Reads a stream to its end, and keeps its beginning: a sender never blocks on what we do not want.
fn drain(stream: Option<impl AsyncRead + Unpin + Send + 'static>) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let mut kept = Vec::new();
        if let Some(mut stream) = stream {
            let _ = (&mut stream).take(STDERR_BYTES).read_to_end(&mut kept).await;
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
        kept
    })
}

async fn read_bounded(stream: Option<impl AsyncRead + Unpin>, most: u64) -> Result<Vec<u8>, SshError> {
    let mut output = Vec::new();
    if let Some(stream) = stream {
        stream.take(most + 1).read_to_end(&mut output).await.map_err(|_| SshError::ConnectionLost)?;
    }
    if output.len() as u64 > most { Err(SshError::OutputTooLong(most)) } else { Ok(output) }
}

/// Ends a master that a killed responder left behind, and removes its folder.
async fn end_left_over(folder: &Path) {
    let socket = folder.join("ctl");
    if socket.exists() {
        // Speaks to the socket only; the name stands where ssh wants one and is never looked up.
        let mut exit = Command::new("ssh");
        exit.args(["-F", "none", "-O", "exit", "-S"]).arg(&socket).args(["--", "left-over"]);
        exit.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let _ = timeout(EXIT_TIMEOUT, exit.status()).await;
        tracing::warn!("ended an ssh connection that a killed responder had left");
    }
    for name in ["ctl", "config"] {
        let _ = rustix::fs::unlink(folder.join(name));
    }
    let _ = rustix::fs::rmdir(folder);
}
