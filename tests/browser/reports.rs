//! What the hosts of a stage report.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const GB: u64 = 1_000_000_000;

/// An instant before now, as reports and alerts write it.
pub(crate) fn minutes_ago(minutes: i64) -> String {
    Timestamp::now().saturating_sub(SignedDuration::from_mins(minutes)).unwrap().to_string()
}

/// A report of this outcome; the stand-in puts the attempt's identity in.
pub(crate) fn report(host: &str, outcome: &str, free: [u64; 2], workers: Value) -> Value {
    let freed: u64 =
        workers.as_array().unwrap().iter().map(|worker| worker["freed_bytes"].as_u64().unwrap()).sum();
    json!({
        "schema": 1, "attempt": "ATTEMPT", "host": host, "version": env!("CARGO_PKG_VERSION"), "trigger": "alert",
        "mode": "enforce", "dry_run": false, "started_at": minutes_ago(0), "finished_at": minutes_ago(0),
        "outcome": outcome, "freed_bytes": freed,
        "disks": [{ "mount": "259:1", "temp_roots": ["ray-worker-1:/tmp"], "size_bytes": 500 * GB,
            "avail_before_bytes": free[0] * GB, "avail_after_bytes": free[1] * GB }],
        "workers": workers,
        "backstop": backstop(outcome, 12),
    })
}

/// An hourly backstop that has run for a month, the last time so many minutes ago.
fn backstop(outcome: &str, minutes: i64) -> Value {
    json!({ "interval_secs": 3600, "scheduled_since": minutes_ago(30 * 24 * 60),
        "last": { "finished_at": minutes_ago(minutes), "outcome": outcome } })
}

/// A host at work on a full disk: a training run on one worker, little on the other.
pub(crate) fn at_work(host: &str) -> Value {
    let task = json!({
        "name": "ray-worker-1", "runtime": "docker", "state": "active", "verdict": "active",
        "note": "shares its temp root with ray-worker-2",
        "tmp_before_bytes": 212 * GB, "tmp_after_bytes": 212 * GB, "freed_bytes": 0,
        "evidence": [
            { "kind": "ray_task", "pid": 48211, "detail": "ray::train.step" },
            { "kind": "driver", "pid": 47990, "detail": "python train.py --epochs 40" },
            { "kind": "gpu_holder", "pid": 48211, "detail": "holds /dev/nvidia0" },
        ],
        "removed": [],
        "kept": [
            kept("tmp", "/tmp/tmpq3v9x2ab", 141 * GB, "worker_active", "the worker is at work"),
            kept("checkpoint_tmp", "/tmp/checkpoint_tmp_8e41c0", 52 * GB, "in_use", "a process has it open"),
            kept("ray_tmp", "/tmp/ray_tmp_1f0c", 19 * GB, "too_young", "changed 4 min ago, kept for 30 min"),
        ],
    });
    let quiet = json!({
        "name": "ray-worker-2", "runtime": "docker", "verdict": "below_threshold",
        "tmp_before_bytes": 40_000_000, "tmp_after_bytes": 40_000_000, "freed_bytes": 0,
        "evidence": [], "removed": [], "kept": [],
    });
    report(host, "active", [9, 9], json!([task, quiet]))
}

/// A host whose job has ended: what it left is removed.
pub(crate) fn freed(host: &str) -> Value {
    let worker = json!({
        "name": "ray-worker-1", "runtime": "docker", "state": "no_job", "verdict": "cleaned",
        "tmp_before_bytes": 190 * GB, "tmp_after_bytes": 4 * GB, "freed_bytes": 186 * GB,
        "evidence": [{ "kind": "no_job", "pid": 0, "detail": "Ray knows of no job" }],
        "removed": [
            removed("dead_session", "/tmp/ray/session_2026-11-20_07-12-01_110233_7", 121 * GB, 48_112),
            removed("tmp", "/tmp/tmpa81kx0cd", 65 * GB, 3_204),
        ],
        "kept": [kept("dead_session_logs", "/tmp/ray/session_2026-11-26_22-40-18_908121_7/logs", 4 * GB,
            "newest_dead_session", "the newest dead session's logs stay")],
    });
    report(host, "freed", [31, 217], json!([worker]))
}

