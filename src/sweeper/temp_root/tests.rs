//! The order of a temp root's sweep, over real folders and the real child. Ages cannot be planted
//! (nobody can back-date a birth), so the sweep's clock stands ahead instead.

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::{
    config::{sweep::Ages, units::Span},
    domain::evidence::WorkerState,
    sweeper::{
        inside::tests::harness::{World, enter, id, wait_for},
        jobs::Jobs,
    },
};

mod again;
mod rounds;
mod rules;
mod survival;
mod time;
mod turn;

struct Stage {
    root: tempfile::TempDir,
    state: WorkerState,
    delete: bool,
    live_pids: BTreeSet<i32>,
    hours_later: i64,
    listed_at_once: usize,
    looking: u32,
    ages: Ages,
}

impl Stage {
    /// A worker without a job, an hour after everything in it was last changed.
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            state: WorkerState::NoJob,
            delete: true,
            live_pids: BTreeSet::new(),
            hours_later: 1,
            listed_at_once: LISTED_AT_ONCE,
            looking: 2,
            ages: Ages::default(),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn plant(&self, path: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![1; 5000]).unwrap();
    }

    fn sweep(&self) -> Findings {
        self.sweep_with(&|| Ok(Signs::default()), &|| None)
    }

    fn sweep_with(
        &self,
        signs: &dyn Fn() -> io::Result<Signs>,
        awake: &dyn Fn() -> Option<String>,
    ) -> Findings {
        self.sweep_inside(&mut enter(self.root.path()), signs, awake, &|| None)
    }

    fn sweep_inside(
        &self,
        inside: &mut Inside,
        signs: &dyn Fn() -> io::Result<Signs>,
        awake: &dyn Fn() -> Option<String>,
        held: &dyn Fn() -> Option<String>,
    ) -> Findings {
        let jobs = Jobs::Known(vec![]);
        let now = Timestamp::now() + SignedDuration::from_hours(self.hours_later);
        let situation = Situation {
            state: self.state,
            jobs: &jobs,
            now,
            ages: &self.ages,
            owner: None,
            shared_with: None,
            set_forward: Duration::ZERO,
        };
        let signs = || signs().map(Rc::new);
        let orders = Orders {
            attempt: AttemptId::now(),
            root: Path::new(""),
            listed_at_once: self.listed_at_once,
            looking: self.looking,
            delete: self.delete,
            leftovers: true,
            live_pids: &self.live_pids,
            sessions: Some(Path::new("ray")),
            first_signs: &signs,
            signs: &signs,
            awake,
            held,
        };
        sweep(inside, &situation, &orders)
    }

    /// Every path under the root, in order.
    fn standing(&self) -> Vec<String> {
        fn under(folder: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                found.push(path.strip_prefix(root).unwrap().display().to_string());
                if path.is_dir() {
                    under(&path, root, found);
                }
            }
        }
        let mut found = vec![];
        under(self.root.path(), self.root.path(), &mut found);
        found.sort();
        found
    }
}

fn kept(findings: &Findings) -> Vec<(&str, KeptBecause)> {
    findings.kept.iter().map(|kept| (kept.path.as_str(), kept.why)).collect()
}

fn removed(findings: &Findings) -> Vec<&str> {
    findings.removed.iter().map(|removed| removed.path.as_str()).collect()
}

/// Signs that see nothing the first time, and this from the second time on.
fn only_later(later: impl Fn() -> Signs) -> impl Fn() -> io::Result<Signs> {
    let looked = Cell::new(false);
    move || Ok(if looked.replace(true) { later() } else { Signs::default() })
}

#[test]
fn leftovers_go_and_everything_else_stays() {
    let stage = Stage::new();
    for path in ["tmpa/x", "ray_tmp_b/x", "pip-c/x", "tmpfile", "checkpoint_tmp_d/x"] {
        stage.plant(path);
    }
    for path in ["mine/x", "ray_tmp_mount/x", "torchinductor_root/x"] {
        stage.plant(path);
    }
    let findings = stage.sweep();
    assert_eq!(removed(&findings).len(), 5, "{findings:?}");
    assert_eq!(
        stage.standing(),
        ["mine", "mine/x", "ray_tmp_mount", "ray_tmp_mount/x", "torchinductor_root", "torchinductor_root/x"]
    );
}

