//! What a host's command prints and how it ends: only a whole report counts, and no flood fills our memory.

use super::{
    harness::{Behaviour, Fleet, firing},
    stand_in::most_memory,
};

#[test]
fn only_a_whole_report_counts_however_the_command_ends() {
    let cases = [
        ("whole-1", "report; exit 1", "freed", None),
        ("whole-6", "report; exit 6", "freed", None),
        ("whole-127", "report; exit 127", "freed", None),
        ("whole-255", "report; exit 255", "freed", None),
        ("whole-killed", "report; kill -9 $$", "freed", None),
        ("cut-0", "report | head -c 300", "unknown", Some("no_report")),
        ("cut-6", "report | head -c 300; exit 6", "unknown", Some("no_report")),
        ("cut-126", "report | head -c 300; exit 126", "unknown", Some("no_report")),
        ("cut-127", "report | head -c 300; exit 127", "unknown", Some("no_report")),
        ("cut-killed", "report | head -c 300; kill -9 $$", "unknown", Some("connection_lost")),
        ("none-0", "exit 0", "unknown", Some("no_report")),
        ("none-126", "exit 126", "refused", Some("no_binary")),
        ("none-255", "exit 255", "unknown", Some("no_report")),
    ];
    let mut fleet = Fleet::new();
    for (name, script, ..) in cases {
        fleet.add(name, &Behaviour::Script(script));
    }
    let responder = fleet.serve("limits: { attempts_at_once: 64 }");
    fleet.fire_on_all(&responder);
    for (host, _, outcome, reason) in cases {
        let attempt = responder.ended_attempt(host);
        assert_eq!(
            (attempt["outcome"].as_str(), attempt["reason"].as_str()),
            (Some(outcome), reason),
            "{host}"
        );
        let freed_bytes = if outcome == "freed" { 4096 } else { 0 };
        assert_eq!(attempt["freed_bytes"], freed_bytes, "{host}");
        assert_eq!(attempt["report"].is_null(), outcome != "freed", "{host}");
    }
}

#[test]
fn a_gibibyte_of_output_takes_little_memory_and_ends_the_attempt_with_its_reason() {
    let cases = [
        ("stdout", "head -c 1073741824 /dev/zero", "unknown", Some("output_too_long")),
        ("lines", "yes | head -c 1073741824", "unknown", Some("output_too_long")),
        ("stderr", "head -c 1073741824 /dev/zero >&2", "unknown", Some("output_too_long")),
        ("both", "yes >&2 & head -c 1073741824 /dev/zero; kill $!", "unknown", Some("output_too_long")),
        // What came whole before is there whatever comes after it.
        ("report", "report; head -c 1073741824 /dev/zero >&2", "freed", None),
    ];
    let mut fleet = Fleet::of_one();
    fleet.output_bytes = 8 * 1024 * 1024;
    for (name, script, ..) in cases {
        fleet.add(name, &Behaviour::Script(script));
    }
    let responder = fleet.serve("");
    // Whatever is made at the first attempt is there.
    responder.send(firing("ray-80"));
    responder.ended_attempt("ray-80");
    for (host, _, outcome, reason) in cases {
        let before = forget_most_memory(responder.process.id());
        responder.send(firing(host));
        let attempt = responder.ended_attempt(host);
        assert_eq!(
            (attempt["outcome"].as_str(), attempt["reason"].as_str()),
            (Some(outcome), reason),
            "{host}"
        );
        let more = most_memory(responder.process.id()).saturating_sub(before);
        println!("flood: {host} took {} KiB of memory", more / 1024);
        assert!(more < 16 * 1024 * 1024, "{host}: {more} bytes");
    }
}

/// From now on the most memory of a process is what it has now, which is returned.
fn forget_most_memory(process: u32) -> u64 {
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
    most_memory(process)
}
