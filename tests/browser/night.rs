//! What a person does at three in the morning, by mouse, by keys, and where no script runs.

use crate::{
    browser::{Browser, ENTER, TAB},
    stage::{AT_WORK, Stage},
};

#[test]
fn a_person_finds_the_host_that_needs_them_its_story_and_what_was_kept_and_why() {
    finds_the_host_its_story_and_what_was_kept(&Browser::start());
}

#[test]
fn without_scripts_they_find_the_same() {
    let browser = Browser::without_scripts();
    finds_the_host_its_story_and_what_was_kept(&browser);
    browser.back();
    // Where scripts run it would be no element.
    assert_eq!(browser.eval("return document.querySelector('noscript meta') !== null"), true);
}

fn finds_the_host_its_story_and_what_was_kept(browser: &Browser) {
    let stage = Stage::new();
    browser.open(&stage.url("/"));
    let first = browser.text("tbody tr");
    for said in [AT_WORK, "needs a person", "critical active", "2 % free", "active"] {
        assert!(first.contains(said), "{said}: {first}");
    }
    browser.follow(AT_WORK);
    browser.waits_for_address("the host's page", |address| address == format!("/hosts/{AT_WORK}"));
    assert_eq!(browser.title(), format!("{AT_WORK} · raysweep"));
    let person = browser.text(".note.bad");
    assert_eq!(
        person,
        "A person is needed: a critical alert fires, and work in progress holds what there is"
    );
    let story = browser.texts("ol.story li span");
    let told = [
        "the incident opened",
        "began to fire",
        "the host let us in",
        "the attempt ended: active",
        "a person was told",
    ];
    for said in told {
        assert!(story.iter().any(|line| line.contains(said)), "{said}: {story:?}");
    }
    browser.follow("report");
    browser.waits_for_address("the attempt's page", |address| address.starts_with("/attempts/"));
    let kept = browser.texts("main table tbody tr");
    let is_kept = |row: &String| {
        row.contains("/tmp/checkpoint_tmp_8e41c0") && row.contains("a process has it open (process 48211)")
    };
    assert!(kept.iter().any(is_kept), "{kept:?}");
    assert!(kept.iter().any(|row| row.contains("python train.py --epochs 40")), "{kept:?}");
    browser.back();
    browser.click("a[href*='notifications/']");
    browser.waits_for_address("what was received", |address| address.starts_with("/notifications/"));
    let id = browser.address().replace("/notifications/", "");
    let commands = browser.texts("main p code");
    assert_eq!(commands, [format!("raysweep replay {id} --dry-run"), format!("raysweep replay {id}")]);
    let received = browser.eval("return document.querySelector('pre').textContent");
    assert!(received.as_str().unwrap().contains(r#""alertname": "RayWorkerDiskCritical""#), "{received}");
    // As it was received, to the byte, is one link further.
    browser.follow("To the byte");
    browser.waits_for_address("the body", |address| address == format!("/api/v1/notifications/{id}"));
}

#[test]
fn what_is_shown_and_how_it_is_sorted_stands_in_the_address_and_back_undoes_it() {
    filters_sorts_and_goes_back(&Browser::start());
}

#[test]
fn without_scripts_the_table_is_filtered_and_sorted_all_the_same() {
    filters_sorts_and_goes_back(&Browser::without_scripts());
}

fn filters_sorts_and_goes_back(browser: &Browser) {
    let stage = Stage::new();
    let shown = || browser.texts("tbody th");
    browser.open(&stage.url("/"));
    assert_eq!(shown(), [AT_WORK, "ray-83", "ray-82", "ray-84", "ray-80", "ray-85"]);
    browser.follow("Host");
    browser.waits_for_address("hosts by name", |address| address == "/?sort=host");
    assert_eq!(shown(), ["ray-80", AT_WORK, "ray-82", "ray-83", "ray-84", "ray-85"]);
    browser.follow("Host");
    browser.waits_for_address("the other way round", |address| address == "/?sort=host&order=up");
    assert_eq!(shown(), ["ray-85", "ray-84", "ray-83", "ray-82", AT_WORK, "ray-80"]);
    browser.click(".sums li:nth-child(2) a");
    browser.waits_for_address("hosts in trouble", |address| address.contains("show=trouble"));
    assert_eq!(shown(), ["ray-84", "ray-83", "ray-82", AT_WORK]);
    browser.back();
    browser.waits_for_address("all of them again", |address| address == "/?sort=host&order=up");
    assert_eq!(shown().len(), 6);
    browser.submit("ray-8", &[("mode", "observe"), ("sort", "disk")]);
    browser.waits_for_address("what the form asked for", |address| address.contains("mode=observe"));
    assert_eq!(shown(), ["ray-82"]);
    let address = browser.address();
    for field in ["host=ray-8", "sort=disk", "order=up", "show=all"] {
        assert!(address.contains(field), "{field}: {address}");
    }
    // Whoever is sent this address sees the same, and the form says what it is.
    browser.open(&stage.url(&address));
    assert_eq!(shown(), ["ray-82"]);
    assert_eq!(browser.text("select[name=mode] option:checked"), "observe");
}

#[test]
fn the_host_whose_own_sweeps_do_not_come_any_more_is_found_in_words() {
    let (stage, browser) = (Stage::new(), Browser::start());
    browser.open(&stage.url("/"));
    browser.follow("Backstop");
    browser.waits_for_address("hosts by their backstop", |address| address == "/?sort=backstop");
    let first = browser.text("tbody tr");
    for said in ["ray-84", "overdue", "the last nothing to free, 5 h "] {
        assert!(first.contains(said), "{said}: {first}");
    }
    browser.click(".sums li:last-child a");
    browser.waits_for_address("those alone", |address| address.contains("show=backstop"));
    assert_eq!(browser.texts("tbody th"), ["ray-84"]);
    browser.follow("ray-84");
    browser.waits_for_address("the host's page", |address| address == "/hosts/ray-84");
    assert!(browser.text("main dl").contains("overdue the last nothing to free, 5 h "));
}

#[test]
fn keys_alone_lead_past_the_head_of_the_page_to_the_host_that_needs_a_person() {
    let (stage, browser) = (Stage::new(), Browser::start());
    // Where the keys stand is lost to a page that reads itself again before anything has the focus.
    browser.before_each_page("window.setInterval = () => 0");
    browser.open(&stage.url("/"));
    let focus = |what: &str| {
        browser.eval(&format!("return document.activeElement.{what}")).as_str().unwrap().to_owned()
    };
    browser.press(TAB);
    assert_eq!(focus("textContent"), "Skip to what it says");
    let is_seen = browser.eval("return document.activeElement.getBoundingClientRect().left >= 0");
    assert_eq!(is_seen, true, "the way past the head is seen once it has the focus");
    browser.press(ENTER);
    browser.waits_for_address("the main part", |address| address == "/#main");
    // The next key goes on from there, not from the head.
    browser.press(TAB);
    assert_eq!(focus("closest('main').id"), "main");
    let outline = browser.eval("return getComputedStyle(document.activeElement).outlineStyle");
    assert_eq!(outline, "solid", "what has the focus is seen");
    let mut presses = 0;
    while focus("textContent") != AT_WORK {
        browser.press(TAB);
        presses += 1;
        assert!(presses < 40, "{presses} keys, and the focus is on {}", focus("textContent"));
    }
    browser.press(ENTER);
    browser.waits_for_address("the host's page", |address| address == format!("/hosts/{AT_WORK}"));
}
