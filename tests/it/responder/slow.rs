//! Peers that draw things out, and peers that come in numbers.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustix::{
    net::{self, AddressFamily, SocketFlags, SocketType, socket_with},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use super::{
    harness::{Fleet, PATIENCE, Responder, firing, payload, wait_for},
    pki::{Authority, WebFolder, client, https},
    writer::Writer,
};

const SLOW: u64 = 2000;

/// What a slow connection says and nothing more.
const SAID: [&str; 3] = [
    "",
    "POST /webhook HTTP/1.1\r\nHost: raysweep\r\nContent-Le",
    "POST /webhook HTTP/1.1\r\nHost: raysweep\r\nContent-Length: 1000\r\n\r\n{\"alerts\":",
];

/// Who draws things out has an address of its own: whom it crowds out is told by the address.
const PEER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 9), 0);

fn connect(responder: &Responder, said: &str) -> TcpStream {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    net::bind(&socket, &PEER).unwrap();
    net::connect(&socket, &responder.address.parse::<SocketAddrV4>().unwrap()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(said.as_bytes()).unwrap();
    stream
}

/// Whether the peer has closed the connection, without waiting for it.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let closed = loop {
        match stream.read(&mut [0; 512]) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
            Err(_) => break true,
        }
    };
    stream.set_nonblocking(false).unwrap();
    closed
}

/// All that the peer says until it closes the connection.
fn to_the_end(stream: &mut TcpStream) -> String {
    let mut said = vec![];
    // What ends in a reset is closed, too.
    if let Err(error) = stream.read_to_end(&mut said) {
        assert!(error.kind() != ErrorKind::WouldBlock, "the connection was not closed");
    }
    String::from_utf8(said).unwrap()
}

/// Asks for health over and over while something happens; how often it was asked, and the longest wait.
fn healthy_while<T>(responder: &Responder, happens: impl FnOnce() -> T) -> (T, u64, Duration) {
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            while !over.load(Ordering::Acquire) || asked.load(Ordering::Acquire) == 0 {
                let began = Instant::now();
                assert_eq!(responder.get("/-/healthy"), (200, "raysweep is healthy\n".to_owned()));
                longest = longest.max(began.elapsed());
                asked.fetch_add(1, Ordering::AcqRel);
            }
            longest
        });
        let happened = happens();
        over.store(true, Ordering::Release);
        (happened, asked.load(Ordering::Acquire), asking.join().unwrap())
    })
}

fn take_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

fn slow_connections(responder: &Responder) -> Vec<TcpStream> {
    (0..SLOW).map(|n| connect(responder, SAID[usize::try_from(n).unwrap() % SAID.len()])).collect()
}

fn cut(responder: &Responder, reason: &str) -> u64 {
    responder.metric(&format!("raysweep_http_connections_cut_total{{reason=\"{reason}\"}}"))
}

