//! Which connections may be closed to make room, and which one is.
//!
//! A limit that refused new connections would be the attacker's best weapon: whoever holds so many open
//! that say nothing keeps everybody out. So none is refused. What is limited is how many are without a
//! whole request, and beyond it one goes: of the address that has the most of them, the one that has been so
//! for the longest. So nobody closes another's connections by opening many, and who opens many closes his
//! own. A sender that means it is through with its request long before.
//!
//! Requests that are worked on are limited too, and no address has all of what there is: whoever asks in
//! numbers for what anybody may ask for leaves room for the others.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The connections of a listener.
#[derive(Debug, Default)]
pub struct Connections {
    waiting: Mutex<Waiting>,
    next: AtomicU64,
    worked_on: Mutex<WorkedOn>,
}

/// Those whose request is there as a whole and is not answered yet, where there was room for it.
#[derive(Debug, Default)]
struct WorkedOn {
    of: BTreeMap<IpAddr, usize>,
    in_all: usize,
}

impl WorkedOn {
    /// Takes one more in, where there is room; one address has three quarters of it at the most.
    fn enter(&mut self, peer: IpAddr, most: usize) -> bool {
        let own = self.of.get(&peer).copied().unwrap_or(0);
        let has_room = self.in_all < most && own < most - most / 4;
        if has_room {
            self.of.insert(peer, own + 1);
            self.in_all += 1;
        }
        has_room
    }

    fn leave(&mut self, peer: IpAddr) {
        let Some(own) = self.of.get_mut(&peer) else { return };
        *own -= 1;
        if *own == 0 {
            self.of.remove(&peer);
        }
        self.in_all -= 1;
    }
}

/// Those without a whole request: by whom they come from, the one that has been so for the longest first.
#[derive(Debug, Default)]
struct Waiting {
    of: BTreeMap<IpAddr, BTreeMap<u64, CancellationToken>>,
    in_all: usize,
}

impl Waiting {
    fn insert(&mut self, peer: IpAddr, place: u64, connection: CancellationToken) {
        self.of.entry(peer).or_default().insert(place, connection);
        self.in_all += 1;
    }

    fn remove(&mut self, peer: IpAddr, place: u64) {
        let Some(own) = self.of.get_mut(&peer) else { return };
        self.in_all -= usize::from(own.remove(&place).is_some());
        if own.is_empty() {
            self.of.remove(&peer);
        }
    }

    /// Closes a connection of whoever has the most; of those that have as many, the one of whoever waits
    /// the longest. Within the lock: nobody's request may become whole between the choice and its end.
    fn make_room(&mut self) {
        if let Some(connection) = self.next_to_go() {
            connection.cancel();
        }
    }

    fn next_to_go(&mut self) -> Option<CancellationToken> {
        let oldest = |own: &BTreeMap<u64, CancellationToken>| own.keys().next().copied();
        let (peer, place) = self
            .of
            .iter()
            .filter_map(|(peer, own)| Some((own.len(), Reverse(oldest(own)?), *peer)))
            .max()
            .map(|(_, Reverse(place), peer)| (peer, place))?;
        let connection = self.of.get(&peer)?.get(&place)?.clone();
        self.remove(peer, place);
        Some(connection)
    }
}

/// Whom a connection is counted for. Whoever has one address of IPv6 has its network of 64 bits.
fn whose(peer: IpAddr) -> IpAddr {
    let IpAddr::V6(address) = peer.to_canonical() else { return peer.to_canonical() };
    let [a, b, c, d, ..] = address.segments();
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
}

/// One connection's place. Its end gives the place back.
#[derive(Debug)]
pub struct Slot {
    connections: Arc<Connections>,
    most: usize,
    peer: IpAddr,
    place: Mutex<Place>,
    crowded_out: CancellationToken,
    last_begin: Mutex<Instant>,
    has_asked: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Waits(u64),
    /// Its request is worked on, where there was room for one more.
    IsWhole {
        has_room: bool,
    },
}

