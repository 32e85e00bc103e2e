//! What somebody else wrote never becomes a part of the page, and the table shows the hosts that an address
//! asks for.

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{fleet::FleetPage, *};
use crate::{
    domain::{
        incident::Escalation,
        report::{Disk, Holds, Report},
    },
    responder::journal::{
        AlertView, AttemptView, BackstopView, Event, HostView, HostWhole, IgnoredView, IncidentView,
        IncidentWhole, LastReport, LoweredView, Next, NotificationView, OpenIncident, Tried,
    },
};

mod told;
mod weight;

const ID: &str = "01936b2e-7c1a-7000-8000-000000000001";

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn frame() -> Frame {
    Frame { now: now(), shown: words::instant(now()), to_top: "../" }
}

/// A report in which every text is this one.
fn report(text: &str) -> Value {
    let worker = json!({
        "name": text, "runtime": text, "state": "active", "verdict": "active", "note": text,
        "tmp_before_bytes": 9_000_000_000_u64, "tmp_after_bytes": 9_000_000_000_u64, "freed_bytes": 0,
        "evidence": [{ "kind": "ray_task", "pid": 4711, "detail": text }],
        "removed": [{ "class": "tmp", "path": text, "bytes": 1, "files": 2 }],
        "kept": [{ "class": "tmp", "path": text, "bytes": 3, "why": "in_use", "detail": text, "pid": 4711 }],
        "errors": [text],
    });
    json!({
        "schema": 1, "attempt": ID, "host": text, "version": text, "trigger": "alert", "mode": "enforce",
        "dry_run": false, "started_at": now(), "finished_at": now(), "outcome": "active", "reason": text,
        "freed_bytes": 0, "workers": [worker],
        "disks": [{ "mount": text, "temp_roots": [text, text], "size_bytes": 100, "avail_before_bytes": 10, "avail_after_bytes": 20 }],
        "prune": { "mode": text, "freed_bytes": 1, "removed": 2, "busy": [text], "errors": [text] },
    })
}

/// An attempt in which every text is somebody else's.
fn attempt(text: &str) -> AttemptView {
    let report = report(text);
    serde_json::from_value::<Report>(report.clone()).unwrap();
    reporting(text, report)
}

fn reporting(text: &str, report: Value) -> AttemptView {
    AttemptView {
        id: ID.to_owned(),
        host: "ray-80".to_owned(),
        incident: Some(IncidentId(7)),
        replay: None,
        trigger: "alert".to_owned(),
        asked_by: Some(text.to_owned()),
        queued_at: now(),
        started_at: Some(now()),
        connected_at: Some(now()),
        finished_at: Some(now()),
        outcome: Some("active".to_owned()),
        reason: Some(text.to_owned()),
        freed_bytes: Some(0),
        report: Some(serde_json::value::to_raw_value(&report).unwrap()),
        report_dropped_bytes: None,
    }
}

fn incident(text: &str) -> IncidentView {
    let holds =
        Holds { kept_bytes: [(text.to_owned(), 8_100_000_000)].into(), signs: [(text.to_owned(), 1)].into() };
    IncidentView {
        id: IncidentId(7),
        host: "ray-80".to_owned(),
        state: "waiting".to_owned(),
        urgency: Some("critical".to_owned()),
        firing_since: Some(now()),
        opened_at: now(),
        accepted_at: now(),
        due_at: None,
        attempts: 1,
        last_outcome: Some("active".to_owned()),
        escalated_at: Some(now()),
        escalation: Some("critical_active".to_owned()),
        lowered: None,
        closed_at: None,
        close_reason: None,
        closed_by: Some(text.to_owned()),
        tried: Tried { tried: [("active".to_owned(), 1)].into(), holds: Some(holds) },
        alerts: vec![AlertView {
            fingerprint: text.to_owned(),
            name: text.to_owned(),
            urgency: "critical".to_owned(),
            status: "firing".to_owned(),
            labels: ["worker", "team"].map(|key| (key.to_owned(), text.to_owned())).into(),
            starts_at: now(),
            ends_at: None,
            received_at: now(),
            last_seen: now(),
            first_notification: Some(ID.to_owned()),
            last_notification: None,
        }],
    }
}

