//! A round: everything stands still, the old rule is asked, one sweep, and then everything goes on.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, thread, time::Instant};

use raysweep::domain::{
    evidence::WorkerState,
    report::{Report, WorkerReport},
};

use crate::{
    stage::{docker, exists, sh},
    table::{self, OldRule, Row},
    work::Work,
    world::{self, RAYSWEEP, run, wait_until},
};

/// Something that has been set up, and what has to come of it.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The worker whose verdict counts.
    pub(crate) worker: &'static str,
    /// The state that it has to be in.
    pub(crate) states: &'static [WorkerState],
    /// What is at work; nothing of it may be interrupted.
    pub(crate) work: Option<Work>,
    /// What else has to stand afterwards.
    pub(crate) stays: Vec<(&'static str, String)>,
    /// What may go by the classes: paths or patterns in the worker.
    pub(crate) goes: Vec<String>,
}

impl Scenario {
    pub(crate) fn new(name: &'static str, worker: &'static str, states: &'static [WorkerState]) -> Self {
        Self { name, worker, states, work: None, stays: vec![], goes: vec![] }
    }

    pub(crate) fn of(self, work: Work) -> Self {
        Self { work: Some(work), ..self }
    }

    pub(crate) fn stays(mut self, path: impl Into<String>) -> Self {
        self.stays.push((self.worker, path.into()));
        self
    }

    pub(crate) fn goes(mut self, paths: impl IntoIterator<Item = String>) -> Self {
        self.goes.extend(paths);
        self
    }

    fn held(&self) -> impl Iterator<Item = (&str, &str)> {
        let work = self.work.iter().map(|work| (work.worker(), work.held.as_str()));
        work.chain(self.stays.iter().map(|(worker, path)| (*worker, path.as_str())))
    }

    fn bytes(&self) -> u64 {
        if self.goes.is_empty() {
            return 0;
        }
        // What is not there any more takes nothing.
        let command = format!(
            "printf '%s\\0' {} | du -s -B1 --files0-from=- 2>/dev/null | awk '{{ sum += $1 }} END {{ print sum + 0 }}'",
            self.goes.join(" ")
        );
        sh(self.worker, &command).unwrap().parse().unwrap()
    }
}

