//! Through the responder: it sweeps in its own order, and here it is waited for.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{End, Row};
use crate::{
    domain::{attempt::Outcome, report::Report},
    fleet::{
        client::{Client, ClientError, Reported, WishedHost},
        deploy::Watch,
    },
};

/// How often it is asked.
const POLL: Duration = Duration::from_millis(500);
/// How often it is asked what those wait for that have not begun.
const ASK_WHY: Duration = Duration::from_secs(5);
/// For so long it may be gone: somebody may have started it anew.
const GONE: Duration = Duration::from_mins(1);

/// Attempts that a responder has taken on.
pub struct Through<'a> {
    /// The responder.
    pub client: Arc<Client>,
    /// Who is told.
    pub watch: &'a dyn Watch,
    /// Waits no longer.
    pub stop: CancellationToken,
    /// Waits no longer once nothing has begun or ended for so long.
    pub patience: Duration,
}

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Queued,
    Begun,
    Over,
}

impl Through<'_> {
    /// Waits for their ends. The rows are in the order of the hosts.
    pub async fn wait(&self, hosts: Vec<WishedHost>) -> Vec<Row> {
        let mut waits: Vec<_> = hosts.into_iter().map(|host| Wait::new(host, self.watch)).collect();
        let (mut news, mut heard) = (Instant::now(), Instant::now());
        let mut asked_why = None;
        while waits.iter().any(|wait| wait.stage != Stage::Over) {
            if waits.iter().any(|wait| wait.stage == Stage::Queued)
                && asked_why.is_none_or(|at: Instant| at.elapsed() > ASK_WHY)
            {
                self.tell_why(&mut waits).await;
                asked_why = Some(Instant::now());
            }
            let mut silent = None;
            for wait in waits.iter_mut().filter(|wait| wait.stage != Stage::Over) {
                let stage = wait.stage;
                let asked = tokio::select! {
                    asked = ask(Arc::clone(&self.client), wait.id.clone()) => asked,
                    () = self.stop.cancelled() => break,
                };
                match asked {
                    Ok(reported) => {
                        heard = Instant::now();
                        wait.hear(reported, self.watch);
                    }
                    // Whoever does not answer for one host answers for no other one either.
                    Err(error @ ClientError::Unreachable { .. }) => {
                        wait.miss(&error, heard.elapsed() > GONE, self.watch);
                        silent = Some(error.to_string());
                        break;
                    }
                    Err(error) => wait.miss(&error, heard.elapsed() > GONE, self.watch),
                }
                if wait.stage != stage {
                    news = Instant::now();
                }
            }
            if let Some(why) = silent.filter(|_| heard.elapsed() > GONE) {
                self.leave(&mut waits, &why);
            }
            if news.elapsed() > self.patience {
                let secs = self.patience.as_secs();
                self.leave(
                    &mut waits,
                    &format!("nothing has begun or ended for {secs} s: not waited for any longer"),
                );
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = self.stop.cancelled() => self.leave(&mut waits, "not waited for: it goes on at the responder"),
            }
        }
        waits.into_iter().map(|wait| wait.row).collect()
    }

    /// Whoever has just mended a host must not take its back-off for a queue. Where nobody tells, nothing is
    /// said.
    async fn tell_why(&self, waits: &mut [Wait]) {
        let client = Arc::clone(&self.client);
        let asked = tokio::select! {
            asked = spawn_blocking(move || client.waits()) => asked,
            () = self.stop.cancelled() => return,
        };
        let words = asked.ok().and_then(Result::ok).unwrap_or_default();
        for wait in waits.iter_mut().filter(|wait| wait.stage == Stage::Queued) {
            wait.is_told_why(&words, self.watch);
        }
    }

    fn leave(&self, waits: &mut [Wait], why: &str) {
        for wait in waits.iter_mut().filter(|wait| wait.stage != Stage::Over) {
            wait.end(End::GoesOn, Some(why.to_owned()), self.watch);
        }
    }
}