impl Connections {
    /// Takes a connection in; where that is one too many, another makes room.
    pub fn enter(self: &Arc<Self>, peer: IpAddr, most: u32) -> Arc<Slot> {
        let (peer, crowded_out) = (whose(peer), CancellationToken::new());
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let place = Place::Waits(self.wait(peer, most, &crowded_out));
        Arc::new(Slot {
            connections: Arc::clone(self),
            most,
            peer,
            place: Mutex::new(place),
            crowded_out,
            last_begin: Mutex::new(Instant::now()),
            has_asked: AtomicBool::new(false),
        })
    }

    /// Lets the longest waiting one of those who have the most make room.
    pub fn make_room(&self) {
        locked(&self.waiting).make_room();
    }

    fn wait(&self, peer: IpAddr, most: usize, crowded_out: &CancellationToken) -> u64 {
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        let mut waiting = locked(&self.waiting);
        waiting.insert(peer, place, crowded_out.clone());
        if waiting.in_all > most {
            waiting.make_room();
        }
        place
    }

    fn leave(&self, peer: IpAddr, place: Place) {
        match place {
            Place::Waits(place) => locked(&self.waiting).remove(peer, place),
            Place::IsWhole { has_room: true } => locked(&self.worked_on).leave(peer),
            Place::IsWhole { has_room: false } => {}
        }
    }
}

impl Slot {
    /// It has no whole request, from now on: it may have to make room.
    pub fn waits(&self) {
        let mut place = locked(&self.place);
        self.connections.leave(self.peer, *place);
        *place = Place::Waits(self.connections.wait(self.peer, self.most, &self.crowded_out));
    }

    /// A request begins: its time counts from now.
    pub fn begins(&self) {
        *locked(&self.last_begin) = Instant::now();
        self.has_asked.store(true, Ordering::Release);
    }

    /// Whether there was a request on it: one that falls silent after that is only kept for the next.
    pub fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Acquire)
    }

    /// Whom it is counted for.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Its request is there as a whole: it is nobody's to close. One that is closed already is not
    /// worked on: nobody would hear what came of it.
    pub fn is_whole(&self) {
        let mut place = locked(&self.place);
        if matches!(*place, Place::Waits(_)) {
            self.connections.leave(self.peer, *place);
            let has_room = !self.crowded_out.is_cancelled()
                && locked(&self.connections.worked_on).enter(self.peer, self.most);
            *place = Place::IsWhole { has_room };
        }
    }

    /// Whether its request may be worked on, or too many are already.
    pub fn has_room(&self) -> bool {
        !matches!(*locked(&self.place), Place::IsWhole { has_room: false })
    }

    /// Ends once it has to make room.
    pub async fn crowded_out(&self) {
        self.crowded_out.cancelled().await;
    }

    /// Ends once its last request began so long ago. A receiver that takes its answer by the byte would
    /// stay for ever.
    pub async fn overdue(&self, most: Duration) {
        loop {
            let deadline = *locked(&self.last_begin) + most;
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.leave(self.peer, *locked(&self.place));
    }
}

