//! `doctor`: the whole chain from a host's disk to a sweep of it, link by link: what was seen of each, and
//! what to do.
//!
//! Everything is asked side by side, each within its bound, and nothing is changed. What was seen is judged
//! afterwards by pure functions: a link that hangs on a broken one is skipped and raises no alarm of its own.

mod address;
mod alertmanager;
mod host;
mod prometheus;
mod responder;
mod route;
mod rules;
mod secrets;
mod site;
mod test_alert;

use std::{io, time::Duration};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use tokio::task::spawn_blocking;

use self::{
    alertmanager::Alertmanager, prometheus::Prometheus, responder::Responder, secrets::Secrets, site::Site,
};
use super::{
    access::Access,
    deploy::{Options, examination, examine::Examiner, verify::to_the_gate},
};
use crate::{
    config::responder::{HostEntry, ResponderConfig},
    domain::host::HostName,
};

/// Clocks that differ by less are the same.
const SAME_CLOCK: Duration = Duration::from_secs(5);
/// Clocks that differ by more make figures old or future ones.
const OTHER_CLOCK: Duration = Duration::from_secs(60);

/// How it stands with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It holds.
    Ok,
    /// It holds, and is not as it should be.
    Warn,
    /// It does not hold.
    Broken,
    /// It hangs on one that does not hold.
    Skipped,
    /// Nobody said where to ask, or it takes a word more.
    NotAsked,
}

impl State {
    /// The word as tables write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Broken => "broken",
            Self::Skipped => "skipped",
            Self::NotAsked => "not asked",
        }
    }
}

/// A link of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The link.
    pub check: &'static str,
    /// The host, where it is one of a host's.
    pub host: Option<HostName>,
    /// How it stands with it.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// What to do.
    pub advice: Option<String>,
}

/// Where a link is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// On the control side: it is no host's.
    Control,
    /// On the way to a host.
    Way,
    /// Inside a host, by its part.
    Inside,
    /// Where a host is watched from.
    Watch,
}

/// Every link there is, in the chain's order, and where it is seen; `docs/doctor.md` tells of each.
const LINKS: [(&str, Side); 33] = [
    ("config", Side::Control),
    ("secrets", Side::Control),
    ("prometheus", Side::Control),
    ("prometheus_clock", Side::Control),
    ("rules", Side::Control),
    ("responder_target", Side::Control),
    ("alerting", Side::Control),
    ("alertmanager", Side::Control),
    ("route", Side::Control),
    ("responder", Side::Control),
    ("responder_clock", Side::Control),
    ("test_alert", Side::Control),
    ("address", Side::Way),
    ("ssh", Side::Way),
    ("host_key", Side::Way),
    ("responder_login", Side::Way),
    ("sudo", Side::Way),
    ("program", Side::Inside),
    ("settings", Side::Inside),
    ("mode", Side::Inside),
    ("hold", Side::Inside),
    ("sudoers", Side::Inside),
    ("files", Side::Inside),
    ("cron", Side::Inside),
    ("backstop", Side::Inside),
    ("lock", Side::Inside),
    ("containers", Side::Inside),
    ("temp_roots", Side::Inside),
    ("textfile", Side::Inside),
    ("node_exporter", Side::Watch),
    ("target", Side::Watch),
    ("metrics", Side::Watch),
    ("host_clock", Side::Inside),
];

/// Those that are seen on such sides, in the chain's order.
fn links(is_there: impl Fn(Side) -> bool) -> impl Iterator<Item = &'static str> {
    LINKS.into_iter().filter(move |(_, side)| is_there(*side)).map(|(link, _)| link)
}

/// How far along the chain a link is.
fn order(link: &str) -> Option<usize> {
    LINKS.iter().position(|(other, _)| *other == link)
}

impl Check {
    fn new(check: &'static str, state: State, seen: impl Into<String>) -> Self {
        debug_assert!(order(check).is_some(), "{check} is no link");
        Self { check, host: None, state, seen: seen.into(), advice: None }
    }

    fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self::new(check, State::Ok, seen)
    }

    fn warn(check: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..Self::new(check, State::Warn, seen) }
    }

    fn broken(check: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..Self::new(check, State::Broken, seen) }
    }

    fn skipped(check: &'static str, because: &str) -> Self {
        Self::new(check, State::Skipped, format!("because {because}"))
    }

    fn not_asked(check: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..Self::new(check, State::NotAsked, seen) }
    }

    fn of(self, host: &HostName) -> Self {
        Self { host: Some(host.clone()), ..self }
    }

    /// That the configuration holds.
    pub fn config_holds(file: &str, hosts: usize) -> Self {
        Self::ok("config", format!("{file}; hosts: {hosts}"))
    }

    /// That it does not.
    pub fn config_broken(why: String) -> Self {
        Self::broken("config", why, "put right what is named; `raysweep check-config` shows when it is")
    }
}

/// How far a clock is from ours, which was looked at before and after it was asked.
fn skew(clock: Timestamp, asked_at: Timestamp, answered_at: Timestamp) -> Duration {
    let later =
        |one: Timestamp, other: Timestamp| Duration::try_from(one.duration_since(other)).unwrap_or_default();
    later(asked_at, clock).max(later(clock, answered_at))
}