async fn ask(client: Arc<Client>, id: String) -> Result<Reported, ClientError> {
    // A thread that has panicked has given no answer.
    let gone = |_| ClientError::Shape { url: String::new(), message: "nobody has asked".to_owned() };
    let url = client.url().to_owned();
    let id = id
        .parse()
        .map_err(|_| ClientError::Shape { url, message: "an attempt without an identity".to_owned() })?;
    spawn_blocking(move || client.attempt(id)).await.map_err(gone)?
}

/// A host that is waited for.
struct Wait {
    id: String,
    stage: Stage,
    /// What was said last of what it waits for.
    why: &'static str,
    row: Row,
}

impl Wait {
    fn new(host: WishedHost, watch: &dyn Watch) -> Self {
        let WishedHost { host, attempt, joined, error } = host;
        let mut wait = Self {
            id: attempt.clone().unwrap_or_default(),
            stage: Stage::Queued,
            why: why_not_now(""),
            row: Row { attempt, joined, ..Row::bare(host, End::GoesOn, None) },
        };
        if wait.row.attempt.is_some() {
            wait.step(wait.why, watch);
        } else {
            wait.end(End::UnknownHost, error, watch);
        }
        wait
    }

    fn hear(&mut self, Reported { attempt, report }: Reported, watch: &dyn Watch) {
        if attempt.finished_at.is_none() {
            if attempt.started_at.is_some() && self.stage == Stage::Queued {
                self.stage = Stage::Begun;
                self.step("sweeping", watch);
            }
            return;
        }
        let secs = attempt.started_at.zip(attempt.finished_at);
        self.row.secs = secs.map(|(from, to)| to.duration_since(from).as_secs_f64());
        // A report of a later version tells as much as the rest of the answer does.
        self.row.report = report.and_then(|report| serde_json::from_value::<Report>(report).ok());
        let outcome =
            Outcome::ALL.into_iter().find(|known| Some(known.as_str()) == attempt.outcome.as_deref());
        self.end(End::Ended(outcome.unwrap_or(Outcome::Unknown)), attempt.reason, watch);
    }

    /// Says what it waits for, where that is something else than before.
    fn is_told_why(&mut self, words: &BTreeMap<String, String>, watch: &dyn Watch) {
        let why = why_not_now(words.get(&self.row.host).map_or("", String::as_str));
        if std::mem::replace(&mut self.why, why) != why {
            self.step(why, watch);
        }
    }

    /// Nothing was heard of it.
    fn miss(&mut self, error: &ClientError, is_gone: bool, watch: &dyn Watch) {
        match error {
            ClientError::Status { status: 404, .. } => {
                let why = "the responder knows nothing of this attempt".to_owned();
                self.end(End::Ended(Outcome::Unknown), Some(why), watch);
            }
            // It is busy, or starts anew.
            ClientError::Unreachable { .. } | ClientError::Status { status: 500.., .. } if !is_gone => {}
            _ => self.end(End::GoesOn, Some(error.to_string()), watch),
        }
    }

    fn end(&mut self, end: End, reason: Option<String>, watch: &dyn Watch) {
        self.stage = Stage::Over;
        (self.row.end, self.row.reason) = (end, reason);
        if let Ok(host) = self.row.host.parse() {
            watch.ended(&host, end.as_str());
        }
    }

    fn step(&self, what: &'static str, watch: &dyn Watch) {
        if let Ok(host) = self.row.host.parse() {
            watch.step(&host, what);
        }
    }
}

