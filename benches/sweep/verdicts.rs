//! The time until every worker of a host has its verdict, beside the old system's way to one.

use raysweep::domain::attempt::Outcome;

use crate::{
    figures::{Glance, Rounds, Section, Table, digits, times},
    plan::Plan,
    programs::{WINDOW, dry_run, own_seconds, report, timed, words},
    stage::{self, Worker},
};

/// With more workers than this the old rule is timed in one round: it takes minutes.
const OLD_RULE_WORKERS: usize = 8;

pub(crate) fn section(plan: &Plan) -> Section {
    let mut table = Table::new([
        "workers",
        "raysweep, median s",
        "range s",
        "beyond the window",
        "a worker",
        "old rule, median s",
        "a worker",
        "times as fast",
    ]);
    let mut glance = vec![];
    let mut workers: Vec<Worker> = vec![];
    for count in &plan.workers {
        workers.truncate(*count);
        workers.extend(stage::workers(workers.len()..*count));
        let (mut ours, mut beyond, mut old) = (Rounds::default(), Rounds::default(), Rounds::default());
        for round in 0..plan.rounds {
            let (seconds, own) = all_verdicts(*count);
            ours.push(seconds);
            beyond.push(own);
            if round == 0 || *count <= OLD_RULE_WORKERS {
                old.push(old_rule(&workers));
            }
            println!(
                "verdicts, {count} workers, round {}: {} s; old rule {old} s",
                round + 1,
                digits(seconds)
            );
        }
        let (each, old_each) = (ours.median() / *count as f64, old.median() / *count as f64);
        let ratio = times(old.median(), ours.median());
        table.row([
            count.to_string(),
            ours.to_string(),
            ours.range(),
            beyond.to_string(),
            digits(each),
            old.to_string(),
            digits(old_each),
            ratio.clone(),
        ]);
        glance.push(Glance {
            what: format!("verdicts for {count} worker{}", if *count == 1 { "" } else { "s" }),
            raysweep: format!("{ours} s, the window of {} s in it", WINDOW.as_secs()),
            beside: format!("old rule {old} s"),
            ratio,
        });
    }
    let about = format!(
        "`raysweep sweep --trigger alert --dry-run` with the sampling window as shipped ({window} s for all workers \
         together), from start to exit, and beside it what the old script did for each worker in turn: \
         `docker exec … du -sm /tmp` and `docker stats --no-stream`. The workers are containers without Ray that only \
         sleep, so nobody is asked for jobs; with Ray each question adds about 0.4 s of CPU. *Beyond the window*: from \
         the report's start to its end, without the window. A run counts only if the report has a verdict for \
         each worker. With more than {OLD_RULE_WORKERS} workers the old rule is timed once.",
        window = WINDOW.as_secs(),
    );
    Section { title: "Time to all verdicts", about, table: table.text, glance }
}

fn all_verdicts(count: usize) -> (f64, f64) {
    let ran = timed(&dry_run());
    let report = report(&ran);
    let judged = report.workers.iter().filter(|worker| worker.state.is_some() && worker.errors.is_empty());
    assert_eq!(judged.count(), count, "{}", ran.stdout);
    assert_eq!(report.outcome, Outcome::NothingToFree, "{}", ran.stdout);
    (ran.seconds, own_seconds(&report))
}

fn old_rule(workers: &[Worker]) -> f64 {
    let each = workers.iter().map(|Worker { name, .. }| {
        timed(&words(&["docker", "exec", name, "du", "-sm", "/tmp"])).seconds
            + timed(&words(&["docker", "stats", "--no-stream", "--format", "{{.CPUPerc}}", name])).seconds
    });
    each.sum()
}
