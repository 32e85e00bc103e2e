//! At most one attempt a host in its period, and the exact instant at which the next is allowed.
//!
//! Time is monotonic and handed in as the time since the responder began, so that a clock that is
//! set back or forth neither lets an attempt in early nor keeps one out for longer than a period.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter, clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};

use super::journal::Order;
use crate::domain::{host::HostName, policy::Urgency};

/// What lies before the responder's own beginning: attempts that the journal remembers.
const BEFORE: Duration = Duration::from_hours(366 * 24);

/// The limiter of the whole fleet. Its keys are inventory hosts, so it cannot grow from outside.
#[derive(Debug)]
pub struct Limiter {
    time: HandedIn,
    ledger: Ledger,
    warning: Keyed,
    critical: Keyed,
    /// Of a warning and of a critical alert.
    periods: [Nanos; 2],
}

type Keyed = RateLimiter<HostName, Cells, HandedIn, NoOpMiddleware<Nanos>>;

/// What an attempt took from its host's period; given back where the attempt spent nothing.
#[derive(Debug)]
pub struct Spend {
    host: HostName,
    at: Nanos,
    before: Option<Nanos>,
}

impl Limiter {
    /// A limiter with one period for each urgency over the same attempts.
    pub fn new(period: Duration, critical_period: Duration) -> Self {
        Self::over(HandedIn::default(), Ledger::default(), period, critical_period)
    }

    /// Other periods over the same attempts: what was spent before counts after, and the other way round.
    #[must_use]
    pub fn with_periods(&self, period: Duration, critical_period: Duration) -> Self {
        // Governor counts from the instant at which a limiter is made: the new one's clock begins anew.
        Self::over(HandedIn::default(), self.ledger.clone(), period, critical_period)
    }

    fn over(time: HandedIn, ledger: Ledger, period: Duration, critical_period: Duration) -> Self {
        let periods = [period, critical_period].map(|period| period.clamp(Duration::from_nanos(1), BEFORE));
        let keyed = |period: Duration| {
            // Burst 1: "at most one in this time", which per_hour() and its kin do not mean.
            let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN));
            RateLimiter::new(quota, Cells { ledger: ledger.clone(), period: period.into() }, time.clone())
        };
        let [warning, critical] = periods.map(keyed);
        Self { time, ledger, warning, critical, periods: periods.map(Nanos::from) }
    }

    /// Remembers an attempt that began so long before the responder did.
    pub fn seed(&self, host: HostName, ago: Duration) {
        let at = Nanos::from(BEFORE.saturating_sub(ago));
        let mut spent = self.ledger.lock();
        let latest = spent.get(&host).map_or(at, |before| at.max(*before));
        spent.insert(host, latest);
    }

    /// Takes the host's turn, or says how long it has to wait for it.
    pub fn check(&self, host: &HostName, urgency: Urgency, since_start: Duration) -> Result<Spend, Duration> {
        self.time.set(BEFORE + since_start);
        let limiter = match urgency {
            Urgency::Warning => &self.warning,
            Urgency::Critical => &self.critical,
        };
        let before = self.ledger.lock().get(host).copied();
        limiter
            .check_key(host)
            .map_err(|not_until| not_until.wait_time_from(clock::Clock::now(&self.time)))?;
        Ok(Spend { host: host.clone(), at: clock::Clock::now(&self.time), before })
    }

    /// How long the host has to wait for its turn; takes nothing.
    pub fn wait(&self, host: &HostName, urgency: Urgency, since_start: Duration) -> Duration {
        let [warning, critical] = self.periods;
        let period = if urgency == Urgency::Critical { critical } else { warning };
        let spent_at = self.ledger.lock().get(host).copied();
        let now = Nanos::from(BEFORE + since_start);
        spent_at.map_or(Duration::ZERO, |spent_at| (spent_at + period).saturating_sub(now).into())
    }

    /// Notes an attempt that did not ask: a person's. It counts for those that come after it.
    pub fn note(&self, host: &HostName, since_start: Duration) -> Spend {
        let at = Nanos::from(BEFORE + since_start);
        let before = self.ledger.lock().insert(host.clone(), at);
        Spend { host: host.clone(), at, before }
    }

    /// Gives back what an attempt took that spent nothing, unless another has spent since.
    pub fn give_back(&self, spend: &Spend) {
        let mut ledger = self.ledger.lock();
        if ledger.get(&spend.host) == Some(&spend.at) {
            match spend.before {
                Some(before) => ledger.insert(spend.host.clone(), before),
                None => ledger.remove(&spend.host),
            };
        }
    }
}

