//! The page reads itself again, and takes nothing out of the hands of whoever is at it.

use serde_json::json;

use crate::{
    browser::{Browser, NARROW},
    harness::{CRITICAL, wait_for},
    stage::{AT_WORK, Stage},
};

/// What the page does every 15 s it does every 100 ms, and each time counts.
const QUICK: &str = "window.looks = 0;
    const slow = window.setInterval;
    window.setInterval = what => slow(() => { window.looks += 1; what(); }, 100);";

#[test]
fn the_table_tells_of_a_new_incident_by_itself() {
    let (stage, browser) = (Stage::new(), Browser::start());
    browser.before_each_page(QUICK);
    browser.open(&stage.url("/?host=ray-85"));
    assert!(browser.text("tbody tr").contains("none yet"), "{}", browser.text("tbody tr"));
    stage.tell(&[(CRITICAL, "ray-85", 1)]);
    wait_for("the incident in the table", || shown(&browser).contains("critical").then_some(()));
    assert_eq!(browser.address(), "/?host=ray-85");
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
fn what_is_selected_stays_so_until_it_is_let_go() {
    let (stage, browser) = (Stage::new(), Browser::start());
    browser.before_each_page(QUICK);
    browser.open(&stage.url("/hosts/ray-85"));
    browser.eval("getSelection().selectAllChildren(document.querySelector('main h1'))");
    stage.tell(&[(CRITICAL, "ray-85", 1)]);
    stage.responder.ended_attempt("ray-85");
    looks_a_few_times(&browser);
    assert_eq!(browser.eval("return String(getSelection()).trim()"), "ray-85");
    assert!(!shown(&browser).contains("Open incident"), "the page changed under a selection");
    browser.eval("getSelection().removeAllRanges()");
    wait_for("the incident on the page", || shown(&browser).contains("Open incident").then_some(()));
}

#[test]
fn a_field_that_somebody_types_into_keeps_what_was_typed() {
    let (stage, browser) = (Stage::new(), Browser::start());
    browser.before_each_page(QUICK);
    browser.open(&stage.url("/"));
    browser.eval("document.querySelector('form input').focus()");
    browser.press("ray-");
    looks_a_few_times(&browser);
    browser.press("8");
    assert_eq!(browser.eval("return document.activeElement.value"), "ray-8");
}

#[test]
fn a_page_that_is_read_further_down_stays_where_it_is() {
    let (stage, browser) = (Stage::new(), Browser::start());
    browser.window(NARROW);
    browser.before_each_page(QUICK);
    browser.open(&stage.url(&format!("/hosts/{AT_WORK}")));
    browser.eval("document.querySelector('main').dataset.first = 'yes'; scrollTo(0, 400)");
    wait_for("the page to be read again", || {
        browser.eval("return document.querySelector('main').dataset.first ?? null").is_null().then_some(())
    });
    assert_eq!(browser.eval("return scrollY"), json!(400));
}

#[test]
fn a_page_that_cannot_be_read_again_says_since_when_until_it_can() {
    let (stage, browser) = (Stage::new(), Browser::start());
    browser.before_each_page(QUICK);
    browser.open(&stage.url("/?host=ray-85"));
    assert_eq!(browser.eval("return document.querySelector('.unread').getAttribute('role')"), "status");
    // It hangs: neither an answer nor an error comes.
    stage.responder.signal("-STOP");
    // By the clock of whoever made the page, and not by that of whoever looks.
    let since =
        "return `not read again since ${document.querySelector('.made time').textContent.slice(11)} UTC`";
    wait_for("the page to say so", || (browser.eval(since) == unread(&browser)).then_some(()));
    stage.responder.signal("-CONT");
    wait_for("the page to be read again", || unread(&browser).is_empty().then_some(()));
    // It is gone.
    stage.responder.signal("-KILL");
    wait_for("the page to say so again", || (!unread(&browser).is_empty()).then_some(()));
    assert!(shown(&browser).contains("ray-85"), "what was read last stays");
}

#[test]
fn a_page_that_answers_something_else_is_not_read_and_says_so() {
    for answer in ["'no', { status: 503 }", "'<p>another program', { status: 200 }"] {
        let (stage, browser) = (Stage::new(), Browser::start());
        browser.before_each_page(QUICK);
        browser.before_each_page(&format!("window.fetch = async () => new Response({answer})"));
        browser.open(&stage.url("/?host=ray-85"));
        wait_for("the page to say so", || {
            unread(&browser).starts_with("not read again since ").then_some(())
        });
        assert!(shown(&browser).contains("ray-85"), "{answer}");
    }
}

#[test]
fn a_link_that_has_the_focus_keeps_it_while_the_page_is_read_again() {
    let (stage, browser) = (Stage::new(), Browser::start());
    browser.before_each_page(QUICK);
    browser.open(&stage.url(&format!("/hosts/{AT_WORK}")));
    // The second of two that lead to the same place.
    browser.eval(
        "window.first = document.querySelector('main');
         [...document.querySelectorAll('main a[href*=\"incidents/\"]')].at(-1).focus()",
    );
    let focus = "const all = [...document.querySelectorAll('main a[href*=\"incidents/\"]')];
        return [all.length, all.indexOf(document.activeElement)]";
    let before = browser.eval(focus);
    assert!(before[0].as_u64().unwrap() >= 1, "{before}");
    wait_for("the page to be read again", || {
        (browser.eval("return document.querySelector('main') !== window.first") == true).then_some(())
    });
    assert_eq!(browser.eval(focus), before);
}

#[test]
fn somebody_who_is_at_it_for_long_is_told_that_the_page_is_of_then() {
    let (stage, browser) = (Stage::new(), Browser::start());
    browser.before_each_page(QUICK);
    browser.open(&stage.url("/"));
    browser.eval("document.querySelector('form input').focus()");
    wait_for("the page to say so", || unread(&browser).starts_with("not read again since ").then_some(()));
    browser.eval("document.activeElement.blur()");
    wait_for("the page to be read again", || unread(&browser).is_empty().then_some(()));
}

/// What the page says of not having been read again.
fn unread(browser: &Browser) -> String {
    browser.eval("return document.querySelector('.unread').textContent").as_str().unwrap().to_owned()
}

fn shown(browser: &Browser) -> String {
    browser.eval("return document.querySelector('main').textContent").as_str().unwrap().to_owned()
}

fn looks_a_few_times(browser: &Browser) {
    let looks = || browser.eval("return window.looks").as_u64().unwrap();
    let before = looks();
    wait_for("the page to look whether it may", || (looks() > before + 5).then_some(()));
}
