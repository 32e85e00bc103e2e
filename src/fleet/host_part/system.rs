//! What is asked of a host beside its files: accounts, sudo, the container runtime.

use std::{
    ffi::OsStr,
    io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect as connect_to, socket_with,
};

use super::{
    PROGRAM,
    wanted::{ACCOUNT, ACCOUNT_HOME, TEXTFILE},
};

/// Where programs of the system's administration are; sudo and cron leave some of it out.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What is run, here or by the files that are put in place.
const PROGRAMS: [&str; 9] =
    ["sudo", "visudo", "useradd", "userdel", "getent", "flock", "logger", "timeout", "nice"];
/// How long any of them may take, in seconds.
const SECONDS: &str = "60";

/// The host beside its files. A failure is told in words.
pub(super) trait System {
    /// Which of the programs that are needed is not there.
    fn missing_programs(&self) -> Vec<&'static str>;
    /// Whether sudo takes a file, or all that it has now.
    fn check_sudoers(&self, file: Option<&Path>) -> Result<(), String>;
    /// Whether sudo lets the account run its one command.
    fn lets_account_sweep(&self) -> Result<(), String>;
    /// The home of the account, if there is one.
    fn account_home(&self) -> Result<Option<PathBuf>, String>;
    /// Makes the account.
    fn add_account(&self) -> Result<(), String>;
    /// Takes the account away.
    fn remove_account(&self) -> Result<(), String>;
    /// Whether anybody listens at a container runtime's socket.
    fn knock(&self, socket: &Path) -> io::Result<()>;
    /// Measures once, by the program that is in place.
    fn measure(&self) -> Result<(), String>;
}

/// This very machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine;

impl System for Machine {
    fn missing_programs(&self) -> Vec<&'static str> {
        let is_there = |program: &str| PATH.split(':').any(|folder| Path::new(folder).join(program).exists());
        PROGRAMS.into_iter().filter(|program| !is_there(program)).collect()
    }

    fn check_sudoers(&self, file: Option<&Path>) -> Result<(), String> {
        let mut arguments: Vec<&OsStr> = ["visudo", "-q", "-c"].map(OsStr::new).into();
        if let Some(file) = file {
            arguments.extend([OsStr::new("-f"), file.as_os_str()]);
        }
        run(&arguments).and_then(wanted_zero).map_err(|why| format!("sudo does not take it: {why}"))
    }

    fn lets_account_sweep(&self) -> Result<(), String> {
        let list = ["sudo", "-n", "-l", "-U", ACCOUNT, "--", PROGRAM, "sweep", "--request", "-"];
        run(&list.map(OsStr::new)).and_then(wanted_zero)
    }

    fn account_home(&self) -> Result<Option<PathBuf>, String> {
        let (code, said) = run(&["getent", "passwd", ACCOUNT].map(OsStr::new))?;
        match code {
            Some(0) => Ok(said.lines().next().and_then(|line| line.split(':').nth(5)).map(PathBuf::from)),
            // What getent says of a name that is not there.
            Some(2) => Ok(None),
            _ => Err(format!("getent passwd {ACCOUNT}: {}", last_line(&said))),
        }
    }

    fn add_account(&self) -> Result<(), String> {
        // Not `!`: an sshd without PAM takes that for a locked account and refuses the key.
        let arguments = ["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", "--password", "*"];
        let rest = ["--home-dir", ACCOUNT_HOME, ACCOUNT];
        let arguments: Vec<&OsStr> = arguments.iter().chain(&rest).map(OsStr::new).collect();
        run(&arguments).and_then(wanted_zero)
    }

    fn remove_account(&self) -> Result<(), String> {
        run(&["userdel", ACCOUNT].map(OsStr::new)).and_then(wanted_zero)
    }

    fn knock(&self, socket: &Path) -> io::Result<()> {
        connect(socket).map(drop)
    }

    fn measure(&self) -> Result<(), String> {
        let arguments = [PROGRAM, "measure", "--textfile", TEXTFILE, "--log.level", "error"];
        run(&arguments.map(OsStr::new)).and_then(wanted_zero)
    }
}

/// A connection to whoever listens at a socket. One whose queue is full is not waited for: nobody takes from it,
/// and a plain connect would wait for as long as that.
pub(super) fn connect(socket: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let connecting = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect_to(&connecting, &SocketAddrUnix::new(socket)?).map_err(|error| match error {
        rustix::io::Errno::AGAIN => {
            io::Error::new(io::ErrorKind::WouldBlock, "it takes no connection: its queue is full")
        }
        other => other.into(),
    })?;
    let stream = UnixStream::from(connecting);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// What the program that is in place says of its version.
pub(super) fn version() -> Result<String, String> {
    let (code, said) = run(&[PROGRAM, "--version"].map(OsStr::new))?;
    wanted_zero((code, said.clone()))?;
    Ok(last_line(&said).trim_start_matches("raysweep ").to_owned())
}

/// Whether sudo lets the account run what the gate runs, by sudo's own word.
pub(super) fn sudo_allows() -> Result<(), String> {
    let arguments = ["sudo", "-n", "-l", "-U", ACCOUNT, PROGRAM, "sweep", "--request", "-"];
    let (code, said) = run(&arguments.map(OsStr::new))?;
    match (code, said.trim()) {
        (Some(0), _) => Ok(()),
        // So sudo says no.
        (Some(1), "") => Err(format!("sudo does not let {ACCOUNT} start a sweep")),
        _ => Err(format!("sudo does not let {ACCOUNT} start a sweep: {}", last_line(&said))),
    }
}

/// Runs a program to its end, and gives its exit code with all that it said.
fn run(arguments: &[&OsStr]) -> Result<(Option<i32>, String), String> {
    let output = Command::new("timeout")
        .arg(SECONDS)
        .args(arguments)
        .env_clear()
        .envs([("PATH", PATH), ("LC_ALL", "C")])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("timeout cannot be run: {error}"))?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
}

fn wanted_zero((code, said): (Option<i32>, String)) -> Result<(), String> {
    if code == Some(0) { Ok(()) } else { Err(last_line(&said).to_owned()) }
}

fn last_line(said: &str) -> &str {
    said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing said")
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use rustix::net::{bind, listen};

    use super::*;

    #[test]
    fn a_socket_from_which_nobody_takes_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        listen(&listener, 0).unwrap();
        let (done, told) = mpsc::channel();
        let asking = path.clone();
        // Left behind should it wait: there is no other end to that.
        thread::spawn(move || {
            let mut taken = vec![];
            let full = loop {
                match connect(&asking) {
                    Ok(stream) => taken.push(stream),
                    Err(error) => break error,
                }
            };
            let _ = done.send(full.to_string());
        });
        let full = told.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(full.contains("its queue is full"), "{full}");
        drop(listener);
        assert_eq!(connect(&path).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
