use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use super::*;
use crate::config::units::Span;

/// A runtime that answers as it is told to, and remembers what it was asked beside its version.
struct Fake {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What to answer; `None` never answers.
type Answer = Option<(u16, String)>;

impl Fake {
    fn start(answer: impl Fn(&str) -> Answer + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        let asked = Arc::new(Mutex::new(vec![]));
        let remembered = asked.clone();
        thread::spawn(move || {
            let mut unanswered = vec![];
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = request(&stream) else { continue };
                if !request.ends_with("/version") {
                    remembered.lock().unwrap().push(request.clone());
                }
                match answer(&request) {
                    Some((status, body)) => reply(&mut stream, status, &body),
                    None => unanswered.push(stream),
                }
            }
        });
        Self { folder, asked }
    }

    fn settings(&self, mode: PruneMode) -> SweepSettings {
        let mut settings = SweepSettings::default();
        settings.prune.mode = mode;
        settings.containers.socket = self.folder.path().join("docker.sock");
        settings.containers.timeout = Span(Duration::from_secs(1));
        settings
    }

    fn prune(&self, mode: PruneMode, within: Duration) -> Option<PruneReport> {
        pruned(&self.settings(mode), within)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn pruned(settings: &SweepSettings, within: Duration) -> Option<PruneReport> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(prune(settings, within))
}

/// Method and path of a request, without the version of the API that the path begins with.
fn request(stream: &UnixStream) -> Option<String> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    // Its head ends with an empty line, and no request here has a body.
    lines.find(|line| line.as_ref().is_ok_and(String::is_empty))?.ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    Some(format!("{method} {}", path.strip_prefix("/v1.41").unwrap_or(path)))
}

