//! `raysweep doctor`: the whole chain, link by link.

use std::{io, os::unix::fs::MetadataExt, path::PathBuf};

use clap::Args;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use super::{
    connection::{AskError, Connection, or_nobody},
    exit::Exit,
    failed,
    fleet::Login,
    text::{self, plain},
};
use crate::{
    config::{
        self,
        responder::{Alertmanager, DEFAULT_PATH, Prometheus, ResponderConfig},
        secret,
        units::Span,
    },
    fleet::{
        access::Access,
        deploy::{Options, entries},
        doctor::{self, Check, Places, State},
    },
};

/// Walk the whole chain, from a host's disk to a sweep of it, and say of each link what to do
///
/// Hosts are looked at over your own SSH login, as `deploy` does it; nothing is changed there. The
/// responder's key is tried as well where you may read it. What nobody says where to find is not asked.
#[derive(Debug, Args)]
#[command(
    after_help = "Ends with 0 where no link is broken, with 3 where the configuration is, else with 1.\n\
    docs/doctor.md tells of each link.\n\n\
    Example:\n  raysweep doctor\n  raysweep doctor ray-80 --prometheus.url http://127.0.0.1:9090 --send-test-alert"
)]
pub(crate) struct Doctor {
    /// The hosts, by their names in the inventory; all of them where none is named
    #[arg(value_name = "HOST")]
    names: Vec<String>,
    /// Print one object for each link as one line of JSON
    #[arg(long)]
    json: bool,
    /// Send an alert that does nothing through Alertmanager, and see it arrive
    #[arg(long)]
    send_test_alert: bool,
    /// The configuration with the inventory
    #[arg(long = "config.file", value_name = "FILE", default_value = DEFAULT_PATH)]
    config_file: PathBuf,
    /// Where Prometheus answers, instead of what the configuration says
    #[arg(long = "prometheus.url", value_name = "URL")]
    prometheus_url: Option<String>,
    /// Where Alertmanager answers, instead of what the configuration says
    #[arg(long = "alertmanager.url", value_name = "URL")]
    alertmanager_url: Option<String>,
    #[command(flatten)]
    way: Way,
    #[command(flatten)]
    connection: Connection,
}

/// How the hosts are reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Passage")]
struct Way {
    #[command(flatten)]
    login: Login,
    /// So many hosts at once
    #[arg(long, value_name = "HOSTS", default_value = "16", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,
    /// How long one command on a host may take, and a test alert on its way
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    timeout: Span,
}

impl Doctor {
    pub(crate) fn run(self) -> Exit {
        let Self {
            names,
            json,
            send_test_alert,
            config_file,
            prometheus_url,
            alertmanager_url,
            way,
            connection,
        } = self;
        let config = match config::load_inventory(&config_file) {
            Ok(config) => config,
            Err(error) => {
                return print(&[Check::config_broken(error.to_string())], json).unless_good(Exit::Config);
            }
        };
        let hosts = match entries(&config, &names) {
            Ok(hosts) => hosts,
            Err(error) => return failed(Exit::Config, &format!("{}: {error}", config_file.display())),
        };
        let test_alert = send_test_alert.then_some(way.timeout.0);
        let options = match way.options() {
            Ok(options) => options,
            Err(error) => return failed(Exit::Failure, &format!("the password cannot be read: {error}")),
        };
        let places = || -> Result<Places, AskError> {
            Ok(Places {
                prometheus: prometheus(prometheus_url, &config.prometheus),
                alertmanager: alertmanager(alertmanager_url, &config.alertmanager)?,
                responder: connection.place(config.web.bearer_token_file.as_deref())?,
                test_alert,
            })
        };
        let places = match places() {
            Ok(places) => places,
            Err(error) => return failed(Exit::from(&error), &error),
        };
        let mut checks = vec![Check::config_holds(&config_file.display().to_string(), config.hosts.len())];
        match walk(&config, &hosts, places, &options) {
            Ok(walked) => checks.extend(walked),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                return failed(Exit::Interrupted, &"broken off");
            }
            Err(error) => return failed(Exit::Failure, &error),
        }
        let is_broken = checks.iter().any(|check| check.state == State::Broken);
        print(&checks, json).unless_good(if is_broken { Exit::Failure } else { Exit::Success })
    }
}

impl Exit {
    /// This one, unless something went wrong even here.
    fn unless_good(self, other: Self) -> Self {
        if self == Self::Success { other } else { self }
    }
}

impl Way {
    fn options(self) -> io::Result<Options> {
        let Self { login, parallel, timeout } = self;
        let (user, password) = login.asked()?;
        Ok(Options { user, password, parallel: parallel.into(), max_failures: None, deadline: timeout.0 })
    }
}

fn walk(
    config: &ResponderConfig,
    hosts: &[&config::responder::HostEntry],
    places: Places,
    options: &Options,
) -> io::Result<Vec<Check>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let walked = runtime.block_on(async {
        // What it has started ends with it: each ssh has a session of its own, and hears of no Ctrl-C.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            walked = doctor::walk(config, hosts, places, options) => walked,
            _ = interrupt.recv() => Err(io::ErrorKind::Interrupted.into()),
            _ = terminate.recv() => Err(io::ErrorKind::Interrupted.into()),
        }
    });
    // A name that is still being resolved is not waited for.
    runtime.shutdown_background();
    walked
}

