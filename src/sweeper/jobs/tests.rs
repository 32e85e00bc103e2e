use std::path::PathBuf;

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
    }
}

fn reason(worker: &Worker) -> String {
    let mut settings = SweepSettings::default();
    // Whoever asks in spite of all finds nobody here.
    settings.containers.socket = PathBuf::from("/nonexistent/docker.sock");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match runtime.block_on(ask(worker, &settings)) {
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
    let question = Question::of(&raylet, Duration::from_secs(10)).unwrap();
    assert_eq!(question.user, "1000:100");
    assert_eq!(question.command(), ["/usr/bin/python3", "-B", "-c", SCRIPT, "10.0.0.80:6379", "10"]);
    assert!(SCRIPT.contains(MARKER), "the script and its reader name the same line");
    let alarm = SCRIPT.find("signal.alarm").unwrap();
    assert!(alarm < SCRIPT.find("ray").unwrap(), "the alarm is set before anything that may hang");
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
