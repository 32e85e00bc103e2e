//! Who may begin beside whom: how many attempts are under way at once, and for which hosts.
//!
//! Hosts that failed last time share a quarter of the places, and another quarter is kept for hosts
//! whose last attempt brought a report, so that neither those that fail nor those of which nobody knows
//! yet stand before them. What hangs is told from what works by how long it takes: an attempt that has
//! used a fifth of its time for connecting, or for sweeping, gives its place to another and goes on
//! beside it. So a thousand hosts that all hang for the first time hold up one that does not for a fifth
//! of the time that a connection may take, and not for a thousand times that.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::domain::{attempt::AttemptId, standing::Lane};

/// This part of the time that a phase may take makes it slow.
const SLOW_PART: u32 = 5;
/// So many times the places may be under way beside them because they are slow. With `SLOW_PART` of
/// the time in a place, four times the places are taken at most by what hangs.
pub const BESIDE: usize = 3;

/// The places of the fleet.
#[derive(Debug)]
pub struct Lanes {
    most: usize,
    connect_slow: Duration,
    sweep_slow: Duration,
    places: Places,
}

/// How much may be under way at once, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// So many places.
    pub most: u32,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a whole attempt may take.
    pub attempt_deadline: Duration,
}

/// The attempts under way.
#[derive(Debug, Clone, Default)]
struct Places(Arc<Mutex<BTreeMap<AttemptId, Place>>>);

/// An attempt under way.
#[derive(Debug, Clone, Copy)]
struct Place {
    lane: Lane,
    /// When it is slow.
    slow_at: Instant,
}

/// A taken place. Dropped, it is free again.
#[derive(Debug)]
pub struct Permit {
    places: Places,
    attempt: AttemptId,
}

/// How much room there is, counted down as it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    places: usize,
    unproven: usize,
    failing: usize,
}

impl Lanes {
    /// So many places, and nobody in them.
    pub fn new(bounds: Bounds) -> Self {
        Self::over(Places::default(), bounds)
    }

    /// Other bounds over the same places: who is under way counts for both, and is slow when it would
    /// have been.
    #[must_use]
    pub fn with_bounds(&self, bounds: Bounds) -> Self {
        Self::over(self.places.clone(), bounds)
    }

    fn over(places: Places, Bounds { most, connect_timeout, attempt_deadline }: Bounds) -> Self {
        Self {
            most: usize::try_from(most.max(1)).unwrap_or(usize::MAX),
            connect_slow: connect_timeout / SLOW_PART,
            sweep_slow: attempt_deadline / SLOW_PART,
            places,
        }
    }

    /// How much room there is now.
    pub fn room(&self, now: Instant) -> Room {
        let places = self.places.lock();
        let failing = places.values().filter(|place| place.lane == Lane::Failing).count();
        let slow = |place: &&Place| place.lane != Lane::Failing && place.slow_at <= now;
        let beside = places.values().filter(slow).count().min(self.most.saturating_mul(BESIDE));
        let proven =
            places.values().filter(|place| place.lane == Lane::Proven && place.slow_at > now).count();
        let taken = places.len() - beside;
        Room {
            places: self.most.saturating_sub(taken),
            unproven: (self.most - self.most / 4).saturating_sub(taken - proven.min(taken)),
            failing: (self.most / 4).max(1).saturating_sub(failing),
        }
    }

    /// Takes a place; whether there is room is the caller's to know.
    pub fn enter(&self, attempt: AttemptId, lane: Lane, now: Instant) -> Permit {
        self.places.lock().insert(attempt, Place { lane, slow_at: now + self.connect_slow });
        Permit { places: self.places.clone(), attempt }
    }

    /// The host has let an attempt in: its time to be slow begins anew.
    pub fn connected(&self, attempt: AttemptId, now: Instant) {
        if let Some(place) = self.places.lock().get_mut(&attempt) {
            place.slow_at = now + self.sweep_slow;
        }
    }

    /// Whether an attempt is under way here.
    pub fn holds(&self, attempt: AttemptId) -> bool {
        self.places.lock().contains_key(&attempt)
    }

