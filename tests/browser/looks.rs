//! How the pages look to whoever has a small window, little contrast, a reader, or a slow line.

use std::{env, fs};

use serde_json::Value;

use crate::{
    browser::{Browser, NARROW, WIDE},
    stage::{AT_WORK, Stage},
};

/// What a page may weigh, with all that it loads.
const MOST_BYTES: u64 = 100_000;
const RULES: &str = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']";

#[test]
fn no_page_has_to_be_moved_sideways_in_a_narrow_window() {
    let (stage, browser) = (Stage::new(), Browser::start());
    browser.window(NARROW);
    for (name, path) in stage.pages() {
        browser.open(&stage.url(&path));
        let width = browser.eval("return document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(width <= u64::from(NARROW.0), "{name}: {width} wide");
    }
}

#[test]
fn contrast_labels_and_roles_are_as_they_should_be_light_and_dark_wide_and_narrow() {
    let (stage, browser, axe) = (Stage::new(), Browser::start(), axe());
    let mut found = vec![];
    let refused = ("refused", "/hosts/nobody".to_owned());
    for (name, path) in stage.pages().into_iter().chain([refused]) {
        browser.open(&stage.url(&path));
        browser.eval(&axe);
        for scheme in ["light", "dark"] {
            browser.scheme(scheme);
            for window in [WIDE, NARROW] {
                browser.window(window);
                found.extend(
                    violations(&browser)
                        .into_iter()
                        .map(|one| format!("{name}, {scheme}, {}: {one}", window.0)),
                );
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn what_cannot_be_read_and_has_no_label_is_noticed() {
    let (stage, browser, axe) = (Stage::new(), Browser::start(), axe());
    browser.open(&stage.url("/"));
    browser.eval(&axe);
    assert_eq!(violations(&browser), [""; 0]);
    browser.eval("document.querySelector('caption').style.color = '#bbb'; document.querySelector('form label').replaceWith(document.querySelector('form input'))");
    let found = violations(&browser).join("\n");
    for rule in ["color-contrast", "label"] {
        assert!(found.contains(&format!("{rule} ")), "{rule}: {found}");
    }
}

#[test]
fn each_page_weighs_less_than_a_hundred_kilobytes_with_all_that_it_loads() {
    weigh(&Stage::new(), &Browser::start());
}

#[test]
fn nor_does_one_that_has_more_to_tell_than_it_has_room_for_and_it_says_so() {
    let (stage, browser) = (Stage::long(), Browser::start());
    let heaviest = weigh(&stage, &browser);
    assert!(heaviest > MOST_BYTES / 2, "{heaviest} bytes: there was room for all of it");
    browser.window(NARROW);
    browser.open(&stage.url(&format!("/attempts/{}", stage.attempt(AT_WORK))));
    let width = browser.eval("return document.documentElement.scrollWidth").as_u64().unwrap();
    assert!(width <= u64::from(NARROW.0), "{width} wide");
    let shown = browser.text("main");
    for said in ["/tmp/in-use", "ray-worker-long", "more workers", " more, which hold "] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    browser.follow("the JSON has all");
    browser.waits_for_address("the whole report", |address| address.starts_with("/api/v1/attempts/"));
}

/// What the heaviest of a stage's pages weighs, of which none may weigh more than it may.
fn weigh(stage: &Stage, browser: &Browser) -> u64 {
    let icon = stage.responder.get("/page/icon.svg").1.len() as u64;
    let each = stage.pages().into_iter().map(|(name, path)| {
        browser.open(&stage.url(&path));
        let bytes = browser.eval(
            "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
                .map(one => Math.max(one.transferSize, one.encodedBodySize)).reduce((sum, one) => sum + one, 0)",
        );
        let bytes = bytes.as_u64().unwrap() + icon;
        println!("figure: {name}: {bytes} bytes");
        assert!((1_000..MOST_BYTES).contains(&bytes), "{name}: {bytes} bytes");
        bytes
    });
    each.max().unwrap()
}

#[test]
fn no_page_has_the_console_complain_or_asks_for_what_the_policy_forbids() {
    let (stage, browser) = (Stage::new(), Browser::start());
    for (name, path) in stage.pages() {
        browser.open(&stage.url(&path));
        assert_eq!(browser.console(), [""; 0], "{name}");
    }
    // It would say so.
    browser.eval("document.body.insertAdjacentHTML('beforeend', '<img src=\"http://127.0.0.1:9/x\">')");
    crate::harness::wait_for("a complaint", || {
        browser.console().iter().any(|line| line.contains("Content Security Policy")).then_some(())
    });
}

/// The checker, which the runner brings.
fn axe() -> String {
    let path = env::var("AXE").expect("AXE: axe.min.js, as tests/browser/run.sh brings it");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What axe finds wrong with the page that is open, each with where.
fn violations(browser: &Browser) -> Vec<String> {
    let found = browser.eval_async(&format!(
        "const done = arguments[arguments.length - 1];
         axe.run(document, {{ resultTypes: ['violations'], runOnly: {{ type: 'tag', values: {RULES} }} }}).then(
             result => done(result.violations.flatMap(rule => rule.nodes.map(
                 node => `${{rule.id}} (${{rule.impact}}): ${{node.html}} ${{node.failureSummary}}`))),
             error => done([`axe failed (critical): ${{error}}`]))"
    ));
    let found: Vec<Value> = serde_json::from_value(found).unwrap();
    found.iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}
