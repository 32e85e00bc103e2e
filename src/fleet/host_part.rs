//! What `deploy` does on a host, run there as root by the binary that it brought along.
//!
//! Everything that differs is found first. Then all of it is put in place in one transaction: whatever
//! goes wrong, and whenever the process is killed, the host ends as it was or as it should be.

mod difference;
mod health;
mod hold;
mod old_cron;
mod place;
mod record;
mod removal;
mod system;
mod transaction;
mod wanted;

use std::{
    io::{self, Read, Write},
    path::Path,
    process::ExitCode,
};

use self::{
    place::{Lock, Place, SWEEPS},
    record::{Record, is_by_hand},
    system::{Machine, System},
    wanted::Thing,
};
use super::order::{
    Answer, Change, Done, Failed, HostPart, How, Order, Task,
    health::{Examination, TempRoot},
};
use crate::config::sweep::SweepSettings;

/// The hidden first argument under which the binary is this part.
pub const ARGUMENT: &str = "host-part";

/// Where the program goes.
pub(super) const PROGRAM: &str = "/usr/local/bin/raysweep";
/// What the name of a program begins with that `deploy` brought along and that is not in place yet.
pub(super) const STAGED: &str = ".raysweep-";

/// The longest order that is read.
const MOST_BYTES: u64 = 1 << 20;

/// Looks into every temp root of the host. The sweeper knows how; whoever puts the program together hands
/// it in.
pub type LookOver = fn(&SweepSettings) -> Result<Vec<TempRoot>, String>;

