//! Hosts that a person wants swept now: by the API, and by `raysweep run`.

use std::{
    fs,
    io::Read as _,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use super::{
    harness::{Behaviour, Fleet, Responder, firing, wait_for},
    stand_in::StandIns,
};

fn asks(responder: &Responder, wish: Value) -> (u16, Value) {
    responder.post("/api/v1/run", wish.to_string().as_bytes(), None)
}

fn by_id(responder: &Responder, id: &str) -> (u16, Value) {
    let (status, text) = responder.get(&format!("/api/v1/attempts/{id}"));
    (status, serde_json::from_str(&text).unwrap())
}

#[test]
fn a_person_has_hosts_swept_beside_every_incident_and_each_has_one_attempt() {
    let mut fleet = Fleet::of_one();
    fleet.add("ray-81", &Behaviour::FREES);
    let responder = fleet.serve("timing: { period: 1h }");
    let names = ["ray-81", "nobody", "ray-80", "ray-81.example", "ray-81", "nobody"];
    let (status, wished) = asks(&responder, json!({ "hosts": names }));
    let hosts = wished["hosts"].as_array().unwrap();
    let told: Vec<_> = hosts.iter().map(|host| (&host["host"], host["attempt"].is_string())).collect();
    let (first, second) = (json!("ray-81"), json!("ray-80"));
    let (nobody, alias) = (json!("nobody"), json!("ray-81.example"));
    assert_eq!(
        (status, told),
        (202, vec![(&first, true), (&nobody, false), (&second, true), (&alias, false)])
    );
    assert_eq!(hosts[1]["error"], "\"nobody\" is no host of the inventory");

    let id = hosts[2]["attempt"].as_str().unwrap();
    let attempt = wait_for("the attempt's end", || {
        let (status, attempt) = by_id(&responder, id);
        assert_eq!(status, 200);
        (!attempt["finished_at"].is_null()).then_some(attempt)
    });
    assert_eq!((&attempt["host"], &attempt["outcome"]), (&"ray-80".into(), &"freed".into()), "{attempt}");
    assert_eq!((&attempt["trigger"], &attempt["incident"]), (&"manual".into(), &Value::Null));
    assert_eq!(attempt["asked_by"], "127.0.0.1");
    assert_eq!(attempt["report"]["workers"][0]["verdict"], "cleaned");
    let request = format!(r#"sweep {{"schema":1,"attempt":"{id}","trigger":"manual","dry_run":false}}"#);
    assert_eq!(fleet.host("ray-80").requests(), [request]);
    assert_eq!(responder.ended_attempt("ray-81")["outcome"], "freed");
    assert_eq!((responder.rows("incidents").len(), responder.rows("attempts").len()), (0, 2));

    // It did not ask for the host's period, and it counts for it.
    assert_eq!(asks(&responder, json!({ "hosts": ["ray-80"] })).0, 202);
    wait_for("a second attempt", || (fleet.host("ray-80").requests().len() == 2).then_some(()));
    responder.ended_attempt("ray-80");
    responder.send(firing("ray-80"));
    let deferred = || responder.metric(r#"raysweep_attempts_deferred_total{reason="period"}"#);
    wait_for("the alert's attempt to be deferred", || (deferred() == 1).then_some(()));
    assert_eq!(fleet.host("ray-80").requests().len(), 2);
}

#[test]
fn a_dry_run_reaches_the_host_and_no_alert_waits_for_it() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("timing: { period: 1h }");
    assert_eq!(asks(&responder, json!({ "all": true, "dry_run": true })).0, 202);
    responder.ended_attempt("ray-80");
    assert!(fleet.host("ray-80").requests()[0].ends_with(r#""trigger":"manual","dry_run":true}"#));
    responder.stop();
    // Nor after a restart, when the journal is all that is left of it.
    let responder = fleet.serve("timing: { period: 1h }");
    responder.send(firing("ray-80"));
    wait_for("the alert's attempt", || (fleet.host("ray-80").requests().len() == 2).then_some(()));
    assert!(fleet.host("ray-80").requests()[1].ends_with(r#""trigger":"alert","dry_run":false}"#));
}

#[test]
fn however_often_people_ask_one_attempt_waits_on_a_host_and_the_fleets_starts_hold() {
    let fleet = StandIns::new(["a", "b", "c", "d"]);
    let responder = fleet.serve("limits: { starts_a_minute: 1 }");
    for _ in 0..20 {
        assert_eq!(asks(&responder, json!({ "all": true })).0, 202);
    }
    let begun = || responder.rows("attempts").iter().filter(|row| !row["started_at"].is_null()).count();
    wait_for("the first attempt's end", || {
        fleet.noted().iter().any(|(_, what, _)| what == "end").then_some(())
    });
    let fleets = r#"raysweep_attempts_deferred_total{reason="fleet"}"#;
    wait_for("another that waits", || (responder.metric(fleets) >= 1).then_some(()));
    // One has begun, and may have been asked for once more since.
    let attempts = responder.rows("attempts").len();
    assert!((4..=5).contains(&attempts), "{attempts}");
    assert_eq!(begun(), 1);
    let (_, wished) = asks(&responder, json!({ "all": true }));
    let hosts = wished["hosts"].as_array().unwrap();
    assert!(hosts.iter().filter(|host| host["joined"] == true).count() >= 3, "{wished}");
    // One that would delete is not what was asked for.
    let (_, dry) = asks(&responder, json!({ "hosts": ["b"], "dry_run": true }));
    assert_eq!(dry["hosts"][0]["joined"], false, "{dry}");
}

#[test]
fn what_is_no_wish_is_refused_and_what_is_no_attempt_is_not_found() {
    let fleet = Fleet::of_one();
    let token = fleet.path("token");
    fs::write(&token, "s3cret\n").unwrap();
    assert!(Command::new("chmod").arg("600").arg(&token).status().unwrap().success());
    let responder = fleet.serve(&format!("web: {{ bearer_token_file: {} }}", token.display()));
    let asks = |body: &str, token| responder.post("/api/v1/run", body.as_bytes(), token).0;
    assert_eq!(asks(r#"{"all":true}"#, None), 401);
    for body in ["", "[]", "{}", r#"{"hosts":[],"all":false}"#, r#"{"hosts":["ray-80"],"force":true}"#] {
        assert_eq!(asks(body, Some("Bearer s3cret")), 400, "{body}");
    }
    assert_eq!(responder.get("/api/v1/attempts/01890a5d-ac96-774b-bcce-b302099a8057").0, 401);
    assert_eq!(fleet.ssh_starts(), 0);

    // Whom it lets in by no token is not gone around.
    let refused = run(&fleet, &responder, &["ray-80"]).output();
    assert_eq!((refused.0, fleet.ssh_starts()), (Some(6), 0), "{refused:?}");
    assert!(refused.2.contains("--bearer-token-file"), "{refused:?}");
    drop(responder);

    let open = fleet.serve("");
    for id in ["01890a5d-ac96-774b-bcce-b302099a8057", "x", "..%2F..", "%00"] {
        let (status, answer) = by_id(&open, id);
        assert_eq!((status, answer["error"].is_string()), (404, true), "{id}");
    }
}

/// `raysweep run`, as somebody at a desk has it.
struct Run(Child);

fn run(fleet: &Fleet, responder: &Responder, arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raysweep"));
    command.args(["run", "--url", &responder.url("")]).arg("--config.file").arg(fleet.path("raysweep.yml"));
    let piped = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Run(piped.spawn().unwrap())
}

impl Run {
    /// Its exit code and what it said.
    fn output(mut self) -> (Option<i32>, String, String) {
        let code = wait_for("the end of the run", || self.0.try_wait().unwrap()).code();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.0.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (code, stdout, stderr)
    }

    fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn run_waits_for_each_attempt_and_shows_it() {
    let mut fleet = Fleet::of_one();
    fleet.add("ray-81", &Behaviour::Reports { outcome: "held", mode: "enforce" });
    let responder = fleet.serve("");
    let (code, stdout, stderr) = run(&fleet, &responder, &["--all"]).output();
    assert_eq!((code, stderr.as_str()), (Some(5), ""), "{stdout}");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<_> = stdout.lines().map(words).collect();
    assert!(lines[2].starts_with("ray-80 freed 4.1 kB ") && lines[2].ends_with("1 cleaned"), "{stdout}");
    assert!(lines[3].starts_with("ray-81 held - "), "{stdout}");

    let (code, stdout, _) = run(&fleet, &responder, &["ray-80", "nobody", "--json"]).output();
    assert_eq!(code, Some(6), "{stdout}");
    let rows: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&rows[0]["outcome"], &rows[1]["outcome"]), (&"freed".into(), &"unknown_host".into()));
    assert_eq!(rows[0]["report"]["attempt"], rows[0]["attempt"]);
}

#[test]
fn a_flag_that_the_responder_knows_nothing_of_is_refused_and_nothing_is_begun() {
    let fleet = Fleet::of_one();
    let responder = fleet.serve("");
    for (flags, named) in [
        (&["--parallel", "2"][..], "--parallel is for --direct"),
        (&["--user", "op"], "--user is for --direct"),
        (&["--ask-sudo-pass"], "--ask-sudo-pass is for --direct"),
    ] {
        let (code, _, stderr) = run(&fleet, &responder, &[&["--all"], flags].concat()).output();
        assert!(code == Some(2) && stderr.contains(named), "{flags:?}: {stderr}");
    }
    assert_eq!((responder.rows("attempts").len(), fleet.ssh_starts()), (0, 0));
}

#[test]
fn after_ctrl_c_the_attempts_go_on_at_the_responder_and_the_run_says_which() {
    let fleet = Fleet::that_waits(["ray-80"]);
    let responder = fleet.serve("");
    let waiting = run(&fleet, &responder, &["ray-80"]);
    fleet.wait_for_requests(1);
    waiting.interrupt();
    let (code, stdout, stderr) = waiting.output();
    assert_eq!(code, Some(130), "{stderr}");
    assert!(stdout.contains("goes_on"), "{stdout}");
    let id = responder.attempts("ray-80")[0]["id"].as_str().unwrap().to_owned();
    assert!(stderr.contains(&format!("ray-80  {id}")), "{stderr}");
    fleet.free_all(&responder);
}

#[test]
fn where_nobody_listens_a_run_goes_directly_and_says_so() {
    let mut fleet = Fleet::new();
    fleet.add_port("ray-80", 1);
    fleet.configure("");
    let mut command = Command::new(env!("CARGO_BIN_EXE_raysweep"));
    command.args(["run", "ray-80", "--url", "http://127.0.0.1:1", "--config.file"]);
    let piped = command.arg(fleet.path("raysweep.yml")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (code, stdout, stderr) = Run(piped.spawn().unwrap()).output();
    assert_eq!(code, Some(8), "{stdout}{stderr}");
    assert!(stderr.contains("http://127.0.0.1:1") && stderr.contains("going directly"), "{stderr}");
    assert!(stdout.contains("unreachable") && stdout.contains("Connection refused"), "{stdout}");
}
