//! The pictures that the documents show: written into $KEEP, where it is set, by `make screenshots`.

use std::{env, fs, path::PathBuf};

use crate::{
    browser::{Browser, NARROW, WIDE},
    stage::{AT_WORK, Stage},
};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
/// No picture is higher.
const HIGHEST: u64 = 1000;

#[test]
fn fleet_host_and_attempt_are_pictured_in_a_wide_and_in_a_narrow_window() {
    let (stage, browser) = (Stage::new(), Browser::start());
    let keep = env::var_os("KEEP").map(PathBuf::from);
    let attempt = format!("/attempts/{}", stage.attempt(AT_WORK));
    for (name, path, scheme, window) in [
        ("fleet", "/", "light", WIDE),
        ("fleet-dark", "/", "dark", WIDE),
        ("fleet-narrow", "/", "light", NARROW),
        ("host", "/hosts/ray-81", "light", WIDE),
        ("host-narrow", "/hosts/ray-81", "light", NARROW),
        ("attempt", &attempt, "light", WIDE),
        ("attempt-narrow", &attempt, "light", NARROW),
    ] {
        browser.scheme(scheme);
        browser.window(window);
        browser.open(&stage.url(path));
        let height = browser.eval("return document.body.scrollHeight").as_u64().unwrap().min(HIGHEST);
        browser.window((window.0, u32::try_from(height).unwrap()));
        let picture = browser.picture();
        assert!(picture.starts_with(PNG), "{name}");
        let size = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap());
        assert_eq!((size(16), u64::from(size(20))), (window.0, height), "{name}");
        if let Some(folder) = &keep {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(format!("{name}.png")), picture).unwrap();
        }
    }
}
