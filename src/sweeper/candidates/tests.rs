use super::*;
use crate::sweeper::{inside::Kind, jobs::LiveJob, signs::BoundSocket};

const ID: FileId = FileId { dev: 1, ino: 2 };

fn at(minutes_ago: i64) -> Timestamp {
    now() - jiff::SignedDuration::from_mins(minutes_ago)
}

fn now() -> Timestamp {
    "2026-01-05T12:00:00Z".parse().unwrap()
}

fn tree(newest: Timestamp) -> Tree {
    Tree {
        id: ID,
        kind: Kind::Folder,
        owner: 0,
        bytes: 1,
        files: 1,
        newest,
        written: newest,
        moved: newest,
        in_use: vec![],
        sockets: Some(vec![]),
        mount: None,
        image_layer: false,
        other_owner: None,
    }
}

fn candidate(class: Class) -> Candidate {
    Candidate { path: "tmpabc".into(), id: ID, class }
}

fn job(minutes_ago: i64) -> LiveJob {
    LiveJob { id: "01000000".to_owned(), started_at: at(minutes_ago), held_by: "10.0.0.1".to_owned() }
}

/// A worker that nobody shares, on a clock that nobody has set.
fn situation<'a>(state: WorkerState, jobs: &'a Jobs, ages: &'a Ages) -> Situation<'a> {
    let (owner, shared_with, set_forward) = (None, None, Duration::ZERO);
    Situation { state, jobs, now: now(), ages, owner, shared_with, set_forward }
}

fn kept(state: WorkerState, jobs: &Jobs, class: Class, minutes_old: i64) -> Option<KeptBecause> {
    let ages = Ages::default();
    let situation = situation(state, jobs, &ages);
    situation.keeps(&candidate(class), &tree(at(minutes_old)), &Signs::default()).map(|keep| keep.why)
}

const LEFTOVER_CLASSES: [Class; 4] = [Class::RayTmp, Class::Pip, Class::Tmp, Class::CheckpointTmp];
const DAY: i64 = 24 * 60;

#[test]
fn nothing_held_by_name_alone_goes_from_a_worker_at_work() {
    let jobs = Jobs::Known(vec![]);
    for class in LEFTOVER_CLASSES {
        assert_eq!(kept(WorkerState::Active, &jobs, class, 100 * DAY), Some(KeptBecause::WorkerActive));
    }
}

#[test]
fn without_a_job_a_leftover_goes_once_it_is_ten_minutes_old() {
    let jobs = Jobs::Known(vec![]);
    for class in LEFTOVER_CLASSES {
        assert_eq!(kept(WorkerState::NoJob, &jobs, class, 9), Some(KeptBecause::TooYoung));
        assert_eq!(kept(WorkerState::NoJob, &jobs, class, 10), None);
    }
}

#[test]
fn in_a_job_only_what_is_older_than_every_live_job_or_than_a_day_goes() {
    let one = Jobs::Known(vec![job(60)]);
    let two = Jobs::Known(vec![job(60), job(300)]);
    for class in LEFTOVER_CLASSES {
        assert_eq!(
            kept(WorkerState::InJob, &one, class, 69),
            Some(KeptBecause::JobAlive),
            "within the margin"
        );
        assert_eq!(kept(WorkerState::InJob, &one, class, 70), None);
        assert_eq!(
            kept(WorkerState::InJob, &two, class, 70),
            Some(KeptBecause::JobAlive),
            "younger than the older job"
        );
        assert_eq!(kept(WorkerState::InJob, &two, class, DAY), None);
    }
}

#[test]
fn when_ray_names_no_job_or_does_not_answer_only_a_day_frees_a_leftover() {
    for jobs in [Jobs::Known(vec![]), Jobs::Unknown("no answer".to_owned())] {
        assert_eq!(kept(WorkerState::InJob, &jobs, Class::Tmp, DAY - 1), Some(KeptBecause::JobAlive));
        assert_eq!(kept(WorkerState::InJob, &jobs, Class::Tmp, DAY), None);
    }
}

#[test]
fn a_job_that_starts_now_does_not_make_a_young_leftover_old() {
    let ages = Ages { job_start_margin: Span::secs(0), ..Ages::default() };
    let jobs = Jobs::Known(vec![job(0)]);
    let situation = situation(WorkerState::InJob, &jobs, &ages);
    assert_eq!(situation.kept_by_age(Class::Tmp, at(1)).map(|keep| keep.why), Some(KeptBecause::TooYoung));
}

