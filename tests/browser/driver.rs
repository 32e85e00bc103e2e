//! chromedriver: started on a port of its own, ended by its id, with every Chromium that it started.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::harness::{free_port, wait_for};

pub(crate) struct Driver {
    pub(crate) url: String,
    /// Chromium's own folder; its name is on the command line of each of its processes.
    pub(crate) profile: TempDir,
    process: Child,
}

impl Driver {
    pub(crate) fn start() -> Self {
        let profile = tempfile::Builder::new().prefix("rs-chromium").tempdir().unwrap();
        let port = free_port("127.0.0.1");
        let log = fs::File::create(profile.path().join("chromedriver.log")).unwrap();
        let process = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("Debian's package chromium-driver");
        let driver = Self { url: format!("http://127.0.0.1:{port}"), profile, process };
        wait_for("chromedriver", || TcpStream::connect(("127.0.0.1", port)).ok());
        driver
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        end_left_over(self.profile.path());
    }
}

/// Ends what a session that was not closed has left, each process by its id.
fn end_left_over(profile: &Path) {
    let profile = profile.display().to_string();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&profile) {
            let _ = Command::new("kill").arg("-KILL").arg(entry.file_name()).stderr(Stdio::null()).status();
        }
    }
}
