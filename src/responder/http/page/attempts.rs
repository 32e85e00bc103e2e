//! Attempts as the page lists them.

use super::{
    room::Part,
    words::{PLAIN, SENTENCE, Tone, brief, instant, lasted, stored_size, tone_of, words},
};
use crate::responder::journal::AttemptView;

/// An attempt's line.
#[derive(Debug)]
pub(super) struct AttemptRow {
    pub(super) id: String,
    pub(super) queued: String,
    pub(super) trigger: String,
    pub(super) word: String,
    pub(super) tone: Tone,
    pub(super) freed: String,
    pub(super) took: String,
    pub(super) why: String,
}

impl AttemptRow {
    pub(super) fn new(attempt: &AttemptView) -> Self {
        let (word, tone) = outcome(attempt);
        let freed = attempt.freed_bytes.filter(|bytes| *bytes > 0);
        Self {
            id: attempt.id.clone(),
            queued: instant(attempt.queued_at),
            trigger: attempt.trigger.clone(),
            word,
            tone,
            freed: freed.map(stored_size).unwrap_or_default(),
            took: took(attempt).unwrap_or_default(),
            why: attempt.reason.as_deref().map(|why| brief(&words(why), SENTENCE)).unwrap_or_default(),
        }
    }

    /// So many of them, the newest, as they come; and how many there are beside them.
    pub(super) fn newest(attempts: &[AttemptView], most: usize) -> (Vec<Self>, Option<String>) {
        let part = Part::first(attempts.iter().collect(), most);
        let more = part.more();
        (part.shown.into_iter().map(Self::new).collect(), more)
    }
}

/// How it ended, or where it is.
pub(super) fn outcome(attempt: &AttemptView) -> (String, Tone) {
    match (&attempt.outcome, attempt.started_at) {
        (Some(outcome), _) => (words(outcome), tone_of(outcome)),
        (None, Some(_)) => ("under way".to_owned(), PLAIN),
        (None, None) => ("waits".to_owned(), PLAIN),
    }
}

pub(super) fn took(attempt: &AttemptView) -> Option<String> {
    Some(lasted(attempt.started_at?, attempt.finished_at?))
}
