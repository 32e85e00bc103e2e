//! When a host's next attempt is, and why it is not sooner: for whom has to look.

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::attempt::Outcome;

/// A host's next attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Next {
    /// When it may begin.
    pub at: Timestamp,
    /// What it waits for, in one word of [`Next::WORDS`].
    pub waits_for: String,
}

impl Next {
    /// Every word, and what it means.
    pub const WORDS: [(&str, &str); 8] = [
        (PLACE, "it may begin, and does as soon as a place and the fleet's next start are free"),
        (ATTEMPT, "an attempt is under way there; the next one waits for its end"),
        (BACKOFF, "the host could not be reached, or did not let us in, and is left alone for a while"),
        (UNKNOWN, "nobody knows how the last attempt ended: what was begun may still run"),
        (DECAY, "space was freed, and the alert has its time to see it"),
        (RECHECK, "the last look freed nothing, and the host is looked at again after a while"),
        ("period", "the host has had its attempt of this period"),
        ("silenced", "every alert of the incident is silenced or inhibited in Alertmanager"),
    ];

    /// The same for a person: why a host is looked at again depends on how the last attempt for the incident
    /// ended.
    pub fn means(&self, last_outcome: Option<&str>) -> &'static str {
        let last = Outcome::ALL.into_iter().find(|outcome| Some(outcome.as_str()) == last_outcome);
        match last.filter(|_| self.waits_for == RECHECK) {
            Some(Outcome::Active) => "the host was at work, and is looked at again after a while",
            Some(Outcome::NothingToFree) => {
                "the host had nothing to give, and is looked at again after a while"
            }
            Some(Outcome::WouldFree) => "the host only observes, and is looked at again after a while",
            Some(Outcome::Held) => "the host was on hold, and is looked at again after a while",
            Some(Outcome::Busy) => "another sweep ran there, and the host is looked at again after a while",
            Some(Outcome::Failed) => "the last sweep failed, and the host is looked at again after a while",
            _ => {
                let known = Self::WORDS.iter().find(|(word, _)| *word == self.waits_for);
                known.map_or("", |(_, means)| means)
            }
        }
    }
}

const PLACE: &str = "place";
const ATTEMPT: &str = "attempt";
const BACKOFF: &str = "backoff";
const UNKNOWN: &str = "unknown";
const DECAY: &str = "decay";
const RECHECK: &str = "recheck";

/// What is known of a host's next attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// When its open incident is due, where that waits.
    pub due_at: Option<Timestamp>,
    /// Until when its incident was put off, and for what.
    pub deferred: Option<(Timestamp, String)>,
    /// When the first attempt that a person asked for was queued.
    pub queued_at: Option<Timestamp>,
    /// Nothing is begun there before it.
    pub not_before: Option<Timestamp>,
    /// How its last attempt ended.
    pub last_outcome: Option<Outcome>,
    /// Whether an attempt is under way.
    pub is_running: bool,
}

impl Waiting {
    /// The next attempt, as it stands at this instant; `None` where nobody asks for one.
    pub fn next(&self, now: Timestamp) -> Option<Next> {
        let asked = self.due_at.into_iter().chain(self.queued_at).min()?;
        let at = self.not_before.map_or(asked, |not_before| asked.max(not_before));
        Some(Next { at, waits_for: self.waits_for(at, now).to_owned() })
    }

    fn waits_for(&self, at: Timestamp, now: Timestamp) -> &str {
        if self.is_running {
            return ATTEMPT;
        }
        if at <= now {
            return PLACE;
        }
        let failed = match self.last_outcome {
            Some(Outcome::Unreachable | Outcome::Refused) => BACKOFF,
            _ => UNKNOWN,
        };
        if self.not_before == Some(at) {
            return failed;
        }
        match (&self.deferred, self.last_outcome) {
            (Some((until, why)), _) if *until == at => why,
            (_, Some(Outcome::Freed)) => DECAY,
            (_, Some(Outcome::Unreachable | Outcome::Refused)) => failed,
            _ => RECHECK,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + secs).unwrap()
    }

    fn next(waiting: &Waiting, now: i64) -> Option<(i64, String)> {
        let Next { at, waits_for } = waiting.next(self::at(now))?;
        Some((at.as_second() - 1_700_000_000, waits_for))
    }

    #[test]
    fn why_a_host_is_looked_at_again_is_told_by_how_the_last_look_ended() {
        let means = |word: &str, outcome: Option<Outcome>| {
            Next { at: at(0), waits_for: word.to_owned() }.means(outcome.map(Outcome::as_str))
        };
        for (outcome, says) in [
            (Some(Outcome::Active), "at work"),
            (Some(Outcome::NothingToFree), "nothing to give"),
            (Some(Outcome::WouldFree), "only observes"),
            (Some(Outcome::Held), "on hold"),
            (Some(Outcome::Busy), "another sweep"),
            (Some(Outcome::Failed), "failed"),
            (Some(Outcome::Unknown), "freed nothing"),
            (None, "freed nothing"),
        ] {
            let told = means(RECHECK, outcome);
            assert!(told.contains(says) && told.ends_with("is looked at again after a while"), "{told}");
            // What else it waits for has one sentence, however the last look ended.
            for (word, sentence) in Next::WORDS.into_iter().filter(|(word, _)| *word != RECHECK) {
                assert_eq!(means(word, outcome), sentence);
            }
        }
        assert_eq!(means("of a later version", None), "");
    }

    #[test]
    fn what_a_host_waits_for_is_told_by_what_is_stored_of_it() {
        let due = |outcome| Waiting { due_at: Some(at(100)), last_outcome: outcome, ..Waiting::default() };
        let deferred = Some((at(100), "period".to_owned()));
        for (waiting, now, expected) in [
            (Waiting::default(), 0, None),
            (due(None), 100, Some((100, PLACE))),
            (due(Some(Outcome::Freed)), 0, Some((100, DECAY))),
            (due(Some(Outcome::Active)), 0, Some((100, RECHECK))),
            (Waiting { deferred: deferred.clone(), ..due(Some(Outcome::Freed)) }, 0, Some((100, "period"))),
            // What put it off once does no more, once it is due at another instant.
            (Waiting { deferred, due_at: Some(at(90)), ..due(Some(Outcome::Freed)) }, 0, Some((90, DECAY))),
            (Waiting { not_before: Some(at(100)), ..due(Some(Outcome::Refused)) }, 0, Some((100, BACKOFF))),
            (Waiting { not_before: Some(at(200)), ..due(Some(Outcome::Unknown)) }, 150, Some((200, UNKNOWN))),
            (
                Waiting { not_before: Some(at(50)), ..due(Some(Outcome::Unreachable)) },
                60,
                Some((100, BACKOFF)),
            ),
            (Waiting { queued_at: Some(at(5)), ..due(Some(Outcome::Freed)) }, 9, Some((5, PLACE))),
            (
                Waiting { queued_at: Some(at(5)), is_running: true, ..Waiting::default() },
                9,
                Some((5, ATTEMPT)),
            ),
        ] {
            let expected = expected.map(|(at, word): (i64, &str)| (at, word.to_owned()));
            assert_eq!(next(&waiting, now), expected, "{waiting:?}");
        }
    }
}
