//! One program in a container through the runtime's API, bounded in time, in output and in what it
//! leaves behind.

use std::time::Duration;

use bollard::{
    Docker,
    container::LogOutput,
    exec::{CreateExecOptions, StartExecResults},
};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout_at};

use super::Question;
use crate::{config::sweep::SweepSettings, sweeper::discover::connect};

/// Thousands of jobs fit; what prints more than this is not our script.
const MOST_BYTES: usize = 4 << 20;

/// After its own alarm a program is gone at once, and the runtime needs a moment to say so.
const GRACE: Duration = Duration::from_secs(5);

/// Between two questions whether it has ended: the API has no call that waits for it.
const POLL: Duration = Duration::from_millis(50);

/// Runs the question, which has so much time, and returns its standard output. It has ended when this
/// returns, or the reason says that it has not.
pub(super) async fn run(
    container: &str,
    question: &Question<'_>,
    time: Duration,
    settings: &SweepSettings,
) -> Result<String, String> {
    let until = Instant::now() + time;
    let bound = settings.containers.timeout.0.min(time);
    let docker = connect(&settings.containers.socket, bound).await?;
    let alarm_secs = alarm_secs(until.saturating_duration_since(Instant::now()));
    let options = CreateExecOptions {
        cmd: Some(question.command(alarm_secs)),
        user: Some(question.user.clone()),
        working_dir: Some("/".to_owned()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let created = tokio::time::timeout(bound, docker.create_exec(container, options))
        .await
        .map_err(|_| "the runtime did not take the question in time".to_owned())?
        .map_err(|error| error.to_string())?;
    // From here on something may run inside: its own alarm ends it, and we wait for that in any case.
    let deadline = Instant::now() + Duration::from_secs(alarm_secs) + GRACE;
    let output = timeout_at(deadline, output_of(&docker, &created.id)).await;
    let code = ended(&docker, &created.id, deadline + GRACE).await?;
    let output = output.map_err(|_| "Ray did not answer in time".to_owned())??;
    match code {
        Some(0) => Ok(output.stdout),
        Some(142) => Err(format!("Ray did not answer within {alarm_secs} s")),
        code => Err(format!(
            "asking Ray ended with {}: {}",
            code.map_or("no exit code".to_owned(), |code| format!("exit code {code}")),
            output.complaint()
        )),
    }
}

/// An alarm counts whole seconds, and one of none never comes.
pub(super) fn alarm_secs(left: Duration) -> u64 {
    u64::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
}

#[derive(Debug, Default)]
struct Output {
    stdout: String,
    stderr: String,
}

impl Output {
    /// The last line of a traceback says what it is about.
    fn complaint(&self) -> &str {
        self.stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing")
    }
}

async fn output_of(docker: &Docker, exec: &str) -> Result<Output, String> {
    let started = docker.start_exec(exec, None).await.map_err(|error| error.to_string())?;
    let StartExecResults::Attached { output: mut stream, .. } = started else {
        return Err("the runtime gave no output".to_owned());
    };
    let (mut stdout, mut stderr) = (vec![], vec![]);
    while let Some(part) = stream.next().await {
        match part.map_err(|error| error.to_string())? {
            LogOutput::StdErr { message } => stderr.extend_from_slice(&message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                stdout.extend_from_slice(&message);
            }
            LogOutput::StdIn { .. } => {}
        }
        if stdout.len() + stderr.len() > MOST_BYTES {
            return Err(format!("more than {MOST_BYTES} bytes of output"));
        }
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Output { stdout: text(stdout), stderr: text(stderr) })
}

/// Waits until it has ended and returns its exit code.
async fn ended(docker: &Docker, exec: &str, deadline: Instant) -> Result<Option<i64>, String> {
    loop {
        let state = timeout_at(deadline, docker.inspect_exec(exec)).await;
        match state {
            Ok(Ok(state)) if state.running == Some(false) => return Ok(state.exit_code),
            Ok(Ok(_)) if Instant::now() < deadline => sleep(POLL).await,
            Ok(Err(error)) => return Err(format!("it is not known whether the question has ended: {error}")),
            Ok(Ok(_)) | Err(_) => return Err("the question still runs inside the worker".to_owned()),
        }
    }
}
