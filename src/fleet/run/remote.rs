//! One sweep over an ssh of the person's own.

use std::{io, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::report::Report,
    fleet::{
        deploy::{
            Password, Trouble,
            remote::{Remote, script},
            ssh::{Failure, Group, NO_CONNECTION, SAID_BYTES, failure, last_words},
        },
        host_part::PROGRAM,
    },
};

/// How long a sweep that has been told of our end, or has reported, may take until its ssh ends.
const GRACE: Duration = Duration::from_secs(10);
/// The exit code where root cannot be reached.
const NO_ROOT: i32 = 77;
/// The exit code where the program is not there.
const NO_PROGRAM: i32 = 78;
/// The exit code of a program that does not know what is asked of it.
const USAGE: i32 = 2;

/// `run PROGRAM…`: as root, however that is reached. Standard input stays the program's own: it ends when we
/// do. sudo reads a password, where it wants one, a byte at a time, and nothing that comes after it.
const AS_ROOT: &str = r#"
if [ "$(id -u)" = 0 ]; then run() { "$@"; };
elif sudo -n true 2>/dev/null; then run() { sudo -n -- "$@"; };
elif [ -n "$p" ] && printf "%s\n" "$p" | sudo -k -S -p "" true 2>/dev/null; then run() { sudo -k -S -p "" -- "$@"; };
else exit 77; fi;
"#;

/// Sweeps there. Told to stop, it lets the host know, which ends the sweep and gives back what is detached.
pub(super) async fn sweep(
    remote: &Remote,
    password: Option<&Password>,
    dry_run: bool,
    most_bytes: u64,
    stop: &CancellationToken,
) -> Result<Report, Trouble> {
    match (once(remote, None, dry_run, most_bytes, stop).await, password) {
        // Nothing has run there yet, and sudo asks: only then is it told.
        (Err((Some(NO_ROOT), _)), Some(_)) => {
            once(remote, password, dry_run, most_bytes, stop).await.map_err(|(_, trouble)| trouble)
        }
        (ended, _) => ended.map_err(|(_, trouble)| trouble),
    }
}

/// One ssh; where there is no report, its exit code as far as it is known, and why.
async fn once(
    remote: &Remote,
    password: Option<&Password>,
    dry_run: bool,
    most_bytes: u64,
    stop: &CancellationToken,
) -> Result<Report, (Option<i32>, Trouble)> {
    let local = |error| (None, Trouble::from(Failure::Local(error)));
    let (ssh, words) = remote.call(&command(dry_run)).ready().map_err(local)?;
    let talk = talk(ssh, password, most_bytes, stop);
    let within = remote.deadline();
    let said = timeout(within, talk).await.map_err(|_| {
        let secs = within.as_secs();
        let why = format!("no report within {secs} s; what was begun there ends by its own deadline");
        (None, Trouble::Failed(why))
    })?;
    match said.map_err(local)? {
        Said::Report(line, stderr, code) => Report::of_any_attempt(&line)
            .map_err(|error| (code, without_report(code, &stderr, &words.read(), &error))),
        Said::Stopped => Err((None, Trouble::Interrupted)),
    }
}

/// What came of it.
enum Said {
    /// What stands in the place of a report, what was said beside it, and the exit code.
    Report(Vec<u8>, String, Option<i32>),
    /// We were told to stop.
    Stopped,
}

fn command(dry_run: bool) -> String {
    let dry_run = if dry_run { " --dry-run" } else { "" };
    let sweep = format!(
        "[ -x {PROGRAM} ] || exit {NO_PROGRAM}; run {PROGRAM} sweep --json --trigger manual --attached{dry_run}"
    );
    script(&[AS_ROOT, &sweep])
}

