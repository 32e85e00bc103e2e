use std::{path::PathBuf, time::Duration};

use super::*;
use crate::sweeper::{
    FileId, ProcessId,
    processes::fixture::{self, namespaces},
};

fn raylet() -> Raylet {
    Raylet::of(&fixture::raylet(20, 10)).unwrap()
}

fn worker(runtime: Runtime, raylets: Vec<Raylet>) -> Worker {
    Worker {
        name: "ray-worker-1".to_owned(),
        runtime,
        container: Some(fixture::CONTAINER.to_owned()),
        init: ProcessId { pid: 10, start_ticks: 1 },
        mount_namespace: namespaces(1).mount,
        pid_namespace: FileId { dev: 4, ino: 2 },
        cgroup: String::new(),
        raylets,
        temp_roots: vec![],
        upper_layer: None,
        started_at: None,
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

fn reason(worker: &Worker) -> String {
    let mut settings = SweepSettings::default();
    // Whoever asks in spite of all finds nobody here.
    settings.containers.socket = PathBuf::from("/nonexistent/docker.sock");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match runtime.block_on(ask(worker, &settings, soon())) {
        Jobs::Unknown(reason) => reason,
        Jobs::Known(jobs) => panic!("{jobs:?}"),
    }
}

#[test]
fn who_cannot_be_asked_is_unknown() {
    for runtime in [Runtime::Unknown, Runtime::Bare] {
        assert!(reason(&worker(runtime, vec![raylet()])).contains("no runtime"));
    }
    assert!(reason(&worker(Runtime::Docker, vec![])).contains("no raylet"));
    let silent = |change: fn(&mut Raylet)| {
        let mut raylet = raylet();
        change(&mut raylet);
        reason(&worker(Runtime::Docker, vec![raylet]))
    };
    assert!(silent(|raylet| raylet.python = None).contains("no Python"));
    assert!(silent(|raylet| raylet.gcs_address = None).contains("no GCS"));
    assert!(silent(|_| {}).contains("Socket not found"));
}

#[test]
fn what_a_raylet_names_is_passed_only_in_the_shape_of_what_it_should_be() {
    for good in ["/usr/bin/python3", "/opt/my env/bin/python3.11"] {
        assert!(is_python(good), "{good}");
    }
    for bad in ["python3", "/bin/rm", "/tmp/../bin/python3", "/usr/bin/python3\n", "", "/usr/bin/python3/"] {
        assert!(!is_python(bad), "{bad:?}");
    }
    for good in ["10.0.0.80:6379", "ray-head.local:6379", "[fd00::1]:6379"] {
        assert!(is_address(good), "{good}");
    }
    for bad in [
        "10.0.0.80",
        ":6379",
        "a:0",
        "a:65536",
        "a:+1",
        "-oX=y:1",
        "$(id):1",
        "a b:1",
        "a:1;id",
        "[x]:1",
        "a:",
        "é:1",
    ] {
        assert!(!is_address(bad), "{bad}");
    }
}

#[test]
fn each_string_is_an_argument_of_its_own_and_runs_as_the_raylets_user() {
    let mut raylet = raylet();
    (raylet.user_id, raylet.group_id) = (1000, 100);
    let question = Question::of(&raylet).unwrap();
    assert_eq!(question.user, "1000:100");
    assert_eq!(question.command(10), ["/usr/bin/python3", "-B", "-c", SCRIPT, "10.0.0.80:6379", "10"]);
    assert!(SCRIPT.contains(MARKER), "the script and its reader name the same line");
    let alarm = SCRIPT.find("signal.alarm").unwrap();
    assert!(alarm < SCRIPT.find("ray").unwrap(), "the alarm is set before anything that may hang");
}

#[test]
fn a_raylet_of_another_user_does_not_answer_for_this_one() {
    let (real, again) = (raylet(), raylet());
    let other_user = Raylet { user_id: 1000, ..raylet() };
    let other_python = Raylet { python: Some("/tmp/python3".to_owned()), ..raylet() };
    let other_cluster = Raylet { gcs_address: Some("10.0.0.81:6379".to_owned()), ..raylet() };
    let raylets = [other_user, other_python, real, again, other_cluster];
    let asked = Question::all_of(&raylets).unwrap();
    let asked: Vec<_> = asked.iter().map(|one| (one.python, one.user.as_str(), one.gcs_address)).collect();
    let (python, gcs) = ("/usr/bin/python3", "10.0.0.80:6379");
    assert_eq!(
        asked,
        [
            (python, "1000:0", gcs),
            ("/tmp/python3", "0:0", gcs),
            (python, "0:0", gcs),
            (python, "0:0", "10.0.0.81:6379")
        ]
    );
}

#[test]
fn who_is_not_asked_in_time_is_unknown() {
    let settings = SweepSettings::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let worker = worker(Runtime::Docker, vec![raylet()]);
    let said = runtime.block_on(async {
        let all = u32::try_from(turns().available_permits()).unwrap();
        let _taken = turns().acquire_many(all).await.unwrap();
        ask(&worker, &settings, Instant::now()).await
    });
    let Jobs::Unknown(reason) = said else { panic!("{said:?}") };
    assert!(reason.contains("in time"), "{reason}");
    // An alarm of 0 is none.
    for (millis, secs) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (9999, 10)] {
        assert_eq!(exec::alarm_secs(Duration::from_millis(millis)), secs, "{millis}");
    }
}

#[test]
fn whatever_is_said_in_place_of_an_answer_is_told_in_bounded_length() {
    let long = "x".repeat(4 << 20);
    let mut raylet = raylet();
    raylet.python = Some(long.clone());
    assert!(reason(&worker(Runtime::Docker, vec![raylet])).len() < 2_000);
    let line = |id: &str, held_by: &str| {
        let output =
            format!(r#"raysweep-live-jobs [{{"id": "{id}", "start_ms": 1, "held_by": "{held_by}"}}]"#);
        parse(&output, Timestamp::now())
    };
    assert!(line("01", &long).unwrap()[0].held_by.len() < 2_000);
    assert!(line(&"0".repeat(64), "").is_ok());
    assert!(line(&"0".repeat(65), "").unwrap_err().contains("no job id"));
}

#[test]
fn one_line_among_rays_warnings_is_the_answer() {
    let now: Timestamp = "2026-01-05T12:00:00Z".parse().unwrap();
    let output = "a warning\nraysweep-live-jobs [{\"id\": \"01000000\", \"start_ms\": 1000, \"held_by\": \"driver 10.0.0.84 pid 3\"}]\nbye\n";
    let job = LiveJob {
        id: "01000000".to_owned(),
        started_at: Timestamp::from_second(1).unwrap(),
        held_by: "driver 10.0.0.84 pid 3".to_owned(),
    };
    assert_eq!(parse(output, now), Ok(vec![job]));
    assert_eq!(parse("raysweep-live-jobs []\n", now), Ok(vec![]));
}

#[test]
fn a_job_that_starts_in_the_future_started_now() {
    let now: Timestamp = "2026-01-05T12:00:00Z".parse().unwrap();
    let line = r#"raysweep-live-jobs [{"id": "01", "start_ms": 99999999999999, "held_by": ""}]"#;
    assert_eq!(parse(line, now).unwrap()[0].started_at, now);
}

#[test]
fn anything_odd_is_no_answer() {
    for output in [
        "",
        "[]",
        "raysweep-live-jobs",
        "raysweep-live-jobs {}",
        "raysweep-live-jobs []\nraysweep-live-jobs []",
        "raysweep-live-jobs [] and more",
        r#"raysweep-live-jobs [{"id": "01", "start_ms": "1", "held_by": ""}]"#,
        r#"raysweep-live-jobs [{"id": "01", "start_ms": -1, "held_by": ""}]"#,
        r#"raysweep-live-jobs [{"id": "xyz", "start_ms": 1, "held_by": ""}]"#,
        r#"raysweep-live-jobs [{"id": "", "start_ms": 1, "held_by": ""}]"#,
        r#"raysweep-live-jobs [{"id": "01", "start_ms": 1, "held_by": "", "dead": true}]"#,
        r#"raysweep-live-jobs [{"id": "01", "held_by": ""}]"#,
    ] {
        assert!(parse(output, Timestamp::now()).is_err(), "{output}");
    }
}
