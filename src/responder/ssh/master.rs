//! The ssh process that holds a connection open: its configuration is ours alone, and so is its end.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    runtime::Handle,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{Target, answer::drain};

/// How long a left-over master may take to answer before it is left to its own timeouts.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// An ssh process and the folder of its control socket. Dropped, it is killed together with what it has
/// started to get through a jump host, and its folder goes once it has ended.
#[derive(Debug)]
pub(super) struct Master {
    /// Taken when it is dropped.
    running: Option<(Child, TempDir)>,
    said: JoinHandle<Vec<u8>>,
    socket: PathBuf,
}

impl Master {
    /// Starts to connect.
    pub(super) fn start(target: &Target, folder: &Path, connect_timeout: Duration) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("m").tempdir_in(folder)?;
        let config = folder.path().join("config");
        let socket = folder.path().join("ctl");
        // A few bytes, and at once: whoever gives up in between leaves nobody writing into the folder.
        std::fs::write(&config, target.config(connect_timeout))?;
        let mut process = command(target, &config, &socket).spawn()?;
        // What ssh itself says has an end: a host's words go to the session's own streams.
        let said = drain(process.stderr.take(), u64::MAX, CancellationToken::new());
        Ok(Self { running: Some((process, folder)), said, socket })
    }

    /// Where it takes commands once it is connected.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Waits until it ends by itself; what it said.
    pub(super) async fn ended(&mut self) -> io::Result<Vec<u8>> {
        if let Some((process, _)) = &mut self.running {
            process.wait().await?;
        }
        Ok((&mut self.said).await.unwrap_or_default())
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let Some((mut process, folder)) = self.running.take() else { return };
        // `None` once its end was seen, when the number may already be another's.
        let group = process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        if let Ok(runtime) = Handle::try_current() {
            // Until it has ended it may still be making its socket, in a folder that would not go then.
            runtime.spawn(async move {
                let _ = process.wait().await;
                drop(folder);
            });
        }
    }
}

fn command(target: &Target, config: &Path, socket: &Path) -> Command {
    let mut command = Command::new("ssh");
    command.arg("-F").arg(config).args(["-M", "-N", "-T", "-S"]).arg(socket);
    command.args(target.arguments());
    command.env_remove("SSH_AUTH_SOCK").env_remove("SSH_ASKPASS").env("LC_ALL", "C");
    // ssh goes through a jump host by our account's shell, and a service's runs nothing.
    command.env("SHELL", "/bin/sh");
    // A group of its own, to be ended as a whole; and whoever stops us from a terminal stops only us.
    command.process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Ends a master that a killed responder left behind, and removes its folder.
pub(super) async fn end_left_over(folder: &Path) {
    let socket = folder.join("ctl");
    if socket.exists() {
        // Speaks to the socket only; the name stands where ssh wants one and is never looked up.
        let mut exit = Command::new("ssh");
        exit.args(["-F", "none", "-O", "exit", "-S"]).arg(&socket).args(["--", "left-over"]);
        exit.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let _ = timeout(EXIT_TIMEOUT, exit.status()).await;
        tracing::warn!("ended an ssh connection that a killed responder had left");
    }
    // Also the socket that was still being made, under a name of ssh's own.
    if let Ok(mut entries) = tokio::fs::read_dir(folder).await {
        while let Ok(Some(entry)) = entries.next_entry().await {
            let _ = rustix::fs::unlink(entry.path());
        }
    }
    let _ = rustix::fs::rmdir(folder);
}
