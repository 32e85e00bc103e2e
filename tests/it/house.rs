//! The direction of dependencies: domain ← config ← {responder, sweeper, fleet} ← cli ← main.

mod paths;

use std::path::{Path, PathBuf};

use paths::paths_in;

/// A room of the house and what it may know.
struct Layer {
    name: &'static str,
    may_use: &'static [&'static str],
}

const LAYERS: [Layer; 6] = [
    Layer { name: "domain", may_use: &["domain"] },
    Layer { name: "config", may_use: &["domain", "config"] },
    Layer { name: "responder", may_use: &["domain", "config", "responder"] },
    Layer { name: "sweeper", may_use: &["domain", "config", "sweeper"] },
    Layer { name: "fleet", may_use: &["domain", "config", "fleet"] },
    Layer { name: "cli", may_use: &["domain", "config", "responder", "sweeper", "fleet", "cli"] },
];

/// What has no place in the domain: I/O, clocks, configuration, and the crates that bring them.
const NOT_PURE: [&str; 22] = [
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::os",
    "std::time::Instant",
    "std::time::SystemTime",
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "jiff::Timestamp::now",
    "tokio",
    "rustix",
    "axum",
    "sqlx",
    "openssh",
    "bollard",
    "ureq",
    "clap",
    "tracing",
];

/// What a source file uses and may not: pure, over its path below `src/` and its text.
fn violations(path: &str, text: &str) -> Vec<String> {
    let module = module_of(path);
    let Some(layer) = LAYERS.iter().find(|layer| module.first().is_some_and(|first| first == layer.name))
    else {
        // main.rs and lib.rs see everything.
        return vec![];
    };
    let mut found = vec![];
    for used in paths_in(text) {
        let room = room_of(&used, module.len());
        if room.is_some_and(|room| !layer.may_use.contains(&room)) {
            found.push(format!("{path}: {} uses {}", layer.name, used.join("::")));
        }
        let starts_with =
            |forbidden: &&str| forbidden.split("::").eq(used.iter().take(forbidden.split("::").count()));
        if layer.name == "domain" && NOT_PURE.iter().any(starts_with) {
            found.push(format!("{path}: {} uses {}", layer.name, used.join("::")));
        }
    }
    found
}

/// `responder/http.rs` → responder, http.
fn module_of(path: &str) -> Vec<String> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    path.split('/').filter(|part| *part != "mod").map(str::to_owned).collect()
}

/// The room that a path leads into, by `crate::` or by so many `super::` that they reach the root.
fn room_of(used: &[String], depth: usize) -> Option<&str> {
    let supers = used.iter().take_while(|part| *part == "super").count();
    let at = match used.first().map(String::as_str) {
        Some("crate" | "raysweep") => 1,
        Some("super") if supers >= depth => supers,
        _ => return None,
    };
    let room = used.get(at)?.as_str();
    LAYERS.iter().map(|layer| layer.name).find(|name| *name == room)
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

#[test]
fn every_dependency_points_the_way_of_the_house() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&src);
    assert!(files.len() > 30, "only {} files were found", files.len());
    let found: Vec<_> = files
        .iter()
        .flat_map(|file| {
            let path = file.strip_prefix(&src).unwrap().to_str().unwrap();
            violations(path, &std::fs::read_to_string(file).unwrap())
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_planted_violation_is_caught() {
    for (path, text) in [
        ("domain/host.rs", "use crate::config::units::Span;"),
        ("domain/host.rs", "use std::{collections::BTreeMap, fs};"),
        ("domain/host.rs", "use std::{fs::{self, File}};"),
        ("domain/host.rs", "fn f() { let _ = std::net::TcpStream::connect(\"a\"); }"),
        ("domain/host.rs", "fn f() { jiff::Timestamp::now(); }"),
        ("domain/host.rs", "use tokio::time::sleep;"),
        ("domain/host.rs", "use super::super::config;"),
        ("domain.rs", "use super::config;"),
        ("config/load.rs", "use crate::sweeper::sweep;"),
        ("responder/http.rs", "use crate::{config::responder::Web, sweeper::gate};"),
        ("responder/http.rs", "fn f() { crate::fleet::replay::run() }"),
        ("responder/http.rs", "use super::super::{fleet::replay};"),
        ("responder/http/page.rs", "use crate::{\n    domain::{host::HostName},\n    cli::exit,\n};"),
        ("sweeper/sweep.rs", "use crate::responder;"),
        ("sweeper/sweep.rs", "pub(crate) use crate::{self as house, fleet};"),
        ("fleet/replay.rs", "use crate::responder::alertmanager;"),
        ("fleet/replay.rs", "type A = Vec<crate::responder::ServeOptions>;"),
        ("fleet/replay.rs", "use raysweep::sweeper;"),
    ] {
        assert!(!violations(path, text).is_empty(), "{path}: {text}");
    }
}

#[test]
fn what_the_house_allows_is_not_complained_of() {
    for (path, text) in [
        ("domain/host.rs", "use super::{alert::Alert, policy};\nuse std::{collections::BTreeMap, fmt};"),
        ("domain/host.rs", "// crate::config is not for us\n/* use std::fs; */"),
        (
            "domain/host.rs",
            "const TEXT: &str = \"use std::fs;\"; const RAW: &str = r#\"use tokio::\"x\" fs;\"#;",
        ),
        ("config/check.rs", "use crate::domain::host; use std::fs;"),
        ("responder/http.rs", "use super::journal; use crate::{config, domain::alert};"),
        ("cli/serve.rs", "use crate::{config, fleet, responder, sweeper};"),
        ("main.rs", "use raysweep::{cli, sweeper::inside};"),
    ] {
        assert_eq!(violations(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}
