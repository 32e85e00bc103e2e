//! `raysweep hold`: hosts that are to be left alone.

use std::env;

use clap::Args;
use jiff::Timestamp;

use super::{
    exit::Exit,
    fleet::{Hosts, Passage, Run},
};
use crate::fleet::{deploy::Wish, order};

/// The longest reason: it is shown in tables and on every page, with who and when beside it.
const REASON_CHARACTERS: usize = 100;
/// So much is shown of who it is.
const BY_CHARACTERS: usize = 60;

/// Have nothing deleted on hosts, by anyone, until they are released
///
/// Over your own SSH login. Every sweep there, whoever starts it, ends as held and says the reason; it is
/// measured and alerted on as before. A sweep that is at work ends before its next batch, and the table says
/// that there is one.
#[derive(Debug, Args)]
#[command(
    after_help = "Who and when is added to the reason. A host that is held stays as it is, unless another\n\
    reason is given.\n\n\
    Example:\n  raysweep hold ray-80 --reason 'disk swap, back at noon'"
)]
pub(crate) struct Hold {
    #[command(flatten)]
    hosts: Hosts,
    /// Why, for everybody who asks; maintenance, where nothing is said
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    #[command(flatten)]
    passage: Passage,
}

impl Hold {
    pub(crate) fn run(self) -> Exit {
        let Self { hosts, reason, passage } = self;
        let wish = Wish::Hold(order::Hold { reason, by: by() });
        Run { hosts, wish, accept_host_key: vec![], passage }.carry_out()
    }
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > REASON_CHARACTERS || text.contains(char::is_control) {
        return Err(format!("write one line of 1 to {REASON_CHARACTERS} characters"));
    }
    Ok(text.to_owned())
}

/// `jo@desk, 2026-01-05 10:00 UTC`. What the environment says is good enough: whoever may do this is root there.
fn by() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| env::var(name).ok());
    let user = user.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string());
    let uname = rustix::system::uname();
    let who = format!("{user}@{}", uname.nodename().to_string_lossy());
    let who: String = who.chars().filter(|c| !c.is_control()).take(BY_CHARACTERS).collect();
    format!("{who}, {} UTC", Timestamp::now().strftime("%F %H:%M"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_that_fits() {
        assert_eq!(reason(" disk swap ").unwrap(), "disk swap");
        for wrong in ["", "  ", "a\nb", "\u{1b}[2J", &"x".repeat(101)] {
            assert!(reason(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn who_and_when_fit_beside_it() {
        assert!(by().ends_with(" UTC") && by().contains('@'), "{}", by());
        assert!(by().chars().count() < 90);
    }
}