#[test]
fn what_is_dead_goes_in_any_state_by_its_own_age() {
    let jobs = Jobs::Unknown(String::new());
    for state in [WorkerState::NoJob, WorkerState::InJob, WorkerState::Active] {
        assert_eq!(kept(state, &jobs, Class::DeadSession, 9), Some(KeptBecause::TooYoung));
        assert_eq!(kept(state, &jobs, Class::DeadSession, 10), None);
        for class in [Class::DeadSessionLogs, Class::SessionLogs] {
            assert_eq!(kept(state, &jobs, class, DAY - 1), Some(KeptBecause::TooYoung));
            assert_eq!(kept(state, &jobs, class, DAY), None);
        }
    }
}

#[test]
fn whoever_reads_the_report_is_told_the_rule_and_its_figures() {
    let ages = Ages::default();
    let told = |state, jobs: &Jobs, minutes_old| {
        let situation = situation(state, jobs, &ages);
        situation.kept_by_age(Class::Tmp, at(minutes_old)).unwrap().detail
    };
    let (none, two) = (Jobs::Known(vec![]), Jobs::Known(vec![job(300), job(60)]));
    let silent = Jobs::Unknown("no answer".to_owned());
    assert_eq!(told(WorkerState::NoJob, &none, 9), "changed 9m ago, kept until 10m have passed");
    for (jobs, why) in [
        (&none, "a pooled worker waits for a job"),
        (&two, "job 01000000, 01000000 may still read it"),
        (&silent, "Ray did not say which jobs are alive (no answer)"),
    ] {
        let expected = format!("{why}; changed 9m ago, kept until {} have passed", ages.in_job);
        assert_eq!(told(WorkerState::InJob, jobs, 9), expected);
    }
}

/// A job publishes what it or another one has made before: the rename into place changes nothing inside.
#[test]
fn what_was_moved_into_its_place_is_as_young_as_the_move() {
    let (ages, one) = (Ages::default(), Jobs::Known(vec![job(60)]));
    let none = Jobs::Known(vec![]);
    let kept = |state, jobs, class, minutes_ago| {
        let tree = Tree { moved: at(minutes_ago), ..tree(at(180)) };
        situation(state, jobs, &ages).keeps(&candidate(class), &tree, &Signs::default()).map(|keep| keep.why)
    };
    for class in LEFTOVER_CLASSES {
        assert_eq!(kept(WorkerState::InJob, &one, class, 1), Some(KeptBecause::JobAlive));
        assert_eq!(kept(WorkerState::InJob, &one, class, 70), None, "before the job");
        assert_eq!(kept(WorkerState::NoJob, &none, class, 9), Some(KeptBecause::TooYoung));
        assert_eq!(kept(WorkerState::NoJob, &none, class, 10), None);
    }
    assert_eq!(kept(WorkerState::Active, &none, Class::DeadSession, 9), Some(KeptBecause::TooYoung));
}

/// Each of a hundred leftovers says why it stays; what says so may be a container.
#[test]
fn of_any_number_of_jobs_and_of_any_complaint_a_leftover_tells_a_bounded_part() {
    let ages = Ages::default();
    let told = |jobs: &Jobs| {
        let state = WorkerState::InJob;
        let situation = situation(state, jobs, &ages);
        situation.kept_by_age(Class::Tmp, at(9)).unwrap().detail
    };
    let many = told(&Jobs::Known(vec![job(60); 500]));
    assert!(many.starts_with("job 01000000, 01000000, 01000000 and 497 more may still read it"), "{many}");
    let long = told(&Jobs::Unknown("\n".repeat(4 << 20)));
    assert!(long.len() < 5_000, "{}", long.len());
    let path = PathBuf::from("x/".repeat(1 << 20));
    assert!(kept_by_mount(&Tree { mount: Some(path), ..tree(now()) }).unwrap().detail.len() < 5_000);
}

#[test]
fn a_change_in_the_future_is_no_age() {
    assert_eq!(kept(WorkerState::NoJob, &Jobs::Known(vec![]), Class::Tmp, -60), Some(KeptBecause::TooYoung));
}

