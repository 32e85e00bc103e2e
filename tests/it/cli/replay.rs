//! `replay` offline: recorded payloads explained.

use std::{fs, path::Path};

use expect_test::{Expect, expect};

use super::{raysweep, said};

const CONFIG: &str = "hosts: [{ name: ray-80, address: 10.0.0.80 }, { name: ray-81, address: 10.0.0.81 }]\n";

fn check(payload: &str, expected: Expect) {
    let payload = Path::new(env!("CARGO_MANIFEST_DIR")).join("alertmanager/payloads").join(payload);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("raysweep.yml"), CONFIG).unwrap();
    let mut command = raysweep();
    command.current_dir(&folder).args(["replay", "--config.file", "raysweep.yml"]).arg(payload);
    expected.assert_eq(&said(&mut command));
}

#[test]
fn recorded_payloads_are_explained_alert_by_alert() {
    check(
        "firing-two-hosts.json",
        expect![[r#"
        exit 0
          alert                        status   host     urgency   decision   why
        ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
          RayWorkerLargeTmpDirectory   firing   ray-80   warning   sweep      host="ray-80" names ray-80: joins the host's incident, and the host is swept when it is due
          RayWorkerLargeTmpDirectory   firing   ray-81   warning   sweep      host="ray-81" names ray-81: joins the host's incident, and the host is swept when it is due
    "#]],
    );
    check(
        "partly-resolved.json",
        expect![[r#"
        exit 0
          alert                    status     host   urgency   decision       why
        ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
          RayWorkerDiskCritical    resolved   -      -         unknown_host   host="ray-84" names no host of the inventory, and the first label counts
          RayWorkerDiskUsageHigh   firing     -      -         unknown_host   host="ray-84" names no host of the inventory, and the first label counts
    "#]],
    );
    check(
        "instance-only.json",
        expect![[r#"
        exit 0
          alert                   status   host     urgency    decision   why
        ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
          RayWorkerDiskCritical   firing   ray-80   critical   sweep      instance="10.0.0.80:9100" names ray-80: joins the host's incident, and the host is swept when it is due
    "#]],
    );
    check(
        "unknown-alert.json",
        expect![[r#"
        exit 0
          alert             status   host   urgency   decision        why
        ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
          HostOutOfMemory   firing   -      -         unknown_alert   no policy has this name; there are RayWorkerCriticalTmpDirectory, RayWorkerDiskCritical, RayWorkerDiskUsageHigh, RayWorkerLargeTmpDirectory
    "#]],
    );
    check(
        "truncated.json",
        expect![[r#"
        exit 0
          alert                           status   host     urgency    decision   why
        ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
          RayWorkerCriticalTmpDirectory   firing   ray-80   critical   sweep      host="ray-80" names ray-80: joins the host's incident, and the host is swept when it is due
          RayWorkerCriticalTmpDirectory   firing   ray-81   critical   sweep      host="ray-81" names ray-81: joins the host's incident, and the host is swept when it is due
        2 more alerts were cut off by the sender and are not sent again: raise max_alerts
    "#]],
    );
}

#[test]
fn a_payload_comes_from_standard_input_as_well_and_the_explanation_goes_to_programs() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("raysweep.yml"), CONFIG).unwrap();
    let payload = r#"{"alerts":[{"status":"firing","labels":{"alertname":"RayWorkerDiskCritical","host":"$(id)"},
        "annotations":{},"startsAt":"2026-01-05T10:00:00Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"00ff"}]}"#;
    let mut command = raysweep();
    command.current_dir(&folder).args(["replay", "--config.file", "raysweep.yml", "--json", "-"]);
    expect![[r#"
        exit 0
        [{"alert":"RayWorkerDiskCritical","fingerprint":"00ff","status":"firing","host":null,"urgency":null,"decision":"unknown_host","why":"host=\"$(id)\" names no host of the inventory, and the first label counts"}]
    "#]].assert_eq(&said(command.write_stdin(payload)));
}

#[test]
fn what_is_no_payload_is_refused_with_its_place() {
    for (payload, expected) in [
        (
            "{",
            expect![[r#"
        exit 6
        raysweep: -: the body is no JSON: EOF while parsing an object at line 1 column 1
    "#]],
        ),
        (
            r#"{"alerts":[{"status":"firing"}]}"#,
            expect![[r#"
        exit 6
        raysweep: -: alerts[0]: missing field `startsAt` at line 1 column 30
    "#]],
        ),
    ] {
        expected.assert_eq(&said(raysweep().args(["replay", "-"]).write_stdin(payload)));
    }
}
