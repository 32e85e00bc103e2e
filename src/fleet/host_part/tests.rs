//! The host's part over a folder that stands for a host.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    place::Place,
    system::System,
    wanted::{ACCOUNT_HOME, SUDOERS},
    *,
};

/// A host in a folder.
pub(super) struct Host {
    pub(super) folder: tempfile::TempDir,
    pub(super) place: Place,
    pub(super) system: Fake,
    _program: tempfile::NamedTempFile,
}

/// A system that remembers what it was asked.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) home: RefCell<Option<PathBuf>>,
    /// How often sudo is content before it no longer is.
    pub(super) sudo_takes: Cell<usize>,
    pub(super) accounts_can_be_made: Cell<bool>,
}

impl System for Fake {
    fn missing_programs(&self) -> Vec<&'static str> {
        vec![]
    }

    fn check_sudoers(&self, file: Option<&Path>) -> Result<(), String> {
        assert!(file.is_none_or(Path::exists), "{file:?}");
        let left = self.sudo_takes.get().checked_sub(1).ok_or("sudo does not take it")?;
        self.sudo_takes.set(left);
        Ok(())
    }

    fn lets_account_sweep(&self) -> Result<(), String> {
        Ok(())
    }

    fn account_home(&self) -> Result<Option<PathBuf>, String> {
        Ok(self.home.borrow().clone())
    }

    fn add_account(&self) -> Result<(), String> {
        if !self.accounts_can_be_made.get() {
            return Err("useradd: no space left".to_owned());
        }
        *self.home.borrow_mut() = Some(ACCOUNT_HOME.into());
        Ok(())
    }

    fn remove_account(&self) -> Result<(), String> {
        *self.home.borrow_mut() = None;
        Ok(())
    }

    fn knock(&self, _socket: &Path) -> io::Result<()> {
        Ok(())
    }

    fn measure(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Host {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = tempfile::NamedTempFile::new().unwrap();
        fs::write(&program, "\u{7f}ELF, more or less").unwrap();
        let place = Place::below(folder.path(), program.path());
        for path in [
            "/etc/cron.d",
            "/etc/sudoers.d",
            "/etc/logrotate.d",
            "/etc/tmpfiles.d",
            "/run",
            "/usr/local/bin",
            "/var/lib/prometheus/node-exporter",
            "/var/log",
            "/var/spool/cron/crontabs",
        ] {
            fs::create_dir_all(place.path(path)).unwrap();
        }
        let system = Fake::default();
        system.sudo_takes.set(usize::MAX);
        system.accounts_can_be_made.set(true);
        Self { folder, place, system, _program: program }
    }

    fn ask(&self, task: Task, check: bool) -> Result<Done, Failed> {
        carry_out(&Order { check, task }, &self.place, &self.system)
    }

    /// Every path with its mode, its owner and what it holds.
    pub(super) fn tree(&self) -> BTreeMap<PathBuf, String> {
        let mut tree = BTreeMap::new();
        gather(self.folder.path(), &mut tree);
        let home = self.system.home.borrow().clone();
        tree.insert("account".into(), format!("{home:?}"));
        tree
    }
}

fn gather(folder: &Path, tree: &mut BTreeMap<PathBuf, String>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let metadata = path.symlink_metadata().unwrap();
        let holds = if metadata.is_symlink() {
            format!("{:?}", fs::read_link(&path).unwrap())
        } else if metadata.is_dir() {
            gather(&path, tree);
            String::new()
        } else {
            crate::fleet::sha256(&fs::read(&path).unwrap())
        };
        let attributes = format!("{:o} {} {}", metadata.mode(), metadata.uid(), metadata.gid());
        tree.insert(path, format!("{attributes} {holds}"));
    }
}

pub(super) fn part() -> HostPart {
    HostPart {
        settings: "mode: observe\n".to_owned(),
        public_key: "ssh-ed25519 AAAA raysweep".to_owned(),
        from: vec!["192.0.2.10".to_owned(), "fd00::/64".to_owned()],
        schedule: "7 * * * *".to_owned(),
        log_dir: "/var/log/raysweep".into(),
        textfile_dir: "/var/lib/prometheus/node-exporter".into(),
        socket: Some("/run/docker.sock".into()),
        replace_old_cron: false,
        overwrite_settings: false,
    }
}

