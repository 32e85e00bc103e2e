//! Users and their passwords. A bcrypt hash takes a tenth of a second of a processor, so few are worked
//! on at once, few wait for that, and what was found is remembered.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use ring::{
    hmac,
    rand::{SystemRandom, generate},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::web::Secret;

/// Hashes at once: the others wait for their request's time and get 503.
const AT_ONCE: usize = 2;
/// Requests that wait for a hash or have theirs, in all and of one address. More of them would take the
/// place of requests that need none: whoever shows what is known to be right.
const WAITING_MOST: usize = 16;
const WAITING_OF_ONE: usize = 4;
/// Wrong passwords that are remembered; then all are forgotten.
const WRONG_MOST: usize = 1024;
/// Right ones that are remembered: as many as there have been users and hashes, in all likelihood.
const RIGHT_MOST: usize = 1024;

/// What identifies a user, the hash that stands in the file and the password that was shown, without
/// telling any of them.
type Print = [u8; 32];

/// Too many passwords wait to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being compared: send it again")]
pub struct Busy;

/// Compares passwords with hashes.
#[derive(Debug)]
pub struct Passwords {
    key: hmac::Key,
    queue: Queue,
    turns: Arc<Semaphore>,
    known: Mutex<Known>,
}

/// How many of each address wait.
#[derive(Debug, Default)]
struct Queue(Mutex<BTreeMap<Option<IpAddr>, usize>>);

/// A place in the queue. Its end gives it back.
struct Place<'q> {
    queue: &'q Queue,
    peer: Option<IpAddr>,
}

impl Queue {
    fn enter(&self, peer: Option<IpAddr>) -> Result<Place<'_>, Busy> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (in_all, own) = (waiting.values().sum::<usize>(), waiting.get(&peer).copied().unwrap_or(0));
        if in_all >= WAITING_MOST || own >= WAITING_OF_ONE {
            return Err(Busy);
        }
        waiting.insert(peer, own + 1);
        Ok(Place { queue: self, peer })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.queue.0.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.get_mut(&self.peer) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(waiting.remove(&self.peer)),
        }
    }
}

/// Two sets: whoever tries passwords fills the one and empties it, and never touches the other.
#[derive(Debug, Default)]
struct Known {
    right: HashSet<Print>,
    wrong: HashSet<Print>,
}

impl Passwords {
    /// Nothing is remembered yet. Fails where the system has no random numbers.
    pub fn new() -> std::io::Result<Self> {
        let key: [u8; 32] = generate(&SystemRandom::new())
            .map_err(|_| std::io::Error::other("the system has no random numbers"))?
            .expose();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Ok(Self { key, queue: Queue::default(), turns, known: Mutex::default() })
    }

    /// Whether this is the user's password, as somebody at this address shows it. An unknown user takes
    /// as long as the dearest hash. What is known waits for nobody.
    pub async fn fit(
        &self,
        users: &BTreeMap<String, Secret>,
        user: &str,
        password: &[u8],
        peer: Option<IpAddr>,
    ) -> Result<bool, Busy> {
        let hash = users.get(user).map_or_else(|| nobodys_hash(users), |hash| hash.0.clone());
        let print = self.print(user, &hash, password);
        if let Some(found) = self.known(&print) {
            return Ok(found && users.contains_key(user));
        }
        let _place = self.queue.enter(peer)?;
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else { return Ok(false) };
        // Meanwhile another request with the same may have had its turn.
        let fits = match self.known(&print) {
            Some(found) => found,
            None => compare(password.to_vec(), hash, turn).await,
        };
        self.remember(print, fits);
        Ok(fits && users.contains_key(user))
    }

    fn print(&self, user: &str, hash: &str, password: &[u8]) -> Print {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [user.as_bytes(), hash.as_bytes(), password] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut print = Print::default();
        print.copy_from_slice(context.sign().as_ref());
        print
    }

    fn known(&self, print: &Print) -> Option<bool> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.right.contains(print) { Some(true) } else { known.wrong.contains(print).then_some(false) }
    }

    fn remember(&self, print: Print, fits: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { right, wrong } = &mut *known;
        let (set, most) = if fits { (right, RIGHT_MOST) } else { (wrong, WRONG_MOST) };
        if set.len() >= most {
            set.clear();
        }
        set.insert(print);
    }
}