#[test]
fn two_thousand_slow_connections_are_all_closed_at_the_limit_and_health_answers_all_the_while() {
    take_files();
    let fleet = Fleet::of_one();
    let responder = fleet.serve("limits: { header_timeout: 5s, connections: 4000 }");
    let ((), asked, longest) = healthy_while(&responder, || {
        let mut open = slow_connections(&responder);
        wait_for("the end of all slow connections", || {
            open.retain_mut(|stream| !is_closed(stream));
            open.is_empty().then_some(())
        });
    });
    println!("{SLOW} slow connections: health asked {asked} times, answered in {longest:?} at the most");
    assert!(asked > 10, "{asked}");
    // Two of three are closed without a word; half a body is answered 503.
    wait_for("them to be counted", || (cut(&responder, "slow") >= SLOW * 2 / 3).then_some(()));
    assert_eq!(cut(&responder, "crowded"), 0);
    let late = responder.metric(r#"raysweep_notifications_total{result="unavailable"}"#);
    assert_eq!(late, SLOW / 3, "{}", responder.log());
    assert_eq!(responder.send(firing("ray-80")), 200);
    assert_eq!(responder.ended_attempt("ray-80")["outcome"], "freed");
}

#[test]
fn more_connections_than_may_wait_crowd_out_the_oldest_and_neither_health_nor_a_sender() {
    take_files();
    let fleet = Fleet::of_one();
    let responder = fleet.serve("limits: { header_timeout: 1h, request_timeout: 1h, connections: 20 }");
    let (mut open, asked, longest) = healthy_while(&responder, || {
        let open = slow_connections(&responder);
        assert_eq!(responder.send(firing("ray-80")), 200);
        open
    });
    println!("{SLOW} slow connections, 20 may wait: health asked {asked} times, in {longest:?} at the most");
    wait_for("the oldest to be closed", || {
        open.retain_mut(|stream| !is_closed(stream));
        (open.len() <= 20).then_some(())
    });
    assert!(open.len() >= 15, "{} are left", open.len());
    wait_for("them to be counted", || (cut(&responder, "crowded") >= SLOW - 20).then_some(()));
    assert_eq!(cut(&responder, "slow"), 0);
    assert_eq!(responder.ended_attempt("ray-80")["outcome"], "freed");
    // And a stop does not wait for them.
    responder.stop();
}

#[test]
fn whoever_tries_passwords_in_numbers_keeps_out_neither_known_senders_nor_new_ones() {
    let web = WebFolder::of(&Authority::new("ours"));
    let users = ["amy", "bob"].map(|user| format!("  {user}: {}\n", bcrypt::hash(user, 10).unwrap()));
    web.write("web.yml", &format!("basic_auth_users:\n{}", users.concat()));
    let fleet = Fleet::new();
    let responder = fleet.serve_as("limits: { connections: 16 }", &web.launch());
    let shown =
        |user: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let sends =
        |user: &str| responder.post("/webhook", firing("ray-80").as_bytes(), Some(&shown(user, user))).0;
    assert_eq!(sends("amy"), 200);
    let mut open: Vec<_> = (0..40)
        .map(|n| {
            let wrong = shown("amy", &n.to_string());
            let ask = format!(
                "GET /api/v1/incidents HTTP/1.1\r\nHost: raysweep\r\nConnection: close\r\nAuthorization: {wrong}\r\n\r\n"
            );
            connect(&responder, &ask)
        })
        .collect();
    // Whoever is one too many is told at once.
    wait_for("the first answers", || {
        open.retain_mut(|stream| !is_closed(stream));
        (open.len() <= 16).then_some(())
    });
    assert_eq!(sends("amy"), 200, "{}", responder.log());
    assert_eq!(sends("bob"), 200, "{}", responder.log());
}

#[test]
fn a_handshake_that_is_not_ended_is_given_up_too() {
    let ours = Authority::new("ours");
    let web = WebFolder::of(&ours);
    web.tls("", "");
    let fleet = Fleet::new();
    let responder = fleet.serve_as("limits: { header_timeout: 500ms, request_timeout: 1h }", &web.launch());
    let trusting = client(&ours.pem(), None);
    // A record of 512 bytes is announced, and nothing of it comes.
    let mut slow = ["", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}"].map(|said| connect(&responder, said));
    for stream in &mut slow {
        assert_eq!(https(&trusting, &responder, "/-/healthy"), Ok(200));
        to_the_end(stream);
    }
}

/// A TLS record with a first message that asks for no possible name.
fn hello_to_nobody() -> Vec<u8> {
    let within = |length_bytes: usize, inner: &[u8]| {
        let length = u32::try_from(inner.len()).unwrap().to_be_bytes();
        [&length[4 - length_bytes..], inner].concat()
    };
    let names = within(2, &[&[0][..], &within(2, b"no name\nat all")].concat());
    let extensions = within(2, &[&[0, 0][..], &within(2, &names)].concat());
    let suites_and_no_compression = [0, 2, 0x13, 1, 1, 0];
    let hello = [&[3, 3][..], &[0; 32], &[0], &suites_and_no_compression, &extensions].concat();
    let message = [&[1][..], &within(3, &hello)].concat();
    [&[0x16, 3, 1][..], &within(2, &message)].concat()
}

#[test]
fn handshakes_that_are_none_cannot_fill_the_log() {
    let web = WebFolder::of(&Authority::new("ours"));
    web.tls("", "");
    let fleet = Fleet::new();
    let responder = fleet.serve_as("", &web.launch());
    for _ in 0..50 {
        let mut stream = connect(&responder, "");
        stream.write_all(&hello_to_nobody()).unwrap();
        // Whatever is said is an alert of TLS.
        let _ = stream.read_to_end(&mut vec![]);
    }
    // The first of them is told, and one a second.
    wait_for("the log", || responder.log().contains("connection cut").then_some(()));
    assert!(!responder.log().contains("SNI"), "{}", responder.log());
}

#[test]
fn half_a_body_is_answered_503_whether_it_stands_still_or_trickles() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("limits: { header_timeout: 500ms, request_timeout: 1h }");
    let said = to_the_end(&mut connect(&responder, SAID[2]));
    assert!(said.starts_with("HTTP/1.1 503") && said.contains("did not come in time"), "{said}");
    responder.stop();

    let responder = fleet.serve("limits: { header_timeout: 1h, request_timeout: 500ms }");
    let mut stream = connect(&responder, SAID[2]);
    let mut trickle = stream.try_clone().unwrap();
    let over = AtomicBool::new(false);
    let said = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) && trickle.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let said = to_the_end(&mut stream);
        over.store(true, Ordering::Release);
        said
    });
    assert!(said.starts_with("HTTP/1.1 503") && said.contains("took too long"), "{said}");
    assert_eq!(responder.metric(r#"raysweep_notifications_total{result="unavailable"}"#), 1);
}

#[test]
fn an_idle_connection_is_closed_and_an_answer_that_nobody_takes_is_given_up() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("limits: { header_timeout: 500ms, request_timeout: 500ms }");
    let said = to_the_end(&mut connect(&responder, "GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    // One that was answered is only kept for the next request: nobody was too slow.
    assert_eq!(cut(&responder, "slow"), 0);

    // Request upon request, and never an answer read: in the end neither side can write.
    let mut deaf = connect(&responder, "");
    deaf.set_write_timeout(Some(PATIENCE)).unwrap();
    let requests = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    wait_for("the end of a connection that is not read", || deaf.write_all(requests.as_bytes()).err());
    assert_eq!(cut(&responder, "slow"), 1);
}

#[test]
fn a_header_that_is_too_long_and_a_request_that_is_none_are_refused() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("");
    let long = format!("GET /-/healthy HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20 * 1024));
    let said = to_the_end(&mut connect(&responder, &long));
    assert!(said.starts_with("HTTP/1.1 431"), "{said}");
    let said = to_the_end(&mut connect(&responder, "what is this\r\n\r\n"));
    assert!(said.starts_with("HTTP/1.1 400"), "{said}");
}

#[test]
fn bodies_share_what_there_is_for_them_and_what_is_too_much_gets_503_and_never_429() {
    let fleet = Fleet::of_one();
    let limits =
        "limits: { body_bytes: 100000, bodies_bytes: 100000, header_timeout: 1h, request_timeout: 1h }";
    let responder = fleet.serve(limits);
    let body = payload(&[]) + &" ".repeat(90_000);
    let head = format!("POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let begin = || connect(&responder, &(head.clone() + &body[..body.len() - 1]));
    let mut first = begin();
    wait_for("the first body to hold its share", || {
        // Before it does, the second may hold its own, and then it is the first that is refused.
        if is_closed(&mut first) {
            first = begin();
        }
        (responder.send(&body) == 503 && !is_closed(&mut first)).then_some(())
    });
    assert!(responder.log().contains("too many bodies are being read"), "{}", responder.log());
    first.write_all(&body.as_bytes()[body.len() - 1..]).unwrap();
    wait_for("the first body's end", || (responder.send(&body) == 200).then_some(()));
    assert_eq!(responder.send(body + &" ".repeat(20_000)), 413);
}

#[test]
fn more_requests_than_may_be_under_way_get_503_at_once_and_health_answers_all_the_same() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("limits: { connections: 20 }");
    let other = Writer::begin(&fleet);
    let body = firing("ray-80");
    let head = format!("POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    // Each of them waits for the journal.
    let mut open = vec![];
    let too_many = "too many requests are under way";
    wait_for("one request too many", || {
        open.push(connect(&responder, &(head.clone() + &body)));
        responder.log().contains(too_many).then_some(())
    });
    assert_eq!(responder.get("/-/healthy").0, 200);
    other.end();
    wait_for("room", || (responder.send(&body) == 200).then_some(()));
    // All of them are of one address, which has three quarters of what there is.
    assert!(open.len() > 15, "{}", open.len());
    assert_eq!(responder.ended_attempt("ray-80")["outcome"], "freed");
}