fn undeploy() -> Task {
    Task::Undeploy { textfile_dir: "/var/lib/prometheus/node-exporter".into(), drop_old_cron: false }
}

fn whats(done: &Done) -> Vec<&str> {
    done.changes.iter().map(|change| change.what.as_str()).collect()
}

#[test]
fn a_host_gets_its_part_once_and_undeploy_leaves_it_as_it_was() {
    let host = Host::new();
    let before = host.tree();
    let seen = host.ask(Task::Deploy(part()), true).unwrap();
    assert_eq!(host.tree(), before, "a check changes nothing");
    let done = host.ask(Task::Deploy(part()), false).unwrap();
    assert_eq!(whats(&done), whats(&seen));
    assert_eq!(
        whats(&done),
        [
            "/var/lib/raysweep-deploy.json",
            "/etc/raysweep",
            "/run/raysweep",
            "/run/raysweep/lock",
            "/var/log/raysweep",
            "/usr/local/bin/raysweep",
            "/etc/raysweep/sweep.yml",
            "/etc/tmpfiles.d/raysweep.conf",
            "/etc/logrotate.d/raysweep",
            "/var/lib/prometheus/node-exporter/raysweep.prom",
            "/etc/cron.d/raysweep",
            "/etc/sudoers.d/raysweep",
            "/var/lib/raysweep-account",
            "/var/lib/raysweep-account/.ssh",
            "/var/lib/raysweep-account/.ssh/authorized_keys",
            "account raysweep",
        ]
    );
    assert!(done.changes.iter().all(|change| change.how == How::Created));
    let deployed = host.tree();
    assert_eq!(host.ask(Task::Deploy(part()), false).unwrap(), Done::default(), "a second run");
    assert_eq!(host.tree(), deployed);
    let removed = host.ask(undeploy(), true).unwrap();
    assert_eq!(host.tree(), deployed);
    assert_eq!(host.ask(undeploy(), false).unwrap(), removed);
    assert_eq!(host.tree(), before);
    assert_eq!(host.ask(undeploy(), false).unwrap(), Done::default());
}