/// What an attempt that a person asked for waits for; no period is asked for, and nothing else holds it up.
fn why_not_now(word: &str) -> &'static str {
    match word {
        "attempt" => "waiting for the end of another attempt there",
        "backoff" => "left alone for a while: its last attempt did not get there (timing.backoff_most)",
        "unknown" => "left alone for a while: nobody knows how its last attempt ended (timing.recheck)",
        _ => "waiting for its turn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::host::HostName;

    struct Nobody;

    #[derive(Default)]
    struct Heard(std::sync::Mutex<Vec<&'static str>>);

    impl Watch for Heard {
        fn step(&self, _: &HostName, what: &'static str) {
            self.0.lock().unwrap().push(what);
        }
        fn ended(&self, _: &HostName, _: &'static str) {}
    }

    #[test]
    fn a_host_that_is_left_alone_is_not_said_to_wait_for_its_turn() {
        let heard = Heard::default();
        let host = WishedHost {
            host: "ray-80".to_owned(),
            attempt: Some("1".to_owned()),
            joined: true,
            error: None,
        };
        let mut wait = Wait::new(host, &heard);
        for word in ["place", "backoff", "backoff", "place", "a word of a later version"] {
            wait.is_told_why(&[("ray-80".to_owned(), word.to_owned())].into(), &heard);
        }
        wait.is_told_why(&BTreeMap::new(), &heard);
        let turn = "waiting for its turn";
        assert_eq!(*heard.0.lock().unwrap(), [turn, why_not_now("backoff"), turn]);
        assert!(why_not_now("backoff").contains("left alone"));
    }

    impl Watch for Nobody {
        fn step(&self, _: &HostName, _: &'static str) {}
        fn ended(&self, _: &HostName, _: &'static str) {}
    }

    fn waiting() -> Wait {
        let host = WishedHost {
            host: "ray-80".to_owned(),
            attempt: Some("1".to_owned()),
            joined: true,
            error: None,
        };
        Wait::new(host, &Nobody)
    }

    fn reported(value: serde_json::Value) -> Reported {
        let mut whole = serde_json::json!({ "id": "1", "host": "ray-80", "trigger": "manual", "queued_at": "2026-01-05T12:00:00Z" });
        whole.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn an_attempt_is_waited_for_until_it_has_ended() {
        let mut wait = waiting();
        wait.hear(reported(serde_json::json!({})), &Nobody);
        assert_eq!(wait.stage, Stage::Queued);
        wait.hear(reported(serde_json::json!({ "started_at": "2026-01-05T10:00:00Z" })), &Nobody);
        assert_eq!(wait.stage, Stage::Begun);
        let ended = serde_json::json!({
            "started_at": "2026-01-05T10:00:00Z", "finished_at": "2026-01-05T10:00:07Z",
            "outcome": "held", "reason": "disk swap", "report": { "schema": 99 },
        });
        wait.hear(reported(ended), &Nobody);
        let Row { end, reason, secs, report, .. } = &wait.row;
        assert_eq!(
            (*end, reason.as_deref(), *secs),
            (End::Ended(Outcome::Held), Some("disk swap"), Some(7.0))
        );
        assert!(report.is_none(), "a report of a later version is none that we read");
        assert!(wait.row.joined, "whose wish it was first is not forgotten");
    }

    #[test]
    fn a_responder_that_is_gone_for_a_while_is_waited_for_and_one_that_refuses_is_not() {
        let gone = || ClientError::Unreachable { url: String::new(), message: String::new(), nobody: true };
        let mut wait = waiting();
        wait.miss(&gone(), false, &Nobody);
        wait.miss(
            &ClientError::Status { url: String::new(), status: 503, message: String::new() },
            false,
            &Nobody,
        );
        assert_eq!(wait.stage, Stage::Queued);
        wait.miss(&gone(), true, &Nobody);
        assert_eq!((wait.stage, wait.row.end), (Stage::Over, End::GoesOn));
        for (error, end) in [
            (ClientError::Unauthorized { url: String::new() }, End::GoesOn),
            (
                ClientError::Status { url: String::new(), status: 404, message: String::new() },
                End::Ended(Outcome::Unknown),
            ),
        ] {
            let mut wait = waiting();
            wait.miss(&error, false, &Nobody);
            assert_eq!((wait.stage, wait.row.end), (Stage::Over, end), "{error}");
        }
    }

    #[test]
    fn a_host_that_is_none_has_ended_at_once() {
        let error = Some("no such host".to_owned());
        let wait =
            Wait::new(WishedHost { host: "x y".to_owned(), attempt: None, joined: false, error }, &Nobody);
        assert_eq!((wait.stage, wait.row.end), (Stage::Over, End::UnknownHost));
        assert_eq!(wait.row.reason.as_deref(), Some("no such host"));
    }
}