/// Whether the hash is the password's. Given up or not, what is being worked on keeps its turn to its end.
async fn compare(password: Vec<u8>, hash: String, turn: OwnedSemaphorePermit) -> bool {
    let compared = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        bcrypt::verify(password, &hash).unwrap_or(false)
    });
    compared.await.unwrap_or(false)
}

/// A hash that takes as long as the users' own. Nobody knows its password, and it would not help.
fn nobodys_hash(users: &BTreeMap<String, Secret>) -> String {
    let cost = |hash: &Secret| hash.0.parse::<bcrypt::HashParts>().map(|parts| parts.get_cost()).ok();
    let cost = users.values().filter_map(cost).max().unwrap_or(bcrypt::DEFAULT_COST);
    format!("$2b${cost:02}${}", ".".repeat(53))
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    const COST: u32 = 4;

    fn users() -> BTreeMap<String, Secret> {
        BTreeMap::from([("amy".to_owned(), Secret(bcrypt::hash("s3cret", COST).unwrap()))])
    }

    async fn fit(
        passwords: &Passwords,
        users: &BTreeMap<String, Secret>,
        user: &str,
        password: &[u8],
    ) -> bool {
        passwords.fit(users, user, password, None).await.unwrap()
    }

    #[tokio::test]
    async fn only_the_users_own_password_fits_however_often_it_is_asked() {
        let (passwords, users) = (Passwords::new().unwrap(), users());
        for _ in 0..3 {
            assert!(fit(&passwords, &users, "amy", b"s3cret").await);
            assert!(!fit(&passwords, &users, "amy", b"S3cret").await);
            assert!(!fit(&passwords, &users, "bob", b"s3cret").await);
            assert!(!fit(&passwords, &users, "", b"").await);
        }
    }

    #[tokio::test]
    async fn a_password_that_was_right_is_wrong_once_its_hash_is_another() {
        let (passwords, mut users) = (Passwords::new().unwrap(), users());
        assert!(fit(&passwords, &users, "amy", b"s3cret").await);
        users.insert("amy".to_owned(), Secret(bcrypt::hash("other", COST).unwrap()));
        assert!(!fit(&passwords, &users, "amy", b"s3cret").await);
        users.clear();
        assert!(!fit(&passwords, &users, "amy", b"s3cret").await);
    }

    #[tokio::test]
    async fn few_wait_to_be_compared_and_fewer_of_one_address_and_what_is_known_does_not_wait() {
        let (passwords, users) = (&Passwords::new().unwrap(), &users());
        assert!(fit(passwords, users, "amy", b"s3cret").await);
        let _all_turns = passwords.turns.acquire_many(2).await.unwrap();
        let addresses: Vec<IpAddr> = (1..=5).map(|n| IpAddr::from([192, 0, 2, n])).collect();
        let mut waiting = vec![];
        for (n, peer) in addresses.iter().flat_map(|peer| [peer; WAITING_OF_ONE + 1]).enumerate() {
            let mut asks =
                Box::pin(async move { passwords.fit(users, "amy", &n.to_be_bytes(), Some(*peer)).await });
            let asked = asks.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            let fits_in = n % (WAITING_OF_ONE + 1) < WAITING_OF_ONE && *peer != addresses[4];
            assert_eq!(asked, if fits_in { Poll::Pending } else { Poll::Ready(Err(Busy)) }, "{n}");
            waiting.push(asks);
        }
        assert!(fit(passwords, users, "amy", b"s3cret").await);
        // Whoever goes gives the place back.
        drop(waiting);
        assert!(passwords.queue.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn whoever_tries_passwords_does_not_make_a_right_one_forgotten() {
        let (passwords, users) = (Passwords::new().unwrap(), users());
        assert!(fit(&passwords, &users, "amy", b"s3cret").await);
        let amy = passwords.print("amy", &users["amy"].0, b"s3cret");
        for n in 0..WRONG_MOST * 2 {
            passwords.remember(passwords.print("x", "y", &n.to_be_bytes()), false);
            assert_eq!(passwords.known(&amy), Some(true), "after {n} others");
        }
        assert!(passwords.known.lock().unwrap().wrong.len() <= WRONG_MOST);
    }

    #[test]
    fn an_unknown_user_is_compared_with_a_hash_of_the_users_own_cost() {
        let parts: bcrypt::HashParts = nobodys_hash(&users()).parse().unwrap();
        assert_eq!(parts.get_cost(), COST);
        assert!(!bcrypt::verify("", &nobodys_hash(&users())).unwrap());
    }
}
