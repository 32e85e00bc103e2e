//! Whatever hosts, alerts and whoever asks say, a page weighs less than 100 kB with all that it loads, and says what
//! it leaves out.

use super::*;

/// What each page loads.
const LOADED: [&str; 3] = [
    include_str!("../assets/page.css"),
    include_str!("../assets/page.js"),
    include_str!("../assets/icon.svg"),
];
/// What answers have before their bodies, all of them together.
const HEADS: usize = 2_000;

fn assert_light(html: &str) {
    let loaded: usize = LOADED.iter().map(|text| text.len()).sum();
    let weight = html.len() + loaded + HEADS;
    assert!(weight < 100_000, "{weight} bytes: {}…", &html[..html.floor_char_boundary(3_000)]);
    assert!(html.contains("</main>"));
}

/// Texts that are long, and take five times as much room on a page as anywhere else.
fn texts() -> [String; 4] {
    ["x".repeat(2000), "\"<&>'".repeat(200), "\u{1f4a3}".repeat(500), "a/".repeat(500)]
}

/// A report of so many workers, with so many entries in each of their lists.
fn long_report(workers: usize, entries: usize, text: &str) -> Value {
    let whys = ["too_young", "worker_active", "in_use", "error"];
    let list = |one: &dyn Fn(usize) -> Value| (0..entries).map(one).collect::<Vec<_>>();
    let evidence = list(&|n| {
        let kind = if n + 1 == entries { "gpu_holder" } else { "ray_task" };
        json!({ "kind": kind, "pid": n, "detail": format!("{n} {text}") })
    });
    let removed =
        list(&|n| json!({ "class": "tmp", "path": format!("/tmp/{n}/{text}"), "bytes": n, "files": 2 }));
    let kept = list(&|n| {
        json!({ "class": "tmp", "path": format!("/tmp/{n}/{text}"), "bytes": 1_000_000 - n,
            "why": whys[usize::from(n >= entries / 2) * 2], "detail": text, "pid": 4711 })
    });
    let errors = list(&|n| json!(format!("{n} {text}")));
    let worker = |n: usize| {
        json!({
            "name": format!("{n}{text}"), "runtime": text, "state": "active",
            "verdict": if n + 1 == workers { "failed" } else { "active" }, "note": text,
            "tmp_before_bytes": 9_000_000_000_u64, "tmp_after_bytes": 9_000_000_000_u64, "freed_bytes": 0,
            "evidence": evidence, "removed": removed, "kept": kept, "errors": errors,
        })
    };
    let mut report = report(text);
    report["workers"] = (0..workers).map(worker).collect();
    let disk = report["disks"][0].clone();
    report["disks"] = list(&|_| disk.clone()).into();
    report["prune"]["busy"] = errors.clone().into();
    report["prune"]["errors"] = errors.into();
    report
}

#[test]
fn an_attempt_of_thousands_of_entries_shows_what_matters_and_says_how_many_more_there_are() {
    let html = attempt_page(&reporting("x", long_report(1, 2000, "x")));
    assert_light(&html);
    // The largest and the first that is in use; the first of each kind of sign.
    for shown in ["/tmp/0/x", "/tmp/1000/x", "/tmp/1999/x", "gpu holder", "ray task"] {
        assert!(html.contains(shown), "{shown}");
    }
    assert!(!html.contains("/tmp/999/x</code></th><td data-label=\"Size\""), "it is neither");
    let more = |what: &str| {
        let (_, rest) = html.split_once(what).unwrap_or_else(|| panic!("{what}"));
        let (count, rest) = rest.split_once(" more").unwrap();
        assert!(rest.split("</").next().unwrap().contains(&format!("api/v1/attempts/{ID}")), "{rest:.200}");
        count.parse::<usize>().unwrap()
    };
    let shown = |label: &str| html.matches(label).count();
    assert_eq!(more("Kept, and why; ") + shown("data-label=\"Rule\""), 2000);
    assert_eq!(more("Removed; ") + shown("data-label=\"Files\""), 2000);
    assert_eq!(more("what the state stands on; ") + shown("data-label=\"Process\""), 2000);
    assert!(shown("data-label=\"Rule\"") >= 20, "the room is used");
    assert!(html.len() > 50_000, "the room is used: {} bytes", html.len());
}