#[test]
fn without_the_order_to_delete_nothing_changes_and_the_same_is_listed() {
    let stage = Stage { delete: false, ..Stage::new() };
    stage.plant("tmpa/x");
    let before = stage.standing();
    let findings = stage.sweep();
    assert_eq!(removed(&findings), ["tmpa"]);
    assert_eq!(stage.standing(), before);
}

#[test]
fn what_comes_into_use_between_the_two_looks_gets_its_name_back() {
    let stage = Stage::new();
    stage.plant("tmpa/x");
    let file = id(&stage.path("tmpa/x"));
    let findings =
        stage.sweep_with(&only_later(|| Signs { files: [(file, 7)].into(), ..Signs::default() }), &|| None);
    assert_eq!(kept(&findings), [("tmpa", KeptBecause::InUse)]);
    assert_eq!(stage.standing(), ["tmpa", "tmpa/x"]);
}

#[test]
fn what_is_written_to_between_the_two_looks_gets_its_name_back() {
    let stage = Stage::new();
    stage.plant("tmpa/x");
    let signs = only_later(|| {
        let detached = fs::read_dir(stage.root.path()).unwrap().next().unwrap().unwrap().path();
        fs::write(detached.join("y"), "new").unwrap();
        Signs::default()
    });
    let findings = stage.sweep_with(&signs, &|| None);
    assert_eq!(kept(&findings), [("tmpa", KeptBecause::InUse)]);
    assert_eq!(stage.standing(), ["tmpa", "tmpa/x", "tmpa/y"]);
}

/// A step of a live job may take no longer than that: the same name, the same size, other content.
#[test]
fn a_file_that_is_overwritten_between_the_two_looks_gets_its_name_back_with_what_it_holds_now() {
    let stage = Stage::new();
    stage.plant("tmp_model.pt");
    let file = fs::File::options().write(true).open(stage.path("tmp_model.pt")).unwrap();
    let signs = only_later(|| {
        std::os::unix::fs::FileExt::write_all_at(&file, &[2; 5000], 0).unwrap();
        Signs::default()
    });
    let findings = stage.sweep_with(&signs, &|| None);
    assert_eq!(kept(&findings), [("tmp_model.pt", KeptBecause::InUse)]);
    assert_eq!(fs::read(stage.path("tmp_model.pt")).unwrap(), [2; 5000]);
}

#[test]
fn a_mount_that_appears_between_the_two_looks_keeps_what_is_around_it() {
    let script = r#"mkdir -p "$SCRATCH/tmpa/mnt"; echo x >"$SCRATCH/tmpa/x""#;
    let Some(world) = World::start(script) else { return };
    let pid = world.pid.to_string();
    let signs = only_later(|| {
        let detached = fs::read_dir(&world.scratch).unwrap().next().unwrap().unwrap().path();
        let mount = ["-t", &pid, "-m", "mount", "-t", "tmpfs", "tmpfs"];
        let status = Command::new("nsenter").args(mount).arg(detached.join("mnt")).status().unwrap();
        assert!(status.success());
        Signs::default()
    });
    let mut inside = world.enter(world.scratch.to_str().unwrap());
    let findings = Stage::new().sweep_inside(&mut inside, &signs, &|| None, &|| None);
    assert_eq!(kept(&findings), [("tmpa", KeptBecause::Mount)]);
    assert!(world.scratch.join("tmpa/x").exists());
}

#[test]
fn work_that_begins_between_the_two_looks_keeps_leftovers_and_not_what_is_dead() {
    let stage = Stage::new();
    stage.plant("tmpa/x");
    stage.plant("ray/session_2026-01-01_1/sockets/x");
    let findings = stage.sweep_with(&|| Ok(Signs::default()), &|| Some("ray::train".to_owned()));
    assert_eq!(kept(&findings), [("tmpa", KeptBecause::WorkerActive)]);
    assert_eq!(removed(&findings), ["ray/session_2026-01-01_1/sockets"]);
    assert_eq!(stage.standing(), ["ray", "ray/session_2026-01-01_1", "tmpa", "tmpa/x"]);
}

