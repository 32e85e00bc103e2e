//! Chromium as a person has it before them: what it shows, what is clicked, what it complains of.

use std::time::Duration;

use axum::http::Method;
use base64::{Engine, prelude::BASE64_STANDARD};
use fantoccini::{
    Client, ClientBuilder, Locator,
    error::CmdError,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use url::{ParseError, Url};

use crate::{
    driver::Driver,
    harness::{PATIENCE, wait_for},
};

/// A window of a desk's.
pub(crate) const WIDE: (u32, u32) = (1280, 800);
/// A telephone's.
pub(crate) const NARROW: (u32, u32) = (390, 844);
pub(crate) const TAB: &str = "\u{E004}";
pub(crate) const ENTER: &str = "\u{E007}";

/// A browser with one window. Fields end in this order: the session before its driver.
pub(crate) struct Browser {
    client: Client,
    runtime: Runtime,
    _driver: Driver,
}

impl Browser {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// One in which no page runs a script.
    pub(crate) fn without_scripts() -> Self {
        Self::with(&["--blink-settings=scriptEnabled=false"])
    }

    fn with(more: &[&str]) -> Self {
        let driver = Driver::start();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let profile = format!("--user-data-dir={}", driver.profile.path().display());
        // The sandbox wants an account that is not root's, /dev/shm is small in a container.
        let mut flags = vec!["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"];
        flags.extend(["--hide-scrollbars", "--force-color-profile=srgb", "--lang=en", &profile]);
        flags.extend(more);
        let wanted: Capabilities = serde_json::from_value(json!({
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": flags },
        }))
        .unwrap();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let session =
            async { tokio::time::timeout(PATIENCE, builder.capabilities(wanted).connect(&driver.url)).await };
        let client = runtime.block_on(session).expect("Chromium within its time").unwrap();
        let browser = Self { client, runtime, _driver: driver };
        browser.window(WIDE);
        browser.scheme("light");
        browser
    }

    pub(crate) fn open(&self, url: &str) {
        self.wait(self.client.goto(url)).unwrap();
    }

    /// What stands behind the host in the address.
    pub(crate) fn address(&self) -> String {
        let url = self.wait(self.client.current_url()).unwrap();
        url[url::Position::BeforePath..].to_owned()
    }

    pub(crate) fn waits_for_address(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        wait_for(what, || is_it(&self.address()).then_some(()));
    }

    pub(crate) fn back(&self) {
        self.wait(self.client.back()).unwrap();
    }

    pub(crate) fn title(&self) -> String {
        self.wait(self.client.title()).unwrap()
    }

    /// Clicks what a person would call the link of this text.
    pub(crate) fn follow(&self, text: &str) {
        self.on_what_stays(async || self.client.find(Locator::LinkText(text)).await?.click().await);
    }

    pub(crate) fn click(&self, css: &str) {
        self.on_what_stays(async || self.client.find(Locator::Css(css)).await?.click().await);
    }

    /// Fills in a form's fields and sends it.
    pub(crate) fn submit(&self, host: &str, choices: &[(&str, &str)]) {
        self.on_what_stays(async || {
            let field = self.client.find(Locator::Css("form input[name=host]")).await?;
            field.clear().await?;
            field.send_keys(host).await?;
            for (name, value) in choices {
                let select = self.client.find(Locator::Css(&format!("form select[name={name}]"))).await?;
                select.select_by_value(value).await?;
            }
            self.client.find(Locator::Css("form button")).await?.click().await
        });
    }

    /// Once more where the page read itself again between finding an element and using it.
    fn on_what_stays(&self, act: impl AsyncFn() -> Result<(), CmdError>) {
        wait_for("an element that stays", || match self.wait(act()) {
            Ok(()) => Some(()),
            Err(error) if error.is_stale_element_reference() => None,
            Err(error) => panic!("{error}"),
        });
    }

    /// What is shown of an element.
    pub(crate) fn text(&self, css: &str) -> String {
        self.texts(css).into_iter().next().unwrap_or_else(|| panic!("there is no {css}"))
    }

    /// What is shown of each such element, all at the same moment.
    pub(crate) fn texts(&self, css: &str) -> Vec<String> {
        let script = "return [...document.querySelectorAll(arguments[0])].map(one => one.innerText.trim())";
        let texts = self.wait(self.client.execute(script, vec![json!(css)])).unwrap();
        serde_json::from_value(texts).unwrap()
    }

    /// Presses a key on whatever has the focus.
    pub(crate) fn press(&self, key: &str) {
        self.wait(async { self.client.active_element().await?.send_keys(key).await }).unwrap();
    }

    /// What a script returns; it runs as the driver's, not as the page's.
    pub(crate) fn eval(&self, script: &str) -> Value {
        self.wait(self.client.execute(script, vec![])).unwrap()
    }

    /// What a script hands to its last argument.
    pub(crate) fn eval_async(&self, script: &str) -> Value {
        self.wait(self.client.execute_async(script, vec![])).unwrap()
    }

    pub(crate) fn window(&self, (width, height): (u32, u32)) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size);
    }

    /// `light` or `dark`, as the system of whoever looks has it.
    pub(crate) fn scheme(&self, scheme: &str) {
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": feature }));
    }

    /// Runs a script in each page that is opened from now on, before anything of its own.
    pub(crate) fn before_each_page(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script }));
    }

    /// The window as a PNG.
    pub(crate) fn picture(&self) -> Vec<u8> {
        let picture = self.devtools("Page.captureScreenshot", json!({ "format": "png" }));
        BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    /// What the console has said since it was asked last.
    pub(crate) fn console(&self) -> Vec<String> {
        let said = self.extra("se/log", json!({ "type": "browser" }));
        said.as_array()
            .unwrap()
            .iter()
            .map(|line| format!("{}: {}", line["level"], line["message"]))
            .collect()
    }

    fn devtools(&self, command: &str, params: Value) -> Value {
        self.extra("goog/cdp/execute", json!({ "cmd": command, "params": params }))
    }

    fn extra(&self, path: &'static str, body: Value) -> Value {
        self.wait(self.client.issue_cmd(Extra { path, body })).unwrap()
    }

    fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        let within = async { tokio::time::timeout(PATIENCE, what).await };
        self.runtime.block_on(within).expect("the browser answers within its time")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let closed = self.client.clone().close();
        let within = async { tokio::time::timeout(Duration::from_secs(10), closed).await };
        // Whatever does not close is ended by the driver's end.
        let _ = self.runtime.block_on(within);
    }
}

/// A command that chromedriver has beside `WebDriver`'s own.
#[derive(Debug)]
struct Extra {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extra {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, ParseError> {
        base_url.join(&format!("session/{}/{}", session_id.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
