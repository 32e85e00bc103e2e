//! The responder: whether it takes notifications, and its clock.

use jiff::Timestamp;

use super::{
    Check, clock_check,
    site::{Answer, Site},
    skew,
};

/// What the responder said.
#[derive(Debug)]
pub(super) struct Responder {
    base: String,
    ready: Result<Answer, String>,
    asked_at: Timestamp,
    answered_at: Timestamp,
}

impl Responder {
    pub(super) fn ask(site: &Site) -> Self {
        let asked_at = Timestamp::now();
        let ready = site.ask("/-/ready", &[]);
        Self { base: site.base.clone(), ready, asked_at, answered_at: Timestamp::now() }
    }

    /// Whether it would take a notification in.
    pub(super) fn is_ready(&self) -> bool {
        self.ready.as_ref().is_ok_and(|answer| answer.status == 200)
    }
}

/// Where it is known that its own token is broken, what hangs on that alone is no trouble of its own.
pub(super) fn judge(responder: Option<&Responder>, token_is_broken: bool) -> Vec<Check> {
    let Some(Responder { base, ready, asked_at, answered_at }) = responder else {
        return vec![
            Check::skipped("responder", "the question could not be asked"),
            Check::skipped("responder_clock", "the responder was not asked"),
        ];
    };
    let answer = match ready {
        Ok(answer) => answer,
        Err(why) => {
            return vec![
                Check::broken(
                    "responder",
                    why,
                    "start it where it runs (systemctl start raysweep), or say where it listens with --url",
                ),
                Check::skipped("responder_clock", "the responder does not answer"),
            ];
        }
    };
    let ready = if answer.status == 200 {
        Check::ok("responder", format!("{base} is ready"))
    } else if token_is_broken && hangs_on_its_token(&answer.words()) {
        Check::skipped("responder", "its token cannot be used, so that it lets nobody in")
    } else {
        Check::broken(
            "responder",
            format!("{base} answers {}: {}", answer.status, answer.words()),
            "put right what it names; its log (journalctl -u raysweep) says more",
        )
    };
    // A date is to the second: it lies up to one before the clock.
    let clock = match answer.date {
        Some(date) => clock_check(
            "responder_clock",
            skew(date, *asked_at, *answered_at),
            "what it waits for runs by its clock, and so do the times in its journal",
        ),
        None => Check::skipped("responder_clock", "the answer has no date"),
    };
    vec![ready, clock]
}

/// Whether it is not ready for this alone. Where everybody reaches it, it names no file.
fn hangs_on_its_token(words: &str) -> bool {
    const NOT_READY: &str = "raysweep is not ready: ";
    const REASONS: [&str; 2] = ["web.bearer_token_file: ", "nobody can be let in"];
    words.strip_prefix(NOT_READY).is_some_and(|reasons| {
        let is_its_token = |reason: &str| REASONS.iter().any(|known| reason.starts_with(known));
        // What the log says follows after a semicolon of its own.
        reasons.split("; ").all(|reason| is_its_token(reason) || reason == "the log says why")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::doctor::State;

    fn responder(ready: Result<Answer, String>) -> Responder {
        let at = Timestamp::from_second(1000).unwrap();
        Responder { base: "http://r".to_owned(), ready, asked_at: at, answered_at: at }
    }

    fn answer(status: u16, date: i64, body: &str) -> Responder {
        let answer = Answer { status, date: Timestamp::from_second(date).ok(), body: body.into() };
        responder(Ok(answer))
    }

    fn states(responder: &Responder) -> [State; 2] {
        let checks = judge(Some(responder), false);
        [checks[0].state, checks[1].state]
    }

    #[test]
    fn a_responder_is_ready_or_says_why_not_or_does_not_answer() {
        assert_eq!(states(&answer(200, 999, "")), [State::Ok, State::Ok]);
        assert_eq!(states(&answer(200, 900, "")), [State::Ok, State::Broken]);
        assert_eq!(states(&answer(200, 1020, "")), [State::Ok, State::Warn]);
        let unready = answer(503, 1000, "raysweep is not ready: journal: disk full\n");
        assert_eq!(states(&unready), [State::Broken, State::Ok]);
        assert!(judge(Some(&unready), false)[0].seen.ends_with("disk full"));
        assert_eq!(states(&responder(Err("no answer".to_owned()))), [State::Broken, State::Skipped]);
    }

    #[test]
    fn what_hangs_on_a_token_that_is_known_to_be_broken_is_no_alarm_of_its_own() {
        let state = |words: &str, token_is_broken| {
            judge(Some(&answer(503, 1000, &format!("raysweep is not ready: {words}\n"))), token_is_broken)[0]
                .state
        };
        for of_its_token in [
            "web.bearer_token_file: /t is empty: put the secret into it",
            "nobody can be let in; the log says why",
        ] {
            assert_eq!(state(of_its_token, true), State::Skipped);
            assert_eq!(state(of_its_token, false), State::Broken);
            assert_eq!(state(&format!("journal: disk full; {of_its_token}"), true), State::Broken);
        }
        assert_eq!(state("stopping", true), State::Broken);
    }
}
