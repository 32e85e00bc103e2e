//! Thousands of hosts behind a stand-in for ssh, and trouble for the responder itself.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::{Connection, Row, SqliteConnection};
use tempfile::TempDir;

use super::harness::{LOOPBACK, Responder, serve_command};

/// How long the tests of faults are: short, or `RAYSWEEP_FAULTS=long` for the soak.
pub(crate) fn long() -> bool {
    std::env::var("RAYSWEEP_FAULTS").is_ok_and(|length| length == "long")
}

/// A fleet of hosts that a stand-in for ssh leads to. An address that begins with `hang-` or `down-` is
/// a host that does.
pub(crate) struct StandIns {
    folder: TempDir,
    sweep_ms: u32,
}

impl StandIns {
    /// Hosts whose addresses are their names.
    pub(crate) fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        let folder = tempfile::Builder::new().prefix("rs").tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["bin", "locks"] {
            fs::create_dir(path(name)).unwrap();
        }
        std::os::unix::fs::symlink(built("ssh"), path("bin/ssh")).unwrap();
        for name in ["id", "known_hosts"] {
            fs::write(path(name), "").unwrap();
        }
        fs::write(path("trouble"), [0_u8; 24]).unwrap();
        fs::write(path("report"), report("freed", &json!([]))).unwrap();
        let mut entries = String::from("hosts:\n");
        for name in names {
            let name = name.as_ref();
            let _ = writeln!(entries, "  - {{ name: {name}, address: {name} }}");
        }
        fs::write(path("hosts"), entries).unwrap();
        let stand_ins = Self { folder, sweep_ms: 0 };
        stand_ins.room_for(None);
        stand_ins
    }

    /// So long takes each sweep.
    pub(crate) fn sweeping_for(mut self, ms: u32) -> Self {
        self.sweep_ms = ms;
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a host reports from now on.
    pub(crate) fn reports(&self, host: &str, outcome: &str, evidence: &Value) {
        fs::write(self.path(&format!("report-{host}")), report(outcome, evidence)).unwrap();
    }

    /// What the hosts have noted: address, what, and which attempt.
    pub(crate) fn noted(&self) -> Vec<(String, String, String)> {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        let words = |line: &str| {
            let mut words = line.split(' ').map(str::to_owned);
            Some((words.next()?, words.next()?, words.next()?))
        };
        text.lines().filter_map(words).collect()
    }

    /// When each sweep of a host began, by a clock that nobody sets.
    pub(crate) fn begins(&self, host: &str) -> Vec<Duration> {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        let begins = text.lines().filter(|line| line.starts_with(&format!("{host} begin ")));
        begins.map(|line| Duration::from_millis(line.rsplit(' ').next().unwrap().parse().unwrap())).collect()
    }

    /// How often something was noted of a host.
    pub(crate) fn count(&self, host: &str, what: &str) -> usize {
        self.noted().iter().filter(|(of, noted, _)| of == host && noted == what).count()
    }

    pub(crate) fn serve(&self, settings: &str) -> Responder {
        self.try_serve(settings).unwrap_or_else(|log| panic!("the responder does not serve:\n{log}"))
    }

    pub(crate) fn try_serve(&self, settings: &str) -> Result<Responder, String> {
        Responder::launch(self.command(settings), self.path("responder.log"))
    }

    /// Writes the responder's configuration.
    pub(crate) fn configure(&self, settings: &str) -> PathBuf {
        let hosts = fs::read_to_string(self.path("hosts")).unwrap();
        let ssh = |more: &str| {
            let (id, known) = (self.path("id"), self.path("known_hosts"));
            format!("ssh: {{ identity_file: {}, known_hosts_file: {}{more} }}", id.display(), known.display())
        };
        // A test may have more to say of ssh.
        let settings = match settings.split_once("ssh: {") {
            Some((before, after)) => {
                let (own, rest) = after.split_once('}').unwrap();
                format!("{before}{}{rest}", ssh(&format!(", {}", own.trim())))
            }
            None => format!("{}\n{settings}", ssh("")),
        };
        let config = self.path("raysweep.yml");
        fs::write(&config, format!("{settings}\n{hosts}")).unwrap();
        config
    }

    /// The responder's command, in its own trouble.
    pub(crate) fn command(&self, settings: &str) -> Command {
        let config = self.configure(settings);
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = serve_command(&config, &self.path("data"), LOOPBACK);
        command.env("PATH", path).env("STAND_IN", self.folder.path());
        command.env("SWEEP_MS", self.sweep_ms.to_string());
        command.env("LD_PRELOAD", built("trouble.so"));
        command.env("TROUBLE", self.path("trouble"));
        command
    }

    /// How often each alert is stored, by the number in its label `n`.
    pub(crate) fn stored(&self) -> BTreeMap<u64, u32> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let url = format!("sqlite://{}", self.path("data/journal.db").display());
            let mut journal = SqliteConnection::connect(&url).await.unwrap();
            let whole: String =
                sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut journal).await.unwrap();
            assert_eq!(whole, "ok");
            let mut times = BTreeMap::new();
            for row in sqlx::query("SELECT labels FROM alerts").fetch_all(&mut journal).await.unwrap() {
                let labels: Value = serde_json::from_str(row.get(0)).unwrap();
                *times.entry(labels["n"].as_str().unwrap().parse().unwrap()).or_default() += 1;
            }
            times
        })
    }

    /// Sets the responder's clock.
    pub(crate) fn set_clock(&self, secs: i64) {
        self.trouble(0, secs);
    }

    /// The disk has room for so many more writes; `None`: for all.
    pub(crate) fn room_for(&self, writes: Option<i64>) {
        self.trouble(1, writes.unwrap_or(-1));
    }

    /// Whether the disk can be flushed.
    pub(crate) fn flushes(&self, does: bool) {
        self.trouble(2, i64::from(!does));
    }

    /// The log of the journal can be flushed, and the file to which it is brought cannot.
    pub(crate) fn only_the_log_flushes(&self) {
        self.trouble(2, -1);
    }

    /// Flushing the journal fails, and not before it has taken so long.
    pub(crate) fn flushes_fail_after(&self, ms: i64) {
        self.trouble(2, ms);
    }

    fn trouble(&self, at: u64, number: i64) {
        let file = File::options().write(true).open(self.path("trouble")).unwrap();
        file.write_all_at(&number.to_le_bytes(), at * 8).unwrap();
    }
}

