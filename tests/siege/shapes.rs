//! Trees of every shape: what a delete meets that is no plain file in a plain folder.

use std::time::Instant;

use raysweep::domain::report::KeptBecause;

use crate::{
    play::{Play, sweep_until},
    stage::{MAY_MUCH, Outside, SESSION, Worker, docker, figure, is_long, settings},
    sweeping::Settings,
    world::wait_until,
};

fn at(name: &str) -> String {
    format!("{SESSION}/{name}")
}

#[test]
fn what_is_no_plain_file_goes_and_what_it_leads_to_stays() {
    let outside = Outside::new("shapes");
    let worker = Worker::besieged("shapes", &outside);
    let (victims, own) = (outside.sum(), worker.outside());
    worker.sh(&format!("mkdir -p {SESSION}")).unwrap();
    worker.player(&["odd", &at("odd")]);
    worker.player(&["chain", &at("deep"), "10000"]);
    worker.wait_until_old(SESSION);

    let swept = settings().sweep(&worker.name);

    for name in ["odd", "deep"] {
        swept.removed(&worker.name, &at(name));
        assert!(!worker.has(&at(name)), "{}", swept.shown());
    }
    assert_eq!(swept.worker(&worker.name).errors, Vec::<String>::new(), "{}", swept.shown());
    assert_eq!((outside.sum(), worker.outside()), (victims, own), "{}", swept.shown());
    let linked = worker.sh("cat /root/linked; stat -c %h /root/linked").unwrap();
    assert_eq!(linked, "mine\n1", "the other name of a hard link: {}", swept.shown());
}

#[test]
fn a_name_that_leaves_no_room_stays_and_odd_ones_go() {
    let worker = Worker::start("names", &[]);
    let long = "n".repeat(255);
    let script = "mkdir -p \"$1\" && cd \"$1\" && mkdir -- \"$2\" ' ' '-rf' \"$(printf '\\377\\376')\" \
                  \"$(printf 'two\\nlines')\" && touch \"$2/file\"";
    docker(&["exec", &worker.name, "sh", "-c", script, "sh", SESSION, &long]).unwrap();
    worker.wait_until_old(SESSION);

    let swept = settings().sweep(&worker.name);

    assert_eq!(swept.kept(&worker.name, &at(&long)).why, KeptBecause::NameTooLong, "{}", swept.shown());
    for shown in [" ", "-rf", "\\xff\\xfe", "two\\nlines"] {
        swept.removed(&worker.name, &at(shown));
    }
    let left = worker.sh(&format!("ls -A {SESSION} | wc -l; ls {SESSION}/n*")).unwrap();
    assert_eq!(left, "1\nfile", "{}", swept.shown());
}

#[test]
fn a_flat_folder_of_very_many_files_goes_in_one_sweep() {
    let files = if is_long() { 1_000_000 } else { 100_000 };
    let worker = Worker::start("flat", &[]);
    let made = Instant::now();
    // In parts: each is a command, and no command takes for ever.
    for first in (0..files).step_by(50_000) {
        worker.player(&["flat", &at("flat"), &first.to_string(), &(first + 50_000).to_string()]);
    }
    let made = made.elapsed();
    worker.wait_until_old(SESSION);
    let began = Instant::now();

    let swept = Settings { deadline: "150s", ..settings() }.sweep(&worker.name);

    let took = began.elapsed();
    assert_eq!(swept.removed(&worker.name, &at("flat")).files, files, "{}", swept.shown());
    assert!(!worker.has(&at("flat")), "{}", swept.shown());
    figure(&format!(
        "flat folder: {files} files made in {:.1} s and gone in {:.1} s, the whole sweep",
        made.as_secs_f64(),
        took.as_secs_f64()
    ));
}

#[test]
fn what_is_immutable_stays_with_its_reason_and_goes_once_it_is_not() {
    let worker = Worker::start("immutable", &MAY_MUCH);
    worker
        .sh(&format!(
            "mkdir -p {SESSION}/tree/a {SESSION}/tree/b; touch {SESSION}/tree/a/fixed {SESSION}/tree/b/free"
        ))
        .unwrap();
    worker.player(&["immutable", &at("tree/a/fixed"), "on"]);
    worker.wait_until_old(SESSION);

    let swept = settings().sweep(&worker.name);

    let kept = swept.kept(&worker.name, &at("tree"));
    assert_eq!(kept.why, KeptBecause::Error, "{}", swept.shown());
    assert!(kept.detail.contains("fixed"), "{}", swept.shown());
    assert!(worker.has(&at("tree/a/fixed")), "{}", swept.shown());
    assert!(!worker.has(&at("tree/b/free")), "what stands beside it goes: {}", swept.shown());
    assert_eq!(worker.detached(), "", "it has its name back: {}", swept.shown());

    worker.player(&["immutable", &at("tree/a/fixed"), "off"]);
    worker.wait_until_old(SESSION);
    let swept = settings().sweep(&worker.name);
    assert!(!worker.has(&at("tree")), "{}", swept.shown());
}

#[test]
fn who_writes_into_what_is_deleted_cannot_keep_a_sweep_from_its_end() {
    let worker = Worker::start("grows", &[]);
    worker.sh(&format!("mkdir -p {SESSION}")).unwrap();
    for name in ["one", "two", "three"] {
        worker.player(&["forest", &at(name)]);
    }
    worker.wait_until_old(SESSION);
    let play = Play::begin(&worker, "grows");

    sweep_until(&worker, "something to go", |swept| {
        swept.worker(&worker.name).removed.iter().any(|removed| removed.files >= 9_000)
    });

    let played = play.end();
    assert!(played["written"] > 0, "nothing grew: {played:?}");
    figure(&format!("file that grows in mid-delete: {} writes of 4 KiB, the sweep ended", played["written"]));
    worker.wait_until_old(SESSION);
    let next = settings().sweep(&worker.name);
    assert_eq!(worker.sh(&format!("ls -A {SESSION}")).unwrap(), "", "{}", next.shown());
}

#[test]
fn what_takes_the_name_of_something_detached_is_let_be() {
    let worker = Worker::start("reappears", &[]);
    let play = Play::begin(&worker, "reappears");
    // It has to open what was detached before the second look: it may come too late.
    let (number, swept) = (1..10)
        .find_map(|number| {
            let script = "mkdir -p $0 && cd $0 && mkdir free$1 held$1 && touch free$1/old held$1/old";
            docker(&["exec", &worker.name, "sh", "-c", script, SESSION, &number.to_string()]).unwrap();
            worker.wait_until_old(SESSION);
            let swept = settings().sweep(&worker.name);
            let is_met = ["free", "held"].iter().all(|name| worker.has(&at(&format!("{name}{number}/anew"))))
                && worker
                    .sh(&format!("find {SESSION} -path '*held{number}/old'"))
                    .is_ok_and(|at| !at.is_empty());
            is_met.then_some((number, swept))
        })
        .expect("no name was taken in ten sweeps");

    let kept = swept.kept(&worker.name, &at(&format!("held{number}")));
    assert_eq!(kept.why, KeptBecause::NameTaken, "{}", swept.shown());
    let aside = worker.sh(&format!("find {SESSION} -path '*held{number}/old'")).unwrap();
    assert!(aside.starts_with(&at(".raysweep-")) && aside.lines().count() == 1, "{aside}: {}", swept.shown());
    assert!(!worker.has(&at(&format!("free{number}/old"))), "{}", swept.shown());
    play.end();
    wait_until(180, "what was detached to go with a later sweep", || {
        worker.wait_until_old(SESSION);
        settings().sweep(&worker.name);
        worker.detached().is_empty()
    });
}
