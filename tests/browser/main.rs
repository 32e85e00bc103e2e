//! The page in a real browser: headless Chromium, driven over `WebDriver`, on a running responder.
//!
//! The hosts are behind a stand-in for ssh and report what the tests wrote; everything from the
//! notification to the pixel is real. Started by `tests/browser/run.sh`, which brings Chromium and axe.

// A test's harness may panic: that is how a test fails.
#![allow(clippy::unwrap_used)]

mod browser;
mod driver;
// What the other tests need of their harness is not all needed here.
#[allow(dead_code, unused_imports)]
#[path = "../it/responder/harness.rs"]
mod harness;
mod hostile;
mod looks;
mod night;
mod pictures;
mod refresh;
mod reports;
mod stage;
#[allow(dead_code)]
#[path = "../it/responder/stand_in.rs"]
mod stand_in;