#[test]
fn when_the_signs_cannot_be_read_again_everything_gets_its_name_back() {
    let stage = Stage::new();
    stage.plant("tmpa/x");
    let looked = Cell::new(false);
    let signs = || {
        if looked.replace(true) { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(Signs::default()) }
    };
    let mut inside = enter(stage.root.path());
    let findings = stage.sweep_inside(&mut inside, &signs, &|| None, &|| None);
    assert_eq!(findings.errors.len(), 1);
    assert_eq!(stage.standing(), ["tmpa", "tmpa/x"], "at once, and not when the child ends");
}

#[test]
fn a_dead_session_that_comes_to_life_between_the_two_looks_keeps_all_it_has() {
    let stage = Stage::new();
    for entry in ["ray_spilled_objects/x", "node_ip_address.json"] {
        stage.plant(&format!("ray/session_2026-01-01_1/{entry}"));
    }
    let before = stage.standing();
    let signs = only_later(|| Signs {
        arguments: vec![(7, "raylet --session_dir=/tmp/ray/session_2026-01-01_1".to_owned())],
        ..Signs::default()
    });
    let findings = stage.sweep_with(&signs, &|| None);
    let why: Vec<_> = findings.kept.iter().map(|kept| (kept.why, kept.pid)).collect();
    assert_eq!(why, [(KeptBecause::SessionLive, Some(7)); 2], "{findings:?}");
    assert_eq!(stage.standing(), before);
}

#[test]
fn nothing_gone_is_nothing_removed() {
    assert!(!has_gone(&Deleted { errors: vec!["tmpa/x: not permitted".to_owned()], ..Deleted::default() }));
    assert!(has_gone(&Deleted { files: 1, ..Deleted::default() }), "an empty file");
    assert!(has_gone(&Deleted { bytes: 1, ..Deleted::default() }));
    assert!(has_gone(&Deleted { complete: true, ..Deleted::default() }), "an empty folder");
}

#[test]
fn what_a_killed_sweep_detached_is_seen_wherever_it_detaches() {
    for folder in ["", "ray/", "ray/session_1/", "ray/session_1/logs/", "ray/session_1/logs/old/"] {
        let stage = Stage::new();
        stage.plant("ray/session_1/logs/old/x");
        stage.plant("ray/session_1/data/x");
        assert!(!is_unfinished(&mut enter(stage.root.path()), Some(Path::new("ray"))));
        stage.plant(&format!("{folder}.raysweep-{}-tmpa", AttemptId::now()));
        assert!(is_unfinished(&mut enter(stage.root.path()), Some(Path::new("ray"))), "{folder}");
    }
    // Nothing is detached there, whatever it is called.
    for folder in ["mine/", "session_1/", "ray/mine/", "ray/session_1/data/", "ray/session_1/data/logs/"] {
        let stage = Stage::new();
        stage.plant("ray/session_1/logs/old/x");
        stage.plant(&format!("{folder}.raysweep-{}-tmpa", AttemptId::now()));
        assert!(!is_unfinished(&mut enter(stage.root.path()), Some(Path::new("ray"))), "{folder}");
    }
}

#[test]
fn what_a_killed_sweep_left_off_its_name_is_judged_anew() {
    let old = AttemptId::now();
    let stage = Stage::new();
    stage.plant(&format!(".raysweep-{old}-tmpa/x"));
    stage.plant(&format!(".raysweep-{old}-mine/x"));
    let findings = stage.sweep();
    assert_eq!(removed(&findings), ["tmpa"]);
    assert_eq!(stage.standing(), ["mine", "mine/x"], "what never was a candidate only gets its name back");
    let stage = Stage { state: WorkerState::Active, ..Stage::new() };
    stage.plant(&format!(".raysweep-{old}-tmpa/x"));
    stage.sweep();
    assert_eq!(stage.standing(), ["tmpa", "tmpa/x"]);
    let stage = Stage::new();
    stage.plant(&format!("ray/.raysweep-{old}-session_1/data/x"));
    stage.plant(&format!("ray/session_2/.raysweep-{old}-data/x"));
    assert_eq!(removed(&stage.sweep()).len(), 2, "a session and a part of one, at once");
    assert_eq!(stage.standing(), ["ray", "ray/session_1", "ray/session_2"]);
}