    /// How long until one more attempt is slow and gives its place away.
    pub fn next_slow_in(&self, now: Instant) -> Option<Duration> {
        let places = self.places.lock();
        places
            .values()
            .filter_map(|place| place.slow_at.checked_duration_since(now))
            .filter(|wait| !wait.is_zero())
            .min()
    }

    /// How many attempts of each lane are under way.
    pub fn under_way(&self, lane: Lane) -> usize {
        self.places.lock().values().filter(|place| place.lane == lane).count()
    }
}

impl Places {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AttemptId, Place>> {
        // A plain map is whole after every statement, whoever panicked beside it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.places.lock().remove(&self.attempt);
    }
}

impl Room {
    /// The lanes that have room.
    pub fn lanes(&self) -> Vec<Lane> {
        Lane::ALL.into_iter().filter(|lane| self.has(*lane)).collect()
    }

    /// How many places there are in all lanes together.
    pub fn places(&self) -> u32 {
        u32::try_from(self.places).unwrap_or(u32::MAX)
    }

    /// Takes a place in a lane, where there is one.
    pub fn take(&mut self, lane: Lane) -> bool {
        let has = self.has(lane);
        if has {
            self.places -= 1;
            self.unproven -= usize::from(lane != Lane::Proven);
            self.failing -= usize::from(lane == Lane::Failing);
        }
        has
    }

    /// The same without these.
    #[must_use]
    pub fn less(mut self, taken: &[Lane]) -> Self {
        for lane in taken {
            self.take(*lane);
        }
        self
    }

