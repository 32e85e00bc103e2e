//! What its own part tells of a host.

use super::{Check, Seen, State};
use crate::{
    domain::{attempt::Mode, backstop::MISSED},
    fleet::{
        deploy::examine::There,
        doctor::{Side, clock_check, links, skew},
        order::{
            Change,
            health::{Cron, Health, TempRoot},
        },
    },
};

/// Beyond a sweep's own deadline: whoever has the lock for so long is no sweep that works.
const GRACE_SECS: u64 = 30;
/// Older figures are late by two runs.
const STALE_SECS: u64 = 180;

pub(super) fn judge(host: &Seen) -> Vec<Check> {
    let skipped = |because: &str| -> Vec<Check> {
        links(|side| side == Side::Inside).map(|link| Check::skipped(link, because)).collect()
    };
    let seen = match &host.examined.seen {
        Some(Ok(seen)) => seen,
        Some(Err(trouble)) => {
            let advice = format!("try again, with a longer --timeout; `{} --check` says more", host.deploy());
            let why = trouble.clone().why().unwrap_or_default();
            let mut checks = skipped("the host's part did not answer");
            checks.retain(|check| check.check != "program");
            checks.push(Check::broken("program", why, advice));
            return checks;
        }
        None if host.examined.login.is_err() => return skipped("your ssh does not get in"),
        None => return skipped("you do not become root there"),
    };
    let look = Look { host, health: &seen.health };
    let cron = look.cron();
    let settings = look.settings();
    let containers = look.containers();
    let is_broken = |check: &Check| check.state == State::Broken;
    let harm = "ages of files, of figures and of jobs are told by it";
    vec![
        look.program(),
        look.mode(),
        look.hold(),
        look.sudoers(),
        look.files(),
        look.backstop(is_broken(&cron)),
        look.lock(),
        look.temp_roots(is_broken(&containers)),
        look.textfile(is_broken(&cron), is_broken(&settings)),
        clock_check("host_clock", skew(seen.health.now, seen.asked_at, seen.answered_at), harm),
        cron,
        settings,
        containers,
    ]
}

struct Look<'a> {
    host: &'a Seen,
    health: &'a Health,
}

