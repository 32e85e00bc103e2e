//! The rows as a table, and what all of them together have to show.

use raysweep::domain::evidence::WorkerState;

use crate::stage::version;

/// What came of one scenario.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) scenario: &'static str,
    pub(crate) state: Option<WorkerState>,
    pub(crate) as_expected: bool,
    /// How much of what had to stand did, right after the sweep.
    pub(crate) stood: usize,
    pub(crate) of: usize,
    pub(crate) may_go_bytes: u64,
    pub(crate) freed_bytes: u64,
    /// Whether the work finished; nothing where there was none.
    pub(crate) work: Option<Result<(), String>>,
    pub(crate) old_rule: Option<OldRule>,
    /// What the report says, for a row that is not as it should be.
    pub(crate) told: String,
}

/// The old system's verdict: `docker stats` below 5 % is idle, and then the three globs go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OldRule {
    pub(crate) percent: f64,
    /// Whether the globs match what the work needs.
    pub(crate) would_harm: bool,
}

impl OldRule {
    fn deletes(self) -> bool {
        self.percent < 5.0
    }

    fn shown(self) -> String {
        let verdict = match (self.deletes(), self.would_harm) {
            (true, true) => "**deletes what the work needs**",
            (true, false) => "deletes its globs",
            (false, _) => "skips",
        };
        format!("{:.1} %: {verdict}", self.percent)
    }
}

impl Row {
    fn interrupted(&self) -> bool {
        matches!(self.work, Some(Err(_)))
    }

    fn is_right(&self) -> bool {
        self.as_expected && self.stood == self.of && !self.interrupted() && self.frees_enough()
    }

    fn frees_enough(&self) -> bool {
        u128::from(self.freed_bytes) * 100 >= u128::from(self.may_go_bytes) * 95
    }
}

pub(crate) fn print(rows: &[Row]) {
    println!("\n## Ray {}\n", version());
    println!("| scenario | state | stood | freed of what may go | work | old rule |");
    println!("|---|---|---|---|---|---|");
    for row in rows {
        println!("{}", line(row));
    }
    let harmed = rows.iter().filter_map(|row| row.old_rule).filter(|old| old.deletes() && old.would_harm);
    let works = rows.iter().filter(|row| row.work.is_some()).count();
    let interrupted = rows.iter().filter(|row| row.interrupted()).count();
    let (freed, may_go) = sums(rows);
    println!(
        "\n{works} works, {interrupted} interrupted (the old rule of the same moments: {}); \
         {} of {} MB freed that may go.\n",
        harmed.count(),
        megabytes(freed),
        megabytes(may_go)
    );
}

/// One row of the table.
pub(crate) fn line(row: &Row) -> String {
    let state = row.state.map_or("-", WorkerState::as_str);
    let stood = if row.of == 0 { "-".to_owned() } else { format!("{}/{}", row.stood, row.of) };
    let freed = match row.may_go_bytes {
        0 => "-".to_owned(),
        bytes => format!("{} of {} MB", megabytes(row.freed_bytes), megabytes(bytes)),
    };
    let work = match &row.work {
        None => "-",
        Some(Ok(())) => "finished",
        Some(Err(_)) => "**interrupted**",
    };
    let old_rule = row.old_rule.map_or_else(|| "-".to_owned(), OldRule::shown);
    format!("| {} | {state} | {stood} | {freed} | {work} | {old_rule} |", row.scenario)
}

/// No work interrupted, and nearly all that may go gone.
pub(crate) fn check(rows: &[Row]) {
    let wrong: Vec<String> = rows
        .iter()
        .filter(|row| !row.is_right())
        .map(|row| format!("{}: {:?}\n  {}", row.scenario, row.work, row.told))
        .collect();
    let (freed, may_go) = sums(rows);
    assert!(wrong.is_empty(), "not as they should be:\n{}", wrong.join("\n"));
    assert!(may_go > 0 && u128::from(freed) * 100 >= u128::from(may_go) * 95, "{freed} of {may_go} bytes");
}

fn sums(rows: &[Row]) -> (u64, u64) {
    let sum = |bytes: fn(&Row) -> u64| rows.iter().map(bytes).sum();
    (sum(|row| row.freed_bytes), sum(|row| row.may_go_bytes))
}

fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}