/// How many attempts may begin in a minute over the fleet.
#[derive(Debug)]
pub struct Starts {
    time: HandedIn,
    a_minute: u32,
    at_once: NonZeroU32,
    limiter: RateLimiter<NotKeyed, InMemoryState, HandedIn, NoOpMiddleware<Nanos>>,
    /// Looks in which attempts began for incidents.
    turn: AtomicU64,
    /// Whether the next look begins with incidents, and not with what people asked for.
    incidents_first: AtomicBool,
}

/// Where there are fewer starts than are asked for, each of so many in turn has its own order: a host that
/// failed would else wait for ever behind those that did not, and one that is proven for as long as there
/// are critical alerts of hosts that nobody has seen answer.
const TURNS: u64 = 4;
/// The turn of proven hosts.
const PROVEN_TURN: u64 = 1;
/// The turn of whoever waits longest.
const WAIT_TURN: u64 = 3;

impl Starts {
    /// In no minute more than so many: a quarter of them at once, and the others spread over it.
    pub fn new(a_minute: u32) -> Self {
        let time = HandedIn::default();
        let at_once = NonZeroU32::new(a_minute / 4).unwrap_or(NonZeroU32::MIN);
        let spread = a_minute.saturating_sub(at_once.get()).max(1);
        let quota = Quota::with_period(Duration::from_mins(1) / spread)
            .unwrap_or(Quota::per_minute(NonZeroU32::MIN))
            .allow_burst(at_once);
        let limiter = RateLimiter::direct_with_clock(quota, time.clone());
        Self {
            time,
            a_minute,
            at_once,
            limiter,
            turn: AtomicU64::new(0),
            incidents_first: AtomicBool::new(false),
        }
    }

    /// How many may begin in a minute.
    pub fn a_minute(&self) -> u32 {
        self.a_minute
    }

    /// Takes a start, or says how long to wait for the next one.
    pub fn check(&self, since_start: Duration) -> Result<(), Duration> {
        self.time.set(BEFORE + since_start);
        let wait =
            |not_until: governor::NotUntil<Nanos>| not_until.wait_time_from(clock::Clock::now(&self.time));
        self.limiter.check().map_err(wait)
    }

    /// Whose turn the next look is: of everything that begins in it. Where starts are scarce they come singly,
    /// and exactly one of four is given by each turn.
    pub fn order(&self) -> Order {
        match self.turn.load(Ordering::Relaxed) % TURNS {
            PROVEN_TURN => Order::Proven,
            WAIT_TURN => Order::Wait,
            _ => Order::Standing,
        }
    }

