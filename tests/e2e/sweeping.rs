//! Running `raysweep sweep` with settings of the test's own, and reading its report.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Child,
};

use raysweep::domain::report::{Kept, Removed, Report, WorkerReport};

use crate::world::{self, Failed, RAYSWEEP, wait_until};

/// A host's settings for a test: as shipped, with ages and windows that a test can wait for.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) mode: &'static str,
    pub(crate) no_job: &'static str,
    pub(crate) in_job: &'static str,
    pub(crate) logs: &'static str,
    pub(crate) sampling_window: &'static str,
    pub(crate) min_tmp_size: &'static str,
    pub(crate) runtime_dir: PathBuf,
    pub(crate) hold_file: PathBuf,
    pub(crate) log_dir: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) deadline: &'static str,
    /// A folder of the host that is one worker's alone, or nothing.
    pub(crate) own_temp_root: String,
    /// Further lines of the file.
    pub(crate) more: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: "enforce",
            no_job: "2s",
            in_job: "1h",
            logs: "24h",
            sampling_window: "1s",
            min_tmp_size: "5000MB",
            runtime_dir: "/run/raysweep-e2e".into(),
            hold_file: world::dir().join("hold"),
            log_dir: world::dir().join("log"),
            socket: world::dir().join("docker.sock"),
            deadline: "2m",
            own_temp_root: String::new(),
            more: String::new(),
        }
    }
}

impl Settings {
    /// Writes them as root would.
    pub(crate) fn written(&self) -> PathBuf {
        let Self {
            mode,
            no_job,
            in_job,
            logs,
            sampling_window,
            min_tmp_size,
            runtime_dir,
            hold_file,
            log_dir,
            socket,
            deadline,
            own_temp_root,
            more,
        } = self;
        let dir = world::dir();
        let file = dir.join("sweep.yml");
        let text = format!(
            "mode: {mode}\n\
             min_tmp_size: {min_tmp_size}\n\
             runtime_dir: {runtime_dir}\n\
             hold_file: {hold_file}\n\
             log_dir: {log_dir}\n\
             deadline: {deadline}\n\
             activity: {{sampling_window: {sampling_window}}}\n\
             ages: {{no_job: {no_job}, in_job: {in_job}, job_start_margin: 1s, dead_session: 2s, logs: {logs}}}\n\
             containers: {{socket: {socket}, timeout: 15s, own_temp_roots: [{own_temp_root}]}}\n{more}",
            runtime_dir = runtime_dir.display(),
            hold_file = hold_file.display(),
            log_dir = log_dir.display(),
            socket = socket.display(),
        );
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Sweeps one worker for an alert.
    pub(crate) fn sweep(&self, worker: &str) -> Swept {
        self.sweep_with(&["--trigger", "alert", "--worker", worker])
    }

    /// Sweeps with these arguments.
    pub(crate) fn sweep_with(&self, arguments: &[&str]) -> Swept {
        Swept::of(self.start(arguments))
    }

    /// Starts a sweep and does not wait for it.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let file = self.written().display().to_string();
        let mut words = vec![RAYSWEEP, "sweep", "--json", "--config.file", &file];
        words.extend(arguments);
        world::start(&words)
    }
}

/// A sweep that has ended.
#[derive(Debug)]
pub(crate) struct Swept {
    pub(crate) report: Report,
    pub(crate) exit: Option<i32>,
}

impl Swept {
    pub(crate) fn of(child: Child) -> Self {
        Self::finish(child).unwrap()
    }

    /// Waits for the end and reads the report; for a test that has something to put right first.
    pub(crate) fn finish(child: Child) -> Result<Self, Failed> {
        let output = child.wait_with_output().unwrap();
        match serde_json::from_slice(&output.stdout) {
            Ok(report) => Ok(Self { report, exit: output.status.code() }),
            Err(error) => {
                let said = String::from_utf8_lossy(&output.stdout);
                let errors = String::from_utf8_lossy(&output.stderr);
                Err(Failed(format!("no report ({error}): {}\n{said}\n{errors}", output.status)))
            }
        }
    }

    /// The report on one worker; a test that looks at one wants to see all of it when it fails.
    pub(crate) fn worker(&self, name: &str) -> &WorkerReport {
        let found = self.report.workers.iter().find(|worker| worker.name == name);
        found.unwrap_or_else(|| panic!("no worker {name} in {}", self.shown()))
    }

    /// What was kept at a path of the worker.
    pub(crate) fn kept(&self, worker: &str, path: &str) -> &Kept {
        let found = self.worker(worker).kept.iter().find(|kept| kept.path == path);
        found.unwrap_or_else(|| panic!("{path} of {worker} is not among what was kept: {}", self.shown()))
    }

    /// What was removed at a path of the worker.
    pub(crate) fn removed(&self, worker: &str, path: &str) -> &Removed {
        let found = self.worker(worker).removed.iter().find(|removed| removed.path == path);
        found.unwrap_or_else(|| panic!("{path} of {worker} is not among what was removed: {}", self.shown()))
    }

    pub(crate) fn shown(&self) -> String {
        format!("exit {:?}, {}", self.exit, serde_json::to_string_pretty(&self.report).unwrap())
    }
}

/// The processes of a sweep, by what each is told to be: the one that was called, its child that sweeps, and
/// those inside of workers.
pub(crate) const CALLED: &str = "sweep";
pub(crate) const SWEEPING: &str = "sweeping";
pub(crate) const INSIDE: &str = "inside";
pub(crate) const KINDS: [&str; 3] = [CALLED, SWEEPING, INSIDE];

/// Pids of the sweeps that run, of one kind.
pub(crate) fn processes(kind: &str) -> Vec<String> {
    let program = fs::canonicalize(RAYSWEEP).unwrap();
    let is_one = |proc: &Path| {
        let arguments = fs::read(proc.join("cmdline")).unwrap_or_default();
        fs::read_link(proc.join("exe")).is_ok_and(|exe| exe == program)
            && arguments.split(|byte| *byte == 0).nth(1) == Some(kind.as_bytes())
    };
    let all = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    all.filter(|proc| is_one(proc))
        .map(|proc| proc.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// Waits for the end of all of them.
pub(crate) fn nothing_runs(seconds: u64) {
    wait_until(seconds, "every process of the sweep to end", || {
        KINDS.iter().all(|kind| processes(kind).is_empty())
    });
}
