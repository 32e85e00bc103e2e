//! Whatever somebody writes into a label, a path, a container's name: nothing of it runs.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{browser::Browser, stage::Stage};

const TEXTS: [&str; 20] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'><svg/onload=alert(1)>",
    "' onmouseover='alert(1)' x='",
    "\" autofocus onfocus=\"alert(1)",
    "</title><script>alert(1)</script>",
    "</code></pre></td></tr></table></main><iframe srcdoc=\"<script>parent.alert(1)</script>\">",
    "javascript:alert(1)",
    "<a id=evil href=\"javascript:alert(1)\">x</a>",
    "<base href=\"//evil.example/\"><meta http-equiv=refresh content=\"0;url=//evil.example/\">",
    "<style>*{display:none}</style><link rel=stylesheet href=//evil.example/x.css>",
    "<form action=//evil.example/><button formaction=javascript:alert(1)>",
    "<details open ontoggle=alert(1)><video><source onerror=alert(1)>",
    "<math><mtext><table><mglyph><style></math><img src onerror=alert(1)>",
    "{{ 7*7 }} {% raw %} ${7*7} <%= 7*7 %> #{7*7}",
    "<!-- --!> <![CDATA[ <script>alert(1)</script> ]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;b&#62; &quot;",
    "\u{ff1c}script\u{ff1e}alert(1)\u{ff1c}/script\u{ff1e} <\u{17f}cript>alert(1)</\u{17f}cript>",
    "\u{202e}>tpircs/<)1(trela>tpircs<\u{202c}\u{200b}\u{feff}\u{2066}",
    "`${alert(1)}` \\u003cscript\\u003ealert(1) \\x3cb\\x3e %3Cscript%3E",
];

/// Notes whatever would run, and whatever the policy had to keep from running.
const TRAPS: &str = "window.ran = [];
    for (const name of ['alert', 'confirm', 'prompt', 'print', 'open'])
        window[name] = (...said) => window.ran.push(`${name} ${said}`);
    addEventListener('error', event => window.ran.push(`error ${event.message || event.target?.src}`), true);
    addEventListener('securitypolicyviolation', event => window.ran.push(`policy ${event.violatedDirective}`), true);";

/// What a page has that it should not have, wherever it comes from.
const INTRUDERS: &str = "const found = [...window.ran];
    const forbidden = 'iframe,object,embed,svg,math,img,video,base,details,template,main script,main style,main link,main meta,#evil';
    for (const one of document.querySelectorAll(forbidden)) found.push(one.outerHTML);
    for (const one of document.querySelectorAll('*')) {
        for (const { name } of one.attributes) if (name.startsWith('on') || name === 'autofocus') found.push(one.outerHTML);
        for (const name of ['href', 'src', 'action', 'formAction']) {
            const to = one.getAttribute(name);
            if (to && new URL(to, location.href).origin !== location.origin) found.push(one.outerHTML);
        }
    }
    if (document.scripts.length !== 1) found.push(`${document.scripts.length} scripts`);
    return found;";

#[test]
fn nothing_runs_of_what_hosts_alerts_and_notifications_say_and_all_of_it_is_shown() {
    let (stage, browser) = (Stage::hostile(&TEXTS), Browser::start());
    browser.before_each_page(TRAPS);
    let mut pages = stage.pages();
    let received = stage.responder.rows("incidents");
    let last = received.iter().flat_map(|incident| incident["alerts"].as_array().unwrap());
    let last = last.filter_map(|alert| alert["last_notification"].as_str());
    pages.extend(last.map(|id| ("last notification", format!("/notifications/{id}"))));
    let mut shown = String::new();
    for (name, path) in &pages {
        browser.open(&stage.url(path));
        assert_eq!(browser.eval(INTRUDERS), Value::Array(vec![]), "{name}");
        assert!(browser.title().ends_with(" · raysweep"), "{name}: {}", browser.title());
        assert_eq!(browser.console(), [""; 0], "{name}");
        if ["attempt", "status"].contains(name) {
            let text = browser.eval("return document.querySelector('main').textContent");
            let _ = writeln!(shown, "{name}: {}", text.as_str().unwrap());
        }
    }
    let (attempt, status) = shown.split_once("status: ").unwrap();
    for text in TEXTS {
        assert!(attempt.matches(text).count() >= 6, "the attempt's page does not show {text:?}");
        // There it stands as the text of a JSON string.
        let escaped = serde_json::to_string(text).unwrap();
        assert!(status.contains(&escaped), "the status page does not show {escaped}");
    }
}

#[test]
fn nothing_runs_of_what_an_address_says() {
    let (stage, browser) = (Stage::new(), Browser::start());
    browser.before_each_page(TRAPS);
    for text in TEXTS {
        let mut escaped = String::new();
        for byte in text.bytes() {
            let _ = write!(escaped, "%{byte:02X}");
        }
        for path in ["/?host=", "/?sort=", "/hosts/", "/incidents/", "/attempts/", "/notifications/"] {
            browser.open(&stage.url(&format!("{path}{escaped}")));
            assert_eq!(browser.eval(INTRUDERS), Value::Array(vec![]), "{path}{text}");
            assert!(browser.title().ends_with(" · raysweep"), "{path}{text}: {}", browser.title());
        }
        browser.open(&stage.url(&format!("/?host={escaped}")));
        assert_eq!(browser.eval("return document.querySelector('form input').value"), text);
    }
}

#[test]
fn on_a_page_that_does_not_escape_the_same_texts_are_caught() {
    let browser = Browser::start();
    browser.before_each_page(TRAPS);
    for text in ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'><svg/onload=alert(1)>"] {
        let mut page = String::from("data:text/html,");
        for byte in format!("<title>t</title><main>{text}</main>").bytes() {
            let _ = write!(page, "%{byte:02X}");
        }
        browser.open(&page);
        crate::harness::wait_for("what runs to be noted", || {
            browser.eval("return window.ran.includes('alert 1')").as_bool().filter(|ran| *ran)
        });
    }
}