async fn talk(
    mut ssh: Command,
    password: Option<&Password>,
    most_bytes: u64,
    stop: &CancellationToken,
) -> io::Result<Said> {
    // ssh has a session of its own: a terminal's Ctrl-C is for us, we tell the host, and only then it ends.
    let mut child = ssh.stderr(Stdio::piped()).spawn()?;
    let mut group = Group::of(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let listening = tokio::spawn(heard(stderr));
    let mut stdin = stdin;
    if let Some(stdin) = &mut stdin {
        // Once for whoever finds out how root is reached, and once for sudo.
        let line = password.map_or_else(|| "\n".to_owned(), Password::line);
        // A host that does not read has its reason, which its exit code tells.
        let _ = stdin.write_all(line.repeat(2).as_bytes()).await;
    }
    let mut line = vec![];
    let mut stdout = stdout.map(|stdout| BufReader::new(stdout.take(most_bytes)));
    let is_stopped = match &mut stdout {
        Some(stdout) => tokio::select! {
            read = stdout.read_until(b'\n', &mut line) => read.map(|_| false)?,
            () = stop.cancelled() => true,
        },
        None => false,
    };
    drop(stdin);
    let code = ended(&mut child, stdout).await;
    if code.is_some() {
        group.disarm();
    }
    if is_stopped {
        return Ok(Said::Stopped);
    }
    // ssh has ended, or will with the child.
    drop(child);
    let stderr = timeout(GRACE, listening).await.ok().and_then(Result::ok).unwrap_or_default();
    Ok(Said::Report(line, stderr, code))
}

/// What is said on standard error, its beginning.
async fn heard(stderr: Option<impl AsyncRead + Unpin>) -> String {
    let mut said = vec![];
    if let Some(mut stderr) = stderr {
        let _ = (&mut stderr).take(SAID_BYTES).read_to_end(&mut said).await;
        let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// Waits for ssh's end, and kills it where that does not come.
async fn ended(child: &mut Child, rest: Option<impl AsyncRead + Unpin>) -> Option<i32> {
    let end = async {
        if let Some(mut rest) = rest {
            let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
        }
        child.wait().await
    };
    if let Ok(Ok(status)) = timeout(GRACE, end).await {
        return status.code();
    }
    let _ = child.kill().await;
    None
}

fn without_report(code: Option<i32>, stderr: &str, log: &str, error: &dyn std::fmt::Display) -> Trouble {
    match code {
        Some(NO_CONNECTION) => match failure(log, stderr) {
            Failure::Lost(said) => Trouble::Failed(format!(
                "the connection was lost, and what was begun there ends by itself: {said}"
            )),
            never_there => never_there.into(),
        },
        Some(NO_ROOT) => Trouble::Refused(
            "sudo wants a password, or gives you nothing: --ask-sudo-pass, or another --user".to_owned(),
        ),
        Some(NO_PROGRAM) => Trouble::Refused(format!("there is no {PROGRAM}: deploy first")),
        Some(USAGE) => Trouble::Refused(
            "the raysweep there is of another version than this one: deploy this one".to_owned(),
        ),
        _ if stderr.trim().is_empty() => Trouble::Failed(error.to_string()),
        _ => Trouble::Failed(format!("{error}: {}", last_words(stderr))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_shell_reads_anything_into_the_command_but_sh() {
        for dry_run in [false, true] {
            let command = command(dry_run);
            let body = command.strip_prefix("exec /bin/sh -c '").unwrap().strip_suffix('\'').unwrap();
            assert!(!body.contains(['\'', '!', '\n']), "{body}");
            let parsed = std::process::Command::new("/bin/sh").args(["-n", "-c", body]).output().unwrap();
            assert!(parsed.status.success(), "{parsed:?}");
            assert_eq!(body.ends_with(" --dry-run"), dry_run);
        }
    }

    fn ssh(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command
    }

    #[tokio::test]
    async fn a_line_ends_the_talk_and_the_other_side_is_told_of_it() {
        // Whoever reads on is only ended by the end of our side.
        let stop = CancellationToken::new();
        let said = talk(ssh("echo first; cat >/dev/null; exit 4"), None, 100, &stop);
        let Said::Report(line, _, code) = said.await.unwrap() else { panic!() };
        assert_eq!((line.as_slice(), code), (&b"first\n"[..], Some(4)));
    }

    #[tokio::test]
    async fn told_to_stop_the_other_side_hears_of_it_and_ends_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let ended = folder.path().join("ended");
        let stop = CancellationToken::new();
        stop.cancel();
        let script = format!("cat >/dev/null; : >{}", ended.display());
        let said = talk(ssh(&script), None, 100, &stop).await.unwrap();
        assert!(matches!(said, Said::Stopped) && ended.exists());
    }

    #[tokio::test]
    async fn a_password_is_given_twice_and_nothing_else_is() {
        let password = Password::new("a b".to_owned());
        let script = "read -r x; read -r y; echo \"$x,$y\"; echo said >&2";
        let said = talk(ssh(script), Some(&password), 100, &CancellationToken::new()).await.unwrap();
        let Said::Report(line, stderr, _) = said else { panic!() };
        assert_eq!((line.as_slice(), stderr.as_str()), (&b"a b,a b\n"[..], "said\n"));
    }

    #[test]
    fn what_stands_in_the_place_of_a_report_is_told_apart() {
        let of =
            |code, stderr: &str| without_report(Some(code), stderr, "ssh: No route to host\n", &"no line");
        assert_eq!(of(255, ""), Trouble::Unreachable("ssh: No route to host".to_owned()));
        let lost = "Authenticated to 10.0.0.80 ([10.0.0.80]:22) using \"none\".\nBroken pipe\n";
        let lost = without_report(Some(255), "Permission denied", lost, &"no line");
        assert!(matches!(lost, Trouble::Failed(why) if why.ends_with("ends by itself: Broken pipe")));
        assert!(matches!(of(77, ""), Trouble::Refused(why) if why.contains("--ask-sudo-pass")));
        assert!(matches!(of(78, ""), Trouble::Refused(why) if why.contains("deploy first")));
        assert!(
            matches!(of(2, "error: unexpected"), Trouble::Refused(why) if why.contains("another version"))
        );
        assert_eq!(of(3, "x\nraysweep: bad key\n"), Trouble::Failed("no line: raysweep: bad key".to_owned()));
        assert_eq!(of(0, " "), Trouble::Failed("no line".to_owned()));
    }
}
