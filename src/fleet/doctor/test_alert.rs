//! A test alert: it goes the way of a real one, from Alertmanager to the responder, which knows no such name,
//! notes it and does nothing.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Check, alertmanager::NotLed, blocking, site::Site};
use crate::domain::attempt::AttemptId;

/// Its name; the shipped route leads it to raysweep and to nobody else.
pub(super) const NAME: &str = "RaySweepDoctorTest";
/// The label by which one test is told from another.
const ID: &str = "doctor";
/// How often the responder is asked.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// It ends by itself, should nobody end it.
const LIFE: SignedDuration = SignedDuration::from_mins(5);

/// What it goes through.
pub(super) struct Ways {
    pub(super) alertmanager: Option<Site>,
    pub(super) responder: Site,
    /// What Prometheus puts beside each alert's labels.
    pub(super) external_labels: BTreeMap<String, String>,
    /// Whether Alertmanager's routes lead it to a raysweep and to nobody else, or why not.
    pub(super) led: Result<Vec<String>, NotLed>,
}

/// Sends one, where that was asked for and can lead nowhere else.
pub(super) async fn check(within: Option<Duration>, ways: Ways, responder_is_ready: bool) -> Check {
    const LINK: &str = "test_alert";
    let Some(within) = within else {
        return Check::not_asked(LINK, "no alert was sent", "--send-test-alert sends one that does nothing");
    };
    let Ways { alertmanager, responder, external_labels, led } = ways;
    match led {
        Err(NotLed::Skipped(because)) => return Check::skipped(LINK, because),
        // It was asked for: whoever takes the exit code for a proof must not be given one.
        Err(NotLed::Broken { why, advice }) => {
            return Check::broken(LINK, format!("it was not sent: {why}"), advice);
        }
        Ok(_) => {}
    }
    if !responder_is_ready {
        return Check::skipped(LINK, "the responder is not ready");
    }
    let sent = move |alertmanager: &Site| sent(alertmanager, &responder, &external_labels, within);
    let sent = blocking(alertmanager, sent).await;
    match sent.map(|(_, sent)| sent) {
        Some(Ok(took)) => Check::ok(LINK, format!("arrived after {:.1} s", took.as_secs_f64())),
        Some(Err(Lost::Unheard(why))) => Check::broken(
            LINK,
            why,
            "show the responder who you are: --bearer-token-file or --http.config.file",
        ),
        Some(Err(Lost::Refused(why))) => {
            Check::broken(LINK, why, "look at Alertmanager's log, and at who may send it alerts")
        }
        Some(Err(Lost::Missing)) => Check::broken(
            LINK,
            format!("Alertmanager took it, and it did not arrive within {} s", within.as_secs()),
            "look at Alertmanager's log for its notifications to raysweep (a wrong url, token or certificate); \
             where its group_wait is long, a longer --timeout",
        ),
        None => Check::broken(LINK, "it could not be sent", "ask again"),
    }
}

/// Why a test alert did not arrive.
enum Lost {
    /// The responder does not tell us.
    Unheard(String),
    /// Alertmanager does not take it.
    Refused(String),
    /// It went nowhere.
    Missing,
}

fn sent(
    alertmanager: &Site,
    responder: &Site,
    external_labels: &BTreeMap<String, String>,
    within: Duration,
) -> Result<Duration, Lost> {
    let id = AttemptId::now().to_string();
    // Whoever would not be told has not sent one.
    has_arrived(responder, &id).map_err(Lost::Unheard)?;
    let begun = Instant::now();
    let now = Timestamp::now();
    alertmanager
        .send("/api/v2/alerts", &alert(&id, external_labels, now, now + LIFE))
        .map_err(Lost::Refused)?;
    let arrived = loop {
        match has_arrived(responder, &id) {
            Ok(true) => break Ok(begun.elapsed()),
            Err(why) => break Err(Lost::Unheard(why)),
            Ok(false) if begun.elapsed() > within => break Err(Lost::Missing),
            Ok(false) => thread::sleep(ASK_EVERY),
        }
    };
    // It would end by itself a little later.
    let _ = alertmanager.send("/api/v2/alerts", &alert(&id, external_labels, now, Timestamp::now()));
    arrived
}

/// With the labels that Prometheus would put beside its own.
fn alert(id: &str, external: &BTreeMap<String, String>, starts_at: Timestamp, ends_at: Timestamp) -> Value {
    let external = external.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let own = [("alertname", NAME), (ID, id), ("severity", "none")];
    let labels: BTreeMap<_, _> = external.chain(own).collect();
    json!([{
        "labels": labels,
        "annotations": { "summary": "A test of the way to raysweep by `raysweep doctor`: nothing is to be done" },
        "startsAt": starts_at.to_string(),
        "endsAt": ends_at.to_string(),
    }])
}

fn has_arrived(responder: &Site, id: &str) -> Result<bool, String> {
    let ignored = responder.json("/api/v1/ignored", &[("limit", "1000")])?;
    let alerts = ignored["ignored"].as_array().into_iter().flatten();
    Ok(alerts.into_iter().any(|alert| alert["name"] == NAME && alert["labels"][ID] == id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{access::Access, doctor::State};

    fn asked(led: Result<Vec<String>, NotLed>, responder_is_ready: bool) -> Check {
        let ways = Ways {
            alertmanager: None,
            responder: Site::new("http://127.0.0.1:1", Access::default()),
            external_labels: BTreeMap::new(),
            led,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(check(Some(Duration::from_secs(1)), ways, responder_is_ready))
    }

    #[test]
    fn a_test_that_was_asked_for_and_not_sent_is_no_good_end_unless_another_link_says_so() {
        let broken = NotLed::Broken { why: "no route".to_owned(), advice: "paste" };
        let check = asked(Err(broken), true);
        assert_eq!((check.state, check.seen.as_str()), (State::Broken, "it was not sent: no route"));
        assert_eq!(asked(Err(NotLed::Skipped("Alertmanager does not answer")), true).state, State::Skipped);
        assert_eq!(asked(Ok(vec!["raysweep".to_owned()]), false).state, State::Skipped);
    }

    #[test]
    fn a_test_has_the_labels_that_prometheus_would_give_it_and_its_own_count() {
        let external = BTreeMap::from([("cluster", "prod"), ("severity", "page")]);
        let external =
            external.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let alert = alert("7", &external, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        let expected = json!({ "alertname": NAME, "cluster": "prod", "doctor": "7", "severity": "none" });
        assert_eq!(alert[0]["labels"], expected);
    }
}
