use std::sync::Mutex;

use super::*;
use crate::fleet::order::Failed;

fn ended(stdout: &str, stderr: &str) -> Ended {
    Ended { code: Some(0), stdout: stdout.into(), stderr: stderr.to_owned(), host_key: None }
}

#[test]
fn an_answer_is_believed_and_anything_else_is_a_failure() {
    let done = serde_json::to_string(&Answer::Done(Done::default())).unwrap();
    assert_eq!(answer(ended(&done, "")), Ok(Done::default()));
    let failed = |as_before| {
        let failed = Answer::Failed(Failed { why: "no space".to_owned(), as_before });
        answer(ended(&serde_json::to_string(&failed).unwrap(), ""))
    };
    assert_eq!(failed(true), Err(Trouble::Failed("no space; the host is as it was".to_owned())));
    assert_eq!(failed(false), Err(Trouble::Failed("no space".to_owned())));
    for stdout in ["", "{", &done[..done.len() / 2]] {
        let Err(Trouble::Failed(why)) = answer(ended(stdout, "sh: 1: not found\n")) else {
            panic!("{stdout}")
        };
        assert!(why.contains("sh: 1: not found"), "{why}");
    }
}

/// Whoever watches, and remembers each word.
#[derive(Default)]
pub(in crate::fleet) struct Watched(Mutex<Vec<String>>);

impl Watched {
    pub(in crate::fleet) fn told(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Watch for Watched {
    fn step(&self, host: &HostName, what: &'static str) {
        self.0.lock().unwrap().push(format!("{host} {what}"));
    }

    fn ended(&self, host: &HostName, how: &'static str) {
        self.0.lock().unwrap().push(format!("{host} {how}"));
    }
}

/// Ports at which nobody listens: `ssh` says so at once.
pub(in crate::fleet) fn nobody(count: u16) -> ResponderConfig {
    let hosts: Vec<_> = (1..=count)
        .map(|at| serde_json::json!({ "name": format!("h{at}"), "address": "127.0.0.1", "port": at }))
        .collect();
    serde_json::from_value(serde_json::json!({ "hosts": hosts })).unwrap()
}

async fn undeploy(
    config: &ResponderConfig,
    max_failures: Option<usize>,
    stop: CancellationToken,
) -> Vec<Row> {
    let options =
        Options { user: None, password: None, parallel: 1, max_failures, deadline: Duration::from_secs(30) };
    let watch = Watched::default();
    let fleet = Fleet::new(config, options, &watch, stop).unwrap();
    let jobs = prepare(config, &[], Wish::Undeploy { drop_old_cron: false }, false).unwrap();
    let rows = fleet.carry_out(fleet.look(jobs).await).await;
    assert_eq!(watch.told().iter().filter(|line| line.ends_with("connecting")).count(), {
        rows.iter().filter(|row| row.state != State::NotBegun).count()
    });
    rows
}

fn states(rows: &[Row]) -> Vec<State> {
    rows.iter().map(|row| row.state).collect()
}

#[tokio::test]
async fn one_bad_host_stops_the_others_only_when_there_are_too_many() {
    let config = nobody(3);
    let rows = undeploy(&config, None, CancellationToken::new()).await;
    assert_eq!(states(&rows), [State::Unreachable; 3]);
    assert!(rows[0].why.as_ref().unwrap().contains("Connection refused"), "{rows:?}");
    let rows = undeploy(&config, Some(2), CancellationToken::new()).await;
    assert_eq!(states(&rows), [State::Unreachable, State::Unreachable, State::NotBegun]);
}

#[tokio::test]
async fn after_the_operators_word_nothing_is_begun() {
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(states(&undeploy(&nobody(2), None, stop).await), [State::NotBegun; 2]);
}
