//! The programs that are measured, and how long they take.

use std::{
    env, fs,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use raysweep::domain::report::Report;

use crate::{
    stage::Worker,
    world::{self, RAYSWEEP},
};

/// What is put into the worker's container, so that it runs there as `rm` does.
pub(crate) const BROUGHT: [&str; 3] = ["rmz", "diskus", "pdu"];

/// What takes longer has hung.
const BOUND: Duration = Duration::from_mins(15);

/// The sampling window as shipped.
pub(crate) const WINDOW: Duration = Duration::from_secs(5);

pub(crate) fn brought(program: &str) -> PathBuf {
    let tools = env::var_os("BENCH_TOOLS").expect("benches/run.sh says where the tools are");
    PathBuf::from(tools).join("bin").join(program)
}

/// A program that has ended well.
pub(crate) struct Ran {
    pub(crate) seconds: f64,
    pub(crate) stdout: String,
}

/// Runs it to its end, which must be a good one.
pub(crate) fn timed(words: &[String]) -> Ran {
    let begun = Instant::now();
    let output = start(words).wait_with_output().unwrap();
    finished(words, begun.elapsed(), &output)
}

/// Starts it; `timeout` ends it should the bound pass.
pub(crate) fn start(words: &[String]) -> Child {
    Command::new("timeout")
        .args(["--kill-after=5", &BOUND.as_secs().to_string()])
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(crate) fn finished(words: &[String], took: Duration, output: &Output) -> Ran {
    let errors = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words:?}: {}\n{stdout}\n{errors}", output.status);
    Ran { seconds: took.as_secs_f64(), stdout }
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// In the worker's mount namespace, where its mounts are safe from it, and with the container's files;
/// without Docker's part in it.
pub(crate) fn inside(worker: &Worker, program: &[&str]) -> Vec<String> {
    let mut all = words(&["nsenter", "--mount", "--target", &worker.pid, "--"]);
    all.extend(words(program));
    all
}

/// Settings with ages that let go whatever was made before, and a folder of their own for what is kept
/// from run to run: nothing that an earlier run learnt shortens this one.
fn settings() -> String {
    let dir = tempfile::tempdir_in(world::dir()).unwrap().keep();
    let file = dir.join("sweep.yml");
    let text = format!(
        "mode: enforce\n\
         hold_file: {dir}/hold\n\
         runtime_dir: {dir}\n\
         log_dir: {dir}\n\
         ages: {{no_job: 1ms, in_job: 1ms, job_start_margin: 1ms, dead_session: 1ms, logs: 1ms}}\n\
         containers: {{socket: {socket}, own_temp_roots: ['{own}']}}\n",
        dir = dir.display(),
        socket = world::dir().join("docker.sock").display(),
        own = world::dir().join("disk/tmp").display(),
    );
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// An attempt for an alert on one worker, as the responder makes it.
pub(crate) fn sweep(worker: &Worker) -> Vec<String> {
    let settings = settings();
    let name = worker.name.as_str();
    words(&[RAYSWEEP, "sweep", "--trigger", "alert", "--worker", name, "--json", "--config.file", &settings])
}

/// All verdicts of the host, and nothing deleted.
pub(crate) fn dry_run() -> Vec<String> {
    words(&[RAYSWEEP, "sweep", "--trigger", "alert", "--dry-run", "--json", "--config.file", &settings()])
}

pub(crate) fn measure() -> Vec<String> {
    words(&[RAYSWEEP, "measure", "--config.file", &settings()])
}

pub(crate) fn report(ran: &Ran) -> Report {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("no report ({error}): {}", ran.stdout))
}

/// From the report's start to its end, without the window, which is a setting and no work.
pub(crate) fn own_seconds(report: &Report) -> f64 {
    let took = report.finished_at.duration_since(report.started_at);
    took.as_secs_f64() - WINDOW.as_secs_f64()
}
