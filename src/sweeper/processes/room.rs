//! How much of what processes say of themselves is held in one reading.

use std::collections::BTreeMap;

use crate::sweeper::FileId;

/// What the processes of one mount namespace say together: several thousand of them, of the usual length.
const MOST_BYTES: usize = 32 << 20;
/// What a text takes beside itself.
const BESIDE: usize = 64;

/// What is taken of it by each mount namespace. Forks cost a container next to nothing, whatever they say;
/// so one is not to take what another one's processes need.
#[derive(Debug, Default)]
pub(crate) struct Room {
    taken: BTreeMap<FileId, usize>,
}

impl Room {
    /// Whether there is room for all of these texts; only then they take it.
    pub(crate) fn take(&mut self, namespace: FileId, texts: &[String]) -> bool {
        let needed: usize = texts.iter().map(|text| cost(text)).sum();
        let taken = self.taken.entry(namespace).or_default();
        let has_room = needed <= MOST_BYTES.saturating_sub(*taken);
        if has_room {
            *taken += needed;
        }
        has_room
    }

    /// What is left for this one.
    pub(crate) fn left(&self, namespace: FileId) -> usize {
        MOST_BYTES.saturating_sub(self.taken.get(&namespace).copied().unwrap_or_default())
    }
}

/// What a text takes.
pub(crate) fn cost(text: &str) -> usize {
    text.len() + BESIDE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_namespace_takes_is_not_taken_from_another() {
        let [one, other] = [1, 2].map(|ino| FileId { dev: 4, ino });
        let half = ["x".repeat(MOST_BYTES / 2 - BESIDE)];
        let mut room = Room::default();
        assert!(room.take(one, &half) && room.take(one, &half));
        assert_eq!(room.left(one), 0);
        assert!(!room.take(one, &[String::new()]), "also an empty text takes some");
        assert!(room.take(one, &[]) && room.take(other, &half));
        assert_eq!(room.left(other), MOST_BYTES / 2);
    }
}
