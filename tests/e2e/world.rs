//! The world that the tests run in: its shell library, its commands, and waiting with a bound.

use std::{
    env, fmt,
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// The binary under test.
pub(crate) const RAYSWEEP: &str = env!("CARGO_BIN_EXE_raysweep");

/// No single command of a test takes longer, or it has failed. It is more than any deadline that a test
/// sets a sweep.
const BOUND: Duration = Duration::from_mins(6);

/// What went wrong, readable in the message of a panic.
pub(crate) struct Failed(pub(crate) String);

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The world's scratch folder.
pub(crate) fn dir() -> PathBuf {
    let dir = env::var_os("WORLD_DIR")
        .expect("the end-to-end tests run inside a world: start them with tests/e2e/run.sh");
    PathBuf::from(dir)
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Calls a function of `deploy/demo/lib.sh` and gives what it printed.
pub(crate) fn lib<S: AsRef<str>>(words: impl AsRef<[S]>) -> Result<String, Failed> {
    let lib = repository("deploy/demo/lib.sh").display().to_string();
    let script = "set -euo pipefail; source \"$1\"; shift; \"$@\"";
    let mut all = vec!["bash", "-c", script, "bash", &lib];
    all.extend(words.as_ref().iter().map(AsRef::as_ref));
    run(&all, "")
}

pub(crate) fn docker(words: &[&str]) -> Result<String, Failed> {
    run(&[&["docker"], words].concat(), "")
}

/// Ray's image in this world.
pub(crate) fn image() -> String {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| lib(["eval", "echo $RAY_IMAGE"]).unwrap()).clone()
}

/// Runs a shell command in a container.
pub(crate) fn sh(container: &str, command: &str) -> Result<String, Failed> {
    docker(&["exec", container, "sh", "-c", command])
}

pub(crate) fn exists(container: &str, path: &str) -> bool {
    docker(&["exec", container, "test", "-e", path]).is_ok()
}

/// Runs a command within the bound, feeds it `input`, and gives what it printed.
pub(crate) fn run<S: AsRef<str>>(words: &[S], input: &str) -> Result<String, Failed> {
    let output = output(words, input);
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    Err(Failed(told(words, &output)))
}

/// Runs a command within the bound, whatever its exit code.
pub(crate) fn output<S: AsRef<str>>(words: &[S], input: &str) -> Output {
    let mut child = start(words);
    // Who does not read its input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Starts a command that `timeout` ends should the bound pass.
pub(crate) fn start<S: AsRef<str>>(words: &[S]) -> std::process::Child {
    Command::new("timeout")
        .args(["--kill-after=5", &BOUND.as_secs().to_string()])
        .args(words.iter().map(AsRef::as_ref))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn told<S: AsRef<str>>(words: &[S], output: &Output) -> String {
    let mut told = String::new();
    let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
    let _ = writeln!(told, "{}: {}", words.join(" "), output.status);
    for stream in [&output.stdout, &output.stderr] {
        told.push_str(&String::from_utf8_lossy(stream));
    }
    told
}

/// Polls until the condition holds; `what` says what was waited for in vain.
pub(crate) fn wait_until(seconds: u64, what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(seconds, what, || condition().then_some(()));
}

/// Polls until there is a value.
pub(crate) fn wait_for<T>(seconds: u64, what: &str, mut value: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(value) = value() {
            return value;
        }
        assert!(Instant::now() < deadline, "gave up after {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
