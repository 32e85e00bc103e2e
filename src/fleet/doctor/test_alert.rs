//! A test alert: it goes the way of a real one, from Alertmanager to the responder, which knows no such name,
//! notes it and does nothing.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Check, blocking, site::Site};
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
    /// Whether Alertmanager's routes lead it to a raysweep and to nobody else, or why not.
    pub(super) is_led: Result<(), String>,
}

/// Sends one, where that was asked for and can lead nowhere else.
pub(super) async fn check(within: Option<Duration>, ways: Ways, responder_is_ready: bool) -> Check {
    const LINK: &str = "test_alert";
    let Some(within) = within else {
        return Check::not_asked(LINK, "no alert was sent", "--send-test-alert sends one that does nothing");
    };
    let Ways { alertmanager, responder, is_led } = ways;
    let Some(alertmanager) = alertmanager else {
        return Check::skipped(LINK, "nobody said where Alertmanager is");
    };
    if let Err(why) = is_led {
        return Check::skipped(LINK, &why);
    }
    if !responder_is_ready {
        return Check::skipped(LINK, "the responder is not ready");
    }
    let sent = blocking(Some(alertmanager), move |alertmanager| sent(alertmanager, &responder, within)).await;
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
        None => Check::skipped(LINK, "it could not be sent"),
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

fn sent(alertmanager: &Site, responder: &Site, within: Duration) -> Result<Duration, Lost> {
    let id = AttemptId::now().to_string();
    // Whoever would not be told has not sent one.
    has_arrived(responder, &id).map_err(Lost::Unheard)?;
    let begun = Instant::now();
    let now = Timestamp::now();
    alertmanager.send("/api/v2/alerts", &alert(&id, now, now + LIFE)).map_err(Lost::Refused)?;
    let arrived = loop {
        match has_arrived(responder, &id) {
            Ok(true) => break Ok(begun.elapsed()),
            Err(why) => break Err(Lost::Unheard(why)),
            Ok(false) if begun.elapsed() > within => break Err(Lost::Missing),
            Ok(false) => thread::sleep(ASK_EVERY),
        }
    };
    // It would end by itself a little later.
    let _ = alertmanager.send("/api/v2/alerts", &alert(&id, now, Timestamp::now()));
    arrived
}

fn alert(id: &str, starts_at: Timestamp, ends_at: Timestamp) -> Value {
    let labels = BTreeMap::from([("alertname", NAME), (ID, id), ("severity", "none")]);
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
