//! What is measured: from the environment, with a default for each.

use std::{env, fmt};

use crate::environment::{joined, list, number, words};

/// Beyond this the small disk of the world is full.
const MOST_FILES: usize = 1_200_000;
const MOST_ROUNDS: usize = 20;

/// The whole of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) files: usize,
    pub(crate) rounds: usize,
    pub(crate) disks: Vec<Disk>,
    pub(crate) layouts: Vec<Layout>,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) workers: Vec<usize>,
    pub(crate) parts: Vec<Part>,
    /// Whether the figures of less than the whole plan go into the documents too.
    keep: bool,
}

words!(
    /// Where the worker's `/tmp` lies.
    Disk { Ext4 = "ext4", Overlay = "overlay" }
);
words!(
    /// How the files lie.
    Layout { Tree = "tree", Flat = "flat" }
);
words!(
    /// Who removes them.
    Contender {
        Rm = "rm -rf",
        DockerRm = "docker exec rm -rf",
        Find = "find -delete",
        Rmz = "rmz",
        Raysweep = "raysweep",
    }
);
words!(
    /// What is measured.
    Part { Removal = "removal", Usage = "usage", Verdicts = "verdicts", Memory = "memory", Calls = "calls" }
);

impl Plan {
    pub(crate) fn from_environment() -> Result<Self, String> {
        let plan = Self {
            files: number("FILES", 1_000_000, MOST_FILES)?,
            rounds: number("ROUNDS", 3, MOST_ROUNDS)?,
            disks: list("DISKS", " ", Disk::ALL)?,
            layouts: list("LAYOUTS", " ", Layout::ALL)?,
            contenders: list("CONTENDERS", ",", Contender::ALL)?,
            workers: list("WORKERS", " ", &[1, 8, 64])?,
            parts: list("PARTS", " ", Part::ALL)?,
            keep: env::var("KEEP").is_ok_and(|keep| keep == "yes"),
        };
        if let Some(workers) = plan.workers.iter().find(|workers| !(1..=256).contains(*workers)) {
            return Err(format!("WORKERS: {workers} is not from 1 to 256"));
        }
        Ok(plan)
    }

    /// Figures of a run that left something out say too little to stand in a document.
    pub(crate) fn is_kept(&self) -> bool {
        let is_whole = self.files >= 1_000_000
            && self.rounds >= 3
            && self.disks == Disk::ALL
            && self.layouts == Layout::ALL
            && self.contenders == Contender::ALL
            && self.workers == [1, 8, 64]
            && self.parts == Part::ALL;
        is_whole || self.keep
    }

    /// Folders of a tree that hold files.
    pub(crate) fn leaves(&self) -> usize {
        self.files.div_ceil(crate::files::IN_A_FOLDER)
    }

    /// About how long it takes, from what a machine with two cores took: making a file and removing it
    /// 80 µs, walking over it 10 µs; and the old rule 2.5 s a worker.
    fn minutes(&self) -> f64 {
        let places = (self.disks.len() * self.layouts.len()) as f64;
        let (files, rounds) = (self.files as f64, self.rounds as f64);
        let seconds = |part: &Part| match part {
            Part::Removal => files * 80e-6 * rounds * places * self.contenders.len() as f64,
            Part::Usage => files * (40e-6 + 80e-6 * rounds) * places,
            Part::Verdicts => self
                .workers
                .iter()
                .map(|workers| *workers as f64 * 3.5 + rounds * (6.0 + *workers as f64 * 2.5))
                .sum(),
            Part::Memory => files * 160e-6 + 60.0,
            Part::Calls => files * 150e-6,
        };
        self.parts.iter().map(seconds).sum::<f64>() / 60.0 + 1.0
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, rounds, disks, layouts, contenders, workers, parts, keep: _ } = self;
        writeln!(f, "FILES={files} ROUNDS={rounds} PARTS={:?}", joined(parts, " "))?;
        writeln!(
            f,
            "DISKS={:?} LAYOUTS={:?} CONTENDERS={:?}",
            joined(disks, " "),
            joined(layouts, " "),
            joined(contenders, ",")
        )?;
        writeln!(f, "WORKERS={:?}", joined(workers, " "))?;
        write!(f, "about {:.0} min on a machine with two cores", self.minutes())
    }
}
