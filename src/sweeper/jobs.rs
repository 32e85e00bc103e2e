//! Asks Ray which jobs are alive, with the worker's own Python. A job lives as long as its driver or a
//! detached actor of its: either may come back for what lies here by nothing but its name.
//!
//! Every string that comes from a raylet's arguments comes from a process of the container: it is
//! checked for its shape, passed as an argument of its own, and what it names runs as the raylet's user.

mod exec;

use std::{num::NonZeroUsize, sync::OnceLock, thread::available_parallelism, time::Instant};

use jiff::Timestamp;
use serde::Deserialize;
use tokio::{sync::Semaphore, time::timeout_at};

use super::discover::{Raylet, Runtime, Worker};
use crate::{config::sweep::SweepSettings, domain::report::told};

/// What Ray said of the jobs of a worker's cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Jobs {
    /// The jobs that are alive.
    Known(Vec<LiveJob>),
    /// Nobody said; a job may be alive.
    Unknown(String),
}

/// A job that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveJob {
    pub(crate) id: String,
    pub(crate) started_at: Timestamp,
    /// Its driver, or an actor that has outlived it, and where that runs: for a person to find it.
    pub(crate) held_by: String,
}

/// Asks for one worker. From its turn on it has `activity.ray_timeout` for all of its raylets together, and
/// nobody is asked after `until`; a program that does not end when its time is over is waited for a little
/// longer. What it starts there has ended when it returns, or the reason says that it has not.
pub(crate) async fn ask(worker: &Worker, settings: &SweepSettings, until: Instant) -> Jobs {
    match answer(worker, settings, until).await {
        Ok(jobs) => Jobs::Known(jobs),
        Err(reason) => Jobs::Unknown(told(&reason)),
    }
}

async fn answer(worker: &Worker, settings: &SweepSettings, until: Instant) -> Result<Vec<LiveJob>, String> {
    let (Runtime::Docker | Runtime::Podman, Some(container)) = (worker.runtime, &worker.container) else {
        return Err(format!("no runtime through which Ray could be asked ({})", worker.runtime.as_str()));
    };
    if worker.raylets.is_empty() {
        return Err("no raylet runs that could name its cluster".to_owned());
    }
    let questions = Question::all_of(&worker.raylets)?;
    let turn = timeout_at(until.into(), turns().acquire()).await;
    let _turn = turn.map_err(|_| "its turn to be asked did not come in time")?.map_err(|e| e.to_string())?;
    let until = until.min(Instant::now() + settings.activity.ray_timeout.0);
    let mut jobs = vec![];
    for question in questions {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("not all of its raylets could be asked in time".to_owned());
        }
        let output = exec::run(container, &question, left, settings).await?;
        jobs.extend(parse(&output, Timestamp::now())?);
    }
    Ok(jobs)
}

/// As many questions at once as there are cores: each imports Ray, and a host with many workers must
/// not make all of them late. An answer is never shared between workers, although they may be of one
/// cluster: what one container says must not take another one's protection away.
fn turns() -> &'static Semaphore {
    static TURNS: OnceLock<Semaphore> = OnceLock::new();
    TURNS.get_or_init(|| Semaphore::new(available_parallelism().map_or(1, NonZeroUsize::get)))
}

/// What is run in the worker, and as whom.
#[derive(Debug, PartialEq, Eq)]
struct Question<'a> {
    python: &'a str,
    gcs_address: &'a str,
    user: String,
}

impl<'a> Question<'a> {
    /// The same is asked once. But what one user's program says of a cluster does not stand for what
    /// another's would: both have to be at rest.
    fn all_of(raylets: &'a [Raylet]) -> Result<Vec<Self>, String> {
        let mut questions = vec![];
        for raylet in raylets {
            let question = Self::of(raylet)?;
            if !questions.contains(&question) {
                questions.push(question);
            }
        }
        Ok(questions)
    }

    fn of(raylet: &'a Raylet) -> Result<Self, String> {
        let python = raylet.python.as_deref().ok_or("the raylet names no Python")?;
        let gcs_address = raylet.gcs_address.as_deref().ok_or("the raylet names no GCS")?;
        if !is_python(python) {
            return Err(format!("the raylet's Python is no absolute path of one: {python:?}"));
        }
        if !is_address(gcs_address) {
            return Err(format!("the raylet's GCS is no host and port: {gcs_address:?}"));
        }
        let user = format!("{}:{}", raylet.user_id, raylet.group_id);
        Ok(Self { python, gcs_address, user })
    }

    /// Nothing is written beside the modules that are imported (-B). When the alarm comes, the kernel ends it
    /// inside the container, whatever becomes of us.
    fn command(&self, alarm_secs: u64) -> Vec<String> {
        let alarm = alarm_secs.to_string();
        [self.python, "-B", "-c", SCRIPT, self.gcs_address, &alarm].map(str::to_owned).to_vec()
    }
}

/// How long a question of a sweep that did not live to hear the answer may still run, where this is one: by
/// its own alarm, whose seconds are its last argument. It is told by what it runs, word for word.
pub(crate) fn left_behind(arguments: &[String]) -> Option<u64> {
    let [python, no_bytecode, command, script, gcs_address, alarm_secs] = arguments else { return None };
    let is_ours = is_python(python)
        && (no_bytecode.as_str(), command.as_str(), script.as_str()) == ("-B", "-c", SCRIPT)
        && is_address(gcs_address);
    alarm_secs.parse().ok().filter(|_| is_ours)
}

/// Begins the one line that is an answer. Ray's own warnings may stand around it.
const MARKER: &str = "raysweep-live-jobs ";

/// The alarm comes first: whatever hangs after it, the kernel ends it.
const SCRIPT: &str = include_str!("jobs/ask.py");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    start_ms: i64,
    held_by: String,
}

/// Exactly one line is the answer; anything odd is no answer.
fn parse(output: &str, now: Timestamp) -> Result<Vec<LiveJob>, String> {
    let mut answers = output.lines().filter_map(|line| line.strip_prefix(MARKER));
    let (Some(answer), None) = (answers.next(), answers.next()) else {
        return Err("Ray's answer is not one line".to_owned());
    };
    let lines: Vec<Line> =
        serde_json::from_str(answer).map_err(|error| format!("Ray's answer is odd: {error}"))?;
    lines.into_iter().map(|line| line.job(now)).collect()
}

impl Line {
    /// Ray's own have 8 digits.
    const LONGEST_ID: usize = 64;

    fn job(self, now: Timestamp) -> Result<LiveJob, String> {
        let started_at = Timestamp::from_millisecond(self.start_ms)
            .ok()
            .filter(|_| self.start_ms >= 0)
            .ok_or_else(|| format!("job {:?} started at {} ms", self.id, self.start_ms))?;
        let is_id = (1..=Self::LONGEST_ID).contains(&self.id.len());
        if !is_id || !self.id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("{:?} is no job id", told(&self.id)));
        }
        // What is older than every job may go: a clock ahead of ours must not make more of it.
        Ok(LiveJob { id: self.id, started_at: started_at.min(now), held_by: told(&self.held_by) })
    }
}

fn is_python(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or("");
    path.starts_with('/')
        && name.starts_with("python")
        && !path.chars().any(char::is_control)
        && !path.split('/').any(|part| part == "..")
}

/// `10.0.0.80:6379`, `ray-head.local:6379` or `[fd00::1]:6379`.
fn is_address(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let is_name = !host.is_empty()
        && !host.starts_with(['-', '.'])
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_ipv6 = bracketed.is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    let is_port = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    host.len() <= 255 && (is_name || is_ipv6) && is_port
}

#[cfg(test)]
mod tests;
