//! What an incident and a host say to whoever is called at night, and what they must not say.

use super::*;

fn incident_page(incident: IncidentView) -> String {
    let timeline = ["opened", "escalated", "lowered", "closed"].map(|what| Event {
        at: now(),
        event: what,
        reason: Some("critical_active".to_owned()),
        ..Event::default()
    });
    let whole = IncidentWhole {
        incident,
        history: vec![attempt("x")],
        notifications: vec![],
        timeline: timeline.into(),
    };
    fitting(|most| IncidentPage::new(frame(), &whole, now(), most)).unwrap()
}

fn host_page(newest: IncidentView) -> String {
    let incidents = vec![newest.clone(), closed("resolved")];
    let host = HostWhole { host: host_in_trouble("ray-80", "x"), incidents, attempts: vec![attempt("x")] };
    let whole = IncidentWhole { incident: newest, history: vec![], notifications: vec![], timeline: vec![] };
    fitting(|most| HostPage::new(frame(), &host, Some(&whole), now(), most)).unwrap()
}

#[test]
fn nobody_is_needed_for_what_is_over_and_who_was_told_is_said() {
    for html in [incident_page(incident("x")), host_page(incident("x"))] {
        let needed =
            "<strong>A person is needed:</strong> a critical alert fires, and work in progress holds";
        assert!(html.contains(needed), "{html}");
        assert!(!html.contains("A person was told</dt>"), "{html}");
    }
    for html in [incident_page(closed("resolved")), host_page(closed("resolved"))] {
        for present in ["A person is needed", "needs a person", "alert fires", "note bad"] {
            assert!(!html.contains(present), "{present}: {html}");
        }
        let told = "<dt>A person was told</dt><dd>2023-11-14 20:13:20 UTC, 2 h 0 min ago: a critical alert fired, \
            and work in progress held what there was</dd>";
        assert!(html.contains(told), "{html}");
    }
    let nobody = IncidentView { escalation: None, escalated_at: None, ..closed("resolved") };
    assert!(!incident_page(nobody).contains("A person was told</dt>"));
}

#[test]
fn each_reason_is_said_of_what_is_and_of_what_was() {
    for reason in Escalation::ALL.map(Escalation::as_str) {
        let said = |view: IncidentView| {
            let html = incident_page(IncidentView { escalation: Some(reason.to_owned()), ..view });
            html.split("<h3>What happened").next().unwrap().to_owned()
        };
        let (is, was) = (said(incident("x")), said(closed("resolved")));
        let critical = reason.starts_with("critical_");
        assert_eq!(is.contains("a critical alert fires, "), critical, "{is}");
        assert_eq!(was.contains("a critical alert fired, "), critical, "{was}");
        for present in [" fires", " holds", " may be", " has been", " have been", " observes", "come and go"]
        {
            assert!(!was.contains(present), "{present}: {was}");
        }
    }
}

#[test]
fn the_story_tells_what_a_person_was_told_and_when_that_was_over() {
    let html = incident_page(incident("x"));
    let (_, story) = html.split_once("class=\"story\"").unwrap();
    for said in [
        "a person was told: a critical alert fired, and work in progress held what there was",
        "no critical alert fired any more: nobody had to look at once",
    ] {
        assert!(story.contains(said), "{said}: {story}");
    }
}

#[test]
fn of_too_many_alerts_those_that_fire_are_shown_and_the_critical_one_among_them() {
    let alert = |n: i64, urgency: &str, status: &str| AlertView {
        name: format!("alert-{n}-{urgency}-{status}"),
        urgency: urgency.to_owned(),
        status: status.to_owned(),
        // The one that matters is the last that was received.
        last_seen: now() + SignedDuration::from_secs(n),
        ..incident("x").alerts[0].clone()
    };
    let mut alerts = vec![alert(0, "critical", "firing")];
    alerts.extend((1..=300).map(|n| alert(n, "warning", "firing")));
    alerts.extend((301..=600).map(|n| alert(n, "critical", "resolved")));
    let html = incident_page(IncidentView { alerts, ..incident("x") });
    let shown: Vec<_> = html.split("<th scope=\"row\" data-label=\"Alert\">").skip(1).collect();
    assert!(shown[0].starts_with("alert-0-critical-firing"), "{}", shown[0]);
    assert!(shown[1].starts_with("alert-300-warning-firing"), "{}", shown[1]);
    assert!(shown.iter().all(|row| row.split('<').next().unwrap().ends_with("-firing")));
    assert!(html.contains(&format!("<caption>{} more: ", 601 - shown.len())), "{html}");
}

#[test]
fn what_is_no_distance_says_that_it_is_utc() {
    let html = host_page(incident("x")) + &incident_page(closed("resolved"));
    for said in [
        ">Firing since (UTC)</th>",
        "data-label=\"Firing since (UTC)\"",
        ">What happened (UTC)</h3>",
        ">Asked for (UTC)</th>",
        "data-label=\"Asked for (UTC)\"",
        ">Earlier incidents (UTC)</h2>",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
}

#[test]
fn a_disk_is_told_by_the_temp_roots_on_it_where_the_host_tells() {
    let mut view = host_in_trouble("ray-80", "x");
    let disk = &mut view.last_report.as_mut().unwrap().disks[0];
    disk.mount = "8:1".to_owned();
    disk.temp_roots = (1..=5).map(|n| format!("ray-worker-{n}:/tmp")).collect();
    let shown = |host: &HostView| {
        let host = HostWhole { host: host.clone(), incidents: vec![], attempts: vec![] };
        fitting(|most| HostPage::new(frame(), &host, None, now(), most)).unwrap()
    };
    let html = shown(&view);
    assert!(html.contains("<dt>Disk 8:1</dt>"), "{html}");
    assert!(
        html.contains("under ray-worker-1:/tmp, ray-worker-2:/tmp, ray-worker-3:/tmp and 2 more<"),
        "{html}"
    );
    view.last_report.as_mut().unwrap().disks[0].temp_roots = vec![];
    assert!(!shown(&view).contains("under ray-"));

    let mut told = report("x");
    told["disks"][0]["temp_roots"] = json!(["host:/data/ray"]);
    assert!(attempt_page(&reporting("x", told.clone())).contains("<code>host:/data/ray</code>"));
    told["disks"][0].as_object_mut().unwrap().remove("temp_roots");
    assert!(attempt_page(&reporting("x", told)).contains("<span class=\"quiet\">not told</span>"));
}
