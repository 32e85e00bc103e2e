use std::{fs, path::Path};

/// Feeds every committed seed of a target to its property.
fn hold_for_every_seed(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(seeds.len() > 3, "only {} seeds of {target} were found", seeds.len());
    for seed in seeds {
        let data = fs::read(&seed).unwrap();
        let held = std::panic::catch_unwind(|| property(&data));
        assert!(held.is_ok(), "{}", seed.display());
    }
}

#[test]
fn what_processes_say_of_themselves_hides_nothing() {
    hold_for_every_seed("processes", super::processes);
}

#[test]
fn no_name_hides_a_file_in_use() {
    hold_for_every_seed("signs", super::signs);
}

#[test]
fn no_name_moves_a_mount() {
    hold_for_every_seed("mounts", super::mounts);
}

#[test]
fn the_gate_takes_one_word_and_one_request() {
    hold_for_every_seed("gate", super::gate);
}

#[test]
fn a_report_is_read_whole_or_not_at_all() {
    hold_for_every_seed("report", super::report);
}

#[test]
fn a_payload_selects_a_host_by_its_name_or_nothing() {
    hold_for_every_seed("payload", super::payload);
}

#[test]
fn a_configuration_is_read_as_it_is_written() {
    hold_for_every_seed("config", super::config);
}

#[test]
fn a_web_configuration_keeps_its_secrets() {
    hold_for_every_seed("web", super::web);
}

#[test]
fn parent_and_child_hear_what_was_said() {
    hold_for_every_seed("wire", super::wire);
}