/// Its name was given back a moment ago, which is nobody's move but ours.
#[test]
fn what_a_killed_sweep_left_off_its_name_is_no_younger_for_getting_it_back() {
    let ages = Ages { no_job: Span(Duration::from_millis(20)), ..Ages::default() };
    let stage = Stage { hours_later: 0, ages, ..Stage::new() };
    stage.plant(&format!(".raysweep-{}-tmpa/x", AttemptId::now()));
    let planted = Timestamp::now();
    wait_for("it to be old", || {
        (Timestamp::now().duration_since(planted) > SignedDuration::from_millis(30)).then_some(())
    });
    assert_eq!(removed(&stage.sweep()), ["tmpa"]);
}

/// Its folders are as young as the delete that was killed; the worker may be at work by now.
#[test]
fn what_a_killed_sweep_had_begun_to_delete_goes_whatever_its_age_and_the_state() {
    let old = AttemptId::now();
    let planted = |hours_later| {
        let stage = Stage { state: WorkerState::Active, hours_later, ..Stage::new() };
        stage.plant(&format!(".raysweep-{old}~tmpa/x"));
        stage.plant(&format!("ray/.raysweep-{old}~session_2026-01-01_1/logs/x"));
        stage.plant(&format!("ray/session_2026-01-02_2/.raysweep-{old}~sockets/x"));
        stage
    };
    let stage = planted(0);
    let findings = stage.sweep_with(&|| Ok(Signs::default()), &|| Some("ray::train".to_owned()));
    assert_eq!(findings.removed.len(), 3, "{findings:?}");
    assert_eq!(stage.standing(), ["ray", "ray/session_2026-01-02_2"]);

    let observed = Stage { delete: false, ..planted(0) };
    let before = observed.standing();
    assert_eq!(observed.sweep().removed.len(), 3);
    assert_eq!(observed.standing(), before);

    let used = planted(0);
    let file = id(&used.path(&format!(".raysweep-{old}~tmpa/x")));
    let signs = || Ok(Signs { files: [(file, 7)].into(), ..Signs::default() });
    let findings = used.sweep_with(&signs, &|| None);
    assert_eq!(kept(&findings)[0].1, KeptBecause::InUse);
    assert!(used.path(&format!(".raysweep-{old}~tmpa/x")).exists(), "somebody has it open");
}

#[test]
fn what_lost_its_name_to_something_else_goes_by_the_same_rules() {
    let old = AttemptId::now();
    let detached = format!(".raysweep-{old}-tmpa");
    let stage = Stage::new();
    stage.plant(&format!("{detached}/x"));
    stage.plant("tmpa/y");
    let young = Stage { hours_later: 0, ..Stage::new() };
    young.plant(&format!("{detached}/x"));
    young.plant("tmpa/y");
    assert_eq!(stage.sweep().removed.len(), 2);
    assert_eq!(stage.standing(), Vec::<String>::new());
    assert_eq!(young.sweep().removed.len(), 0);
    assert_eq!(young.standing().len(), 4, "both stay");
}

#[test]
fn a_dead_session_loses_its_data_at_once_and_its_logs_after_a_day() {
    let mut stage = Stage { state: WorkerState::Active, ..Stage::new() };
    for session in ["session_2026-01-01_1", "session_2026-01-02_2"] {
        stage.plant(&format!("ray/{session}/ray_spilled_objects/x"));
        stage.plant(&format!("ray/{session}/logs/raylet.out"));
    }
    std::os::unix::fs::symlink("session_2026-01-02_2", stage.path("ray/session_latest")).unwrap();
    let logs =
        |session: &str| ["", "/logs", "/logs/raylet.out"].map(|path| format!("ray/{session}{path}")).to_vec();
    let findings = stage.sweep();
    assert_eq!(removed(&findings).len(), 2, "{findings:?}");
    let mut expected = vec!["ray".to_owned(), "ray/session_latest".to_owned()];
    expected.extend(logs("session_2026-01-01_1"));
    expected.extend(logs("session_2026-01-02_2"));
    // Standing follows the symlink; the folder behind it counts once.
    let standing = |stage: &Stage| {
        let found = stage.standing().into_iter();
        found.filter(|path| !path.starts_with("ray/session_latest/")).collect::<BTreeSet<_>>()
    };
    assert_eq!(standing(&stage), expected.into_iter().collect());

    stage.hours_later = 25;
    let findings = stage.sweep();
    assert_eq!(removed(&findings), ["ray/session_2026-01-01_1"]);
    assert_eq!(kept(&findings), [("ray/session_2026-01-02_2/logs", KeptBecause::NewestDeadSession)]);
    assert!(stage.path("ray/session_2026-01-02_2/logs/raylet.out").exists());
}