/// Sets scenarios up, side by side.
pub(crate) fn set_up(makers: Vec<Box<dyn FnOnce() -> Vec<Scenario> + Send>>) -> Vec<Scenario> {
    thread::scope(|scope| {
        let running: Vec<_> = makers.into_iter().map(|make| scope.spawn(make)).collect();
        running
            .into_iter()
            .flat_map(|made| made.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// What a round sweeps, and how patient it is with Ray.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Orders {
    pub(crate) only: Option<&'static str>,
    pub(crate) ray_timeout: &'static str,
}

/// Sweeps once and gives a row for each scenario. `around` runs the sweep, for what must only hold
/// while it lasts.
pub(crate) fn run_round(
    scenarios: Vec<Scenario>,
    orders: Orders,
    around: impl FnOnce(&mut dyn FnMut()),
) -> Vec<Row> {
    for scenario in &scenarios {
        wait_until_older(scenario);
    }
    let cpu = cpu_percents();
    let before: Vec<u64> = scenarios.iter().map(Scenario::bytes).collect();
    let begun = Instant::now();
    let mut report = None;
    around(&mut || report = Some(sweep(orders)));
    println!("set up, and swept in {:.1} s", begun.elapsed().as_secs_f64());
    let report = report.expect("the round was not run");
    let looked: Vec<_> = scenarios.iter().map(Looked::at).collect();
    thread::scope(|scope| {
        let running: Vec<_> = scenarios
            .into_iter()
            .zip(before)
            .zip(looked)
            .map(|((scenario, before), looked)| {
                let (report, cpu) = (&report, &cpu);
                scope.spawn(move || row(scenario, before, looked, report, cpu))
            })
            .collect();
        let rows: Vec<Row> = running.into_iter().map(|row| row.join().unwrap()).collect();
        // A run that does not come to its end has said so much.
        for row in &rows {
            println!("{}", table::line(row));
        }
        rows
    })
}

/// What stood right after the sweep, before anything goes on.
struct Looked {
    stood: usize,
    of: usize,
    left_bytes: u64,
}

impl Looked {
    fn at(scenario: &Scenario) -> Self {
        let of = scenario.held().count();
        let stood = scenario.held().filter(|(worker, path)| exists(worker, path)).count();
        Self { stood, of, left_bytes: scenario.bytes() }
    }
}

fn row(scenario: Scenario, before: u64, looked: Looked, report: &Report, cpu: &BTreeMap<String, f64>) -> Row {
    let worker = report.workers.iter().find(|worker| worker.name == scenario.worker);
    let state = worker.and_then(|worker| worker.state);
    let percent = cpu.get(scenario.worker).copied();
    let would_harm = scenario.work.as_ref().is_some_and(|work| old_globs_match(&work.held));
    Row {
        scenario: scenario.name,
        state,
        as_expected: state.is_some_and(|state| scenario.states.contains(&state)),
        stood: looked.stood,
        of: looked.of,
        may_go_bytes: before,
        freed_bytes: before.saturating_sub(looked.left_bytes),
        old_rule: percent.map(|percent| OldRule { percent, would_harm }),
        work: scenario.work.map(Work::finish),
        told: worker.map_or_else(|| "not in the report".to_owned(), told),
    }
}

/// What the report says of a worker, for a row that is not as it should be.
fn told(worker: &WorkerReport) -> String {
    let mut told = format!("{} {:?} {:?} {:?}\n", worker.name, worker.verdict, worker.note, worker.errors);
    for sign in worker.evidence.iter().take(8) {
        let _ = writeln!(told, "    {} {:?}: {}", sign.kind.as_str(), sign.pid, sign.detail);
    }
    for kept in worker.kept.iter().take(12) {
        let _ = writeln!(told, "    kept {} ({}): {}", kept.path, kept.why.as_str(), kept.detail);
    }
    for removed in worker.removed.iter().take(8) {
        let _ = writeln!(told, "    removed {}: {} bytes", removed.path, removed.bytes);
    }
    told
}

/// Nothing may be spared for its age alone.
fn wait_until_older(scenario: &Scenario) {
    wait_until_all_older(scenario.worker, &scenario.goes);
    for (worker, path) in scenario.held() {
        wait_until_all_older(worker, &[path.to_owned()]);
    }
}

/// Waits for the seconds to pass: a ctime cannot be set back.
pub(crate) fn wait_until_all_older(worker: &str, paths: &[String]) {
    if paths.is_empty() {
        return;
    }
    // An age counts from the newest change; xargs, because a pattern may stand for many.
    let young = format!(
        "printf '%s\\0' {} | xargs -0 sh -c 'find \"$@\" -newermt \"-3 seconds\" -print -quit' sh",
        paths.join(" ")
    );
    wait_until(60, &format!("{paths:?} of {worker} to be older than 3 s"), || {
        sh(worker, &young).is_ok_and(|found| found.is_empty())
    });
}

/// What `docker stats` says of every container, as the old rule asked it.
fn cpu_percents() -> BTreeMap<String, f64> {
    let said = docker(&["stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}}"]).unwrap();
    said.lines()
        .filter_map(|line| {
            let (name, percent) = line.split_once(' ')?;
            Some((name.to_owned(), percent.trim_end_matches('%').parse().ok()?))
        })
        .collect()
}

/// Whether `rm -rf /tmp/ray_tmp_* /tmp/pip-* /tmp/tmp*` takes the path.
fn old_globs_match(path: &str) -> bool {
    let below = Path::new(path).strip_prefix("/tmp").ok().and_then(|below| below.iter().next());
    let name = below.and_then(|name| name.to_str()).unwrap_or_default();
    ["ray_tmp_", "pip-", "tmp"].iter().any(|prefix| name.starts_with(prefix))
}

fn sweep(orders: Orders) -> Report {
    let dir = world::dir();
    let file = dir.join("sweep.yml");
    let text = format!(
        "mode: enforce\n\
         runtime_dir: /run/raysweep-matrix\n\
         hold_file: {dir}/hold\n\
         log_dir: {dir}/log\n\
         deadline: 5m\n\
         activity: {{sampling_window: 2s, ray_timeout: {ray_timeout}}}\n\
         ages: {{no_job: 2s, in_job: 1h, job_start_margin: 1s, dead_session: 2s, logs: 24h}}\n\
         containers: {{socket: {dir}/docker.sock}}\n",
        dir = dir.display(),
        ray_timeout = orders.ray_timeout,
    );
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let mut words = vec![RAYSWEEP, "sweep", "--json", "--trigger", "alert", "--config.file", &file];
    words.extend(orders.only.iter().flat_map(|worker| ["--worker", worker]));
    let said = run(&words, "").unwrap();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("no report ({error}): {said}"))
}