/// The most memory that a process has had, in bytes.
pub(crate) fn most_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// A C source beside this file as a program, built once.
fn built(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stand-in");
        fs::create_dir_all(&folder).unwrap();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/responder/stand_in");
        for (name, options) in [("ssh", &[][..]), ("trouble.so", &["-shared", "-fPIC"])] {
            // Renamed into place: another run of the tests may be using the one that is there.
            let made = folder.join(format!("{name}.{}", std::process::id()));
            let mut cc = Command::new("cc");
            cc.args(["-O1", "-Wall", "-o"]).arg(&made).args(options);
            cc.arg(sources.join(name).with_extension("c"));
            assert!(cc.status().expect("cc, which Rust links with").success());
            fs::rename(made, folder.join(name)).unwrap();
        }
        folder
    });
    folder.join(name)
}

/// A host's report as the stand-in prints it.
fn report(outcome: &str, evidence: &Value) -> String {
    let kept = json!([{ "class": "tmp", "path": "/tmp/tmpx", "bytes": 1_048_576, "why": "worker_active",
        "detail": "the worker is at work" }]);
    json!({
        "schema": 1, "attempt": "ATTEMPT", "host": "a-node", "version": "0.1.0", "trigger": "alert",
        "mode": "enforce", "dry_run": false, "started_at": "2026-01-05T10:00:00Z",
        "finished_at": "2026-01-05T10:00:01Z", "outcome": outcome,
        "freed_bytes": if outcome == "freed" { 4096 } else { 0 }, "disks": [],
        "workers": [{
            "name": "ray-worker-1", "runtime": "docker", "state": "active", "verdict": "active",
            "tmp_before_bytes": 8192, "tmp_after_bytes": 4096, "freed_bytes": 0, "evidence": evidence,
            "removed": [], "kept": if outcome == "freed" { json!([]) } else { kept },
        }],
    })
    .to_string()
}