#[test]
fn an_attempt_of_many_workers_shows_the_one_in_trouble_and_counts_the_others() {
    let mut report = long_report(300, 3, "x");
    // Of the one in trouble nothing is known, and it stands last.
    let workers = report["workers"].as_array_mut().unwrap();
    for worker in workers.iter_mut().take(299) {
        worker["verdict"] = json!("nothing_to_remove");
        worker["errors"] = json!([]);
    }
    workers[299]["tmp_before_bytes"] = json!(0);
    let html = attempt_page(&reporting("x", report));
    assert_light(&html);
    assert!(html.contains("<h3>299x "), "the one that failed");
    let shown = html.matches("<h3>").count();
    assert!(shown >= 8, "{shown}");
    let more = format!("{0} more workers ({0} × nothing to remove)", 300 - shown);
    assert!(html.contains(&more), "{more}");
}

#[test]
fn no_report_makes_a_page_heavy() {
    for text in texts() {
        for (workers, entries) in [(1, 1), (1, 300), (40, 1), (30, 7), (100, 1)] {
            let html = attempt_page(&reporting(&text, long_report(workers, entries, &text)));
            assert_light(&html);
            assert!(html.contains("data-label=\"Rule\""), "the report is one");
        }
    }
    // Nor one that is not there, or that cannot be read.
    let unreadable = reporting("x", json!("x".repeat(100_000)));
    for attempt in [unreadable, AttemptView { report: None, ..attempt("x") }] {
        let reason = Some("<".repeat(100_000));
        assert_light(&attempt_page(&AttemptView { reason, ..attempt }));
    }
}

/// An incident of so many alerts and attempts.
fn long_incident(count: usize, text: &str) -> IncidentWhole {
    let mut whole = IncidentWhole {
        incident: incident(text),
        history: vec![AttemptView { report: None, ..attempt(text) }; count],
        notifications: vec![],
        timeline: vec![],
    };
    whole.incident.alerts = (0..count)
        .map(|n| AlertView {
            name: format!("{n} {text}"),
            status: if n == 0 { "firing" } else { "resolved" }.to_owned(),
            last_seen: now() + SignedDuration::from_secs(n.try_into().unwrap()),
            last_notification: Some("another".to_owned()),
            ..whole.incident.alerts[0].clone()
        })
        .collect();
    let of_all =
        |what| Event { at: now(), event: what, reason: Some("expired".to_owned()), ..Event::default() };
    whole.timeline.push(of_all("opened"));
    for _ in 0..count {
        whole
            .timeline
            .extend(["alert_joined", "attempt_started", "attempt_ended"].map(|word| event(word, text)));
    }
    whole.timeline.push(of_all("escalated"));
    whole.timeline.push(of_all("closed"));
    whole
}

#[test]
fn an_incident_of_a_thousand_alerts_and_attempts_is_no_heavier_and_keeps_its_begin_and_its_end() {
    for text in texts().iter().map(String::as_str).chain(["x"]) {
        let whole = long_incident(1000, text);
        let page = fitting(|most| IncidentPage::new(frame(), &whole, now(), most)).unwrap();
        let incidents = vec![whole.incident.clone(); 20];
        let host = HostWhole {
            host: host_in_trouble(&"h".repeat(253), text),
            attempts: whole.history.clone(),
            incidents,
        };
        let of_host = fitting(|most| HostPage::new(frame(), &host, Some(&whole), now(), most)).unwrap();
        for html in [page, of_host] {
            assert_light(&html);
            let firing = "data-label=\"Status\">firing<";
            for told in ["the incident opened", "a person was told", "the incident closed", firing] {
                assert!(html.contains(told), "{told}");
            }
            let (_, story) = html.split_once("class=\"story\"").unwrap();
            let events = story.split("</ol>").next().unwrap().matches("<li>").count();
            assert!(html.contains(&format!("{} more are left out between these", 3003 - events)));
            let alerts = html.matches("data-label=\"Last received\"").count();
            assert!(html.contains(&format!("<caption>{} more: ", 1000 - alerts)));
            let attempts = html.matches("data-label=\"Took\"").count();
            assert!(html.contains(&format!("{} more, which are older", 1000 - attempts)));
        }
    }
}

