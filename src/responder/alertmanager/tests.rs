use super::*;

macro_rules! payload {
    ($name:literal) => {
        include_bytes!(concat!("../../../alertmanager/payloads/", $name)).as_slice()
    };
}

const RECORDED: [&[u8]; 9] = [
    payload!("firing-single.json"),
    payload!("firing-two-hosts.json"),
    payload!("instance-only.json"),
    payload!("partly-resolved.json"),
    payload!("resolved.json"),
    payload!("truncated.json"),
    payload!("unknown-alert.json"),
    payload!("warning-and-critical.json"),
    payload!("handmade-grafana.json"),
];

#[test]
fn what_a_real_alertmanager_sent_is_read() {
    for body in RECORDED {
        let notification = parse(body).unwrap();
        assert!(!notification.alerts.is_empty());
        for alert in notification.alerts {
            assert!(!alert.name().is_empty());
            assert_eq!(alert.ends_at.is_some(), alert.status == AlertStatus::Resolved);
        }
    }
    assert_eq!(parse(payload!("truncated.json")).unwrap().truncated_alerts, 2);
}

#[test]
fn our_fingerprint_is_the_one_that_alertmanager_sends() {
    for body in &RECORDED[..8] {
        for alert in parse(body).unwrap().alerts {
            assert_eq!(fingerprint_of(&alert.labels), alert.fingerprint);
        }
    }
}

#[test]
fn each_alert_keeps_its_own_status() {
    let statuses: Vec<_> =
        parse(payload!("partly-resolved.json")).unwrap().alerts.iter().map(|alert| alert.status).collect();
    assert!(statuses.contains(&AlertStatus::Firing) && statuses.contains(&AlertStatus::Resolved));
}

#[test]
fn what_is_no_notification_says_where_and_why() {
    for no_json in ["", "{\"alerts\":[", "{\"alerts\":[]} x"] {
        let error = parse(no_json.as_bytes()).unwrap_err();
        assert!(matches!(error, PayloadError::Syntax(_)), "{error}");
    }
    for (body, place) in [
        ("[]", ".: "),
        ("{}", ".: "),
        (r#"{"alerts":[{"status":"pending","startsAt":"2026-01-01T00:00:00Z"}]}"#, "alerts[0].status: "),
        (r#"{"alerts":[{"status":"firing","startsAt":"yesterday"}]}"#, "alerts[0].startsAt: "),
    ] {
        let error = parse(body.as_bytes()).unwrap_err();
        assert!(matches!(error, PayloadError::Shape { .. }), "{error}");
        assert!(error.to_string().starts_with(place), "{error}");
    }
}

#[test]
fn a_sender_cannot_write_a_line_of_our_log_with_what_it_sends() {
    let forged = r"x\n2026-01-05T10:00:00Z  INFO raysweep: attempt ended".repeat(1000);
    for (status, label, value) in [("firing", forged.as_str(), "5"), (forged.as_str(), "host", "\"h\"")] {
        let alert = format!(
            r#"{{"status":"{status}","startsAt":"2026-01-01T00:00:00Z","labels":{{"{label}":{value}}}}}"#
        );
        let told = parse(format!(r#"{{"alerts":[{alert}]}}"#).as_bytes()).unwrap_err().to_string();
        assert!(told.contains(r"x\u{a}2026-01-05") && !told.contains(char::is_control), "{told}");
        assert!(told.len() < 1500, "{told}");
    }
}

#[test]
fn nulls_and_missing_fingerprints_are_forgiven() {
    let body = r#"{"alerts":[{"status":"firing","startsAt":"2026-01-01T00:00:00+02:00","labels":null,"annotations":null,"fingerprint":"zz"}],"truncatedAlerts":null,"new":{"deep":[1]}}"#;
    let notification = parse(body.as_bytes()).unwrap();
    assert_eq!(notification.alerts[0].fingerprint, fingerprint_of(&BTreeMap::new()));
}