/// What is shown to Prometheus goes only to where the configuration says that it is. Nobody but us looks at it:
/// what is wrong with it is the link's own trouble.
fn prometheus(url: Option<String>, settings: &Prometheus) -> Option<(String, Result<Access, String>)> {
    let Prometheus { url: configured, username, password_file, bearer_token_file } = settings;
    let user = username.as_deref().zip(password_file.as_deref());
    let access = || {
        for file in [password_file, bearer_token_file].into_iter().flatten() {
            let shown = file.display();
            if std::fs::metadata(file).is_ok_and(|metadata| secret::is_open(metadata.mode())) {
                return Err(format!("{shown} is open to everybody: chmod o= {shown}"));
            }
        }
        Access::with_files(user, bearer_token_file.as_deref()).map_err(|error| error.to_string())
    };
    let url = url.as_ref().or(configured.as_ref())?;
    let is_configured = Some(url) == configured.as_ref();
    Some((url.clone(), if is_configured { access() } else { Ok(Access::default()) }))
}

fn alertmanager(url: Option<String>, settings: &Alertmanager) -> Result<Option<(String, Access)>, AskError> {
    let Alertmanager { url: configured, username, password_file, bearer_token_file, timeout: _ } = settings;
    let user = username.as_deref().zip(password_file.as_deref());
    // It is the responder's secret, and may not be ours to read: the link shows what comes of that.
    place(url, configured.clone(), || {
        Ok(or_nobody(Access::with_files(user, bearer_token_file.as_deref()), "Alertmanager"))
    })
}

fn place(
    given: Option<String>,
    configured: Option<String>,
    access: impl FnOnce() -> Result<Access, crate::fleet::access::AccessError>,
) -> Result<Option<(String, Access)>, AskError> {
    Ok(match (given, configured) {
        (Some(given), configured) if Some(&given) != configured.as_ref() => Some((given, Access::default())),
        (_, Some(configured)) => Some((configured, access()?)),
        (_, None) => None,
    })
}

fn print(checks: &[Check], json: bool) -> Exit {
    if json {
        return match serde_json::to_string(checks) {
            Ok(line) => text::say(&format!("{line}\n")),
            Err(error) => failed(Exit::Failure, &error),
        };
    }
    text::say(&table(checks, text::terminal_width().unwrap_or(text::WIDTH)))
}

fn table(checks: &[Check], width: u16) -> String {
    let rows = checks.iter().map(|Check { check, host, state, seen, advice }| {
        vec![
            (*check).to_owned(),
            host.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            state.as_str().to_owned(),
            plain(seen),
            plain(advice.as_deref().unwrap_or_default()),
        ]
    });
    text::table(&["link", "host", "state", "seen", "what to do"], rows, &[], width)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_link_is_a_row_with_what_was_seen_and_what_to_do() {
        let checks = [
            Check::config_holds("raysweep.yml", 1),
            Check {
                check: "hold",
                host: Some("ray-80".parse().unwrap()),
                state: State::Warn,
                seen: "on hold: disk \u{1b}[1mswap".to_owned(),
                advice: Some("rm /etc/raysweep/hold".to_owned()),
            },
        ];
        expect![[r#"
              link     host     state   seen                          what to do
            ─────────────────────────────────────────────────────────────────────────────────
              config   -        ok      raysweep.yml; hosts: 1
              hold     ray-80   warn    on hold: disk \u{1b}[1mswap   rm /etc/raysweep/hold
        "#]]
        .assert_eq(&table(&checks, 100));
    }

    #[test]
    fn a_secret_of_prometheus_that_cannot_be_read_is_the_links_own_trouble() {
        let settings = Prometheus {
            url: Some("a".to_owned()),
            bearer_token_file: Some("/nonexistent".into()),
            ..Prometheus::default()
        };
        let (url, access) = prometheus(None, &settings).unwrap();
        assert_eq!(url, "a");
        assert!(access.err().unwrap().starts_with("/nonexistent: cannot be read"));
        assert!(prometheus(Some("b".to_owned()), &settings).unwrap().1.unwrap().authorization.is_none());
        assert!(prometheus(None, &Prometheus::default()).is_none());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "a token").unwrap();
        let settings = Prometheus { bearer_token_file: Some(file.path().to_owned()), ..settings };
        let with_mode = |mode| {
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(&file, permissions).unwrap();
            prometheus(None, &settings).unwrap().1.map(|access| access.authorization)
        };
        assert_eq!(with_mode(0o640), Ok(Some("Bearer a token".to_owned())));
        assert!(with_mode(0o644).unwrap_err().contains("is open to everybody: chmod o="));
    }

    #[test]
    fn a_secret_goes_only_to_where_the_configuration_says() {
        let secret = || Ok(Access { authorization: Some("s".to_owned()), ..Access::default() });
        let shown = |given: Option<&str>, configured: Option<&str>| {
            let place = place(given.map(str::to_owned), configured.map(str::to_owned), secret).unwrap();
            place.map(|(url, access)| (url, access.authorization.is_some()))
        };
        assert_eq!(shown(None, None), None);
        assert_eq!(shown(None, Some("a")), Some(("a".to_owned(), true)));
        assert_eq!(shown(Some("a"), Some("a")), Some(("a".to_owned(), true)));
        assert_eq!(shown(Some("b"), Some("a")), Some(("b".to_owned(), false)));
        assert_eq!(shown(Some("b"), None), Some(("b".to_owned(), false)));
    }
}
