//! CPU over the window, of what is not Ray's own machinery. It may only ever add activity.
//!
//! What comes and goes between the two readings shows in a parent that has waited for it, and counts
//! where that parent is acquitted. Under the raylet, or under a parent outside the container, it shows
//! nowhere. The container's own total, less Ray's machinery, would show it and is not asked: the question
//! to Ray is itself such a process, so is each of a health check's, and both would call a worker at rest
//! busy. What has ended holds nothing any more. Who comes back for what it left is a job or an actor,
//! which Ray is asked for; somebody outside who knows a name is kept from harm by age alone, whatever
//! the CPU says; and who has begun since the window is seen before anything is deleted.

use std::time::Duration;

use super::{
    command,
    role::{Role, Roles},
};
use crate::{
    domain::evidence::{Evidence, EvidenceKind},
    sweeper::processes::Process,
};

/// `/proc/PID/stat` counts in these: `USER_HZ` is 100 on every architecture that Ray runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the acquitted used: a pooled worker or a mover of objects by itself (a thread may have been left running in it), and
/// the entrypoint, ignored programs and shells all together.
pub(super) fn signs(first: &Roles, last: &Roles, window: Duration, idle_percent: f64) -> Vec<Evidence> {
    // Two readings at once tell nothing of CPU.
    if window < Duration::from_millis(100) {
        return vec![];
    }
    let mut signs = vec![];
    let mut together = 0.0;
    let mut busiest: Option<(f64, &Process)> = None;
    for (process, role) in last.iter() {
        let percent = percent(used_ticks(process, first.find(process.id)), window);
        match role {
            Role::Pooled | Role::IdleMover if percent >= idle_percent => signs.push(sign(process, percent)),
            Role::Entrypoint | Role::Ignored | Role::WaitingShell => {
                together += percent;
                if busiest.is_none_or(|(most, _)| percent > most) {
                    busiest = Some((percent, process));
                }
            }
            _ => {}
        }
    }
    if let Some((_, process)) = busiest.filter(|_| together >= idle_percent) {
        signs.push(sign(process, together));
    }
    signs
}

fn sign(process: &Process, percent: f64) -> Evidence {
    let detail = format!("{percent:.1} % of a core: {}", command(process));
    Evidence::of_process(EvidenceKind::Cpu, process.id.pid, detail)
}

/// With the children that it has waited for: those came and went unseen. All that a process used that
/// was not there at the first reading, it used within the window.
fn used_ticks(process: &Process, earlier: Option<&Process>) -> u64 {
    let total = |process: &Process| process.cpu_ticks.saturating_add(process.children_cpu_ticks);
    total(process).saturating_sub(earlier.map_or(0, total))
}

fn percent(ticks: u64, window: Duration) -> f64 {
    let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
    f64::from(ticks) / TICKS_PER_SECOND / window.as_secs_f64() * 100.0
}