/// One that is over, an hour after a person was told.
fn closed(text: &str) -> IncidentView {
    let hour = SignedDuration::from_hours(1);
    let told_at = now() - hour * 2;
    IncidentView {
        state: "closed".to_owned(),
        urgency: None,
        opened_at: now() - hour * 3,
        escalated_at: Some(told_at),
        lowered: Some(LoweredView { told_at, reason: text.to_owned(), at: now() - hour }),
        closed_at: Some(now() - hour),
        close_reason: Some(text.to_owned()),
        ..incident(text)
    }
}

fn event(word: &'static str, text: &str) -> Event {
    let text = Some(text.to_owned());
    Event {
        at: now(),
        event: word,
        alert: text.clone(),
        urgency: text.clone(),
        attempt: Some(ID.to_owned()),
        outcome: text.clone(),
        reason: text,
        ..Event::default()
    }
}

fn host(name: &str) -> HostView {
    HostView {
        name: name.to_owned(),
        lane: "proven".to_owned(),
        failures_in_row: 0,
        not_before: None,
        incident: None,
        running: None,
        last_attempt: None,
        next_attempt: None,
        last_report: None,
    }
}

fn host_in_trouble(name: &str, text: &str) -> HostView {
    HostView {
        incident: Some(OpenIncident {
            id: IncidentId(7),
            state: "waiting".to_owned(),
            urgency: Some("critical".to_owned()),
            firing_since: Some(now()),
            opened_at: now(),
            attempts: 1,
            last_outcome: Some("active".to_owned()),
            escalated_at: None,
            escalation: None,
        }),
        last_attempt: Some(attempt(text)),
        next_attempt: Some(Next { at: now(), waits_for: "recheck".to_owned() }),
        last_report: Some(LastReport {
            attempt: ID.to_owned(),
            reported_at: now(),
            mode: "enforce".to_owned(),
            version: text.to_owned(),
            measured_at: Some(now()),
            disks: vec![Disk {
                mount: text.to_owned(),
                temp_roots: vec![text.to_owned(); 4],
                size_bytes: 100,
                avail_before_bytes: 10,
                avail_after_bytes: 20,
            }],
            tmp_bytes: Some(40),
            holds: None,
            backstop: Some(BackstopView {
                finished_at: None,
                outcome: None,
                scheduled_since: None,
                interval_secs: 3600,
                overdue: false,
                note: Some(text.to_owned()),
            }),
        }),
        ..host(name)
    }
}

/// Every page, with this text wherever somebody else may write one.
fn every_page(text: &str) -> Vec<String> {
    let whole = IncidentWhole {
        timeline: Event::WORDS.map(|word| event(word, text)).into(),
        incident: incident(text),
        history: vec![attempt(text)],
        notifications: vec![],
    };
    let host = HostWhole {
        host: host_in_trouble("ray-80", text),
        incidents: vec![incident(text), closed(text)],
        attempts: vec![attempt(text)],
    };
    let over = IncidentWhole { incident: closed(text), ..whole.clone() };
    let ignored = IgnoredView {
        fingerprint: text.to_owned(),
        reason: "unknown_host".to_owned(),
        name: text.to_owned(),
        labels: json!({ "host": text }),
        first_seen: now(),
        last_seen: now(),
        times: 3,
    };
    let received = NotificationView { id: ID.parse().unwrap(), received_at: now(), body: text.into() };
    let known = Known {
        reasons: vec![text.to_owned()],
        started_at: now(),
        config_read_at: now(),
        is_reloaded: true,
        address: "127.0.0.1:9095".to_owned(),
        hosts: 1,
        running: 0,
        journal_errors: 0,
    };
    let wish = Wish { host: text.to_owned(), ..Wish::default() };
    let refused =
        RefusedPage { frame: frame(), status: 404, heading: "There is no such thing", why: text.to_owned() };
    vec![
        fleet(&[host_in_trouble("ray-80", text)], &Wish::default()),
        fleet(&[], &wish),
        fitting(|most| HostPage::new(frame(), &host, Some(&whole), now(), most)).unwrap(),
        fitting(|most| HostPage::new(frame(), &host, Some(&over), now(), most)).unwrap(),
        fitting(|most| IncidentPage::new(frame(), &whole, now(), most)).unwrap(),
        fitting(|most| IncidentPage::new(frame(), &over, now(), most)).unwrap(),
        attempt_page(&attempt(text)),
        fitting(|most| NotificationPage::new(frame(), &received, now(), most)).unwrap(),
        fitting(|most| StatusPage::new(frame(), &known, std::slice::from_ref(&ignored), now(), most))
            .unwrap(),
        config_page(text, None),
        refused.render().unwrap(),
    ]
}