/// Its raylet ended five minutes ago, and another one takes the session up: its packages are hours old.
#[test]
fn the_parts_of_a_dead_session_are_as_young_as_the_session() {
    let mut stage = Stage { state: WorkerState::Active, ..Stage::new() };
    let session = "ray/session_2026-01-01_1";
    for path in ["runtime_resources/x", "sockets/x", "logs/raylet.out"] {
        stage.plant(&format!("{session}/{path}"));
    }
    let ended = std::time::SystemTime::now() + Duration::from_mins(55);
    let log = fs::File::options().write(true).open(stage.path(&format!("{session}/logs/raylet.out")));
    log.unwrap().set_modified(ended).unwrap();
    let before = stage.standing();
    let findings = stage.sweep();
    let young: Vec<_> = findings.kept.iter().filter(|kept| kept.why == KeptBecause::TooYoung).collect();
    assert_eq!((young.len(), findings.gone()), (2, 0), "{findings:?}");
    assert_eq!(stage.standing(), before);
    stage.hours_later = 2;
    assert_eq!(removed(&stage.sweep()).len(), 2);
}

#[test]
fn a_session_that_any_process_names_is_live_and_loses_only_old_logs() {
    let stage = Stage { hours_later: 25, ..Stage::new() };
    let live = "ray/session_2026-01-01_1";
    for path in [
        "sockets/raylet",
        "ray_spilled_objects/x",
        "runtime_resources/x",
        "logs/raylet.out",
        "logs/worker-a-01000000-77.out",
        "logs/worker-b-01000000-78.out",
        "logs/old/worker-c-01000000-79.out",
    ] {
        stage.plant(&format!("{live}/{path}"));
    }
    let open = id(&stage.path(&format!("{live}/logs/worker-b-01000000-78.out")));
    let signs = || {
        Ok(Signs {
            files: [(open, 7)].into(),
            arguments: vec![(7, "raylet --session_dir=/tmp/ray/session_2026-01-01_1".to_owned())],
            ..Signs::default()
        })
    };
    let findings = stage.sweep_with(&signs, &|| None);
    let mut gone = removed(&findings);
    gone.sort_unstable();
    assert_eq!(
        gone,
        [
            format!("{live}/logs/old/worker-c-01000000-79.out"),
            format!("{live}/logs/worker-a-01000000-77.out")
        ]
    );
    for path in
        ["sockets/raylet", "ray_spilled_objects/x", "runtime_resources/x", "logs/worker-b-01000000-78.out"]
    {
        assert!(stage.path(&format!("{live}/{path}")).exists(), "{path}");
    }
}

#[test]
fn a_checkpoint_stays_while_the_process_that_locked_it_lives() {
    let mut stage = Stage { live_pids: BTreeSet::from([7]), ..Stage::new() };
    stage.plant("checkpoint_tmp_a/x");
    stage.plant("checkpoint_tmp_a.del_lock_7");
    stage.plant("checkpoint_tmp_b/x");
    stage.plant("checkpoint_tmp_b.del_lock_8");
    stage.sweep();
    assert_eq!(stage.standing(), ["checkpoint_tmp_a", "checkpoint_tmp_a.del_lock_7", "checkpoint_tmp_a/x"]);
    stage.live_pids.clear();
    stage.sweep();
    assert_eq!(stage.standing(), Vec::<String>::new());
}
