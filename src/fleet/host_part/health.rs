//! What `doctor` is told of a host: read as root, on the host itself. Nothing is changed, and nothing is
//! waited for without a bound.

mod processes;

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime},
};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    LookOver, changes,
    place::Place,
    system,
    wanted::{CRON, LINK, SETTINGS, TEXTFILE},
};
use crate::{
    config::{self, sweep::SweepSettings},
    domain::{backstop::RUN, hold},
    fleet::order::health::{Cron, Examination, Health, LastRun, Settings, Textfile},
};

/// How long a container runtime may take to say that it is there.
const PING: Duration = Duration::from_secs(5);
/// The longest figures that are read.
const TEXTFILE_BYTES: u64 = 16 << 20;

/// Looks at everything once.
pub(super) fn of(examination: &Examination, place: &Place, look_over: LookOver) -> Health {
    let Examination { part, textfile_dir } = examination;
    let loaded = config::load_sweep(&place.path(SETTINGS)).map_err(|error| error.to_string());
    // What does not load says nothing: then the defaults say where things lie.
    let settings = loaded.as_ref().cloned().unwrap_or_default();
    let now = Timestamp::now();
    Health {
        now,
        changes: part.as_ref().map(|part| changes(part, place)),
        version: system::version(),
        settings: loaded.map(|settings| told(&settings)),
        hold: hold(&place.path(&settings.hold_file)),
        cron: cron(&settings, now, place),
        lock: processes::holder_of(&place.path(settings.lock_dir())).map_err(|error| error.to_string()),
        containers: containers(&settings, place),
        temp_roots: look_over(&settings),
        sudo: system::sudo_allows(),
        textfile: textfile(textfile_dir, place),
        exporters: processes::exporters(&place.path(textfile_dir)),
    }
}

fn told(settings: &SweepSettings) -> Settings {
    Settings {
        mode: settings.mode,
        deadline_secs: settings.deadline.0.as_secs(),
        socket: settings.containers.socket.clone(),
        hold_file: settings.hold_file.clone(),
    }
}