#[test]
fn a_host_of_many_disks_shows_the_fullest() {
    for text in texts() {
        let mut view = host_in_trouble("ray-80", &text);
        let report = view.last_report.as_mut().unwrap();
        let disk =
            |n: u64| Disk { mount: format!("{n}:{text}"), avail_after_bytes: n, ..report.disks[0].clone() };
        report.disks = (0..5000).rev().map(disk).collect();
        let host = HostWhole { host: view, incidents: vec![], attempts: vec![] };
        let html = fitting(|most| HostPage::new(frame(), &host, None, now(), most)).unwrap();
        assert_light(&html);
        assert!(html.contains("<dt>Disk 0:") && !html.contains("<dt>Disk 4999:"));
    }
}

#[test]
fn a_fleet_of_a_thousand_hosts_with_the_longest_names_is_no_heavier() {
    for text in texts() {
        let mut hosts: Vec<_> =
            (0..1000).map(|n| host_in_trouble(&format!("{n:04}{}", "h".repeat(249)), &text)).collect();
        for host in &mut hosts {
            let incident = host.incident.as_mut().unwrap();
            incident.escalation = Some("critical_nothing_to_free".to_owned());
        }
        // As many links as there are, each with the longest part of a name.
        let part = "h".repeat(249);
        let wish = Wish { host: part, page: fleet::Page(2), sort: fleet::Sort::Backstop, ..Wish::default() };
        wish.check().unwrap();
        let html = fleet(&hosts, &wish);
        assert_light(&html);
        assert_eq!(html.matches("href=\"hosts/").count(), 40);
        let none = Wish { host: "<".repeat(253), ..Wish::default() };
        none.check().unwrap();
        assert_light(&fleet(&hosts, &none));
        Wish { host: "h".repeat(254), ..Wish::default() }.check().unwrap_err();
    }
}

#[test]
fn neither_a_notification_nor_ignored_alerts_nor_a_long_configuration_are_heavier() {
    for text in texts() {
        let body = format!("[\"{}\"]", text.repeat(100)).into_bytes();
        let received = NotificationView { id: ID.parse().unwrap(), received_at: now(), body };
        let html = fitting(|most| NotificationPage::new(frame(), &received, now(), most)).unwrap();
        assert_light(&html);
        assert!(html.contains("are shown; <a"));
        let ignored = IgnoredView {
            fingerprint: String::new(),
            reason: "unknown_host".to_owned(),
            name: text.clone(),
            labels: json!({ "a": text }),
            first_seen: now(),
            last_seen: now(),
            times: i64::MAX,
        };
        let ignored = vec![ignored; 50];
        let known = Known {
            reasons: vec![text.clone(); 5],
            started_at: now(),
            config_read_at: now(),
            is_reloaded: false,
            address: "[::]:9095".to_owned(),
            hosts: 1,
            running: 0,
            journal_errors: 9,
        };
        let html = fitting(|most| StatusPage::new(frame(), &known, &ignored, now(), most)).unwrap();
        assert_light(&html);
        let shown = html.matches("<tr><th scope=\"row\">").count();
        assert!(shown == 50 || html.contains(&format!("and {} more", 50 - shown)), "{shown}");
        let lines = format!("{text}\n").repeat(200);
        let first = config_page(&lines, None);
        assert_light(&first);
        let (_, of) = first.split_once("Part 1 of ").unwrap();
        let of: usize = of.split('<').next().unwrap().parse().unwrap();
        (2..=of).for_each(|part| assert_light(&config_page(&lines, Some(part))));
        assert!(config_page(&lines, Some(of + 9)).contains(&format!("Part {of} of {of}")));
    }
}