/// What a clock's distance from ours means.
fn clock_check(check: &'static str, skew: Duration, harm: &str) -> Check {
    let seen = format!("{} s from the clock here", skew.as_secs());
    let advice = format!("set the clocks right (chrony, systemd-timesyncd) on both sides: {harm}");
    match skew {
        skew if skew <= SAME_CLOCK => Check::ok(check, "the same as here"),
        skew if skew <= OTHER_CLOCK => Check::warn(check, seen, advice),
        _ => Check::broken(check, seen, advice),
    }
}

/// Where the control side is, and who we are to it. What is not there is not asked.
pub struct Places {
    /// Prometheus; or why we cannot show who we are.
    pub prometheus: Option<(String, Result<Access, String>)>,
    /// Alertmanager.
    pub alertmanager: Option<(String, Access)>,
    /// The responder.
    pub responder: (String, Access),
    /// Whether a test alert is to be sent; and so long it may take to arrive.
    pub test_alert: Option<Duration>,
}

/// Walks the chain. The hosts are those of the inventory that were asked for.
pub async fn walk(
    config: &ResponderConfig,
    hosts: &[&HostEntry],
    places: Places,
    options: &Options,
) -> io::Result<Vec<Check>> {
    let examiner = Examiner::new(config, options)?;
    let Places { prometheus, alertmanager, responder, test_alert } = places;
    let alertmanager = alertmanager.map(|(url, access)| Site::new(&url, access));
    let responder = Site::new(&responder.0, responder.1);
    let each = stream::iter(hosts).map(|entry| look_at(config, &examiner, options, entry));
    let (secrets, seen, prometheus, alertmanager, asked) = tokio::join!(
        Secrets::look(config, hosts, &responder.base),
        each.buffered(options.parallel).collect::<Vec<_>>(),
        prometheus::seen(prometheus),
        blocking(alertmanager.clone(), Alertmanager::ask),
        blocking(Some(responder.clone()), Responder::ask),
    );
    let asked = asked.map(|(_, asked)| asked);
    let responder_answers = asked.as_ref().is_some_and(Responder::is_ready);
    let prometheus = prometheus.as_ref();
    let mut checks = secrets.judge();
    checks.extend(prometheus::judge(prometheus, responder_answers));
    let external_labels = prometheus.and_then(Prometheus::external_labels);
    let shown = alertmanager.as_ref().map(|(_, seen)| seen);
    let mut routes = alertmanager::judge(shown, config, &responder.base, external_labels);
    let ways = test_alert::Ways {
        alertmanager: alertmanager.as_ref().map(|(site, _)| site.clone()),
        responder,
        external_labels: external_labels.cloned().unwrap_or_default(),
        led: routes.test.clone(),
    };
    let test = test_alert::check(test_alert, ways, responder_answers).await;
    if test.state == State::Ok {
        routes.test_has_arrived();
    }
    secrets.excuse(&mut routes.checks);
    checks.extend(routes.checks);
    checks.extend(responder::judge(asked.as_ref(), secrets.token_is_broken()));
    checks.push(test);
    for mut host in seen {
        host.broken_key = secrets.broken_key(config, &host.entry);
        checks.extend(host::judge(&host, prometheus));
    }
    Ok(checks)
}

/// What is asked over HTTP blocks a thread, not us; each question has a bound of its own.
async fn blocking<T: Send + 'static>(
    site: Option<Site>,
    ask: impl FnOnce(&Site) -> T + Send + 'static,
) -> Option<(Site, T)> {
    let site = site?;
    spawn_blocking(move || {
        let asked = ask(&site);
        (site, asked)
    })
    .await
    .ok()
}

async fn look_at(
    config: &ResponderConfig,
    examiner: &Examiner<'_>,
    options: &Options,
    entry: &HostEntry,
) -> host::Seen {
    let (examination, unknown) = examination(config, entry);
    let (address, found, login) = tokio::join!(
        address::resolve(entry),
        examiner.examine(entry, &examination),
        to_the_gate(entry, &config.ssh, options.deadline),
    );
    host::Seen {
        entry: entry.clone(),
        textfile_dir: examination.textfile_dir,
        unknown: unknown.map(|error| error.to_string()),
        address,
        examined: found,
        login,
        broken_key: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_looked_at_while_it_was_asked_is_the_same() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(skew(at(105), at(100), at(110)), Duration::ZERO);
        assert_eq!(skew(at(90), at(100), at(110)), Duration::from_secs(10));
        assert_eq!(skew(at(130), at(100), at(110)), Duration::from_secs(20));
        let state = |secs| clock_check("host_clock", Duration::from_secs(secs), "").state;
        assert_eq!(
            [state(0), state(5), state(6), state(61)],
            [State::Ok, State::Ok, State::Warn, State::Broken]
        );
    }

    #[test]
    fn every_link_is_told_of_in_the_documents_and_nothing_else_is() {
        let text = include_str!("../../docs/doctor.md");
        let rows = text.lines().skip_while(|line| !line.starts_with("| link |")).skip(2);
        let told = rows.take_while(|line| line.starts_with('|')).filter_map(|row| row.split('`').nth(1));
        assert_eq!(told.collect::<Vec<_>>(), links(|_| true).collect::<Vec<_>>());
    }
}