/// As a sweep takes it: one that cannot be read is a hold.
fn hold(file: &Path) -> Option<String> {
    match fs::read_to_string(file) {
        Ok(text) => Some(hold::reason(&text).unwrap_or_else(|| "it says no reason".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(error.to_string()),
    }
}

fn cron(settings: &SweepSettings, now: Timestamp, place: &Place) -> Cron {
    let file = fs::metadata(place.path(CRON)).ok();
    let last: Option<LastRun> = fs::read(place.path(&settings.runtime_dir).join("last-cron.json"))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    let written = file.as_ref().and_then(|file| Timestamp::from_second(file.mtime()).ok());
    // One that never ran could have from when it was put in place, or from the boot that took its results.
    let since = match &last {
        Some(last) => Some(last.finished_at),
        None => written.max(processes::booted_at()),
    };
    let until = now.checked_sub(RUN).unwrap_or(now);
    let missed = since.map(|since| settings.schedule.runs(since, until, &TimeZone::system()));
    Cron { has_file: file.is_some(), runs: processes::cron_runs(), last, missed }
}

/// A bare host may have no runtime.
fn containers(settings: &SweepSettings, place: &Place) -> Option<Result<(), String>> {
    let socket = place.path(&settings.containers.socket);
    if settings.bare.is_some() && !socket.exists() {
        return None;
    }
    Some(ping(&socket).map_err(|error| error.to_string()))
}

fn ping(socket: &Path) -> io::Result<()> {
    let mut stream = system::connect(socket)?;
    stream.set_read_timeout(Some(PING))?;
    stream.set_write_timeout(Some(PING))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    if answer.starts_with(b"HTTP/1.") && answer.ends_with(b" 200") {
        Ok(())
    } else {
        Err(io::Error::other(format!("it answers {:?}", String::from_utf8_lossy(&answer))))
    }
}

fn textfile(textfile_dir: &Path, place: &Place) -> Textfile {
    let file = place.path(TEXTFILE);
    let age_secs = fs::metadata(&file)
        .and_then(|metadata| metadata.modified())
        .map(|modified| SystemTime::now().duration_since(modified).unwrap_or_default().as_secs());
    let mut text = String::new();
    let opened = fs::File::open(&file).map(|file| file.take(TEXTFILE_BYTES));
    let _ = opened.and_then(|mut file| file.read_to_string(&mut text));
    let link = place.path(textfile_dir).join(LINK);
    let is_same = |link: &Path| {
        let (one, other) = (fs::metadata(link).ok()?, fs::metadata(&file).ok()?);
        Some((one.dev(), one.ino()) == (other.dev(), other.ino()))
    };
    let modified =
        |metadata: io::Result<fs::Metadata>| Timestamp::try_from(metadata.ok()?.modified().ok()?).ok();
    let leads = fs::read_link(&link).is_ok_and(|to| to == Path::new(TEXTFILE));
    Textfile {
        age_secs: age_secs.map_err(|error| format!("{TEXTFILE}: {error}")),
        is_linked: leads || is_same(&link).unwrap_or(false),
        written_at: modified(fs::metadata(&file)),
        linked_at: modified(fs::symlink_metadata(&link)),
        metrics: metrics(&text),
    }
}

/// The names of the metrics that have a figure, each once.
fn metrics(text: &str) -> Vec<String> {
    let names =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next());
    let mut names: Vec<_> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use super::*;

    #[test]
    fn figures_are_named_once_and_only_those_that_are_there() {
        let text = "# HELP b Bytes.\n# TYPE b gauge\na{worker=\"x\"} 1\na{worker=\"y\"} 2\nc 3\n\n";
        assert_eq!(metrics(text), ["a", "c"]);
    }

    #[test]
    fn what_node_exporter_reads_is_the_file_or_a_link_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::below(folder.path(), Path::new(""));
        let textfile_dir = Path::new("/var/textfiles");
        fs::create_dir_all(place.path(textfile_dir)).unwrap();
        fs::create_dir_all(place.path("/run/raysweep")).unwrap();
        let seen = textfile(textfile_dir, &place);
        assert!(seen.age_secs.is_err() && !seen.is_linked, "{seen:?}");
        fs::write(place.path(TEXTFILE), "a 1\n").unwrap();
        assert!(!textfile(textfile_dir, &place).is_linked);
        symlink(TEXTFILE, place.path(textfile_dir).join(LINK)).unwrap();
        let seen = textfile(textfile_dir, &place);
        assert!(seen.written_at.is_some() && seen.linked_at >= seen.written_at, "{seen:?}");
        assert!(seen.age_secs.is_ok_and(|age| age < 60) && seen.is_linked && seen.metrics == ["a"]);
    }

    #[test]
    fn a_runtime_is_there_if_it_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        assert_eq!(ping(&socket).unwrap_err().kind(), io::ErrorKind::NotFound);
        let listener = UnixListener::bind(&socket).unwrap();
        let answering = std::thread::spawn(move || {
            for answer in ["HTTP/1.0 200 OK\r\n\r\nOK", "HTTP/1.1 500 no\r\n\r\n", ""] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 20];
                stream.read_exact(&mut asked).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        ping(&socket).unwrap();
        assert!(ping(&socket).unwrap_err().to_string().contains("500"));
        ping(&socket).unwrap_err();
        answering.join().unwrap();
    }

    #[test]
    fn a_hold_says_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hold");
        assert_eq!(hold(&file), None);
        fs::write(&file, "").unwrap();
        assert_eq!(hold(&file).as_deref(), Some("it says no reason"));
        fs::write(&file, " disk swap\nmore").unwrap();
        assert_eq!(hold(&file).as_deref(), Some("disk swap"));
        assert!(hold(folder.path()).is_some());
    }
}