#[test]
fn a_changed_setting_is_one_change_with_its_difference() {
    let host = Host::new();
    host.ask(Task::Deploy(part()), false).unwrap();
    let changed = HostPart { settings: "mode: enforce\n".to_owned(), ..part() };
    let done = host.ask(Task::Deploy(changed), false).unwrap();
    assert_eq!(whats(&done), ["/var/lib/raysweep-deploy.json", "/etc/raysweep/sweep.yml"]);
    expect_test::expect![[r#"
        --- /etc/raysweep/sweep.yml
        +++ /etc/raysweep/sweep.yml
        @@ -1 +1 @@
        -mode: observe
        +mode: enforce
    "#]]
    .assert_eq(&done.changes[1].diff);
}

#[test]
fn settings_that_no_deploy_has_written_stay_unless_the_operator_says_otherwise() {
    for was_deployed in [true, false] {
        let host = Host::new();
        let settings = host.place.path(wanted::SETTINGS);
        if was_deployed {
            host.ask(Task::Deploy(part()), false).unwrap();
        } else {
            fs::create_dir(host.place.path("/etc/raysweep")).unwrap();
        }
        fs::write(&settings, "mode: enforce\n").unwrap();
        let before = host.tree();
        for check in [true, false] {
            let done = host.ask(Task::Deploy(part()), check).unwrap();
            assert!(done.changes.is_empty(), "{done:?}");
            assert!(done.by_hand[0].diff.contains("-mode: enforce\n+mode: observe\n"), "{done:?}");
            assert_eq!(host.tree(), before);
        }
        let overwriting = HostPart { overwrite_settings: true, ..part() };
        assert!(host.ask(Task::Deploy(overwriting), false).unwrap().by_hand.is_empty());
        assert_eq!(fs::read_to_string(&settings).unwrap(), "mode: observe\n");
        assert_eq!(host.ask(Task::Deploy(part()), false).unwrap(), Done::default());
    }
}

#[test]
fn settings_that_are_as_they_should_be_are_taken_for_a_deploys_own() {
    let host = Host::new();
    fs::create_dir(host.place.path("/etc/raysweep")).unwrap();
    fs::write(host.place.path(wanted::SETTINGS), part().settings).unwrap();
    assert!(host.ask(Task::Deploy(part()), false).unwrap().by_hand.is_empty());
    let other = HostPart { settings: "mode: enforce\n".to_owned(), ..part() };
    assert!(host.ask(Task::Deploy(other), false).unwrap().by_hand.is_empty(), "by its own record");
}

#[test]
fn a_record_that_cannot_be_read_is_named_and_nothing_is_changed() {
    let host = Host::new();
    host.ask(Task::Deploy(part()), false).unwrap();
    fs::write(host.place.path(record::RECORD), "{").unwrap();
    let before = host.tree();
    for task in [Task::Deploy(part()), undeploy()] {
        let failed = host.ask(task, false).unwrap_err();
        assert!(failed.as_before && failed.why.starts_with(record::RECORD), "{failed:?}");
        assert_eq!(host.tree(), before);
    }
}

#[test]
fn what_somebody_has_opened_wide_is_closed_again() {
    let host = Host::new();
    host.ask(Task::Deploy(part()), false).unwrap();
    let deployed = host.tree();
    for path in ["/var/lib/raysweep-account/.ssh", SUDOERS] {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(host.place.path(path), open).unwrap();
        let done = host.ask(Task::Deploy(part()), false).unwrap();
        assert_eq!(whats(&done), [path]);
        assert!(done.changes[0].diff.starts_with("mode 777 → "), "{}", done.changes[0].diff);
        assert_eq!(host.tree(), deployed);
    }
}

#[test]
fn whatever_sudo_or_useradd_refuse_the_host_is_as_it_was() {
    for (sudo_takes, accounts_can_be_made) in [(0, true), (1, true), (usize::MAX, false)] {
        let host = Host::new();
        host.system.sudo_takes.set(sudo_takes);
        host.system.accounts_can_be_made.set(accounts_can_be_made);
        let before = host.tree();
        let failed = host.ask(Task::Deploy(part()), false).unwrap_err();
        assert!(failed.as_before, "{failed:?}");
        assert_eq!(host.tree(), before, "{failed:?}");
    }
}

#[test]
fn a_file_where_a_folder_should_be_is_named_and_nothing_is_changed() {
    let host = Host::new();
    fs::write(host.place.path("/run/raysweep"), "").unwrap();
    let before = host.tree();
    let failed = host.ask(Task::Deploy(part()), false).unwrap_err();
    assert!(failed.why.contains("raysweep: is no folder") && failed.as_before, "{failed:?}");
    assert_eq!(host.tree(), before);
}

#[test]
fn an_account_of_somebody_else_is_no_account_of_ours() {
    let host = Host::new();
    *host.system.home.borrow_mut() = Some("/home/raysweep".into());
    let before = host.tree();
    let failed = host.ask(Task::Deploy(part()), false).unwrap_err();
    assert!(failed.why.contains("not of our making"), "{failed:?}");
    assert_eq!(host.ask(undeploy(), false).unwrap(), Done::default());
    assert_eq!(host.tree(), before);
}

#[test]
fn the_old_cron_line_is_shown_and_goes_only_where_that_is_asked() {
    let host = Host::new();
    let crontab = host.place.path("/var/spool/cron/crontabs/jo");
    let old = "0 * * * * /home/jo/cleanup_ray_workers_smart.sh x >> /home/jo/logs/ray_cleanup.log 2>&1\n";
    fs::write(&crontab, format!("{old}1 * * * * other\n")).unwrap();
    let done = host.ask(Task::Deploy(part()), false).unwrap();
    assert_eq!(done.old_cron[0].line, old.trim_end());
    assert!(fs::read_to_string(&crontab).unwrap().starts_with(old));
    let replacing = HostPart { replace_old_cron: true, ..part() };
    let done = host.ask(Task::Deploy(replacing.clone()), false).unwrap();
    assert_eq!(whats(&done), ["/var/lib/raysweep-deploy.json", "/var/spool/cron/crontabs/jo"]);
    assert!(done.changes[1].diff.contains(&format!("-{old}")), "{}", done.changes[1].diff);
    assert_eq!(fs::read_to_string(&crontab).unwrap(), "1 * * * * other\n");
    assert_eq!(host.ask(Task::Deploy(replacing), false).unwrap(), Done::default());
}

#[test]
fn an_undeploy_gives_back_what_was_taken_unless_it_is_told_to_drop_it() {
    let replacing = || Task::Deploy(HostPart { replace_old_cron: true, ..part() });
    let dropping =
        Task::Undeploy { textfile_dir: "/var/lib/prometheus/node-exporter".into(), drop_old_cron: true };
    for (task, is_given_back) in [(undeploy(), true), (dropping, false)] {
        let host = Host::new();
        let crontab = host.place.path("/var/spool/cron/crontabs/jo");
        let old = "MAILTO=a\n0 * * * * /home/jo/cleanup_ray_workers_smart.sh x\n1 * * * * other\n";
        fs::write(&crontab, old).unwrap();
        fs::set_permissions(&crontab, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let before = host.tree();
        host.ask(Task::Deploy(part()), false).unwrap();
        host.ask(replacing(), false).unwrap();
        // What is remembered survives a deploy that takes nothing.
        host.ask(Task::Deploy(part()), false).unwrap();
        let deployed = host.tree();
        let seen = host.ask(task.clone(), true).unwrap();
        assert_eq!(host.tree(), deployed);
        let done = host.ask(task, false).unwrap();
        assert_eq!(done, seen);
        assert_eq!(whats(&done).contains(&"/var/spool/cron/crontabs/jo"), is_given_back);
        assert_eq!(host.tree() == before, is_given_back);
        assert!(!host.place.path(record::RECORD).exists());
    }
}

/// As whoever sweeps takes the lock.
fn begin_sweep(host: &Host) -> io::Result<fs::File> {
    let folder = fs::File::open(host.place.path("/run/raysweep/lock"))?;
    rustix::fs::flock(&folder, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    Ok(folder)
}

#[test]
fn an_undeploy_takes_no_lock_from_under_a_sweep_that_runs() {
    let host = Host::new();
    let before = host.tree();
    host.ask(Task::Deploy(part()), false).unwrap();
    let deployed = host.tree();
    let sweep = begin_sweep(&host).unwrap();
    let undeployed = host.ask(undeploy(), false);
    host.ask(Task::Deploy(part()), false).unwrap();
    assert!(begin_sweep(&host).is_err(), "two sweeps are at work on one host");
    let failed = undeployed.unwrap_err();
    assert_eq!((&*failed.why, failed.as_before), ("a sweep is at work there: run it again", true));
    assert_eq!(host.tree(), deployed);
    let seen = host.ask(undeploy(), true).unwrap();
    assert_eq!(seen.notes, ["a sweep is at work there now: until it has ended nothing is taken away"]);
    drop(sweep);
    host.ask(undeploy(), false).unwrap();
    assert_eq!(host.tree(), before);
}

#[test]
fn a_file_that_somebody_else_put_where_our_link_was_stays() {
    let host = Host::new();
    let link = host.place.path("/var/lib/prometheus/node-exporter/raysweep.prom");
    host.ask(Task::Deploy(part()), false).unwrap();
    rustix::fs::unlink(&link).unwrap();
    fs::write(&link, "theirs").unwrap();
    host.ask(undeploy(), false).unwrap();
    assert_eq!(fs::read_to_string(&link).unwrap(), "theirs");
}

#[test]
fn beside_a_responder_the_program_stays() {
    let host = Host::new();
    host.ask(Task::Deploy(part()), false).unwrap();
    fs::create_dir_all(host.place.path("/etc/systemd/system")).unwrap();
    fs::write(host.place.path("/etc/systemd/system/raysweep.service"), "").unwrap();
    host.ask(undeploy(), false).unwrap();
    assert!(host.place.path(PROGRAM).exists());
    assert!(!host.place.path(SUDOERS).exists());
}

#[test]
fn a_program_that_was_brought_along_leaves_no_file() {
    let host = Host::new();
    let staged = host.place.path(format!("/usr/local/bin/{STAGED}0123.part~"));
    fs::write(&staged, "").unwrap();
    removal::staged_programs(&host.place);
    assert!(!staged.exists());
}