/// Reads the order from standard input, carries it out, and prints the answer.
pub fn main(look_over: LookOver) -> ExitCode {
    let answer = if rustix::process::geteuid().is_root() {
        read_order().map_or_else(|why| Answer::Failed(unchanged(why)), |order| here(&order, look_over))
    } else {
        Answer::Failed(unchanged("this is not root"))
    };
    let mut line = serde_json::to_vec(&answer).unwrap_or_default();
    line.push(b'\n');
    match (io::stdout().write_all(&line), answer) {
        (Ok(()), Answer::Done(_) | Answer::Examined(_)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn read_order() -> Result<Order, String> {
    let mut text = vec![];
    io::stdin()
        .take(MOST_BYTES)
        .read_to_end(&mut text)
        .map_err(|error| format!("the order cannot be read: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("the order cannot be read: {error}"))
}

/// On this very machine. The program that was brought along has done its part afterwards.
fn here(order: &Order, look_over: LookOver) -> Answer {
    let place = Place::here();
    // It changes nothing and takes its time: nobody waits for it, least of all who wants the host held.
    if let Task::Examine(examination) = &order.task {
        let answer = Answer::Examined(Box::new(health::of(examination, &place, look_over)));
        if let Ok(_lock) = Lock::take(&place) {
            removal::staged_programs(&place);
        }
        return answer;
    }
    match Lock::take(&place) {
        Ok(lock) => {
            let answer = carry_out(order, &place, &Machine).map_or_else(Answer::Failed, Answer::Done);
            removal::staged_programs(&place);
            drop(lock);
            answer
        }
        Err(why) => Answer::Failed(unchanged(why)),
    }
}

/// What a deploy would change, and nothing else of it.
fn changes(part: &HostPart, place: &Place) -> Result<Vec<Change>, String> {
    let program =
        std::fs::read(&place.program).map_err(|error| format!("the program cannot be read: {error}"))?;
    let differing = wanted::things(part, program, place).into_iter().map(|thing| {
        difference::of(&thing, place).map_err(|error| format!("{}: {error}", thing.path().display()))
    });
    differing.filter_map(Result::transpose).collect()
}

fn carry_out(order: &Order, place: &Place, system: &dyn System) -> Result<Done, Failed> {
    let mut done = Done::default();
    if let Some(note) = recovered(order, place, system)? {
        done.notes.push(note);
    }
    match &order.task {
        Task::Deploy(part) => deploy(part, order.check, place, system, &mut done)?,
        Task::Hold(wish) => hold::hold(wish, order.check, place, &mut done)?,
        Task::Release => hold::release(order.check, place, &mut done)?,
        Task::Undeploy { textfile_dir, drop_old_cron } => {
            undeploy(textfile_dir, *drop_old_cron, order.check, place, system, &mut done)?;
        }
        // Nothing is done about it here.
        Task::Examine(Examination { .. }) => {}
    }
    Ok(done)
}

fn undeploy(
    textfile_dir: &Path,
    drop_old_cron: bool,
    check: bool,
    place: &Place,
    system: &dyn System,
    done: &mut Done,
) -> Result<(), Failed> {
    // Kept until all is gone: no sweep begins on a host that is half taken away.
    let _no_sweep = if check { None } else { Lock::over_sweeps(place).map_err(unchanged)? };
    if check && hold::is_sweeping(&place.path(SWEEPS)) {
        done.notes.push("a sweep is at work there now: until it has ended nothing is taken away".to_owned());
    }
    let taken = if drop_old_cron { vec![] } else { Record::read(place).map_err(unchanged)?.taken };
    let old_cron = old_cron::give_back(&taken, place);
    done.changes = removal::list(textfile_dir, place, system).map_err(unchanged)?;
    done.changes.extend(old_cron.changes);
    done.notes.extend(old_cron.notes);
    if check {
        return Ok(());
    }
    removal::remove(textfile_dir, &old_cron.crontabs, place, system)
        .map_err(|why| Failed { why, as_before: false })
}

/// Ends what a killed run left in the middle. A check changes nothing, not even that.
fn recovered(order: &Order, place: &Place, system: &dyn System) -> Result<Option<String>, Failed> {
    if order.check {
        let left = transaction::is_left(place);
        return Ok(left.then(|| "an earlier run was broken off; the next one ends it first".to_owned()));
    }
    let ended = transaction::recover(place, system).map_err(|error| Failed {
        why: format!("what an earlier run left cannot be put back: {error}"),
        as_before: false,
    })?;
    Ok(ended.map(|how| format!("an earlier run was broken off: {how}")))
}

fn deploy(
    part: &HostPart,
    check: bool,
    place: &Place,
    system: &dyn System,
    done: &mut Done,
) -> Result<(), Failed> {
    if let Some(why) = unfit(place, system) {
        return Err(unchanged(why));
    }
    let has_account = account(system).map_err(unchanged)?;
    let old_cron = old_cron::find(place);
    done.old_cron = old_cron.iter().flat_map(|crontab| crontab.lines.clone()).collect();
    let program = std::fs::read(&place.program)
        .map_err(|error| unchanged(format!("the program cannot be read: {error}")))?;
    let record = Record::read(place).map_err(unchanged)?;
    done.by_hand = by_hand(part, &record, place).map_err(unchanged)?;
    if !done.by_hand.is_empty() {
        return Ok(());
    }
    let (mut things, mut taken) = (wanted::things(part, program, place), vec![]);
    if part.replace_old_cron {
        let both = old_cron.into_iter().map(|crontab| (crontab.without, crontab.taken));
        let (without, lines): (Vec<_>, Vec<_>) = both.unzip();
        things.extend(without);
        taken = lines;
    }
    things.insert(0, record.after(part.settings.as_bytes(), taken).thing(place).map_err(unchanged)?);
    let different = different(&things, place, &mut done.changes)?;
    if !has_account {
        done.changes.push(Change {
            what: format!("account {}", wanted::ACCOUNT),
            how: How::Created,
            diff: String::new(),
        });
    }
    if !check && !done.changes.is_empty() {
        transaction::carry_out(different, !has_account, place, system)?;
        verify(&things, place)?;
    }
    done.notes.extend(notes(part, check, place, system, !done.changes.is_empty()));
    Ok(())
}

/// What is not as it should be, each with its line of the answer.
fn different(things: &[Thing], place: &Place, changes: &mut Vec<Change>) -> Result<Vec<Thing>, Failed> {
    let mut different = vec![];
    for thing in things {
        let found = difference::of(thing, place)
            .map_err(|error| unchanged(format!("{}: {error}", thing.path().display())))?;
        if let Some(change) = found {
            changes.push(change);
            different.push(thing.clone());
        }
    }
    Ok(different)
}

/// The settings, where somebody has written them by hand: what is in them may stand nowhere else.
fn by_hand(part: &HostPart, record: &Record, place: &Place) -> Result<Vec<Change>, String> {
    let path = place.path(wanted::SETTINGS);
    let named = |error| format!("{}: {error}", path.display());
    if part.overwrite_settings || !is_by_hand(record, &path, part.settings.as_bytes()).map_err(named)? {
        return Ok(vec![]);
    }
    Ok(difference::of(&wanted::settings(part, place), place).map_err(named)?.into_iter().collect())
}

/// Looks once more: what a table says of a host has been seen there.
fn verify(things: &[Thing], place: &Place) -> Result<(), Failed> {
    let is_wrong = |thing: &&Thing| !matches!(difference::of(thing, place), Ok(None));
    match things.iter().find(is_wrong) {
        None => Ok(()),
        Some(thing) => Err(Failed {
            why: format!("{} was put in place, and is another by now", place.shown(thing.path())),
            as_before: false,
        }),
    }
}

/// Whether the account is there; one of the same name with another home is somebody else's.
fn account(system: &dyn System) -> Result<bool, String> {
    match system.account_home()? {
        None => Ok(false),
        Some(home) if home == Path::new(wanted::ACCOUNT_HOME) => Ok(true),
        Some(home) => Err(format!(
            "there is an account {} with the home {} already: it is not of our making",
            wanted::ACCOUNT,
            home.display()
        )),
    }
}

/// What a host lacks to be one of ours.
fn unfit(place: &Place, system: &dyn System) -> Option<String> {
    let missing = system.missing_programs();
    if !missing.is_empty() {
        return Some(format!(
            "{} is missing: install sudo, passwd, util-linux, bsdutils",
            missing.join(", ")
        ));
    }
    let cron = place.path("/etc/cron.d");
    (!cron.is_dir()).then(|| format!("{} is missing: install cron", cron.display()))
}

/// What stands in the way of a host that does its work, and is not ours to change.
fn notes(part: &HostPart, check: bool, place: &Place, system: &dyn System, has_changed: bool) -> Vec<String> {
    let mut notes = vec![];
    if !place.path(&part.textfile_dir).is_dir() {
        notes.push(format!(
            "no {}: the alerts need node_exporter's textfile folder",
            part.textfile_dir.display()
        ));
    }
    if let Some(socket) = &part.socket
        && let Err(error) = system.knock(&place.path(socket))
    {
        notes.push(format!("no container runtime answers at {}: {error}", socket.display()));
    }
    // A file that sudo takes is not yet a file that sudo reads.
    if !check && let Err(why) = system.lets_account_sweep() {
        notes.push(format!(
            "sudo does not let {} sweep ({why}): does /etc/sudoers include /etc/sudoers.d?",
            wanted::ACCOUNT
        ));
    }
    let is_measured = place.path(wanted::TEXTFILE).exists();
    if !check
        && (has_changed || !is_measured)
        && let Err(why) = system.measure()
    {
        notes.push(format!("the first measurement failed ({why}); cron tries again each minute"));
    }
    notes
}

fn unchanged(why: impl Into<String>) -> Failed {
    Failed { why: why.into(), as_before: true }
}

#[cfg(test)]
mod tests;
