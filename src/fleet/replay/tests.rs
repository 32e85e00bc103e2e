use expect_test::{Expect, expect};
use jiff::Timestamp;

use super::*;

fn check(labels: &[(&str, &str)], status: AlertStatus, expected: Expect) {
    let directory = Directory::new(
        ["ray-80", "ray-81"].map(|name| (name.parse().unwrap(), vec![format!("10.0.0.{}", &name[4..])])),
    )
    .unwrap();
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let alert = Alert {
        fingerprint: "00ff00ff00ff00ff".parse().unwrap(),
        status,
        labels: labels.chain([("alertname".to_owned(), "RayWorkerDiskCritical".to_owned())]).collect(),
        starts_at: Timestamp::UNIX_EPOCH,
        ends_at: None,
    };
    let notification = Notification { truncated_alerts: 0, alerts: vec![alert] };
    let explained = explain(&notification, &Policies::default(), &directory);
    let Explained { alert: _, fingerprint: _, status, host, urgency, decision, why } = &explained[0];
    let (host, urgency) = (host.as_deref().unwrap_or("-"), urgency.unwrap_or("-"));
    expected.assert_eq(&format!("{status} {host} {urgency} {decision}\n{why}"));
}

#[test]
fn a_firing_alert_leads_to_a_sweep_and_a_resolved_one_does_not() {
    let labels = [("host", "ray-80"), ("instance", "cadvisor:8080")];
    check(
        &labels,
        AlertStatus::Firing,
        expect![[r#"
        firing ray-80 critical sweep
        host="ray-80" names ray-80, instance="cadvisor:8080" names no host of the inventory: joins the host's incident, and the host is swept when it is due"#]],
    );
    check(
        &labels,
        AlertStatus::Resolved,
        expect![[r#"
        resolved ray-80 critical resolve
        host="ray-80" names ray-80, instance="cadvisor:8080" names no host of the inventory: its incident closes once no other alert of the host fires; nothing is swept"#]],
    );
    check(
        &[("instance", "10.0.0.81:9100")],
        AlertStatus::Firing,
        expect![[r#"
        firing ray-81 critical sweep
        instance="10.0.0.81:9100" names ray-81: joins the host's incident, and the host is swept when it is due"#]],
    );
}

#[test]
fn labels_that_lead_nowhere_are_told_why() {
    check(
        &[("host", "ray-99"), ("instance", "10.0.0.80:9100")],
        AlertStatus::Firing,
        expect![[r#"
        firing - - unknown_host
        host="ray-99" names no host of the inventory, instance="10.0.0.80:9100" names ray-80, and the first label counts"#]],
    );
    check(
        &[("host", "ray-80"), ("instance", "10.0.0.81:9100")],
        AlertStatus::Firing,
        expect![[r#"
        firing - - ambiguous_host
        host="ray-80" names ray-80, instance="10.0.0.81:9100" names ray-81: sweeping the wrong host helps nobody"#]],
    );
    check(
        &[("job", "node")],
        AlertStatus::Firing,
        expect![[r#"
        firing - - no_host_label
        it has none of the labels host, node, nodename, instance"#]],
    );
    check(
        &[("host", "-oProxyCommand=x\n\u{1b}[2J")],
        AlertStatus::Firing,
        expect![[r#"
        firing - - unknown_host
        host="-oProxyCommand=x\n\u{1b}[2J" names no host of the inventory, and the first label counts"#]],
    );
    check(
        &[("host", &"x".repeat(64 * 1024))],
        AlertStatus::Firing,
        expect![[r#"
        firing - - unknown_host
        host="xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…" names no host of the inventory, and the first label counts"#]],
    );
}