/// What is held is whole after every statement, whoever panicked beside it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    fn out(slots: &[Arc<Slot>]) -> Vec<bool> {
        slots.iter().map(|slot| slot.crowded_out.is_cancelled()).collect()
    }

    #[test]
    fn the_one_that_waited_longest_makes_room_and_none_that_is_worked_on() {
        let connections = Arc::new(Connections::default());
        let mut slots: Vec<_> = (0..3).map(|_| connections.enter(ONE, 3)).collect();
        assert_eq!(out(&slots), [false; 3]);
        slots[0].is_whole();
        slots.push(connections.enter(ONE, 3));
        assert_eq!(out(&slots), [false; 4]);
        slots.push(connections.enter(ONE, 3));
        assert_eq!(out(&slots), [false, true, false, false, false]);
        // Once it is answered, it waits again, and is the last to go.
        slots[0].waits();
        assert_eq!(out(&slots), [false, true, true, false, false]);
    }

    #[test]
    fn a_request_is_worked_on_or_its_connection_is_closed_and_never_both() {
        for _ in 0..1000 {
            let connections = Arc::new(Connections::default());
            let slot = connections.enter(ONE, 1);
            let whole = std::thread::scope(|scope| {
                let whole = scope.spawn(|| {
                    slot.is_whole();
                    slot.has_room()
                });
                let _other = connections.enter(ONE, 1);
                whole.join().unwrap()
            });
            assert_ne!(whole, slot.crowded_out.is_cancelled());
        }
    }

    #[test]
    fn whoever_has_the_most_makes_room_and_nobody_elses_oldest_does() {
        let connections = Arc::new(Connections::default());
        let sender = connections.enter(ONE, 3);
        let slots: Vec<_> = (0..100).map(|_| connections.enter(OTHER, 3)).collect();
        assert!(!sender.crowded_out.is_cancelled());
        assert_eq!(out(&slots).iter().filter(|out| !**out).count(), 2);
        assert!(out(&slots)[..98].iter().all(|out| *out));
        // Of those that have as many the longest waiting one goes.
        let second = connections.enter(ONE, 3);
        assert_eq!((sender.crowded_out.is_cancelled(), out(&slots[98..])), (true, vec![false, false]));
        drop((sender, second, slots));
        assert!(locked(&connections.waiting).of.is_empty());
        assert_eq!(locked(&connections.waiting).in_all, 0);
    }

    #[test]
    fn an_address_of_ipv6_counts_for_its_network_and_a_mapped_one_for_itself() {
        let whose = |address: &str| whose(address.parse().unwrap()).to_string();
        assert_eq!(whose("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(whose("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(whose("192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn a_connection_that_ended_gives_its_place_back() {
        let connections = Arc::new(Connections::default());
        let first = connections.enter(ONE, 1);
        drop(first);
        let second = connections.enter(ONE, 1);
        assert!(!second.crowded_out.is_cancelled());
        assert_eq!(locked(&connections.waiting).in_all, 1);
        second.is_whole();
        assert_eq!(locked(&connections.worked_on).in_all, 1);
        drop(second);
        assert_eq!(locked(&connections.worked_on).in_all, 0);
        assert!(locked(&connections.worked_on).of.is_empty());
    }

    #[test]
    fn no_more_requests_are_worked_on_than_may_be_and_those_that_wait_do_not_count() {
        let connections = Arc::new(Connections::default());
        let whole = || {
            let slot = connections.enter(ONE, 2);
            slot.is_whole();
            slot.is_whole();
            slot
        };
        let [first, second, third] = [whole(), whole(), whole()];
        assert_eq!([&first, &second, &third].map(|slot| slot.has_room()), [true, true, false]);
        third.waits();
        assert!(third.has_room());
        assert!(!whole().has_room());
        first.waits();
        assert!(whole().has_room());
    }

    #[test]
    fn whoever_asks_in_numbers_leaves_room_for_the_others() {
        let connections = Arc::new(Connections::default());
        let room = |peer| {
            let slot = connections.enter(peer, 8);
            slot.is_whole();
            (slot.has_room(), slot)
        };
        let of_one: Vec<_> = (0..100).map(|_| room(ONE)).collect();
        assert_eq!(of_one.iter().filter(|(has_room, _)| *has_room).count(), 6);
        // Also while so many are told that there is none for them.
        let of_other: Vec<_> = (0..3).map(|_| room(OTHER)).collect();
        assert_eq!(of_other.iter().filter(|(has_room, _)| *has_room).count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_overdue_so_long_after_its_last_request_began() {
        let connections = Arc::new(Connections::default());
        let slot = connections.enter(ONE, 1);
        let second = Duration::from_secs(1);
        tokio::time::advance(second).await;
        slot.begins();
        let began = Instant::now();
        slot.overdue(5 * second).await;
        assert!(began.elapsed() >= 5 * second);
    }
}
