use super::*;
use crate::fleet::host_part::{
    tests::{Host, part},
    wanted,
};

fn things(host: &Host) -> Vec<Thing> {
    wanted::things(&part(), b"the program".to_vec(), &host.place)
}

/// A host on which some of it lies already, with other contents, modes and kinds.
fn half_deployed() -> Host {
    let host = Host::new();
    fs::write(host.place.path("/usr/local/bin/raysweep"), "an older program").unwrap();
    fs::write(host.place.path("/etc/cron.d/raysweep"), "an older crontab").unwrap();
    fs::create_dir(host.place.path("/etc/raysweep")).unwrap();
    chmod(host.place.path("/etc/raysweep"), Mode::from_raw_mode(0o777)).unwrap();
    let link = host.place.path("/var/lib/prometheus/node-exporter/raysweep.prom");
    std::os::unix::fs::symlink("elsewhere", link).unwrap();
    host
}

#[test]
fn whoever_is_killed_after_any_step_leaves_what_the_next_run_puts_back() {
    let count = {
        let host = half_deployed();
        Transaction::new(things(&host), true, &host.place, &host.system).steps().count()
    };
    assert!(count > 20, "{count}");
    for killed_after in 0..=count {
        let host = half_deployed();
        let before = host.tree();
        let transaction = Transaction::new(things(&host), true, &host.place, &host.system);
        transaction.begin().unwrap();
        transaction.steps().take(killed_after).try_for_each(|step| transaction.take(step)).unwrap();
        assert!(is_left(&host.place));
        assert_eq!(recover(&host.place, &host.system), Ok(Some("what it had changed was put back")));
        assert_eq!(host.tree(), before, "killed after step {killed_after} of {count}");
        assert_eq!(recover(&host.place, &host.system), Ok(None));
    }
}

#[test]
fn whoever_is_killed_while_it_puts_back_leaves_what_the_next_run_puts_back() {
    let host = half_deployed();
    let before = host.tree();
    let transaction = Transaction::new(things(&host), true, &host.place, &host.system);
    transaction.begin().unwrap();
    transaction.steps().try_for_each(|step| transaction.take(step)).unwrap();
    let journal = read(&host.place.path(BEGUN)).unwrap().unwrap();
    // The journal still stands: all of it is done once more.
    put_back(&journal, &host.system).unwrap();
    recover(&host.place, &host.system).unwrap();
    assert_eq!(host.tree(), before);
}

#[test]
fn whoever_is_killed_after_the_end_has_succeeded() {
    let host = half_deployed();
    let wanted = {
        let other = half_deployed();
        carry_out(things(&other), true, &other.place, &other.system).unwrap();
        other.tree().into_values().collect::<Vec<_>>()
    };
    let transaction = Transaction::new(things(&host), true, &host.place, &host.system);
    transaction.begin().unwrap();
    transaction.steps().try_for_each(|step| transaction.take(step)).unwrap();
    fs::rename(host.place.path(BEGUN), host.place.path(DONE)).unwrap();
    assert!(is_left(&host.place));
    assert_eq!(recover(&host.place, &host.system), Ok(Some("what it had put in place stays")));
    assert_eq!(host.tree().into_values().collect::<Vec<_>>(), wanted);
}

#[test]
fn whoever_is_killed_while_it_writes_down_what_it_will_do_has_done_nothing() {
    let host = half_deployed();
    let before = host.tree();
    fs::write(beside(&host.place.path(BEGUN), NEW), "{\"entr").unwrap();
    assert_eq!(recover(&host.place, &host.system), Ok(None));
    assert_eq!(host.tree(), before);
}

#[test]
fn no_name_in_between_is_one_that_a_service_reads() {
    for path in ["/etc/cron.d/raysweep", "/etc/sudoers.d/raysweep", "/etc/tmpfiles.d/raysweep.conf"] {
        for what in [NEW, OLD] {
            let name = beside(Path::new(path), what);
            let name = name.file_name().unwrap().to_str().unwrap();
            // cron: no dot in front; sudo: no `~` behind, no dot; logrotate: no `~`; tmpfiles: only .conf.
            assert!(name.starts_with('.') && name.ends_with('~'), "{name}");
        }
    }
}
