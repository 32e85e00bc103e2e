//! What a sweep of a temp root did, in bounded lists.

use crate::domain::report::{Kept, LISTED, Removed, told};

/// What was done under one temp root: of each kind the largest, and how many more.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) removed: Vec<Removed>,
    pub(crate) kept: Vec<Kept>,
    pub(crate) errors: Vec<String>,
    /// Of everything that went or would go, listed or not.
    pub(crate) freed_bytes: u64,
    /// What is not listed.
    pub(crate) cut: Cut,
    /// What was not looked at.
    pub(crate) unseen: Option<String>,
    /// Why it ended before its end, where somebody has put the host on hold: that is no error.
    pub(crate) held: Option<String>,
}

/// How many are left out of each list.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) removed: u64,
    pub(crate) kept: u64,
    pub(crate) errors: u64,
}

impl Findings {
    pub(super) fn remove(&mut self, removed: Removed) {
        self.freed_bytes = self.freed_bytes.saturating_add(removed.bytes);
        self.removed.push(removed);
        self.cut.removed += bound(&mut self.removed, |removed| removed.bytes);
    }

    pub(super) fn keep(&mut self, kept: Kept) {
        self.kept.push(kept);
        self.cut.kept += bound(&mut self.kept, |kept| kept.bytes);
    }

    /// What a round meets again is said once.
    pub(super) fn error(&mut self, error: &str) {
        let error = told(error);
        if self.errors.contains(&error) {
            return;
        }
        if self.errors.len() < LISTED {
            self.errors.push(error);
        } else {
            self.cut.errors += 1;
        }
    }

    pub(super) fn gone(&self) -> u64 {
        self.removed.len() as u64 + self.cut.removed
    }
}

/// A list never grows to many times what is reported of it: a million leftovers do not become a million
/// objects. Says how many it has lost.
fn bound<T>(list: &mut Vec<T>, bytes: impl Fn(&T) -> u64) -> u64 {
    if list.len() < 2 * LISTED {
        return 0;
    }
    list.sort_by_key(|each| std::cmp::Reverse(bytes(each)));
    let too_many = list.len() - LISTED;
    list.truncate(LISTED);
    too_many as u64
}
