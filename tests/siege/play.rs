//! Somebody in a container who plays while a sweep runs.

use std::{
    collections::BTreeMap,
    process::Child,
    time::{Duration, Instant},
};

use crate::{
    stage::{Outside, SESSION, Worker, settings},
    sweeping::{Settings, Swept},
    world::{self, wait_until},
};

/// No play takes longer, however often it has to begin anew.
const BOUND: Duration = Duration::from_mins(25);

/// A player at work; what it did is told when it has been stopped.
pub(crate) struct Play<'a> {
    worker: &'a Worker,
    child: Child,
}

impl<'a> Play<'a> {
    pub(crate) fn begin(worker: &'a Worker, play: &str) -> Self {
        worker.sh("rm -rf /root/over /root/playing /root/aside*").unwrap();
        let child = world::start(&["docker", "exec", &worker.name, "python3", "/root/player.py", play]);
        let begun = Self { worker, child };
        wait_until(60, "the player to begin", || worker.has("/root/playing"));
        begun
    }

    /// What it counted, by name.
    pub(crate) fn end(self) -> BTreeMap<String, u64> {
        self.worker.sh("touch /root/over").unwrap();
        let output = self.child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let counts: BTreeMap<String, u64> = said
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?)))
            .collect();
        assert!(output.status.success() && !counts.is_empty(), "the player said {said:?} {errors}");
        counts
    }
}

/// What all the rounds of a play came to.
#[derive(Debug, Default)]
pub(crate) struct Score {
    pub(crate) sweeps: u64,
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) took: Duration,
}

impl Score {
    pub(crate) fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }
}

/// Plays round after round against a sweep each, until `name` has been counted `least` times. After each
/// round everything outside of the candidates is what it was, and nothing is mounted that was not.
pub(crate) fn rounds(worker: &Worker, outside: &Outside, play: &str, name: &str, least: u64) -> Score {
    let began = Instant::now();
    let mut score = Score::default();
    let before = (outside.sum(), worker.outside(), worker.mounts());
    assert_eq!(outside.files(), 9_000);
    while score.of(name) < least {
        assert!(began.elapsed() < BOUND, "{play}: after {:?} only {score:?}", began.elapsed());
        plant_trees(worker);
        let played = Play::begin(worker, play);
        let swept = settings().sweep(&worker.name);
        for (name, count) in played.end() {
            *score.counts.entry(name).or_default() += count;
        }
        score.sweeps += 1;
        assert_eq!(outside.files(), 9_000, "{play}: {}", swept.shown());
        let after = (outside.sum(), worker.outside(), worker.mounts());
        assert_eq!(after, before, "{play}: {}", swept.shown());
        worker.sh("rm -rf /root/aside* /tmp/ray").unwrap();
    }
    score.took = began.elapsed();
    score
}

/// Candidates in plenty, of one dead session.
fn plant_trees(worker: &Worker) {
    worker.sh(&format!("mkdir -p {SESSION}")).unwrap();
    worker.player(&["forest", &format!("{SESSION}/first")]);
    let copies = format!("cd {SESSION} && for i in 2 3 4 5 6; do cp -r first copy$i; done");
    worker.sh(&copies).unwrap();
    for tree in ["first", "copy3", "copy5"] {
        worker.player(&["chain", &format!("{SESSION}/{tree}/chain"), "200"]);
    }
    worker.wait_until_old("/tmp/ray");
}

/// Sweeps until the sweep has come to what the test is about: somebody's glance into the folder at the
/// wrong moment makes one leave it alone.
pub(crate) fn sweep_until(worker: &Worker, what: &str, mut done: impl FnMut(&Swept) -> bool) -> Swept {
    sweep_with_until(&settings(), worker, what, &mut done)
}

fn sweep_with_until(
    settings: &Settings,
    worker: &Worker,
    what: &str,
    done: &mut dyn FnMut(&Swept) -> bool,
) -> Swept {
    for _ in 0..10 {
        let swept = settings.sweep(&worker.name);
        if done(&swept) {
            return swept;
        }
        worker.wait_until_old("/tmp/ray");
    }
    panic!("{what}: not in ten sweeps")
}