    fn has(&self, lane: Lane) -> bool {
        self.places > 0
            && (lane == Lane::Proven || self.unproven > 0)
            && (lane != Lane::Failing || self.failing > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECT: Duration = Duration::from_secs(10);
    const ATTEMPT: Duration = Duration::from_secs(660);

    fn bounds(most: u32) -> Bounds {
        Bounds { most, connect_timeout: CONNECT, attempt_deadline: ATTEMPT }
    }

    fn lanes(most: u32) -> Lanes {
        Lanes::new(bounds(most))
    }

    /// Lets in whoever there is room for.
    fn fill(lanes: &Lanes, lane: Lane, now: Instant) -> Vec<Permit> {
        let mut permits = vec![];
        while lanes.room(now).take(lane) {
            permits.push(lanes.enter(AttemptId::now(), lane, now));
        }
        permits
    }

    #[test]
    fn hosts_that_fail_and_hosts_that_are_new_leave_room_for_those_that_are_proven() {
        let (lanes, now) = (lanes(16), Instant::now());
        let failing = fill(&lanes, Lane::Failing, now);
        let new = fill(&lanes, Lane::New, now);
        let proven = fill(&lanes, Lane::Proven, now);
        assert_eq!((failing.len(), new.len(), proven.len()), (4, 8, 4));
        assert_eq!(lanes.room(now).lanes(), []);
        assert_eq!(Lane::ALL.map(|lane| lanes.under_way(lane)), [4, 8, 4]);
        drop(failing);
        assert_eq!(lanes.room(now).lanes(), Lane::ALL);
        assert_eq!(lanes.room(now).places(), 4);
    }

    #[test]
    fn proven_hosts_may_have_every_place_and_one_place_is_everybodys() {
        let now = Instant::now();
        for (most, failing, new, proven) in [(16, 4, 12, 16), (4, 1, 3, 4), (3, 1, 3, 3), (1, 1, 1, 1)] {
            assert_eq!(fill(&lanes(most), Lane::Failing, now).len(), failing, "{most}");
            assert_eq!(fill(&lanes(most), Lane::New, now).len(), new, "{most}");
            assert_eq!(fill(&lanes(most), Lane::Proven, now).len(), proven, "{most}");
        }
    }

    #[test]
    fn a_room_is_counted_down_as_it_is_taken() {
        let room = lanes(4).room(Instant::now());
        let alone = |lane| {
            let mut room = room;
            (0..9).filter(|_| room.take(lane)).count()
        };
        assert_eq!(Lane::ALL.map(alone), [4, 3, 1]);
        let mut together = room;
        let order =
            [Lane::Failing, Lane::Failing, Lane::New, Lane::New, Lane::New, Lane::Proven, Lane::Proven];
        let taken = order.map(|lane| together.take(lane));
        assert_eq!(taken, [true, false, true, true, false, true, false]);
        assert_eq!((together.places(), together.lanes()), (0, vec![]));
        let less = room.less(&[Lane::Failing, Lane::New]);
        assert_eq!((less.places(), less.lanes()), (2, vec![Lane::Proven, Lane::New]));
    }

    #[test]
    fn what_is_slow_is_beside_the_places_from_that_instant_on_and_in_none() {
        let (lanes, start) = (lanes(4), Instant::now());
        let slow = lanes.enter(AttemptId::now(), Lane::Proven, start);
        let later = start + CONNECT / 5;
        let new = lanes.enter(AttemptId::now(), Lane::New, later);
        // One of the three places that are not kept for proven hosts is taken, as if there were no other.
        assert_eq!(fill(&lanes, Lane::New, later).len(), 2);
        drop((slow, new));
    }

    #[test]
    fn what_hangs_gives_its_place_away_and_never_more_than_four_times_the_places_hang() {
        let (lanes, start) = (lanes(16), Instant::now());
        let mut under_way = vec![];
        for second in 0..120 {
            let now = start + Duration::from_secs(second);
            under_way.retain(|(until, _)| *until > now);
            let let_in = fill(&lanes, Lane::New, now);
            // A fifth of the time for connecting is the longest that a host waits for a place.
            assert!(!let_in.is_empty() || second % 2 == 1, "nobody let in at {second} s");
            under_way.extend(let_in.into_iter().map(|permit| (now + CONNECT, permit)));
            assert!(under_way.len() <= 64, "{} at {second} s", under_way.len());
        }
    }

    #[test]
    fn hosts_that_fail_never_give_their_places_away() {
        let (lanes, start) = (lanes(16), Instant::now());
        let failing = fill(&lanes, Lane::Failing, start);
        assert_eq!(failing.len(), 4);
        assert!(!lanes.room(start + CONNECT).take(Lane::Failing));
    }

    #[test]
    fn a_connection_begins_its_time_anew() {
        let (lanes, start) = (lanes(1), Instant::now());
        let id = AttemptId::now();
        let permit = lanes.enter(id, Lane::Proven, start);
        assert_eq!(lanes.next_slow_in(start), Some(CONNECT / 5));
        let later = start + CONNECT / 5;
        assert!(lanes.room(later).take(Lane::Proven));
        lanes.connected(id, later);
        assert!(!lanes.room(later).take(Lane::Proven));
        assert_eq!(lanes.next_slow_in(later), Some(ATTEMPT / 5));
        assert!(lanes.holds(id));
        drop(permit);
        assert!(!lanes.holds(id) && lanes.next_slow_in(later).is_none());
    }

    #[test]
    fn who_is_under_way_counts_for_other_bounds_too_and_leaves_both() {
        let (before, now) = (lanes(4), Instant::now());
        let mut under_way = fill(&before, Lane::Proven, now);
        let after = before.with_bounds(Bounds { most: 5, ..bounds(5) });
        let more = fill(&after, Lane::Proven, now);
        assert_eq!((under_way.len(), more.len()), (4, 1));
        assert!(more.iter().all(|permit| before.holds(permit.attempt)));
        let id = under_way[0].attempt;
        assert!(after.holds(id));
        // It is slow when it would have been, whatever the others may take.
        let hasty = before.with_bounds(Bounds { connect_timeout: CONNECT / 2, ..bounds(5) });
        assert!(!hasty.room(now + CONNECT / 10).take(Lane::Proven));
        assert!(hasty.room(now + CONNECT / 5).take(Lane::Proven));
        // Fewer places than are taken: nobody gets in before they are left.
        let fewer = after.with_bounds(bounds(2));
        assert!(!fewer.room(now).take(Lane::Proven));
        under_way.clear();
        assert!(!after.holds(id));
        assert_eq!((before.room(now).places(), fewer.room(now).places()), (3, 1));
    }
}