/// A job wrote at 03:05 by a clock that was 8 hours behind, and goes on by one that was set at 11:05.
#[test]
fn a_clock_that_was_set_forward_makes_nothing_older_than_it_is() {
    let (ages, jobs) = (Ages::default(), Jobs::Known(vec![job(60)]));
    let rests = Jobs::Known(vec![]);
    let kept = |state, jobs, hours: u64, minutes_old| {
        let set_forward = Duration::from_hours(hours);
        let situation = Situation { set_forward, ..situation(state, jobs, &ages) };
        situation.kept_by_age(Class::Tmp, at(minutes_old)).map(|keep| keep.why)
    };
    let eight = 8 * 60;
    assert_eq!(kept(WorkerState::InJob, &jobs, 0, eight + 5), None);
    assert_eq!(kept(WorkerState::InJob, &jobs, 8, eight + 5), Some(KeptBecause::JobAlive));
    assert_eq!(kept(WorkerState::InJob, &jobs, 8, eight + 69), Some(KeptBecause::JobAlive));
    assert_eq!(kept(WorkerState::InJob, &jobs, 8, eight + 70), None);
    assert_eq!(
        kept(WorkerState::InJob, &jobs, 48, 48 * 60 + 5),
        Some(KeptBecause::JobAlive),
        "not a day old"
    );
    assert_eq!(kept(WorkerState::NoJob, &rests, 8, eight + 9), Some(KeptBecause::TooYoung));
    assert_eq!(kept(WorkerState::NoJob, &rests, 8, eight + 10), None);
    // By a clock of half a century ago nothing could be 10 minutes old now.
    assert_eq!(kept(WorkerState::NoJob, &rests, 50 * 365 * 24, 10), None);
    assert_eq!(kept(WorkerState::NoJob, &rests, 50 * 365 * 24, 9), Some(KeptBecause::TooYoung));
}

fn why(tree: &Tree, signs: &Signs, owner: Option<u32>) -> Option<KeptBecause> {
    let (ages, jobs) = (Ages::default(), Jobs::Known(vec![]));
    let situation = Situation { owner, ..situation(WorkerState::NoJob, &jobs, &ages) };
    situation.keeps(&candidate(Class::Tmp), tree, signs).map(|keep| keep.why)
}

#[test]
fn each_sign_of_use_keeps_a_tree() {
    let old = tree(at(DAY));
    assert_eq!(why(&old, &Signs::default(), None), None);
    let open = Signs { files: [(ID, 7)].into(), ..Signs::default() };
    assert_eq!(why(&Tree { in_use: vec![ID], ..old.clone() }, &open, None), Some(KeptBecause::InUse));
    let bound = bound("s.sock", None);
    assert_eq!(
        why(&Tree { sockets: Some(vec!["s.sock".into()]), ..old.clone() }, &bound, None),
        Some(KeptBecause::InUse)
    );
    assert_eq!(
        why(&Tree { sockets: None, ..old.clone() }, &Signs::default(), None),
        Some(KeptBecause::InUse)
    );
    let named =
        Signs { arguments: vec![(7, "python x.py --dir /tmp/tmpabc/y".to_owned())], ..Signs::default() };
    assert_eq!(why(&old, &named, None), Some(KeptBecause::InUse));
}

fn bound(name: &str, session: Option<&str>) -> Signs {
    let sessions = session.map(Into::into).into_iter().collect();
    let socket = BoundSocket { name: name.into(), sessions };
    Signs { sockets: [(socket, 7)].into(), ..Signs::default() }
}

/// Every session has the same names in it, and one that lives must not keep all that are dead.
#[test]
fn what_lies_in_a_session_is_told_from_the_same_in_another_session() {
    let sockets = Tree { sockets: Some(vec!["raylet".into()]), ..tree(at(DAY)) };
    let used = |path: &str, signs: &Signs| kept_by_use(Path::new(path), &sockets, signs).is_some();
    for path in [
        "ray/session_1",
        "ray/session_1/sockets",
        "session_1/.raysweep-01890000-0000-7000-8000-000000000000-sockets",
    ] {
        assert!(used(path, &bound("raylet", Some("session_1"))), "{path}");
        assert!(used(path, &bound("raylet", None)), "{path}: it may be bound by another way to it");
        assert!(!used(path, &bound("raylet", Some("session_2"))), "{path}");
        assert!(!used(path, &bound("other", Some("session_1"))), "{path}");
    }
    let names = |text: &str| Signs { arguments: vec![(7, text.to_owned())], ..Signs::default() };
    assert!(used("ray/session_1/sockets", &names("--socket=/tmp/ray/session_1/sockets/raylet")));
    assert!(!used("ray/session_1/sockets", &names("--socket=/tmp/ray/session_2/sockets/raylet")));
}