impl Look<'_> {
    /// What a deploy would change of what lies there.
    fn change(&self, path: &str) -> Option<&Change> {
        self.host.changes()?.iter().find(|change| change.what == path)
    }

    fn put_right(&self) -> String {
        let deploy = self.host.deploy();
        format!("`{deploy} --check` shows what differs, `{deploy}` puts it right")
    }

    fn program(&self) -> Check {
        const LINK: &str = "program";
        let here = env!("CARGO_PKG_VERSION");
        let advice = format!("`{}` brings the one that runs here", self.host.deploy());
        match (self.host.examined.program, &self.health.version) {
            (None | Some(There::Nothing), _) => Check::broken(LINK, "there is none", advice),
            (_, Err(why)) => Check::broken(LINK, format!("it does not run: {why}"), advice),
            (Some(There::Another), Ok(version)) if version != here => {
                Check::broken(LINK, format!("{version}, and here is {here}"), advice)
            }
            (Some(There::Another), Ok(version)) => {
                Check::warn(LINK, format!("{version}, of another build than the one here"), advice)
            }
            (Some(There::This), Ok(version)) => Check::ok(LINK, format!("{version}, the same as here")),
        }
    }

    fn settings(&self) -> Check {
        const LINK: &str = "settings";
        if let Err(why) = &self.health.settings {
            return Check::broken(
                LINK,
                why,
                format!("`{} --overwrite-settings` writes them from the inventory", self.host.deploy()),
            );
        }
        match self.change("/etc/raysweep/sweep.yml") {
            Some(change) => {
                let differing = change.diff.lines().filter(|line| is_changed(line)).count();
                let seen = format!("valid, and not as the inventory has them ({differing} lines)");
                let deploy = self.host.deploy();
                let advice = format!(
                    "`{deploy} --check` shows what differs, `{deploy}` puts it right, with --overwrite-settings \
                     where it was changed by hand"
                );
                Check::warn(LINK, seen, advice)
            }
            None if self.host.unknown.is_some() => Check::ok(LINK, "valid; not compared"),
            None => Check::ok(LINK, "as the inventory has them"),
        }
    }

    fn mode(&self) -> Check {
        const LINK: &str = "mode";
        match &self.health.settings {
            Err(_) => Check::skipped(LINK, "the settings cannot be read"),
            Ok(settings) if settings.mode == Mode::Observe => Check::warn(
                LINK,
                "observe: nothing is deleted there",
                format!(
                    "when the verdicts look right: `sweep: {{mode: enforce}}` in its entry of the inventory, and `{}`",
                    self.host.deploy()
                ),
            ),
            Ok(settings) => Check::ok(LINK, settings.mode.as_str()),
        }
    }

    fn hold(&self) -> Check {
        const LINK: &str = "hold";
        let file = match &self.health.settings {
            Ok(settings) => settings.hold_file.display().to_string(),
            Err(_) => "/etc/raysweep/hold".to_owned(),
        };
        match &self.health.hold {
            None => Check::ok(LINK, "none"),
            Some(reason) => Check::warn(
                LINK,
                format!("on hold, nothing is deleted: {reason}"),
                format!("when that is over: rm {file} on the host"),
            ),
        }
    }

    fn sudoers(&self) -> Check {
        const LINK: &str = "sudoers";
        match &self.health.sudo {
            Err(why) => Check::broken(LINK, why, format!("`{}` puts it right", self.host.deploy())),
            Ok(()) if self.change("/etc/sudoers.d/raysweep").is_some() => Check::warn(
                LINK,
                "the responder's account may start a sweep, and its file is not as it is shipped",
                self.put_right(),
            ),
            Ok(()) => Check::ok(LINK, "the responder's account may start a sweep"),
        }
    }

    /// Everything else that a deploy puts in place.
    fn files(&self) -> Check {
        const LINK: &str = "files";
        const ELSEWHERE: [&str; 6] = [
            "/usr/local/bin/raysweep",
            "/etc/raysweep/sweep.yml",
            "/etc/sudoers.d/raysweep",
            "/etc/cron.d/raysweep",
            "/var/lib/raysweep-account",
            "/raysweep.prom",
        ];
        let changes = match &self.health.changes {
            Some(Ok(changes)) => changes,
            Some(Err(why)) => {
                return Check::warn(LINK, format!("they cannot be compared: {why}"), self.put_right());
            }
            None => {
                let why = self.host.unknown.as_deref().unwrap_or("the inventory does not say");
                return Check::not_asked(LINK, why, "what `deploy` would put there is not known without it");
            }
        };
        let is_elsewhere = |change: &&Change| {
            ELSEWHERE.iter().any(|part| change.what.starts_with(part) || change.what.ends_with(part))
        };
        let differing: Vec<_> = changes
            .iter()
            .filter(|change| !is_elsewhere(change))
            .map(|change| change.what.as_str())
            .collect();
        if differing.is_empty() {
            Check::ok(LINK, "all else that `deploy` puts there is as it should be")
        } else {
            Check::warn(LINK, format!("not as it should be: {}", differing.join(", ")), self.put_right())
        }
    }

    fn cron(&self) -> Check {
        const LINK: &str = "cron";
        let Cron { has_file, runs, .. } = &self.health.cron;
        if !has_file {
            let advice = format!("`{}` puts it in place", self.host.deploy());
            return Check::broken(LINK, "there is no /etc/cron.d/raysweep", advice);
        }
        if !runs {
            return Check::broken(LINK, "no cron runs", "start it: systemctl enable --now cron (or crond)");
        }
        if self.change("/etc/cron.d/raysweep").is_some() {
            return Check::warn(
                LINK,
                "cron runs, and its file is not as the inventory has it",
                self.put_right(),
            );
        }
        Check::ok(LINK, "cron runs, and has its file")
    }

    fn backstop(&self, cron_is_broken: bool) -> Check {
        const LINK: &str = "backstop";
        const ADVICE: &str = "look at what cron says: journalctl -t raysweep -t CRON, or /var/log/syslog";
        let Cron { last, missed, .. } = &self.health.cron;
        let ended = match last {
            Some(last) => {
                format!("the last run ended {} at {}", last.outcome, last.finished_at.strftime("%F %T"))
            }
            None => "no run yet since it was put in place, or since the host was started".to_owned(),
        };
        match missed {
            _ if cron_is_broken => Check::skipped(LINK, "cron does not run it"),
            None => Check::warn(
                LINK,
                format!("{ended}; when the next was due cannot be told"),
                "see schedule in the host's sweep.yml",
            ),
            Some(missed) if *missed >= usize::from(MISSED) => {
                Check::broken(LINK, format!("{ended}; {missed} were due since"), ADVICE)
            }
            Some(_) if last.as_ref().is_some_and(|last| last.outcome == "failed") => Check::warn(
                LINK,
                ended,
                "`raysweep sweep --dry-run` and `raysweep history --local --limit 1` on the host say why",
            ),
            Some(_) => Check::ok(LINK, ended),
        }
    }

    fn lock(&self) -> Check {
        const LINK: &str = "lock";
        let deadline_secs = self.health.settings.as_ref().map_or(600, |settings| settings.deadline_secs);
        match &self.health.lock {
            Err(why) => Check::warn(LINK, format!("who has it cannot be told: {why}"), "look at /proc/locks"),
            Ok(None) => Check::ok(LINK, "nobody has it"),
            Ok(Some(holder)) if holder.age_secs > deadline_secs + GRACE_SECS => Check::broken(
                LINK,
                format!(
                    "{} (process {}), running for {} s, has it: no sweep begins",
                    holder.name, holder.pid, holder.age_secs
                ),
                format!("look at it on the host (ps -fp {0}), and if it hangs: kill {0}", holder.pid),
            ),
            Ok(Some(holder)) => Check::ok(LINK, format!("a sweep runs (process {})", holder.pid)),
        }
    }

    fn containers(&self) -> Check {
        const LINK: &str = "containers";
        let socket = match &self.health.settings {
            Ok(settings) => settings.socket.display().to_string(),
            Err(_) => "the container runtime's socket".to_owned(),
        };
        match &self.health.containers {
            None => Check::ok(LINK, "Ray runs on the bare host"),
            Some(Ok(())) => Check::ok(LINK, format!("{socket} answers")),
            Some(Err(why)) => Check::broken(
                LINK,
                format!("{socket}: {why}"),
                "start the runtime (systemctl start docker), or name its socket: containers.socket in the host's `sweep`",
            ),
        }
    }

    fn temp_roots(&self, runtime_is_broken: bool) -> Check {
        const LINK: &str = "temp_roots";
        let roots = match &self.health.temp_roots {
            _ if runtime_is_broken => return Check::skipped(LINK, "the container runtime does not answer"),
            Ok(roots) => roots,
            Err(why) => return Check::broken(LINK, why, "`raysweep sweep --dry-run` on the host says more"),
        };
        let shut: Vec<_> = roots.iter().filter_map(told).collect();
        if !shut.is_empty() {
            return Check::broken(
                LINK,
                shut.join("; "),
                "no sweep gets at these: put the worker's temp root (--temp-dir, RAY_TMPDIR, TMPDIR) on a local folder that is there",
            );
        }
        match roots.len() {
            0 => Check::ok(LINK, "no worker runs there"),
            many => Check::ok(LINK, format!("{many} can be looked into")),
        }
    }

    fn textfile(&self, cron_is_broken: bool, settings_are_broken: bool) -> Check {
        const LINK: &str = "textfile";
        let textfile = &self.health.textfile;
        let late = match &textfile.age_secs {
            Err(why) => Some(why.clone()),
            Ok(age) if *age > STALE_SECS => Some(format!("the figures were written {age} s ago")),
            Ok(_) => None,
        };
        match late {
            Some(_) if cron_is_broken => Check::skipped(LINK, "cron does not run what writes it"),
            Some(_) if settings_are_broken => Check::skipped(LINK, "what writes it cannot read its settings"),
            Some(seen) => Check::broken(
                LINK,
                seen,
                "see what keeps `raysweep measure` on the host: journalctl -t raysweep, and who has /run/raysweep/lock/measure",
            ),
            None if !textfile.is_linked => Check::broken(
                LINK,
                "the figures are fresh, and node_exporter's folder does not have them",
                format!(
                    "`{}` links them; deploy.textfile_dir must be node_exporter's folder",
                    self.host.deploy()
                ),
            ),
            None => Check::ok(LINK, "fresh, and in node_exporter's folder"),
        }
    }
}

/// A line of a difference that one side has alone; not what names the sides.
fn is_changed(line: &str) -> bool {
    line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---")
}

fn told(root: &TempRoot) -> Option<String> {
    let TempRoot { worker, path, trouble } = root;
    let place = if path.is_empty() { worker.clone() } else { format!("{path} of {worker}") };
    trouble.as_ref().map(|trouble| format!("{place}: {trouble}"))
}
