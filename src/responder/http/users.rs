//! Users and their passwords. A bcrypt hash takes a tenth of a second of a processor, so few are worked
//! on at once, and what was found is remembered.

use std::{
    collections::{BTreeMap, HashSet},
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
/// Wrong passwords that are remembered; then all are forgotten.
const WRONG_MOST: usize = 1024;
/// Right ones that are remembered: as many as there have been users and hashes, in all likelihood.
const RIGHT_MOST: usize = 1024;

/// What identifies a user, the hash that stands in the file and the password that was shown, without
/// telling any of them.
type Print = [u8; 32];

/// Compares passwords with hashes.
#[derive(Debug)]
pub struct Passwords {
    key: hmac::Key,
    turns: Arc<Semaphore>,
    known: Mutex<Known>,
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
        Ok(Self { key, turns: Arc::new(Semaphore::new(AT_ONCE)), known: Mutex::default() })
    }

    /// Whether this is the user's password. An unknown user takes as long as a wrong password.
    pub async fn fit(&self, users: &BTreeMap<String, Secret>, user: &str, password: &[u8]) -> bool {
        let hash = users.get(user).map_or_else(|| nobodys_hash(users), |hash| hash.0.clone());
        let print = self.print(user, &hash, password);
        if let Some(found) = self.known(&print) {
            return found && users.contains_key(user);
        }
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else { return false };
        // Meanwhile another request with the same may have had its turn.
        let fits = match self.known(&print) {
            Some(found) => found,
            None => compare(password.to_vec(), hash, turn).await,
        };
        self.remember(print, fits);
        fits && users.contains_key(user)
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
    use super::*;

    const COST: u32 = 4;

    fn users() -> BTreeMap<String, Secret> {
        BTreeMap::from([("amy".to_owned(), Secret(bcrypt::hash("s3cret", COST).unwrap()))])
    }

    #[tokio::test]
    async fn only_the_users_own_password_fits_however_often_it_is_asked() {
        let (passwords, users) = (Passwords::new().unwrap(), users());
        for _ in 0..3 {
            assert!(passwords.fit(&users, "amy", b"s3cret").await);
            assert!(!passwords.fit(&users, "amy", b"S3cret").await);
            assert!(!passwords.fit(&users, "bob", b"s3cret").await);
            assert!(!passwords.fit(&users, "", b"").await);
        }
    }

    #[tokio::test]
    async fn a_password_that_was_right_is_wrong_once_its_hash_is_another() {
        let (passwords, mut users) = (Passwords::new().unwrap(), users());
        assert!(passwords.fit(&users, "amy", b"s3cret").await);
        users.insert("amy".to_owned(), Secret(bcrypt::hash("other", COST).unwrap()));
        assert!(!passwords.fit(&users, "amy", b"s3cret").await);
        users.clear();
        assert!(!passwords.fit(&users, "amy", b"s3cret").await);
    }

    #[tokio::test]
    async fn whoever_tries_passwords_does_not_make_a_right_one_forgotten() {
        let (passwords, users) = (Passwords::new().unwrap(), users());
        assert!(passwords.fit(&users, "amy", b"s3cret").await);
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
