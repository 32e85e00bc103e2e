//! Ray on the bare host, and a host without any runtime.

use std::{
    fs,
    os::unix::fs as unix,
    path::{Path, PathBuf},
    process::Child,
};

use raysweep::domain::{
    attempt::Outcome,
    report::{KeptBecause, Verdict},
};

use crate::{
    stand_in::{self, ALL, DEAD_GONE, Planted, raylet, sweep_all, text},
    sweeping::{Settings, Swept},
    world::{self, run, wait_until},
};

/// Ray's user here; nobody else's.
const USER: u32 = 4242;

/// A bare host with a temp root of its own.
struct Host {
    temp_root: PathBuf,
    planted: Planted,
}

impl Host {
    fn new(name: &str) -> Self {
        let temp_root = world::dir().join(name);
        let planted = stand_in::put(&temp_root);
        run(&["chown", "-R", &format!("{USER}:{USER}"), text(&temp_root)], "").unwrap();
        // A change of the owner is a change.
        stand_in::wait_until_old([planted.leftover.as_path()]);
        Self { temp_root, planted }
    }

    /// As root has written it; and there is no runtime.
    fn settings(&self) -> Settings {
        Settings {
            socket: "/nonexistent/docker.sock".into(),
            more: format!("bare: {{temp_root: {}, user_id: {USER}}}\n", text(&self.temp_root)),
            ..stand_in::settings()
        }
    }

    fn raylet(&self, user: u32) -> Running {
        let program = world::dir().join("opt/raylet");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        if !program.exists() {
            fs::copy(stand_in::program(), &program).unwrap();
        }
        let temp_dir = format!("{}/ray", text(&self.temp_root));
        Running::of_user(user, &raylet(text(&program), &temp_dir))
    }
}

/// A process of the host that ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    fn of_user(user: u32, command: &[String]) -> Self {
        let user = [format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()];
        let setpriv: Vec<String> = std::iter::once("setpriv".to_owned()).chain(user).collect();
        Self::start(&[&setpriv, command].concat(), text(&stand_in::program().with_file_name("opt/raylet")))
    }

    /// Starts a command and waits until it has become the program.
    pub(crate) fn start(command: &[String], program: &str) -> Self {
        let child = std::process::Command::new(&command[0]).args(&command[1..]).spawn().unwrap();
        let exe = format!("/proc/{}/exe", child.id());
        let running = Self(child);
        wait_until(30, &format!("{command:?} to run"), || {
            fs::read_link(&exe).is_ok_and(|exe| exe == Path::new(program))
        });
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn assert_cleaned(swept: &Swept) {
    let host = swept.worker("host");
    assert_eq!((host.runtime.as_str(), host.verdict), ("bare", Verdict::Cleaned), "{}", swept.shown());
    assert!(host.errors.is_empty() && swept.report.prune.is_none(), "{}", swept.shown());
}

#[test]
fn beside_a_raylet_on_the_bare_host_dead_sessions_go_and_nothing_else() {
    let host = Host::new("bare-live");
    let _raylet = host.raylet(USER);

    let swept = sweep_all(&host.settings());

    assert_eq!(host.planted.standing(), DEAD_GONE, "{}", swept.shown());
    assert_cleaned(&swept);
}

#[test]
fn on_a_bare_host_whose_ray_has_stopped_dead_sessions_go_but_not_what_a_process_still_uses() {
    let host = Host::new("bare-stopped");
    let held = host.temp_root.join("ray/session_2021-01-01_00-00-00_000001_8/runtime_resources");
    fs::create_dir_all(&held).unwrap();
    fs::write(held.join("blob"), "read by somebody").unwrap();
    run(&["chown", "-R", &USER.to_string(), text(&host.temp_root)], "").unwrap();
    stand_in::wait_until_old([held.join("blob").as_path(), &host.planted.leftover]);
    let file = fs::File::open(held.join("blob")).unwrap();

    let swept = sweep_all(&host.settings());

    assert_eq!(host.planted.standing(), (false, false, true), "{}", swept.shown());
    assert_cleaned(&swept);
    assert!(held.join("blob").exists(), "{}", swept.shown());
    drop(file);
    let swept = sweep_all(&host.settings());
    assert!(!held.join("blob").exists(), "{}", swept.shown());
}

#[test]
fn what_belongs_to_another_user_stays_on_the_bare_host() {
    let host = Host::new("bare-others");
    run(&["chown", "0:0", text(&host.planted.dead)], "").unwrap();
    stand_in::wait_until_old([host.planted.dead.as_path()]);
    let _raylet = host.raylet(USER);

    let swept = sweep_all(&host.settings());

    assert_eq!(host.planted.standing(), ALL, "{}", swept.shown());
    let kept = &swept.worker("host").kept;
    let why = kept.iter().find(|kept| kept.why == KeptBecause::Error).map(|kept| kept.detail.as_str());
    assert_eq!(why, Some("it belongs to user 0, not to Ray's user 4242"), "{}", swept.shown());
}

#[test]
fn a_temp_root_behind_a_symlink_is_refused_on_the_bare_host() {
    let host = Host::new("bare-real");
    let link = world::dir().join("bare-link");
    unix::symlink(&host.temp_root, &link).unwrap();
    let host = Host { temp_root: link, ..host };

    let swept = sweep_all(&host.settings());

    assert_eq!(host.planted.standing(), ALL, "{}", swept.shown());
    let host = swept.worker("host");
    assert_eq!(host.verdict, Verdict::Failed, "{}", swept.shown());
    assert!(host.errors[0].contains("is a symlink"), "{}", swept.shown());
}

#[test]
fn a_temp_root_that_is_not_there_is_told() {
    let missing = world::dir().join("bare-missing");
    let host = Host { temp_root: missing, planted: stand_in::put(&world::dir().join("bare-elsewhere")) };

    let swept = sweep_all(&host.settings());

    let host = swept.worker("host");
    assert_eq!(host.verdict, Verdict::Failed, "{}", swept.shown());
    assert!(host.errors[0].contains("there is no such folder"), "{}", swept.shown());
}

#[test]
fn a_raylet_of_another_user_is_refused_and_nothing_goes() {
    let host = Host::new("bare-other-user");
    let _raylet = host.raylet(USER + 1);

    let swept = sweep_all(&host.settings());

    assert_eq!(host.planted.standing(), ALL, "{}", swept.shown());
    let host = swept.worker("host");
    assert_eq!(host.verdict, Verdict::Failed, "{}", swept.shown());
    assert!(host.errors[0].contains("runs as user 4243, not as bare.user_id 4242"), "{}", swept.shown());
}

#[test]
fn a_host_without_a_runtime_and_without_ray_is_swept_without_errors() {
    let settings = Settings { socket: "/nonexistent/docker.sock".into(), ..stand_in::settings() };

    let swept = sweep_all(&settings);

    assert_eq!((swept.report.outcome, swept.exit), (Outcome::NothingToFree, Some(0)), "{}", swept.shown());
    assert!(swept.report.workers.is_empty() && swept.report.prune.is_none(), "{}", swept.shown());
}