fn reply(stream: &mut UnixStream, status: u16, body: &str) {
    // Who was not waiting any more has closed it.
    let _ = write!(
        stream,
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

const LONG: Duration = Duration::from_secs(30);
const DOCKER: &str = "Engine";
const PODMAN: &str = "Podman Engine";

/// Answers everything well, as a runtime whose engine calls itself so; containers as given.
fn well(engine: &'static str, request: &str, containers: &[(&str, &str, &str)]) -> Answer {
    let (_, path) = request.split_once(' ').unwrap();
    let body = match path.split('?').next().unwrap() {
        "/version" => {
            format!(r#"{{"ApiVersion":"1.41","Components":[{{"Name":"{engine}","Version":"1"}}]}}"#)
        }
        "/images/prune" => {
            r#"{"ImagesDeleted":[{"Deleted":"a"},{"Deleted":"b"}],"SpaceReclaimed":700}"#.into()
        }
        "/build/prune" => r#"{"CachesDeleted":["c"],"SpaceReclaimed":50}"#.into(),
        "/containers/json" => {
            let listed =
                containers.iter().map(|(id, labels, _)| format!(r#"{{"Id":"{id}","Labels":{labels}}}"#));
            format!("[{}]", listed.collect::<Vec<_>>().join(","))
        }
        other => {
            let found = containers.iter().find(|(id, ..)| other.split('/').any(|part| part == *id))?;
            if request.starts_with("DELETE") {
                return Some((204, String::new()));
            }
            format!(r#"{{"Id":"{}","SizeRw":3,"State":{{"FinishedAt":"{}"}}}}"#, found.0, found.2)
        }
    };
    Some((200, body))
}

fn ago(hours: i64) -> String {
    (Timestamp::now() - jiff::SignedDuration::from_hours(hours)).to_string()
}

#[test]
fn where_root_says_off_nothing_is_asked() {
    let fake = Fake::start(|request| well(DOCKER, request, &[]));
    assert_eq!(fake.prune(PruneMode::Off, LONG), None);
    assert!(fake.asked().is_empty());
}

#[test]
fn safe_asks_for_dangling_images_and_build_cache_and_for_nothing_else() {
    let fake = Fake::start(|request| well(DOCKER, request, &[]));
    let report = fake.prune(PruneMode::Safe, LONG).unwrap();
    let asked = fake.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].starts_with("POST /images/prune?filters="), "{asked:?}");
    // What somebody builds at this moment is no older than that.
    for filter in ["%22dangling%22%3A%5B%22true%22%5D", "%22until%22%3A%5B%2286400s%22%5D"] {
        assert!(asked[0].contains(filter), "{asked:?}");
    }
    assert_eq!(asked[1], "POST /build/prune");
    let expected =
        PruneReport { mode: "safe".into(), freed_bytes: 750, removed: 3, ..PruneReport::default() };
    assert_eq!(report, expected);
}

#[test]
fn a_stopped_container_goes_by_when_it_finished_and_without_its_volumes() {
    let (old, fresh) = (ago(25), ago(23));
    let fake = Fake::start(move |request| {
        let containers = [
            ("old", "{}", old.as_str()),
            ("fresh", "{}", fresh.as_str()),
            ("labelled", r#"{"raysweep.keep":""}"#, old.as_str()),
            ("never-ran", "{}", "0001-01-01T00:00:00Z"),
            ("no-clock", "{}", "1970-01-01T00:00:00Z"),
            ("untold", "null", ""),
        ];
        well(DOCKER, request, &containers)
    });
    let report = fake.prune(PruneMode::System, LONG).unwrap();
    let asked = fake.asked();
    let deletes: Vec<&String> = asked.iter().filter(|request| request.starts_with("DELETE")).collect();
    assert_eq!(deletes, ["DELETE /containers/old?v=false&force=false&link=false"]);
    assert!(asked.iter().all(|request| !request.contains("/volumes") && !request.contains("/networks")));
    assert!(asked[0].contains("exited") && asked[0].contains("dead") && !asked[0].contains("created"));
    assert_eq!((report.freed_bytes, report.removed), (753, 4), "{report:?}");
    assert!(report.errors.is_empty() && report.busy.is_empty(), "{report:?}");
}

#[test]
fn podman_is_not_asked_for_states_that_it_does_not_know() {
    let fake = Fake::start(|request| match request {
        "POST /build/prune" => Some((404, "Not Found".into())),
        list if list.starts_with("GET /containers/json") && list.contains("dead") => {
            Some((500, r#"{"message":"unknown container state: dead: invalid argument"}"#.into()))
        }
        other => well(PODMAN, other, &[("old", "{}", "2020-01-01T00:00:00Z")]),
    });
    let report = fake.prune(PruneMode::System, LONG).unwrap();
    assert!(report.errors.is_empty(), "{report:?}");
    assert_eq!((report.freed_bytes, report.removed), (703, 3), "{report:?}");
}

#[test]
fn what_another_prune_is_at_is_left_to_it_and_the_rest_goes_on() {
    let conflict = r#"{"message":"a prune operation is already running"}"#;
    let fake = Fake::start(move |request| match request {
        busy if busy.starts_with("POST /images/prune") || busy.starts_with("DELETE") => {
            Some((409, conflict.to_owned()))
        }
        other => well(DOCKER, other, &[("old", "{}", "2020-01-01T00:00:00Z")]),
    });
    let report = fake.prune(PruneMode::System, LONG).unwrap();
    let running = "a prune operation is already running";
    assert_eq!(report.busy, [format!("container old: {running}"), format!("images: {running}")]);
    assert!(report.errors.is_empty(), "{report:?}");
    assert_eq!((report.freed_bytes, report.removed), (50, 1), "the build cache went: {report:?}");
}

#[test]
fn a_container_that_somebody_removed_meanwhile_is_no_error() {
    let gone = |request: &str| request.starts_with("DELETE") || request.contains("/containers/before/");
    let fake = Fake::start(move |request| match request {
        request if gone(request) => Some((404, r#"{"message":"No such container"}"#.into())),
        other => well(DOCKER, other, &[("before", "{}", ""), ("after", "{}", "2020-01-01T00:00:00Z")]),
    });
    let report = fake.prune(PruneMode::System, LONG).unwrap();
    assert!(report.errors.is_empty() && report.busy.is_empty(), "{report:?}");
    assert_eq!((report.freed_bytes, report.removed), (750, 3), "{report:?}");
}

#[test]
fn an_error_is_told_and_the_rest_goes_on() {
    let fake = Fake::start(|request| match request {
        images if images.starts_with("POST /images/prune") => Some((500, r#"{"message":"no space"}"#.into())),
        other => well(DOCKER, other, &[]),
    });
    let report = fake.prune(PruneMode::Safe, LONG).unwrap();
    assert!(report.errors.len() == 1 && report.errors[0].contains("no space"), "{report:?}");
    assert_eq!(report.freed_bytes, 50);
}

#[test]
fn a_runtime_that_hangs_is_not_waited_for_beyond_its_time() {
    for (silent, within, complaint, before) in [
        ("GET /version", LONG, "the container runtime: no answer within 1s", 0),
        ("POST /build/prune", Duration::from_secs(2), "the deadline of the sweep ended the prune", 700),
    ] {
        let fake = Fake::start(move |request| match request {
            silence if silence == silent => None,
            other => well(DOCKER, other, &[]),
        });
        let began = Instant::now();
        let report = fake.prune(PruneMode::Safe, within).unwrap();
        assert_eq!(report.errors, [complaint], "{silent}");
        assert_eq!(report.freed_bytes, before, "{silent}: what went before it is told");
        assert!(began.elapsed() < Duration::from_secs(20), "{silent}: {:?}", began.elapsed());
    }
}

#[test]
fn a_runtime_that_has_gone_is_told() {
    let mut settings = SweepSettings::default();
    settings.containers.socket = "/nonexistent/docker.sock".into();
    let report = pruned(&settings, LONG).unwrap();
    assert_eq!((report.errors.len(), report.removed), (1, 0), "{report:?}");
}

/// Whoever restarts the runtime for it restarts it for nothing.
#[test]
fn with_no_time_left_nothing_is_asked_and_the_runtime_is_not_blamed() {
    let fake = Fake::start(|_| None);
    for within in [Duration::ZERO, Duration::from_millis(999)] {
        let report = fake.prune(PruneMode::Safe, within).unwrap();
        assert_eq!(report.errors, ["the deadline of the sweep left no time to prune"]);
    }
    assert_eq!(fake.asked(), Vec::<String>::new());
}