fn fleet(hosts: &[HostView], wish: &Wish) -> String {
    fitting(|most| FleetPage::new(frame(), hosts, wish, now(), most)).unwrap()
}

fn attempt_page(attempt: &AttemptView) -> String {
    let reported = Reported::new(attempt);
    fitting(|most| AttemptPage::new(frame(), &reported, now(), most)).unwrap()
}

fn config_page(text: &str, part: Option<usize>) -> String {
    ConfigPage::new(frame(), text, &config::Wish { part }).render().unwrap()
}

/// What tags and attributes are made of.
fn marks(html: &str) -> [usize; 3] {
    ['<', '>', '"'].map(|mark| html.matches(mark).count())
}

#[test]
fn hostile_texts_stay_texts_on_every_page() {
    let expected: Vec<_> = every_page("a text").iter().map(|html| marks(html)).collect();
    for text in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</title><svg onload=alert(1)>",
        "</pre></main><script src=//evil.example/x.js></script>",
        "javascript:alert(1)",
        "{{ 7*7 }}${7*7}<!--",
        "&lt;script&gt;",
    ] {
        for (html, expected) in every_page(text).iter().zip(&expected) {
            assert_eq!(marks(html), *expected, "{text}: {html}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_at_all_becomes_a_tag_or_an_attribute(text in "\\PC{1,40}") {
        let plain = every_page("a text");
        for (html, plain) in every_page(&text).iter().zip(&plain) {
            prop_assert_eq!(marks(html), marks(plain));
        }
    }
}

#[test]
fn an_address_says_which_hosts_are_shown_and_in_which_order() {
    let hosts = || {
        let mut failing = host("ray-c");
        failing.failures_in_row = 2;
        vec![host("ray-a"), host_in_trouble("ray-b", "x"), failing, host("other")]
    };
    let shown = |query: &str| {
        let wish: Wish = serde_urlencoded::from_str(query).unwrap();
        let html = fleet(&hosts(), &wish);
        let names = html.split("href=\"hosts/").skip(1);
        names.filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(shown(""), ["ray-b", "ray-c", "other", "ray-a"]);
    assert_eq!(shown("sort=host"), ["other", "ray-a", "ray-b", "ray-c"]);
    assert_eq!(shown("sort=host&order=up"), ["ray-c", "ray-b", "ray-a", "other"]);
    assert_eq!(shown("show=trouble"), ["ray-b"]);
    assert_eq!(shown("show=failing"), ["ray-c"]);
    assert_eq!(shown("mode=unknown&sort=host"), ["other", "ray-a", "ray-c"]);
    assert_eq!(shown("host=ray-&show=all&mode=any&sort=disk&order=down"), ["ray-b", "ray-a", "ray-c"]);
    for wrong in ["sort=colour", "colour=red", "page=x"] {
        serde_urlencoded::from_str::<Wish>(wrong).unwrap_err();
    }
}

#[test]
fn many_hosts_stand_on_several_pages_of_bounded_weight() {
    let hosts: Vec<_> = (0..1000).map(|n| host_in_trouble(&format!("ray-{n:04}"), "x")).collect();
    let page =
        |page| fleet(&hosts, &Wish { sort: fleet::Sort::Host, page: fleet::Page(page), ..Wish::default() });
    let first = page(1);
    assert!(
        first.contains("ray-0039") && !first.contains("ray-0040") && first.contains("Page 1 of 25"),
        "{first}"
    );
    assert!(page(25).contains("ray-0999"));
    assert!(page(999).contains("Page 25 of 25"), "a page too far is the last one");
}

/// A host that told this of its backstop, so many seconds ago.
fn host_that_told(name: &str, backstop: Option<BackstopView>, secs: i64) -> HostView {
    let mut host = host_in_trouble(name, "x");
    host.last_report = host.last_report.map(|report| LastReport {
        reported_at: now() - SignedDuration::from_secs(secs),
        backstop,
        ..report
    });
    host
}

/// One whose last run ended freed, so many minutes ago.
fn freed(minutes: i64, overdue: bool) -> BackstopView {
    BackstopView {
        finished_at: Some(now() - SignedDuration::from_mins(minutes)),
        outcome: Some("freed".to_owned()),
        scheduled_since: Some(now() - SignedDuration::from_hours(50)),
        interval_secs: 3600,
        overdue,
        note: None,
    }
}

#[test]
fn what_a_host_told_of_its_backstop_is_said_in_words_and_with_its_age() {
    let none = |overdue| BackstopView { finished_at: None, outcome: None, ..freed(0, overdue) };
    let noted = BackstopView { note: Some("it is no file".to_owned()), ..none(false) };
    for (told, secs, expected) in [
        (
            Some(freed(40, false)),
            120,
            r#"<span class="mark good">freed</span><span class="sub">40 min ago</span>"#,
        ),
        (
            Some(freed(40, false)),
            1800,
            r#"<span class="mark good">freed</span><span class="sub">40 min ago; told 30 min ago</span>"#,
        ),
        (
            Some(freed(400, true)),
            0,
            r#"<span class="mark bad">overdue</span><span class="sub">the last freed, 6 h 40 min ago</span>"#,
        ),
        (
            Some(none(true)),
            0,
            r#"<span class="mark bad">overdue</span><span class="sub">none for 2 d 2 h</span>"#,
        ),
        (
            Some(none(false)),
            0,
            r#"<span class="mark ">none yet</span><span class="sub">awaited for 2 d 2 h</span>"#,
        ),
        (
            Some(noted),
            0,
            r#"<span class="mark watch">cannot be told</span><span class="sub">it is no file</span>"#,
        ),
        // Its version does not tell.
        (None, 0, r#"<span class="quiet">not told</span>"#),
    ] {
        let html = fleet(&[host_that_told("ray-80", told, secs)], &Wish::default());
        let (_, cell) = html.split_once(r#"<td data-label="Backstop"><span>"#).unwrap();
        let (cell, _) = cell.split_once("</span></td>").unwrap();
        assert_eq!(cell, expected);
    }
    let new = fleet(&[host("ray-80")], &Wish::default());
    let (_, cell) = new.split_once(r#"<td data-label="Backstop"><span>"#).unwrap();
    assert!(cell.starts_with(r#"<span class="quiet">not known yet</span></span></td>"#), "{cell}");
}

#[test]
fn hosts_are_found_and_sorted_by_their_backstop() {
    let hosts = [
        host_that_told("fresh", Some(freed(10, false)), 0),
        host_that_told("late", Some(freed(300, true)), 0),
        host_that_told("older", Some(freed(70, false)), 0),
        host("new"),
        host_that_told("old-version", None, 0),
    ];
    let shown = |query: &str| {
        let html = fleet(&hosts, &serde_urlencoded::from_str(query).unwrap());
        let names = html.split("href=\"hosts/").skip(1);
        names.filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(shown("sort=backstop"), ["late", "older", "fresh", "new", "old-version"]);
    assert_eq!(shown("sort=backstop&order=up"), ["old-version", "new", "fresh", "older", "late"]);
    assert_eq!(shown("show=backstop"), ["late"]);
}

#[test]
fn an_attempt_without_its_report_says_where_that_is() {
    let without = |attempt: AttemptView| {
        let html = attempt_page(&attempt);
        let (_, said) = html.split_once("There is no report: ").unwrap();
        said.split_once("</p>").unwrap().0.to_owned()
    };
    let bare = || AttemptView { report: None, reason: Some("no_report".to_owned()), ..attempt("x") };
    assert!(without(bare()).starts_with("no report. docs/failures.md"));
    assert_eq!(without(AttemptView { finished_at: None, ..bare() }), "it comes when the attempt ends");
    assert_eq!(
        without(AttemptView { report_dropped_bytes: Some(120_000), ..bare() }),
        "one of 120.0 kB came and was dropped, to keep all reports within journal.reports_bytes. The host may have \
         it in /var/log/raysweep"
    );
}