    /// Something began in this look. However much it was, the next look has the next turn: counted by starts,
    /// every look of four or eight at once would have the same one.
    pub fn end_turn(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the next look begins with incidents. They take turns with what people asked for: where starts or
    /// places are scarce, neither waits for all of the other's.
    pub fn incidents_first(&self) -> bool {
        self.incidents_first.load(Ordering::Relaxed)
    }

    /// Whoever came first in this look has begun something, and comes second in the next.
    pub fn change_over(&self) {
        self.incidents_first.fetch_not(Ordering::Relaxed);
    }

    /// Notes starts that did not ask: those of the last minute before a restart.
    pub fn note(&self, starts: u32, since_start: Duration) {
        self.time.set(BEFORE + since_start);
        for _ in 0..starts.min(self.at_once.get()) {
            if self.limiter.check().is_err() {
                return;
            }
        }
    }
}

/// The clock that the limiters read: whatever was handed in last.
#[derive(Debug, Clone, Default)]
struct HandedIn(Arc<AtomicU64>);

impl HandedIn {
    fn set(&self, now: Duration) {
        self.0.store(Nanos::from(now).as_u64(), Ordering::Release);
    }
}

impl clock::Clock for HandedIn {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.load(Ordering::Acquire))
    }
}

/// When each host's period was last spent.
#[derive(Debug, Clone, Default)]
struct Ledger(Arc<Mutex<HashMap<HostName, Nanos>>>);

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, HashMap<HostName, Nanos>> {
        // A plain map is whole after every statement, whoever panicked beside it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One limiter's view of the ledger. Governor keeps the instant at which a host is free again; kept
/// as the instant of the spending, one ledger serves both periods.
#[derive(Debug)]
struct Cells {
    ledger: Ledger,
    period: Nanos,
}

impl StateStore for Cells {
    type Key = HostName;

    fn measure_and_replace<T, F, E>(&self, host: &HostName, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut spent = self.ledger.lock();
        let free_at = spent.get(host).map(|at| *at + self.period);
        let (decision, next_free_at) = decide(free_at)?;
        spent.insert(host.clone(), next_free_at.saturating_sub(self.period));
        Ok(decision)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limiter() -> Limiter {
        Limiter::new(600 * SECOND, 120 * SECOND)
    }

    fn host() -> HostName {
        "ray-80".parse().unwrap()
    }

    #[test]
    fn the_wait_is_exact_for_each_urgency() {
        let limiter = limiter();
        assert!(limiter.check(&host(), Urgency::Warning, SECOND).is_ok());
        assert_eq!(limiter.check(&host(), Urgency::Warning, 11 * SECOND).unwrap_err(), 590 * SECOND);
        assert_eq!(limiter.check(&host(), Urgency::Critical, 11 * SECOND).unwrap_err(), 110 * SECOND);
        assert!(limiter.check(&host(), Urgency::Critical, 121 * SECOND).is_ok());
        // The critical attempt spent the warning's period as well.
        assert_eq!(limiter.check(&host(), Urgency::Warning, 601 * SECOND).unwrap_err(), 120 * SECOND);
        assert!(limiter.check(&"ray-81".parse().unwrap(), Urgency::Warning, 601 * SECOND).is_ok());
    }

    #[test]
    fn what_the_journal_remembers_still_limits_and_never_for_longer_than_a_period() {
        let limiter = limiter();
        limiter.seed(host(), 400 * SECOND);
        limiter.seed(host(), 900 * SECOND);
        assert_eq!(limiter.check(&host(), Urgency::Warning, Duration::ZERO).unwrap_err(), 200 * SECOND);
        limiter.seed(host(), Duration::ZERO);
        assert_eq!(limiter.check(&host(), Urgency::Warning, Duration::ZERO).unwrap_err(), 600 * SECOND);
    }

    #[test]
    fn a_month_is_held_as_exactly_as_a_minute_and_over_a_restart() {
        let day = Duration::from_hours(24);
        let limiter = Limiter::new(30 * day, 30 * day);
        limiter.seed(host(), 20 * day);
        assert_eq!(limiter.check(&host(), Urgency::Warning, Duration::ZERO).unwrap_err(), 10 * day);
        assert!(limiter.check(&host(), Urgency::Warning, 10 * day).is_ok());
    }

    #[test]
    fn an_attempt_that_spent_nothing_gives_its_turn_back() {
        let limiter = limiter();
        let spend = limiter.check(&host(), Urgency::Warning, SECOND).unwrap();
        limiter.give_back(&spend);
        let spend = limiter.check(&host(), Urgency::Warning, 2 * SECOND).unwrap();
        limiter.note(&host(), 3 * SECOND);
        limiter.give_back(&spend);
        assert_eq!(limiter.check(&host(), Urgency::Warning, 3 * SECOND).unwrap_err(), 600 * SECOND);
    }

    #[test]
    fn other_periods_hold_for_attempts_that_were_made_under_the_first() {
        let limiter = limiter();
        limiter.check(&host(), Urgency::Warning, SECOND).unwrap();
        let other = limiter.with_periods(60 * SECOND, 30 * SECOND);
        assert_eq!(other.check(&host(), Urgency::Warning, 11 * SECOND).unwrap_err(), 50 * SECOND);
        other.check(&host(), Urgency::Warning, 61 * SECOND).unwrap();
        assert_eq!(limiter.check(&host(), Urgency::Warning, 61 * SECOND).unwrap_err(), 600 * SECOND);
    }

    #[test]
    fn no_minute_has_more_starts_than_are_allowed_and_none_is_lost() {
        for a_minute in [1, 2, 3, 4, 60, 120] {
            let starts = Starts::new(a_minute);
            let (mut now, mut began) = (Duration::ZERO, vec![]);
            while now < 300 * SECOND {
                match starts.check(now) {
                    Ok(()) => began.push(now),
                    Err(wait) => now += wait,
                }
            }
            let most = began
                .iter()
                .map(|from| began.iter().filter(|at| (*from..*from + 60 * SECOND).contains(*at)).count())
                .max()
                .unwrap();
            assert!(most <= a_minute as usize, "{most} of {a_minute}");
            assert!(began.len() >= 5 * (a_minute as usize / 2).max(1), "{} of {a_minute}", began.len());
        }
    }

    #[test]
    fn of_four_looks_one_is_for_proven_hosts_and_one_for_whoever_waits_longest() {
        let starts = Starts::new(120);
        let turns: Vec<_> = (0..8)
            .map(|_| {
                let turn = starts.order();
                // However many begin at once.
                for _ in 0..4 {
                    starts.check(Duration::ZERO).unwrap_or_default();
                }
                starts.end_turn();
                turn
            })
            .collect();
        let four = [Order::Standing, Order::Proven, Order::Standing, Order::Wait];
        assert_eq!(turns, [four, four].concat());
    }

    #[test]
    fn what_began_before_a_restart_counts_after_it() {
        let starts = Starts::new(60);
        assert_eq!(starts.a_minute(), 60);
        starts.note(40, Duration::ZERO);
        assert!(starts.check(Duration::ZERO).is_err());
        // And after a reload, however long the responder has been running.
        let hour = Duration::from_hours(1);
        let starts = Starts::new(60);
        starts.note(40, hour);
        assert!(starts.check(hour).is_err());
    }

    proptest! {
        #[test]
        fn two_attempts_are_never_closer_than_their_period(
            steps in prop::collection::vec((0..400u64, any::<bool>(), any::<bool>()), 1..80)
        ) {
            let limiter = limiter();
            let (mut now, mut last) = (Duration::ZERO, None::<Duration>);
            for (pause, critical, spends) in steps {
                now += Duration::from_secs(pause);
                let (urgency, period) =
                    if critical { (Urgency::Critical, 120 * SECOND) } else { (Urgency::Warning, 600 * SECOND) };
                let allowed_at = last.map_or(now, |last| now.max(last + period));
                prop_assert_eq!(now + limiter.wait(&host(), urgency, now), allowed_at);
                match limiter.check(&host(), urgency, now) {
                    Ok(spend) => {
                        prop_assert_eq!(allowed_at, now);
                        if spends { last = Some(now) } else { limiter.give_back(&spend) }
                    }
                    Err(wait) => prop_assert_eq!(now + wait, allowed_at),
                }
            }
        }
    }
}