/// A host that only observes.
pub(crate) fn observed(host: &str) -> Value {
    let worker = json!({
        "name": "ray-worker-1", "runtime": "docker", "state": "no_job", "verdict": "would_clean",
        "tmp_before_bytes": 88 * GB, "tmp_after_bytes": 88 * GB, "freed_bytes": 80 * GB, "evidence": [],
        "removed": [removed("pip", "/tmp/pip-unpack-44x1", 80 * GB, 9_120)], "kept": [],
    });
    let mut report = report(host, "would_free", [120, 120], json!([worker]));
    report["mode"] = json!("observe");
    report
}

/// A host whose job is alive between two tasks.
pub(crate) fn held(host: &str) -> Value {
    let worker = json!({
        "name": "ray-worker-1", "runtime": "podman", "state": "in_job", "verdict": "nothing_to_remove",
        "tmp_before_bytes": 140 * GB, "tmp_after_bytes": 140 * GB, "freed_bytes": 0,
        "evidence": [{ "kind": "pooled_worker", "pid": 3120, "detail": "ray::IDLE" }], "removed": [],
        "kept": [kept("tmp", "/tmp/tmp7dd0", 139 * GB, "job_alive", "a job is alive and may come back for it")],
    });
    let mut report = report(host, "held", [160, 160], json!([worker]));
    report["backstop"] = backstop("nothing_to_free", 317);
    report
}

/// A report of a worker with thousands of entries in each of its lists, and of hundreds of others.
pub(crate) fn long(host: &str) -> Value {
    let path = |n: usize| format!("/tmp/{n}/{}", "<\"deep & wide\">/".repeat(12));
    let others = (0..300).map(|n| {
        json!({
            "name": format!("ray-worker-{n}"), "runtime": "docker", "state": "no_job", "verdict": "nothing_to_remove",
            "tmp_before_bytes": GB, "tmp_after_bytes": GB, "freed_bytes": 0, "evidence": [], "removed": [],
            "kept": [kept("tmp", &path(n), GB, "too_young", "changed 4 min ago, kept for 30 min")],
        })
    });
    let worker = json!({
        "name": "ray-worker-long", "runtime": "docker", "state": "active", "verdict": "active",
        "tmp_before_bytes": 300 * GB, "tmp_after_bytes": 290 * GB, "freed_bytes": 10 * GB,
        "evidence": (0..2000).map(|n| json!({ "kind": "ray_task", "pid": n, "detail": path(n) })).collect::<Value>(),
        "removed": (0..2000).map(|n| removed("tmp", &path(n), GB, 1)).collect::<Value>(),
        "kept": (0..2000).map(|n| kept("tmp", &path(n), GB, "worker_active", "the worker is at work"))
            .chain([kept("tmp", "/tmp/in-use", 1, "in_use", "a process has it open")]).collect::<Value>(),
        "errors": (0..2000).map(|n| json!(path(n))).collect::<Value>(),
    });
    report(host, "active", [9, 9], others.chain([worker]).collect())
}

/// A report in which each text is one of these, as far as a host may write it.
pub(crate) fn hostile(host: &str, texts: &[&str]) -> Value {
    let workers = texts.iter().map(|text| {
        json!({
            "name": text, "runtime": text, "state": "active", "verdict": "active", "note": text,
            "tmp_before_bytes": GB, "tmp_after_bytes": GB, "freed_bytes": 0,
            "evidence": [{ "kind": "driver", "pid": 4711, "detail": text }],
            "removed": [removed("tmp", text, 1, 1)],
            "kept": [kept("tmp", text, GB, "in_use", text)],
            "errors": [text],
        })
    });
    let mut report = report(host, "active", [9, 9], workers.collect());
    let all = texts.join(" ");
    report["reason"] = json!(all);
    report["prune"] = json!({ "mode": all, "freed_bytes": 1, "removed": 2, "busy": texts, "errors": texts });
    report
}

fn kept(class: &str, path: &str, bytes: u64, why: &str, detail: &str) -> Value {
    json!({ "class": class, "path": path, "bytes": bytes, "why": why, "detail": detail,
        "pid": (why == "in_use").then_some(48211) })
}

fn removed(class: &str, path: &str, bytes: u64, files: u64) -> Value {
    json!({ "class": class, "path": path, "bytes": bytes, "files": files })
}
