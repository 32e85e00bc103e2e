//! SSH that gets stuck, at every stage of a connection: the attempt ends in its time, and nothing of ours
//! stays behind.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    time::Duration,
};

use jiff::Timestamp;

use super::harness::{Behaviour, Fleet, Responder, Stage, firing, processes_with, soon, wait_for};

/// So much later than its deadline an attempt may end; the rest is for a machine that is busy.
const LATER: Duration = Duration::from_secs(2 + 10);
const DEADLINE: Duration = Duration::from_secs(12);

/// A port that answers no SYN: whoever may be kept waiting for an accept is there already.
struct Full {
    address: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Full {
    fn on(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok();
        let waiting = std::iter::from_fn(connect).take(100).collect::<Vec<_>>();
        assert!(waiting.len() < 100, "it takes whoever comes");
        Self { address, _listener: listener, _waiting: waiting }
    }
}

/// Whatever is left of connections.
fn left(fleet: &Fleet, responder: &Responder) -> (Vec<String>, Vec<String>, Vec<PathBuf>) {
    let folder = fleet.path("data/ssh");
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    (responder.children(), processes_with(&folder.display().to_string()), entries.collect())
}

fn assert_nothing_is_left(fleet: &Fleet, responder: &Responder) {
    let nothing = (vec![], vec![], vec![]);
    assert!(soon(|| left(fleet, responder) == nothing), "{:?}", left(fleet, responder));
}

#[test]
fn wherever_ssh_gets_stuck_the_attempt_ends_in_time_and_leaves_nothing() {
    let unanswered = Full::on("127.0.1.1");
    let mut fleet = Fleet::new();
    (fleet.connect_timeout, fleet.attempt_deadline) = ("10s", "12s");
    fleet.add_port("no-answer", unanswered.address.port());
    fleet.add_stuck("accepted", &Behaviour::FREES, Stage::Accepted);
    fleet.add_stuck("banner", &Behaviour::FREES, Stage::Banner);
    fleet.add_stuck("key-exchange", &Behaviour::FREES, Stage::KeyExchange);
    fleet.add_stuck("login", &Behaviour::FREES, Stage::Login);
    fleet.add_behind("inner", "gate", Stage::Login);
    fleet.add_stuck("command", &Behaviour::WaitsThenFrees, Stage::Open);
    fleet.add("silent", &Behaviour::Script("wait_at_gate"));
    fleet.add("cut", &Behaviour::Script("report | head -c 200; wait_at_gate"));
    fleet.add("closes-output", &Behaviour::Script("exec <&- >&- 2>&-; wait_at_gate"));
    fleet.add("never-closes", &Behaviour::Script("report; wait_at_gate"));
    let responder = fleet.serve("limits: { attempts_at_once: 64 }");
    fleet.fire_on_all(&responder);
    wait_for("the command", || (fleet.host("command").requests().len() == 1).then_some(()));
    fleet.host("command").get_stuck();
    for (host, outcome, reason) in [
        ("no-answer", "unreachable", Some("connect_timeout")),
        ("accepted", "unreachable", Some("connect_timeout")),
        ("banner", "unreachable", Some("connect_timeout")),
        ("key-exchange", "unreachable", Some("connect_timeout")),
        ("login", "unreachable", Some("connect_timeout")),
        ("gate", "unreachable", Some("connect_timeout")),
        ("inner", "unreachable", Some("connect_timeout")),
        ("command", "unknown", Some("deadline")),
        ("silent", "unknown", Some("deadline")),
        ("cut", "unknown", Some("deadline")),
        ("closes-output", "unknown", Some("no_report")),
        // A whole report tells the end, whether or not the connection does.
        ("never-closes", "freed", None),
    ] {
        let attempt = responder.ended_attempt(host);
        assert_eq!(
            (attempt["outcome"].as_str(), attempt["reason"].as_str()),
            (Some(outcome), reason),
            "{host}"
        );
        let time = |key: &str| attempt[key].as_str().unwrap().parse::<Timestamp>().unwrap();
        let took = Duration::try_from(time("finished_at").duration_since(time("started_at"))).unwrap();
        println!("stuck: {host} ended {outcome} after {took:.1?} of {DEADLINE:?}");
        assert!(took < DEADLINE + LATER, "{host}: {took:?}");
        let port = fleet.host(host).port.to_string();
        let to_it = || left(&fleet, &responder).1.into_iter().filter(|line| line.contains(&port)).count();
        assert!(soon(|| to_it() == 0), "{host}: {:?}", left(&fleet, &responder));
    }
    assert_nothing_is_left(&fleet, &responder);
    responder.stop();
}

#[test]
fn a_stop_ends_what_is_stuck_on_its_way_through_a_jump_host() {
    let mut fleet = Fleet::new();
    fleet.add_behind("inner", "gate", Stage::Login);
    let mut responder = fleet.serve("timing: { stop_grace: 100ms }");
    responder.send(firing("inner"));
    let ssh = fleet.path("data/ssh").display().to_string();
    wait_for("ssh to both hosts", || (processes_with(&ssh).len() == 2).then_some(()));
    responder.signal("-TERM");
    assert_eq!(responder.exit_code(), Some(0));
    assert!(soon(|| processes_with(&ssh).is_empty()), "{:?}", processes_with(&ssh));
}