#[test]
fn mounts_image_layers_and_other_peoples_files_stay() {
    let old = tree(at(DAY));
    let signs = Signs::default();
    assert_eq!(
        why(&Tree { mount: Some("tmpabc/m".into()), ..old.clone() }, &signs, None),
        Some(KeptBecause::Mount)
    );
    assert_eq!(why(&Tree { image_layer: true, ..old.clone() }, &signs, None), Some(KeptBecause::ImageLayer));
    assert_eq!(why(&old, &signs, Some(1000)), Some(KeptBecause::Error));
    let mixed = Tree { owner: 1000, other_owner: Some(0), ..old.clone() };
    assert_eq!(why(&mixed, &signs, Some(1000)), Some(KeptBecause::Error));
    assert_eq!(why(&Tree { owner: 1000, ..old }, &signs, Some(1000)), None);
}

#[test]
fn names_fall_into_their_classes() {
    for (name, class) in [
        ("ray_tmp_x", Some(Class::RayTmp)),
        ("ray_tmp_mount", None),
        ("pip-build-1", Some(Class::Pip)),
        ("tmpabc", Some(Class::Tmp)),
        ("tmp", Some(Class::Tmp)),
        ("checkpoint_tmp_1", Some(Class::CheckpointTmp)),
        ("ray", None),
        ("torchinductor_root", None),
        ("pymp-1", None),
        ("mytmp", None),
        (".raysweep-x-tmpabc", None),
    ] {
        assert_eq!(leftover_class(OsStr::new(name)), class, "{name}");
        assert!(class.is_none() || may_be_named_in(&format!("/x/{name}/y")), "{name}");
    }
    assert!(may_be_named_in("/x/session_1"));
    assert!(!may_be_named_in("/usr/lib/python3/dist-packages:/opt/ray"));
    assert!(is_session(OsStr::new("session_2026-01-05_12-00-00_000000_1")));
    assert!(!is_session(OsStr::new("session_latest")));
}

#[test]
fn only_logs_of_one_process_are_process_logs() {
    for (name, expected) in [
        ("worker-abc-01000000-123.out", true),
        ("python-core-worker-abc_123.log", true),
        ("raylet.out", false),
        ("gcs_server.out", false),
        ("dashboard_agent.log", false),
        ("monitor.log.1", false),
        ("123.log", false),
        (".log", false),
        ("worker-abc-.out", false),
        ("worker-abc-123.txt", false),
    ] {
        assert_eq!(is_process_log(OsStr::new(name)), expected, "{name}");
    }
}

#[test]
fn a_checkpoint_is_locked_while_its_locker_lives() {
    let names = [
        "checkpoint_tmp_a",
        "checkpoint_tmp_a.del_lock_7",
        "checkpoint_tmp_b.del_lock_8",
        "checkpoint_tmp_c.del_lock_x",
    ];
    let locked = locked_checkpoints(names.iter().map(OsStr::new), &BTreeSet::from([7]));
    assert!(locked.contains(b"checkpoint_tmp_a".as_slice()));
    assert!(locked.contains(b"checkpoint_tmp_a.del_lock_7".as_slice()), "the lock itself stays as well");
    assert!(!locked.contains(b"checkpoint_tmp_b".as_slice()));
    assert!(locked.contains(b"checkpoint_tmp_c".as_slice()), "a lock that cannot be read counts as live");
    let no_text = OsStr::from_bytes(b"checkpoint_tmp_d.del_lock_\xff");
    let locked = locked_checkpoints([no_text], &BTreeSet::new());
    assert!(locked.contains(b"checkpoint_tmp_d".as_slice()), "so does one that is no text");
}

#[test]
fn a_path_cannot_break_a_line_of_the_report() {
    let path = Path::new(OsStr::from_bytes(b"a\nb\xffc\x1b[31m"));
    assert_eq!(shown(path), "a\\nb\\xffc\\u{1b}[31m");
}

#[test]
fn what_is_detached_remembers_its_own_name() {
    let detached = format!(".raysweep-{}-tmpabc", crate::domain::attempt::AttemptId::now());
    assert_eq!(own_name(OsStr::new(&detached)), "tmpabc");
    for name in ["tmpabc", ".raysweep-", ".raysweep-short-x"] {
        assert_eq!(own_name(OsStr::new(name)), name);
    }
}

#[test]
fn what_a_stranger_may_hold_by_name_stays_and_what_is_dead_goes() {
    let (ages, jobs) = (Ages::default(), Jobs::Known(vec![]));
    let shared_with = Some("it is the host's own /tmp");
    let situation = Situation { shared_with, ..situation(WorkerState::NoJob, &jobs, &ages) };
    for class in LEFTOVER_CLASSES {
        assert_eq!(
            situation.kept_by_age(class, at(100 * DAY)).map(|keep| keep.why),
            Some(KeptBecause::Shared)
        );
    }
    assert_eq!(situation.kept_by_age(Class::DeadSession, at(DAY)), None);
}
